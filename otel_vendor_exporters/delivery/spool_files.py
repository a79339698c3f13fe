"""
Spool files as somebody sees them who only looks: whose they are, how much waits in them, who lives.

Rule: nothing in the folder is changed, and no item is read.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from otel_vendor_exporters.delivery.disk_errors import disk_errors
from otel_vendor_exporters.delivery.estate import DAMAGED
from otel_vendor_exporters.delivery.file_lock import FileLock
from otel_vendor_exporters.delivery.journal import (
    APPLICATION_ID,
    MARKS,
    SCHEMA_VERSION,
    SUFFIX,
    Label,
    Mark,
)
from otel_vendor_exporters.delivery.segments import MOST_IN_A_SEGMENT, entries_of
from otel_vendor_exporters.errors import SpoolError


@dataclass(frozen=True, slots=True)
class SpoolFile:
    """One file. `is_ours`: a process with our settings adopts it once its own process has ended."""

    name: str
    address: str = ""
    waiting: int = 0
    in_flight: int = 0
    is_ours: bool = False
    is_alive: bool = False
    problem: str = ""


def spool_files(folder: Path, label: Label) -> tuple[SpoolFile, ...]:
    """The files of the label's vendor in `folder`, whosever they are. Raises SpoolError."""
    with disk_errors():
        paths = sorted(folder.glob(f"{label.vendor}-*{SUFFIX}"))
        damaged = sorted(folder.glob(f"{label.vendor}-*{SUFFIX}{DAMAGED}"))
    return (
        *(_seen(path, label) for path in paths),
        *(SpoolFile(path.name, problem="was damaged, and is set aside") for path in damaged),
    )


def _seen(path: Path, label: Label) -> SpoolFile:
    try:
        with disk_errors(), closing(_connect(path)) as connection:
            return _content(path, label, connection)
    except (SpoolError, ValueError) as error:
        return SpoolFile(path.name, problem=f"cannot be read: {error}")


def _content(path: Path, label: Label, connection: sqlite3.Connection) -> SpoolFile:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if application != APPLICATION_ID:
        return SpoolFile(path.name, problem="is of another program")
    if version != SCHEMA_VERSION:
        return SpoolFile(path.name, problem=f"has schema version {version}, expected {SCHEMA_VERSION}")
    address, salt, fingerprint = connection.execute("SELECT address, salt, fingerprint FROM label").fetchone()
    marks = Counter(_marks(path, connection))
    return SpoolFile(
        path.name,
        address=address,
        waiting=marks[Mark.WAITING],
        in_flight=marks[Mark.IN_FLIGHT],
        is_ours=label.fingerprint(salt) == fingerprint,
        is_alive=_is_alive(path),
    )


def _marks(path: Path, connection: sqlite3.Connection) -> Iterator[int]:
    """The mark of every item."""
    beside = path.with_name(path.name + MARKS)
    marks = beside.read_bytes() if beside.exists() else b""
    for block, body in connection.execute("SELECT block, body FROM segments"):
        start = block * MOST_IN_A_SEGMENT
        for place, entry in enumerate(entries_of(body), start):
            if not entry.is_blot:
                yield marks[place] if place < len(marks) else Mark.WAITING


def _is_alive(path: Path) -> bool:
    """Whether a process holds its lock. Taking one that is free for a moment does no harm."""
    try:
        lock = FileLock.take(path)
    except FileNotFoundError:
        return False
    if lock is None:
        return True
    lock.release()
    return False


def _connect(path: Path) -> sqlite3.Connection:
    """For reading. Where no log stands beside the file, SQLite would make one, unless told that none will."""
    untouched = "" if path.with_name(path.name + "-wal").exists() else "&immutable=1"
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro{untouched}", uri=True, timeout=1.0)
