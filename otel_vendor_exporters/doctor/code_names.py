"""
Names in code: what `@timed` and `@counted` stand for, read off the sources without importing them.

Knows the decorators of `instrumentation` under whatever name they reach a file, as decorators and as blocks.
A name that is made at run time cannot be read, and is noted; so is what comes from modules not read.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from otel_vendor_exporters.doctor.modules import DECORATORS, Module, Modules, chain_of, module_of
from otel_vendor_exporters.doctor.sources import Sources, path_of

_Function = ast.FunctionDef | ast.AsyncFunctionDef


class Kind(Enum):
    """What the decorator records."""

    SPAN = "span"  # @timed
    DURATION = "duration"  # @timed(record="metric")
    COUNTER = "counter"  # @counted


@dataclass(frozen=True, slots=True)
class CodeName:
    """A name as the code gives it; `{argument}` stands for what is known at run time."""

    name: str
    kind: Kind
    place: str  # file:line


@dataclass(slots=True)
class Scan:
    """What was found in some files."""

    files: int = 0
    names: list[CodeName] = field(default_factory=list)
    made_at_run_time: list[str] = field(default_factory=list)  # places
    not_followed: list[str] = field(default_factory=list)  # names, each with its place
    unreadable: list[str] = field(default_factory=list)  # files with the reason
    missing: list[str] = field(default_factory=list)  # targets that are neither path nor module


def scan(targets: Iterable[str]) -> Scan:
    """The names in files, folders (with all below) and modules, given as paths or dotted names."""
    found = Scan()
    sources = Sources()
    read: dict[Path, tuple[Module, bytes]] = {}
    for target in targets:
        path = path_of(target)
        if path is None:
            found.missing.append(target)
            continue
        for file, source in sources.below(path):
            with _telling(file, found):
                read[file.absolute()] = (module_of(file, _tree(file, source)), source)
    found.files = len(read)
    modules = Modules(module for module, _ in read.values())
    for module, source in read.values():
        with _telling(module.path, found):
            if _is_of_interest(module, modules):
                _Reader(found, module, modules).visit(_tree(module.path, source))
    found.unreadable += sources.passed_over
    return found


def _tree(file: Path, source: bytes) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the code's author is warned of is none of ours
        return ast.parse(source, str(file))


@contextmanager
def _telling(file: Path, found: Scan) -> Iterator[None]:
    """A file that is no code, or too odd, is told as not read."""
    try:
        yield
    except SyntaxError as error:
        found.unreadable.append(f"{file}: SyntaxError in line {error.lineno or 1}")
    except (ValueError, RecursionError, MemoryError) as error:  # a null byte; nested too deeply
        found.unreadable.append(f"{file}: {type(error).__name__}")


def _is_of_interest(module: Module, modules: Modules) -> bool:
    """Whether a file uses a decorator, or what may be one. To read the others again would take long."""
    known = (one for one in module.chains if one[0] in module.bindings or one[0] in DECORATORS)
    return any(modules.decorator(module, one) or modules.unread(module, one) for one in known)


class _Reader(ast.NodeVisitor):
    """Walks one file."""

    def __init__(self, found: Scan, module: Module, modules: Modules) -> None:
        self._found = found
        self._file = _shown(module.path)
        self._module = module
        self._modules = modules
        self._scope: list[str] = []  # parts of the qualified name

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._visit_function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._visit_function(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        methods = [
            one.name for one in node.body if isinstance(one, _Function) and not one.name.startswith("_")
        ]
        own_names = [".".join([*self._scope, node.name, name]) for name in methods]
        for decorator in node.decorator_list:
            self._take(decorator, own_names, methods)
        self._visit_below(node, [node.name])

    def visit_Call(self, node: ast.Call) -> None:
        self._take(node, None)

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self._take(node, None)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if isinstance(node.ctx, ast.Load):
            self._take(node, None)

    def visit_Assign(self, node: ast.Assign) -> None:
        self._visit_assigned(node.value, node.targets)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self._visit_assigned(node.value, [node.target])

    def _visit_function(self, node: _Function) -> None:
        for decorator in node.decorator_list:
            self._take(decorator, [".".join([*self._scope, node.name])])
        self.visit(node.args)
        self._visit_below(node, [node.name, "<locals>"])

    def _visit_assigned(self, value: ast.expr | None, targets: list[ast.expr]) -> None:
        """Another name for the same is followed where it is used; an attribute is not."""
        if value is not None and not (chain_of(value) and all(isinstance(one, ast.Name) for one in targets)):
            self.visit(value)

    def _visit_below(self, node: _Function | ast.ClassDef, parts: list[str]) -> None:
        """What stands inside; the decorators themselves are read already."""
        self._scope += parts
        for one in node.body:
            self.visit(one)
        del self._scope[-len(parts) :]

    def _take(self, node: ast.expr, own_names: list[str] | None, methods: list[str] | None = None) -> None:
        """
        Note what a decorator, or a call that makes one, stands for.

        `own_names` are of what it decorates, None where it stands elsewhere; methods are those of a class.
        """
        call = node if isinstance(node, ast.Call) else None
        chain = chain_of(call.func if call else node)
        decorator = self._modules.decorator(self._module, chain) if chain else None
        place = f"{self._file}:{node.lineno}"
        if decorator is not None:
            self._note(decorator, call, own_names, methods, place)
        elif chain and (unread := self._modules.unread(self._module, chain)):
            self._found.not_followed.append(f"{unread}, {place}")
        if not chain:
            self.visit(call.func) if call else self.generic_visit(node)
        if call is None:
            return
        for argument in (*call.args, *(one.value for one in call.keywords)):
            if decorator is None or not chain_of(argument):  # else what names it, or is decorated
                self.visit(argument)

    def _note(
        self,
        decorator: str,
        call: ast.Call | None,
        own_names: list[str] | None,
        methods: list[str] | None,
        place: str,
    ) -> None:
        kind = self._kind(decorator, call)
        given = _given_name(call)
        text = self._text(given) if given else None
        if text is not None:
            names = [text] if methods is None else [f"{text}.{method}" for method in methods]
        elif own_names is not None and given is None:
            names = own_names if kind is Kind.SPAN else [instrument_name(name) for name in own_names]
        elif isinstance(given, ast.Name) and own_names is None and self._is_function(given.id):
            names = [given.id if kind is Kind.SPAN else instrument_name(given.id)]
        else:
            self._found.made_at_run_time.append(place)
            return
        self._found.names += [CodeName(name, kind, place) for name in names]

    def _is_function(self, name: str) -> bool:
        """Whether it is a function of this file and nothing else; below a class or function it is another."""
        return name in self._module.functions and self._module.bound[name] == 1 and not self._scope

    def _text(self, node: ast.expr) -> str | None:
        if isinstance(node, ast.Constant):
            return node.value if isinstance(node.value, str) else None
        chain = chain_of(node)
        return self._modules.text(self._module, chain) if chain else None

    def _kind(self, decorator: str, call: ast.Call | None) -> Kind:
        if decorator == "counted":
            return Kind.COUNTER
        record = [one.value for one in call.keywords if one.arg == "record"] if call else []
        return Kind.DURATION if record and self._text(record[0]) == "metric" else Kind.SPAN


def _given_name(call: ast.Call | None) -> ast.expr | None:
    """What names it, or is to be decorated by it; None where what it decorates does."""
    if call is None:
        return None
    named = [one.value for one in call.keywords if one.arg in ("name", None)]  # None: `**options`
    given = (*named, *call.args)
    is_none = bool(given) and isinstance(given[0], ast.Constant) and given[0].value is None
    return given[0] if given and not is_none else None


def instrument_name(qualified_name: str) -> str:
    """As `instrumentation.probes` makes it: without what an instrument may not be called."""
    kept = qualified_name.replace("<locals>.", "")
    return "".join(one for one in kept if one.isalnum() or one in "_./-")


def _shown(file: Path) -> str:
    """From where we are, if below."""
    try:
        return str(file.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(file)
