"""
Sorting: which of a record's attributes say whose it is, which its event uses up, and which go as they are.

Pure. An attribute's place depends on its name and the kind of event alone: it is found once and remembered.
Rule: what never leaves has no place at all (`deny_attributes`, and what is personal unless allowed).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any, TypeAlias

from otel_vendor_exporters import attributes as names
from otel_vendor_exporters.errors import EncodingError
from otel_vendor_exporters.mparticle.device import Location
from otel_vendor_exporters.mparticle.kinds import Kind
from otel_vendor_exporters.mparticle.people import Attribute, People
from otel_vendor_exporters.mparticle.settings import PERSONAL_ATTRIBUTES, MParticleSettings
from otel_vendor_exporters.mparticle.texts import (
    MOST_NAME_LENGTH,
    QUICK,
    attribute_name,
    plain_texts,
    text_of,
    value_text,
)
from otel_vendor_exporters.mparticle.values import form_of

SESSION_ID = "session.id"
RECORD_UID = "log.record.uid"

_MOST_REMEMBERED = 10_000
_SHORT = 2000  # no attribute that short is cut
_FOR_OTHERS = "mpulse."  # speaks to the mPulse exporter and to nobody else
_GEO: Mapping[str, str] = {
    "geo.location.lat": "latitude",
    "geo.location.lon": "longitude",
    "geo.country.iso_code": "country_code",
    "geo.region.iso_code": "region_code",
    "geo.locality.name": "city_name",
    "geo.postal_code": "postal_code",
}
_NUMBERS = ("latitude", "longitude")
_CONNECTION, _CONNECTION_DETAIL = "network.connection.type", "network.connection.subtype"
_CONNECTIONS: Mapping[object, str] = {"wifi": "wifi", "cell": "mobile", "unavailable": "offline"}
_OF_ANY_EVENT = frozenset(
    {*_GEO, _CONNECTION, _CONNECTION_DETAIL, SESSION_ID, RECORD_UID, names.MPARTICLE_CUSTOM_EVENT_TYPE}
)

_OWN, _SAID, _NOWHERE = range(1, 4)


# What says whose the event is, what the event may use up, and the rest, ready.
Sorted: TypeAlias = "tuple[list[Attribute], dict[str, object], dict[str, str]]"


class _Places(dict[str, "int | str"]):
    """Places by name; a text is the name under which an attribute goes as it is. Bounded."""

    def __init__(self, place_of: Callable[[str], int | str]) -> None:
        super().__init__()
        self._place_of = place_of

    def __missing__(self, name: str) -> int | str:
        if len(self) >= _MOST_REMEMBERED:
            self.clear()
        place = self._place_of(name)
        if len(name) <= MOST_NAME_LENGTH:
            self[name] = place
        return place


class Sorter:
    """Sorts attributes for one kind of event. Any thread may call."""

    def __init__(self, kind: Kind, people: People, settings: MParticleSettings) -> None:
        self._kind = kind
        self._people = people
        self._allowed = settings.allow_attributes
        self._denied = settings.deny_attributes
        self._places = _Places(self._place)

    def sort(self, attributes: Mapping[str, object]) -> Sorted:
        """Every attribute in its place; those without one are left behind."""
        places = self._places
        said: list[Attribute] = []
        own: dict[str, object] = {}
        rest: dict[str, str] = {}
        for name, value in attributes.items():
            kind = type(value)
            place = places[name]
            if type(place) is str:
                if kind is str and len(value) <= _SHORT:  # type: ignore[arg-type]  # a text, as it is nearly always
                    rest[place] = value  # type: ignore[assignment]  # the same
                elif kind in QUICK:
                    rest[place] = QUICK[kind](value)
                elif value is not None:
                    rest[place] = value_text(value)
            elif value is None or place == _NOWHERE:
                continue
            elif place == _SAID:
                said.append((name, value) if kind is str else (name, value, kind))
            else:
                own[name] = value
        return said, own, rest

    def unused(self, own: Mapping[str, object]) -> dict[str, str]:
        """What the event did not use up and may leave as it is."""
        return {
            attribute_name(name): value_text(value) for name, value in own.items() if self._may_leave(name)
        }

    def _place(self, name: str) -> int | str:
        if name.startswith(_FOR_OTHERS) or _matches(name, self._denied):
            return _NOWHERE
        if self._people.speaks_of(name):
            return _SAID
        of_event = name in _OF_ANY_EVENT or name in self._kind.takes
        if of_event or name.startswith(names.MPARTICLE_CUSTOM_FLAG_PREFIX):
            return _OWN
        return attribute_name(name) if self._may_leave(name) else _NOWHERE

    def _may_leave(self, name: str) -> bool:
        if self._allowed:
            return _matches(name, self._allowed)
        return not _matches(name, PERSONAL_ATTRIBUTES)


def details(own: dict[str, object], left_out: Counter[str]) -> dict[str, Any]:  # Any: each key's own type
    """Place, connection and flags; takes from `own` what they are made of."""
    found: dict[str, Any] = {}
    if "geo.location.lat" in own and "geo.location.lon" in own:  # one is no place, the other no map
        said = {key: own.pop(name) for name, key in _GEO.items() if name in own}
        place = _location(said, left_out)
        if place is not None:
            found["location"] = place
    state = _device_state(own)
    if state:
        found["device_current_state"] = state
    prefix = names.MPARTICLE_CUSTOM_FLAG_PREFIX
    flags = [name for name in own if name.startswith(prefix)]
    if flags:
        found["custom_flags"] = plain_texts({name[len(prefix) :]: own.pop(name) for name in flags})
    return found


def _location(said: Mapping[str, object], left_out: Counter[str]) -> Mapping[str, object] | None:
    contents = {key: value if key in _NUMBERS else text_of(value) for key, value in said.items()}
    if "region_code" in said:
        contents["region_code"] = text_of(said["region_code"]).rpartition("-")[2]  # NY of US-NY
    try:
        return form_of(Location, contents)
    except EncodingError:
        left_out["location"] += 1
        return None


def _device_state(own: dict[str, object]) -> dict[str, str]:
    state: dict[str, str] = {}
    connection = own.get(_CONNECTION)
    if isinstance(connection, str) and connection in _CONNECTIONS:
        del own[_CONNECTION]
        state["data_connection_type"] = _CONNECTIONS[connection]
    if _CONNECTION not in own and _CONNECTION_DETAIL in own:  # a cable has no word here, nor has what it is
        state["data_connection_type_detail"] = text_of(own.pop(_CONNECTION_DETAIL))
    return state


def _matches(name: str, globs: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, glob) for glob in globs)
