"""
Visitor details: what an application tells of a visitor, as attributes by field.

Rule: what is wrong is said once, with its type and what would be right, and left out; the rest stays. An id
that was told and cannot be used is None among the attributes: whoever it is, it is not the visitor around.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias, TypedDict
from uuid import UUID

from instrumentation.captures import Site
from instrumentation.redaction import cut
from instrumentation.showing import SHOWING
from otel_vendor_exporters import attributes as names
from otel_vendor_exporters.attributes import VisitorFields

if TYPE_CHECKING:
    from datetime import date
    from decimal import Decimal

    Plain: TypeAlias = str | bool | int | float | date | Decimal | UUID | Enum
else:
    Plain = Any  # dates and decimals are slow to import, and whoever tells some has them

Id: TypeAlias = "str | int | UUID"

SITE: Final = Site("visitor")
UNKNOWN: Final[Any] = object()  # Any: it stands where an id would, that could not be told
NOBODY: Final[VisitorFields] = {"ids": {names.USER_ID: None}}  # somebody was told, and nobody knows who

_MOST_TEXT: Final = 1024
_LONGEST_SHOWN: Final = 40
_MOST_ELEMENTS: Final = 1000
_MOST_NUMBER: Final = 10**15
_MOST_WRONG: Final = 3
_MOST_NAMED: Final = 100


class VisitorDetails(TypedDict, total=False):
    """
    What may be told of a visitor. What is None is not told.

    `session_start_unix_ms` is in milliseconds since the epoch, `session_length` counts page views, and
    `session_limited` says that mPulse wants nothing of this session. `identities` go by short names (email,
    name, full_name, hash, mpid) or mParticle's (google, facebook, ...). `consent` goes by purpose:
    {"gdpr.analytics": True, "ccpa.data_sale_opt_out": False}. Dates are told as ISO text; decimals, UUIDs
    and the texts of enumerations as text.
    """

    user_id: Id | None
    anonymous_id: Id | None
    identities: Mapping[str, str | int | UUID] | None
    session_id: Id | None
    session_start_unix_ms: int | None
    session_length: int | None
    session_limited: bool | None
    page_group: str | None
    ab_test: str | None
    dimensions: Mapping[str, Plain] | None
    user_attributes: Mapping[str, Plain | Sequence[str]] | None
    consent: Mapping[str, bool] | None
    client_address: str | None
    user_agent: str | None


def fields_of(details: Mapping[str, object]) -> VisitorFields:
    """Details by keyword as attributes by field; what does not fit is reported and left out."""
    fields: dict[str, dict[str, object]] = {}
    for name, value in details.items():
        if value is None or name not in _DETAILS:
            continue
        field, attributes_of = _DETAILS[name]
        attributes = attributes_of(name, value)
        if attributes:
            fields.setdefault(field, {}).update(attributes)
    return fields


def known_fields_of(details: Mapping[str, object], site: Site) -> VisitorFields:
    """The fields of details that a callback told; a name that does not exist is said, and the others stay."""
    wrong = tuple(islice(wrong_names_in(details), _MOST_WRONG))
    if not wrong:
        return fields_of(details)
    site.report("details", TypeError(), wrong[0].words)
    was_to_be_told = "user_id" in {each.nearest for each in wrong} and "user_id" not in details
    return fields_of({**details, "user_id": UNKNOWN} if was_to_be_told else details)


class WrongName(NamedTuple):
    """A name that is no detail's."""

    words: str
    nearest: str


