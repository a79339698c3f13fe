"""
Sources: Python files below what `doctor --code` names, whatever else lies there.

Opens regular files alone, never waits for one, follows links to each folder once, and is bounded in files and
bytes. Rule: what is not read is in `passed_over`, with the reason; hidden folders, caches, installed packages
and virtual environments are nobody's code and go without saying.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib.machinery import PathFinder
from pathlib import Path

MOST_FILES = 20_000
MOST_FILE_BYTES = 2_000_000
MOST_BYTES = 200_000_000
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
        self._seen: set[tuple[int, int]] = set()  # folders, by device and inode

    def below(self, path: Path) -> Iterator[tuple[Path, bytes]]:
        """A file as it is, or every Python file of a folder."""
        if not path.is_dir():
            yield from self._content(path)
            return
        status = path.stat()
        self._seen.add((status.st_dev, status.st_ino))
        for folder, below, files in os.walk(path, followlinks=True, onerror=self._note):
            below[:] = sorted(name for name in below if self._is_new(Path(folder) / name))
            for name in sorted(files):
                if name.endswith(".py"):
                    yield from self._content(Path(folder) / name)
                if not (self._files_left and self._bytes_left > 0):
                    return

    def _is_new(self, folder: Path) -> bool:
        """Whether a folder is code of its own and not read yet: links may lead in circles."""
        if folder.name.startswith(".") or folder.name in _SKIPPED_FOLDERS:
            return False
        try:
            if (folder / "pyvenv.cfg").exists():
                return False
            status = folder.stat()
        except OSError as error:
            self._note(error)
            return False
        key = (status.st_dev, status.st_ino)
        is_new = key not in self._seen
        self._seen.add(key)
        return is_new

    def _content(self, file: Path) -> Iterator[tuple[Path, bytes]]:
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
        if not (self._files_left and self._bytes_left > 0):
            self.passed_over.append(
                f"what comes after {file}: {MOST_FILES} files or {MOST_BYTES} bytes are enough"
            )
        yield file, content

    def _note(self, error: OSError) -> None:
        self.passed_over.append(f"{error.filename}: {error.strerror}")


def _read(file: Path) -> bytes | str:
    """What is in a regular file, or why it was not read. Raises OSError."""
    mode = file.stat().st_mode
    if not stat.S_ISREG(mode):
        return f"{_KINDS.get(stat.S_IFMT(mode), 'something else')}, not a regular file"
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
