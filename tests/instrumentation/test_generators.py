"""Decorated generators, plain and asynchronous: one recording that the consumer never sees."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

import pytest
from opentelemetry import trace

from instrumentation import counted, event, timed
from tests.instrumentation.conftest import Telemetry, current

# Generators


def test_generator_is_timed_over_its_body(telemetry: Telemetry) -> None:
    """The span of a generator begins with the first item, not with the call, and ends with the last."""

    @timed
    def items() -> Generator[Any, Any, Any]:
        yield 1

    iterator = items()
    assert telemetry.spans() == []
    next(iterator)
    assert telemetry.spans() == []
    assert list(iterator) == []
    assert telemetry.span().status.is_unset


def test_generator_span_is_current_in_the_body_only(telemetry: Telemetry) -> None:
    """The consumer never sees the generator's span; the body always does."""

    @timed
    def items() -> Generator[Any, Any, Any]:
        yield current()
        yield current()

    seen = []
    with timed("consumer") as consumer:
        for span in items():
            seen.append(span)
            assert current() is consumer

    assert [span.name for span in seen] == [telemetry.spans()[0].name] * 2
    assert seen[0].parent == consumer.get_span_context()


def test_generator_keeps_what_its_body_made_current(telemetry: Telemetry) -> None:
    """A span that the body opened around a yield is current again when the body goes on, and only there."""

    @timed("outer")
    def items() -> Generator[Any, Any, Any]:
        with timed("inner") as inner:
            yield 1
            assert current() is inner
        yield current().name

    iterator = items()
    next(iterator)
    assert current() is trace.INVALID_SPAN
    assert next(iterator) == "outer"
    assert list(iterator) == []
    assert [span.name for span in telemetry.spans()] == ["inner", "outer"]


def test_interleaved_generators_do_not_mix(telemetry: Telemetry) -> None:
    """Two generators consumed in turns keep their own spans."""

    @timed("{name}")
    def items(name: Any) -> Generator[Any, Any, Any]:
        while True:
            yield current().name

    first, second = items("first"), items("second")
    assert [next(each) for each in (first, second, first, second)] == ["first", "second", "first", "second"]
    first.close()
    second.close()
    assert current() is trace.INVALID_SPAN


def test_generator_forwards_send_throw_and_return(telemetry: Telemetry) -> None:
    """What is sent and thrown in reaches the body, and its return value comes out."""

    @timed
    def conversation() -> Generator[Any, Any, Any]:
        received: list[object] = []
        received.append((yield "first"))
        try:
            yield "second"
        except LookupError as error:
            received.append(str(error))
        yield "third"
        return received

    def delegate() -> Generator[Any, Any, Any]:
        returned.append((yield from conversation()))

    returned: list[object] = []
    talk = delegate()
    assert (next(talk), talk.send("hello"), talk.throw(LookupError("lost"))) == ("first", "second", "third")
    assert list(talk) == []
    assert returned == [["hello", "lost"]]


@pytest.mark.parametrize("decorate", [timed, timed(record="metric"), counted, event])
def test_generator_closed_early_is_no_error(decorate: Callable[..., Any], telemetry: Telemetry) -> None:
    """A consumer that has enough ends the recording without an error; the body cleans up."""
    cleaned = []

    @decorate
    def items() -> Generator[Any, Any, Any]:
        try:
            yield 1
            yield 2
        finally:
            cleaned.append(True)

    for _ in items():
        break
    gc.collect()

    assert cleaned == [True]
    assert len(telemetry.names()) == 1
    assert telemetry.attributes() == [{}]


def test_generator_that_ignores_close_fails_as_undecorated(telemetry: Telemetry) -> None:
    """A body that yields while it is closed is told so, as without a decorator."""

    @timed
    def stubborn() -> Generator[Any, Any, Any]:
        try:
            yield 1
        except GeneratorExit:
            yield 2

    iterator = stubborn()
    next(iterator)
    with pytest.raises(RuntimeError, match="generator ignored GeneratorExit"):
        iterator.close()


