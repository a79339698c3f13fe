"""
The durable spool: what waits stands in memory and, before `put` returns, in a file.

The memory decides: order, bounds, merging. The file follows it, one transaction for each call, and is read
only by a process that adopts it. When the disk fails, that is said and the memory goes on alone; a minute
later the file is tried again.
Rule: an item that was in the file when its process died is sent by the next one, unless it was in flight to a
vendor who would count it twice.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol

from otel_vendor_exporters.delivery.clock import Clock
from otel_vendor_exporters.delivery.estate import Estate, next_estate
from otel_vendor_exporters.delivery.journal import Changes, Journal, Label, Row
from otel_vendor_exporters.delivery.notices import Notices
from otel_vendor_exporters.delivery.request import Item, U
from otel_vendor_exporters.delivery.spool import Ended, Inherited, MemorySpool, Put
from otel_vendor_exporters.errors import SpoolError

RETRY_SECONDS = 60.0  # after the disk failed
SCAN_SECONDS = 30.0  # between two looks for files of dead processes
_SETTLED_AT_ONCE = 64  # items forgotten in one transaction: after a crash they may arrive twice


class Codec(Protocol[U]):
    """
    How a vendor's units are written. Without credentials: those are put on when a unit is sent.

    `units` names the way with its version; files written in another way are not read.
    """

    units: str

    def encode(self, unit: U) -> bytes:
        """The unit as bytes."""
        ...

    def decode(self, body: bytes) -> U:
        """The unit that `encode` wrote. Raises ValueError for anything else."""
        ...

    def merge_key(self, unit: U) -> Hashable | None:
        """What an item of this unit may merge by."""
        ...

    def subjects(self, unit: U) -> tuple[str, ...]:
        """Whose data the unit is."""
        ...


class BytesCodec:
    """For units that are bytes already."""

    units = "bytes/1"

    def encode(self, unit: bytes) -> bytes:
        """The unit."""
        return unit

    def decode(self, body: bytes) -> bytes:
        """The unit."""
        return body

    def merge_key(self, unit: bytes) -> None:
        """None: bytes do not merge."""

    def subjects(self, unit: bytes) -> tuple[str, ...]:  # noqa: ARG002  nobody knows
        """Nobody's."""
        return ()


@dataclass(frozen=True, slots=True)
class Disk(Generic[U]):
    """
    Where and how a vendor's items are written down.

    `again`: whether what was in flight when a process died is sent again.
    """

    folder: Path
    label: Label
    codec: Codec[U]
    again: bool


