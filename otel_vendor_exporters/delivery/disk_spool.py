"""
The durable spool: what waits stands in memory and, before `put` returns, in a file.

The memory decides: order, bounds, merging. The file follows it, one transaction for each call, and is read
only by a process that adopts it. How it follows, and what happens when the disk fails, is in `spool_writing`.
Rule: an item that was in the file when its process died is sent by the next one, unless it was in flight to a
vendor who would count it twice.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Iterable, Iterator, Sequence

from otel_vendor_exporters.delivery.clock import Clock
from otel_vendor_exporters.delivery.estate import Estate, Part
from otel_vendor_exporters.delivery.journal import (
    Changes,
    Mark,
)
from otel_vendor_exporters.delivery.notices import Notices
from otel_vendor_exporters.delivery.request import Item, U
from otel_vendor_exporters.delivery.search import Search
from otel_vendor_exporters.delivery.segments import Segment
from otel_vendor_exporters.delivery.spool import Ended, Inherited, MemorySpool, Put
from otel_vendor_exporters.delivery.spool_writing import Disk, SpoolWriting
from otel_vendor_exporters.errors import SpoolError

SCAN_SECONDS = 30.0  # from one look for files of dead processes to the next
NO_ROOM_SECONDS = 5.0  # and while the queue is too full for what was found


class DiskSpool(SpoolWriting[U]):
    """
    The durable twin of `MemorySpool`.

    Not thread-safe, but for `claim` and `portions`: its owner holds the lock.
    """

    def __init__(self, disk: Disk[U], memory: MemorySpool[U], clock: Clock, notices: Notices) -> None:
        super().__init__(disk, memory, clock, notices)
        self._search = Search(disk.folder, disk.label, notices)
        self._look: Iterator[Estate | None] | None = None
        self._look_anew_at = clock.monotonic()

    def __len__(self) -> int:
        """How many items wait."""
        return len(self._memory)

    @property
    def has_first(self) -> bool:
        """Whether items wait that go first."""
        return self._memory.has_first

    @property
    def has_own(self) -> bool:
        """Whether items wait that this process has kept itself."""
        return self._memory.has_own

    def put(self, items: Iterable[Item[U]]) -> Put[U]:
        """Keep new items behind the others, in memory and on disk."""
        items = list(items)
        try:
            self._look_for_file()
            put = self._memory.put(items)
            if not (put.evicted or put.absorbed) and self._open_at is None:
                self._write(Changes(new=self._segments(items)))
            else:
                self._follow(items, put)
        except BaseException:  # of a signal handler, between any two steps
            self._distrust()
            raise
        return put

    def take(self, limit: int) -> list[Item[U]]:
        """The next items, at most `limit`; they stay in the bounds, and on disk, until settled."""
        taken = self._memory.take(limit)
        self._taken.update(dict.fromkeys(taken, False))
        return taken

    def give_back(self, items: Sequence[Item[U]]) -> Put[U]:
        """Let taken items wait again, before the others of their lane; none of them is in flight."""
        put = self._memory.give_back(items)
        self.stay(items)
        self._return(items)
        self._follow(items, put)
        return put

    def leave(self, items: Sequence[Item[U]]) -> None:
        """Items are about to leave: written down before the first byte, where twice is worse than never."""
        if self._disk.again:
            return
        self._taken.update(dict.fromkeys(items, True))
        if not self._mark(self._places_of(items), Mark.IN_FLIGHT):
            self._give_up()

    def stay(self, items: Sequence[Item[U]]) -> None:
        """Items that were about to leave, or had left, are here and wait."""
        if self._disk.again:
            return
        self._taken.update(dict.fromkeys(items, False))
        self._mark(self._places_of(items), Mark.WAITING)

    def settle(self, items: Sequence[Item[U]]) -> None:
        """Forget taken items: their outcome is known."""
        self._memory.settle(items)
        self._return(items)
        self._forget(items)

    def replace(self, item: Item[U], parts: Sequence[Item[U]]) -> Put[U]:
        """Let the parts of a taken item wait in its place, before the others; in one transaction."""
        put = self._memory.replace(item, parts)
        self._return([item])
        new = [part for part in parts if not self._is_in_file(part)] if self._can_write() else []
        self._write_without([item], Changes(new=self._segments(new, older=True)))
        self._forget([item, *put.evicted])
        return put

    def _return(self, items: Iterable[Item[U]]) -> None:
        """Items are not taken any more."""
        pop = self._taken.pop
        for item in items:
            pop(item, None)

    def _distrust(self) -> None:
        """What we know of the file may be half of a step: all that is not settled is written to another."""
        self._set_aside()
        try:
            self._can_write()
        except BaseException:  # once more: the next call has it to do
            self._set_aside()
            raise

    def _set_aside(self) -> None:
        """Keep the file that was complete last until another is."""
        if self._distrusted is None:
            self._distrusted, self._journal = self._journal, None
        else:
            self._give_up()
        if not self._closed:
            self._open_at = self._clock.monotonic()

    def take_out(self, subjects: Collection[str]) -> list[Item[U]]:
        """Remove and return what waits and is about one of these subjects."""
        try:
            gone = self._memory.take_out(subjects)
            self._write_without(gone, Changes())
            self._forget(gone)
        except BaseException:  # as in `put`
            self._distrust()
            raise
        return gone

    def expire(self, now_unix_ms: float) -> list[Item[U]]:
        """Remove and return what is too old."""
        expired = self._memory.expire(now_unix_ms)
        self._forget(expired)
        return expired

    def end(self) -> Ended[U]:
        """Give out everything that waits: what stands on disk is for another process, the rest is lost."""
        if self._open_at is not None and self._was_busy and not self._closed:
            self._open_at = self._clock.monotonic()  # there is no later
            self._can_write()
        items = self._memory.end().lost
        lost = [item for item in items if not self._is_in_file(item)]
        return Ended(len(items) - len(lost), lost)

    def close(self) -> None:
        """Leave the file to whoever adopts it."""
        if self._distrusted is not None and not self._can_write():
            self._distrusted.close()
        self._mark_settled()
        self._write(Changes())  # what is gone
        self._closed = True
        if self._journal is not None:
            self._journal.close()
            self._journal = None
            self._is_left_behind = True
        self._open_at = math.inf

    def abandon(self) -> None:
        """In a forked child: the file is the parent's."""
        for journal in (self._journal, self._distrusted):
            if journal is not None:
                journal.abandon()
        self._journal = self._distrusted = None
        self._closed = True
        self._open_at = math.inf

    # Files of dead processes

    def seconds_until_claim(self, now: float) -> float | None:
        """Until dead processes' files should be looked for, or our own be tried again."""
        if self._closed:
            return None
        at = now if self.is_looking else self._look_anew_at
        if self._open_at is not None and not self._memory.is_empty:
            at = min(at, self._open_at)
        return max(at - now, 0.0)

    def catch_up(self) -> bool:
        """Write what the disk has missed; whether dead processes are to be looked for now."""
        if not self._memory.is_empty:
            self._can_write()
        return self.is_looking or self._clock.monotonic() >= self._look_anew_at

    @property
    def is_looking(self) -> bool:
        """Whether a look for files of dead processes has begun and is not over."""
        return self._look is not None

    def claim(self, until: float = math.inf) -> Estate | None:
        """
        The next file of a dead process, now under our lock. Called without the owner's lock.

        None when there is no other, when there is no room, or when the time `until` has come: it goes on from
        there, the next time.
        """
        if not self._memory.has_room_for(1, 0):
            self._end_look(NO_ROOM_SECONDS)
            return None
        self._look = self._look or self._search.look()
        for estate in self._look:
            if estate is not None or self._clock.monotonic() >= until:
                return estate
        self._end_look(SCAN_SECONDS)
        return None

    def _end_look(self, seconds: float) -> None:
        """The next one is to begin in so many seconds, from the oldest file again."""
        self._look = None
        self._look_anew_at = self._clock.monotonic() + seconds

    def portions(self, estate: Estate) -> Iterator[Sequence[Part[U]]]:
        """What is to be adopted, piece by piece. Called without the owner's lock: reading takes its time."""
        return estate.portions(self._disk.codec, again=self._disk.again)

    def inherit(self, estate: Estate, portion: Sequence[Part[U]]) -> Inherited[U] | None:
        """
        Make items of a dead process ours: older than what we kept, newer than what was inherited before.

        What there is no room for is left where it is, which ends the look. None when that is all, or the disk
        fails.
        """
        fitting = self._fitting(portion)
        if fitting != list(portion):
            self._end_look(NO_ROOM_SECONDS)
        if not fitting:
            return None
        if not self._copy(estate, fitting):
            self._end_look(SCAN_SECONDS)
            self._note_left()
            return None
        text = "%s: what dead processes left is sent again"
        self._notices.note_over("left", text, self._disk.label.vendor)
        items = [item for part in fitting for item, _ in part.pairs]
        put = self._memory.put_inherited(items)
        self._follow(items, put)
        ambiguous = sum(len(part.ambiguous) for part in fitting)
        unreadable = sum(len(part.unreadable) for part in fitting)
        return Inherited(len(items) + ambiguous + unreadable, ambiguous, unreadable, put)

    def _note_left(self) -> None:
        """Nothing of it is lost, but nobody would hear that it is stuck."""
        if not self._was_busy:
            text = "%s: what dead processes left in %s cannot be sent before it takes files: make room"
            self._notices.note("left", logging.ERROR, text, self._disk.label.vendor, self._disk.folder)

    def _fitting(self, portion: Sequence[Part[U]]) -> list[Part[U]]:
        """The oldest of a portion, for which nobody has to make room; and what has none in an empty queue."""
        fitting: list[Part[U]] = []
        count = size_bytes = 0
        for part in portion:
            for before, (item, _) in enumerate(part.pairs):
                if item.size_bytes <= self._memory.max_bytes:
                    count, size_bytes = count + 1, size_bytes + item.size_bytes
                if not self._memory.has_room_for(count, size_bytes):
                    return [*fitting, part.before(before)] if before else fitting
            fitting.append(part)
        return fitting

    def _copy(self, estate: Estate, portion: Sequence[Part[U]]) -> bool:
        """Write a portion into our file, and then out of the other; whether both could be done."""
        if not self._can_write() or self._journal is None:
            return False
        new: list[Segment] = []
        try:
            estate.name_heir(self._journal.path.name)
            for part in portion:
                new += self._grouped(part.pairs, estate.origin(part))
            self._journal.write(Changes(new=new))
        except SpoolError as error:
            self._undo(Changes(new=new))
            self._fail(error)
            return False
        try:
            estate.hand_over(portion)
        except SpoolError as error:
            self._take_back(new)
            self._fail(error)
            return False
        self._unwritten = []
        return True
