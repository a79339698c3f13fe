"""
Log records: what an OpenTelemetry record says of a Python one.

Attribute names are semantic conventions 1.44; severities are those of OpenTelemetry's log data model, where
WARNING is WARN and CRITICAL is FATAL. Leaves emitting, and which records are told, to `log_handler`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from fnmatch import translate
from itertools import islice
from typing import Any, Final

from opentelemetry._logs import SeverityNumber

from instrumentation.captures import Site
from instrumentation.redaction import SECRETS, Secrets, anywhere
from instrumentation.showing import (
    LONGEST_NAME,
    MOST_NODES,
    SHOWING,
    Showing,
    exception_attributes,
    has_sign,
)
from otel_vendor_exporters.attributes import VisitorFields

CAPTURED: Final = "_otel_captured"  # where a record carries what `ContextFilter` captured
EVENT_KEYS: Final = ("otel.event.name", "event.name", "event")

_RESERVED: Final = frozenset(
    {
        *vars(logging.makeLogRecord({})),
        *("message", "asctime", "taskName", CAPTURED),
        *(
            "otelTraceID",
            "otelSpanID",
            "otelTraceSampled",
            "otelServiceName",
        ),  # put there by OpenTelemetry itself
    }
)
SEVERITY_TEXTS: Final = {"WARNING": "WARN", "CRITICAL": "FATAL"}  # the others are the level names
_PLAIN_TYPES: Final = frozenset({bool, int, float})
_HIGHEST_LEVEL: Final = 53
_MOST_REMEMBERED: Final = 4096
_LAST_LINE: Final = re.compile(r"([A-Za-z_][\w.]*)(?:: (.*))?")


class Captured(str):
    """
    What was known when a record was made, to be told on another thread or in another process.

    It stands among the record's own fields, where formatters and exporters that show all of them find it:
    to them it is the word "[captured]". Our handler reads the fields, which go along when it is pickled.
    """

    __slots__ = ("exception", "message", "span_id", "trace_flags", "trace_id", "visitor")

    trace_id: int
    span_id: int
    trace_flags: int
    visitor: VisitorFields
    message: str | None
    exception: Mapping[str, str]

    def __new__(
        cls,
        span: tuple[int, int, int],
        visitor: VisitorFields,
        message: str | None,
        exception: Mapping[str, str],
    ) -> Captured:
        """`span`: trace id, span id and trace flags."""
        captured = super().__new__(cls, "[captured]")
        captured.trace_id, captured.span_id, captured.trace_flags = span
        captured.visitor = visitor
        captured.message = message
        captured.exception = exception
        return captured

    def __reduce__(self) -> tuple[type[Captured], tuple[object, ...]]:
        span = (self.trace_id, self.span_id, self.trace_flags)
        return Captured, (span, self.visitor, self.message, self.exception)


class Extras:
    """
    Which of an application's `extra=` is told, and how.

    `allow` (None: all) and `deny` are globs of names; `redact` are names to hide beside the usual secrets.
    """

    def __init__(
        self, site: Site, allow: Iterable[str] | None, deny: Iterable[str], redact: Iterable[str]
    ) -> None:
        self._site = site
        self._allowed = None if allow is None else _any_of(allow)
        self._denied = _any_of(deny)
        more = (redact,) if isinstance(redact, str) else tuple(redact)
        self.showing = Showing(SECRETS, Secrets(*anywhere(more))) if more else SHOWING
        self._open: tuple[int, set[str]] = (0, set())
        self._event_names: tuple[int, dict[str, str]] = (0, {})

    def shown(self, extras: dict[str, Any]) -> dict[str, Any]:  # Any: OpenTelemetry's AnyValue
        """The extras, now as attributes; one that cannot be shown is reported and left out."""
        generation, known_as_open = self._open
        if generation != SECRETS.generation or len(known_as_open) > _MOST_REMEMBERED:
            known_as_open = set()
            self._open = (SECRETS.generation, known_as_open)
        if len(extras) > MOST_NODES:
            extras = dict(islice(extras.items(), MOST_NODES))
        others: list[tuple[str, Any]] = []
        for name, value in extras.items():  # most stay as they are
            kind = type(value) if name in known_as_open else None
            if kind is str:
                # A short text of one word is shown as it is: asking `text` for it would take a call more.
                if len(value) > LONGEST_NAME or " " in value or has_sign(value):
                    extras[name] = self.showing.text(value)
            elif kind not in _PLAIN_TYPES:
                others.append((name, value))
        for name, value in others:
            del extras[name]
            self._add(name, value, known_as_open, to=extras)
        return extras

    def _add(self, name: str, value: object, known_as_open: set[str], to: dict[str, Any]) -> None:
        try:
            if self._wants(name):
                shown_name = self.showing.text(name, LONGEST_NAME)
                to[shown_name] = self.showing.value(name, value)
                if shown_name == name and not self.showing.hides(name):
                    known_as_open.add(name)
        except Exception as fault:  # noqa: BLE001 - a name or a value of the application
            self._site.report("extra", fault)

    def event_name_of(self, extras: dict[str, Any]) -> str | None:  # Any: as above
        """The event's name, taken out of the extras; None for a plain record."""
        name = None
        for key in EVENT_KEYS:
            if key in extras:
                generation, known = self._event_names
                try:  # remembered, since a search takes longer than the rest
                    shown = known[extras[key]] if generation == SECRETS.generation else None
                except (KeyError, TypeError):
                    shown = None
                shown = shown or self._shown_event_name(extras[key])
                if shown:
                    name = name or shown
                    del extras[key]
        return name

    def _shown_event_name(self, name: object) -> str | None:
        """A name as it may be shown; None for what is none."""
        if not isinstance(name, str) or not name:
            return None
        generation, known = self._event_names
        if generation != SECRETS.generation or len(known) > _MOST_REMEMBERED:
            known = {}
            self._event_names = (SECRETS.generation, known)
        shown = known[name] = self.showing.text(name, LONGEST_NAME)
        return shown

    def _wants(self, name: str) -> bool:
        is_allowed = self._allowed is None or self._allowed.match(name) is not None
        return is_allowed and self._denied.match(name) is None


