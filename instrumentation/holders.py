"""
Holders: what holds a function in the body of a class and is none, as a property or a static method.

Knows how to read the function and how to make a holder of another one; what is put in its place, decorators
know. Rule: a holder of a class of the application's own keeps all it has, whatever its `__init__` takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partialmethod
from itertools import takewhile
from types import MemberDescriptorType
from typing import Any

# Any, all through this module: holders and functions of every kind.
Holder = Any


@dataclass(frozen=True, slots=True)
class _Kind:
    """One of Python's own classes of holders."""

    holder: Any
    function: str  # the attribute that has the function
    init: Callable[[Holder, Holder, Any], None]  # of a new holder, like an old one, the function


_KINDS = (
    _Kind(classmethod, "__func__", lambda new, _, function: classmethod.__init__(new, function)),
    _Kind(staticmethod, "__func__", lambda new, _, function: staticmethod.__init__(new, function)),
    _Kind(
        property,
        "fget",
        lambda new, old, function: property.__init__(new, function, old.fset, old.fdel, old.__doc__),
    ),
    _Kind(cached_property, "func", lambda new, _, function: cached_property.__init__(new, function)),
    _Kind(
        partialmethod,
        "func",
        lambda new, old, function: partialmethod.__init__(new, function, *old.args, **old.keywords),
    ),
)


def is_a(value: object, kinds: type | tuple[type, ...]) -> bool:
    """Whether it is, or stands for, one of them; a proxy whose object is not there yet is none."""
    try:
        return isinstance(value, kinds)
    except Exception:  # noqa: BLE001 - `isinstance` asks the value for its class: code of the application
        return False


def is_holder(value: object) -> bool:
    """Whether the value is there to hold a function."""
    return _kind_of(value) is not None


def function_in(holder: Holder) -> Any:
    """The function; None of a property that can only be set."""
    kind = _kind_of(holder)
    return None if kind is None else getattr(holder, kind.function)


def holder_like(holder: Holder, function: Any) -> Holder:
    """A holder of the function, and otherwise like the given one."""
    kind = _kind_of(holder)
    assert kind is not None
    new: Holder = kind.holder.__new__(type(holder))
    kind.init(new, holder, function)
    state = getattr(new, "__dict__", {})
    made = {name: state[name] for name in ("func", "__wrapped__") if name in state}
    state.update({**getattr(holder, "__dict__", {}), **made})
    for slot in _slots(type(holder), kind.holder):
        with suppress(AttributeError):  # one that was never filled
            slot.__set__(new, slot.__get__(holder))
    return new


def _kind_of(value: object) -> _Kind | None:
    return next((kind for kind in _KINDS if is_a(value, kind.holder)), None)


def _slots(own: type, python: type) -> Iterator[MemberDescriptorType]:
    """What classes of the application's have `__slots__` for."""
    for cls in takewhile(lambda each: each is not python, own.__mro__):
        yield from (each for each in vars(cls).values() if isinstance(each, MemberDescriptorType))
