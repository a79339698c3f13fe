"""
Probes: what is recorded about a call, from its start to its stop.

A probe is made once, when a function is decorated, and shared by all its calls; what belongs to one call is
its scope. Each start looks at the provider of that moment, so the SDK may be set up after decoration.
Rule: nothing that fails in here reaches the decorated function.
"""

from __future__ import annotations

import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextvars import Token
from math import inf
from time import perf_counter, time_ns
from typing import Any, Literal, Protocol, SupportsFloat, TypeGuard

# The globals are read from where the API keeps them: get_tracer_provider() looks into the environment at
# every call, and without an SDK that alone would cost more than all the rest of a decorated call. So is the
# context at each start: a call less.
from opentelemetry import _logs, context, metrics, trace
from opentelemetry._logs import SeverityNumber
from opentelemetry._logs import _internal as _logs_global
from opentelemetry.context import Context, attach, get_current
from opentelemetry.metrics import _internal as _metrics_global
from opentelemetry.trace import Span, SpanKind, StatusCode, set_span_in_context
from opentelemetry.util.types import AttributeValue

from instrumentation.captures import SCOPE, Arguments, Attributes, Call, Capture, Site, Template
from instrumentation.guarded_logger import GuardedLogger
from instrumentation.showing import LONGEST_MESSAGE, SHOWING, exception_attributes, type_name, words_of

Args = tuple[object, ...]
Kwargs = Mapping[str, object]
On = Literal["return", "raise", "both"]
Value = SupportsFloat | str | Callable[[Any], SupportsFloat]  # Any: what the decorated function returns

# The boundaries that semantic conventions advise for seconds, and finer ones in front for hot functions.
_SECONDS = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
_LONGEST_DESCRIPTION = 1023  # what the specification has implementations take
_SUPPRESS_KEY = context._SUPPRESS_INSTRUMENTATION_KEY
_PLAIN_SUPPRESS_KEY = "suppress_instrumentation"  # the older key, still honoured and set by OTel's contrib

_NO_ARGUMENTS: Arguments = {}

_logger = GuardedLogger(SCOPE)


class Probe(Protocol):
    """
    Records the calls of one site. Any thread and any task may call in at any time.

    A call is `start`, then `stop` with its result or its error. A body that gives way in between, as a
    generator's does, is put aside by `suspend` and taken up again by `resume`.
    """

    def start(self, args: Args, kwargs: Kwargs) -> Any:  # Any: each probe's own kind of scope
        """The scope of this call; None when nothing is to be recorded."""

    def suspend(self, scope: Any) -> None:
        """Leave the scope's context while its consumer runs."""

    def resume(self, scope: Any) -> None:
        """Enter the scope's context again."""

    def stop(self, scope: Any, result: object, error: BaseException | None) -> None:
        """Record the call."""


class _NoProbe:
    """Records nothing."""

    def start(self, args: Args, kwargs: Kwargs) -> None:
        """No scope."""

    def suspend(self, scope: None) -> None:
        """No context."""

    def resume(self, scope: None) -> None:
        """No context."""

    def stop(self, scope: None, result: object, error: BaseException | None) -> None:
        """No record."""


NO_PROBE: Probe = _NoProbe()


class SpanScope:
    """One span, current while its body runs."""

    __slots__ = ("arguments", "inner", "span", "token")

    inner: Context

    def __init__(self, span: Span, token: Token[Context], arguments: Arguments) -> None:
        self.span = span
        self.token = token
        self.arguments = arguments

    def leave(self) -> None:
        """Restore what was current before."""
        try:
            context._RUNTIME_CONTEXT.detach(self.token)
        except ValueError:  # ended elsewhere, by the garbage collector say, where it never was current
            _logger.debug("%r ended outside the context it began in", self.span)


