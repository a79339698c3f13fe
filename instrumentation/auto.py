"""
Auto-instrumentation: decorate the functions that a configuration names, without a change to them.

    instrument_functions(["shop.checkout:place_order=timed(Checkout)", "shop.cart:Cart.*=timed"])

A module that is imported already is wrapped at once, any other when it is imported; one that is just running,
as when it names its own functions, when it has run. What an entry may say
stands in `targets`, finding functions in `members`, replacing them in `patches`, hearing of imports in
`imports`.
Rule: the application runs as without it; a name that is not there is said, with the nearest one that is.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from threading import RLock
from types import ModuleType
from typing import TYPE_CHECKING

from instrumentation.guarded_logger import GuardedLogger
from instrumentation.imports import ImportWatch, is_running, wait_until_imported
from instrumentation.missing import MissingModules
from instrumentation.targets import Entry, Target, target_of

if TYPE_CHECKING:
    from instrumentation.patches import Patch


_logger = GuardedLogger("instrumentation.auto")


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


class _Round:
    """
    What was asked for since the last `uninstrument`, and what came of it.

    Any thread may call, and a signal handler in the middle of it: no lock, each step is whole in Python.
    """

    def __init__(self) -> None:
        self.targets: list[Target] = []
        self._patches: dict[str, list[Patch]] = {}
        self._early: dict[str, list[Patch]] = {}  # done while the module was running
        self._is_over = False

    def keep(self, name: str, patches: list[Patch], *, is_early: bool = False) -> None:
        """Keep what was done in the module of this name; undo it if all is to be undone by now."""
        kept = (self._early if is_early else self._patches).setdefault(name, [])
        kept.extend(patches)
        if self._is_over:  # uninstrumented meanwhile
            _undo(kept)

    def has_run(self, name: str) -> None:
        """The module has run: what was done before it ran is gone, what was done meanwhile stays."""
        _undo(self._patches.pop(name, []))
        self.keep(name, self._early.pop(name, []))

    def end(self) -> None:
        """Undo all of it, and whatever is still kept later."""
        self._is_over = True
        for kept in (self._patches, self._early):
            for name in list(kept):
                _undo(kept.pop(name, []))


class AutoInstrumentation:
    """
    The targets of a process and what became of them.

    Any thread may call, also while it imports, and a signal handler while its thread is in here.
    `_watching` is held for an instant; `_patching` lets one thread patch at a time, and none waits for an
    import while it holds it. A forked child has locks of its own (`renew_locks`).
    """

    def __init__(self) -> None:
        self.renew_locks()
        self._round = _Round()
        self._missing = MissingModules()
        self._watch = ImportWatch(self._is_wanted, self._imported, self._taken)

    def renew_locks(self) -> None:
        """In a forked child: who held them is not there, and would never give them back."""
        self._patching = RLock()
        self._watching = RLock()

    def instrument(self, targets: Iterable[Target]) -> None:
        """Decorate what the targets name, now or when it is imported."""
        import instrumentation.patches  # noqa: F401 - slow, for wrapt, and so neither at the top nor in a hook

        with self._watching:
            current = self._round
            new = [target for target in targets if target not in current.targets]
            current.targets.extend(new)
            self._watch.start()
        atexit.unregister(self._at_exit)
        atexit.register(self._at_exit)
        self._missing.look_at_program(new)
        names = _named_or_imported(new)
        modules = {name: module for name in names if (module := wait_until_imported(name))}
        with self._patching:
            for name, module in modules.items():
                self._apply_to_imported(current, name, module, new)
        for package in {package for name in names for package in _packages_above(name)}:
            self._missing.look_in_package(sys.modules.get(package), new)

    def uninstrument(self) -> None:
        """Undo it all."""
        with self._patching:
            atexit.unregister(self._at_exit)
            self._missing.forget()
            with self._watching:
                self._watch.stop()
                over, self._round = self._round, _Round()
            over.end()

    def _apply_to_imported(
        self, current: _Round, name: str, module: ModuleType, targets: Sequence[Target]
    ) -> None:
        """Decorate what is there; of a module that is running the rest when it has run."""
        if self._watch.hear_end(module):
            current.keep(name, _patched(name, module, targets, missing=_expected_later), is_early=True)
        else:
            missing = _tell_of_running if is_running(module) else _tell_of_missing
            current.keep(name, _patched(name, module, targets, missing=missing))

    def _imported(self, module: ModuleType) -> None:
        """A module has run: for the first time, or anew, and then what was wrapped in it is gone."""
        current, name = self._round, module.__name__
        current.has_run(name)
        self._missing.look_in_package(module, current.targets)
        current.keep(name, _patched(name, module, current.targets, missing=_tell_of_missing))

    def _is_wanted(self, name: str) -> bool:
        targets = self._round.targets
        if "." not in name:
            self._missing.look_beside(name, targets)
        return any(each.is_in(name) or each.module.startswith(f"{name}.") for each in targets)

    def _taken(self, name: str) -> None:
        """Its code is going to run, as the main program, and is not imported."""
        self._missing.look_at_run(name, name, self._round.targets)

    def _at_exit(self) -> None:
        self._missing.look_back(self._round.targets)


def _patched(
    name: str, module: ModuleType, targets: Iterable[Target], *, missing: Callable[[Target, str], object]
) -> list[Patch]:
    from instrumentation.patches import patched

    return patched(module, [target for target in targets if target.is_in(name)], missing)


def _tell_of_missing(target: Target, why: str) -> None:
    _logger.warning("%s is not instrumented: %s", target, why)


def _tell_of_running(target: Target, why: str) -> None:
    _logger.warning(
        "%s is not instrumented: %s so far. Its code is still running, and not by an import, whose end is "
        "waited for: call instrument_functions when it has run",
        target,
        why,
    )


def _expected_later(target: Target, why: str) -> None:
    _logger.debug("%s is looked for again when its module has run: %s so far", target, why)


def _named_or_imported(targets: Sequence[Target]) -> list[str]:
    """The modules that the targets name, and of those imported the ones that their globs mean."""
    named = [each.module for each in targets if not each.has_module_glob]
    globs = [each for each in targets if each.has_module_glob]
    meant = [name for name in list(sys.modules) if any(each.is_in(name) for each in globs)]
    return list(dict.fromkeys(named + meant))


def _packages_above(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


def _undo(patches: list[Patch]) -> None:
    """Each once, the last one first, though another thread may be at the same ones."""
    for patch in iter(partial(_taken_last, patches), None):
        patch.undo()


def _taken_last(patches: list[Patch]) -> Patch | None:
    with suppress(IndexError):  # there is none, or no more
        return patches.pop()
    return None


_functions = AutoInstrumentation()
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_functions.renew_locks)
