"""
Mapping: from the SDK's log records and spans to events of users.

Pure: ids and time are arguments. Here records are read; whose they are stands in people.py, what is made of
them in composing.py.
Rule: a record becomes events or is counted as ignored, with the reason; none takes another with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import SpanKind

from otel_vendor_exporters import attributes as names
from otel_vendor_exporters.delivery.echoes import IS_ECHO, is_echo
from otel_vendor_exporters.errors import EncodingError
from otel_vendor_exporters.interrupts import let_through
from otel_vendor_exporters.mparticle.composing import Composer, by_glob
from otel_vendor_exporters.mparticle.ids import is_uuid, span_uuid, uuids_from
from otel_vendor_exporters.mparticle.kinds import CONTEXT, CRASH, CUSTOM, NETWORK, SESSION_START, Kind, Told
from otel_vendor_exporters.mparticle.people import Attribute, People
from otel_vendor_exporters.mparticle.permits import Permits
from otel_vendor_exporters.mparticle.settings import MParticleSettings
from otel_vendor_exporters.mparticle.sorting import RECORD_UID
from otel_vendor_exporters.mparticle.texts import value_text
from otel_vendor_exporters.mparticle.units import NewId, OwnedEvent

if TYPE_CHECKING:
    from opentelemetry.sdk._logs import ReadableLogRecord
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.util.types import Attributes

_HTTP_CALL = frozenset({"http.request.method", "http.method"})
_LATEST_NS = 2**63


@dataclass(slots=True)
class Mapped:
    """What became of source records: events, and counts of those left out."""

    events: list[OwnedEvent] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)  # where the events of each record in `events` end
    ignored: Counter[str] = field(default_factory=Counter)  # records, by reason
    left_out: Counter[str] = field(default_factory=Counter)  # what mapped records go without, by name

    @property
    def records(self) -> int:
        """Source records that are in `events`."""
        return len(self.ends)

    def without(self, lost: Mapping[str, str]) -> Mapped:
        """
        The same when these events, texts to reasons, could not be kept.

        A record is ignored when none of its events is left; else it goes without those.
        """
        if not lost:
            return self
        left = Mapped(ignored=Counter(self.ignored), left_out=Counter(self.left_out))
        for start, end in pairwise((0, *self.ends)):
            events = self.events[start:end]
            reasons = [lost[event.text] for event in events if event.text in lost]
            if len(reasons) == len(events):
                left.ignored[reasons[0]] += 1
                continue
            left.left_out.update(reasons)
            left.events.extend(event for event in events if event.text not in lost)
            left.ends.append(len(left.events))
        return left


class EventMapping:
    """
    Log records and spans as events, by settings.

    Remembers how names, attributes, resources and users go, bounded. Any thread may call.
    """

    def __init__(self, settings: MParticleSettings, new_id: NewId, now_unix_ms: Callable[[], int]) -> None:
        self._settings = settings
        self._new_id = new_id
        self._now_unix_ms = now_unix_ms
        permits = Permits(settings)
        self._people = People(settings, permits, now_unix_ms())
        self._composer = Composer(settings, self._people, permits)

    def from_logs(self, records: Iterable[ReadableLogRecord]) -> Mapped:
        """The events of log records: those with an event name or an exception, others only if asked for."""
        mapped = Mapped()
        ids = uuids_from(self._new_id())
        for record in records:
            try:
                reason = self._add_log(record, ids, mapped)
            except Exception as error:  # noqa: BLE001  whatever is wrong with a record, the next is not
                reason = _reason(error)
            if reason is None:
                mapped.ends.append(len(mapped.events))
            else:
                mapped.ignored[reason] += 1
        return mapped

    def from_spans(self, spans: Iterable[ReadableSpan]) -> Mapped:
        """The events of spans: their span events, and they themselves as far as settings ask for them."""
        mapped = Mapped()
        for span in spans:
            before = len(mapped.events)
            reasons: list[str] = []
            try:
                reasons.extend(reason for add in self._parts(span) if (reason := self._tried(add, mapped)))
            except Exception as error:  # noqa: BLE001  as for log records
                reasons.append(_reason(error))
            if len(mapped.events) > before:
                mapped.ends.append(len(mapped.events))
                mapped.left_out.update(reasons)
            else:
                mapped.ignored[reasons[0] if reasons else "not_an_event"] += 1
        return mapped

    def _add_log(self, readable: ReadableLogRecord, ids: Iterator[str], mapped: Mapped) -> str | None:
        """Add the record's events, or say why it has none. Raises EncodingError."""
        record = readable.log_record
        attributes = _plain(record.attributes)
        name = record.event_name or attributes.pop(names.EVENT_NAME, None)
        name = name or attributes.pop(names.OTEL_EVENT_NAME, None)
        if not name and is_echo(readable):
            return IS_ECHO
        kind, custom_type = self._composer.kind(name, attributes)
        if kind is None:
            return "no_event_name"
        said, own, rest = self._composer.sorter(kind).sort(attributes)
        severity = 0
        if record.severity_number is not None:
            severity = record.severity_number._value_  # what `value` is, which takes ten times as long
            rest["log.severity_number"] = str(severity)
        if record.severity_text:
            rest["log.severity_text"] = value_text(record.severity_text)
        logger = readable.instrumentation_scope and readable.instrumentation_scope.name
        if logger:
            rest["log.logger"] = value_text(logger)
        _add_trace(rest, record.trace_id, record.span_id)
        is_special = RECORD_UID in own or kind is SESSION_START
        told = Told(
            kind,
            name or "",
            _milliseconds(record.timestamp or record.observed_timestamp) or self._now_unix_ms(),
            _own_id(own, ids) if is_special else next(ids),
            own,
            rest,
            record.body,
            severity,
            custom_type,
        )
        return self._add(told, said, readable.resource, mapped)

    def _add(self, told: Told, said: Iterable[Attribute], resource: Resource, mapped: Mapped) -> str | None:
        owner = self._people.owner(resource, said, told.unix_ms, mapped.left_out)
        if owner is None:
            return "anonymous"
        event = self._composer.event(told, mapped.left_out)
        if event is None:
            return "session_ended"
        if told.kind is SESSION_START:
            end = self._composer.begin(told, owner)
            if end is not None:
                mapped.events.append(end)
        mapped.events.append(OwnedEvent(owner, event))
        return None

    # Spans

    def _tried(self, add: Callable[[Mapped], str | None], mapped: Mapped) -> str | None:
        """One part of a span must not take the others with it."""
        try:
            return add(mapped)
        except Exception as error:  # noqa: BLE001  as for log records
            return _reason(error)

    def _parts(self, span: ReadableSpan) -> Iterator[Callable[[Mapped], str | None]]:
        """What may become events: the span as a whole, and each of its events."""
        attributes = _plain(span.attributes)
        kind, custom_type = self._span_kind(span, attributes)
        if kind is not None:
            yield lambda mapped: self._add_span(span, kind, custom_type, attributes, mapped)
        if not span.events or self._settings.span_events == "none":
            return
        of_span, shared, _ = self._composer.sorter(CONTEXT).sort(dict(attributes))
        for index in range(len(span.events)):
            yield lambda mapped, index=index: self._add_span_event(span, index, of_span, shared, mapped)  # type: ignore[misc]  # mypy infers no default

    def _span_kind(self, span: ReadableSpan, attributes: Mapping[str, object]) -> tuple[Kind | None, str]:
        is_call = span.kind is SpanKind.CLIENT and not _HTTP_CALL.isdisjoint(attributes)
        if self._settings.network_performance and is_call:
            return NETWORK, ""
        has_name = isinstance(span.name, str) and span.name.strip()
        custom_type = by_glob(self._settings.spans, span.name) if has_name else None
        return (None, "") if custom_type is None else (CUSTOM, custom_type)

    def _add_span(
        self,
        span: ReadableSpan,
        kind: Kind,
        custom_type: str,
        attributes: Mapping[str, object],
        mapped: Mapped,
    ) -> str | None:
        said, own, rest = self._composer.sorter(kind).sort(dict(attributes))
        trace_id, span_id = span.context.trace_id, span.context.span_id
        _add_trace(rest, trace_id, span_id)
        start_ns = span.start_time or 0
        duration_ms = max(_milliseconds((span.end_time or start_ns) - start_ns), 0)
        if kind is CUSTOM:
            rest["duration_ms"] = str(duration_ms)
        told = Told(
            kind,
            span.name,
            _milliseconds(start_ns),
            span_uuid(trace_id, span_id),
            own,
            rest,
            custom_type=custom_type,
            duration_ms=duration_ms,
        )
        return self._add(told, said, span.resource, mapped)

    def _add_span_event(
        self,
        span: ReadableSpan,
        index: int,
        of_span: Iterable[Attribute],
        shared: Mapping[str, object],
        mapped: Mapped,
    ) -> str | None:
        """The span says for all of its events whose they are, in which session and place."""
        event = span.events[index]
        attributes = _plain(event.attributes)
        kind, custom_type = self._composer.kind(event.name, attributes)
        if kind is None or (kind is not CRASH and self._settings.span_events == "exceptions"):
            return "not_an_event"
        said, own, rest = self._composer.sorter(kind).sort(attributes)
        trace_id, span_id = span.context.trace_id, span.context.span_id
        _add_trace(rest, trace_id, span_id)
        told = Told(
            kind,
            event.name,
            _milliseconds(event.timestamp),
            span_uuid(trace_id, span_id, index),
            {**shared, **own},
            rest,
            custom_type=custom_type,
        )
        both = {one[0]: one for one in (*of_span, *said)}  # the event's own word goes first
        return self._add(told, tuple(both.values()), span.resource, mapped)


