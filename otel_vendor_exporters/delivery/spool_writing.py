"""
Spool writing: how the file of a durable spool follows its memory.

One transaction for each change. When the disk fails, what stands in the file stays there, and what is new is
in memory only; a minute later, or a second if another process held the file, it is tried again, with all that
it missed.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic

from otel_vendor_exporters.delivery.clock import Clock
from otel_vendor_exporters.delivery.codec import Codec
from otel_vendor_exporters.delivery.disk_errors import BusyError, DamagedError
from otel_vendor_exporters.delivery.journal import Changes, Journal, Label, Mark
from otel_vendor_exporters.delivery.notices import Notices
from otel_vendor_exporters.delivery.request import Item, U
from otel_vendor_exporters.delivery.segments import MOST_IN_A_SEGMENT, Segment, joined
from otel_vendor_exporters.delivery.spool import MemorySpool, Put
from otel_vendor_exporters.errors import SpoolError
from otel_vendor_exporters.interrupts import let_through

RETRY_SECONDS = 60.0  # after the disk failed,
BUSY_RETRY_SECONDS = 1.0  # and after another process had the file under its lock
LOOK_SECONDS = 1.0  # between two looks whether our file is still there
ERASE_AGAIN_SECONDS = 1.0  # after somebody else's reading kept the log from being emptied
_MOST_LOG_BYTES = 1 << 26  # beside what one writing of all that waits may leave there
_GONE_AT_ONCE = 64  # segments deleted in one transaction, once all their items are settled
_SETTLED_AT_ONCE = 256  # items marked as settled together, where they were marked as in flight before;
_SETTLED_AT_ONCE_AGAIN = 1  # and where they were not: what is not marked is sent again after a kill
_INHERITED = -(1 << 41)  # the age that what is inherited counts up from
_PLACES = 1 << 48  # a row is the number of the journal times this, and the item's place in it


@dataclass(frozen=True, slots=True)
class Disk(Generic[U]):
    """
    Where and how a vendor's items are written down.

    `folder` becomes absolute: the application may change its working directory. `again`: whether what was in
    flight when a process died is sent again.
    """

    folder: Path
    label: Label
    codec: Codec[U]
    again: bool

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", self.folder.absolute())


def _block(place: int) -> int:
    return place // MOST_IN_A_SEGMENT


def _body(pairs: Iterable[tuple[Item[U], bytes]]) -> bytes:
    return joined((item.expires_at_unix_ms, item.size_bytes, body) for item, body in pairs)


def _by_block(places: Sequence[int]) -> Mapping[int, int]:
    """How many places of each block."""
    if not places:
        return {}
    first, last = _block(min(places)), _block(max(places))
    return {first: len(places)} if first == last else Counter(map(_block, places))


class SpoolWriting(Generic[U]):
    """What `DiskSpool` writes down, and when. Not thread-safe: its owner holds the lock."""

    def __init__(self, disk: Disk[U], memory: MemorySpool[U], clock: Clock, notices: Notices) -> None:
        self._disk = disk
        self._memory = memory
        self._clock = clock
        self._notices = notices
        self._journal: Journal | None = None
        self._distrusted: Journal | None = None  # left in the middle of a step: for a kill before the next
        # Packed or under way, in the order of taking; and whether they may have left, where that is marked.
        self._taken: dict[Item[U], bool] = {}
        self._open_at: float | None = clock.monotonic()  # when to try the disk; None while it works
        self._was_busy = False  # when the disk failed last
        self._look_at = 0.0
        self._settled_at_once = _SETTLED_AT_ONCE_AGAIN if disk.again else _SETTLED_AT_ONCE
        self._closed = False
        self._is_left_behind = False  # the file is closed, with what was not settled
        self._journals = 0  # opened so far; rows of earlier ones mean nothing any more
        self._start_anew()

    def _start_anew(self) -> None:
        self._free: list[int] = []  # blocks to use again
        self._next_block = 0
        # Ages, of our own segments and of inherited ones: new ones count up, what comes before them down.
        self._newest = {False: 0, True: _INHERITED}
        self._oldest = dict(self._newest)
        self._living: dict[int, int] = {}  # by block: items that are not settled
        self._gone: list[int] = []  # blocks without such, to be deleted
        self._done: list[Item[U]] = []  # settled, and not counted yet
        self._settled: list[int] = []  # places to be marked so
        self._rewrite_due = False  # the file holds what is to be overwritten,
        self._truncate_due = False  # and its log,
        self._erase_at = 0.0  # which is not tried before
        # While the disk fails:
        self._unwritten: list[Item[U]] = []  # got rows, in a transaction that is not over
        self._stale: dict[int, Item[U]] = {}  # by place: items that have grown since they were written
        self._blots: dict[int, set[int]] = {}  # by block: places whose content must not be read again

    def _follow(self, items: Sequence[Item[U]], put: Put[U]) -> None:
        """Write what `put` did with `items`: kept, merged into others, or made room."""
        writable = self._can_write()
        if self._journal is None:
            return
        absorbed = [lost for _, lost in put.absorbed]
        dead = {id(item) for item in (*put.evicted, *absorbed)}
        grown = {
            item.row % _PLACES: item
            for item, _ in put.absorbed
            if id(item) not in dead and self._is_in_file(item)
        }
        # What merges stands alone in its segment, so that both sides of a merge are one transaction.
        for place in self._places_of(absorbed):
            del self._living[_block(place)]
            self._gone.append(_block(place))
            self._stale.pop(place, None)
        self._stale.update(grown)
        fresh = [item for item in items if not (self._is_in_file(item) or id(item) in dead)]
        if writable:
            self._write(Changes(new=self._segments(fresh)))
        if self._open_at is not None:  # what could not be deleted
            self._settled += self._places_of(absorbed)
        self._forget(put.evicted)
        self._mark_settled()

    def _segments(self, items: Sequence[Item[U]], *, older: bool = False) -> list[Segment]:
        """Segments for items, which get their rows. `older` than all of their lane, or newer."""
        return self._grouped(self._encoded(items), older=older)

    def _grouped(
        self, pairs: Sequence[tuple[Item[U], bytes]], origin: str | None = None, *, older: bool = False
    ) -> list[Segment]:
        groups: list[list[tuple[Item[U], bytes]]] = []
        lanes: dict[bool, list[tuple[Item[U], bytes]]] = {True: [], False: []}
        for pair in pairs:
            if pair[0].first:
                groups.append([pair])
            else:
                lanes[pair[0].inherited].append(pair)
        for lane in lanes.values():
            groups += [lane[at : at + MOST_IN_A_SEGMENT] for at in range(0, len(lane), MOST_IN_A_SEGMENT)]
        return [self._segment(group, origin, older=older) for group in groups]

    def _segment(self, pairs: Sequence[tuple[Item[U], bytes]], origin: str | None, *, older: bool) -> Segment:
        block = self._free.pop() if self._free else self._next_block
        self._next_block = max(self._next_block, block + 1)
        row = self._journals * _PLACES + block * MOST_IN_A_SEGMENT
        for item_row, (item, _) in enumerate(pairs, row):
            item.row = item_row
        self._unwritten += [item for item, _ in pairs]
        self._living[block] = len(pairs)
        inherited = pairs[0][0].inherited
        self._oldest[inherited] -= older
        self._newest[inherited] += not older
        age = (self._oldest if older else self._newest)[inherited]
        return Segment(block, age, pairs[0][0].first, origin, _body(pairs))

    def _encoded(self, items: Sequence[Item[U]]) -> list[tuple[Item[U], bytes]]:
        """Items with their bodies; one that cannot be written stays in memory only."""
        encode = self._disk.codec.encode
        try:
            return [(item, encode(item.unit)) for item in items]
        except Exception as fault:  # noqa: BLE001  a fault of ours must not reach the application
            let_through(fault)
            if len(items) > 1:
                return [pair for item in items for pair in self._encoded([item])]
            text = "%s: a fault in this library: an item cannot be written to the disk"
            self._notices.note("fault", logging.ERROR, text, self._disk.label.vendor, error=fault)
            return []

    def _write_without(self, items: Iterable[Item[U]], changes: Changes) -> None:
        """Write the changes, and blot out items that must not be read again, in one transaction."""
        for place in self._places_of(items):
            self._blots.setdefault(_block(place), set()).add(place % MOST_IN_A_SEGMENT)
            self._stale.pop(place, None)
        self._write(changes)

    def erase(self, *, at_once: bool) -> None:
        """
        Overwrite what is settled, taken out or deleted: no byte of it is left in the files.

        That costs as much as writing all that waits. Not `at_once`: with a later write, unless nothing waits,
        so that it takes a tenth of the time at most. So too while the disk fails, or while another process
        reads the log; at the end SQLite itself empties that.
        """
        if self._distrusted is not None and not self._can_write():
            self._distrusted.remove()  # rather lost at a kill than left there
            self._distrusted = None
        if self._journal is None:
            return
        self._rewrite_due = True
        if at_once:
            self._erase_at = self._clock.monotonic()
        self._write(Changes())

    def _overwrite(self) -> None:
        began = self._clock.monotonic()
        is_free = self._rewrite_due and self._memory.is_empty
        self._mark_settled()
        if self._journal is None or (began < self._erase_at and not is_free):
            return
        try:
            if self._rewrite_due:
                self._journal.write(Changes(changed=self._bodies_without_settled(self._journal)))
                self._journal.rewrite()
                self._rewrite_due, self._truncate_due = False, True
            self._truncate_due = not self._journal.truncate_log()
        except SpoolError as error:
            self._fail(error)
            return
        now = self._clock.monotonic()
        self._erase_at = now + (ERASE_AGAIN_SECONDS if self._truncate_due else 10 * (now - began))

    def _bodies_without_settled(self, journal: Journal) -> list[tuple[bytes, int]]:
        settled = {block: places for block in self._living if (places := journal.settled(block))}
        return [(journal.body_without(block, places), block) for block, places in settled.items()]

    def _forget(self, items: Iterable[Item[U]]) -> None:
        """Items are settled: soon in the marks, and when a segment has no others it is deleted."""
        self._done += items
        if len(self._done) >= self._settled_at_once or self._memory.is_empty:
            self._mark_settled()
            if len(self._gone) >= _GONE_AT_ONCE or (self._gone and self._memory.is_empty):
                self._write(Changes())

    def _count_done(self) -> None:
        """Many together cost a fifth of what they do one request at a time."""
        done, self._done = self._done, []
        places = self._places_of(done)
        for place in places if self._stale else ():
            self._stale.pop(place, None)
        self._settled += places
        for block, count in _by_block(places).items():
            self._living[block] -= count
            if not self._living[block]:
                del self._living[block]
                self._gone.append(block)

    def _places_of(self, items: Iterable[Item[U]]) -> list[int]:
        """Where in the file those stand that do."""
        if self._journal is None:
            return []
        start = self._journals * _PLACES
        return [item.row - start for item in items if item.row >= start]

    def _is_in_file(self, item: Item[U]) -> bool:
        is_there = self._journal is not None or self._is_left_behind
        return is_there and item.row >= self._journals * _PLACES

    def _mark(self, places: Collection[int], mark: Mark) -> bool:
        """Whether that could be written, as far as there is a file."""
        if self._journal is None or not places:
            return True
        try:
            self._journal.mark(places, mark)
        except SpoolError as error:
            self._fail(error)
            return False
        return True

    def _mark_settled(self) -> None:
        self._count_done()
        settled, self._settled = self._settled, []
        if not self._mark(settled, Mark.SETTLED):
            self._settled += settled

    def _write(self, changes: Changes) -> None:
        """Write the changes, with all that has not been written yet, in one transaction."""
        if self._gone or self._rewrite_due:
            self._mark_settled()  # before a block can be used again, or its content is overwritten
        if self._open_at is not None and not self._living:
            self._give_up()  # nothing in the file is of use
        if self._open_at is not None or self._journal is None:
            self._undo(changes)
            return
        try:
            self._journal.write(self._pending(self._journal, changes))
        except SpoolError as error:
            self._undo(changes)
            self._fail(error)
        else:
            self._free += self._gone
            self._gone, self._unwritten = [], []
            self._stale, self._blots = {}, {}
            if self._rewrite_due or self._truncate_due:
                self._overwrite()

    def _pending(self, journal: Journal, changes: Changes) -> Changes:
        """The changes, and what has grown, is to be blotted out or is gone."""
        if not (self._stale or self._blots):
            return replace(changes, gone=self._gone)
        blots = {block: places for block, places in self._blots.items() if block in self._living}
        bodies = [(journal.body_without(block, places), block) for block, places in blots.items()]
        bodies += [(_body(self._encoded([item])), _block(place)) for place, item in self._stale.items()]
        return replace(changes, changed=bodies, gone=self._gone)

    def _undo(self, changes: Changes) -> None:
        """The new segments are not in the file: their items are in memory only."""
        for item in self._unwritten:
            item.row = 0
        self._unwritten = []
        for segment in changes.new:
            del self._living[segment.block]
            self._free.append(segment.block)

    def _take_back(self, segments: Sequence[Segment]) -> None:
        """Segments are in the file that must not be: without them, or without a file."""
        self._undo(Changes())
        for segment in segments:
            del self._living[segment.block]
        self._gone += [segment.block for segment in segments]
        self._write(Changes())
        if self._gone:
            self._give_up()

    def _can_write(self) -> bool:
        """Whether there is a file and the disk takes it: tried again a while after the disk failed."""
        if self._open_at is None:
            return True
        now = self._clock.monotonic()
        if self._closed or now < self._open_at:
            return False
        if self._journal is not None and not self._journal.is_there():
            self._give_up()
        try:
            self._journal = self._journal or self._new_journal()
        except SpoolError as error:
            self._fail(error)
            return False
        self._open_at = None
        alive = [*self._taken, *self._memory.waiting()]
        self._write(Changes(new=self._segments([item for item in alive if not self._is_in_file(item)])))
        left = [item for item, has_left in self._taken.items() if has_left]
        self._mark(self._places_of(left), Mark.IN_FLIGHT)
        if self._open_at is None:
            if self._distrusted is not None:
                self._distrusted.remove()
                self._distrusted = None
            text = "%s: what waits is written to the disk again"
            self._notices.note_over("spool", text, self._disk.label.vendor)
        return self._open_at is None

    def _look_for_file(self) -> None:
        """Go on with another file when ours is of no use: removed, or with a log that a reader lets grow."""
        now = self._clock.monotonic()
        if self._journal is None or now < self._look_at:
            return
        self._look_at = now + LOOK_SECONDS
        if not self._journal.is_there():
            why = "somebody has removed files from the spool folder"
        elif self._journal.log_bytes() > _MOST_LOG_BYTES + 2 * self._memory.max_bytes:
            why = "another program has been reading a spool file for long, so that it grows"
        else:
            return
        self._give_up()
        self._open_at = now
        text = "%s: %s: what waits is written to a new one"
        self._notices.note("spool file", logging.ERROR, text, self._disk.label.vendor, why)

    def _new_journal(self) -> Journal:
        journal = Journal.create(self._disk.folder, self._disk.label)
        self._journals += 1
        self._start_anew()
        return journal

    def _fail(self, error: SpoolError) -> None:
        """What stands in the file stays there; what is new is in memory only, until the disk works again."""
        if isinstance(error, DamagedError):
            self._give_up()
        self._was_busy = isinstance(error, BusyError)
        wait = BUSY_RETRY_SECONDS if self._was_busy else RETRY_SECONDS
        self._open_at = self._clock.monotonic() + wait
        text = "%s: the spool folder cannot be written (%s): what is new waits in memory only"
        self._notices.note("spool", logging.ERROR, text, self._disk.label.vendor, error)

    def _give_up(self) -> None:
        """The file is of no use any more: what waits is in memory, and will be written to another."""
        if self._journal is not None:
            self._journal.remove()
            self._journal = None
