"""
Composing: from what a record says to the event as a batch lists it.

Pure, but for its memory of sessions. Which event it is stands in kinds.py, what becomes of attributes in
sorting.py; here are the parts that all events share.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from otel_vendor_exporters import attributes as names
from otel_vendor_exporters.errors import EncodingError
from otel_vendor_exporters.mparticle.batching import without_state
from otel_vendor_exporters.mparticle.ids import named_uuid, session_uuid
from otel_vendor_exporters.mparticle.kinds import (
    BREADCRUMB,
    CRASH,
    SESSION_END,
    SESSION_START,
    SESSIONS,
    Kind,
    Sessions,
    Told,
    default_type,
    kind_of_name,
)
from otel_vendor_exporters.mparticle.people import People
from otel_vendor_exporters.mparticle.permits import Permits
from otel_vendor_exporters.mparticle.settings import MParticleSettings
from otel_vendor_exporters.mparticle.sorting import SESSION_ID, Sorter, details
from otel_vendor_exporters.mparticle.texts import (
    MOST_ATTRIBUTES,
    MOST_NAME_LENGTH,
    first_attributes,
    text_of,
    value_text,
)
from otel_vendor_exporters.mparticle.units import OwnedEvent, Owner
from otel_vendor_exporters.mparticle.values import form_of
from otel_vendor_exporters.mparticle.vocabulary import CustomEventType, closed_set
from otel_vendor_exporters.mparticle.wire import event_text

_MOST_REMEMBERED = 10_000
# Attributes that mapping itself adds, by the names of what they are made of.
_ADDED: Mapping[str, tuple[str, ...]] = {
    "log.body": ("body",),
    "log.logger": ("logger", "otel.scope.name"),
    "log.severity_number": ("severity_number",),
    "log.severity_text": ("severity_text",),
    "trace_id": (),
    "span_id": (),
    "event_name": (),
    "duration_ms": (),
}
_CUSTOM_TYPES = closed_set(CustomEventType)


class Composer:
    """Composes events by settings. Any thread may call."""

    def __init__(self, settings: MParticleSettings, people: People, permits: Permits) -> None:
        self._settings = settings
        self._people = people
        self._permits = permits
        self._withheld = frozenset(name for name, source in _ADDED.items() if not permits.lets(name, *source))
        self._bodiless = frozenset(
            kind for kind in (CRASH, BREADCRUMB) if not permits.lets(kind.body_as, "log.body", "body")
        )
        self._screens = frozenset(settings.screens)
        self._plain_kind = BREADCRUMB if settings.plain_logs == "breadcrumb" else None
        self._kinds: dict[str, tuple[Kind, str]] = {}
        self._sorters: dict[Kind, Sorter] = {}
        self._session_uuids: dict[str, str] = {}
        self._sessions = Sessions()

    def kind(self, name: object, attributes: Mapping[str, object]) -> tuple[Kind | None, str]:
        """The kind of a record, None for one that is no event, and the type if it is a custom event."""
        if not name:
            known: tuple[Kind | None, str] = (self._plain_kind, "other")
        elif isinstance(name, str):
            known = self._kinds.get(name) or self._named(name)
        else:  # the SDK takes anything for an event's name
            raise EncodingError("event_name takes a string", field="event_name")
        if known[0] not in SESSIONS and any(
            attributes[one] not in (None, "") for one in names.EXCEPTION_ATTRIBUTES & attributes.keys()
        ):
            return CRASH, ""
        return known

    def sorter(self, kind: Kind) -> Sorter:
        """What sorts the attributes of that kind's records."""
        sorter = self._sorters.get(kind)
        if sorter is None:
            sorter = self._sorters[kind] = Sorter(kind, self._people, self._settings, self._permits)
        return sorter

    def event(self, told: Told, left_out: Counter[str]) -> str | None:
        """The record's event, in JSON; None for a session's end that was told. Raises EncodingError."""
        kind, own = told.kind, told.own
        contents: dict[str, Any] = {  # Any: each key's own type
            "timestamp_unixtime_ms": told.unix_ms,
            "source_message_id": told.message_id,
        }
        if own:
            self._add_common(told, contents, left_out)
        if kind in SESSIONS and "session_uuid" not in contents:
            raise EncodingError("session.id is missing", field=SESSION_ID)
        if kind is SESSION_END and not self._ends(told, contents["session_uuid"]):
            return None
        if kind in self._bodiless and told.body is not None:
            told.rest["log.body"], told.body = value_text(told.body), None
        kind.fill(told, contents)
        if kind.has_details:
            rest = self._complete(told) if own or told.body is not None else told.rest
            if self._withheld:
                rest = {name: text for name, text in rest.items() if name not in self._withheld}
            if rest:
                contents["custom_attributes"] = (
                    rest if len(rest) <= MOST_ATTRIBUTES else first_attributes(rest)
                )
        data = form_of(kind.event, contents) if kind.foreign else contents
        return event_text(kind.event.WHERE, data)

    def begin(self, told: Told, owner: Owner) -> OwnedEvent | None:
        """
        Remember whose session begins. A start that names the session before it ends that one (semconv).

        Unless its end was seen. It ends for whom it began, who may have been another: somebody logged in.
        """
        self._sessions.begin(self._session_uuid(told.session_id), told.unix_ms, without_state(owner))
        previous = told.own.get("session.previous_id")
        if not previous or previous == told.session_id:
            return None
        uuid = session_uuid(text_of(previous))
        ended = self._sessions.end(uuid, told.unix_ms)
        if ended is None:
            return None
        contents = {
            "session_duration_ms": ended.duration_ms,
            "timestamp_unixtime_ms": told.unix_ms,
            "source_message_id": named_uuid(f"session-end:{uuid}"),  # who else sees it end says the same
            "session_uuid": uuid,
        }
        began_for = ended.owner or owner
        whose = owner if began_for.ordering_key == owner.ordering_key else began_for
        return OwnedEvent(whose, event_text(SESSION_END.event.WHERE, contents))

    def _named(self, name: str) -> tuple[Kind | None, str]:
        if name.isspace():
            return self._plain_kind, "other"
        custom_type = by_glob(self._settings.event_types, name) or default_type(name)
        if len(self._kinds) >= _MOST_REMEMBERED:
            self._kinds = {}
        known = (kind_of_name(name, self._screens), custom_type)
        if len(name) <= MOST_NAME_LENGTH:
            self._kinds[name] = known
        return known

    def _complete(self, told: Told) -> dict[str, str]:
        """Custom attributes, with what the event did not use up."""
        if told.own:
            told.rest.update(self.sorter(told.kind).unused(told.own))
        if told.body is not None:
            told.rest["log.body"] = value_text(told.body)
        return told.rest

    def _add_common(self, told: Told, contents: dict[str, Any], left_out: Counter[str]) -> None:
        """What any event may have: a type, a session, a place, a connection, flags."""
        own = told.own
        session_id = own.pop(SESSION_ID, None)
        if session_id not in (None, ""):
            self._add_session(told, session_id if type(session_id) is str else text_of(session_id), contents)
        if not own:
            return
        chosen = own.pop(names.MPARTICLE_CUSTOM_EVENT_TYPE, None)
        if isinstance(chosen, str) and chosen in _CUSTOM_TYPES:
            told.custom_type = chosen
        elif chosen is not None:
            left_out[names.MPARTICLE_CUSTOM_EVENT_TYPE] += 1
        if told.kind.has_details:
            contents.update(details(own, left_out))

    def _session_uuid(self, session_id: str) -> str:
        if len(self._session_uuids) >= _MOST_REMEMBERED:
            self._session_uuids = {}
        uuid = session_uuid(session_id)
        if len(session_id) <= MOST_NAME_LENGTH:
            self._session_uuids[session_id] = uuid
        return uuid

    def _add_session(self, told: Told, session_id: str, contents: dict[str, Any]) -> None:
        uuid = self._session_uuids.get(session_id) or self._session_uuid(session_id)
        contents["session_uuid"] = uuid
        if uuid != session_id:
            told.rest[SESSION_ID] = value_text(session_id)
        if told.kind is SESSION_START:
            told.session_id = session_id
            contents["source_message_id"] = uuid  # as mParticle's own SDKs do

    def _ends(self, told: Told, uuid: str) -> bool:
        """Whether it is this record that ends the session."""
        ended = self._sessions.end(uuid, told.unix_ms)
        if ended is None:
            return False
        told.duration_ms = ended.duration_ms
        return True


def by_glob(types: Mapping[str, str], name: str) -> str | None:
    """The first type whose glob matches the name."""
    return next((to for glob, to in types.items() if fnmatchcase(name, glob)), None)
