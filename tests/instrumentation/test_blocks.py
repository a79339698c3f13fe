"""Decorators as blocks: `with timed("Checkout"):`."""

from __future__ import annotations

import _thread
import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace

from instrumentation import counted, event, timed
from instrumentation.captures import _MOST_TOLD, _TOLD_OF_BLOCKS
from instrumentation.decorators import Decorator, _entered

if TYPE_CHECKING:
    from tests.instrumentation.conftest import Telemetry

BLOCKS: dict[str, Callable[[], Decorator]] = {
    "span": lambda: timed("checkout", attributes={"channel": "web"}),
    "duration": lambda: timed("checkout", attributes={"channel": "web"}, record="metric"),
    "counter": lambda: counted("checkout", attributes={"channel": "web"}, on="both"),
    "event": lambda: event("checkout", attributes={"channel": "web"}, on="both"),
}


def run_in(block: Decorator, work: Callable[[], None]) -> None:
    with block:
        work()


def run_in_async(block: Decorator, work: Callable[[], None]) -> None:
    async def main() -> None:
        async with block:
            await asyncio.sleep(0)
            work()

    asyncio.run(main())


@pytest.mark.parametrize("run", [run_in, run_in_async])
@pytest.mark.parametrize("block", BLOCKS)
def test_records_a_block(
    block: str, run: Callable[[Decorator, Callable[[], None]], None], telemetry: Telemetry
) -> None:
    """A block is recorded once, with its constant attributes."""
    run(BLOCKS[block](), lambda: None)

    assert telemetry.names() == ["checkout"]
    assert telemetry.attributes() == [{"channel": "web"}]


@pytest.mark.parametrize("run", [run_in, run_in_async])
@pytest.mark.parametrize("block", BLOCKS)
def test_records_a_block_that_raises(
    block: str, run: Callable[[Decorator, Callable[[], None]], None], telemetry: Telemetry
) -> None:
    """The exception of a block goes on unchanged, and its type is recorded."""
    error = LookupError("sold out")

    def work() -> None:
        raise error

    with pytest.raises(LookupError) as raised:
        run(BLOCKS[block](), work)

    assert raised.value is error
    assert telemetry.names() == ["checkout"]
    assert telemetry.attributes() == [{"channel": "web", "error.type": "LookupError"}]


@pytest.mark.parametrize("block", BLOCKS)
def test_records_no_error_of_a_block_that_is_cancelled(block: str, telemetry: Telemetry) -> None:
    """A cancellation goes through, and is no error."""

    async def main() -> None:
        async with BLOCKS[block]():
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())

    assert [found for found in telemetry.attributes() if "error.type" in found] == []


@pytest.mark.parametrize("block", BLOCKS)
def test_block_does_nothing_without_an_sdk(block: str) -> None:
    """Without an SDK a block runs as if nothing was around it."""
    with BLOCKS[block]():
        pass


def test_gives_the_span_of_the_block(telemetry: Telemetry) -> None:
    """`with timed(...) as span` gives the current span, to be enriched."""
    with timed("checkout") as span:
        assert span is trace.get_current_span()
        span.set_attribute("items", 3)

    assert telemetry.attributes() == [{"items": 3}]


def test_gives_a_span_that_records_nothing_when_there_is_none(telemetry: Telemetry) -> None:
    """A block that records no span gives one that may be written to all the same."""
    with timed("around"), timed("checkout", record="metric") as span:
        span.set_attribute("items", 3)

    assert telemetry.attributes() == [{}, {}]


def test_one_object_nests_in_itself(telemetry: Telemetry) -> None:
    """The same object, entered while it is entered, makes a child of its own span."""
    checkout = timed("checkout")

    with checkout as outer, checkout as inner:
        pass

    first, second = telemetry.spans()
    assert first.context == inner.get_span_context()
    assert first.parent == outer.get_span_context()
    assert second.parent is None


def test_one_object_serves_interleaved_tasks(telemetry: Telemetry) -> None:
    """Tasks that share one object and overlap each end their own span."""
    checkout = timed("checkout")

    async def task(before: asyncio.Event, after: asyncio.Event) -> tuple[int, int]:
        async with checkout as span:
            after.set()
            await before.wait()
        return span.get_span_context().span_id, telemetry.spans()[-1].context.span_id

    async def main() -> tuple[tuple[int, int], ...]:
        first, second, third = asyncio.Event(), asyncio.Event(), asyncio.Event()
        # The first entered leaves first, so the order of entering is not the order of leaving.
        return await asyncio.gather(task(second, first), task(third, second), task(first, third))

    for entered, ended in asyncio.run(main()):
        assert entered == ended


def test_one_object_serves_many_threads(telemetry: Telemetry) -> None:
    """Threads that share one object end as many spans as they began, each its own."""
    checkout = timed("checkout")
    mixed_up: list[object] = []
    barrier = threading.Barrier(4)

    def work() -> None:
        barrier.wait()
        for _ in range(50):
            with checkout as outer, checkout as inner:
                if trace.get_current_span() is not inner:
                    mixed_up.append(inner)
            if outer.is_recording() or inner.is_recording():
                mixed_up.append(outer)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert mixed_up == []
    assert len(telemetry.spans()) == 400


