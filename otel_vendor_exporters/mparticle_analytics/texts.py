"""
Texts: any value as the texts that Analytics stores, within its limits.

Pure. Source: "REST API" (values are strings, cut at 255 characters) and the wire contract, section 2: maps
are flattened with dotted names and lists joined, as both relays do that were built with the vendor.
Rule: what is cut or has no place is counted in `left_out`, by reason; None is nothing and counts as nothing.
"""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from math import isfinite

from otel_vendor_exporters.interrupts import let_through

MOST_CHARACTERS = 255  # of ids, names and values; UTF-16 units, which is what a Java server counts
MOST_PROPERTIES = 200  # not documented
SURELY_SHORT = MOST_CHARACTERS // 2  # no character takes more than two units
_MOST_DEPTH = 8
_MOST_STEPS = 10_000  # lists in lists that hold each other have no end that anybody would live to see
_LONGEST_JUDGED = 1_000  # characters of a dotted name that comes of maps; nobody names a property so
_MOST_DOTS = 20
_MOST_BITS = 850  # more than 255 decimal digits take more
_MOST_BYTES = 192  # give 256 characters of base64
Shown = Callable[[str], str]  # of a text what may be seen of it


def property_texts(
    properties: Mapping[str, object],
    left_out: Counter[str],
    lets_inner: Callable[[str], bool] = lambda _: True,
    shown: Callable[[str], Shown | None] = lambda _: None,
) -> dict[str, str]:
    """
    Names and texts for `properties`, in their order; of names that become equal the first stays.

    `lets_inner` says of the dotted names that come of maps whether they are wanted, `shown` of all names what
    is shown of their texts, None for all of it.
    """
    texts: dict[str, str] = {}
    for step, (name, value, inner) in enumerate(_flattened(properties, "", 0, left_out)):
        if step == _MOST_STEPS:
            left_out["too_many_properties"] += 1
            break
        if inner and not lets_inner(name):
            continue
        text = text_of(value, left_out, shown(name))
        if text is None:
            continue
        if not name:
            left_out["no_name"] += 1
            continue
        name = encodable(_cut(name, "name_cut", left_out))
        if len(texts) == MOST_PROPERTIES:
            left_out["too_many_properties"] += 1
            break  # to count the others would mean to look at all of them, however many somebody made
        if texts.setdefault(name, text) is not text:
            left_out["same_name"] += 1
    return texts


def text_of(value: object, left_out: Counter[str], shown: Shown | None = None) -> str | None:
    """One value that is no map as its text, None when it has none; `shown` comes before what is cut."""
    if isinstance(value, str):
        text = str.__str__(value)
        return _cut(text if shown is None else shown(text), "value_cut", left_out)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return float.__repr__(value) if isfinite(value) else _none("no_number", left_out)
    if isinstance(value, int):
        return _integer_text(value, left_out)
    if isinstance(value, (bytes, bytearray)):
        return _bytes_text(value, left_out, shown)
    if isinstance(value, (list, tuple)):
        return _joined(value, left_out, shown)
    return None if value is None else _text_of_other(value, left_out, shown)


def cut(text: str) -> str:
    """The beginning of `text`, at most 255 UTF-16 units, never half a character."""
    if len(text) <= SURELY_SHORT:
        return text
    units = text[: MOST_CHARACTERS + 1].encode("utf-16-le", "surrogatepass")
    end = 2 * MOST_CHARACTERS
    if len(units) <= end:
        return text
    if units[end - 1] & 0xFC == 0xD8 and units[end + 1] & 0xFC == 0xDC:
        end -= 2
    return units[:end].decode("utf-16-le", "surrogatepass")


def fits(text: str) -> bool:
    """Whether an id or an event's name has 1 to 255 characters."""
    return bool(text) and (len(text) <= SURELY_SHORT or cut(text) is text)


def encodable(text: str) -> str:
    """The text as UTF-8 holds it, with question marks for halves of characters."""
    return text.encode("utf-8", "replace").decode() if has_lone_surrogate(text) else text


def has_lone_surrogate(text: str) -> bool:
    """Whether UTF-8 cannot hold the text."""
    if text.isascii():
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def is_nested(value: object) -> bool:
    """Whether a value becomes several properties: a map, or a list that holds a map or a list."""
    if isinstance(value, (list, tuple)):
        return any(isinstance(one, (Mapping, list, tuple)) for one in value[: MOST_CHARACTERS + 1])
    return isinstance(value, Mapping)


def _flattened(
    properties: Mapping[str, object], prefix: str, depth: int, left_out: Counter[str]
) -> Iterator[tuple[str, object, bool]]:
    """Names, values that are not nested, and whether they came of a map; of a nested one first None."""
    for bare, value in properties.items():
        name = f"{prefix}{bare}"
        nested = is_nested(value)
        if (nested or depth) and not _is_judged(name):
            left_out["name_too_long"] += 1
            yield "", None, False  # a step as well
        elif not nested:
            yield name, value, depth > 0
        elif depth == _MOST_DEPTH:
            left_out["too_deep"] += 1
            yield "", None, False
        else:
            yield name, None, True  # a step, also where nothing but maps follows
            yield from _flattened(_as_map(value), name + ".", depth + 1, left_out)


def _is_judged(name: str) -> bool:
    """Whether lists can be asked about a dotted name: each of its parts may be meant, and each takes time."""
    return len(name) <= _LONGEST_JUDGED and name.count(".") <= _MOST_DOTS


def _as_map(value: object) -> Mapping[str, object]:
    if isinstance(value, Mapping):
        return value
    assert isinstance(value, (list, tuple))  # else it is not nested
    return {str(index): one for index, one in enumerate(value[: MOST_PROPERTIES + 1])}


def _joined(values: Sequence[object], left_out: Counter[str], shown: Shown | None) -> str:
    """Texts with commas between them; more than 255 of them could not be seen anyway."""
    texts = (text_of(value, left_out, shown) for value in islice(values, MOST_CHARACTERS + 1))
    return _cut(",".join(text for text in texts if text is not None), "value_cut", left_out)


def _bytes_text(value: bytes | bytearray, left_out: Counter[str], shown: Shown | None) -> str:
    """Base64 of what is shown of them."""
    if shown is not None:
        value = shown(value.decode("latin-1")).encode("latin-1")
    return _cut(b64encode(value[:_MOST_BYTES]).decode("ascii"), "value_cut", left_out)


def _cut(text: str, reason: str, left_out: Counter[str]) -> str:
    short = cut(text)
    if short is not text:
        left_out[reason] += 1
    return short


def _integer_text(value: int, left_out: Counter[str]) -> str | None:
    """Decimal digits; a number is never cut, since its beginning is another number."""
    if value.bit_length() <= _MOST_BITS:
        text = int.__repr__(value)
        if len(text) <= MOST_CHARACTERS:
            return text
    return _none("number_too_long", left_out)


def _text_of_other(value: object, left_out: Counter[str], shown: Shown | None) -> str | None:
    """What the application's own classes say of themselves, if they can."""
    try:
        text = str(value)
    except Exception as fault:  # noqa: BLE001  it is the application's code, and telemetry never hurts it
        let_through(fault)
        return _none("no_text", left_out)
    return _cut(text if shown is None else shown(text), "value_cut", left_out)


def _none(reason: str, left_out: Counter[str]) -> str | None:
    left_out[reason] += 1
    return None
