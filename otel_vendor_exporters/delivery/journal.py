"""
Journal: the files in which one process writes down what waits. The one door to SQLite and the spool folder.

What an export kept is one row of a SQLite file: a segment. What became of each item of a segment is one byte
in a second file beside it: a write of a byte outlives the process as surely as a transaction, and costs a
fiftieth. A third file holds the lock; who has it owns all three. The label says in the open whose vendor and
address they are, and as a salted hash whose account; no credential stands there at all.
Rule: whatever the disk does comes out as a SpoolError; a file that is not ours is never changed.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import secrets
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise
from pathlib import Path
from typing import Any

from otel_vendor_exporters.delivery.disk_errors import (
    OTHER_KIND,
    DamagedError,
    disk_error,
    disk_errors,
    is_damage,
)
from otel_vendor_exporters.delivery.file_lock import FileLock
from otel_vendor_exporters.delivery.lifetime import no_fork
from otel_vendor_exporters.delivery.segments import BLOT, MOST_IN_A_SEGMENT, Segment, entries_of, joined
from otel_vendor_exporters.errors import SpoolError

SCHEMA_VERSION = 1
APPLICATION_ID = 0x4F564558
SUFFIX = ".spool"
MARKS = ".marks"
_MOST_BETWEEN = 4096  # places between two marks, for which one writing costs less than two
_MOST_BLOCKS = 1 << 39  # times 512 that is the largest place there is, 2^48
# For another process that has a file under its lock: ours, while an application's thread waits; and others'.
_MOST_WAIT_MS = 100
_MOST_WAIT_TO_READ_MS = 1_000
_CHECKPOINT_PAGES = 1000  # 16 MB of log; only then the disk itself is waited for

_SCHEMA = (
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
    "CREATE TABLE label (vendor TEXT, units TEXT, address TEXT, salt BLOB, fingerprint BLOB)",
    # block: where in the marks its items stand. origin: the file and block it was copied from.
    """CREATE TABLE segments (
        block INTEGER PRIMARY KEY,
        age INTEGER NOT NULL,
        first INTEGER NOT NULL,
        origin TEXT,
        body BLOB NOT NULL
    )""",
)


class Mark(IntEnum):
    """What the byte of an item says."""

    WAITING = 0
    IN_FLIGHT = 1
    SETTLED = 2


@dataclass(frozen=True, slots=True)
class Label:
    """
    Whose items a file holds: another vendor's, account's or address's are another label.

    `units` names the vendor's way to write a unit, with its version. `identity` is hashed.
    """

    vendor: str
    units: str
    address: str
    identity: tuple[str, ...]

    def fingerprint(self, salt: bytes) -> bytes:
        """A hash that only who knows the identity can make again."""
        text = json.dumps([self.vendor, self.units, self.address, *self.identity])
        return hashlib.blake2b(text.encode(), digest_size=16, salt=salt).digest()


@dataclass(frozen=True, slots=True)
class Changes:
    """What one transaction does: segments that are new, those with another body, and blocks that are gone."""

    new: Sequence[Segment] = ()
    changed: Sequence[tuple[bytes, int]] = ()
    gone: Sequence[int] = ()


class Journal:
    """This process's files. Not thread-safe: its owner holds the lock."""

    def __init__(self, path: Path, lock: FileLock, connection: sqlite3.Connection, marks: int) -> None:
        self.path = path
        self._lock = lock
        self._connection = connection
        self._status = path.stat()
        self._marks = marks  # a file descriptor,
        self._states = bytearray()  # and what stands there

    @classmethod
    def create(cls, folder: Path, label: Label) -> Journal:
        """New files in `folder`, readable by their owner alone. Raises SpoolError."""
        with disk_errors():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path, lock = _new_name(folder, label)
            try:
                os.close(_new_file(path))
                connection = _prepared(path, label)
                return cls(path, lock, connection, _new_file(_beside(path, MARKS)))
            except BaseException:
                remove(path)
                lock.release(unlink=True)
                raise

    def is_there(self) -> bool:
        """Whether others find our files: written on, a file that was removed is only ours to see."""
        samestat = os.path.samestat
        try:
            return (
                samestat(self._status, self.path.stat())
                and samestat(os.fstat(self._marks), _beside(self.path, MARKS).stat())
                and _beside(self.path, "-wal").exists()
                and self._lock.is_there()
            )
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:  # it cannot be told now
            return True

    def log_bytes(self) -> int:
        """The size of SQLite's log, which grows while another program reads; 0 when it cannot be told."""
        with suppress(OSError):
            return _beside(self.path, "-wal").stat().st_size
        return 0

    def write(self, changes: Changes) -> None:
        """All changes, or none. Raises SpoolError."""
        if not (changes.new or changes.changed or changes.gone):
            return
        self._clear_marks(changes.new)
        with disk_errors():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                for statement, rows in (
                    ("INSERT INTO segments VALUES (?, ?, ?, ?, ?)", changes.new),
                    ("UPDATE segments SET body = ? WHERE block = ?", changes.changed),
                    ("DELETE FROM segments WHERE block = ?", [(block,) for block in changes.gone]),
                ):
                    if rows:
                        self._connection.executemany(statement, rows)
                self._connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # a full disk has rolled back by itself
                    self._connection.execute("ROLLBACK")
                raise

    def _clear_marks(self, segments: Iterable[Segment]) -> None:
        """Before they are there: their blocks may have been others'."""
        for segment in segments:
            start, stop = segment.block * MOST_IN_A_SEGMENT, (segment.block + 1) * MOST_IN_A_SEGMENT
            if len(self._states) < stop:
                self._states.extend(bytes(stop - len(self._states)))
            self._states[start:stop] = bytes(MOST_IN_A_SEGMENT)
            self._write_marks(start, stop)

    def mark(self, places: Collection[int], mark: Mark) -> None:
        """Say what became of the items at these places: block times 512 and the place in it."""
        states = self._states
        for place in places:
            states[place] = mark
        start, stop = min(places), max(places) + 1
        if stop - start <= _MOST_BETWEEN:
            self._write_marks(start, stop)
        else:
            for start, stop in _ranges(sorted(places)):
                self._write_marks(start, stop)

    def _write_marks(self, start: int, stop: int) -> None:
        try:
            os.pwrite(self._marks, memoryview(self._states)[start:stop], start)
        except OSError as error:
            raise disk_error(error) from error

    def body_without(self, block: int, indexes: Collection[int]) -> bytes:
        """The body of a segment with some of its items blotted out. Raises SpoolError."""
        with disk_errors():
            found = self._connection.execute("SELECT body FROM segments WHERE block = ?", (block,)).fetchone()
        try:
            entries = entries_of(found[0]) if found else []
        except ValueError as error:
            raise DamagedError(str(error)) from error
        return joined(BLOT if index in indexes else entry for index, entry in enumerate(entries))

    def settled(self, block: int) -> set[int]:
        """Which places of a block are marked as settled."""
        marks = self._states[block * MOST_IN_A_SEGMENT : (block + 1) * MOST_IN_A_SEGMENT]
        return {place for place, mark in enumerate(marks) if mark == Mark.SETTLED}

    def rewrite(self) -> None:
        """Leave nothing in the file but what its rows hold; the log may hold more. Raises SpoolError."""
        with disk_errors():
            self._connection.execute("VACUUM")

    def truncate_log(self) -> bool:
        """Write the log to the file and empty it; False while somebody else reads it. Raises SpoolError."""
        with disk_errors():
            (busy, *_) = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not busy

    def close(self) -> None:
        """Leave the files to whoever adopts them; empty ones are removed. Never raises."""
        empty = False
        with no_fork:
            with suppress(sqlite3.Error):
                empty = self._connection.execute("SELECT 1 FROM segments LIMIT 1").fetchone() is None
            self._end(unlink=empty)

    def remove(self) -> None:
        """Give the files up with all that is in them. Never raises."""
        with no_fork:
            self._end(unlink=True)

    def _end(self, *, unlink: bool) -> None:
        with suppress(sqlite3.Error):
            self._connection.close()
        with suppress(OSError):
            os.close(self._marks)
        if unlink:
            remove(self.path)
        self._lock.release(unlink=unlink)

    def abandon(self) -> None:
        """In a forked child: the files are the parent's. Even closing SQLite's here would tidy it up."""
        _never_finalize(self._connection)
        with suppress(OSError):
            os.close(self._marks)
        self._lock.abandon()


