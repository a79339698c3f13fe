"""What is recorded: spans, durations, counts and events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import context, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import StatusCode

from instrumentation import counted, event, timed

if TYPE_CHECKING:
    from tests.instrumentation.conftest import Telemetry

NO_ERRORS = [asyncio.CancelledError, GeneratorExit, KeyboardInterrupt, SystemExit]


class OutOfStockError(Exception):
    pass


def empty() -> None:
    pass


def raising(error: Any) -> Any:
    def function() -> None:
        raise error

    return function


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


@pytest.mark.parametrize("key", [context._SUPPRESS_INSTRUMENTATION_KEY, "suppress_instrumentation"])
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


# Counters


def point_values(telemetry: Telemetry) -> list[Any]:
    return [(each.name, each.value, each.attributes, each.unit) for each in telemetry.points()]


def test_counts_calls(telemetry: Telemetry) -> None:
    """A counter goes up by one with every call that returns."""

    @counted("orders", attributes={"channel": "web"})
    def order() -> None:
        pass

    order()
    order()

    assert point_values(telemetry) == [("orders", 2, {"channel": "web"}, "1")]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, 3),
        (0.5, 0.5),
        ("amount", 20),
        (lambda receipt: receipt["total"], 23),
        (lambda _: Decimal("1.5"), 1.5),
    ],
)
def test_counts_what_a_call_is_worth(value: Any, expected: Any, telemetry: Telemetry) -> None:
    """The value is a number, the name of an argument, or a function of the result."""

    @counted("revenue", value=value)
    def order(amount: Any = 20) -> Any:
        return {"total": amount + 3}

    order()

    assert point_values(telemetry) == [("revenue", expected, {}, "1")]


@pytest.mark.parametrize(
    ("on", "expected"), [("return", [{}]), ("raise", ["error"]), ("both", [{}, "error"])]
)
def test_counts_returns_or_raises_or_both(on: Any, expected: Any, telemetry: Telemetry) -> None:
    """`on` says which ends of a call count; a cancellation is neither."""
    decorate = counted("orders", on=on)
    decorate(lambda: None)()
    for error in (OutOfStockError(), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            decorate(raising(error))()

    failed = {"error.type": f"{__name__}.OutOfStockError"}
    found = sorted((each.attributes for each in telemetry.points()), key=len)
    assert found == [failed if each == "error" else each for each in expected]


def test_counts_async_revenue(telemetry: Telemetry) -> None:
    """The result of a coroutine is what it returns, not the coroutine."""

    @counted("revenue", value=lambda total: total)
    async def order() -> Any:
        return 12

    asyncio.run(order())

    assert point_values(telemetry) == [("revenue", 12, {}, "1")]


def test_counts_what_a_generator_returns(telemetry: Telemetry) -> None:
    """The result of a generator is its return value."""

    @counted("rows", value=lambda rows: rows)
    def load() -> Generator[str, None, int]:
        yield "a"
        yield "b"
        return 2

    list(load())

    assert point_values(telemetry) == [("rows", 2, {}, "1")]


def test_two_functions_share_a_counter(telemetry: Telemetry) -> None:
    """Two functions that count under one name add up."""
    for _ in range(2):
        counted("orders")(lambda: None)()

    assert point_values(telemetry) == [("orders", 2, {}, "1")]


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("Open carts", "open_carts"),
        ("Preis (€)", "preis____"),
        ("a/b-c.d_e", "a/b-c.d_e"),
        ("3D views", "n3d_views"),
        ("_private", "n_private"),
        ("Größe", "gr__e"),
        ("✓", "n_"),
        ("x" * 300, "x" * 255),
        ("1" * 300, "n" + "1" * 254),
    ],
)
def test_any_given_name_makes_an_instrument(
    given: str, name: str, telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    """What an instrument may not be called becomes `_`; the SDK lowers the rest, and refuses nothing."""
    counted(given)(lambda: None)()
    timed(given + " ", record="metric")(lambda: None)()

    assert {each.name for each in telemetry.points()} == {name, f"{name}_"[:255]}
    assert caplog.records == []


def test_an_instrument_tells_the_name_it_was_given(telemetry: Telemetry) -> None:
    """Where an instrument may not be called so, its description is the given name; else it has none."""
    for given in ("Orders", "Open carts", "Größe (m²)", "x" * 2000):
        counted(given)(lambda: None)()
    timed("Price lookup", record="metric")(lambda: None)()
    counted(lambda: None)()

    assert telemetry.descriptions() == {
        "orders": "",
        "open_carts": "Open carts",
        "gr__e__m__": "Größe (m²)",
        "x" * 255: "x" * 1023,
        "price_lookup": "Price lookup",
        "test_an_instrument_tells_the_name_it_was_given.lambda": "",
    }


def test_default_name_of_an_instrument_is_allowed(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    """A local function's qualified name is cut to what an instrument may be called."""
    counted(lambda: None)()

    assert [each.name for each in telemetry.points()] == [
        "test_default_name_of_an_instrument_is_allowed.lambda"
    ]
    assert caplog.records == []


def test_value_of_a_call_without_result_is_refused() -> None:
    """A function of the result can not count calls that raise, and says so at decoration."""
    with pytest.raises(ValueError, match="function of the result"):
        counted("revenue", value=lambda result: result, on="both")


@pytest.mark.parametrize(
    "decorate",
    [partial(counted, on="sometimes"), partial(event, on="sometimes"), partial(timed, record="sometimes")],
)
def test_unknown_choice_is_refused(decorate: Callable[[], object]) -> None:
    """A choice that does not exist fails at decoration and names those that do."""
    with pytest.raises(ValueError, match="'sometimes' is not known: use one of"):
        decorate()


# Events


def seen(telemetry: Telemetry) -> list[Any]:
    return [(each.name, each.attributes, each.severity) for each in telemetry.events()]


def test_event_carries_chosen_arguments_and_the_result(telemetry: Telemetry) -> None:
    """An event is a log record with a name, and the arguments and result that were named."""

    @event("order.placed", attributes=["sku", "result"])
    def order(sku: Any, secret: Any) -> Any:
        return 42

    order("tea", "x")

    assert seen(telemetry) == [("order.placed", {"sku": "tea", "result": 42}, "INFO")]


def test_event_is_not_emitted_for_a_call_that_raises(telemetry: Telemetry) -> None:
    """An order that failed was not placed."""
    with pytest.raises(OutOfStockError):
        event("order.placed")(raising(OutOfStockError()))()

    assert seen(telemetry) == []


def test_event_for_a_call_that_raises(telemetry: Telemetry) -> None:
    """With `on="raise"` the event tells of the error, and has no result."""
    with pytest.raises(OutOfStockError):
        event("order.failed", on="raise", attributes=["result"])(raising(OutOfStockError()))()

    assert seen(telemetry) == [("order.failed", {"error.type": f"{__name__}.OutOfStockError"}, "ERROR")]


def test_event_belongs_to_the_span_around(telemetry: Telemetry) -> None:
    """An event inside a timed function carries that function's span."""

    @timed
    @event("order.placed")
    def order() -> Any:
        return trace.get_current_span().get_span_context()

    span_context = order()

    (record,) = [each.log_record for each in telemetry.logs.get_finished_logs()]
    assert (record.trace_id, record.span_id) == (span_context.trace_id, span_context.span_id)
