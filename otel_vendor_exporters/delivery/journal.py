"""
Journal: the file in which one process writes down what waits. The one door to SQLite and the spool folder.

A file belongs to the process that holds the lock beside it. It names its vendor and address in the open;
whose account it is stands there only as a salted hash, and no credential stands there at all.
Rule: whatever the disk does comes out as a SpoolError; a file that is not ours is never changed.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from otel_vendor_exporters.delivery.file_lock import FileLock
from otel_vendor_exporters.errors import SpoolError

SCHEMA_VERSION = 1
APPLICATION_ID = 0x4F564558
SUFFIX = ".spool"
_CHECKPOINT_PAGES = 4000  # 16 MB of log; only then the disk itself is waited for

_SCHEMA = (
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
    "CREATE TABLE label (vendor TEXT, units TEXT, address TEXT, salt BLOB, fingerprint BLOB)",
    # id: in the order of age. origin: the file and id an item was adopted from, so that it is adopted once.
    """CREATE TABLE items (
        id INTEGER PRIMARY KEY,
        in_flight INTEGER NOT NULL,
        first INTEGER NOT NULL,
        expires_at_unix_ms REAL,
        size_bytes INTEGER NOT NULL,
        body BLOB NOT NULL,
        origin TEXT
    )""",
)


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


class Row(NamedTuple):
    """One item as it stands in a file."""

    id: int
    in_flight: int
    first: int
    expires_at_unix_ms: float | None
    size_bytes: int
    body: bytes
    origin: str | None


@dataclass(slots=True)
class Changes:
    """What one transaction does. All but `new` and `changed` (body, expires_at_unix_ms, id) are ids."""

    new: Sequence[Row] = ()
    changed: Sequence[tuple[bytes, float | None, int]] = ()
    gone: Sequence[int] = field(default_factory=list)
    leaving: Sequence[int] = ()
    back: Sequence[int] = ()


class Journal:
    """This process's file. Not thread-safe: its owner holds the lock."""

    def __init__(self, path: Path, lock: FileLock, connection: sqlite3.Connection) -> None:
        self.path = path
        self._lock = lock
        self._connection = connection

    @classmethod
    def create(cls, folder: Path, label: Label) -> Journal:
        """A new file in `folder`, readable by its owner alone. Raises SpoolError."""
        with disk_errors():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path, lock = _new_name(folder, label)
            try:
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW, 0o600))
                return cls(path, lock, _prepared(path, label))
            except BaseException:
                remove(path)
                lock.release(unlink=True)
                raise

    def write(self, changes: Changes) -> None:
        """All changes, or none. Raises SpoolError."""
        statements: list[tuple[str, Iterable[Sequence[object]]]] = [
            ("INSERT INTO items VALUES (?, ?, ?, ?, ?, ?, ?)", changes.new),
            ("UPDATE items SET body = ?, expires_at_unix_ms = ? WHERE id = ?", changes.changed),
            ("DELETE FROM items WHERE id = ?", [(one,) for one in changes.gone]),
            ("UPDATE items SET in_flight = 1 WHERE id = ?", [(one,) for one in changes.leaving]),
            ("UPDATE items SET in_flight = 0 WHERE id = ?", [(one,) for one in changes.back]),
        ]
        if not any(rows for _, rows in statements):
            return
        with disk_errors():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                for statement, rows in statements:
                    if rows:
                        self._connection.executemany(statement, rows)
                self._connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # a full disk has rolled back by itself
                    self._connection.execute("ROLLBACK")
                raise

    def origins(self) -> set[str]:
        """Where the adopted items came from that are still here. Raises SpoolError."""
        with disk_errors():
            found = self._connection.execute("SELECT origin FROM items WHERE origin IS NOT NULL")
            return {str(origin) for (origin,) in found}

    def close(self) -> None:
        """Leave the file to whoever adopts it; an empty one is removed. Never raises."""
        empty = False
        with suppress(sqlite3.Error):
            empty = self._connection.execute("SELECT 1 FROM items LIMIT 1").fetchone() is None
        with suppress(sqlite3.Error):
            self._connection.close()
        if empty:
            remove(self.path)
        self._lock.release(unlink=empty)

    def remove(self) -> None:
        """Give the file up with all that is in it. Never raises."""
        with suppress(sqlite3.Error):
            self._connection.close()
        remove(self.path)
        self._lock.release(unlink=True)

    def abandon(self) -> None:
        """In a forked child: the file is the parent's. Even closing it here would tidy it up."""
        _never_finalize(self._connection)
        self._lock.abandon()


@dataclass(frozen=True, slots=True)
class Content:
    """What was read from a file: its rows in the order of age, and whether that was all there was."""

    rows: Sequence[Row]
    whole: bool


def read(path: Path, label: Label) -> Content | str | None:
    """
    What a dead process left in a file of this label; None when it is another's or empty of meaning.

    A text says why a file that looks like ours cannot be used: it is left as it is. Raises SpoolError when
    it is no readable file at all.
    """
    with disk_errors(), closing(_connect(path)) as connection:
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if application != APPLICATION_ID:
            tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            return "is of another program" if tables or application else Content((), whole=True)
        if version != SCHEMA_VERSION:
            return f"has schema version {version}, this version knows {SCHEMA_VERSION}"
        found = connection.execute("SELECT salt, fingerprint FROM label").fetchone()
        if found is None or label.fingerprint(found[0]) != found[1]:
            return None
        rows: list[Row] = []
        try:
            rows.extend(map(Row._make, connection.execute("SELECT * FROM items ORDER BY id")))
        except sqlite3.DatabaseError:  # damaged in the middle: what could be read is not lost
            return Content(rows, whole=False)
        return Content(rows, whole=True)


def remove(path: Path) -> None:
    """Remove a spool file and SQLite's files beside it. Never raises."""
    for one in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
        with suppress(OSError):  # it was not there, or the folder is not ours to change
            one.unlink()


@contextmanager
def disk_errors() -> Iterator[None]:
    """Turn what the disk says into SpoolError, in words without paths of the user's."""
    try:
        yield
    except sqlite3.Error as error:
        raise SpoolError(str(error)) from error
    except OSError as error:
        raise SpoolError(error.strerror or type(error).__name__) from error


def _new_name(folder: Path, label: Label) -> tuple[Path, FileLock]:
    for _ in range(3):  # somebody may take a new lock for one that was left behind
        path = folder / f"{label.vendor}-{os.getpid()}-{secrets.token_hex(4)}{SUFFIX}"
        lock = FileLock.take(path, create=True)
        if lock is not None:
            return path, lock
    raise SpoolError("cannot lock a new file")


def _prepared(path: Path, label: Label) -> sqlite3.Connection:
    """A connection to an empty file, with its tables and label."""
    connection = _connect(path)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
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


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=1.0,
    )


def _never_finalize(connection: sqlite3.Connection) -> None:
    api = getattr(ctypes, "pythonapi", None)
    if api is not None:  # without it, as in PyPy, nothing is finalized at exit
        api.Py_IncRef(ctypes.py_object(connection))
