"""
The logging handler: chosen log calls as OpenTelemetry log records and events.

    logging.getLogger("shop").addHandler(EventHandler())
    logger.info("order %s", number, extra={"event": "Order Placed", "total": 19.99})

    {"class": "instrumentation.EventHandler", "exporters": ["mparticle"]}      in a dictConfig, nothing else

Rule: a log call never fails, never waits for the network, and never comes back as a record of its own.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, get_args

from opentelemetry import _logs, context
from opentelemetry._logs import Logger, LoggerProvider, LogRecord, NoOpLogger
from opentelemetry._logs import _internal as _logs_global
from opentelemetry.context import Context
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    TraceFlags,
    get_current_span,
    set_span_in_context,
)

from instrumentation.captures import Site
from instrumentation.log_records import (
    CAPTURED,
    SEVERITIES,
    SEVERITY_TEXTS,
    Captured,
    Extras,
    add_code,
    captured_in,
    exception_of,
    extras_of,
    has_exception,
)
from instrumentation.showing import LONGEST_MESSAGE
from otel_vendor_exporters.attributes import VISITOR, VisitorScope, visitor_fields
from otel_vendor_exporters.interrupts import let_through

Records = Literal["all", "events"]
Exporters: TypeAlias = (
    "str | Iterable[str] | Mapping[str, Mapping[str, Any]]"  # Any: settings of any exporter
)
SETUP_GROUP: Final = "otel_vendor_exporters_setup"
SETUP_NAME: Final = "logger_provider"

# Their records tell of sending; sent, they would tell of sending that.
_NEVER_TOLD: Final = ("otel_vendor_exporters", "opentelemetry", "urllib3")
_COMMON_WORDS: Final = ("instrumentation", "requests")  # an application may name its own loggers so
_SUPPRESS_KEY: Final = context._SUPPRESS_INSTRUMENTATION_KEY
_PLAIN_SUPPRESS_KEY: Final = "suppress_instrumentation"  # the older key, still set by OTel's contrib
_SITE: Final = Site("EventHandler")
_MOST_REMEMBERED: Final = 4096
_DEEPEST: Final = 8


class _Depth(threading.local):
    """How many records are being told on this thread, one within the other: an argument's text may log."""

    now = 0


_depth = _Depth()


