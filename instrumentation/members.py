"""
Members: what a target's path names in a module, and what a wrong name was probably meant to be.

Reads modules and classes, and changes nothing in them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from types import ModuleType
from typing import Any

from instrumentation.decorators import is_method
from instrumentation.holders import is_a, is_holder
from instrumentation.targets import is_glob, nearest


@dataclass(frozen=True, slots=True)
class Member:
    """One function, or what holds one (a static method, a property, ...), under its name in its owner."""

    owner: Any  # a module or a class
    name: str
    value: Any  # Any: whatever the application has under the name
    is_one_of_many: bool = False


def members(module: ModuleType, path: str) -> list[Member]:
    """What the path names in the module. Raises LookupError that tells the nearest right name."""
    *class_names, last = path.split(".")
    owners: list[Any] = [module]
    for name in class_names:
        classes = [each for owner in owners for each in _matching(owner, name, _is_class_of(owner))]
        owners = [each.value for each in _checked(classes, owners, name, _is_class)]
    functions = [each for owner in owners for each in _matching(owner, last, _is_function_of(owner))]
    found = _checked(functions, owners, last, _is_use)
    return [method for each in found for method in _methods_or(each)]


def _checked(
    found: list[Member], owners: list[Any], name: str, is_right: Callable[[Any], bool]
) -> list[Member]:
    """What was found, if it is of the right kind."""
    where = _name_of(owners[0])
    if not found and is_glob(name):
        raise LookupError(f"{where} has nothing that {name!r} means")
    if not found:
        known = [each for owner in owners for each, value in _everything(owner).items() if is_right(value)]
        raise LookupError(f"{where} has no {name!r}{nearest(name, known)}")
    wrong = [each for each in found if not is_right(each.value)]
    if wrong:
        raise LookupError(
            f"{name!r} of {where} is {type(wrong[0].value).__name__!r}, which can not be decorated"
        )
    return found


def _name_of(owner: Any) -> str:
    return f"class {owner.__qualname__!r}" if isinstance(owner, type) else f"module {owner.__name__!r}"


def _is_class(value: object) -> bool:
    return is_a(value, type)


def _is_use(value: object) -> bool:
    return callable(value) or is_holder(value) or is_method(value)


def _everything(owner: Any) -> dict[str, Any]:
    if not isinstance(owner, type):
        return dict(vars(owner))
    return {name: value for cls in reversed(owner.__mro__) for name, value in vars(cls).items()}


def _matching(owner: Any, name: str, is_meant: Callable[[Any], bool]) -> list[Member]:
    """The member of this name, wherever it comes from; for a glob, the owner's own that are meant."""
    if not is_glob(name):
        everything = _everything(owner)
        return [Member(owner, name, everything[name])] if name in everything else []
    return [
        Member(owner, each, value, is_one_of_many=True)
        for each, value in vars(owner).copy().items()
        if fnmatchcase(each, name) and (not each.startswith("_") or name.startswith("_")) and is_meant(value)
    ]


def _is_function_of(owner: Any) -> Callable[[Any], bool]:
    if isinstance(owner, type):
        return is_method
    return lambda value: is_method(value) and getattr(value, "__module__", None) == owner.__name__


def _is_class_of(owner: Any) -> Callable[[Any], bool]:
    module = owner.__module__ if isinstance(owner, type) else owner.__name__
    return lambda value: is_a(value, type) and value.__module__ == module


def _methods_or(member: Member) -> list[Member]:
    """Of a class, its own public methods; else the member itself."""
    if not isinstance(member.value, type):
        return [member]
    methods = _matching(member.value, "*", is_method)
    if not methods:
        raise LookupError(f"the class {member.name!r} has no public methods of its own")
    return methods


def is_at_home(module: ModuleType, value: object) -> bool:
    """Whether the value comes from the module's own package."""
    home, own = (str(name).split(".")[0] for name in (getattr(value, "__module__", ""), module.__name__))
    return home == own


def bindings(owner: ModuleType, value: object) -> list[tuple[ModuleType, str]]:
    """
    The names under which the owner holds the value, and the modules that imported it from there.

    Those only if it is the owner's, or of the same package: json.loads, named as something that the
    application imports, is not to be wrapped for everybody.
    """
    modules = list(sys.modules.values()) if is_at_home(owner, value) else []
    others = [each for each in modules if type(each) is ModuleType]
    return [
        (module, name)
        for module in [owner, *(each for each in others if each is not owner)]
        for name, each in vars(module).copy().items()  # no list of pairs, by which we would hold them all
        if each is value
    ]
