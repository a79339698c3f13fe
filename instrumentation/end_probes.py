"""
Probes that record a call when it has ended: durations, counts and events.

They make nothing current, so a start takes the time and what the end will need, no more.
Rule: as in `probes`.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from math import inf
from threading import get_ident
from time import perf_counter, time_ns
from typing import Any, Literal, SupportsFloat

# The globals are read from where the API keeps them, as in `probes`.
from opentelemetry import _logs, context, metrics
from opentelemetry._logs import SeverityNumber
from opentelemetry._logs import _internal as _logs_global
from opentelemetry.metrics import _internal as _metrics_global
from opentelemetry.util.types import AttributeValue

from instrumentation.at_work import AT_WORK
from instrumentation.captures import SCOPE, Arguments, Attributes, Capture, Site
from instrumentation.probes import (
    NO_ARGUMENTS,
    Args,
    Kwargs,
    is_failure,
    is_suppressed,
    load_named_provider,
)
from instrumentation.showing import type_name

On = Literal["return", "raise", "both"]
Value = SupportsFloat | str | Callable[[Any], SupportsFloat]  # Any: what the decorated function returns

# The boundaries that semantic conventions advise for seconds, and finer ones in front for hot functions.
_SECONDS = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
_LONGEST_DESCRIPTION = 1023  # what the specification has implementations take


class _EndScope:
    """One call that is recorded when it ends. Without an `__init__`, which would cost as much as a start."""

    __slots__ = ("arguments", "sink", "started", "suspended")

    arguments: Arguments
    sink: Any  # the histogram, counter or logger of the probe
    started: float
    suspended: float

    def release(self) -> None:
        """Nothing was made current."""


class _EndProbe(ABC):
    """What the probes share that record at the end of a call and make nothing current."""

    part = ""

    def __init__(self, site: Site, attributes: Attributes | None) -> None:
        self._site = site
        self._capture = Capture(site, attributes)
        self._needs_arguments = self._capture.needs_arguments
        self._source: tuple[object, Any] = (None, None)  # Any: as in _EndScope

    def start(self, args: Args, kwargs: Kwargs) -> _EndScope | None:
        """Take what the end will need."""
        provider = self._provider()
        if provider is None or (AT_WORK and get_ident() in AT_WORK):
            return None
        try:
            current = context._RUNTIME_CONTEXT.get_current()
            if current and is_suppressed(current):
                return None
            scope = _EndScope()
            known, scope.sink = self._source
            scope.arguments = NO_ARGUMENTS
            if known is not provider or self._needs_arguments:
                self._prepare(scope, provider, args, kwargs)
            scope.started = perf_counter()
            return scope
        except Exception as fault:  # noqa: BLE001 - as in SpanProbe.start
            self._site.report(self.part, fault)
            return None

    def _prepare(self, scope: _EndScope, provider: Any, args: Args, kwargs: Kwargs) -> None:
        """What of a start calls other code: making the sink, and reading the arguments."""
        thread = get_ident()  # not at work yet: `start` has looked
        try:
            AT_WORK.add(thread)
            if self._source[0] is not provider:
                self._source = (provider, self._sink_of(provider))
            scope.sink = self._source[1]
            if self._needs_arguments:
                scope.arguments = self._site.arguments(args, kwargs)
        finally:
            AT_WORK.discard(thread)

    def suspend(self, scope: _EndScope) -> None:
        """Stop the clock; nothing was made current."""
        scope.suspended = perf_counter()

    def resume(self, scope: _EndScope) -> None:
        """Let the clock go on, as if the call had begun later by the consumer's time."""
        scope.started += perf_counter() - scope.suspended

    def stop(self, scope: _EndScope, result: object, error: BaseException | None) -> None:
        """Record the call."""
        thread = get_ident()
        is_nested = thread in AT_WORK  # as in SpanProbe.stop
        try:
            AT_WORK.add(thread)
            self._record(scope, result, error)
        except Exception as fault:  # noqa: BLE001 - as in SpanProbe.start
            self._site.report(self.part, fault)
        finally:
            if not is_nested:
                AT_WORK.discard(thread)

    def _attributes(
        self, scope: _EndScope, result: object, error: BaseException | None
    ) -> dict[str, AttributeValue]:
        attributes = self._capture.of_whole(scope.arguments, result, error)
        return {**attributes, "error.type": type_name(error)} if is_failure(error) else attributes

    @abstractmethod
    def _provider(self) -> Any:  # Any: each probe's own kind of provider
        """Where the records go; None where no SDK is set up."""

    @abstractmethod
    def _sink_of(self, provider: Any) -> Any:
        """What of the provider takes them."""

    @abstractmethod
    def _record(self, scope: _EndScope, result: object, error: BaseException | None) -> None:
        """Write the record of a call that has ended."""


