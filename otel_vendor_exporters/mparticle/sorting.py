"""
Sorting: which of a record's attributes say whose it is, which its event uses up, and which go as they are.

Pure. An attribute's place depends on its name and the kind of event alone: it is found once and remembered.
Rule: what never leaves has no place at all (permits.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from otel_vendor_exporters import attributes as names
from otel_vendor_exporters.addresses import bare_url, bare_url_bytes, is_url
from otel_vendor_exporters.errors import EncodingError
from otel_vendor_exporters.mparticle.device import Location
from otel_vendor_exporters.mparticle.kinds import NEEDED, NETWORK, Kind
from otel_vendor_exporters.mparticle.people import Attribute, People
from otel_vendor_exporters.mparticle.permits import Permits
from otel_vendor_exporters.mparticle.settings import MParticleSettings
from otel_vendor_exporters.mparticle.texts import (
    MOST_NAME_LENGTH,
    QUICK,
    attribute_name,
    plain_texts,
    text_of,
    value_text,
)
from otel_vendor_exporters.mparticle.values import form_of

_QUERY = "url.query"
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
_STATE = "device_current_state"
# What any event has a place for, with the names it leaves under.
_OF_ANY_EVENT: Mapping[str, tuple[str, ...]] = {
    **{name: (key, "location") for name, key in _GEO.items()},
    _CONNECTION: ("data_connection_type", _STATE),
    _CONNECTION_DETAIL: ("data_connection_type_detail", _STATE),
    SESSION_ID: ("session_uuid",),
    RECORD_UID: ("source_message_id",),
    names.MPARTICLE_CUSTOM_EVENT_TYPE: ("custom_event_type",),
}
# What an allow list need not name: ids and closed words, without which there is no event or a wrong one.
_NEEDED = NEEDED | {SESSION_ID, RECORD_UID, names.MPARTICLE_CUSTOM_EVENT_TYPE}
# A traceback ends with the exception's message.
_HOLDS: Mapping[str, tuple[str, ...]] = {"exception.stacktrace": ("exception.message", "message")}

_AS_IT_IS, _URL, _SHORTENED, _OWN, _OWN_URL, _SAID, _SAID_URL, _NOWHERE = range(8)


# What says whose the event is, what the event may use up, and the rest, ready.
Sorted: TypeAlias = "tuple[list[Attribute], dict[str, object], dict[str, str]]"


class _Places(dict[str, int]):
    """Places by name. Bounded."""

    def __init__(self, place_of: Callable[[str], int]) -> None:
        super().__init__()
        self._place_of = place_of

    def __missing__(self, name: str) -> int:
        if len(self) >= _MOST_REMEMBERED:
            self.clear()
        place = self._place_of(name)
        if len(name) <= MOST_NAME_LENGTH:
            self[name] = place
        return place


class Sorter:
    """Sorts attributes for one kind of event. Any thread may call."""

    def __init__(self, kind: Kind, people: People, settings: MParticleSettings, permits: Permits) -> None:
        self._kind = kind
        self._people = people
        self._permits = permits
        self._keeps_query = permits.lets_plain(_QUERY)
        of_calls = kind is NETWORK and settings.url_query == "keep" and not permits.denies(_QUERY)
        self._keeps_own_query = self._keeps_query or of_calls
        self._places = _Places(self._place)

    def sort(self, attributes: dict[str, Any]) -> Sorted:  # Any: of any type; all leave as texts
        """Every attribute in its place; the rest is what remains of `attributes`, which must be ours."""
        places = self._places
        others: list[tuple[str, int]] = []
        for name, value in attributes.items():
            place = places[name]
            if place == _AS_IT_IS:
                kind = type(value)
                if kind is str and len(value) <= _SHORT:  # as it is nearly always
                    continue
                if value is not None:
                    attributes[name] = QUICK[kind](value) if kind in QUICK else value_text(value)
                    continue
            elif place == _URL and type(value) is str and len(value) <= _SHORT:
                attributes[name] = bare_url(value, keeps_query=self._keeps_query)
                continue
            others.append((name, place))
        said, own = self._take(others, attributes)
        return said, own, attributes

    def _take(
        self,
        others: Iterable[tuple[str, int]],
        attributes: dict[str, Any],  # Any: as in sort
    ) -> tuple[list[Attribute], dict[str, object]]:
        """What says whose the event is, and what it may use up, taken; URLs and long names made fit."""
        said: list[Attribute] = []
        own: dict[str, object] = {}
        for name, place in others:
            value = attributes.pop(name)
            if value is None or place == _NOWHERE:
                continue
            if place == _SAID:
                said.append((name, value) if type(value) is str else (name, value, type(value)))
            elif place == _SAID_URL:
                said.append((name, _bare(value, keeps_query=self._keeps_query)))
            elif place == _OWN:
                own[name] = value
            elif place == _OWN_URL:
                own[name] = text_of(_bare(value, keeps_query=self._keeps_own_query))
            else:
                attributes[attribute_name(name)] = self._text(name, value)
        return said, own

    def unused(self, own: Mapping[str, object]) -> dict[str, str]:
        """What the event did not use up and may leave as it is."""
        lets = self._permits.lets_plain
        return {attribute_name(name): value_text(value) for name, value in own.items() if lets(name)}

    def _place(self, name: str) -> int:
        known_as = (name, *self._leaves_as(name))
        if name.startswith(_FOR_OTHERS) or self._permits.denies(*known_as, *_HOLDS.get(name, ())):
            return _NOWHERE
        if self._people.speaks_of(name):
            needed = self._people.needs(name)
            if not needed and not self._permits.lets(*known_as):
                return _NOWHERE
            return _SAID_URL if is_url(name) and not needed else _SAID
        if len(known_as) > 1:
            if name not in _NEEDED and not self._permits.lets(*known_as):
                return _NOWHERE
            return _OWN_URL if is_url(name) else _OWN
        if not self._permits.lets_plain(name):
            return _NOWHERE
        if attribute_name(name) != name:
            return _SHORTENED
        return _URL if is_url(name) else _AS_IT_IS

    def _leaves_as(self, name: str) -> tuple[str, ...]:
        """Its names on the wire, where the event or its user has a place for it."""
        if self._people.speaks_of(name):
            return self._people.leaves_as(name)
        if name in _OF_ANY_EVENT:
            return _OF_ANY_EVENT[name]
        if name.startswith(names.MPARTICLE_CUSTOM_FLAG_PREFIX):
            return name.removeprefix(names.MPARTICLE_CUSTOM_FLAG_PREFIX), "custom_flags"
        return (self._kind.takes[name],) if name in self._kind.takes else ()

    def _text(self, name: str, value: object) -> str:
        return value_text(_bare(value, keeps_query=self._keeps_query) if is_url(name) else value)


def _bare(value: object, *, keeps_query: bool) -> object:
    """A URL, or a list of them, without what is not for others."""
    if isinstance(value, (list, tuple)):
        return [_bare_one(one, keeps_query=keeps_query) for one in value]
    return _bare_one(value, keeps_query=keeps_query)


def _bare_one(value: object, *, keeps_query: bool) -> object:
    if isinstance(value, (bytes, bytearray)):
        return bare_url_bytes(value, keeps_query=keeps_query)
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return bare_url(text_of(value), keeps_query=keeps_query)


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
