"""
Wrapping: what stands in the place of a decorated function.

A transparent proxy (wrapt) whose body drives the function's own, between the start and the stop of a probe.
Imported at the first decoration: wrapt takes longer to import than all the rest of this package.
"""

from __future__ import annotations

import copy
import functools
import inspect
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from types import CodeType, FunctionType, MethodType, TracebackType, coroutine
from typing import Any, TypeAlias

import wrapt

from instrumentation.probes import NO_PROBE, Args, Kwargs, Probe

# Any, all through this module: what is decorated may take and return anything.
Function: TypeAlias = Callable[..., Any]
Decorate: TypeAlias = Callable[[Any], Any]

# Python makes these of a class body's plain functions by their names ("Special method names"): so do we.
_IMPLICIT_KINDS: dict[str, type[Any]] = {
    "__class_getitem__": classmethod,
    "__init_subclass__": classmethod,
    "__new__": staticmethod,
}


class Instrumented(wrapt.CallableObjectProxy):  # type: ignore[type-arg]  # wrapt 1 can not be subscripted
    """
    A decorated function: looks, pickles and copies like the function itself.

    Calls go straight to the body, which was chosen at decoration. A plain function is bound by Python's own
    method type, so methods bind, pickle and compare as any other.
    """

    def __init__(self, function: Function, probe: Probe, decorate: Decorate) -> None:
        super().__init__(function)
        make_body = _body_of(function)
        body = None if make_body is None else make_body(function, probe)
        # In one: a proxy's attribute is slow to be read, and of all `__wrapped__`.
        self._self_call = body, function, probe.start, probe.stop
        self._self_decorate = decorate
        self._self_is_plain = _is_plain(function)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        body, function, start, stop = self._self_call
        if body is not None:
            return body(*args, **kwargs)
        # Here and not in a body of its own: each frame less lets a decorated function recurse deeper.
        scope = start(args, kwargs)
        if scope is None:
            return function(*args, **kwargs)
        try:
            try:
                result = function(*args, **kwargs)
            except BaseException as error:
                stop(scope, None, error)
                scope = None
                raise
            stop(scope, result, None)
            return result
        except BaseException:
            if scope is not None:  # an interrupt ended the stop
                scope.release()
            raise

    def __set_name__(self, owner: type, name: str) -> None:
        kind = _IMPLICIT_KINDS.get(name)
        if kind is not None and isinstance(self.__wrapped__, FunctionType):
            type.__setattr__(owner, name, kind(self))
            return
        set_name = getattr(type(self.__wrapped__), "__set_name__", None)
        if set_name is not None:
            set_name(self.__wrapped__, owner, name)

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        if self._self_is_plain:
            return self if instance is None else MethodType(self, instance)
        return self._bound_by_itself(instance, owner)

    def _bound_by_itself(self, instance: object, owner: type | None) -> Any:
        """What descriptors of other libraries bind to is theirs to say; it is decorated anew."""
        bind = getattr(self.__wrapped__, "__get__", None)
        bound = self.__wrapped__ if bind is None else bind(instance, owner)
        return self if bound is self.__wrapped__ else self._self_decorate(bound)

    def __reduce_ex__(self, protocol: Any) -> Any:
        if self._self_is_plain:
            return self.__wrapped__.__qualname__
        return self._self_decorate, (self.__wrapped__,)

    def __copy__(self) -> Any:
        return self if self._self_is_plain else self._self_decorate(copy.copy(self.__wrapped__))

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self if self._self_is_plain else self._self_decorate(copy.deepcopy(self.__wrapped__, memo))


# Functions, not methods: the proxy is to have no name of its own that the function might have.


def decorator_of(function: Instrumented) -> Any:
    """What decorated the function (Any: `decorators.Decorator`, which imports this module)."""
    return function._self_decorate


def silence(function: Instrumented) -> None:
    """Record no more calls of it, wherever it is still held."""
    _, inner, start, stop = function._self_call
    function._self_call = inner, inner, start, stop


