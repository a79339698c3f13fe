"""
Probes: what is recorded about a call, from its start to its stop; here, what a probe is, and spans.

A probe is made once, when a function is decorated, and shared by all its calls; what belongs to one call is
its scope. Each start looks at the provider of that moment, so the SDK may be set up after decoration.
Leaves durations, counts and events, which begin nothing, to `end_probes`.
Rule: nothing that fails in here reaches the decorated function.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import Token
from threading import get_ident
from typing import Any, Final, Protocol, TypeGuard

# The globals are read from where the API keeps them: get_tracer_provider() looks into the environment at
# every call, and without an SDK that alone would cost more than all the rest of a decorated call. So is the
# context at each start: a call less.
from opentelemetry import context, trace
from opentelemetry.context import Context, attach, get_current
from opentelemetry.trace import Span, SpanKind, StatusCode, set_span_in_context

from instrumentation.at_work import AT_WORK
from instrumentation.captures import SCOPE, Arguments, Attributes, Call, Capture, Site, Template
from instrumentation.guarded_logger import GuardedLogger
from instrumentation.showing import LONGEST_MESSAGE, SHOWING, exception_attributes, type_name, words_of

Args = tuple[object, ...]
Kwargs = Mapping[str, object]
NO_ARGUMENTS: Final[Arguments] = {}

_SUPPRESS_KEY = context._SUPPRESS_INSTRUMENTATION_KEY
_PLAIN_SUPPRESS_KEY = "suppress_instrumentation"  # the older key, still honoured and set by OTel's contrib

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
    """One span, current while its body runs. Without an `__init__`, which would cost a hundredth of it."""

    __slots__ = ("arguments", "inner", "span", "token")

    arguments: Arguments
    inner: Context
    span: Span
    token: Token[Context]

    def leave(self) -> None:
        """Restore what was current before."""
        try:
            context._RUNTIME_CONTEXT.detach(self.token)
        except ValueError:  # ended elsewhere, by the garbage collector say, where it never was current
            _logger.debug("%r ended outside the context it began in", self.span)

    def release(self) -> None:
        """Leave and end it, as far as a `stop` has not that an interrupt ended at any of its steps."""
        with suppress(ValueError, RuntimeError):  # it is not current here, or no longer
            context._RUNTIME_CONTEXT.detach(self.token)
        _end_open(self.span)


class SpanProbe:
    """Records a call as a span."""

    def __init__(self, site: Site, attributes: Attributes | None) -> None:
        load_named_provider(site, trace.get_tracer_provider)
        self._site = site
        self._name = site.name
        self._capture = Capture(site, attributes)
        self._template = Template(site) if site.function is not None and "{" in site.name else None
        self._needs_arguments = self._capture.needs_arguments or self._template is not None
        self._needs_end = self._capture.needs_end
        if site.has_given_name and site.function is not None:
            # Only then: an attribute costs a tenth of a span, and the default name tells the function anyway.
            self._capture.constants["code.function.name"] = site.code_name
        self._source: tuple[object, trace.Tracer] = (None, trace.NoOpTracer())

    def start(self, args: Args, kwargs: Kwargs) -> SpanScope | None:
        """Start the span and make it current."""
        provider = trace._TRACER_PROVIDER
        thread = get_ident()
        if provider is None or thread in AT_WORK:
            return None
        span = None
        try:
            try:
                AT_WORK.add(thread)
                current = context._RUNTIME_CONTEXT.get_current()
                if current and is_suppressed(current):
                    return None
                source = self._source
                if source[0] is not provider:
                    source = self._source = (provider, provider.get_tracer(SCOPE))
                arguments, name, attributes = NO_ARGUMENTS, self._name, self._capture.constants
                if self._needs_arguments:
                    arguments = self._site.arguments(args, kwargs)
                    name = self._name if self._template is None else self._template.filled(arguments)
                    attributes = self._capture.of_start(arguments)
                    if not self._needs_end:
                        arguments = NO_ARGUMENTS  # not to be kept while the call lasts
                scope = SpanScope()
                scope.arguments = arguments
                scope.span = span = source[1].start_span(name, current, SpanKind.INTERNAL, attributes)
                scope.token = context._RUNTIME_CONTEXT.attach(set_span_in_context(span, current))
                return scope
            finally:
                AT_WORK.discard(thread)
        except BaseException as fault:  # a sampler, a processor: any package's code; or an interrupt
            if span is not None:
                attach(current)  # not `detach`: an interrupt may have kept the token from us
                _end_open(span)
            if not isinstance(fault, Exception):
                raise
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
        thread = get_ident()
        is_nested = thread in AT_WORK  # a generator that a processor ends
        try:
            AT_WORK.add(thread)
            try:
                scope.leave()
                if error is not None or self._needs_end:
                    self._complete(scope, result, error)
            finally:
                scope.span.end()
        except Exception as fault:  # noqa: BLE001 - as in start
            self._site.report("span", fault)
        finally:
            if not is_nested:
                AT_WORK.discard(thread)

    def _complete(self, scope: SpanScope, result: object, error: BaseException | None) -> None:
        """Put on the span what only the end of the call tells."""
        if is_failure(error):
            _mark_failed(scope.span, error)
        if self._needs_end:
            scope.span.set_attributes(self._capture.of_end(Call(scope.arguments, result, error)))


def _end_open(span: Span) -> None:
    """End it unless it has ended, on the way of an exception that nothing raised in here is to replace."""
    thread = get_ident()
    is_nested = thread in AT_WORK
    try:
        AT_WORK.add(thread)
        if span.is_recording():
            span.end()
    except Exception as fault:  # noqa: BLE001 - as in SpanProbe.start
        _logger.debug("%r could not be ended: %s", span, type_name(fault))
    finally:
        if not is_nested:
            AT_WORK.discard(thread)


def load_named_provider(site: Site, get_provider: Callable[[], object]) -> None:
    """Have the API load the provider that the environment names, if it names one."""
    try:
        get_provider()
    except Exception as fault:  # noqa: BLE001 - loading runs any package's code
        site.report("provider", fault)


def is_suppressed(current: Context) -> bool:
    return bool(current.get(_SUPPRESS_KEY) or current.get(_PLAIN_SUPPRESS_KEY))


def is_failure(error: BaseException | None) -> TypeGuard[Exception]:
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
        told: dict[str, str] = {}
        SHOWING.add_exception(exception_attributes(error, error.__traceback__), to=told)
        span.add_event("exception", told)