def _reason(error: Exception) -> str:
    """Why a record is ignored: a field that did not fit, or something nobody foresaw."""
    if isinstance(error, EncodingError):
        return f"unfit:{error.field}"
    let_through(error)
    return f"unreadable:{type(error).__name__}"


def _own_id(own: dict[str, object], ids: Iterator[str]) -> str:
    """The id that the record itself says its message has; the start of a session gets its session's."""
    if RECORD_UID not in own:
        return ""
    uid = own.pop(RECORD_UID)
    return str(uid) if is_uuid(uid) else next(ids)


def _add_trace(rest: dict[str, str], trace_id: int | None, span_id: int | None) -> None:
    if trace_id:
        rest["trace_id"] = trace_id.to_bytes(16, "big").hex()
    if span_id:
        rest["span_id"] = span_id.to_bytes(8, "big").hex()


def _plain(attributes: Attributes) -> dict[str, Any]:  # Any: attributes of any type
    """A dictionary of our own: the SDK's own mapping takes ten times as long for each question."""
    copy = getattr(attributes, "copy", None)
    return copy() if copy is not None else dict(attributes or {})


def _milliseconds(nanoseconds: int | None) -> int:
    """Whole milliseconds; the SDK takes `time.time() * 1e9` for a time, so a float may come."""
    if type(nanoseconds) is int and 0 <= nanoseconds < _LATEST_NS:
        return nanoseconds // 1_000_000
    if nanoseconds is None:
        return 0
    if not isinstance(nanoseconds, (int, float)) or not 0 <= nanoseconds < _LATEST_NS:
        raise EncodingError("timestamp takes nanoseconds since 1970", field="timestamp")
    return int(nanoseconds) // 1_000_000
