"""
Imports: hear of a module when it has been imported, or imported anew.

Knows Python's import system, and nothing of what is done with the module. wrapt's post-import hooks are not
enough: they fire once, so a reload would lose what was wrapped, and they can not be taken back.
Rule: an import goes as it would without us, whatever happens in here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib import _bootstrap
from importlib.machinery import ModuleSpec
from threading import local
from types import CodeType, FrameType, ModuleType
from typing import Any

from instrumentation.guarded_logger import GuardedLogger

_ENDED = "instrumentation_ended"  # of a spec: what to call

_logger = GuardedLogger("instrumentation.auto")


class ImportWatch:
    """
    A finder that stands first and lets the others find, then hears when what they found has run.

    `seen` is asked about every module that is looked for; those it wants are given to `imported` when their
    code has run, still under Python's lock of that module, and to `taken`, by name, when their code alone is
    taken, to be run without an import. All are called from any importing thread.
    """

    def __init__(
        self,
        seen: Callable[[str], bool],
        imported: Callable[[ModuleType], object],
        taken: Callable[[str], object],
    ) -> None:
        self._seen = _guarded(seen)
        self._has_run = _guarded(lambda module: imported(_in_place_of(module)))
        self._taken = _guarded(taken)
        self._running: set[ModuleType] = set()  # by loaders of ours, which will tell
        # What each thread is looking for: finders like ours (wrapt's, ddtrace's) ask all finders again, and
        # so us, who would put a second loader around the first.
        self._local = local()

    def start(self) -> None:
        """Watch, from now on."""
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def stop(self) -> None:
        """
        Watch no more.

        In a new list: taken out of this one, the finders behind move up by one, and an import that goes
        through them on another thread would pass over the next, which may be the one that finds the module.
        """
        while self in (finders := sys.meta_path):
            sys.meta_path = [each for each in finders if each is not self]

    def hear_end(self, module: ModuleType) -> bool:
        """
        Give this module to `imported` when it has run, also if it began before we watched.

        False if it does not run, or its end can not be heard: no import waits for it.
        """
        if module in self._running:
            return True
        spec = value_in(module, "__spec__")
        if type(spec) is ModuleSpec and _is_initializing(spec):
            vars(spec)[_ENDED] = partial(self._has_run, module)
            spec.__class__ = _RunningSpec
            if not _is_initializing(spec):  # it ended on another thread, and did not find us there
                _taken_off(spec)
        return type(spec) is _RunningSpec

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """What the other finders find, with a loader that tells us."""
        finding: set[str] = self._local.__dict__.setdefault("finding", set())
        if name in finding or not self._seen(name):
            return None
        finding.add(name)
        try:
            spec = self._found_by_others(name, path, target)
        finally:
            finding.discard(name)
        if spec is not None and hasattr(spec.loader, "exec_module"):
            spec.loader = _TellingLoader(spec.loader, self._has_run, self._taken, self._running)  # type: ignore[assignment]  # a loader in all but name
        return spec

    def _found_by_others(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None
    ) -> ModuleSpec | None:
        for finder in list(sys.meta_path):
            find = getattr(finder, "find_spec", None)
            if finder is not self and find is not None:
                spec: ModuleSpec | None = find(name, path, target)
                if spec is not None:
                    return spec
        return None


class _TellingLoader:
    """Loads as the real loader does, and tells of it; the module keeps the real one."""

    def __init__(
        self,
        loader: Any,
        has_run: Callable[[ModuleType], object],
        taken: Callable[[str], object],
        running: set[ModuleType],
    ) -> None:
        self._loader = loader  # Any: loaders differ in what else they can
        self._has_run = has_run
        self._taken = taken
        self._running = running

    def __getattr__(self, name: str) -> Any:  # Any: as above
        if name == "_loader":  # not yet there while a copy is made
            raise AttributeError(name)
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """The module, as the real loader makes it."""
        create = getattr(self._loader, "create_module", None)
        module: ModuleType | None = None if create is None else create(spec)
        return module

    def get_code(self, name: str) -> CodeType | None:
        """The code, as the real loader has it, and tell of it: to import a module nobody asks us for that."""
        self._taken(name)
        code: CodeType | None = self._loader.get_code(name)
        return code

    def exec_module(self, module: ModuleType) -> None:
        """Run the module, and tell when it ran to its end."""
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._running.add(module)
        try:
            self._loader.exec_module(module)
        finally:
            self._running.discard(module)
        self._has_run(module)


class _RunningSpec(ModuleSpec):
    """
    The spec of a module that runs and was found before we watched: its class, until that has run.

    Python unsets `_initializing` when the module has run, under the lock of its import, and tells nothing
    else. Should that go, such a module is told of as one whose end can not be heard.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if name == "_initializing" and not value:
            ended = _taken_off(self)
            if self.name in sys.modules:  # else it failed, and Python has taken it out
                ended()
        object.__setattr__(self, name, value)


def _taken_off(spec: ModuleSpec) -> Callable[[], object]:
    """What is to be called at the end, taken off the spec, which is what it was before."""
    spec.__class__ = ModuleSpec
    ended: Callable[[], object] = vars(spec).pop(_ENDED, bool)  # by another thread already: nothing
    return ended


def _in_place_of(module: ModuleType) -> ModuleType:
    """The module, or the one that it has put in its place."""
    replaced = sys.modules.get(module.__name__)
    return replaced if isinstance(replaced, ModuleType) else module


def is_running(module: ModuleType) -> bool:
    """Whether the module's own code called us, however it is run."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == "<module>" and frame.f_globals is vars(module):
            return True
        frame = frame.f_back
    return False


def wait_until_imported(name: str) -> ModuleType | None:
    """
    The module, if it is imported; waits while another thread imports it, as importing it would.

    Python itself waits with this function of its own; there is no public one that does not import what nobody
    asked for. Should it go, a module that another thread is just importing may be missed, and no more.
    """
    wait = getattr(_bootstrap, "_lock_unlock_module", None)
    module = sys.modules.get(name)
    if wait is not None and (module is None or _is_initializing(value_in(module, "__spec__"))):
        wait(name)
    return sys.modules.get(name)


def value_in(module: object, name: str) -> Any:  # Any: whatever a module has there
    """What a module has under the name itself; its own `__getattr__` might do, or raise, anything."""
    if not issubclass(type(module), ModuleType):  # Python lets anything stand for a module
        return None
    return object.__getattribute__(module, "__dict__").get(name)


def _is_initializing(spec: object) -> bool:
    """Whether Python is at the import of its module, by the mark that import statements go by."""
    return getattr(spec, "_initializing", False) is True


def _guarded(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def guarded(argument: Any) -> Any:  # Any: whatever the function takes and gives
        try:
            return function(argument)
        except Exception:
            _logger.exception("failed at the import of %s, which goes on", argument)
            return None

    return guarded
