"""Decorated coroutines: their calls, their parents, and their end."""

from __future__ import annotations

import asyncio
import functools
import inspect
import types
from collections.abc import Generator
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

import pytest

from instrumentation import counted, timed

if TYPE_CHECKING:
    from tests.instrumentation.conftest import Telemetry


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((), {}), ((1,), {}), ((1, 2, 3), {"c": 1}), ((1,), {"c": 1, "z": 1}), ((), {"a": 1, "c": 1})],
)
def test_coroutine_call_checks_its_arguments_at_once(args: Any, kwargs: Any, telemetry: Telemetry) -> None:
    """A wrong call of a coroutine function fails when it is called, with the words of the undecorated one."""

    async def fetch(a: Any, /, b: Any = 2, *, c: Any, d: Any = 4) -> object:
        return lambda: (a, b, c, d)

    with pytest.raises(TypeError) as expected:
        _ = fetch(*args, **kwargs)
    for decorated in (timed(fetch), counted(timed(fetch))):
        with pytest.raises(TypeError) as raised:
            _ = decorated(*args, **kwargs)
        assert str(raised.value) == str(expected.value)
    assert telemetry.names() == []


def test_coroutine_takes_what_the_function_takes_by_now(telemetry: Telemetry) -> None:
    """Defaults and code that are exchanged after decoration hold, as undecorated."""

    async def fetch(a: Any, *, b: Any = 1) -> object:
        return a, b

    async def fetch_three(a: Any, c: Any, d: Any = 3, *, b: Any = 1) -> object:
        return a, c, d, b

    decorated: Any = timed("fetch")(fetch)
    found = [asyncio.run(decorated(0))]
    fetch.__defaults__ = (5,)
    found.append(asyncio.run(decorated()))
    fetch.__defaults__, fetch.__kwdefaults__ = None, {"b": 6}
    found.append(asyncio.run(decorated(0)))
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'a'"):
        decorated()
    fetch.__code__, fetch.__defaults__ = fetch_three.__code__, (3,)
    found.append(asyncio.run(decorated(1, 2)))

    assert found == [(0, 1), (5, 1), (0, 6), (1, 2, 3, 6)]


def test_coroutine_takes_any_arguments_that_the_function_takes(telemetry: Telemetry) -> None:
    """Variadic ones, and those of callable objects and partial functions, arrive as they were given."""

    async def fetch(*args: Any, **kwargs: Any) -> object:
        return args, kwargs

    class Fetcher:
        async def __call__(self, *args: Any, **kwargs: Any) -> object:
            return args, kwargs

    for function in (fetch, functools.partial(fetch), Fetcher()):
        assert asyncio.run(timed(function)(1, two=2)) == ((1,), {"two": 2})


def test_coroutine_destroyed_in_another_context_is_quiet(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    """A coroutine that is thrown away half way, outside its context, ends its span in peace."""

    @timed("wait")
    async def wait() -> None:
        await asyncio.sleep(0)

    coroutine = wait()
    copy_context().run(coroutine.send, None)
    coroutine.close()

    assert telemetry.names() == ["wait"]
    assert caplog.records == []


def test_concurrent_coroutines_have_their_own_parents(telemetry: Telemetry) -> None:
    """Coroutines that run side by side under one span do not become each other's parents."""

    @timed("child")
    async def child() -> None:
        await asyncio.sleep(0)

    @timed("parent")
    async def parent() -> None:
        await asyncio.gather(child(), child(), child())

    asyncio.run(parent())

    *children, root = telemetry.spans()
    assert [each.parent for each in children] == [root.context] * 3


def test_tasks_show_the_function_name() -> None:
    """Coroutines and generators are named after the function, for debuggers and warnings."""

    @timed
    async def fetch() -> None:
        pass

    @timed
    def items() -> Generator[Any, Any, Any]:
        yield

    coroutine = fetch()
    assert [repr(each).split(".")[-1].split()[0] for each in (coroutine, items())] == ["fetch", "items"]
    coroutine.close()


@pytest.mark.parametrize("record", ["span", "metric"])
def test_generator_that_is_awaited(record: Any, telemetry: Telemetry) -> None:
    """What `types.coroutine` makes of a generator is awaited as undecorated, and timed once."""

    @types.coroutine
    def nap(seconds: int) -> Generator[None, None, int]:
        yield
        return seconds

    class Bed:
        @timed("nap", record=record)
        @types.coroutine
        def nap(self) -> Generator[None, None, int]:
            return (yield from nap(2))

    counted_nap: Any = counted("naps")(timed("nap", record=record)(nap))
    naps: list[Any] = [counted_nap, functools.partial(nap, 2), Bed().nap]

    async def sleep() -> list[int]:
        return [await naps[0](2), await timed("nap", record=record)(naps[1])(), await naps[2]()]

    assert asyncio.run(sleep()) == [2, 2, 2]
    assert sorted(filter(None, telemetry.names())) == ["nap", "nap", "nap", "naps"]
    assert inspect.isawaitable(naps[0](2))


def test_generator_that_is_awaited_and_fails(telemetry: Telemetry) -> None:
    """Its exception goes on unchanged and marks the span."""

    @timed("nap")
    @types.coroutine
    def nap() -> Generator[None, None, None]:
        yield
        raise LookupError("woken")

    async def sleep() -> None:
        await nap()

    with pytest.raises(LookupError, match="woken"):
        asyncio.run(sleep())
    assert (telemetry.names(), telemetry.attributes()[0]["error.type"]) == (["nap"], "LookupError")


def test_generator_that_is_awaited_without_an_sdk() -> None:
    """Without an SDK it is awaited as if it was not decorated."""

    @timed
    @types.coroutine
    def nap() -> Generator[None, None, int]:
        yield
        return 1

    async def sleep() -> int:
        return await nap()

    assert asyncio.run(sleep()) == 1