def _is_plain(function: Function) -> bool:
    if isinstance(function, Instrumented):
        return bool(function._self_is_plain)
    return type(function) in (FunctionType, functools._lru_cache_wrapper)


def _body_of(function: Function) -> Callable[[Function, Probe], Function] | None:
    """
    The body that fits the kind of function, None for a plain one.

    Of callable objects, their class's `__call__` tells it.
    """
    for candidate in (function, getattr(function.__class__, "__call__", None)):  # noqa: B004 - not a test for callability
        for is_kind, body in _BODIES:
            if _is_of_kind(candidate, is_kind):
                return body
    return None


def _is_of_kind(candidate: Any, is_kind: Callable[[Any], bool]) -> bool:
    """Whether it is; what answers for any attribute, and fails, is of none."""
    try:
        return is_kind(candidate)
    except Exception:  # noqa: BLE001 - a `__getattr__` of the application
        return False


def _coroutine_body(function: Function, probe: Probe) -> Function:
    start, stop = probe.start, probe.stop
    arguments = _Arguments(function)

    def body(*args: Any, **kwargs: Any) -> Any:
        arguments.check()(*args, **kwargs)
        return drive(args, kwargs)

    async def drive(args: Args, kwargs: Kwargs) -> Any:
        scope = start(args, kwargs)
        try:
            try:
                running = function(*args, **kwargs)
                del args, kwargs  # the function may let them go
                result = await running
            except BaseException as error:
                if scope is not None:
                    stop(scope, None, error)
                    scope = None
                raise
            if scope is not None:
                stop(scope, result, None)
            return result
        except BaseException:
            if scope is not None:  # as in `Instrumented.__call__`
                scope.release()
            raise

    _name_like(function, drive)
    return body


class _Arguments:
    """
    What a coroutine function takes.

    The coroutine itself is made when it is awaited: one made before and cancelled before its first step would
    leave Python warning of a coroutine that was never awaited. So a call is tried on an empty function first.
    """

    __slots__ = ("_check", "_code", "_function")

    def __init__(self, function: Function) -> None:
        while isinstance(function, Instrumented):
            function = function.__wrapped__
        self._function: Any = function if type(function) is FunctionType else None
        self._code: CodeType | None = None
        self._check: Any = _takes_anything

    def check(self) -> Function:
        """
        A function that takes what the given one takes by now, and does nothing: wrongly called, it fails so.

        Whatever is no plain function is not checked.
        """
        function = self._function
        if function is not None and not (
            self._code is function.__code__
            and self._check.__defaults__ is function.__defaults__
            and self._check.__kwdefaults__ is function.__kwdefaults__
        ):
            self._check, self._code = _empty_like(function), function.__code__
        check: Function = self._check
        return check


def _empty_like(function: FunctionType) -> Function:
    code = function.__code__
    variadic = code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS)
    count = code.co_argcount + code.co_kwonlyargcount + variadic.bit_count()
    empty = _takes_nothing.__code__.replace(
        co_argcount=code.co_argcount,
        co_posonlyargcount=code.co_posonlyargcount,
        co_kwonlyargcount=code.co_kwonlyargcount,
        co_nlocals=count,
        co_varnames=code.co_varnames[:count],
        co_flags=_takes_nothing.__code__.co_flags | variadic,
        co_name=code.co_name,
    )
    check = FunctionType(empty, {}, code.co_name, function.__defaults__)
    check.__kwdefaults__ = function.__kwdefaults__
    check.__qualname__ = function.__qualname__
    return check


def _takes_nothing() -> None:
    pass


def _takes_anything(*args: Any, **kwargs: Any) -> None:
    pass


class _Run:
    """One run of a generator's body, recorded when it is left. For whoever runs the generator."""

    __slots__ = ("_recorder", "_scope", "result")

    def __init__(self, probe: Probe, args: Args, kwargs: Kwargs) -> None:
        self._scope = probe.start(args, kwargs)
        self._recorder = NO_PROBE if self._scope is None else probe
        self.result: object = None

    def suspend(self) -> None:
        self._recorder.suspend(self._scope)

    def resume(self) -> None:
        self._recorder.resume(self._scope)

    def __enter__(self) -> _Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        is_closed_early = isinstance(error, GeneratorExit)  # the consumer had enough
        self._recorder.stop(self._scope, self.result, None if is_closed_early else error)


