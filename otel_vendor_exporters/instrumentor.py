"""
The instrumentor: instrumentation without touching code, for opentelemetry-instrument and the YAML file.

Decorates the functions that the configuration names (`instrumentation.auto`) and has the current visitor
stamped on spans and log records of any library (`otel_vendor_exporters.visitor`).
Rule: nothing in here raises, since opentelemetry-instrument would drop all other telemetry with it; what is
wrong in the configuration is logged.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opentelemetry import _logs, trace
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]  # untyped
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.trace import TracerProvider

from otel_vendor_exporters.entries import ENVIRONMENT_PREFIX, InstrumentorSettings, entries_of_file
from otel_vendor_exporters.errors import ConfigurationError
from otel_vendor_exporters.last_resort import LAST_RESORT, OUR_LOGGERS, tell_if_shadowed
from otel_vendor_exporters.settings import read_settings, setting, variables
from otel_vendor_exporters.visitor import VisitorLogProcessor, VisitorSpanProcessor

try:
    from instrumentation.auto import instrument_functions, uninstrument
    from instrumentation.guarded_logger import GuardedLogger
    from instrumentation.targets import Entry, entries_in, target_of
except ImportError:
    tell_if_shadowed()
    raise

CONFIG_FILE = "OTEL_CONFIG_FILE"  # OpenTelemetry's own, whose keys come to us as options
DISABLED_PREFIX = "OTEL_PYTHON_DISABLED_"
ENTRY_POINT_NAME = "otel_vendor_exporters"

_logger = GuardedLogger(__name__)


@dataclass(frozen=True, slots=True)
class _DisabledSettings:
    instrumentations: str = setting("Names of instrumentations, or *, separated by commas.", default="")


class VendorInstrumentor(BaseInstrumentor):  # type: ignore[misc]  # OpenTelemetry leaves it untyped
    """
    One for the process, as OpenTelemetry has it. Call from one thread at a time.

    Options: the settings above, `tracer_provider` and `logger_provider` (else the global ones).
    """

    def instrumentation_dependencies(self) -> Collection[str]:
        """It instruments the application itself, which needs no package to be there."""
        return ()

    def instrument(self, **options: Any) -> None:
        """
        Instrument, unless that is done: with YAML, opentelemetry-instrument comes a second time.

        Nor where OTEL_PYTHON_DISABLED_INSTRUMENTATIONS names it, which the SDK does not ask for with YAML.
        """
        if not self.is_instrumented_by_opentelemetry and not _is_disabled():
            super().instrument(**options)

    def _instrument(self, **options: Any) -> None:
        self._stamps = Stamps()
        for name in OUR_LOGGERS:
            logging.getLogger(name).addHandler(LAST_RESORT)
        providers = options.pop("tracer_provider", None), options.pop("logger_provider", None)
        options.pop("meter_provider", None)  # whoever instruments all passes all
        entries = options.pop("instrument", None)  # in YAML a list, which read_settings does not know
        with _telling("no function is decorated, no visitor stamped"):
            settings = _settings_of(options)
            with _telling("no visitor is stamped"):
                self._stamps.put(settings.visitor_attributes, *providers)
            with _telling("no function is decorated"):
                _decorate(_sources(settings, entries))

    def _uninstrument(self, **_options: Any) -> None:
        uninstrument()
        for name in OUR_LOGGERS:
            logging.getLogger(name).removeHandler(LAST_RESORT)
        self._stamps.take_out()


def _is_disabled() -> bool:
    names = read_settings(_DisabledSettings, DISABLED_PREFIX, {}).instrumentations
    disabled = [name.strip() for name in names.split(",")]
    return ENTRY_POINT_NAME in disabled or "*" in disabled


@contextmanager
def _telling(what_follows: str) -> Iterator[None]:
    try:
        yield
    except Exception as wrong:  # noqa: BLE001 - see the module's rule
        _logger.warning("%s: %s", what_follows, wrong)


def _settings_of(options: Mapping[str, object]) -> InstrumentorSettings:
    """The settings; an option that is wrong is said, and counts as not given."""
    try:
        return read_settings(InstrumentorSettings, ENVIRONMENT_PREFIX, options)
    except ConfigurationError as wrong:
        if options.get(wrong.setting) is None:  # it is the environment that is wrong
            raise
        _logger.warning("left out, and the rest holds: %s", wrong)
        return _settings_of({name: value for name, value in options.items() if name != wrong.setting})


def _decorate(sources: Iterable[_Source]) -> None:
    understood = []
    for source in sources:
        for entry in source.entries:
            with _telling(f"not instrumented, of {source.name}"):
                target_of(entry)
                understood.append(entry)
    instrument_functions(understood)


@dataclass(frozen=True, slots=True)
class _Source:
    """Where entries come from, by the name that a user knows it by."""

    name: str
    entries: Iterable[Entry]


def _sources(settings: InstrumentorSettings, given: object) -> Iterator[_Source]:
    """What was given, else the environment's; and the file's."""
    if given is None:
        yield _Source(f"{ENVIRONMENT_PREFIX}INSTRUMENT", entries_in(settings.instrument or ""))
    else:
        with _telling("no function is decorated, of the option instrument"):
            yield _Source(variables(CONFIG_FILE).get(CONFIG_FILE, "the option instrument"), _listed(given))
    if settings.instrument_file is not None:
        with _telling(f"nothing is taken from instrument_file {settings.instrument_file}"):
            yield _Source(settings.instrument_file, entries_of_file(Path(settings.instrument_file)))


def _listed(given: object) -> Iterable[Entry]:
    """The entries of a text or a list."""
    if isinstance(given, str):
        return entries_in(given)
    if isinstance(given, Mapping) or not isinstance(given, Iterable):
        raise ValueError(
            f"{given!r} is neither a list of entries nor a text: write instrument: [shop.cart:Cart.add=timed]"
        )
    return given


class Stamps:
    """The visitor processors that were put into the SDK's providers."""

    def __init__(self) -> None:
        self._put: list[tuple[Any, str, object]] = []  # Any: the SDK's private holders of processors

    def put(self, wanted: str, tracer_provider: Any, logger_provider: Any) -> None:
        """Put them in, where there is an SDK. Raises ValueError for a field that is none."""
        if wanted == "none":
            return
        fields = wanted if "," not in wanted else [name.strip() for name in wanted.split(",")]
        spans, logs = VisitorSpanProcessor(fields), VisitorLogProcessor(fields)
        tracer_provider = tracer_provider or trace.get_tracer_provider()
        if isinstance(tracer_provider, TracerProvider):
            # A span is stamped when it starts and exported when it ends: any place among the others will do.
            tracer_provider.add_span_processor(spans)
            holder = getattr(tracer_provider, "_active_span_processor", None)
            self._put.append((holder, "_span_processors", spans))
        logger_provider = logger_provider or _logs.get_logger_provider()
        if isinstance(logger_provider, LoggerProvider):
            logger_provider.add_log_record_processor(logs)
            holder = getattr(logger_provider, "_multi_log_record_processor", None)
            self._put.append((holder, "_log_record_processors", logs))
            if not _reordered(holder, "_log_record_processors", lambda others: (logs, *others), logs):
                _logger.warning(
                    "visitors may be missing on log records: with this version of the OpenTelemetry SDK, "
                    "VisitorLogProcessor must be added in code, before the exporting processors"
                )

    def take_out(self) -> None:
        """Take them out again."""
        for holder, name, processor in self._put:
            _reordered(holder, name, lambda others: others, processor)
        self._put.clear()


def _reordered(
    holder: Any, name: str, order: Callable[[tuple[object, ...]], tuple[object, ...]], processor: object
) -> bool:
    """
    Change the order of an SDK's processors, given the others; whether that could be done.

    The SDK only lets processors be added at the end. Its private tuple is replaced under its own lock, if
    both are what they were from 1.39 to 1.45; a test says when that ends.
    """
    processors, lock = getattr(holder, name, None), getattr(holder, "_lock", None)
    if not isinstance(processors, tuple) or lock is None:
        return False
    with lock:
        others = tuple(each for each in getattr(holder, name) if each is not processor)
        setattr(holder, name, order(others))
    return True
