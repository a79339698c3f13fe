"""
Patches: put the decorated thing in the place of what a target names in a module, and take it out again.

Rule: what was found is kept, and put back as the very same object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from types import ModuleType
from typing import Any, Final

from instrumentation.decorators import Decorator
from instrumentation.guarded_logger import GuardedLogger
from instrumentation.held import tell_of_held
from instrumentation.holders import function_in, is_holder
from instrumentation.members import Member, bindings, members
from instrumentation.targets import Target
from instrumentation.wrapping import Instrumented, decorator_of, silence

_ABSENT: Final = object()

_logger = GuardedLogger("instrumentation.auto")


@dataclass(frozen=True, slots=True)
class Patch:
    """What stands under a name of an owner now, and what stood there before."""

    owner: Any  # as in Member
    name: str
    before: object
    now: object

    def undo(self) -> None:
        """Put back what stood there, unless something else stands there by now; record no more."""
        _silence(self.now)
        if isinstance(self.owner, ModuleType):
            for module, name in bindings(self.owner, self.now):
                setattr(module, name, self.before)
        elif vars(self.owner).get(self.name) is not self.now:
            _logger.debug("%s.%s was replaced since: left as it is", self.owner, self.name)
        elif self.before is _ABSENT:
            delattr(self.owner, self.name)
        else:
            setattr(self.owner, self.name, self.before)


def patched(
    module: ModuleType, targets: Iterable[Target], missing: Callable[[Target, str], object]
) -> list[Patch]:
    """
    Decorate what the targets name in the module, exact names before globs.

    `missing` gets those that name nothing in it, and why; what else is wrong is said.
    """
    found = [(target, _members_of(module, target, missing)) for target in targets]
    tell_of_held([member for _, members_of_one in found for member in members_of_one])
    found.sort(key=lambda each: (not each[0].is_exact, _is_many(each[1])))
    return [patch for target, meant in found if meant for patch in _patched_target(module, target)]


def _members_of(module: ModuleType, target: Target, missing: Callable[[Target, str], object]) -> list[Member]:
    try:
        return members(module, target.path)
    except LookupError as wrong:
        if not target.has_module_glob:
            missing(target, wrong.args[0])
    except Exception:
        _logger.exception("%s is not instrumented", target)
    return []


def _is_many(found: list[Member]) -> bool:
    return any(member.is_one_of_many for member in found)


def _patched_target(module: ModuleType, target: Target) -> list[Patch]:
    patches: list[Patch] = []
    try:
        for member in members(module, target.path):  # anew: the targets before may have replaced some
            patches += _patched_member(member, target)
    except LookupError as wrong:
        if not target.has_module_glob:
            _logger.warning("%s is not instrumented: %s", target, wrong.args[0])
    except Exception:
        _logger.exception("%s is not instrumented", target)
    return patches


def _patched_member(member: Member, target: Target) -> list[Patch]:
    decorator = target.decorator(member.name if member.is_one_of_many else None)
    like = _layer_like(member.value, decorator)
    if like is not None:
        if target.is_exact and not member.is_one_of_many:
            _tell_of_no_change(target, like)
        return []
    decorated = decorator(member.value)
    if isinstance(member.owner, type):
        if isinstance(decorated, cached_property):
            decorated.__set_name__(member.owner, member.name)  # Python does so only when a class is made
        return [_put(member.owner, member.name, decorated)]
    return [_put(module, name, decorated) for module, name in bindings(member.owner, member.value)]


def _put(owner: Any, name: str, decorated: object) -> Patch:
    before = vars(owner).get(name, _ABSENT)
    try:
        setattr(owner, name, decorated)
    except (AttributeError, TypeError) as refusal:  # of a class written in C, or one that guards itself
        raise LookupError(f"{owner!r} does not let {name!r} be replaced") from refusal
    return Patch(owner, name, before, decorated)


def _layers(value: object) -> Iterator[Any]:
    """The decorated functions that stand in each other, from the outermost in."""
    inner: Any = function_in(value) if is_holder(value) else value
    while isinstance(inner, Instrumented):
        yield inner
        inner = inner.__wrapped__


def _layer_like(value: object, decorator: Decorator) -> Instrumented | None:
    """What records already what the decorator would."""
    return next((each for each in _layers(value) if decorator.is_like(decorator_of(each))), None)


def _tell_of_no_change(target: Target, layer: Instrumented) -> None:
    """Unless it is what the target itself has made: a name that was asked for must not get lost unheard."""
    decorator: Decorator = decorator_of(layer)
    if decorator.asked_by == target:
        return
    name = decorator.name or layer.__qualname__
    if isinstance(decorator.asked_by, Target):
        _logger.warning(
            "%s changes nothing: the function is %s already, as %r, by %s; keep one of the two entries",
            *(target.entry, target.use, name, decorator.asked_by.entry),
        )
    else:
        _logger.warning(
            "%s changes nothing: the function is %s already, as %r, by a decorator in the code; change it "
            "there, or take one of the two out",
            *(target.entry, target.use, name),
        )


def _silence(value: object) -> None:
    for outermost in islice(_layers(value), 1):
        silence(outermost)
