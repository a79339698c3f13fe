"""What stands in a function's place looks, binds, copies and pickles like the function."""

from __future__ import annotations

import abc
import copy
import dataclasses
import functools
import inspect
import pickle
import types
import typing
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import pytest
import wrapt

from instrumentation import counted, event, timed

if TYPE_CHECKING:
    from tests.instrumentation.conftest import Telemetry


@timed("Checkout {first}", attributes=["first"])
@counted
def plain(first: int, *, second: str = "two") -> str:
    """Says two."""
    return second


@event
async def fetch() -> None:
    """Fetches."""


@counted
def items() -> Iterator[int]:
    yield 1


@timed
async def async_items() -> AsyncIterator[int]:
    yield 1


class Shop:
    name = "tea"

    @timed
    @counted(value=lambda _: 2)
    def open(self, hour: int) -> str:
        return self.name * hour

    @timed
    @classmethod
    def build(cls) -> Shop:
        return cls()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Shop)

    __hash__ = None  # type: ignore[assignment]


@timed
class Teller:
    def __init__(self, till: int = 0) -> None:
        self.till = till

    def __call__(self) -> int:
        return self.till

    def count(self) -> int:
        return self.till


TELLER = timed("teller")(Teller(5))


def test_looks_like_the_function() -> None:
    """Signature, documentation, annotations, name and module are the function's own."""
    assert str(inspect.signature(plain)) == "(first: 'int', *, second: 'str' = 'two') -> 'str'"
    assert str(inspect.signature(Shop().open)) == "(hour: 'int') -> 'str'"
    assert (plain.__doc__, plain.__name__, plain.__qualname__) == ("Says two.", "plain", "plain")
    assert plain.__module__ == __name__
    assert plain.__annotations__ == {"first": "int", "second": "str", "return": "str"}
    assert typing.get_type_hints(plain) == {"first": int, "second": str, "return": str}
    assert inspect.isfunction(plain)
    assert inspect.ismethod(Shop().open)


def test_kind_is_recognised() -> None:
    """`inspect` tells coroutine, generator and async generator functions as it did before."""
    tests = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    kinds = [[test(each) for test in tests] for each in (plain, fetch, items, async_items)]

    assert kinds == [[False, False, False], [True, False, False], [False, True, False], [False, False, True]]
    assert isinstance(items(), types.GeneratorType)
    assert isinstance(async_items(), types.AsyncGeneratorType)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_module_level_function_pickles_by_name(protocol: Any) -> None:
    """A module-level function, however stacked, comes back from pickle as itself."""
    assert pickle.loads(pickle.dumps(plain, protocol)) is plain
    assert pickle.loads(pickle.dumps(Shop.open, protocol)) is Shop.open


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_bound_methods_pickle_with_their_object(protocol: Any) -> None:
    """A bound method or class method comes back bound to an equal object."""
    method = pickle.loads(pickle.dumps(Shop().open, protocol))
    build = pickle.loads(pickle.dumps(Shop.build, protocol))

    assert method(2) == "teatea"
    assert isinstance(build(), Shop)


def test_functions_and_methods_copy() -> None:
    """Functions copy as themselves; bound methods and callable objects as equals."""
    assert copy.copy(plain) is plain
    assert copy.deepcopy([plain])[0] is plain
    assert copy.copy(Shop().open)(1) == "tea"
    assert copy.deepcopy(Shop().open)(1) == "tea"


def test_callable_object_copies_and_pickles(telemetry: Telemetry) -> None:
    """A decorated object is copied and pickled with its decorator."""
    copies = [copy.copy(TELLER), copy.deepcopy(TELLER), pickle.loads(pickle.dumps(TELLER))]

    assert [each() for each in copies] == [5, 5, 5]
    assert all(each is not TELLER and isinstance(each, Teller) for each in copies)
    assert telemetry.names() == ["teller"] * 3


def test_function_runs_in_another_process() -> None:
    """A decorated function and a bound method can be sent to a process pool."""
    with ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool:
        assert pool.submit(plain, 1).result() == "two"
        assert pool.submit(Shop().open, 1).result() == "tea"


def test_bound_methods_are_equal() -> None:
    """Two accesses of one method of one object are equal, as undecorated."""
    shop = Shop()

    assert shop.open == shop.open


