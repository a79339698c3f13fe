"""
Estates: spool files whose process has ended. A living process with the same label adopts them.

Rule: a file is either adopted as far as there is room, or set aside and said, or left as it is. Nothing of it
is sent before it is the adopter's own, on the adopter's own disk.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic

from otel_vendor_exporters.delivery.codec import Codec
from otel_vendor_exporters.delivery.disk_errors import DamagedError, disk_errors
from otel_vendor_exporters.delivery.file_lock import FileLock
from otel_vendor_exporters.delivery.journal import (
    MOST_IN_A_SEGMENT,
    SUFFIX,
    Label,
    Mark,
    read,
    remove,
    settle,
)
from otel_vendor_exporters.delivery.notices import Notices
from otel_vendor_exporters.delivery.request import Item, U
from otel_vendor_exporters.delivery.segments import Entry, Segment, entries_of
from otel_vendor_exporters.errors import SpoolError

DAMAGED = ".damaged"
_PARTS = 256  # segments, at most, that are adopted in one transaction


@dataclass(frozen=True, slots=True)
class Part(Generic[U]):
    """A segment of an estate: its items that are to be sent, as they are and as they stand there."""

    block: int
    origin: str
    pairs: Sequence[tuple[Item[U], bytes]]
    ambiguous: int  # in flight when the process died, to a vendor who would count them twice
    unreadable: int


@dataclass(slots=True)
class Estate:
    """A dead process's file under our lock. What is adopted of it is gone from it by `leave`."""

    path: Path
    segments: Sequence[tuple[Segment, bytes]]  # with the marks of their items
    lock: FileLock
    adopted: list[int] = field(default_factory=list)  # blocks

    def portions(self, codec: Codec[U], *, again: bool) -> Iterator[Sequence[Part[U]]]:
        """What is to be adopted, newest first, some hundred items at a time. Never raises."""
        portion: list[Part[U]] = []
        for segment, marks in reversed(self.segments):
            origin = segment.origin or f"{self.path.name} {segment.block}"
            portion.append(_part(segment, marks, origin, codec, again=again))
            if sum(len(part.pairs) for part in portion) >= MOST_IN_A_SEGMENT // 2 or len(portion) >= _PARTS:
                yield portion
                portion = []
        if portion:
            yield portion

    def leave(self) -> None:
        """Remove it when everything in it is ours now; else leave the rest to another time or another."""
        if len(self.adopted) == len(self.segments):
            remove(self.path)
            self.lock.release(unlink=True)
            return
        if self.adopted:
            try:
                settle(self.path, self.adopted)
            except SpoolError:
                _held.append(self.lock)  # what is ours must not be adopted again while we live
                return
        self.lock.release()


_held: list[FileLock] = []


def _part(segment: Segment, marks: bytes, origin: str, codec: Codec[U], *, again: bool) -> Part[U]:
    """What of a segment is to be sent; others that waited are counted."""
    try:
        entries = entries_of(segment.body)
    except ValueError:
        return Part(segment.block, origin, (), 0, 1)
    pairs: list[tuple[Item[U], bytes]] = []
    ambiguous = unreadable = 0
    for entry, mark in zip(entries, marks, strict=False):
        if mark == Mark.SETTLED or entry.is_blot:
            continue
        if mark == Mark.IN_FLIGHT and not again:
            ambiguous += 1
        elif (item := _item(entry, segment, codec)) is None:
            unreadable += 1
        else:
            pairs.append((item, entry.body))
    return Part(segment.block, origin, pairs, ambiguous, unreadable)


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
        estate.leave()
        return None
    return estate


def _set_aside(path: Path, label: Label, notices: Notices, words: str) -> None:
    aside = path.with_name(path.name + DAMAGED)
    path.rename(aside)
    text = "%s: the spool file %s is damaged (%s); set aside as %s"
    notices.say(f"estate {path.name}", logging.ERROR, text, label.vendor, path.name, words, aside.name)
