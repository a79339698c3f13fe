"""Decorated generators and coroutines keep nothing alive that they alone would have let go."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncGenerator, Callable, Generator
from typing import TYPE_CHECKING, Any

import pytest

from instrumentation import counted, event, timed, visitor

if TYPE_CHECKING:
    from tests.instrumentation.conftest import Telemetry


class Item:
    """Something that can be seen to be let go."""


DECORATORS = [timed, timed("{item}"), timed(record="metric"), counted, event, visitor(user_id="u")]


def is_alive(reference: weakref.ref[Item]) -> bool:
    return reference() is not None


@pytest.mark.parametrize("decorate", DECORATORS)
def test_generator_keeps_nothing_that_it_gave_or_was_given(
    decorate: Callable[..., Any], telemetry: Telemetry
) -> None:
    """What is yielded, sent and passed to a generator is freed when body and consumer have let it go."""

    @decorate
    def items(item: Any = None) -> Generator[Any, Any, Any]:
        del item
        sent = yield Item()
        del sent
        yield Item()

    argument, sent = Item(), Item()
    references = [weakref.ref(argument), weakref.ref(sent)]
    iterator = items(argument)
    del argument
    references.append(weakref.ref(next(iterator)))
    alive_at_first = [is_alive(each) for each in references]
    references.append(weakref.ref(iterator.send(sent)))
    del sent

    assert (alive_at_first, [is_alive(each) for each in references]) == ([False, True, False], [False] * 4)


@pytest.mark.parametrize("decorate", DECORATORS)
def test_async_generator_keeps_nothing_that_it_gave_or_was_given(
    decorate: Callable[..., Any], telemetry: Telemetry
) -> None:
    """The same of async generators."""

    @decorate
    async def items(item: Any = None) -> AsyncGenerator[Any, Any]:
        del item
        sent = yield Item()
        del sent
        yield Item()

    async def main() -> list[bool]:
        argument, sent = Item(), Item()
        references = [weakref.ref(argument), weakref.ref(sent)]
        iterator = items(argument)
        del argument
        references.append(weakref.ref(await iterator.asend(None)))
        references.append(weakref.ref(await iterator.asend(sent)))
        del sent
        alive = [is_alive(each) for each in references]
        await iterator.aclose()
        return alive

    assert asyncio.run(main()) == [False] * 4


@pytest.mark.parametrize("decorate", DECORATORS)
def test_coroutine_keeps_no_argument_that_it_let_go(
    decorate: Callable[..., Any], telemetry: Telemetry
) -> None:
    """The same of what is passed to a coroutine."""

    @decorate
    async def fetch(item: Any) -> bool:
        reference = weakref.ref(item)
        del item
        return is_alive(reference)

    item = Item()
    fetched = fetch(item)
    del item

    assert asyncio.run(fetched) is False
