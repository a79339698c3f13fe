"""A machine whose processes come, die and adopt, for the tests of the durable spool; its units are texts."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Hashable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from otel_vendor_exporters.delivery import journal, segments
from otel_vendor_exporters.delivery.disk_errors import disk_errors
from otel_vendor_exporters.delivery.disk_spool import DiskSpool
from otel_vendor_exporters.delivery.estate import Estate
from otel_vendor_exporters.delivery.journal import Journal, Label
from otel_vendor_exporters.delivery.notices import Notices
from otel_vendor_exporters.delivery.request import Item
from otel_vendor_exporters.delivery.spool import Inherited, MemorySpool, Put
from otel_vendor_exporters.delivery.spool_writing import Disk
from tests.delivery.fakes import FakeClock

SECRET = "s3cret-api-key"
LABEL = Label("shop", "text/1", "https://vendor.example/v1", (SECRET, "production"))


class TextCodec:
    """Texts; "merge" before a colon is what they merge by."""

    units = "text/1"

    def encode(self, unit: str) -> bytes:
        return unit.encode()

    def decode(self, body: bytes) -> str:
        return body.decode()

    def merge_key(self, unit: str) -> Hashable | None:
        return unit.partition(":")[0] if ":" in unit else None

    def subjects(self, unit: str) -> tuple[str, ...]:
        return tuple(unit.split("@")[1:])


@dataclass
class Host:
    """A machine with a spool folder and processes that come and go."""

    folder: Path
    clock: FakeClock
    label: Label = LABEL
    again: bool = False
    open: list[DiskSpool[str]] = field(default_factory=list)

    def process(self, *, max_items: int = 100, max_bytes: int = 10_000) -> DiskSpool[str]:
        memory: MemorySpool[str] = MemorySpool(
            max_items=max_items, max_bytes=max_bytes, merge=lambda old, new: f"{old}+{new}"
        )
        disk = Disk(self.folder, self.label, TextCodec(), self.again)
        self.notices = Notices(logging.getLogger("otel_vendor_exporters.shop"), self.clock)
        self.open.append(DiskSpool(disk, memory, self.clock, self.notices))
        return self.open[-1]

    def die(self, spool: DiskSpool[str]) -> None:
        """What is left when a process is killed: the file, and no lock."""
        found = spool._journal
        assert found is not None
        found._connection.close()  # tidies the log up, which a kill does not: the content is the same
        found._lock.release()
        spool._journal = None
        spool._closed = True

    def close(self) -> None:
        for spool in self.open:
            spool.close()

    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())


def items(names: Iterable[str], size: int = 10) -> list[Item[str]]:
    return [Item(name, size) for name in names]


def firsts(*names: str, expires: float | None = None) -> list[Item[str]]:
    key = TextCodec().merge_key
    return [Item(one, 10, first=True, merge_key=key(one), expires_at_unix_ms=expires) for one in names]


def names(found: Sequence[Item[str]]) -> list[str]:
    return [item.unit for item in found]


def adopt(spool: DiskSpool[str]) -> list[Inherited[str]]:
    """Adopt everything there is."""
    found = []
    while (estate := spool.claim()) is not None:
        one = inherit(spool, estate)
        if not one.items:
            break  # it was left
        found.append(one)
    return found


def inherit(spool: DiskSpool[str], estate: Estate) -> Inherited[str]:
    """Adopt of an estate what there is room for."""
    found: list[Inherited[str]] = []
    for portion in spool.portions(estate):
        one = spool.inherit(estate, portion)
        if one is None:
            break
        found.append(one)
        if not spool.is_looking:
            break  # there is no room for more
    estate.leave()
    evicted = [item for one in found for item in one.put.evicted]
    put = Put(sum(one.put.merged for one in found), evicted)
    counts = [(one.items, one.ambiguous, one.unreadable) for one in found]
    total, ambiguous, unreadable = (sum(column) for column in zip((0, 0, 0), *counts, strict=True))
    return Inherited(total, ambiguous, unreadable, put)


class Killed(BaseException):
    """The end of a process in the middle of something."""


def killed(*args: Any) -> None:
    raise Killed


def content_of(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection, connection:
        found = [body for (body,) in connection.execute("SELECT body FROM segments")]
    connection.close()
    return [entry.body.decode() for body in found for entry in segments.entries_of(body)]


def refusing(words: str) -> Callable[..., None]:
    def write(self: Journal, changes: journal.Changes) -> None:
        with disk_errors():
            raise sqlite3.OperationalError(words)

    return write
