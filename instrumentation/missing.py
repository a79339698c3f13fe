"""
Missing modules: tell of configured modules that nowhere are, each once, with the nearest name that is.

Nothing is imported to find them out, and what is not on the path yet may be there later (web servers add the
application's folder late). So a module is told of when its package is there without it, when one of a like
name is imported, or when the process ends; the main program's own, which is never imported, at once.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib.machinery import PathFinder
from importlib.util import find_spec
from os.path import basename
from types import ModuleType

from instrumentation.guarded_logger import GuardedLogger
from instrumentation.imports import value_in
from instrumentation.targets import Target, nearest

_LIKE = 0.75  # how like a name must be: "shpo" is as like "shop"

_logger = GuardedLogger("instrumentation.auto")


class MissingModules:
    """What has been told so far. Any thread may call; at worst two tell the same."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def forget(self) -> None:
        """Tell everything again."""
        self._told.clear()

    def look_at_program(self, targets: Iterable[Target]) -> None:
        """Tell of targets in the file, or the module, that runs as the main program."""
        spec = value_in(sys.modules.get("__main__"), "__spec__")  # of `python -m`, once it runs
        program = basename(sys.argv[0]) if sys.argv else ""  # noqa: PTH119 - pathlib is slow to import
        if spec is not None:
            self.look_at_run(spec.name, spec.name, targets)
        elif program.endswith(".py"):
            self.look_at_run(program.removesuffix(".py"), program, targets)

    def look_at_run(self, name: str, program: str, targets: Iterable[Target]) -> None:
        """Tell of targets in a module that is run without being imported, as `python -m` does."""
        is_named = name in {each.module for each in targets}
        if is_named and name not in sys.modules and name not in self._told:
            self._told.add(name)
            _logger.warning(
                "the functions of %s are not instrumented: the main program runs without being imported; "
                "move them to another module, or start it by import, as 'flask --app %s run' does",
                program,
                name,
            )

    def look_in_package(self, package: ModuleType | None, targets: Iterable[Target]) -> None:
        """Tell of what the targets name right under a package that has been imported."""
        path = value_in(package, "__path__")
        if package is None or path is None:
            return
        for name in sorted({_child(each, package.__name__) for each in targets} - {""}):
            if name not in sys.modules and PathFinder.find_spec(name, path) is None:
                self._tell(name, [f"{package.__name__}.{each}" for each in _modules_in(path)])

    def look_beside(self, imported: str, targets: Iterable[Target]) -> None:
        """Tell of a top-level module that is like the one being imported."""
        pending = _top_level(targets)
        if imported in pending or imported in sys.stdlib_module_names:
            return
        for name in pending - self._told - sys.modules.keys():
            if nearest(name, [imported], _LIKE) and find_spec(name) is None:
                self._tell(name, [imported])

    def look_back(self, targets: Iterable[Target]) -> None:
        """At the end of the process, tell of the top-level modules that nowhere are."""
        for name in _top_level(targets) - self._told - sys.modules.keys():
            if find_spec(name) is None:
                self._tell(name, [each for each in sys.modules if "." not in each])

    def _tell(self, name: str, known: list[str]) -> None:
        if name not in self._told:
            self._told.add(name)
            hint = nearest(name, known)
            _logger.warning("nothing is instrumented in %r: there is no such module%s", name, hint)


def _top_level(targets: Iterable[Target]) -> set[str]:
    return {each.module.split(".")[0] for each in targets if not each.has_module_glob}


def _child(target: Target, package: str) -> str:
    """The module right under the package on the way to the target's; empty when the way is another."""
    prefix = f"{package}."
    if target.has_module_glob or not target.module.startswith(prefix):
        return ""
    return prefix + target.module.removeprefix(prefix).split(".")[0]


def _modules_in(path: Iterable[str]) -> list[str]:
    from pkgutil import iter_modules  # only here: it is needed when something is wrong

    return [each.name for each in iter_modules(list(path))]
