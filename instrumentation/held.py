"""
Held: who took a function before it was wrapped, and goes on to call it as it was.

A framework's table of views, a default argument or a closure calls the function itself: unrecorded, and not
to be pickled any more, since its name leads to another. That is told and not cured: what somebody else
holds is not ours to exchange.
"""

from __future__ import annotations

import gc
import sys
from collections import Counter
from collections.abc import Iterable
from types import AsyncGeneratorType, CoroutineType, FrameType, FunctionType, GeneratorType, ModuleType

from instrumentation.guarded_logger import GuardedLogger
from instrumentation.members import Member, is_at_home
from instrumentation.wrapping import Instrumented

_logger = GuardedLogger("instrumentation.auto")

_MOST_TOLD = 5
# Calls of it, and our own look.
_PASSING = (FrameType, GeneratorType, CoroutineType, AsyncGeneratorType, Member)


def tell_of_held(members: Iterable[Member]) -> None:
    """
    Tell of plain functions that somebody holds by more than their names in modules and classes.

    The garbage collector, which looks at all objects of the process, is asked once for all of them, and only
    when they have more references than they would have alone. So give all of a module at once.
    """
    found = [each for each in members if _is_own_function(each)]
    times = Counter(id(each.value) for each in found)  # one function may be asked for by several entries
    held = {id(each.value): each for each in found if _has_other_references(each, times[id(each.value)])}
    told = [
        f"{each.value.__module__}:{each.value.__qualname__} (by {', '.join(sorted(holders))})"
        for each, holders in _holders(held)
        if Instrumented.__name__ not in holders  # wrapped under another name: what else holds it may be ours
    ]
    if told:
        more = f" and {len(told) - _MOST_TOLD} more" if len(told) > _MOST_TOLD else ""
        _logger.warning(
            "taken before they were wrapped: %s%s. Calls through what took them are not recorded, and from "
            "there they can not be pickled: decorate them in the code, below what takes them",
            ", ".join(told[:_MOST_TOLD]),
            more,
        )


def _has_other_references(member: Member, times_found: int) -> bool:
    """Whether it has more than the name it was found by and the members that were made of it."""
    alone = Member(member.owner, member.name, lambda: None)
    return sys.getrefcount(member.value) > sys.getrefcount(alone.value) + times_found


def _is_own_function(member: Member) -> bool:
    """Whether it is a plain function of its owner's; what that has from others, others hold."""
    if type(member.value) is not FunctionType:
        return False
    if isinstance(member.owner, ModuleType):
        return is_at_home(member.owner, member.value)
    return bool(member.value.__qualname__ == f"{member.owner.__qualname__}.{member.name}")


def _holders(held: dict[int, Member]) -> list[tuple[Member, set[str]]]:
    """Those of the functions that are held, and the types of what holds them."""
    functions = tuple(each.value for each in held.values())
    found: dict[int, set[str]] = {}
    for holder in gc.get_referrers(*functions) if functions else ():
        if holder is functions or issubclass(type(holder), _PASSING):  # `isinstance` may ask the holder
            continue
        for each in gc.get_referents(holder):
            if id(each) in held and not _is_namespace(holder, held[id(each)].owner):
                found.setdefault(id(each), set()).add(type(holder).__name__)
    return [(held[number], holders) for number, holders in found.items()]


def _is_namespace(holder: object, owner: object) -> bool:
    """
    Whether the holder is where the function has its name.

    Any module's, since they follow when the function is wrapped; any class's, since dataclass(slots=True)
    makes a class a second time.
    """
    mark = "__spec__" if isinstance(owner, ModuleType) else "__module__"
    return type(holder) is dict and mark in holder
