"""
The search for estates: one look through the spool folder, from its oldest file to its youngest.

A look takes its time where many processes have died, so that whoever looks may stop in between and go on
later. What was read once and is not ours is not opened again, while it is the same file.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from otel_vendor_exporters.delivery.disk_errors import disk_errors
from otel_vendor_exporters.delivery.estate import (
    DAMAGED,
    NOT_ADOPTED,
    Estate,
    FileId,
    Stranger,
    claimed,
    known_as,
)
from otel_vendor_exporters.delivery.file_lock import FileLock
from otel_vendor_exporters.delivery.journal import SUFFIX, Label, remove
from otel_vendor_exporters.delivery.notices import Notices
from otel_vendor_exporters.errors import SpoolError

_MOST_STRANGERS = 10_000  # bounded memory: what is beyond is opened by every look


@dataclass(slots=True)
class Search:
    """Looks for what dead processes with our label left. Not thread-safe; called without a lock."""

    folder: Path
    label: Label
    notices: Notices
    _strangers: set[FileId] = field(default_factory=set)

    def look(self) -> Iterator[Estate | None]:
        """
        The files that may be adopted, oldest first, each to be left before the next is asked for.

        One that was left paused comes once more. None in between says that a file was none of these, and that
        whoever asks may go on later. Never raises.
        """
        for path in self._candidates():
            while True:
                estate = self._claimed(path)
                yield estate
                if estate is None or estate.is_ours or not estate.is_paused:
                    break
        self._tidy()

    def _claimed(self, path: Path) -> Estate | None:
        label, key = self.label, f"estate {path.name}"
        try:
            with disk_errors():
                found = claimed(path, label, self.notices)
        except SpoolError as error:
            self.notices.say(key, logging.WARNING, NOT_ADOPTED, label.vendor, path.name, error)
            return None
        except Exception as fault:  # noqa: BLE001  whatever stands in a file, the others have their turn
            words = "a fault in this library"
            self.notices.say(key, logging.ERROR, NOT_ADOPTED, label.vendor, path.name, words, error=fault)
            return None
        if isinstance(found, Stranger):
            if len(self._strangers) < _MOST_STRANGERS:
                self._strangers.add(found.known_by)
            return None
        return found

    def _candidates(self) -> list[Path]:
        found: list[tuple[int, Path, FileId]] = []
        with suppress(OSError):  # said when our own file is made
            for path in self.folder.glob(f"{self.label.vendor}-*{SUFFIX}"):
                with suppress(OSError):  # another process was faster
                    status = path.lstat()
                    if stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid():
                        found.append((status.st_mtime_ns, path, known_as(status)))
        self._strangers &= {known_by for _, _, known_by in found}
        return [path for _, path, known_by in sorted(found) if known_by not in self._strangers]

    def _tidy(self) -> None:
        """Remove what a process left that died while it made or removed its file."""
        with suppress(OSError, SpoolError):  # another process is faster, or the folder is not ours to change
            for beside in self.folder.glob(f"{self.label.vendor}-*{SUFFIX}?*"):
                spool = beside.with_name(beside.name.partition(SUFFIX)[0] + SUFFIX)
                if beside.suffix == DAMAGED or spool.exists():
                    continue
                lock = FileLock.take(spool, create=True)
                if lock is not None:
                    remove(spool)
                    lock.release(unlink=True)
