"""
Estates: spool files whose process has ended. A living process with the same label adopts them.

Rule: a file is either adopted whole, set aside and said, or left as it is. Nothing of it is sent before it is
the adopter's own, on the adopter's own disk.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from otel_vendor_exporters.delivery.codec import Codec
from otel_vendor_exporters.delivery.disk_errors import DamagedError, disk_errors
from otel_vendor_exporters.delivery.file_lock import FileLock
from otel_vendor_exporters.delivery.journal import (
    SUFFIX,
    Entry,
    Label,
    Mark,
    Segment,
    entries_of,
    read,
    remove,
)
from otel_vendor_exporters.delivery.notices import Notices
from otel_vendor_exporters.delivery.request import Item, U
from otel_vendor_exporters.errors import SpoolError

DAMAGED = ".damaged"


@dataclass(slots=True)
class Unsent:
    """How many items of dead processes are not sent, and why."""

    ambiguous: int = 0  # in flight when the process died, to a vendor who would count them twice
    unreadable: int = 0


@dataclass(frozen=True, slots=True)
class Estate:
    """A dead process's file under our lock."""

    path: Path
    segments: Sequence[tuple[Segment, bytes]]  # with the marks of their items
    lock: FileLock

    def remove(self) -> None:
        """Everything in it is ours now."""
        remove(self.path)
        self.lock.release(unlink=True)

    def leave(self) -> None:
        """Leave it to another time."""
        self.lock.release()


def items_of(
    segment: Segment, marks: bytes, codec: Codec[U], unsent: Unsent, *, again: bool
) -> list[Item[U]]:
    """The items of a segment that are to be sent; others that waited are counted. Never raises."""
    try:
        entries = entries_of(segment.body)
    except ValueError:
        unsent.unreadable += 1
        return []
    items: list[Item[U]] = []
    for entry, mark in zip(entries, marks, strict=False):
        if mark == Mark.SETTLED or entry.is_blot:
            continue
        if mark == Mark.IN_FLIGHT and not again:
            unsent.ambiguous += 1
        elif (item := _item(entry, segment, codec)) is None:
            unsent.unreadable += 1
        else:
            items.append(item)
    return items


def _item(entry: Entry, segment: Segment, codec: Codec[U]) -> Item[U] | None:
    try:
        unit = codec.decode(entry.body)
        return Item(
            unit,
            entry.size_bytes,
            expires_at_unix_ms=entry.expires_at_unix_ms,
            merge_key=codec.merge_key(unit),
            first=bool(segment.first),
            subjects=codec.subjects(unit),
        )
    except Exception:  # noqa: BLE001  whatever stands in the file, it is one item that cannot be read
        return None


def next_estate(folder: Path, label: Label, notices: Notices) -> Estate | None:
    """The oldest file that may be adopted. Called without a lock; never raises."""
    for path in _candidates(folder, label):
        try:
            with disk_errors():
                estate = _claimed(path, label, notices)
        except SpoolError as error:
            notices.say(f"estate {path.name}", logging.WARNING, _TEXT, label.vendor, path.name, error)
            continue
        except Exception as fault:  # noqa: BLE001  whatever stands in a file, the others have their turn
            words = "a fault in this library"
            notices.say(
                f"estate {path.name}", logging.ERROR, _TEXT, label.vendor, path.name, words, error=fault
            )
            continue
        if estate is not None:
            return estate
    _tidy(folder, label)
    return None


def _tidy(folder: Path, label: Label) -> None:
    """Remove what a process left that died while it made or removed its file."""
    with suppress(OSError, SpoolError):  # another process is faster, or the folder is not ours to change
        for beside in folder.glob(f"{label.vendor}-*{SUFFIX}?*"):
            spool = beside.with_name(beside.name.partition(SUFFIX)[0] + SUFFIX)
            if beside.suffix == DAMAGED or spool.exists():
                continue
            lock = FileLock.take(spool, create=True)
            if lock is not None:
                remove(spool)
                lock.release(unlink=True)


_TEXT = "%s: the spool file %s cannot be adopted: %s"


def _candidates(folder: Path, label: Label) -> list[Path]:
    found: list[tuple[float, Path]] = []
    with suppress(OSError):  # said when our own file is made
        for path in folder.glob(f"{label.vendor}-*{SUFFIX}"):
            with suppress(OSError):  # another process was faster
                status = path.lstat()
                if stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid():
                    found.append((status.st_mtime, path))
    return [path for _, path in sorted(found)]


def _claimed(path: Path, label: Label, notices: Notices) -> Estate | None:
    try:
        lock = FileLock.take(path)
    except FileNotFoundError:
        return None  # being made or removed at this moment, or a stranger
    if lock is None:
        return None
    try:
        if not path.exists():  # another process adopted it between our look and our lock
            lock.release(unlink=True)
            return None
        return _opened(path, label, lock, notices)
    except BaseException:
        lock.release()
        raise


def _opened(path: Path, label: Label, lock: FileLock, notices: Notices) -> Estate | None:
    try:
        content = read(path, label)
    except DamagedError as error:
        _set_aside(path, label, notices, str(error))
        lock.release(unlink=not path.exists())
        return None
    if content is None or isinstance(content, str):
        lock.release()
        if content is not None:
            notices.say(f"estate {path.name}", logging.WARNING, _TEXT, label.vendor, path.name, content)
        return None
    estate = Estate(path, content.segments, lock)
    if not content.whole:
        _set_aside(path, label, notices, f"only {len(content.segments)} segments could be read")
    if not content.segments:
        estate.remove()
        return None
    return estate


def _set_aside(path: Path, label: Label, notices: Notices, words: str) -> None:
    aside = path.with_name(path.name + DAMAGED)
    path.rename(aside)
    text = "%s: the spool file %s is damaged (%s); set aside as %s"
    notices.say(f"estate {path.name}", logging.ERROR, text, label.vendor, path.name, words, aside.name)