@dataclass(frozen=True, slots=True)
class Content:
    """What was read: segments in the order of age with the marks of their items, and whether that was all."""

    segments: Sequence[tuple[Segment, bytes]]
    whole: bool


def read(path: Path, label: Label) -> Content | str | None:
    """
    What a dead process left in a file of this label; None when it is another's.

    A text says why a file that looks like ours cannot be used: it is left as it is. Raises DamagedError when
    it is no readable file at all, SpoolError when it cannot be read now.
    """
    try:
        return _read(path, label)
    except OTHER_KIND as error:
        raise DamagedError("what stands in it is of another kind") from error


def _read(path: Path, label: Label) -> Content | str | None:
    with disk_errors(), closing(_connect(path, _MOST_WAIT_TO_READ_MS)) as connection:
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if application != APPLICATION_ID:
            tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            return "is of another program" if tables or application else Content((), whole=True)
        if version != SCHEMA_VERSION:
            return f"has schema version {version}, this version knows {SCHEMA_VERSION}"
        found = connection.execute("SELECT salt, fingerprint FROM label").fetchone()
        if found is None or not isinstance(found[0], bytes) or label.fingerprint(found[0][:16]) != found[1]:
            return None
        marks = _beside(path, MARKS).read_bytes() if _beside(path, MARKS).exists() else b""
        segments: list[tuple[Segment, bytes]] = []
        whole = True
        try:
            for row in connection.execute("SELECT * FROM segments"):  # to sort them SQLite reads all first
                segment = _segment(row)
                at = segment.block * MOST_IN_A_SEGMENT
                its_marks = marks[at : at + MOST_IN_A_SEGMENT].ljust(MOST_IN_A_SEGMENT, b"\0")
                segments.append((segment, its_marks))
        except (sqlite3.Error, *OTHER_KIND) as error:
            if not is_damage(error):
                raise
            whole = False  # what could be read is not lost
        return Content(sorted(segments, key=lambda one: one[0].age), whole)


