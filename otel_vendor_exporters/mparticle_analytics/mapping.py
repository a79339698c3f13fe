"""
Mapping: from the SDK's log records and span events to events, and what they tell of users.

Pure, but for what `Users` remembers. A named log record is an event; so are an exception's record and each
event of a span; a plain record is one if the settings say so. An event belongs to the first id its record
carries. A user's attributes become an identify call when they change, an anonymous id that turns out to be
somebody an alias call, both in front of the event.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from types import NoneType
from typing import TYPE_CHECKING, NamedTuple

from otel_vendor_exporters import attributes as names
from otel_vendor_exporters.delivery.echoes import IS_ECHO, is_echo
from otel_vendor_exporters.interrupts import let_through
from otel_vendor_exporters.mparticle_analytics.context import Context
from otel_vendor_exporters.mparticle_analytics.properties import Properties
from otel_vendor_exporters.mparticle_analytics.settings import AnalyticsSettings
from otel_vendor_exporters.mparticle_analytics.texts import fits, has_lone_surrogate
from otel_vendor_exporters.mparticle_analytics.units import Kind, Unit
from otel_vendor_exporters.mparticle_analytics.users import Users
from otel_vendor_exporters.mparticle_analytics.wire import (
    Alias,
    event_content,
    identify_unit,
    is_time,
    quoted,
)

if TYPE_CHECKING:
    from opentelemetry.sdk._logs import ReadableLogRecord
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.util.types import Attributes

EXCEPTION = "exception"  # semantic conventions, as span events of that kind are called
PLAIN = "log"
_MOST_REMEMBERED = 10_000
_NOTHING: Mapping[str, object] = {}


@dataclass(slots=True)
class Mapped:
    """What became of source records: units to keep, and counts of what was left out."""

    units: list[Unit] = field(default_factory=list)
    records: int = 0  # source records that are in `units`
    ignored: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)  # what mapped records lack


class _Ids(NamedTuple):
    """Whose an event is: the id it is sent under, and the anonymous one its record also carries."""

    user: str
    is_anonymous: bool
    anonymous: str | None


class EventNames:
    """Event names by a setting of globs, as JSON; None for what cannot be one."""

    def __init__(self, globs: Mapping[str, str]) -> None:
        self._globs = globs
        self._known: dict[str, str | None] = {}

    def json_of(self, name: str) -> str | None:
        """The name to send for `name`."""
        try:
            return self._known[name]
        except KeyError:
            pass
        new = next((to for glob, to in self._globs.items() if fnmatchcase(name, glob)), "{name}")
        new = new.replace("{name}", name)
        if len(self._known) >= _MOST_REMEMBERED:
            self._known = {}
        known = self._known[name] = quoted(new) if fits(new) else None
        return known


class EventMapping:
    """Maps the records of one exporter. Any thread may call."""

    def __init__(self, settings: AnalyticsSettings, users: Users) -> None:
        self._users = users
        self._names = EventNames(settings.event_names)
        self._properties = Properties(settings)
        of_event = self._properties
        self._context = Context(
            settings.context_properties, of_event.lets_context, of_event.lets_in_context, of_event.shown
        )
        self._ids_from = [(name, name in settings.anonymous_id_from) for name in settings.user_id_from]
        self._sends_anonymous = settings.anonymous == "send"
        self._anonymous_user = settings.anonymous_user
        self._sends_plain = settings.plain_logs == "send"
        self._merges = settings.alias != "never"
        self._merges_always = settings.alias == "always"

    def events_from_logs(self, records: Sequence[ReadableLogRecord], process_user: str) -> Mapped:
        """An event for every record that is one; `process_user` is the id of what carries none."""
        mapped = Mapped()
        for record in records:
            try:
                reason = self._add_log(mapped, record, process_user)
            except Exception as fault:  # noqa: BLE001  values run the application's code: the others go on
                reason = _unfit(fault)
            if reason is None:
                mapped.records += 1
            else:
                mapped.ignored[reason] += 1
        return mapped

    def events_from_spans(self, spans: Sequence[ReadableSpan], process_user: str) -> Mapped:
        """An event for every event of a span; whose it is says the event, else its span."""
        mapped = Mapped()
        for span in spans:
            reasons: list[str | None] = []
            try:
                reasons.extend(self._add_events_of(span, mapped, process_user))
            except Exception as fault:  # noqa: BLE001  values run the application's code: the others go on
                reasons.append(_unfit(fault))
            if any(reason is None for reason in reasons):
                mapped.records += 1
                mapped.left_out.update(reason for reason in reasons if reason is not None)
            else:
                mapped.ignored[reasons[0] or "" if reasons else "no_events"] += 1
        return mapped

    def _add_log(self, mapped: Mapped, record: ReadableLogRecord, process_user: str) -> str | None:
        log = record.log_record
        attributes = _plain(log.attributes)
        name = log.event_name or attributes.get(names.EVENT_NAME) or attributes.get(names.OTEL_EVENT_NAME)
        if not name or (isinstance(name, str) and name.isspace()):
            if is_echo(record):
                return IS_ECHO
            name = self._name_of_plain(attributes)
        if name is None:
            return "plain_log"
        extras = self._context.of_log(record, name)
        time = log.timestamp or log.observed_timestamp
        return self._add(mapped, name, time, attributes, _NOTHING, extras, process_user)

    def _add_events_of(self, span: ReadableSpan, mapped: Mapped, process_user: str) -> Iterator[str | None]:
        events = span.events
        if not events:
            return
        of_span = _plain(span.attributes)
        extras = self._context.of_span(span)
        for event in events:
            try:
                attributes = _plain(event.attributes)
                reason = self._add(
                    mapped, event.name, event.timestamp, attributes, of_span, extras, process_user
                )
            except Exception as fault:  # noqa: BLE001  as for log records
                reason = _unfit(fault)
            yield reason

    def _name_of_plain(self, attributes: Mapping[str, object]) -> str | None:
        if not names.EXCEPTION_ATTRIBUTES.isdisjoint(attributes):
            return EXCEPTION
        return PLAIN if self._sends_plain else None

    def _add(
        self,
        mapped: Mapped,
        name: object,
        time_unix_ns: object,
        attributes: Mapping[str, object],
        of_span: Mapping[str, object],
        extras: Sequence[tuple[str, str]],
        process_user: str,
    ) -> str | None:
        """Add an event and what it tells of its user to `mapped`; else why not."""
        name_json = self._names.json_of(name) if isinstance(name, str) else None
        if name_json is None:
            return "bad_event_name"
        time_unix_ms = time_unix_ns // 1_000_000 if isinstance(time_unix_ns, int) else None
        if time_unix_ms is None or not is_time(time_unix_ms):
            return "bad_time"
        ids = self._ids(attributes, of_span, process_user)
        if isinstance(ids, str):
            return ids
        of_user: dict[str, object] = {}
        pairs = self._properties.of(attributes, extras, mapped.left_out, of_user)
        if of_span:
            of_user = {**self._properties.of_user(of_span), **of_user}
        self._tell_of_user(mapped, ids, of_user)
        self._users.profiles.overwritten(ids.user, attributes, but=of_user)
        content = event_content(name_json, ids.user, pairs, time_unix_ms)
        mapped.units.append(Unit(Kind.EVENT, (ids.user,), content))
        return None

    def _ids(
        self, attributes: Mapping[str, object], of_span: Mapping[str, object], process_user: str
    ) -> _Ids | str:
        """Whose an event is, else the reason why it cannot be sent."""
        ids = self._ids_in(attributes, of_span)
        if ids is None:
            if not self._sends_anonymous:
                return "unusable_user_id" if self._has_unusable_id(attributes, of_span) else "anonymous"
            ids = _Ids(self._anonymous_user or process_user, False, None)
        elif not ids.is_anonymous:
            self._users.is_user(ids.user)
        if not fits(ids.user) or has_lone_surrogate(ids.user):
            return "bad_user_id"
        return "suppressed" if self._users.is_suppressed(ids.user) else ids

    def _ids_in(self, attributes: Mapping[str, object], of_span: Mapping[str, object]) -> _Ids | None:
        """The first id there is and, of somebody known, the first anonymous one behind it."""
        user: str | None = None
        for name, is_anonymous in self._ids_from:
            value = attributes.get(name)
            if value is None and of_span:
                value = of_span.get(name)
            if value is None:
                continue
            text = value if type(value) is str else _id_text(value)
            if not text or text.isspace() or text == user:
                continue
            if user is not None and is_anonymous:
                return _Ids(user, False, text)
            if user is None and (is_anonymous or not self._merges):
                return _Ids(text, is_anonymous, None)
            user = user or text
        return None if user is None else _Ids(user, False, None)

    def _has_unusable_id(self, attributes: Mapping[str, object], of_span: Mapping[str, object]) -> bool:
        """Whether an id is there that is neither a text nor an integer."""
        ids = [one.get(name) for one in (attributes, of_span) for name, _ in self._ids_from]
        return any(not isinstance(value, (str, NoneType)) for value in ids)

    def _tell_of_user(self, mapped: Mapped, ids: _Ids, of_user: Mapping[str, object]) -> None:
        if self._merges:
            self._merge(mapped, ids)
        if of_user:
            texts = self._users.profiles.changed(
                ids.user, self._properties.user_texts(of_user, mapped.left_out)
            )
            if texts:
                mapped.units.append(identify_unit(ids.user, texts))

    def _merge(self, mapped: Mapped, ids: _Ids) -> None:
        if ids.is_anonymous:
            user = self._users.anonymous_sent(ids.user)
            if user is not None:  # known before, from a record that carried both
                mapped.units.append(Alias(ids.user, user).unit())
        elif ids.anonymous is not None:
            if not fits(ids.anonymous) or has_lone_surrogate(ids.anonymous):
                mapped.left_out["bad_anonymous_id"] += 1
            elif self._users.is_suppressed(ids.anonymous):
                mapped.left_out["suppressed"] += 1
            elif self._users.becomes_known(ids.anonymous, ids.user, always=self._merges_always):
                mapped.units.append(Alias(ids.anonymous, ids.user).unit())


def _unfit(fault: Exception) -> str:
    let_through(fault)
    return f"unfit:{type(fault).__name__}"


def _plain(attributes: Attributes) -> Mapping[str, object]:
    """A dictionary: the SDK's own mapping takes ten times as long for each question."""
    copy = getattr(attributes, "copy", None)
    return copy() if copy is not None else dict(attributes or {})


def _id_text(value: object) -> str:
    """An id as a text; empty for what names nobody."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if isinstance(value, str) or (is_number and value.bit_length() <= 256):  # type: ignore[attr-defined]  # an int
        return str(value)
    return ""