def _generator_body(function: Function, probe: Probe) -> Function:
    def body(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        return drive(function(*args, **kwargs), args, kwargs)

    def drive(generator: Any, args: Args, kwargs: Kwargs) -> Generator[Any, Any, Any]:
        with _Run(probe, args, kwargs) as run:
            del args, kwargs
            step, sent = generator.send, None
            try:
                while True:
                    item, sent = [step(sent)], None  # nothing is kept that the consumer may let go
                    run.suspend()
                    try:
                        step, sent = generator.send, (yield item.pop())
                    except BaseException as thrown:  # noqa: BLE001 - whatever it is, it is meant for the generator
                        step, sent = generator.throw, thrown
                    run.resume()
            except StopIteration as end:
                run.result = end.value
                return end.value
            finally:
                del sent  # an error thrown in would hold this frame, and this frame the error

    _name_like(function, drive)
    return body


def _generator_coroutine_body(function: Function, probe: Probe) -> Function:
    """Of a generator that is awaited, as `types.coroutine` makes it: what it yields is for the event loop."""
    start, stop = probe.start, probe.stop

    def body(*args: Any, **kwargs: Any) -> Any:
        return drive(function(*args, **kwargs), args, kwargs)

    @coroutine
    def drive(generator: Any, args: Args, kwargs: Kwargs) -> Generator[Any, Any, Any]:
        scope = start(args, kwargs)
        del args, kwargs
        if scope is None:
            return (yield from generator)
        try:
            result = yield from generator
        except BaseException as error:
            stop(scope, None, error)
            raise
        stop(scope, result, None)
        return result

    _name_like(function, drive)
    return body


def _async_generator_body(function: Function, probe: Probe) -> Function:
    def body(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        return drive(function(*args, **kwargs), args, kwargs)

    async def drive(generator: Any, args: Args, kwargs: Kwargs) -> AsyncGenerator[Any, Any]:
        with _Run(probe, args, kwargs) as run:
            del args, kwargs
            step = _first_step(generator)
            try:
                while True:
                    item, step = [await step], None  # as above
                    run.suspend()
                    try:
                        step = generator.asend((yield item.pop()))
                    except BaseException as thrown:  # noqa: BLE001 - whatever it is, it is meant for the generator
                        step = generator.athrow(thrown)
                    run.resume()
            except StopAsyncIteration:
                return
            finally:
                del step  # as above

    _name_like(function, drive)
    return body


def _first_step(generator: Any) -> Any:
    """
    Begin the generator without telling the event loop of it.

    The loop knows the generator around it. Knowing both, at its end it would close both at once, and fail.
    """
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, None)
    try:
        return generator.asend(None)
    finally:
        sys.set_asyncgen_hooks(*hooks)


def _name_like(function: Function, body: Function) -> None:
    """Tasks, warnings and tracebacks show the function's name."""
    body.__name__ = getattr(function, "__name__", body.__name__)
    body.__qualname__ = getattr(function, "__qualname__", body.__qualname__)


def _is_generator_coroutine(function: Any) -> bool:
    while isinstance(function, (MethodType, functools.partial)):
        function = function.__func__ if isinstance(function, MethodType) else function.func
    code = getattr(function, "__code__", None)
    return isinstance(code, CodeType) and bool(code.co_flags & inspect.CO_ITERABLE_COROUTINE)


_BODIES: tuple[tuple[Callable[[Any], bool], Callable[[Function, Probe], Function]], ...] = (
    (inspect.iscoroutinefunction, _coroutine_body),
    (_is_generator_coroutine, _generator_coroutine_body),
    (inspect.isgeneratorfunction, _generator_body),
    (inspect.isasyncgenfunction, _async_generator_body),
)
