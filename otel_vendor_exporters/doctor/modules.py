"""
Modules: what a name in a file means, followed through imports and aliases to `instrumentation` or a constant.

Pure, of what was read. Follows relative and absolute imports between the files that were read, star imports,
and names that stand for another. A name of a decorator is taken for it if any of its bindings is; a constant
counts only if its name is bound once in its file, since who binds it last is known at run time.
"""

from __future__ import annotations

import ast
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any

PACKAGE = "instrumentation"
DECORATORS = ("timed", "counted")
_STAR = "*"
_MOST_PARTS = 20
Chain = tuple[str, ...]  # a dotted name


@dataclass(frozen=True, slots=True)
class Import:
    """Where a name comes from: `name` of `module`, or the module itself; `level` dots stand in front."""

    module: str
    level: int
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Ours:
    """A part of `instrumentation`."""

    path: str

    @property
    def decorator(self) -> str | None:
        """`timed` or `counted`, if it is one."""
        last = self.path.rpartition(".")[2]
        return last if last in DECORATORS else None


@dataclass(frozen=True, slots=True)
class Unread:
    """What a module brings that was not read: it may be anything."""

    path: str

    @property
    def may_be_decorator(self) -> bool:
        """Whether it has a decorator's name."""
        return self.path.rpartition(".")[2] in DECORATORS


@dataclass(frozen=True, slots=True)
class Text:
    """A constant."""

    text: str


@dataclass(slots=True, eq=False)
class Module:
    """What binds names in one file, how often each is bound, and the dotted names that the file uses."""

    path: Path
    parts: Chain  # of the path, without .py and __init__
    bindings: dict[str, list[Import | Chain | Text]] = field(default_factory=dict)
    stars: list[Import] = field(default_factory=list)
    functions: set[str] = field(default_factory=set)
    bound: Counter[str] = field(default_factory=Counter)
    chains: set[Chain] = field(default_factory=set)


Value = Ours | Unread | Text | Module


def module_of(path: Path, tree: ast.Module) -> Module:
    """What a file binds and uses."""
    parts = Path(os.path.abspath(path)).with_suffix("").parts  # noqa: PTH100  links stay as they are named
    module = Module(path, parts[:-1] if parts[-1] == "__init__" else parts)
    for node in ast.walk(tree):
        take = _TAKES.get(type(node))
        if take is not None:
            take(module, node)
    module.chains.discard(())
    return module


