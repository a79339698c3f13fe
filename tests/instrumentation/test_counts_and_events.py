"""What is recorded of a call's outcome: counts and events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from opentelemetry import trace

from instrumentation import counted, event, timed
from tests.instrumentation.conftest import Telemetry, raising


class OutOfStockError(Exception):
    pass


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