def test_ends_in_another_context_than_it_began(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    """A block that is left in another context, as with halves of a fixture, ends its span in peace."""
    checkout = timed("checkout")
    copy_context().run(checkout.__enter__)

    copy_context().run(checkout.__exit__, None, None, None)

    assert telemetry.names() == ["checkout"]
    assert caplog.records == []
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_one_object_serves_a_generator_and_its_consumer(telemetry: Telemetry) -> None:
    """A generator that ends its block while its consumer is inside another ends its own span."""
    checkout = timed("checkout")

    def items() -> Iterator[Any]:
        with checkout as span:
            yield span
        yield None

    def consume() -> tuple[bool, bool]:
        iterator = items()
        in_generator = next(iterator)
        with checkout as in_consumer:
            next(iterator)
            return in_generator.is_recording(), in_consumer.is_recording()

    assert copy_context().run(consume) == (False, True)
    assert telemetry.names() == ["checkout", "checkout"]


def test_one_object_serves_an_async_generator_and_its_consumer(telemetry: Telemetry) -> None:
    """The same of `async with`."""
    checkout = timed("checkout")

    async def items() -> AsyncIterator[Any]:
        async with checkout as span:
            yield span
        yield None

    async def consume() -> tuple[bool, bool]:
        iterator = items()
        in_generator = await anext(iterator)
        async with checkout as in_consumer:
            await anext(iterator)
            return in_generator.is_recording(), in_consumer.is_recording()

    assert asyncio.run(consume()) == (False, True)
    assert telemetry.names() == ["checkout", "checkout"]


def test_one_object_serves_generators_that_go_on_in_other_contexts(telemetry: Telemetry) -> None:
    """Generators that are begun and ended in contexts of their own, as FastAPI's dependencies are."""
    checkout = timed("checkout")

    def dependency() -> Iterator[Any]:
        with checkout as span:
            yield span

    first, second = dependency(), dependency()
    first_span, second_span = (copy_context().run(next, each) for each in (first, second))

    copy_context().run(next, first, None)

    assert (first_span.is_recording(), second_span.is_recording()) == (False, True)


def test_one_object_on_exit_stacks_of_several_tasks(telemetry: Telemetry) -> None:
    """What an ExitStack entered it leaves in the same task, whichever ends first."""
    checkout = timed("checkout")

    async def task(before: asyncio.Event, after: asyncio.Event) -> bool:
        with ExitStack() as stack:
            span = stack.enter_context(checkout)
            after.set()
            await before.wait()
        return span.is_recording()

    async def main() -> list[bool]:
        first, second, third = asyncio.Event(), asyncio.Event(), asyncio.Event()
        third.set()
        return list(await asyncio.gather(task(first, second), task(third, first)))

    assert asyncio.run(main()) == [False, False]
    assert telemetry.names() == ["checkout", "checkout"]


def test_a_thread_that_begins_with_entering(telemetry: Telemetry) -> None:
    """No Python need be around `__enter__`, as in a thread that runs it alone."""
    orders = counted("orders")
    _thread.start_new_thread(orders.__enter__, ())
    deadline = time.monotonic() + 10
    while not orders._open and time.monotonic() < deadline:
        time.sleep(0.001)

    orders.__exit__(None, None, None)

    assert telemetry.names() == ["orders"]


def test_runs_that_ended_elsewhere_are_forgotten(telemetry: Telemetry) -> None:
    """A context that only enters blocks does not gather them."""
    orders = counted("orders")

    def enter_only() -> int:
        for _ in range(3):
            orders.__enter__()
            copy_context().run(orders.__exit__, None, None, None)
        return len(_entered.get())

    assert copy_context().run(enter_only) == 1
    assert telemetry.names() == ["orders"] * 3


def test_block_without_a_name_says_what_is_missing() -> None:
    """A block has no function to be named after, so it must be named."""
    with pytest.raises(TypeError, match="a block needs a name"), timed():
        pass


def test_braces_in_the_name_of_a_block_stay(telemetry: Telemetry) -> None:
    """A block has no arguments, so its name is no template."""
    with timed("GET /{id}"):
        pass

    assert telemetry.names() == ["GET /{id}"]


def test_a_fault_of_a_block_is_said_once(telemetry: Telemetry, caplog: pytest.LogCaptureFixture) -> None:
    """What is wrong with a block is said once for its name and place, though each run makes a new one."""

    def buy(name: str) -> None:
        with counted(name, value=-1):
            pass

    def sell(name: str) -> None:
        with counted(name, value=-1):
            pass

    for _ in range(3):
        buy("once.revenue")
        buy("once.tips")
        sell("once.revenue")

    said = [record.getMessage().split(" failed")[0] for record in caplog.records]
    names = ("revenue", "tips", "revenue")
    assert said == [f"value of 'once.{name}' (block)" for name in names]
    assert [each.value for each in telemetry.points()] == [9]


def test_what_was_said_of_blocks_is_bounded(telemetry: Telemetry, caplog: pytest.LogCaptureFixture) -> None:
    """Names without number do not fill the memory: the oldest is forgotten, and said again."""
    for number in [*range(_MOST_TOLD + 1), _MOST_TOLD, 0]:
        with counted(f"bounded.{number}", value=-1):
            pass

    said = [record.getMessage().split("'")[1] for record in caplog.records]
    assert said == [f"bounded.{number}" for number in [*range(_MOST_TOLD + 1), 0]]
    assert len(_TOLD_OF_BLOCKS) == _MOST_TOLD


@pytest.mark.flaky(reruns=2)
def test_leaving_costs_the_same_however_many_are_open(telemetry_later: Telemetry) -> None:
    """A run of a block shared by thousands of tasks is left as fast as one shared by a few."""
    shared = counted("orders")

    def seconds_to_leave_one_of(count: int) -> float:
        contexts = [copy_context() for _ in range(count)]
        for each in contexts:
            each.run(shared.__enter__)
        seconds = []
        for each in reversed(contexts):
            started = time.perf_counter()
            each.run(shared.__exit__, None, None, None)
            seconds.append(time.perf_counter() - started)
        return min(seconds[:100])

    few, many = seconds_to_leave_one_of(100), seconds_to_leave_one_of(20_000)

    assert many < 10 * few
