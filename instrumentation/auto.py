"""
Auto-instrumentation: decorate the functions that a configuration names, without a change to them.

    instrument_functions(["shop.checkout:place_order=timed(Checkout)", "shop.cart:Cart.*=timed"])

A module that is imported already is wrapped at once, any other when it is imported. What an entry may say
stands in `targets`, finding functions in `members`, replacing them in `patches`, hearing of imports in
`imports`.
Rule: the application runs as without it; a name that is not there is said, with the nearest one that is.
"""

from __future__ import annotations

import atexit
import sys
from collections.abc import Iterable
from threading import Lock
from types import ModuleType
from typing import TYPE_CHECKING

from instrumentation.imports import ImportWatch, wait_until_imported
from instrumentation.missing import MissingModules
from instrumentation.targets import Entry, Target, target_of

if TYPE_CHECKING:
    from instrumentation.patches import Patch


def instrument_functions(entries: Iterable[Entry]) -> None:
    """
    Decorate the functions that the entries name, now or when their modules are imported.

    An entry is a text, "shop.checkout:place_order=timed(Checkout)", or a mapping,
    {"target": "shop.checkout:place_order", "use": "timed", "name": "Checkout"}. An entry that was given
    before changes nothing. Raises ValueError for an entry that cannot be understood; a name that is not
    there is logged with the nearest one that is.
    """
    _functions.instrument([target_of(entry) for entry in entries])


def uninstrument() -> None:
    """Put back the very same functions and forget the entries; wrappers still held record no more."""
    _functions.uninstrument()


class AutoInstrumentation:
    """
    The targets of a process and what became of them.

    Any thread may call, also while it imports. `_state` guards the fields and is held for an instant;
    `_patching` lets one caller patch at a time, and none waits for an import while it holds it.
    """

    def __init__(self) -> None:
        self._patching = Lock()
        self._state = Lock()
        self._targets: tuple[Target, ...] = ()
        self._patches: dict[str, list[Patch]] = {}
        self._missing = MissingModules()
        self._watch = ImportWatch(self._is_wanted, self._imported, self._taken)

    def instrument(self, targets: Iterable[Target]) -> None:
        """Decorate what the targets name, now or when it is imported."""
        import instrumentation.patches  # noqa: F401 - slow, for wrapt, and so neither at the top nor in a hook

        with self._state:
            new = tuple(target for target in targets if target not in self._targets)
            self._targets += new
            self._watch.start()
        atexit.unregister(self._at_exit)
        atexit.register(self._at_exit)
        self._missing.look_at_program(new)
        names = _named_or_imported(new)
        modules = {name: module for name in names if (module := wait_until_imported(name))}
        with self._patching:
            for name, module in modules.items():
                self._apply(name, module, new)
        for package in {package for name in names for package in _packages_above(name)}:
            self._missing.look_in_package(sys.modules.get(package), new)

    def uninstrument(self) -> None:
        """Undo it all."""
        with self._patching:
            atexit.unregister(self._at_exit)
            self._missing.forget()
            with self._state:
                self._watch.stop()
                patches, self._patches, self._targets = self._patches, {}, ()
            for each in patches.values():
                _undo(each)

    def _imported(self, module: ModuleType) -> None:
        """A module has run: for the first time, or anew, and then what was wrapped in it is gone."""
        with self._state:
            stale, targets = self._patches.pop(module.__name__, []), self._targets
        _undo(stale)
        self._missing.look_in_package(module, targets)
        self._apply(module.__name__, module, targets)

    def _apply(self, name: str, module: ModuleType, targets: tuple[Target, ...]) -> None:
        from instrumentation.patches import patched

        patches = patched(module, [target for target in targets if target.is_in(name)])
        with self._state:
            is_asked_for = bool(self._targets)
            if is_asked_for:
                self._patches.setdefault(name, []).extend(patches)
        if not is_asked_for:  # no more: uninstrumented by another thread meanwhile
            _undo(patches)

    def _is_wanted(self, name: str) -> bool:
        targets = self._targets
        if "." not in name:
            self._missing.look_beside(name, targets)
        return any(each.is_in(name) or each.module.startswith(f"{name}.") for each in targets)

    def _taken(self, name: str) -> None:
        """Its code is going to run, as the main program, and is not imported."""
        self._missing.look_at_run(name, name, self._targets)

    def _at_exit(self) -> None:
        self._missing.look_back(self._targets)


def _named_or_imported(targets: tuple[Target, ...]) -> list[str]:
    """The modules that the targets name, and of those imported the ones that their globs mean."""
    named = [each.module for each in targets if not each.has_module_glob]
    globs = [each for each in targets if each.has_module_glob]
    meant = [name for name in list(sys.modules) if any(each.is_in(name) for each in globs)]
    return list(dict.fromkeys(named + meant))


def _packages_above(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


def _undo(patches: list[Patch]) -> None:
    for patch in reversed(patches):
        patch.undo()


_functions = AutoInstrumentation()