def _any_of(globs: Iterable[str]) -> re.Pattern[str]:
    wanted = (globs,) if isinstance(globs, str) else tuple(globs)
    return re.compile("|".join(map(translate, wanted)) or "(?!)")


class _Severities(dict[object, SeverityNumber]):
    """Severities by level; asked without a call, for each record."""

    def __missing__(self, level: object) -> SeverityNumber:
        is_beyond = isinstance(level, int) and level > _HIGHEST_LEVEL
        return SeverityNumber.FATAL4 if is_beyond else SeverityNumber.UNSPECIFIED


def _severities() -> _Severities:
    """TRACE below 10; each ten from there on is a name, its first four levels are its four steps."""
    found = _Severities(dict.fromkeys(range(1, 10), SeverityNumber.TRACE))
    for level in range(10, _HIGHEST_LEVEL + 1):
        found[level] = SeverityNumber(1 + 4 * (level // 10) + min(level % 10, 3))
    return found


SEVERITIES: Final = _severities()


def extras_of(record: logging.LogRecord) -> dict[str, Any]:
    """What the application gave as `extra=`."""
    return {name: value for name, value in record.__dict__.items() if name not in _RESERVED}


def captured_in(record: logging.LogRecord) -> Captured | None:
    """What a `ContextFilter` kept with the record."""
    captured = getattr(record, CAPTURED, None)  # a word alone, if the record went through JSON
    return captured if isinstance(captured, Captured) else None


def has_exception(record: logging.LogRecord) -> bool:
    """Whether the record tells of an exception."""
    if record.exc_info:
        return record.exc_info[0] is not None
    captured = captured_in(record)
    return bool(record.exc_text or (captured and captured.exception))


def exception_of(record: logging.LogRecord, captured: Captured | None = None) -> Mapping[str, str]:
    """exception.type, .message and .stacktrace, or nothing."""
    if captured is not None and captured.exception:
        return captured.exception
    if record.exc_info:
        kind, error, trace = record.exc_info
        return {} if kind is None or error is None else exception_attributes(error, trace)
    if not record.exc_text:
        return {}
    # It was formatted in another process, and the exception itself stayed there.
    found = _LAST_LINE.fullmatch(record.exc_text.rstrip().rsplit("\n", 1)[-1])
    kind_name, words = found.groups() if found else ("Exception", None)
    of_text = {"exception.type": kind_name, "exception.stacktrace": record.exc_text}
    return {**of_text, "exception.message": words} if words else of_text


def add_code(
    record: logging.LogRecord, showing: Showing, to: dict[str, Any]
) -> None:  # Any: OpenTelemetry's AnyValue
    """Add where the call stands."""
    to["code.function.name"] = record.funcName
    to["code.file.path"] = record.pathname
    to["code.line.number"] = record.lineno
    if record.stack_info:
        to["code.stacktrace"] = showing.stack(record.stack_info)