class EventHandler(logging.Handler):
    """
    Turns log calls into OpenTelemetry records. Any thread may log; nothing is locked while a record is told.

    `exporters`: names of logs exporters (or a mapping of names to their settings), for which the handler sets
    up a provider of its own and closes it with itself; else `logger_provider`, else the global one, whenever
    that is set up. `loggers`: only these and their children. `records="events"`: only those with an event
    name or an exception. `allow`, `deny`: globs of names in `extra=`. `redact`: names to be hidden beside
    the usual secrets. `visitor_attributes`: "default", "all", or fields of the visitor. `code`: tell file,
    line and function. Raises ValueError for an option or an exporter that does not exist.
    """

    def __init__(
        self,
        level: int | str = logging.NOTSET,
        *,
        exporters: Exporters = (),
        logger_provider: LoggerProvider | None = None,
        loggers: str | Iterable[str] = (),
        records: Records = "all",
        allow: Iterable[str] | None = None,
        deny: Iterable[str] = (),
        redact: Iterable[str] = (),
        visitor_attributes: str | Iterable[str] = "default",
        code: bool = True,
    ) -> None:
        if records not in get_args(Records):
            raise ValueError(f"records={records!r} is not known: use one of {', '.join(get_args(Records))}")
        if exporters and logger_provider is not None:
            raise ValueError("exporters and logger_provider are both given: one of them tells where to send")
        self._only_events = records == "events"
        self._loggers = (loggers,) if isinstance(loggers, str) else tuple(loggers)
        self._extras = Extras(_SITE, allow, deny, redact)
        self._visitor_fields = visitor_fields(visitor_attributes)
        self._code = code
        self._owns_provider = bool(exporters)
        self._common: set[str] = set()  # names of known loggers that begin with a common word
        self._known: tuple[LoggerProvider | None, dict[str, Logger | None]] = (None, {})
        self._provider = _provider_for(exporters) if exporters else logger_provider
        if self._provider is None:
            _load_named_provider()
        self._register(level)

    def _register(self, level: int | str) -> None:
        """Be a handler, which logging closes at its end: nothing that failed before is to be found there."""
        try:
            super().__init__(level)
        except Exception:
            if self._owns_provider:
                _shut_down(self._provider)
            raise

    def handle(self, record: logging.LogRecord) -> Any:  # Any: a bool, since Python 3.12 a record as well
        """Tell the record if the filters let it through. No lock: an exporter may be a slow one."""
        try:
            kept = self.filter(record)
        except Exception as fault:  # noqa: BLE001 - a filter of the application
            let_through(fault)
            self.handleError(record)
            return False
        if kept:
            self.emit(kept if isinstance(kept, logging.LogRecord) else record)
        return kept

    def emit(self, record: logging.LogRecord) -> None:
        """Tell the record."""
        depth = _depth.now
        if depth == _DEEPEST:
            return
        _depth.now = depth + 1
        try:
            logger = self._logger_for(record.name)
            if logger is not None and not (record.name in self._common and _is_of_sending(record)):
                self._tell(logger, record)
        except Exception as fault:  # noqa: BLE001 - a message, an argument, a provider: anybody's code
            let_through(fault)
            _depth.now = _DEEPEST
            with suppress(Exception):  # printing where no stack is left fails, too
                self.handleError(record)
                _SITE.report("record", fault)
        finally:
            _depth.now = depth

    def flush(self) -> None:
        """Have what was told so far exported."""
        flush = getattr(self._provider_now(), "force_flush", None)
        if flush is None or _is_logging_locked():
            return
        try:
            flush()
        except Exception as fault:  # noqa: BLE001 - anybody's provider
            _SITE.report("flush", fault)

    def close(self) -> None:
        """Close the handler, and its own provider with what waits in it."""
        super().close()
        if not self._owns_provider:
            return
        provider: Any = self._provider  # Any: the API's provider has no shutdown
        self._owns_provider, self._provider = False, _NOTHING
        if _is_logging_locked():
            # A new dictConfig closes the old handlers under logging's lock. Exporters log, so waiting for
            # them here would be for ever.
            threading.Thread(target=_shut_down, args=(provider,), name="EventHandler close").start()
        else:
            _shut_down(provider)

    def _provider_now(self) -> LoggerProvider | None:
        # The global is read where the API keeps it, as in `probes`.
        return self._provider if self._provider is not None else _logs_global._LOGGER_PROVIDER

    def _logger_for(self, name: str) -> Logger | None:
        """The logger to tell records of this name to; None for those that are not told."""
        provider = self._provider if self._provider is not None else _logs_global._LOGGER_PROVIDER
        if provider is None:
            return None
        known = self._known
        if known[0] is not provider or len(known[1]) > _MOST_REMEMBERED:
            known = self._known = (provider, {})
            self._common = set()
        try:
            return known[1][name]
        except KeyError:
            text = str(name)  # a record made by hand may have any
            logger = provider.get_logger(text) if self._is_told(text) else None
            if text.startswith(_COMMON_WORDS):
                self._common.add(name)
            known[1][name] = logger = None if isinstance(logger, NoOpLogger) else logger
            return logger

    def _is_told(self, name: str) -> bool:
        if _is_within(name, _NEVER_TOLD):
            return False
        return not self._loggers or _is_within(name, self._loggers)

    def _tell(self, logger: Logger, record: logging.LogRecord) -> None:
        current = context._RUNTIME_CONTEXT.get_current()  # as in `probes`
        if current and (current.get(_SUPPRESS_KEY) or current.get(_PLAIN_SUPPRESS_KEY)):
            return
        extras = extras_of(record)
        event_name = self._extras.event_name_of(extras) if extras else None
        if self._only_events and event_name is None and not has_exception(record):
            return
        captured = captured_in(record) if CAPTURED in record.__dict__ else None
        visitor = VISITOR.get() if captured is None else VisitorScope(captured.visitor)
        # The message itself. No formatter is asked: basicConfig gives all handlers one, for the console.
        message = captured.message if captured is not None else None
        message = record.getMessage() if message is None else message
        told = LogRecord(
            timestamp=int(record.created * 1e9),
            context=current if captured is None else _context_of(captured),
            severity_number=SEVERITIES[record.levelno],
            severity_text=SEVERITY_TEXTS.get(record.levelname, record.levelname),
            body=self._extras.showing.text(message, LONGEST_MESSAGE),
            attributes=self._attributes(record, extras, captured, visitor),
            event_name=event_name,
        )
        _depth.now = _DEEPEST  # what is logged from here on is of sending, and not told
        if captured is None:
            logger.emit(told)
            return
        token = VISITOR.set(visitor)  # the processors behind are to see the one it was made for, too
        try:
            logger.emit(told)
        finally:
            VISITOR.reset(token)

    def _attributes(
        self,
        record: logging.LogRecord,
        extras: dict[str, Any],
        captured: Captured | None,
        visitor: VisitorScope | None,
    ) -> dict[str, Any]:
        found = self._extras.shown(extras) if extras else {}
        if visitor is not None:
            found.update(visitor.attributes_beside(found, self._visitor_fields))
        if self._code:
            add_code(record, self._extras.showing, to=found)
        if captured is not None or record.exc_info or record.exc_text:
            self._extras.showing.add_exception(exception_of(record, captured), to=found)
        return found


