"""
Mapping: from the SDK's log records and spans to events of users.

Pure: ids and time are arguments. Which event a record is stands in kinds.py, whose it is in people.py, and
what becomes of its attributes in sorting.py.
Rule: a record becomes events or is counted as ignored, with the reason; none takes another with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import SpanKind

from otel_vendor_exporters import attributes as names
from otel_vendor_exporters.errors import EncodingError
from otel_vendor_exporters.mparticle.ids import is_uuid, named_uuid, session_uuid, span_uuid
from otel_vendor_exporters.mparticle.kinds import (
    BREADCRUMB,
    CONTEXT,
    CRASH,
    CUSTOM,
    EXCEPTION_ATTRIBUTES,
    NETWORK,
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
from otel_vendor_exporters.mparticle.settings import MParticleSettings
from otel_vendor_exporters.mparticle.sorting import RECORD_UID, SESSION_ID, Sorter, details
from otel_vendor_exporters.mparticle.texts import text_of
from otel_vendor_exporters.mparticle.units import NewId, OwnedEvent, Owner
from otel_vendor_exporters.mparticle.values import form_of
from otel_vendor_exporters.mparticle.vocabulary import CustomEventType, closed_set
from otel_vendor_exporters.mparticle.wire import event_form

if TYPE_CHECKING:
    from opentelemetry.sdk._logs import ReadableLogRecord
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.util.types import Attributes

_MOST_REMEMBERED = 10_000
_CUSTOM_TYPES = closed_set(CustomEventType)
_HTTP_CALL = frozenset({"http.request.method", "http.method"})


@dataclass(slots=True)
class Mapped:
    """What became of source records: events, and counts of those left out."""

    events: list[OwnedEvent] = field(default_factory=list)
    records: int = 0  # source records that are in `events`
    ignored: Counter[str] = field(default_factory=Counter)  # records, by reason
    left_out: Counter[str] = field(default_factory=Counter)  # what mapped records go without, by name


class EventMapping:
    """
    Log records and spans as events, by settings.

    Remembers how names, attributes, resources and users go, bounded. Any thread may call.
    """

    def __init__(self, settings: MParticleSettings, new_id: NewId, now_unix_ms: Callable[[], int]) -> None:
        self._settings = settings
        self._new_id = new_id
        self._now_unix_ms = now_unix_ms
        self._people = People(settings, now_unix_ms())
        self._screens = frozenset(settings.screens)
        self._plain_kind = BREADCRUMB if settings.plain_logs == "breadcrumb" else None
        self._kinds: dict[str, tuple[Kind, str]] = {}  # kind and custom event type, by event name
        self._sorters: dict[Kind, Sorter] = {}
        self._sessions = Sessions()

    def from_logs(self, records: Iterable[ReadableLogRecord]) -> Mapped:
        """The events of log records: those with an event name or an exception, others only if asked for."""
        mapped = Mapped()
        for record in records:
            told = self._log(record)
            reason = self._add(told, record.resource, mapped) if isinstance(told, Told) else told
            if reason is None:
                mapped.records += 1
            else:
                mapped.ignored[reason] += 1
        return mapped

    def from_spans(self, spans: Iterable[ReadableSpan]) -> Mapped:
        """The events of spans: their span events, and they themselves as far as settings ask for them."""
        mapped = Mapped()
        for span in spans:
            reasons = [self._add(told, span.resource, mapped) for told in self._span(span)]
            refused = [reason for reason in reasons if reason is not None]
            if len(refused) < len(reasons):
                mapped.records += 1
                mapped.left_out.update(refused)
            else:
                mapped.ignored[refused[0] if refused else "not_an_event"] += 1
        return mapped

    # What records say

    def _log(self, readable: ReadableLogRecord) -> Told | str:
        """What the record says, or why it says nothing."""
        record = readable.log_record
        attributes = _plain(record.attributes)
        name = record.event_name or ""
        if not isinstance(name, str):
            return "unfit:event_name"
        kind, custom_type = self._kind(name, attributes)
        if kind is None:
            return "no_event_name"
        said, own, rest = self._sorter(kind).sort(attributes)
        severity = record.severity_number
        if severity is not None:
            rest["log.severity_number"] = severity.value
        if record.severity_text:
            rest["log.severity_text"] = record.severity_text
        if readable.instrumentation_scope is not None and readable.instrumentation_scope.name:
            rest["log.logger"] = readable.instrumentation_scope.name
        _add_trace(rest, record.trace_id, record.span_id)
        uid = own.pop(RECORD_UID, None)
        return Told(
            kind,
            name,
            _milliseconds(record.timestamp or record.observed_timestamp) or self._now_unix_ms(),
            str(uid) if is_uuid(uid) else self._new_id(),
            said,
            own,
            rest,
            body=record.body,
            severity=0 if severity is None else severity.value,
            custom_type=custom_type,
        )

    def _span(self, span: ReadableSpan) -> Iterator[Told]:
        """What the span says that is an event."""
        attributes = _plain(span.attributes)
        kind, custom_type = self._span_kind(span, attributes)
        if kind is not None:
            yield self._whole_span(span, kind, custom_type, attributes)
        if span.events and self._settings.span_events != "none":
            yield from self._span_events(span, attributes)

    def _whole_span(
        self, span: ReadableSpan, kind: Kind, custom_type: str, attributes: Mapping[str, object]
    ) -> Told:
        said, own, rest = self._sorter(kind).sort(attributes)
        trace_id, span_id = span.context.trace_id, span.context.span_id
        _add_trace(rest, trace_id, span_id)
        start = span.start_time or 0
        duration_ms = max((span.end_time or start) - start, 0) // 1_000_000
        if kind is CUSTOM:
            rest["duration_ms"] = duration_ms
        return Told(
            kind,
            span.name,
            _milliseconds(start),
            span_uuid(trace_id, span_id),
            said,
            own,
            rest,
            duration_ms=duration_ms,
            custom_type=custom_type,
            keeps_query=self._settings.url_query == "keep",
        )

    def _span_events(self, span: ReadableSpan, attributes: Mapping[str, object]) -> Iterator[Told]:
        """The span's events. Whose they are, in which session and place, the span says for all of them."""
        of_span, own_of_span, _ = self._sorter(CONTEXT).sort(attributes)
        trace_id, span_id = span.context.trace_id, span.context.span_id
        only_exceptions = self._settings.span_events == "exceptions"
        for index, event in enumerate(span.events):
            of_event = _plain(event.attributes)
            kind, custom_type = self._kind(event.name, of_event)
            if kind is None or (only_exceptions and kind is not CRASH):
                continue
            said, own, rest = self._sorter(kind).sort(of_event)
            _add_trace(rest, trace_id, span_id)
            yield Told(
                kind,
                event.name,
                _milliseconds(event.timestamp),
                span_uuid(trace_id, span_id, index),
                {**dict(of_span), **dict(said)}.items(),
                {**own_of_span, **own},
                rest,
                custom_type=custom_type,
            )

    # Which event it is

    def _kind(self, name: str, attributes: Mapping[str, object]) -> tuple[Kind | None, str]:
        kind, custom_type = self._named(name) if name else (self._plain_kind, "other")
        if kind not in SESSIONS and not EXCEPTION_ATTRIBUTES.isdisjoint(attributes):
            kind = CRASH
        return kind, custom_type

    def _named(self, name: str) -> tuple[Kind, str]:
        known = self._kinds.get(name)
        if known is None:
            custom_type = _by_glob(self._settings.event_types, name) or default_type(name)
            if len(self._kinds) >= _MOST_REMEMBERED:
                self._kinds = {}
            known = self._kinds[name] = (kind_of_name(name, self._screens), custom_type)
        return known

    def _span_kind(self, span: ReadableSpan, attributes: Mapping[str, object]) -> tuple[Kind | None, str]:
        is_call = span.kind is SpanKind.CLIENT and not _HTTP_CALL.isdisjoint(attributes)
        if self._settings.network_performance and is_call:
            return NETWORK, ""
        custom_type = _by_glob(self._settings.spans, span.name)
        return (None, "") if custom_type is None else (CUSTOM, custom_type)

    def _sorter(self, kind: Kind) -> Sorter:
        sorter = self._sorters.get(kind)
        if sorter is None:
            sorter = self._sorters[kind] = Sorter(kind, self._people, self._settings)
        return sorter

    # The event

    def _add(self, told: Told, resource: Resource, mapped: Mapped) -> str | None:
        """Add the event, or say why it cannot be one."""
        try:
            owner = self._people.owner(resource, told.said, told.unix_ms, mapped.left_out)
            if owner is None:
                return "anonymous"
            event = self._event(told, mapped)
            if told.kind is SESSION_START:
                self._end_previous(told, event, owner, mapped)
        except EncodingError as error:
            return f"unfit:{error.field}"
        mapped.events.append(OwnedEvent(owner, event))
        return None

    def _event(self, told: Told, mapped: Mapped) -> dict[str, Any]:
        """The event as a batch lists it. Raises EncodingError."""
        kind, own, rest = told.kind, told.own, told.rest
        contents: dict[str, Any] = {  # Any: each key's own type
            "timestamp_unixtime_ms": told.unix_ms,
            "source_message_id": told.message_id,
        }
        if own:
            self._add_common(told, contents, mapped)
        if kind in SESSIONS and "session_uuid" not in contents:
            raise EncodingError("session.id is missing", field=SESSION_ID)
        contents.update(kind.fields(told))
        if kind.has_details:
            if own:
                rest.update(self._sorter(kind).unused(own))
            if told.body is not None:
                rest["log.body"] = told.body
            contents["custom_attributes"] = rest
        return event_form(kind.event.WHERE, form_of(kind.event, contents))

    def _add_common(self, told: Told, contents: dict[str, Any], mapped: Mapped) -> None:
        """What any event may have: a type, a session, a place, a connection, flags."""
        own = told.own
        chosen = own.pop(names.MPARTICLE_CUSTOM_EVENT_TYPE, None)
        if isinstance(chosen, str) and chosen in _CUSTOM_TYPES:
            told.custom_type = chosen
        elif chosen is not None:
            mapped.left_out[names.MPARTICLE_CUSTOM_EVENT_TYPE] += 1
        session_id = own.pop(SESSION_ID, None)
        if session_id not in (None, ""):
            self._add_session(told, text_of(session_id), contents)
        if own and told.kind.has_details:
            contents.update(details(own, mapped.left_out))

    def _add_session(self, told: Told, session_id: str, contents: dict[str, Any]) -> None:
        uuid = contents["session_uuid"] = session_uuid(session_id)
        if uuid != session_id:
            told.rest[SESSION_ID] = session_id
        if told.kind is SESSION_START:
            contents["source_message_id"] = uuid  # as mParticle's own SDKs do
            self._sessions.begin(uuid, told.unix_ms)
        elif told.kind is SESSION_END:
            told.duration_ms = self._sessions.end(uuid, told.unix_ms)

    def _end_previous(self, told: Told, start: Mapping[str, Any], owner: Owner, mapped: Mapped) -> None:
        """A start that names the session before it ends that one, if its end was not seen (semconv)."""
        previous = told.own.get("session.previous_id")
        uuid = session_uuid(text_of(previous)) if previous else None
        if uuid is None or uuid == start["data"]["session_uuid"] or self._sessions.has_ended(uuid):
            return
        contents = {
            "session_duration_ms": self._sessions.end(uuid, told.unix_ms),
            "timestamp_unixtime_ms": told.unix_ms,
            "source_message_id": named_uuid(f"session-end:{uuid}"),  # whoever else sees it end says the same
            "session_uuid": uuid,
        }
        end = event_form(SESSION_END.event.WHERE, form_of(SESSION_END.event, contents))
        mapped.events.append(OwnedEvent(owner, end))


def _add_trace(rest: dict[str, object], trace_id: int | None, span_id: int | None) -> None:
    if trace_id:
        rest["trace_id"] = f"{trace_id:032x}"
    if span_id:
        rest["span_id"] = f"{span_id:016x}"


def _plain(attributes: Attributes) -> Mapping[str, object]:
    """A dictionary: the SDK's own mapping takes ten times as long for each question."""
    copy = getattr(attributes, "copy", None)
    return copy() if copy is not None else dict(attributes or {})


def _milliseconds(nanoseconds: int | None) -> int:
    return (nanoseconds or 0) // 1_000_000


def _by_glob(types: Mapping[str, str], name: str) -> str | None:
    return next((to for glob, to in types.items() if fnmatchcase(name, glob)), None)