class DurationProbe(_EndProbe):
    """Records how long a call took, in a histogram of seconds; of a generator, without its consumer."""

    part = "duration"

    def __init__(self, site: Site, attributes: Attributes | None) -> None:
        super().__init__(site, attributes)
        load_named_provider(site, metrics.get_meter_provider)
        self._constants = self._capture.constants or None  # None is cheaper than an empty mapping

    def _provider(self) -> metrics.MeterProvider | None:
        return _metrics_global._METER_PROVIDER

    def _sink_of(self, provider: metrics.MeterProvider) -> metrics.Histogram:
        name, description = _instrument_of(self._site)
        meter = provider.get_meter(SCOPE)
        return meter.create_histogram(name, "s", description, explicit_bucket_boundaries_advisory=_SECONDS)

    def _record(self, scope: _EndScope, result: object, error: BaseException | None) -> None:
        seconds = perf_counter() - scope.started
        if error is None and not self._needs_arguments:
            scope.sink.record(seconds, self._constants)
        else:
            scope.sink.record(seconds, self._attributes(scope, result, error))


class CounterProbe(_EndProbe):
    """Counts calls, by one or by what they are worth."""

    part = "counter"

    def __init__(self, site: Site, attributes: Attributes | None, value: Value, on: On) -> None:
        super().__init__(site, attributes)
        load_named_provider(site, metrics.get_meter_provider)
        self._value = value
        self._on: On = on
        self._needs_arguments = self._needs_arguments or isinstance(value, str)

    def _provider(self) -> metrics.MeterProvider | None:
        return _metrics_global._METER_PROVIDER

    def _sink_of(self, provider: metrics.MeterProvider) -> metrics.Counter:
        name, description = _instrument_of(self._site)
        return provider.get_meter(SCOPE).create_counter(name, "1", description)

    def _record(self, scope: _EndScope, result: object, error: BaseException | None) -> None:
        if not _is_told(self._on, error):
            return
        try:
            amount = self._amount(scope, result)
            if not 0 <= amount < inf:
                raise ValueError("a counter takes no negative amount, and none that is no number")
        except Exception as fault:  # noqa: BLE001 - application code
            self._site.report("value", fault)
            return
        scope.sink.add(amount, self._attributes(scope, result, error) or None)

    def _amount(self, scope: _EndScope, result: object) -> float:
        value: Any = self._value  # Any: float() tells whether what the application gives is a number
        if isinstance(value, str):
            value = scope.arguments[value]
        elif callable(value):
            value = value(result)
        return value if isinstance(value, (int, float)) else float(value)


class EventProbe(_EndProbe):
    """Reports calls as OpenTelemetry events: log records with a name."""

    part = "event"

    def __init__(self, site: Site, attributes: Attributes | None, on: On) -> None:
        super().__init__(site, attributes)
        load_named_provider(site, _logs.get_logger_provider)
        self._on: On = on

    def _provider(self) -> _logs.LoggerProvider | None:
        return _logs_global._LOGGER_PROVIDER

    def _sink_of(self, provider: _logs.LoggerProvider) -> _logs.Logger:
        return provider.get_logger(SCOPE)

    def _record(self, scope: _EndScope, result: object, error: BaseException | None) -> None:
        if _is_told(self._on, error):
            scope.sink.emit(
                timestamp=time_ns(),
                severity_number=SeverityNumber.INFO if error is None else SeverityNumber.ERROR,
                event_name=self._site.name,
                attributes=self._attributes(scope, result, error),
            )


def _is_told(on: On, error: BaseException | None) -> bool:
    """Whether this end of a call is one to tell of; a cancellation is neither a return nor an error."""
    return on != "raise" if error is None else on != "return" and is_failure(error)


def _instrument_of(site: Site) -> tuple[str, str]:
    """
    Name and description of a site's instrument: "Open carts" is counted as "Open_carts".

    The API takes up to 255 ASCII letters, digits, `_`, `.`, `-` and `/`, a letter first (metrics/api,
    "Instrument name syntax"), and gives an instrument that records nothing for other names. Where that
    changes more than case, the description is the name as it was given: exporters find it there.
    """
    given = site.name if site.has_given_name else re.sub(r"<locals>\.|[<>]", "", site.name)
    name = re.sub(r"[^A-Za-z0-9_./-]", "_", given)
    name = (name if name[:1].isalpha() else f"n{name}")[:255]
    return name, "" if name == given else given[:_LONGEST_DESCRIPTION]
