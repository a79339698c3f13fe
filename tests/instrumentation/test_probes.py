"""What is recorded of a call's time: spans and durations."""

from __future__ import annotations

import asyncio
import concurrent.futures
from typing import Any

import pytest
from opentelemetry import context, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import StatusCode

from instrumentation import counted, event, timed
from tests.instrumentation.conftest import Telemetry, raising

NO_ERRORS = [
    asyncio.CancelledError,
    concurrent.futures.CancelledError,
    GeneratorExit,
    KeyboardInterrupt,
    SystemExit,
]


class OutOfStockError(Exception):
    pass


def empty() -> None:
    pass


# Spans


def test_span_is_current_and_a_child_of_what_was(telemetry: Telemetry) -> None:
    """A decorated call's span is current inside, under the span around it, and gone after."""

    @timed
    def inner() -> Any:
        return trace.get_current_span()

    @timed
    def outer() -> Any:
        return trace.get_current_span(), inner()

    outer_span, inner_span = outer()

    assert inner_span.parent == outer_span.get_span_context()
    assert outer_span.parent is None
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_exception_marks_the_span(telemetry: Telemetry) -> None:
    """An exception makes the span an error with its type, its message and the exception as an event."""
    with pytest.raises(OutOfStockError):
        timed(raising(OutOfStockError("no tea")))()

    span = telemetry.span()
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "no tea")
    assert telemetry.attributes()[0]["error.type"] == f"{__name__}.OutOfStockError"
    assert [dict(each.attributes or {})["exception.message"] for each in span.events] == ["no tea"]


def test_exceptions_tell_no_secrets(telemetry: Telemetry) -> None:
    """Status, message and traceback of a failed span are redacted as on the log path."""
    with pytest.raises(ValueError, match="hunter2"):
        timed(raising(ValueError("bad login: password='hunter2' token=abc")))()

    span = telemetry.span()
    shown = "bad login: password=[redacted] token=[redacted]"
    (event,) = span.events
    assert (span.status.description, dict(event.attributes or {})["exception.message"]) == (shown, shown)
    assert "hunter2" not in str(dict(event.attributes or {}))


def test_exception_without_words_marks_the_span(telemetry: Telemetry) -> None:
    """An exception that can not be printed makes the span an error all the same."""

    class SpeechlessError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    with pytest.raises(SpeechlessError):
        timed(raising(SpeechlessError()))()

    assert telemetry.span().status.status_code is StatusCode.ERROR
    assert [event.name for event in telemetry.span().events] == ["exception"]


@pytest.mark.parametrize("kind", [counted, event])
@pytest.mark.parametrize("error", NO_ERRORS)
def test_cancellation_and_exit_are_neither_returned_nor_raised(
    kind: Any, error: Any, telemetry: Telemetry
) -> None:
    """What only ends a call is not counted, and no event."""
    with pytest.raises(error):
        kind("call", on="both")(raising(error()))()

    assert telemetry.names() == []


@pytest.mark.parametrize("error", NO_ERRORS)
def test_cancellation_and_exit_are_no_errors(error: Any, telemetry: Telemetry) -> None:
    """What only ends a call, without being an error, ends the span as it is."""
    with pytest.raises(error):
        timed(raising(error()))()

    span = telemetry.span()
    assert (span.status.status_code, telemetry.attributes(), span.events) == (StatusCode.UNSET, [{}], ())


def test_cancelled_task_is_no_error(telemetry: Telemetry) -> None:
    """A task cancelled inside a decorated coroutine ends its span without an error."""

    @timed
    async def wait() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())

    assert telemetry.span().status.status_code is StatusCode.UNSET


def test_task_cancelled_before_it_began_leaves_no_trace(telemetry: Telemetry) -> None:
    """A task cancelled before its first step has no span, and Python has nothing to warn about."""

    @timed
    async def never() -> None:
        raise AssertionError

    async def main() -> None:
        task = asyncio.create_task(never())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())

    assert telemetry.spans() == []


def test_named_span_tells_its_function(telemetry: Telemetry) -> None:
    """A span with a given name carries the function's full name; another says it already."""

    @timed("Checkout")
    def pay() -> None:
        pass

    pay()

    qualname = "test_named_span_tells_its_function.<locals>.pay"
    assert telemetry.attributes() == [{"code.function.name": f"{__name__}.{qualname}"}]


def test_result_and_function_of_the_call_are_written_at_the_end(telemetry: Telemetry) -> None:
    """A span may carry the result, and what a function makes of the whole call."""

    @timed(attributes=["items", "result"])
    def total(items: Any) -> Any:
        return items * 2.5

    @timed(attributes=lambda call: {"per.item": call.result / call.arguments["items"]})
    def price(items: Any) -> Any:
        return items * 2.5

    total(2)
    price(2)

    assert telemetry.attributes() == [
        {"items": 2, "result": 5.0},
        {"per.item": 2.5},
    ]


def test_sampled_out_span_is_current_all_the_same(
    telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A span that is not sampled is still the parent of what is inside, so the trace is dropped as one."""
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False))

    @timed
    def sample() -> Any:
        return trace.get_current_span().get_span_context()

    assert sample().is_valid
    assert not sample().trace_flags.sampled


@pytest.mark.parametrize(
    "key", [context._SUPPRESS_INSTRUMENTATION_KEY, "suppress_instrumentation"], ids=["new", "old"]
)
def test_suppressed_instrumentation_records_nothing(key: str, telemetry: Telemetry) -> None:
    """Where instrumentation is suppressed, no decorator records anything."""
    token = context.attach(context.set_value(key, True))

    for decorate in (timed("span"), timed("duration", record="metric"), counted("count"), event("event")):
        assert decorate(empty)() is None

    context.detach(token)
    assert telemetry.names() == []


def test_sdk_may_be_set_up_after_decoration(telemetry_later: Telemetry) -> None:
    """What was decorated, and even called, before the SDK is set up, is recorded after."""
    functions = [decorate(empty) for decorate in (timed("late"), counted("late"), event("late"))]
    for function in functions:
        function()

    telemetry_later.install()
    for function in functions:
        function()

    assert telemetry_later.names() == ["late", "late", "late"]


# Durations


def test_duration_is_a_histogram_of_seconds(telemetry: Telemetry) -> None:
    """`record="metric"` makes no span but a histogram in seconds, with attributes."""

    @timed("step.time", attributes=["step"], record="metric")
    def run(step: Any) -> None:
        assert trace.get_current_span() is trace.INVALID_SPAN

    for step in ("pay", "pay", "ship"):
        run(step)

    assert telemetry.spans() == []
    assert sorted(
        (each.name, each.value, each.attributes["step"], each.unit) for each in telemetry.points()
    ) == [
        ("step.time", 1, "ship", "s"),
        ("step.time", 2, "pay", "s"),
    ]


def test_duration_tells_failed_calls_apart(telemetry: Telemetry) -> None:
    """A failed call's duration carries the error's type."""
    with pytest.raises(OutOfStockError):
        timed("step.time", record="metric")(raising(OutOfStockError()))()

    assert [each.attributes for each in telemetry.points()] == [{"error.type": f"{__name__}.OutOfStockError"}]


def test_duration_has_buckets_for_fast_functions(telemetry: Telemetry) -> None:
    """The histogram's buckets suit seconds, down to a tenth of a millisecond."""
    timed("step.time", record="metric")(lambda: None)()

    data: Any = telemetry.reader.get_metrics_data()
    (point,) = data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points
    assert point.explicit_bounds[:3] == (0.0001, 0.0005, 0.001)
    assert point.explicit_bounds[-1] == 10
