"""
Names in code: what `@timed` and `@counted` stand for, read off the sources without importing them.

Knows the decorators of `instrumentation` under whatever name they are imported, as decorators and as blocks.
A name that is made at run time cannot be read, and is counted.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from otel_vendor_exporters.doctor.sources import Sources, path_of

_PACKAGE = "instrumentation"
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
    unreadable: list[str] = field(default_factory=list)  # files with the reason
    missing: list[str] = field(default_factory=list)  # targets that are neither path nor module


def scan(targets: Iterable[str]) -> Scan:
    """The names in files, folders (with all below) and modules, given as paths or dotted names."""
    found = Scan()
    sources = Sources()
    for target in targets:
        path = path_of(target)
        if path is None:
            found.missing.append(target)
            continue
        for file, source in sources.below(path):
            _read(file, source, found)
    found.unreadable += sources.passed_over
    return found


def _read(file: Path, source: bytes, found: Scan) -> None:
    reader = _Reader(found, _shown(file))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what the code's author is warned of is none of ours
            reader.read(ast.parse(source, str(file)))
    except SyntaxError as error:
        found.unreadable.append(f"{file}: SyntaxError in line {error.lineno or 1}")
    except (ValueError, RecursionError, MemoryError) as error:  # a null byte; nested too deeply
        found.unreadable.append(f"{file}: {type(error).__name__}")
    else:
        found.files += 1


class _Reader(ast.NodeVisitor):
    """Walks one file."""

    def __init__(self, found: Scan, file: str) -> None:
        self._found = found
        self._file = file
        self._known: dict[str, str] = {}  # name in this file → "timed", "counted" or "instrumentation"
        self._scope: list[str] = []  # parts of the qualified name

    def read(self, tree: ast.Module) -> None:
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and _is_ours(node.module):
                self._known |= {alias.asname or alias.name: alias.name for alias in node.names}
            elif isinstance(node, ast.Import):
                ours = [alias for alias in node.names if _is_ours(alias.name)]
                self._known |= {alias.asname or _PACKAGE: _PACKAGE for alias in ours}
        if self._known:
            self.visit(tree)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._visit_function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._visit_function(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        methods = [
            one.name for one in node.body if isinstance(one, _Function) and not one.name.startswith("_")
        ]
        for decorator in node.decorator_list:
            self._take(decorator, [".".join([*self._scope, node.name, name]) for name in methods], methods)
        self._visit_below(node, [node.name])

    def visit_Call(self, node: ast.Call) -> None:
        self._take(node, [])
        self.generic_visit(node)

    def _visit_function(self, node: _Function) -> None:
        for decorator in node.decorator_list:
            self._take(decorator, [".".join([*self._scope, node.name])])
        self._visit_below(node, [node.name, "<locals>"])

    def _visit_below(self, node: _Function | ast.ClassDef, parts: list[str]) -> None:
        """What stands inside; the decorators themselves are read already."""
        self._scope += parts
        for one in node.body:
            self.visit(one)
        del self._scope[-len(parts) :]

    def _take(self, node: ast.expr, own_names: list[str], methods: list[str] | None = None) -> None:
        """Note what a decorator, or a call that makes one, stands for. Methods are those of a class."""
        call = node if isinstance(node, ast.Call) else None
        decorator = self._decorator(call.func if call else node)
        if decorator is None:
            return
        place = f"{self._file}:{node.lineno}"
        kind = _kind(decorator, call)
        given = _given_name(call)
        if isinstance(given, ast.expr):
            text = _text(given)
            if text is None:
                self._found.made_at_run_time.append(place)
                return
            names = [text] if methods is None else [f"{text}.{method}" for method in methods]
        else:
            names = own_names if kind is Kind.SPAN else [instrument_name(name) for name in own_names]
        self._found.names += [CodeName(name, kind, place) for name in names]

    def _decorator(self, node: ast.expr) -> str | None:
        """`timed` or `counted`, if that is what the expression names."""
        if isinstance(node, ast.Name):
            name = self._known.get(node.id)
            return name if name in ("timed", "counted") else None
        if isinstance(node, ast.Attribute) and node.attr in ("timed", "counted"):
            root: ast.expr = node
            while isinstance(root, ast.Attribute):
                root = root.value
            known = isinstance(root, ast.Name) and self._known.get(root.id) in (_PACKAGE, "decorators")
            return node.attr if known else None
        return None


def _is_ours(module: str | None) -> bool:
    return module is not None and module.partition(".")[0] == _PACKAGE


def _kind(decorator: str, call: ast.Call | None) -> Kind:
    if decorator == "counted":
        return Kind.COUNTER
    record = [one.value for one in call.keywords if one.arg == "record"] if call else []
    return Kind.DURATION if record and _text(record[0]) == "metric" else Kind.SPAN


def _given_name(call: ast.Call | None) -> ast.expr | None:
    """The expression that names it; None where the function's own name holds, as in `timed(function)`."""
    if call is None:
        return None
    named = [one.value for one in call.keywords if one.arg == "name"]
    if named:
        return named[0]
    first = call.args[0] if call.args else None
    is_function = isinstance(first, (ast.Name, ast.Attribute, ast.Lambda)) and not _may_be_text(first)
    return None if is_function else first


def _may_be_text(node: ast.expr) -> bool:
    """By custom: constants are in capitals."""
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    return name.isupper()


def _text(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


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
