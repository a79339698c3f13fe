"""
Texts: any value as the text that mParticle stores, within mParticle's limits.

Pure. The server reads attribute values "as string", and one list or object among them refuses the whole
batch; so every value becomes a text here. Limits are those of "Default Service Limits". The server counts
UTF-16 units, so do we; no character is ever cut in half.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from itertools import islice
from math import isfinite
from typing import Any, TypeAlias

from otel_vendor_exporters.errors import EncodingError

MOST_ATTRIBUTES = 100  # per event, and again per user
MOST_NAME_LENGTH = 256  # of events, screens and attributes
MOST_VALUE_LENGTH = 4096
MOST_LIST_ENTRIES = 1000  # of a user attribute
MOST_ENTRY_LENGTH = 512
MOST_ACTION_IDENTIFIER_LENGTH = 100  # JSON Reference, push_message
_SHORT_VALUE = MOST_VALUE_LENGTH // 2  # fits, whatever is in it
_MOST_SIMPLE_BITS = 10_000  # beyond about 4300 digits Python refuses str() of an integer

JsonValue: TypeAlias = "str | int | float | bool | list[JsonValue] | dict[str, JsonValue] | None"


def attribute_texts(attributes: Mapping[str, object]) -> dict[str, str]:
    """Attributes of an event or a product: no None, names, values and their number within the limits."""
    texts = {
        attribute_name(name): value_text(value) for name, value in attributes.items() if value is not None
    }
    return texts if len(texts) <= MOST_ATTRIBUTES else first_attributes(texts)


def attribute_name(name: object) -> str:
    """The name of an attribute, cut where the server would cut it; two that are sent alike are one here."""
    return cut(_encodable(_exact(name)), MOST_NAME_LENGTH)


def value_text(value: object) -> str:
    """The value of an attribute, cut where the server would cut it."""
    if type(value) is str and len(value) <= _SHORT_VALUE:
        return value  # as it is nearly always
    write = QUICK.get(type(value))
    return cut(text_of(value), MOST_VALUE_LENGTH) if write is None else write(value)


def first_attributes(texts: Mapping[str, str]) -> dict[str, str]:
    """As many as an event may have."""
    return dict(islice(texts.items(), MOST_ATTRIBUTES))


def plain_texts(values: Mapping[str, object]) -> dict[str, str]:
    """Custom flags and other maps for which mParticle names no limit: no None, texts only."""
    return {_encodable(_exact(name)): text_of(value) for name, value in values.items() if value is not None}


def user_attribute_texts(attributes: Mapping[str, object]) -> dict[str, str | list[str]]:
    """Attributes of a user: as those of an event, but a list stays a list."""
    texts: dict[str, str | list[str]] = {}
    for name, value in attributes.items():
        if value is not None:
            texts[attribute_name(name)] = user_attribute_text(value)
    return texts if len(texts) <= MOST_ATTRIBUTES else dict(islice(texts.items(), MOST_ATTRIBUTES))


def user_attribute_text(value: object) -> str | list[str]:
    """One user attribute: a text, or a list of texts without None."""
    if isinstance(value, (list, tuple)):
        return [cut(text, MOST_ENTRY_LENGTH) for text in islice(_texts(value), MOST_LIST_ENTRIES)]
    return cut(text_of(value), MOST_VALUE_LENGTH)


def text_of(value: object) -> str:
    """`true`, decimal digits, base64 of bytes, compact JSON of lists and maps, str() of anything else."""
    for kind, write in _WRITERS:
        if isinstance(value, kind):
            return write(value)
    return str(value)


def cut(text: str, most_units: int) -> str:
    """The beginning of `text`, at most so many UTF-16 units."""
    if len(text) * 2 <= most_units:  # no character takes more than two
        return text
    units = text.encode("utf-16-le", "surrogatepass")
    if len(units) <= most_units * 2:
        return text
    return units[: most_units * 2].decode("utf-16-le", "ignore")  # ignores the half of a cut pair


def _texts(values: Iterable[object]) -> Iterable[str]:
    return (text_of(value) for value in values if value is not None)


def _exact(text: object) -> str:
    """A name as a str: JSON would write a subclass by its content, and so do we."""
    return text if type(text) is str else text_of(text)


def _encodable(text: str) -> str:
    """The text as UTF-8 holds it, with question marks for halves of characters."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _integer_text(value: int) -> str:
    return int.__str__(value) if value.bit_length() <= _MOST_SIMPLE_BITS else str(Decimal(value))


def _float_text(value: float) -> str:
    if isfinite(value):
        return float.__repr__(value)
    return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"


def _base64(value: bytes | bytearray) -> str:
    return b64encode(value).decode("ascii")


def _json_text(value: object) -> str:
    try:
        return json.dumps(_json_ready(value), ensure_ascii=False, separators=(",", ":"))
    except RecursionError:
        message = "an attribute or body holds itself, or lists in lists without end"
        raise EncodingError(message, field="attribute") from None


def _json_ready(value: object) -> JsonValue:
    """`value` as JSON can hold it: whatever it has no word for becomes its text."""
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, int) and value.bit_length() <= _MOST_SIMPLE_BITS:
        return value
    if isinstance(value, float) and isfinite(value):
        return value
    if isinstance(value, Mapping):
        return {_exact(name): _json_ready(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json_ready(one) for one in value]
    return text_of(value)


# bool before int, of which it is a kind; str first, as it is the most frequent.
_WRITERS: tuple[tuple[type | tuple[type, ...], Callable[..., str]], ...] = (
    (str, str.__str__),
    (bool, lambda value: "true" if value else "false"),
    (int, _integer_text),
    (float, _float_text),
    ((bytes, bytearray), _base64),
    ((Mapping, list, tuple), _json_text),
)
# What value_text makes of values of these types: none gets too long.
QUICK: Mapping[type, Callable[[Any], str]] = {  # Any: each takes its own type
    bool: ("false", "true").__getitem__,
    float: _float_text,
    int: lambda value: (
        int.__repr__(value) if -(2**63) <= value < 2**63 else cut(text_of(value), MOST_VALUE_LENGTH)
    ),
}