def wrong_names_in(details: Iterable[str]) -> Iterable[WrongName]:
    """The names that are no detail's, each with what would be right."""
    for name in details:
        if name not in _DETAILS:
            from difflib import get_close_matches  # only here: it is slow to import

            shown = cut(str(name), _LONGEST_SHOWN)
            nearest = "".join(get_close_matches(shown, _DETAILS, 1))
            hint = f"did you mean {nearest}?" if nearest else f"there are {', '.join(_DETAILS)}"
            yield WrongName(f"a visitor has no {shown!r}: {hint}", nearest)


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of value: how it is read, which raises for what is none, and the words for what is one."""

    read: Callable[[object], object]
    right: str


def _id(value: object) -> str:
    if not isinstance(value, (str, int, UUID)) or isinstance(value, bool):
        raise TypeError
    text = str(value)[:_MOST_TEXT]
    if not text:
        raise ValueError
    return text


def _text(value: object) -> str:
    return _whole_text(value)[:_MOST_TEXT]


def _searched_text(value: object) -> str:
    """For what an application makes of addresses and inputs: "/reset?token=[redacted]"."""
    return SHOWING.text(_whole_text(value), _MOST_TEXT)


def _whole_text(value: object) -> str:
    value = _plain(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise TypeError
    return value


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError
    if not 0 <= value < _MOST_NUMBER:
        raise ValueError
    return int(value)


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _value(value: object) -> object:
    value = _plain(value)
    if isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, (list, tuple, set, frozenset)):
        return tuple(_searched_text(each) for each in islice(value, _MOST_ELEMENTS))
    return _searched_text(value)


def _plain(value: object) -> object:
    """Text for what has one good text, and for anything else itself."""
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, UUID):
        return str(value)
    for module, kind, text_of in _TEXTS_OF:
        found = getattr(sys.modules.get(module), kind, None)  # nobody has one whose module was not imported
        if found is not None and isinstance(value, found):
            return text_of(value)
    return value


_TEXTS_OF: Final[Sequence[tuple[str, str, Callable[[Any], str]]]] = (  # Any: of that module's class
    ("datetime", "date", lambda each: each.isoformat()),
    ("decimal", "Decimal", str),
)
_ID: Final = _Kind(_id, "a text that is not empty, a whole number or a UUID")
_TEXT: Final = _Kind(_text, "a text")
_SEARCHED_TEXT: Final = _Kind(_searched_text, "a text")
_COUNT: Final = _Kind(_count, "a whole number from 0 on")
_FLAG: Final = _Kind(_flag, "True or False")
_VALUE: Final = _Kind(_value, "a text, a number, True, False, a date, a Decimal, a UUID or a list of texts")

_AttributesOf: TypeAlias = Callable[[str, object], Mapping[str, object]]  # of a detail's name and value


def _one(attribute: str, kind: _Kind) -> _AttributesOf:
    def attributes(detail: str, value: object) -> Mapping[str, object]:
        found = None if value is UNKNOWN else _read(detail, value, kind)
        if found is None and kind is _ID:
            return {attribute: None}
        return {} if found in (None, "") else {attribute: found}

    return attributes


def _many(attribute_of: Callable[[str], str], kind: _Kind) -> _AttributesOf:
    def attributes(detail: str, values: object) -> Mapping[str, object]:
        found: dict[str, object] = {}
        for key, value in _entries(detail, values):
            read = None if value is None else _read(detail, value, kind, key)
            if read is not None:
                found[attribute_of(key)] = read
        return found

    return attributes


def _read(detail: str, value: object, kind: _Kind, key: str = "") -> object:
    """The value as an attribute has it; None for one that is reported."""
    try:
        return kind.read(value)
    except Exception as fault:  # noqa: BLE001 - a lazy object asks a database, which may be down
        part = _part(detail, key) if key else detail
        SITE.report(part, fault, f"{_shown_type(value)}: give {kind.right}")
        return None


def _entries(detail: str, values: Any) -> Iterable[tuple[str, object]]:  # Any: whatever is told
    """What is in a mapping, up to the first that cannot be had; a name that is no text is reported."""
    found: list[tuple[str, object]] = []
    try:
        for key, value in islice(values.items(), _MOST_ELEMENTS):
            if isinstance(key, str):
                found.append((key, value))
            else:
                SITE.report(detail, TypeError(), f"a name of type {_shown_type(key)}: give texts")
    except Exception as fault:  # noqa: BLE001 - as above
        SITE.report(detail, fault, f"{_shown_type(values)}: give a mapping")
    return found


def _shown_type(value: object) -> str:
    """The name of its type, and that it is empty if that is what is wrong with a text."""
    return "an empty text" if type(value) is str and not value else cut(type(value).__name__, _LONGEST_SHOWN)


_named: set[str] = set()


def _part(detail: str, key: str) -> str:
    """What a fault is reported as: the entry; beyond some entries, the detail alone."""
    part = f"{detail} {cut(key, _LONGEST_SHOWN)!r}"
    if part in _named:
        return part
    if len(_named) >= _MOST_NAMED:
        return detail
    _named.add(part)
    return part


_SHORT_IDENTITIES: Final = {
    "email": names.USER_EMAIL,
    "name": names.USER_NAME,
    "full_name": names.USER_FULL_NAME,
    "hash": names.USER_HASH,
    "mpid": names.MPARTICLE_MPID,
}


def _identity(name: str) -> str:
    return _SHORT_IDENTITIES.get(name, names.MPARTICLE_IDENTITY_PREFIX + name)


_DETAILS: Final[Mapping[str, tuple[str, _AttributesOf]]] = {
    "user_id": ("ids", _one(names.USER_ID, _ID)),
    "anonymous_id": ("ids", _one(names.ENDUSER_PSEUDO_ID, _ID)),
    "identities": ("identities", _many(_identity, _TEXT)),
    "session_id": ("session", _one(names.SESSION_ID, _ID)),
    "session_start_unix_ms": ("session", _one(names.MPULSE_SESSION_START_UNIX_MS, _COUNT)),
    "session_length": ("session", _one(names.MPULSE_SESSION_LENGTH, _COUNT)),
    "session_limited": ("session", _one(names.MPULSE_SESSION_LIMITED, _FLAG)),
    "page_group": ("page_group", _one(names.MPULSE_PAGE_GROUP, _SEARCHED_TEXT)),
    "ab_test": ("ab_test", _one(names.MPULSE_AB_TEST, _SEARCHED_TEXT)),
    "dimensions": ("dimensions", _many(names.MPULSE_DIMENSION_PREFIX.__add__, _VALUE)),
    "user_attributes": (
        "user_attributes",
        _many(names.MPARTICLE_USER_ATTRIBUTE_PREFIX.__add__, _VALUE),
    ),
    "consent": ("consent", _many(names.MPARTICLE_CONSENT_PREFIX.__add__, _FLAG)),
    "client_address": ("client", _one(names.CLIENT_ADDRESS, _TEXT)),
    "user_agent": ("client", _one(names.USER_AGENT_ORIGINAL, _TEXT)),
}