def chain_of(node: ast.expr) -> Chain:
    """The parts of a dotted name; none for any other expression, and for more parts than a name has."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute) and len(parts) < _MOST_PARTS:
        parts.append(node.attr)
        node = node.value
    return (node.id, *reversed(parts)) if isinstance(node, ast.Name) else ()


def _take_name(module: Module, node: ast.Name) -> None:
    module.chains.add((node.id,))
    if not isinstance(node.ctx, ast.Load):
        module.bound[node.id] += 1


def _take_attribute(module: Module, node: ast.Attribute) -> None:
    module.chains.add(chain_of(node))


def _take_function(module: Module, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    module.functions.add(node.name)
    module.bound[node.name] += 1


def _take_named(module: Module, node: ast.ClassDef | ast.ExceptHandler | ast.MatchAs | ast.MatchStar) -> None:
    if node.name:
        module.bound[node.name] += 1


def _take_argument(module: Module, node: ast.arg) -> None:
    module.bound[node.arg] += 1


def _take_rest(module: Module, node: ast.MatchMapping) -> None:
    if node.rest:
        module.bound[node.rest] += 1


def _take_import(module: Module, node: ast.Import) -> None:
    for alias in node.names:
        name = alias.asname or alias.name.partition(".")[0]
        _bind(module, name, Import(alias.name if alias.asname else name, 0))


def _take_import_from(module: Module, node: ast.ImportFrom) -> None:
    for alias in node.names:
        if alias.name == _STAR:
            module.stars.append(Import(node.module or "", node.level))
        else:
            _bind(module, alias.asname or alias.name, Import(node.module or "", node.level, alias.name))


def _bind(module: Module, name: str, origin: Import) -> None:
    module.bindings.setdefault(name, []).append(origin)
    module.bound[name] += 1


def _take_assignment(module: Module, node: ast.Assign | ast.AnnAssign) -> None:
    value: Chain | Text
    if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        value = Text(node.value.value)
    else:
        value = chain_of(node.value) if node.value else ()
    for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
        if isinstance(target, ast.Name) and value:  # counted as bound by its own node
            module.bindings.setdefault(target.id, []).append(value)


_TAKES: Mapping[type[ast.AST], Callable[[Module, Any], None]] = {  # Any: a node of that type
    ast.Name: _take_name,
    ast.Attribute: _take_attribute,
    ast.FunctionDef: _take_function,
    ast.AsyncFunctionDef: _take_function,
    ast.ClassDef: _take_named,
    ast.ExceptHandler: _take_named,
    ast.MatchAs: _take_named,
    ast.MatchStar: _take_named,
    ast.MatchMapping: _take_rest,
    ast.arg: _take_argument,
    ast.Import: _take_import,
    ast.ImportFrom: _take_import_from,
    ast.Assign: _take_assignment,
    ast.AnnAssign: _take_assignment,
}


class Modules:
    """The files that were read, by where they are."""

    def __init__(self, modules: Iterable[Module]) -> None:
        self._by_parts = {one.parts: one for one in modules}
        self._by_last: dict[str, list[Module]] = {}
        for one in self._by_parts.values():
            self._by_last.setdefault(one.parts[-1], []).append(one)

    def decorator(self, module: Module, chain: Chain) -> str | None:
        """`timed` or `counted`, if that is what a dotted name may mean in a module."""
        values = self._values(module, chain, set())
        return next((one.decorator for one in values if isinstance(one, Ours) and one.decorator), None)

    def text(self, module: Module, chain: Chain) -> str | None:
        """The constant that a dotted name stands for, if that is certain."""
        values = self._values(module, chain, set())
        (value,) = values if len(values) == 1 else (None,)
        return value.text if isinstance(value, Text) else None

    def unread(self, module: Module, chain: Chain) -> str | None:
        """What of a module that was not read a dotted name may mean, if that may be a decorator of ours."""
        values = self._values(module, chain, set())
        return next((one.path for one in values if isinstance(one, Unread) and one.may_be_decorator), None)

    def _values(self, module: Module, chain: Chain, seen: set[tuple[Chain, str]]) -> list[Value]:
        values = self._of_name(module, chain[0], seen)
        for name in chain[1:]:
            values = [below for one in values for below in self._below(one, name, seen)]
        return values

    def _of_name(self, module: Module, name: str, seen: set[tuple[Chain, str]]) -> list[Value]:
        if (module.parts, name) in seen:  # by another way, or in a circle
            return []
        seen.add((module.parts, name))
        values: list[Value] = []
        for one in module.bindings.get(name, ()):
            values += self._of_binding(module, one, seen)
        if not (name in module.bindings or name in module.bound or name.startswith("_")):
            for star in module.stars:
                values += self._of_binding(module, Import(star.module, star.level, name), seen)
        if module.bound[name] > 1:
            values = [one for one in values if not isinstance(one, Text)]
        return values

    def _of_binding(
        self, module: Module, one: Import | Chain | Text, seen: set[tuple[Chain, str]]
    ) -> list[Value]:
        if isinstance(one, Text):
            return [one]
        if isinstance(one, tuple):
            return self._values(module, one, seen)
        found = self._found(module, one.level, one.module)
        if one.name is None:
            return [found or Unread(one.module)]
        whole = f"{one.module}.{one.name}" if one.module else one.name
        if found is None:  # a folder without __init__, perhaps
            return [self._found(module, one.level, whole) or Unread("." * one.level + whole)]
        return self._below(found, one.name, seen)

    def _below(self, value: Value, name: str, seen: set[tuple[Chain, str]]) -> list[Value]:
        """What a dot and a name lead to: in a module what it binds, else the module below."""
        if isinstance(value, (Ours, Unread)):
            return [type(value)(f"{value.path}.{name}")]
        if isinstance(value, Text):
            return []
        below = self._by_parts.get((*value.parts, name))
        return self._of_name(value, name, seen) or ([below] if below else [])

    def _found(self, module: Module, level: int, name: str) -> Ours | Module | None:
        """The module of this name: ours, or one that was read; with `level` dots in front of it."""
        parts = tuple(filter(None, name.split(".")))
        if level:
            package = module.parts if module.path.stem == "__init__" else module.parts[:-1]
            return self._by_parts.get((*package[: len(package) - level + 1], *parts))
        if parts[0] == PACKAGE:
            return Ours(name)
        near = [one for one in self._by_last.get(parts[-1], ()) if one.parts[-len(parts) :] == parts]
        return max(near, key=lambda one: _shared(one.parts, module.parts), default=None)


def _shared(one: Chain, other: Chain) -> int:
    """How many parts two paths have in common from the root."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