class DiskSpool(Generic[U]):
    """The durable twin of `MemorySpool`. Not thread-safe, but for `claim`: its owner holds the lock."""

    def __init__(self, disk: Disk[U], memory: MemorySpool[U], clock: Clock, notices: Notices) -> None:
        self._disk = disk
        self._memory = memory
        self._clock = clock
        self._notices = notices
        self._journal: Journal | None = None
        self._open_at = self._scan_at = clock.monotonic()
        self._closed = False
        self._next_row, self._last_row = 1, 0  # new items count up, adopted ones down: they are older
        self._rows_from, self._rows_to = 1, 0  # outside of these a row is in the file
        self._settled: list[int] = []  # rows to be deleted with the next transaction
        self._left: set[int] = set()  # rows marked as in flight

    def __len__(self) -> int:
        """How many items wait."""
        return len(self._memory)

    def put(self, items: Iterable[Item[U]]) -> Put[U]:
        """Keep new items behind the others, in memory and on disk."""
        items = list(items)
        put = self._memory.put(items)
        self._follow(items, put)
        return put

    def take(self, limit: int) -> list[Item[U]]:
        """The next items, at most `limit`; they stay in the bounds, and on disk, until settled."""
        return self._memory.take(limit)

    def give_back(self, items: Sequence[Item[U]]) -> Put[U]:
        """Let taken items wait again, before the others; none of them is in flight."""
        put = self._memory.give_back(items)
        self._follow(items, put)
        return put

    def leave(self, items: Sequence[Item[U]]) -> None:
        """Items are about to leave: written down before the first byte, where twice is worse than never."""
        if not self._disk.again:
            rows = self._rows_of(items)
            self._left.update(rows)
            self._write(Changes(leaving=rows))

    def stay(self, items: Sequence[Item[U]]) -> None:
        """Items that were about to leave are here, and are to be sent at once."""
        self._write(Changes(back=self._back(items)))

    def settle(self, items: Sequence[Item[U]]) -> None:
        """Forget taken items: their outcome is known."""
        self._memory.settle(items)
        self._forget(items)

    def replace(self, item: Item[U], parts: Sequence[Item[U]]) -> Put[U]:
        """Let the parts of a taken item wait in its place, before the others; in one transaction."""
        put = self._memory.replace(item, parts)
        if not self._has_journal():
            return put
        new: list[Row] = []
        for part in reversed(parts):
            self._last_row -= 1
            new.append(self._row(part, self._last_row))
        rows = self._rows_of([item])
        self._left.difference_update(rows)
        self._write(Changes(new=new, gone=rows))
        self._forget(put.evicted)
        return put

    def take_out(self, subjects: Collection[str]) -> list[Item[U]]:
        """Remove and return what waits and is about one of these subjects."""
        gone = self._memory.take_out(subjects)
        self._settled += self._rows_of(gone)
        self._write(Changes())
        return gone

    def expire(self, now_unix_ms: float) -> list[Item[U]]:
        """Remove and return what is too old."""
        expired = self._memory.expire(now_unix_ms)
        self._forget(expired)
        return expired

    def end(self) -> Ended[U]:
        """Give out everything that waits: what stands on disk is for another process, the rest is lost."""
        self._write(Changes())
        items = self._memory.end().lost
        lost = items if self._journal is None else [item for item in items if not self._is_in_file(item)]
        return Ended(len(items) - len(lost), lost)

    def close(self) -> None:
        """Leave the file to whoever adopts it."""
        self._write(Changes())
        self._closed = True
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def abandon(self) -> None:
        """In a forked child: the file is the parent's."""
        if self._journal is not None:
            self._journal.abandon()
            self._journal = None
        self._closed = True

    # Files of dead processes

    def seconds_until_claim(self, now: float) -> float | None:
        """Until the folder should be looked through for files of dead processes."""
        return None if self._closed else max(self._scan_at - now, 0.0)

    def claim(self) -> Estate | None:
        """The file of a dead process, now under our lock. Called without the owner's lock."""
        estate = next_estate(self._disk.folder, self._disk.label, self._notices)
        if estate is None:  # else there may be more
            self._scan_at = self._clock.monotonic() + SCAN_SECONDS
        return estate

    def inherit(self, estate: Estate) -> Inherited[U]:
        """Make the items of a dead process ours; they are older than all that wait."""
        if not self._has_journal():
            self._scan_at = self._clock.monotonic() + SCAN_SECONDS
            estate.leave()
            return Inherited()
        assert self._journal is not None
        rows, ambiguous, unreadable = list(estate.rows), 0, 0
        if not self._disk.again:
            rows = [row for row in rows if not row.in_flight]
            ambiguous = len(estate.rows) - len(rows)
        items: list[Item[U]] = []
        new: list[Row] = []
        try:
            origins = self._journal.origins()
            for row in reversed(rows):
                origin = row.origin or f"{estate.path.name} {row.id}"
                item = None if origin in origins else self._item(row)
                if item is None:
                    unreadable += origin not in origins
                    continue
                self._last_row -= 1
                item.row = self._last_row
                items.append(item)
                new.append(row._replace(id=item.row, in_flight=0, origin=origin))
            self._journal.write(Changes(new=new))
        except SpoolError as error:
            estate.leave()
            self._fail(error)
            return Inherited()
        estate.remove()
        items.reverse()
        put = self._memory.put_in_front(items)
        self._follow(items, put)
        return Inherited(len(items) + ambiguous + unreadable, ambiguous, unreadable, put)

    def _item(self, row: Row) -> Item[U] | None:
        codec = self._disk.codec
        try:
            unit = codec.decode(row.body)
        except ValueError:
            return None
        return Item(
            unit,
            row.size_bytes,
            expires_at_unix_ms=row.expires_at_unix_ms,
            merge_key=codec.merge_key(unit),
            first=bool(row.first),
            subjects=codec.subjects(unit),
        )

    # The file follows the memory

    def _follow(self, items: Sequence[Item[U]], put: Put[U]) -> None:
        """Write what `put` did with `items`: kept, merged into others, or made room."""
        if not self._has_journal():
            return
        dead = {id(item) for item in put.evicted} | {id(lost) for _, lost in put.absorbed}
        gone = [*put.evicted, *(lost for _, lost in put.absorbed)]
        grown = {id(kept): kept for kept, _ in put.absorbed if id(kept) not in dead}
        alive = [item for item in items if id(item) not in dead]
        encode = self._disk.codec.encode
        changes = Changes(
            changed=[
                (encode(kept.unit), kept.expires_at_unix_ms, kept.row)
                for kept in grown.values()
                if self._is_in_file(kept)
            ],
            new=[self._row(item, self._new_row()) for item in alive if not self._is_in_file(item)],
            back=self._back(alive),
            gone=self._rows_of(gone),
        )
        self._write(changes)

    def _new_row(self) -> int:
        self._next_row += 1
        return self._next_row - 1

    def _row(self, item: Item[U], row: int) -> Row:
        item.row = row
        body = self._disk.codec.encode(item.unit)
        return Row(item.row, 0, item.first, item.expires_at_unix_ms, item.size_bytes, body, None)

    def _forget(self, items: Sequence[Item[U]]) -> None:
        rows = self._rows_of(items)
        self._settled += rows
        self._left.difference_update(rows)
        if len(self._settled) >= _SETTLED_AT_ONCE or self._memory.is_empty:
            self._write(Changes())

    def _back(self, items: Iterable[Item[U]]) -> list[int]:
        """The rows of those items that are marked as in flight, and are so no more."""
        rows = [item.row for item in items if item.row in self._left]
        self._left.difference_update(rows)
        return rows

    def _rows_of(self, items: Iterable[Item[U]]) -> list[int]:
        return [item.row for item in items if self._is_in_file(item)]

    def _is_in_file(self, item: Item[U]) -> bool:
        """Rows of a file that was given up mean nothing any more."""
        return item.row >= self._rows_from or item.row < self._rows_to

    def _write(self, changes: Changes) -> None:
        """Write the changes, and forget what has been settled since, in one transaction."""
        if self._journal is None:
            return
        changes.gone = [*changes.gone, *self._settled]
        self._settled = []
        try:
            self._journal.write(changes)
        except SpoolError as error:
            self._fail(error)

    def _has_journal(self) -> bool:
        """Open the file if there is none, unless the disk failed a moment ago."""
        if self._journal is not None:
            return True
        now = self._clock.monotonic()
        if self._closed or now < self._open_at:
            return False
        try:
            journal = Journal.create(self._disk.folder, self._disk.label)
        except SpoolError as error:
            self._fail(error)
            return False
        self._journal = journal
        self._rows_from, self._rows_to = self._next_row, self._last_row
        self._write(Changes(new=[self._row(item, self._new_row()) for item in self._memory.waiting()]))
        if self._journal is not None:
            text = "%s: what waits is written to the disk again"
            self._notices.note_over("spool", text, self._disk.label.vendor)
        return self._journal is not None

    def _fail(self, error: SpoolError) -> None:
        if self._journal is not None:
            self._journal.remove()
            self._journal = None
        self._open_at = self._clock.monotonic() + RETRY_SECONDS
        self._settled = []
        self._left.clear()
        self._rows_from, self._rows_to = self._next_row, self._last_row
        text = "%s: the spool folder cannot be written (%s): what waits is in memory only"
        self._notices.note("spool", logging.ERROR, text, self._disk.label.vendor, error)