def test_class_stays_the_same_object() -> None:
    """A decorated class is the same class: instances, subclasses and pickling are untouched."""

    class Shop:
        kind = dict

        class Inner:
            pass

        def open(self) -> Any:
            return 1

        def _private(self) -> Any:
            return 2

    private, inner = vars(Shop)["_private"], Shop.Inner
    decorated = timed(Shop)

    assert decorated is Shop
    assert vars(Shop)["_private"] is private
    assert (Shop.Inner, Shop.kind) == (inner, dict)
    assert pickle.loads(pickle.dumps(Teller(3))).till == 3


def test_abstract_methods_stay_abstract() -> None:
    """An abstract method is abstract with the decorator above it or underneath."""

    class Shop(abc.ABC):
        @timed
        @abc.abstractmethod
        def above(self) -> None: ...

        @abc.abstractmethod
        @timed
        def below(self) -> None: ...

        @timed
        @classmethod
        @abc.abstractmethod
        def of_class(cls) -> None: ...

        @timed  # type: ignore[prop-decorator]  # mypy knows no decorator above a property
        @property
        @abc.abstractmethod
        def value(self) -> None: ...

    assert Shop.__abstractmethods__ == {"above", "below", "of_class", "value"}


@pytest.mark.parametrize(
    "dataclass", [dataclasses.dataclass(frozen=True), dataclasses.dataclass(frozen=True, slots=True)]
)
def test_dataclass_works_above_and_below(dataclass: Callable[[type], Any], telemetry: Telemetry) -> None:
    """A dataclass is decorated, or made from a decorated class, with its own methods intact."""

    @timed
    @dataclass
    class Above:
        price: int

        def double(self) -> Any:
            return self.price * 2

    @dataclass
    @timed
    class Below:
        price: int

        def double(self) -> Any:
            return self.price * 2

    assert (Above(2), Above(2).double(), Below(2).double()) == (Above(2), 4, 4)
    assert len(telemetry.spans()) == 2


def test_property_keeps_setter_and_documentation(telemetry: Telemetry) -> None:
    """A decorated property is a property with its setter; only reading it is recorded."""

    class Shop:
        _price = 1

        @property
        def price(self) -> Any:
            """The price."""
            return self._price

        @price.setter
        def price(self, value: Any) -> None:
            self._price = value

        price = timed("price")(price)

    shop = Shop()
    shop.price = 3

    assert (shop.price, Shop.price.__doc__) == (3, "The price.")
    assert telemetry.names() == ["price"]


def test_cache_is_reached_through_the_decorator(telemetry: Telemetry) -> None:
    """A cache underneath keeps its methods, for functions and for methods of a class."""

    class Shop:
        @timed
        @functools.lru_cache  # noqa: B019 - the object lives as long as the test
        def price(self, item: Any) -> Any:
            return object()

    @timed
    @functools.cache
    def price(item: Any) -> Any:
        return object()

    shop = Shop()
    assert price("tea") is price("tea")
    assert shop.price("tea") is shop.price("tea")
    assert price.cache_info().hits == 1
    price.cache_clear()


def test_foreign_descriptor_binds_as_it_likes(telemetry: Telemetry) -> None:
    """A method decorated by another library sees its instance through our decorator."""
    seen = []

    @wrapt.decorator
    def other(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        seen.append(instance)
        return wrapped(*args, **kwargs)

    class Shop:
        @timed("above")
        @other
        def above(self, item: Any) -> Any:
            return item

        @other
        @timed("below")
        def below(self, item: Any) -> Any:
            return item

    shop = Shop()
    assert (shop.above(1), shop.below(2)) == (1, 2)  # type: ignore[arg-type]  # as wrapt's stubs bind below
    assert seen == [shop, shop]
    assert telemetry.names() == ["above", "below"]


def test_recursion(telemetry: Telemetry) -> None:
    """A recursive function has one span per call, each under its caller's."""

    @timed
    def factorial(n: Any) -> Any:
        return 1 if n == 0 else n * factorial(n - 1)

    assert factorial(5) == 120
    spans = telemetry.spans()
    assert [inner.parent for inner in spans[:-1]] == [outer.context for outer in spans[1:]]


def test_arguments_of_any_name_reach_the_function() -> None:
    """No argument name is taken by the decorator."""

    @timed("{self} {function}")
    def take(**arguments: Any) -> Any:
        return arguments

    names = dict.fromkeys(("self", "function", "args", "kwargs", "wrapped", "instance", "probe"), 1)
    assert take(**names) == names


def test_what_is_not_callable_is_refused() -> None:
    """Decorating what can not be called fails at decoration and says so."""
    with pytest.raises(TypeError, match="can not be decorated: it is not callable"):
        timed(3)  # type: ignore[call-overload]  # the wrong use
