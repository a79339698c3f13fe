"""Every kind of callable that a decorator may meet, each decorated and called once."""

from __future__ import annotations

import abc
import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

# Any: the table mixes what has no common type.
Decorate = Callable[..., Any]
Work = Callable[[], object]
KINDS: dict[str, Callable[[Decorate, Work], object]] = {}


def kind(run: Callable[[Decorate, Work], object]) -> Callable[[Decorate, Work], object]:
    KINDS[run.__name__] = run
    return run


@kind
def function(decorate: Decorate, work: Work) -> object:
    @decorate
    def target(first: int, *, second: int = 2) -> object:
        return work()

    return target(1, second=2)


@kind
def coroutine(decorate: Decorate, work: Work) -> object:
    @decorate
    async def target() -> object:
        await asyncio.sleep(0)
        return work()

    return asyncio.run(target())


@kind
def generator(decorate: Decorate, work: Work) -> object:
    @decorate
    def target() -> Iterator[object]:
        yield 1
        yield work()

    return list(target())[1]


@kind
def async_generator(decorate: Decorate, work: Work) -> object:
    @decorate
    async def target() -> AsyncIterator[object]:
        yield 1
        await asyncio.sleep(0)
        yield work()

    async def consume() -> object:
        return [item async for item in target()][1]

    return asyncio.run(consume())


@kind
def method(decorate: Decorate, work: Work) -> object:
    class Shop:
        @decorate
        def target(self, first: int) -> object:
            assert isinstance(self, Shop)
            return work()

    return Shop().target(1)


@kind
def method_through_its_owner(decorate: Decorate, work: Work) -> object:
    class Shop:
        @decorate
        def target(self) -> object:
            assert isinstance(self, Shop)
            return work()

    return Shop.target(Shop())


@kind
def inherited_method(decorate: Decorate, work: Work) -> object:
    class Shop:
        @decorate
        def target(self) -> object:
            return work()

    class Bakery(Shop):
        def target(self) -> object:
            return super().target()

    return Bakery().target()


@kind
def async_method(decorate: Decorate, work: Work) -> object:
    class Shop:
        @decorate
        async def target(self) -> object:
            return work()

    return asyncio.run(Shop().target())


@kind
def generator_method(decorate: Decorate, work: Work) -> object:
    class Shop:
        @decorate
        def target(self) -> Iterator[object]:
            yield work()

    return next(iter(list(Shop().target())))


@kind
def async_generator_method(decorate: Decorate, work: Work) -> object:
    class Shop:
        @decorate
        async def target(self) -> AsyncIterator[object]:
            yield work()

    async def consume() -> object:
        (item,) = [item async for item in Shop().target()]
        return item

    return asyncio.run(consume())


@kind
def async_classmethod(decorate: Decorate, work: Work) -> object:
    class Shop:
        @decorate
        @classmethod
        async def target(cls) -> object:
            return work()

    return asyncio.run(Shop.target())


@kind
def async_staticmethod(decorate: Decorate, work: Work) -> object:
    class Shop:
        @staticmethod
        @decorate
        async def target() -> object:
            return work()

    return asyncio.run(Shop().target())


@kind
def over_abstract_method(decorate: Decorate, work: Work) -> object:
    class Shop(abc.ABC):
        @decorate
        @abc.abstractmethod
        def target(self) -> object:
            return work()

    class Bakery(Shop):
        def target(self) -> object:
            return super().target()

    return Bakery().target()


@kind
def under_abstract_method(decorate: Decorate, work: Work) -> object:
    class Shop(abc.ABC):
        @abc.abstractmethod
        @decorate
        def target(self) -> object:
            return work()

    class Bakery(Shop):
        def target(self) -> object:
            return super().target()

    return Bakery().target()


@kind
def method_of_dataclass(decorate: Decorate, work: Work) -> object:
    @dataclass(frozen=True)
    class Shop:
        first: int

        @decorate
        def target(self) -> object:
            assert self == Shop(1)
            return work()

    return Shop(1).target()


@kind
def over_classmethod(decorate: Decorate, work: Work) -> object:
    class Shop:
        @decorate
        @classmethod
        def target(cls) -> object:
            assert cls is Shop
            return work()

    return Shop.target()


@kind
def under_classmethod(decorate: Decorate, work: Work) -> object:
    class Shop:
        @classmethod
        @decorate
        def target(cls) -> object:
            assert cls is Shop
            return work()

    return Shop().target()


@kind
def over_staticmethod(decorate: Decorate, work: Work) -> object:
    class Shop:
        @decorate
        @staticmethod
        def target() -> object:
            return work()

    return Shop().target()


@kind
def under_staticmethod(decorate: Decorate, work: Work) -> object:
    class Shop:
        @staticmethod
        @decorate
        def target() -> object:
            return work()

    return Shop.target()


@kind
def over_property(decorate: Decorate, work: Work) -> object:
    class Shop:
        @decorate  # type: ignore[prop-decorator]  # mypy knows no decorator above a property
        @property
        def target(self) -> object:
            return work()

    return Shop().target


@kind
def under_property(decorate: Decorate, work: Work) -> object:
    class Shop:
        @property
        @decorate
        def target(self) -> object:
            return work()

    return Shop().target


@kind
def over_cached_property(decorate: Decorate, work: Work) -> object:
    class Shop:
        @decorate  # type: ignore[prop-decorator]  # mypy knows no decorator above a property
        @functools.cached_property
        def target(self) -> object:
            return work()

    return Shop().target


@kind
def under_cached_property(decorate: Decorate, work: Work) -> object:
    class Shop:
        @functools.cached_property
        @decorate
        def target(self) -> object:
            return work()

    return Shop().target


@kind
def callable_object(decorate: Decorate, work: Work) -> object:
    class Target:
        def __call__(self) -> object:
            return work()

    return decorate(Target())()


@kind
def async_callable_object(decorate: Decorate, work: Work) -> object:
    class Target:
        async def __call__(self) -> object:
            return work()

    return asyncio.run(decorate(Target())())


@kind
def partial(decorate: Decorate, work: Work) -> object:
    def target(first: int) -> object:
        return work()

    return decorate(functools.partial(target, 1))()


@kind
def bound_method(decorate: Decorate, work: Work) -> object:
    class Shop:
        def target(self) -> object:
            return work()

    return decorate(Shop().target)()


@kind
def whole_class(decorate: Decorate, work: Work) -> object:
    @decorate
    class Shop:
        def target(self) -> object:
            return self._private()

        def _private(self) -> object:
            return work()

    return Shop().target()


@kind
def class_over_dataclass(decorate: Decorate, work: Work) -> object:
    @decorate
    @dataclass(frozen=True)
    class Shop:
        first: int

        def target(self) -> object:
            return work()

    assert Shop(1) == Shop(1)
    return Shop(1).target()


@kind
def class_under_dataclass(decorate: Decorate, work: Work) -> object:
    @dataclass
    @decorate
    class Shop:
        first: int

        def target(self) -> object:
            return work()

    return Shop(first=1).target()


@kind
def over_cached_method(decorate: Decorate, work: Work) -> object:
    class Shop:
        @decorate
        @functools.lru_cache  # noqa: B019 - the object lives as long as the test
        def target(self, first: int) -> object:
            return work()

    return Shop().target(1)


@kind
def over_cache(decorate: Decorate, work: Work) -> object:
    @decorate
    @functools.cache
    def target() -> object:
        return work()

    return target()


@kind
def under_cache(decorate: Decorate, work: Work) -> object:
    @functools.cache
    @decorate
    def target() -> object:
        return work()

    target()
    return target()