def _segment(row: tuple[Any, ...]) -> Segment:
    """A segment of what stands in a row. Raises TypeError or ValueError for what `write` never put there."""
    segment = Segment(*row)
    if not (isinstance(segment.body, bytes) and isinstance(segment.origin, str | None)):
        raise TypeError("a segment of other columns")
    if not 0 <= segment.block < _MOST_BLOCKS or segment.first not in (0, 1):
        raise ValueError("a segment out of bounds")
    if not isinstance(segment.age, int):
        raise TypeError("a segment of no age")
    return segment


def settle(path: Path, blocks: Mapping[int, int]) -> None:
    """Mark what stands in blocks of a file under our lock, up to a place, as settled. Raises SpoolError."""
    with disk_errors():
        flags = os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW
        descriptor = os.open(_beside(path, MARKS), flags, 0o600)
        try:
            for block, stop in blocks.items():
                os.pwrite(descriptor, bytes([Mark.SETTLED]) * stop, block * MOST_IN_A_SEGMENT)
        finally:
            os.close(descriptor)


def remove(path: Path) -> None:
    """Remove a spool file and those beside it, but for the lock. Never raises."""
    for end in ("", MARKS, "-wal", "-shm"):
        with suppress(OSError):  # it was not there, or the folder is not ours to change
            _beside(path, end).unlink()


def _beside(path: Path, end: str) -> Path:
    return path.with_name(path.name + end)


def _new_file(path: Path) -> int:
    return os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW, 0o600)


def _ranges(places: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Start and end of what is written together: what stands in between is written as it is."""
    if not places:
        return
    start = places[0]
    if places[-1] - start > _MOST_BETWEEN:
        for one, following in pairwise(places):
            if following - one > _MOST_BETWEEN:
                yield start, one + 1
                start = following
    yield start, places[-1] + 1


def _new_name(folder: Path, label: Label) -> tuple[Path, FileLock]:
    for _ in range(3):  # somebody may take a new lock for one that was left behind
        path = folder / f"{label.vendor}-{os.getpid()}-{secrets.token_hex(4)}{SUFFIX}"
        lock = FileLock.take(path, create=True)
        if lock is not None:
            return path, lock
    raise SpoolError("cannot lock a new file")


def _prepared(path: Path, label: Label) -> sqlite3.Connection:
    """A connection to an empty file, with its tables and label."""
    connection = _connect(path, _MOST_WAIT_MS)
    try:
        connection.execute("PRAGMA page_size = 16384")  # a segment is some ten thousand bytes
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA temp_store = MEMORY")  # a rewriting puts nothing into another folder
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        connection.execute("BEGIN IMMEDIATE")
        for statement in _SCHEMA:
            connection.execute(statement)
        salt = secrets.token_bytes(16)
        columns = (label.vendor, label.units, label.address, salt, label.fingerprint(salt))
        connection.execute("INSERT INTO label VALUES (?, ?, ?, ?, ?)", columns)
        connection.execute("COMMIT")
    except BaseException:
        connection.close()
        raise
    return connection


def _connect(path: Path, most_wait_ms: int) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=most_wait_ms / 1_000,
    )


def _never_finalize(connection: sqlite3.Connection) -> None:
    api = getattr(ctypes, "pythonapi", None)
    if api is not None:  # without it, as in PyPy, nothing is finalized at exit
        api.Py_IncRef(ctypes.py_object(connection))