class SpanProbe:
    """Records a call as a span."""

    def __init__(self, site: Site, attributes: Attributes | None) -> None:
        _load_named_provider(site, trace.get_tracer_provider)
        self._site = site
        self._name = site.name
        self._capture = Capture(site, attributes)
        self._template = Template(site) if site.function is not None and "{" in site.name else None
        self._needs_arguments = self._capture.needs_arguments or self._template is not None
        if site.has_given_name and site.function is not None:
            # Only then: an attribute costs a tenth of a span, and the default name tells the function anyway.
            self._capture.constants["code.function.name"] = site.code_name
        self._source: tuple[object, trace.Tracer] = (None, trace.NoOpTracer())

    def start(self, args: Args, kwargs: Kwargs) -> SpanScope | None:
        """Start the span and make it current."""
        provider = trace._TRACER_PROVIDER
        if provider is None:
            return None
        try:
            current = context._RUNTIME_CONTEXT.get_current()
            if current and _is_suppressed(current):
                return None
            source = self._source
            if source[0] is not provider:
                source = self._source = (provider, provider.get_tracer(SCOPE))
            arguments, name, attributes = _NO_ARGUMENTS, self._name, self._capture.constants
            if self._needs_arguments:
                arguments = self._site.arguments(args, kwargs)
                name = self._name if self._template is None else self._template.filled(arguments)
                attributes = self._capture.of_start(arguments)
            span = source[1].start_span(name, current, SpanKind.INTERNAL, attributes)
            return SpanScope(span, attach(set_span_in_context(span, current)), arguments)
        except Exception as fault:  # noqa: BLE001 - a sampler, a processor: any package's code
            self._site.report("span", fault)
            return None

    def suspend(self, scope: SpanScope) -> None:
        """Leave the span's context, remembering what the body had made current inside."""
        scope.inner = get_current()
        scope.leave()

    def resume(self, scope: SpanScope) -> None:
        """Make current what was current in the body."""
        scope.token = attach(scope.inner)

    def stop(self, scope: SpanScope, result: object, error: BaseException | None) -> None:
        """End the span; an `Exception` marks it as failed."""
        try:
            scope.leave()
            if _is_failure(error):
                _mark_failed(scope.span, error)
            if self._capture.needs_end:
                scope.span.set_attributes(self._capture.of_end(Call(scope.arguments, result, error)))
        except Exception as fault:  # noqa: BLE001 - as in start
            self._site.report("span", fault)
        try:
            scope.span.end()
        except Exception as fault:  # noqa: BLE001 - as in start
            self._site.report("span", fault)


def _load_named_provider(site: Site, get_provider: Callable[[], object]) -> None:
    """Have the API load the provider that the environment names, if it names one."""
    try:
        get_provider()
    except Exception as fault:  # noqa: BLE001 - loading runs any package's code
        site.report("provider", fault)


def _is_suppressed(current: Context) -> bool:
    return bool(current.get(_SUPPRESS_KEY) or current.get(_PLAIN_SUPPRESS_KEY))


def _is_failure(error: BaseException | None) -> TypeGuard[Exception]:
    """
    Whether it is an `Exception` and no cancellation.

    That of `concurrent.futures`, unlike that of asyncio, is an `Exception`; who has not imported the module,
    which is slow, can not have met it.
    """
    cancellation = getattr(sys.modules.get("concurrent.futures"), "CancelledError", ())
    return isinstance(error, Exception) and not isinstance(error, cancellation)


def _mark_failed(span: Span, error: Exception) -> None:
    """Status and exception event; not `record_exception`, which tells the secrets in the error's words."""
    if span.is_recording():
        span.set_attribute("error.type", type_name(error))
        span.set_status(StatusCode.ERROR)  # stands when the error has no words
        words = words_of(error)
        if words:
            span.set_status(StatusCode.ERROR, SHOWING.text(words, LONGEST_MESSAGE))
        span.add_event("exception", SHOWING.exception(exception_attributes(error, error.__traceback__)))


class _EndScope:
    """One call that is recorded when it ends."""

    __slots__ = ("arguments", "sink", "started", "suspended")

    arguments: Arguments
    sink: Any  # the histogram, counter or logger of the probe
    started: float
    suspended: float


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
        if provider is None:
            return None
        try:
            current = context._RUNTIME_CONTEXT.get_current()
            if current and _is_suppressed(current):
                return None
            source = self._source
            if source[0] is not provider:
                source = self._source = (provider, self._sink_of(provider))
            scope = _EndScope.__new__(_EndScope)  # without __init__, whose call costs as much as all of this
            scope.sink = source[1]
            scope.arguments = self._site.arguments(args, kwargs) if self._needs_arguments else _NO_ARGUMENTS
            scope.started = perf_counter()
            return scope
        except Exception as fault:  # noqa: BLE001 - as in SpanProbe.start
            self._site.report(self.part, fault)
            return None

    def suspend(self, scope: _EndScope) -> None:
        """Stop the clock; nothing was made current."""
        scope.suspended = perf_counter()

    def resume(self, scope: _EndScope) -> None:
        """Let the clock go on, as if the call had begun later by the consumer's time."""
        scope.started += perf_counter() - scope.suspended

    def stop(self, scope: _EndScope, result: object, error: BaseException | None) -> None:
        """Record the call."""
        try:
            self._record(scope, result, error)
        except Exception as fault:  # noqa: BLE001 - as in SpanProbe.start
            self._site.report(self.part, fault)

    def _attributes(
        self, scope: _EndScope, result: object, error: BaseException | None
    ) -> dict[str, AttributeValue]:
        attributes = self._capture.of_whole(scope.arguments, result, error)
        return {**attributes, "error.type": type_name(error)} if _is_failure(error) else attributes

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
        _load_named_provider(site, metrics.get_meter_provider)
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
        _load_named_provider(site, metrics.get_meter_provider)
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
        _load_named_provider(site, _logs.get_logger_provider)
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
    return on != "raise" if error is None else on != "return" and _is_failure(error)


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