class ContextFilter(logging.Filter):
    """
    Keeps trace, visitor and exception with a record that is told elsewhere, or later.

    Put it on a QueueHandler or a MemoryHandler: whoever tells the records behind it knows none of them.
    What is kept can be pickled, and other handlers do not see it. `visitor_attributes`: "default", "all", or
    fields of the visitor; the handler behind tells no more than is kept.
    """

    def __init__(self, name: str = "", *, visitor_attributes: str | Iterable[str] = "default") -> None:
        super().__init__(name)
        self._visitor_fields = visitor_fields(visitor_attributes)

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record through, with what is known here."""
        try:
            if not hasattr(record, CAPTURED):
                setattr(record, CAPTURED, _captured(record, self._visitor_fields))
        except Exception as fault:  # noqa: BLE001 - a message, an argument: anybody's code
            _SITE.report("context", fault)
        return True


def _captured(record: logging.LogRecord, wanted: Iterable[str]) -> Captured:
    span = get_current_span().get_span_context()
    visitor = VISITOR.get()
    known = {} if visitor is None else visitor.fields
    exception = exception_of(record)
    return Captured(
        (span.trace_id, span.span_id, int(span.trace_flags)),
        {field: known[field] for field in wanted if field in known},
        record.getMessage() if exception else None,  # a QueueHandler adds the traceback to it
        exception,
    )


def _context_of(captured: Captured) -> Context:
    span = SpanContext(
        captured.trace_id, captured.span_id, is_remote=False, trace_flags=TraceFlags(captured.trace_flags)
    )
    return set_span_in_context(NonRecordingSpan(span), Context())


class _Nothing(LoggerProvider):
    """Where the records of a closed handler go."""

    def get_logger(self, name: str, *_args: Any, **_kwargs: Any) -> Logger:  # Any: as the versions have it
        return NoOpLogger(name)


_NOTHING: Final = _Nothing()


def _provider_for(exporters: Exporters) -> LoggerProvider:
    """A provider for exporters by name, from the package that knows the SDK; found by its entry point."""
    from importlib.metadata import entry_points  # only here: it is slow to import

    if isinstance(exporters, Mapping):
        wanted = {name: dict(settings or {}) for name, settings in exporters.items()}
    else:
        wanted = {name: {} for name in ((exporters,) if isinstance(exporters, str) else exporters)}
    found = tuple(entry_points(group=SETUP_GROUP, name=SETUP_NAME))
    if not found:
        raise ValueError("exporters= needs the package otel-vendor-exporters to be installed (entry points)")
    provider: LoggerProvider = found[0].load()(wanted)
    return provider


def _load_named_provider() -> None:
    """Have the API load the provider that the environment names, if it names one."""
    try:
        _logs.get_logger_provider()
    except Exception as fault:  # noqa: BLE001 - loading runs any package's code
        _SITE.report("provider", fault)


def _is_within(name: str, parents: Iterable[str]) -> bool:
    return any(name == parent or name.startswith(f"{parent}.") for parent in parents)


def _is_of_sending(record: logging.LogRecord) -> bool:
    """Whether this package or requests, whose names are common words, made the record itself."""
    word = record.name.partition(".")[0]
    folder = Path(getattr(sys.modules.get(word), "__file__", None) or "").parent
    is_there = Path(str(record.pathname)).is_relative_to(folder)
    return word in _COMMON_WORDS and folder.name == word and is_there


def _is_logging_locked() -> bool:
    """Whether this thread holds logging's own lock."""
    is_owned = getattr(getattr(logging, "_lock", None), "_is_owned", None)
    return is_owned is not None and bool(is_owned())


def _shut_down(provider: Any) -> None:  # Any: as in close
    try:
        provider.shutdown()
    except Exception as fault:  # noqa: BLE001 - anybody's exporter
        _SITE.report("close", fault)