def test_generator_error_goes_to_the_consumer(telemetry: Telemetry) -> None:
    """An error thrown into the body and not caught comes out unchanged and marks the span."""

    @timed
    def items() -> Generator[Any, Any, Any]:
        yield 1

    iterator = items()
    next(iterator)
    error = LookupError()
    with pytest.raises(LookupError) as raised:
        iterator.throw(error)

    assert raised.value is error
    assert telemetry.attributes()[0]["error.type"] == "LookupError"


def test_generator_error_leaves_no_cycle(telemetry: Telemetry) -> None:
    """An error thrown in is freed with its last reference, without the garbage collector."""

    class LostError(Exception):
        pass

    @timed
    def items() -> Generator[Any, Any, Any]:
        yield 1

    def throw() -> weakref.ref[LostError] | None:
        iterator = items()
        next(iterator)
        try:
            iterator.throw(LostError())
        except LostError as error:
            return weakref.ref(error)
        return None

    gc.disable()
    try:
        freed = throw()
        assert freed is not None
        assert freed() is None
    finally:
        gc.enable()


def test_generator_call_checks_its_arguments_at_once() -> None:
    """A wrong call of a generator function fails when it is called, as undecorated."""

    @timed
    def items(first: Any) -> Generator[Any, Any, Any]:
        yield first

    with pytest.raises(TypeError):
        items()  # type: ignore[call-arg]  # the wrong call


# Async generators


def test_async_generator_span_is_current_in_the_body_only(telemetry: Telemetry) -> None:
    """The consumer of an async generator never sees its span, the body does, over awaits too."""

    @timed("items")
    async def items() -> AsyncGenerator[Any, Any]:
        with timed("inner"):
            yield current().name
            await asyncio.sleep(0)
            yield current().name
        yield current().name

    async def main() -> list[str]:
        names = []
        async for name in items():
            assert current() is trace.INVALID_SPAN
            names.append(name)
        return names

    assert asyncio.run(main()) == ["inner", "inner", "items"]
    assert telemetry.names() == ["inner", "items"]


def test_async_generator_forwards_asend_athrow_and_aclose(telemetry: Telemetry) -> None:
    """What is sent and thrown into an async generator reaches the body, and it can be closed."""
    received: list[object] = []

    @timed
    async def conversation() -> AsyncGenerator[Any, Any]:
        try:
            received.append((yield "first"))
            try:
                yield "second"
            except LookupError as error:
                received.append(str(error))
            yield "third"
        finally:
            await asyncio.sleep(0)
            received.append("closed")

    async def main() -> list[object]:
        talk = conversation()
        items = [await talk.asend(None), await talk.asend("hello"), await talk.athrow(LookupError("lost"))]
        await talk.aclose()
        return items

    assert asyncio.run(main()) == ["first", "second", "third"]
    assert received == ["hello", "lost", "closed"]
    assert telemetry.span().status.is_unset


def test_async_generator_closed_by_another_task(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    """An async generator begun in one task and closed in another ends its span in peace."""

    @timed("items")
    async def items() -> AsyncGenerator[Any, Any]:
        yield 1
        yield 2

    async def main() -> None:
        generator = items()
        await asyncio.create_task(generator.__anext__())
        await asyncio.create_task(generator.aclose())

    asyncio.run(main())

    assert telemetry.names() == ["items"]
    assert caplog.records == []


def test_async_generator_left_to_the_loop(telemetry: Telemetry, caplog: pytest.LogCaptureFixture) -> None:
    """An async generator that nobody closes is closed with the event loop, without an error."""
    kept = []

    @timed("items")
    async def items() -> AsyncGenerator[Any, Any]:
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)

    async def main() -> None:
        generator = items()
        kept.append(generator)
        await generator.__anext__()
        async for _ in items():
            break

    asyncio.run(main())

    assert telemetry.names() == ["items", "items"]
    assert caplog.records == []


def test_async_generator_error_marks_the_span(telemetry: Telemetry) -> None:
    """An error in an async generator comes out unchanged and marks the span."""
    error = LookupError()

    @timed
    async def items() -> AsyncGenerator[Any, Any]:
        yield 1
        raise error

    async def main() -> None:
        async for _ in items():
            pass

    with pytest.raises(LookupError) as raised:
        asyncio.run(main())

    assert raised.value is error
    assert telemetry.attributes()[0]["error.type"] == "LookupError"
