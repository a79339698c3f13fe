"""
Decorators: time, count and report what application code does.

    @timed("Checkout")                          a span, or a duration; for blocks: with timed("Checkout"):
    @counted("revenue", value="amount")         a counter
    @event("order.placed", attributes=["sku"])  an OpenTelemetry event

They stand on functions, coroutines, generators, methods, properties, callable objects and classes, in any
order, and work from any thread or task. Without an SDK, or where instrumentation is suppressed, they do
nothing. Each call takes two more steps of Python's recursion limit, so that a decorated function recurses to
a third of its depth (CPython 3.11: 330 of 1000; with OpenTelemetry's own decorator 490). What is recorded
stands in `probes` and `end_probes`, what is read off a call in `captures`, what replaces the function in
`wrapping`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextvars import ContextVar
from functools import _lru_cache_wrapper, cached_property, partial, partialmethod, singledispatchmethod
from types import CodeType, FunctionType, TracebackType
from typing import Any, Literal, TypeAlias, TypeVar, get_args, overload

from opentelemetry.trace import INVALID_SPAN, Span

from instrumentation.captures import Attributes, Site
from instrumentation.end_probes import CounterProbe, DurationProbe, EventProbe, On, Value
from instrumentation.holders import function_in, holder_like, is_a, is_holder
from instrumentation.probes import Probe, SpanProbe

Record = Literal["span", "metric"]
# Any, through this module: what is decorated may take and return anything, and keeps its exact type.
Method: TypeAlias = "classmethod[Any, Any, Any] | staticmethod[Any, Any]"
Place: TypeAlias = tuple[int, CodeType]  # one run of a function: where a block was entered
Held: TypeAlias = "property | cached_property[Any] | partialmethod[Any] | Method"
Decorated = TypeVar("Decorated", bound="Callable[..., Any] | Held")

_entered: ContextVar[tuple[_Entry, ...]] = ContextVar("instrumentation_entered_blocks", default=())


@overload
def timed(
    target: str | None = None,
    /,
    *,
    name: str | None = None,
    attributes: Attributes | None = None,
    record: Record = "span",
) -> TimedDecorator: ...
@overload
def timed(
    target: Decorated,
    /,
    *,
    name: str | None = None,
    attributes: Attributes | None = None,
    record: Record = "span",
) -> Decorated: ...
def timed(
    target: Any = None,
    /,
    *,
    name: str | None = None,
    attributes: Attributes | None = None,
    record: Record = "span",
) -> Any:
    """
    Time a function or a block: as a span, or for hot functions in a histogram of seconds (`record="metric"`).

    The name is the function's qualified name unless given; it may name arguments: "Checkout {step}".
    Attributes are constants (a mapping), names of arguments (and "result"), or a function of the `Call`.
    An `Exception` marks the span as failed and goes on to the caller; a cancellation does not mark it.

    A generator's span lasts from its first step to its last, so its consumer's time is in it; its duration
    (`record="metric"`) is the time its body ran. Of a context manager, decorate the generator, below
    `@contextmanager`: above, what is timed is the making of the context manager, over before the `with`
    block begins.

    An instrument's name takes few characters: the histogram of "Price lookup" is named `Price_lookup`, and
    described as "Price lookup", by which the mPulse exporter feeds the custom timer of that name.
    """
    _check("record", record, Record)
    probe = SpanProbe if record == "span" else DurationProbe
    return _applied(TimedDecorator, target, name, partial(probe, attributes=attributes))


@overload
def counted(
    target: str | None = None,
    /,
    *,
    name: str | None = None,
    value: Value = 1,
    attributes: Attributes | None = None,
    on: On = "return",
) -> Decorator: ...
@overload
def counted(
    target: Decorated,
    /,
    *,
    name: str | None = None,
    value: Value = 1,
    attributes: Attributes | None = None,
    on: On = "return",
) -> Decorated: ...
def counted(
    target: Any = None,
    /,
    *,
    name: str | None = None,
    value: Value = 1,
    attributes: Attributes | None = None,
    on: On = "return",
) -> Any:
    """
    Count a function's calls or a block's runs when they return, raise an `Exception`, or both.

    They count one, or `value`: a number, the name of an argument, or a function of the result (revenue).
    Attributes as in `timed`. A generator closed early has returned; a cancelled call has done neither.

    An instrument's name takes few characters: the counter of "Open carts" is named `Open_carts`, and
    described as "Open carts", by which the mPulse exporter feeds the custom metric of that name.
    """
    _check("on", on, On)
    if callable(value) and on != "return":
        raise ValueError(
            f"value= is a function of the result, and on={on!r} has calls without one: use on='return'"
        )
    return _applied(Decorator, target, name, partial(CounterProbe, attributes=attributes, value=value, on=on))


@overload
def event(
    target: str | None = None,
    /,
    *,
    name: str | None = None,
    attributes: Attributes | None = None,
    on: On = "return",
) -> Decorator: ...
@overload
def event(
    target: Decorated,
    /,
    *,
    name: str | None = None,
    attributes: Attributes | None = None,
    on: On = "return",
) -> Decorated: ...
def event(
    target: Any = None,
    /,
    *,
    name: str | None = None,
    attributes: Attributes | None = None,
    on: On = "return",
) -> Any:
    """
    Emit an OpenTelemetry event when a function or block returns, raises an `Exception`, or both.

    Attributes as in `timed`, ends of a call as in `counted`.
    """
    _check("on", on, On)
    return _applied(Decorator, target, name, partial(EventProbe, attributes=attributes, on=on))


def _applied(kind: type[Decorator], target: Any, name: str | None, probe_for: Callable[[Site], Probe]) -> Any:
    if isinstance(target, str):
        if name is not None:
            raise TypeError(f"two names are given: {target!r} and {name!r}")
        return kind(target, probe_for)
    decorator = kind(name, probe_for)
    return decorator if target is None else decorator(target)


def _check(setting: str, value: str, choices: Any) -> None:
    if value not in get_args(choices):
        raise ValueError(f"{setting}={value!r} is not known: use one of {', '.join(get_args(choices))}")


def _place_of_block() -> Place:
    """
    Which run of which code has the `with` in it: of two runs at one address the code tells.

    To be called where `__enter__` and the like call. Not the frame itself: what is entered and never left
    would keep the variables of all its callers alive.
    """
    method = sys._getframe(2)
    block = method.f_back or method  # a thread may begin with `__enter__`
    return id(block), block.f_code


class _Entry:
    """One run of a block, until it is left."""

    __slots__ = ("is_open", "owner", "place", "probe", "scope")

    def __init__(self, owner: Decorator, probe: Probe, scope: Any, place: Place) -> None:
        self.owner = owner
        self.probe = probe
        self.scope = scope
        self.place = place
        self.is_open = True


class Decorator:
    """
    What `timed(...)`, `counted(...)` and `event(...)` give: put it on a function or a class, or enter it.

    It may be used many times, nested, and from any thread or task.
    """

    def __init__(self, name: str | None, probe_for: Callable[[Site], Probe]) -> None:
        self.name = name
        self.asked_by: object = None  # what had it made, where that is not the code itself
        self._probe_for = probe_for
        self._block_probe: Probe | None = None
        self._open: dict[_Entry, None] = {}  # for its order, and to find any of them at once

    def __call__(self, target: Decorated) -> Decorated:
        decorated: Any = self._decorated(target)
        return decorated  # type: ignore[no-any-return]  # of the same kind as the target

    def _decorated(self, target: Any) -> Any:
        if isinstance(target, type):
            return self._decorated_class(target)
        if is_holder(target):
            function = function_in(target)
            return target if function is None else holder_like(target, self._decorated(function))
        if not callable(target) and not isinstance(target, singledispatchmethod):  # what it binds to is
            raise TypeError(f"{target!r} can not be decorated: it is not callable")
        from instrumentation.wrapping import Instrumented  # only here: wrapt is slow to import

        return Instrumented(target, self._probe_for(Site(self.name, target)), self)

    def _decorated_class(self, cls: type) -> type:
        """The same class; its own public methods are decorated."""
        for name, member in list(vars(cls).items()):
            if not name.startswith("_") and is_method(member):
                method_name = None if self.name is None else f"{self.name}.{name}"
                setattr(cls, name, type(self)(method_name, self._probe_for)(member))
        return cls

    def is_like(self, other: Decorator) -> bool:
        """Whether both record the same of a function, so that one is enough."""
        kinds = {getattr(each._probe_for, "func", None) for each in (self, other)}  # partials of probes
        return len(kinds) == 1 and (isinstance(self, TimedDecorator) or self.name == other.name)

    def __enter__(self) -> Any:
        self._enter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit(error)

    async def __aenter__(self) -> Any:
        self._enter()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit(error)

    def _probe_of_block(self, code: CodeType) -> Probe:
        if self.name is None:
            raise TypeError('a block needs a name: with timed("Checkout"): ...')
        return self._probe_for(Site(self.name, place=(code.co_filename, code.co_firstlineno)))

    def _enter(self) -> Any:
        place = _place_of_block()
        probe = self._block_probe
        if probe is None:
            probe = self._block_probe = self._probe_of_block(place[1])
        entry = _Entry(self, probe, probe.start((), {}), place)
        self._open[entry] = None
        _entered.set((*(each for each in _entered.get() if each.is_open), entry))
        return entry.scope

    def _exit(self, error: BaseException | None) -> None:
        entry = self._entry_left_at(_place_of_block())
        entry.is_open = False
        self._open.pop(entry, None)
        if entry.scope is not None:
            entry.probe.stop(entry.scope, None, error)

    def _entry_left_at(self, place: Place) -> _Entry:
        """
        The latest run that was entered at this place, as every `with` is.

        Else, as with an ExitStack, the latest that was entered in this context, or anywhere.
        """
        here = [each for each in reversed(_entered.get()) if each.owner is self and each.is_open]
        for each in here:
            if each.place == place:
                return each
        latest_first = here + list(self._open)[::-1]  # only now: it may be of thousands of tasks
        return next((each for each in latest_first if each.place == place), latest_first[0])


class TimedDecorator(Decorator):
    """A decorator whose block gives its span: `with timed("Checkout") as span:`."""

    def __enter__(self) -> Span:
        return getattr(self._enter(), "span", INVALID_SPAN)

    async def __aenter__(self) -> Span:
        return getattr(self._enter(), "span", INVALID_SPAN)


def is_method(member: object) -> bool:
    """Whether a member of a class or module is a function, or makes a method of one."""
    function = function_in(member) if is_a(member, (classmethod, staticmethod)) else member
    return is_a(function, (FunctionType, _lru_cache_wrapper, partialmethod, singledispatchmethod))
