"""
What the decorators are to mypy and pyright: checked by them, not run; importing it works all the same.

Every decorated name keeps exactly the type it had.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from functools import cached_property, partialmethod
from typing import Generic, TypeVar

from opentelemetry.trace import Span
from typing_extensions import assert_type

from instrumentation import (
    Call,
    EventHandler,
    VisitorDetails,
    VisitorMiddleware,
    counted,
    event,
    instrument_functions,
    redact,
    set_visitor,
    timed,
    uninstrument,
    visitor,
)

T = TypeVar("T")


@timed
def bare(first: int, *, second: str = "two") -> str:
    return second * first


@timed("Checkout {first}", attributes=["first"])
def named(first: int) -> str:
    return str(first)


@counted(name="revenue", value=lambda total: total * 0.5, attributes={"channel": "web"}, on="return")
async def coroutine(first: int) -> float:
    return first


@event("order.placed", attributes=lambda call: {"total": call.result}, on="both")
def generator() -> Generator[int, str, bool]:
    yield 1
    return True


@timed(record="metric")
async def async_generator() -> AsyncIterator[int]:
    yield 1


@timed
@counted("stacked")
@event
def generic(item: T) -> list[T]:
    return [item]


@timed
class Shop(Generic[T]):
    def __init__(self, item: T) -> None:
        self.item = item

    @timed
    def method(self, times: int) -> list[T]:
        return [self.item] * times

    @timed("async")
    async def async_method(self) -> T:
        return self.item

    @classmethod
    @counted
    def of_class(cls, item: T) -> Shop[T]:
        return cls(item)

    @staticmethod
    @event
    def static(first: int) -> str:
        return str(first)

    @property
    @timed
    def price(self) -> float:
        return 1.5

    @cached_property
    @timed
    def stock(self) -> int:
        return 2


class Above:
    """The decorator on top. mypy knows none above a property (pyright does), and tells its type."""

    @timed  # type: ignore[prop-decorator]
    @property
    def price(self) -> float:
        return 1.5

    @timed("Stock", record="metric")  # type: ignore[prop-decorator]
    @cached_property
    def stock(self) -> int:
        return 2

    @timed
    @classmethod
    def of_class(cls) -> int:
        return 3

    @counted("static")
    @staticmethod
    def static(first: int) -> str:
        return str(first)

    def add(self, first: int) -> int:
        return first

    add_one = timed(partialmethod(add, 1))


class Teller:
    till = 5

    def __call__(self, amount: int) -> int:
        return amount


TELLER = timed("teller")(Teller())


def wrong_uses() -> None:
    bare("one")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    timed(3)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    timed(record="span and metric")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    counted(on="sometimes")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    counted(value=None)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]


async def right_uses() -> None:
    assert_type(bare(1, second="x"), str)
    assert_type(named(1), str)
    assert_type(await coroutine(1), float)
    assert_type(generator(), Generator[int, str, bool])
    assert_type([item async for item in async_generator()], list[int])
    assert_type(generic("x"), list[str])
    shop = Shop("tea")
    assert_type(shop, Shop[str])
    assert_type(shop.method(2), list[str])
    assert_type(await shop.async_method(), str)
    assert_type(shop.static(1), str)
    assert_type(shop.price, float)
    assert_type(shop.stock, int)
    above = Above()
    assert_type(above.add_one(), int)
    assert_type(above.price, float)
    assert_type(above.stock, int)
    assert_type(Above.of_class(), int)
    assert_type(above.static(1), str)
    assert_type(TELLER, Teller)
    assert_type(TELLER(1), int)
    assert_type(timed(bare, name="other")(1), str)


async def blocks() -> None:
    with timed("checkout") as span:
        assert_type(span, Span)
    async with timed("checkout", attributes={"step": "pay"}) as span:
        assert_type(span, Span)
    with counted("orders", value=3, on="both"), event("order.placed"):
        pass
    async with counted("orders"):
        pass


def functions() -> tuple[Callable[[int], str], Callable[[int], Awaitable[float]]]:
    redact("employee_number", "iban")
    instrument_functions(["shop.cart:add=timed", {"target": "shop.cart:pay", "use": "counted", "value": 2}])
    instrument_functions([3])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    uninstrument()
    assert_type(Call({}).arguments["sku"], object)
    return named, coroutine


@visitor(lambda call: {"user_id": str(call.arguments["who"])}, page_group="Cart")
def as_visitor(who: str) -> int:
    return len(who)


@visitor(user_id="u-1")
async def as_visitor_later(who: str) -> int:
    return len(who)


def of_request(request: object) -> VisitorDetails | None:
    return {"user_id": "u-1", "dimensions": {"Plan": "gold"}, "consent": {"gdpr.analytics": True}}


def visitors() -> None:
    assert_type(as_visitor("me"), int)
    with visitor(user_id=7, session_id="s-1", session_start_unix_ms=1):
        set_visitor(identities={"email": "a@b.example"}, user_attributes={"tags": ["a"]})
    VisitorMiddleware(object(), visitor=of_request, cookie=None)
    EventHandler("INFO", exporters={"mparticle": {"api_key": "k"}}, deny=["internal.*"], records="events")


async def visitors_later() -> None:
    async with visitor(anonymous_id="a-1"):
        assert_type(await as_visitor_later("me"), int)
