"""What stands in a function's place: it drives the body, and looks and behaves like the function."""

from __future__ import annotations

import abc
import asyncio
import copy
import dataclasses
import functools
import gc
import inspect
import os
import pickle
import subprocess
import sys
import types
import typing
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextvars import copy_context
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import wrapt
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry import trace

from instrumentation import counted, event, timed

if TYPE_CHECKING:
    from tests.instrumentation.conftest import Telemetry

REPOSITORY = Path(__file__).parents[2]


def current() -> Any:
    return trace.get_current_span()


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


# Coroutines


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


def test_coroutine_takes_any_arguments_that_the_function_takes(telemetry: Telemetry) -> None:
    """Variadic ones, and those of callable objects and partial functions, arrive as they were given."""

    async def fetch(*args: Any, **kwargs: Any) -> object:
        return args, kwargs

    class Fetcher:
        async def __call__(self, *args: Any, **kwargs: Any) -> object:
            return args, kwargs

    for function in (fetch, functools.partial(fetch), Fetcher()):
        assert asyncio.run(timed(function)(1, two=2)) == ((1,), {"two": 2})


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


# Generators in general

THROWN: list[type[BaseException]] = [
    LookupError,
    KeyboardInterrupt,
    StopIteration,
    StopAsyncIteration,
    GeneratorExit,
]
AT_AN_ERROR = st.lists(st.sampled_from(["raise", "go on", "return", "raise another"]), max_size=4)
STEPS = st.lists(
    st.one_of(st.just("next"), st.integers(), st.just("close"), st.sampled_from(THROWN)), max_size=7
)
ONE_SDK = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def generator_of(at_an_error: list[str]) -> Generator[object, object, object]:
    """Tells all it meets, and meets errors as it is told."""
    met: list[object] = []
    for reaction in at_an_error:
        try:
            met.append((yield list(met)))
        except BaseException as error:  # noqa: PERF203 - each turn meets its own
            met.append(type(error))
            if reaction == "return":
                return met
            if reaction == "raise":
                raise
            if reaction == "raise another":
                raise OSError from error
    return met


async def async_generator_of(at_an_error: list[str]) -> AsyncGenerator[object, object]:
    """The same, with pauses."""
    met: list[object] = []
    for reaction in at_an_error:
        try:
            met.append((yield list(met)))
            await asyncio.sleep(0)
        except BaseException as error:  # noqa: PERF203 - each turn meets its own
            await asyncio.sleep(0)
            met.append(type(error))
            if reaction == "return":
                return
            if reaction == "raise":
                raise
            if reaction == "raise another":
                raise OSError from error


def taken(generator: Generator[object, object, object], step: Any) -> object:
    try:
        if isinstance(step, type):
            return generator.throw(step())
        if step == "close":
            return generator.close()  # type: ignore[func-returns-value]  # since Python 3.13 it gives the result
        return generator.send(None if step == "next" else step)
    except BaseException as error:  # noqa: BLE001 - it is the answer
        return type(error), str(error), getattr(error, "value", None), type(error.__cause__)


async def async_taken(generator: AsyncGenerator[object, object], step: Any) -> object:
    try:
        if isinstance(step, type):
            return await generator.athrow(step())
        if step == "close":
            await generator.aclose()
            return "closed"
        return await generator.asend(None if step == "next" else step)
    except BaseException as error:  # noqa: BLE001 - it is the answer
        return type(error), str(error), type(error.__cause__)


@ONE_SDK
@given(AT_AN_ERROR, STEPS)
def test_any_use_of_a_generator_goes_as_undecorated(
    telemetry: Telemetry, at_an_error: list[str], steps: list[object]
) -> None:
    """Whatever is sent, thrown and closed in whatever order, a decorated generator answers the same."""
    steps = [*steps, *["next"] * 6]  # to the end: one left half way may complain when it is destroyed
    decorated = timed(generator_of)(at_an_error)
    undecorated = generator_of(at_an_error)

    assert [taken(decorated, step) for step in steps] == [taken(undecorated, step) for step in steps]
    assert current() is trace.INVALID_SPAN


@ONE_SDK
@given(AT_AN_ERROR, STEPS)
def test_any_use_of_an_async_generator_goes_as_undecorated(
    telemetry: Telemetry, at_an_error: list[str], steps: list[object]
) -> None:
    """Whatever is sent, thrown and closed in whatever order, a decorated async generator answers the same."""
    steps = [*steps, *["next"] * 6]

    async def answers(generator: AsyncGenerator[object, object]) -> list[object]:
        return [await async_taken(generator, step) for step in steps]

    decorated = asyncio.run(answers(timed(async_generator_of)(at_an_error)))
    undecorated = asyncio.run(answers(async_generator_of(at_an_error)))

    assert decorated == undecorated
    assert current() is trace.INVALID_SPAN


# Coroutines


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


# What is preserved


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


# The package


def test_works_on_wrapt_in_pure_python() -> None:
    """All these tests hold when wrapt has no C extension."""
    environment = {**os.environ, "WRAPT_DISABLE_EXTENSIONS": "1"}
    itself = f"{Path(__file__).relative_to(REPOSITORY)}::test_works_on_wrapt_in_pure_python"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--deselect", itself]
    command.append(str(Path(__file__).parent))

    run = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
    )

    assert run.returncode == 0, run.stdout


def test_import_needs_neither_sdk_nor_requests() -> None:
    """Importing and decorating loads the API and wrapt: no SDK, no requests."""
    code = (
        "import sys, instrumentation\n"
        "light = sorted(name for name in ('wrapt', 'asyncio') if name in sys.modules)\n"
        "instrumentation.timed(len)([])\n"
        "heavy = sorted(name for name in ('opentelemetry.sdk', 'requests') if name in sys.modules)\n"
        "print(light, heavy)"
    )

    run = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )

    assert run.stdout == "[] []\n"


def test_global_sdk_set_up_late_in_a_real_process() -> None:
    """With the public set-up functions, called after decoration, calls are recorded."""
    code = """
from instrumentation import counted, event, timed
functions = [decorate("late")(lambda: None) for decorate in (timed, counted, event)]
[function() for function in functions]
from opentelemetry import _logs, metrics, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor, InMemoryLogRecordExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
spans, logs, reader = InMemorySpanExporter(), InMemoryLogRecordExporter(), InMemoryMetricReader()
tracer_provider, logger_provider = TracerProvider(), LoggerProvider()
tracer_provider.add_span_processor(SimpleSpanProcessor(spans))
logger_provider.add_log_record_processor(SimpleLogRecordProcessor(logs))
trace.set_tracer_provider(tracer_provider)
metrics.set_meter_provider(MeterProvider([reader]))
_logs.set_logger_provider(logger_provider)
[function() for function in functions]
points = reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics[0].data.data_points
print(len(spans.get_finished_spans()), points[0].value, len(logs.get_finished_logs()))
"""
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )

    assert run.stdout == "1 1 1\n"


def test_provider_named_by_the_environment_is_loaded() -> None:
    """A tracer provider that the environment names is used without any set-up call."""
    code = (
        "from opentelemetry import trace\n"
        "from instrumentation import timed\n"
        "print(timed(lambda: trace.get_current_span().get_span_context().is_valid)())"
    )
    environment = {**os.environ, "OTEL_PYTHON_TRACER_PROVIDER": "sdk_tracer_provider"}

    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )

    assert run.stdout == "True\n"
