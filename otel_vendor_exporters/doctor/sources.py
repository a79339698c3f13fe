"""
Sources: Python files below what `doctor --code` names, whatever else lies there.

Opens regular .py files alone, never waits for one, follows no link to a folder, and is bounded in files,
bytes and time. Rule: what is not read is in `passed_over`, with the reason; hidden folders, caches, installed
packages, virtual environments and links back into what is read anyway go without saying.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib.machinery import PathFinder
from pathlib import Path
from time import monotonic

MOST_FILES = 20_000
MOST_FILE_BYTES = 2_000_000
MOST_BYTES = 100_000_000
MOST_SECONDS = 15.0  # with what is done with each file in between
_SKIPPED_FOLDERS = frozenset({"__pycache__", "node_modules", "site-packages"})
_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}


class Sources:
    """Reads files, and remembers what it did not read. For one thread."""

    def __init__(self) -> None:
        self.passed_over: list[str] = []  # with the reason
        self._files_left = MOST_FILES
        self._bytes_left = MOST_BYTES
        self._ends_at = monotonic() + MOST_SECONDS
        self._is_over = False

    def below(self, path: Path) -> Iterator[tuple[Path, bytes]]:
        """A file as it is, or every Python file of a folder."""
        if not path.is_dir():
            yield from self._content(path)
            return
        root = path.resolve()
        for folder, below, files in os.walk(path, onerror=self._note):
            below[:] = sorted(name for name in below if self._is_code(Path(folder) / name, root))
            for name in sorted(files):
                if name.endswith(".py"):
                    yield from self._content(Path(folder) / name)
            if self._is_at_the_end(Path(folder)):
                return

    def _is_code(self, folder: Path, root: Path) -> bool:
        """Whether a folder is to be read. Where a link leads out of what is read, that is told."""
        if folder.name.startswith(".") or folder.name in _SKIPPED_FOLDERS:
            return False
        try:
            if folder.is_symlink():
                target = folder.resolve()
                if target != root and root not in target.parents:
                    self.passed_over.append(f"{folder}: a link to another folder: name {target} too")
                return False
            return not (folder / "pyvenv.cfg").exists()
        except (OSError, RuntimeError) as error:  # RuntimeError: a link to itself, until Python 3.13
            self.passed_over.append(f"{folder}: {getattr(error, 'strerror', None) or 'a link to itself'}")
            return False

    def _is_at_the_end(self, place: Path) -> bool:
        """Whether enough is read; the first time that is told."""
        is_over = self._files_left <= 0 or self._bytes_left <= 0 or monotonic() > self._ends_at
        if is_over and not self._is_over:
            enough = f"{MOST_FILES} files, {MOST_BYTES} bytes or {MOST_SECONDS:g} seconds are enough"
            self.passed_over.append(f"what comes after {place}: {enough}")
        self._is_over = is_over
        return is_over

    def _content(self, file: Path) -> Iterator[tuple[Path, bytes]]:
        if self._is_over:
            return
        try:
            content = _read(file)
        except OSError as error:
            self._note(error)
            return
        if isinstance(content, str):
            self.passed_over.append(f"{file}: {content}")
            return
        self._files_left -= 1
        self._bytes_left -= len(content)
        yield file, content
        self._is_at_the_end(file)

    def _note(self, error: OSError) -> None:
        self.passed_over.append(f"{error.filename}: {error.strerror}")


def _read(file: Path) -> bytes | str:
    """What is in a regular file, or why it was not read. Raises OSError."""
    mode = file.stat().st_mode
    if not stat.S_ISREG(mode):
        return f"{_KINDS.get(stat.S_IFMT(mode), 'something else')}, not a regular file"
    if file.suffix != ".py":
        return "not a .py file"
    with file.open("rb") as stream:
        content = stream.read(MOST_FILE_BYTES + 1)
    return content if len(content) <= MOST_FILE_BYTES else f"larger than {MOST_FILE_BYTES} bytes"


def path_of(target: str) -> Path | None:
    """A path, or a dotted module's file or folder, found without importing anything."""
    path = Path(target)
    with suppress(OSError):  # a name that no file can have
        if path.exists():
            return path
    places: list[str] | None = [str(Path.cwd()), *sys.path]
    origin: str | None = None
    name = ""
    for part in target.split("."):
        name = f"{name}.{part}" if name else part
        spec = PathFinder.find_spec(name, places)
        if spec is None:
            return None
        origin, locations = spec.origin, spec.submodule_search_locations
        places = list(locations) if locations is not None else []
    if places:
        return Path(places[0])
    return Path(origin) if origin and origin.endswith(".py") else None
