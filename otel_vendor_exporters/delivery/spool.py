"""
The spool: where items wait.

This is the in-memory queue; `disk_spool` holds its durable twin. `Delivery` knows only what both can.
Rule: an item that comes in goes out exactly once: taken and settled, merged, evicted, expired or left behind.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import TYPE_CHECKING, Generic, Protocol

from otel_vendor_exporters.delivery.request import Item, U
from otel_vendor_exporters.interrupts import let_through

if TYPE_CHECKING:
    from otel_vendor_exporters.delivery.estate import Estate, Part


@dataclass(frozen=True, slots=True)
class Put(Generic[U]):
    """
    What `put` and `give_back` did beyond keeping: how many merged into others, which had to make room.

    `absorbed` are the merged ones: the item that lives on, and the one that lives on in it.
    """

    merged: int
    evicted: Sequence[Item[U]]
    absorbed: Sequence[tuple[Item[U], Item[U]]] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Ended(Generic[U]):
    """What waited at the end: how many are kept for another process, and which are lost."""

    handed_over: int
    lost: Sequence[Item[U]]


@dataclass(frozen=True, slots=True)
class Inherited(Generic[U]):
    """What a dead process left: how many items, of these in flight and unreadable, and what `put` did."""

    items: int = 0
    ambiguous: int = 0
    unreadable: int = 0
    put: Put[U] = field(default_factory=lambda: Put(0, []))


class Spool(Protocol[U]):
    """
    What `Delivery` asks of a spool.

    Not thread-safe, but for `claim` and `portions`: its owner holds the lock.
    """

    def __len__(self) -> int: ...
    @property
    def has_first(self) -> bool: ...
    @property
    def has_own(self) -> bool: ...
    def put(self, items: Iterable[Item[U]]) -> Put[U]: ...
    def take(self, limit: int) -> list[Item[U]]: ...
    def give_back(self, items: Sequence[Item[U]]) -> Put[U]: ...
    def leave(self, items: Sequence[Item[U]]) -> None: ...
    def stay(self, items: Sequence[Item[U]]) -> None: ...
    def settle(self, items: Sequence[Item[U]]) -> None: ...
    def replace(self, item: Item[U], parts: Sequence[Item[U]]) -> Put[U]: ...
    def expire(self, now_unix_ms: float) -> list[Item[U]]: ...
    def take_out(self, subjects: Collection[str]) -> list[Item[U]]: ...
    def erase(self, *, at_once: bool) -> None: ...
    def end(self) -> Ended[U]: ...
    def close(self) -> None: ...
    def abandon(self) -> None: ...
    def seconds_until_claim(self, now: float) -> float | None: ...
    def catch_up(self) -> bool: ...
    @property
    def is_looking(self) -> bool: ...
    def claim(self, until: float) -> Estate | None: ...
    def portions(self, estate: Estate) -> Iterator[Sequence[Part[U]]]: ...
    def inherit(self, estate: Estate, portion: Sequence[Part[U]]) -> Inherited[U] | None: ...


class MemorySpool(Generic[U]):
    """
    A queue bounded by count and bytes; the oldest make room.

    Not thread-safe: its owner holds the lock. What was taken still counts against the bounds until it is
    settled. Three lanes: items marked `first` (they merge by key and leave first), those inherited from dead
    processes, and the others, oldest first.
    """

    def __init__(self, *, max_items: int, max_bytes: int, merge: Callable[[U, U], U] | None = None) -> None:
        self._max_items = max_items
        self.max_bytes = max_bytes
        self._merge = merge or _newer
        self._first: OrderedDict[Hashable, Item[U]] = OrderedDict()
        self._inherited: deque[Item[U]] = deque()
        self._others: deque[Item[U]] = deque()
        self._expires_at = math.inf  # none of these two is too old before
        self._taken = 0
        self._bytes = 0

    def __len__(self) -> int:
        """How many items wait."""
        return len(self._first) + len(self._inherited) + len(self._others)

    @property
    def has_first(self) -> bool:
        """Whether items wait that go first."""
        return bool(self._first)

    @property
    def has_own(self) -> bool:
        """Whether items wait that this process has kept itself, or that merge with such."""
        return bool(self._first or self._others)

    def put(self, items: Iterable[Item[U]]) -> Put[U]:
        """Keep new items behind the others. One that is larger than the whole spool is turned away."""
        absorbed: list[tuple[Item[U], Item[U]]] = []
        turned_away: list[Item[U]] = []
        for item in items:
            if item.size_bytes > self.max_bytes:
                turned_away.append(item)
            elif (older := self._add(item)) is not None:
                absorbed.append((older, item))
        return Put(len(absorbed), turned_away + self._make_room(), absorbed)

    def take(self, limit: int) -> list[Item[U]]:
        """The next items, at most `limit`; they stay in the bounds until settled or given back."""
        taken = [self._first.pop(key) for key in list(islice(self._first, limit))]
        for lane in (self._inherited, self._others):
            while lane and len(taken) < limit:
                taken.append(lane.popleft())
        self._taken += len(taken)
        return taken

    def give_back(self, items: Sequence[Item[U]]) -> Put[U]:
        """Let taken items wait again, before the others of their lane."""
        self._forget(items)
        return self._put_in_front(items)

    def leave(self, items: Sequence[Item[U]]) -> None:
        """Items are about to leave: nothing to remember."""

    def stay(self, items: Sequence[Item[U]]) -> None:
        """Items have not left after all: nothing to remember."""

    def replace(self, item: Item[U], parts: Sequence[Item[U]]) -> Put[U]:
        """Let the parts of a taken item wait in its place, before the others."""
        self._forget([item])
        for part in reversed(parts):
            part.inherited = item.inherited
            self._add_in_front(part)
        return Put(0, self._make_room())

    def settle(self, items: Sequence[Item[U]]) -> None:
        """Forget taken items: their outcome is known."""
        self._forget(items)

    def expire(self, now_unix_ms: float) -> list[Item[U]]:
        """Remove and return what is too old, wherever it stands."""
        keys = [key for key, item in self._first.items() if _is_expired(item, now_unix_ms)]
        expired = [self._first.pop(key) for key in keys]
        if now_unix_ms > self._expires_at:
            expired += [item for item in self._in_order() if _is_expired(item, now_unix_ms)]
            self._keep(lambda item: not _is_expired(item, now_unix_ms))
            ages = (item.expires_at_unix_ms for item in self._in_order())
            self._expires_at = min((age for age in ages if age is not None), default=math.inf)
        self._bytes -= sum(item.size_bytes for item in expired)
        return expired

    def take_out(self, subjects: Collection[str]) -> list[Item[U]]:
        """Remove and return what waits and is about one of these subjects."""
        gone = [item for item in self.waiting() if is_about(item, subjects)]
        if gone:
            self._keep(lambda item: not is_about(item, subjects))
            for item in gone:
                if item.first:
                    del self._first[_key(item)]
            self._bytes -= sum(item.size_bytes for item in gone)
        return gone

    def erase(self, *, at_once: bool) -> None:
        """What was settled or taken out is gone already."""

    def end(self) -> Ended[U]:
        """Give out everything that waits; memory keeps nothing for others."""
        taken = self.take(len(self))
        self._forget(taken)
        return Ended(0, taken)

    def close(self) -> None:
        """Nothing to close."""

    def abandon(self) -> None:
        """In a forked child: nothing is shared."""

    def seconds_until_claim(self, now: float) -> float | None:  # noqa: ARG002  never
        """None: nobody leaves anything to a memory."""
        return None

    def catch_up(self) -> bool:
        """There is no disk, and nothing to look for."""
        return False

    @property
    def is_looking(self) -> bool:
        """No: nobody leaves anything to a memory."""
        return False

    def claim(self, until: float) -> Estate | None:  # noqa: ARG002  there is nothing to look for
        """None: nobody leaves anything to a memory."""
        return None

    def portions(self, estate: Estate) -> Iterator[Sequence[Part[U]]]:  # noqa: ARG002  none comes
        """None: nobody leaves anything to a memory."""
        return iter(())

    def inherit(self, estate: Estate, portion: Sequence[Part[U]]) -> None:
        """Leave it to another."""

    # For the durable twin

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits and nothing is under way."""
        return not (self._taken or len(self))

    def has_room_for(self, items: int, size_bytes: int) -> bool:
        """Whether nobody would have to make room for so many more."""
        count = len(self) + self._taken + items
        return count <= self._max_items and self._bytes + size_bytes <= self.max_bytes

    def put_inherited(self, items: Sequence[Item[U]]) -> Put[U]:
        """
        Keep what dead processes left: behind what was inherited before, before what is our own.

        What is larger than the whole spool is turned away, as by `put`.
        """
        turned_away = [item for item in items if item.size_bytes > self.max_bytes]
        items = [item for item in items if item.size_bytes <= self.max_bytes]
        others = [item for item in items if not item.first]
        self._inherited += others
        for item in others:
            self._look_at_age(item)
        self._bytes += sum(item.size_bytes for item in others)
        put = self._put_in_front([item for item in items if item.first])
        return Put(put.merged, [*turned_away, *put.evicted], put.absorbed)

    def waiting(self) -> Iterator[Item[U]]:
        """Everything that waits, oldest first within its lane."""
        return chain(self._first.values(), self._in_order())

    def _in_order(self) -> Iterator[Item[U]]:
        return chain(self._inherited, self._others)

    def _keep(self, wanted: Callable[[Item[U]], bool]) -> None:
        self._inherited = deque(filter(wanted, self._inherited))
        self._others = deque(filter(wanted, self._others))

    def _add(self, item: Item[U]) -> Item[U] | None:
        """Keep an item; the one that absorbed it, if one did."""
        if not item.first:
            self._others.append(item)
            self._look_at_age(item)
        else:
            older = self._first.get(_key(item))
            if older is not None and self._absorb(older, item):
                return older
            self._first[_key(item)] = item
        self._bytes += item.size_bytes
        return None

    def _put_in_front(self, items: Sequence[Item[U]]) -> Put[U]:
        absorbed = [
            (item, newer) for item in reversed(items) if (newer := self._add_in_front(item)) is not None
        ]
        return Put(len(absorbed), self._make_room(), absorbed)

    def _add_in_front(self, item: Item[U]) -> Item[U] | None:
        """Keep an item that is older than all of its lane; the one that it absorbed, if it did."""
        newer: Item[U] | None = None
        if not item.first:
            (self._inherited if item.inherited else self._others).appendleft(item)
            self._look_at_age(item)
        else:
            newer = self._first.pop(_key(item), None)
            if newer is not None and not self._absorb(item, newer):
                self._first[_key(newer)] = newer
                newer = None
            if newer is not None:
                self._bytes -= newer.size_bytes
            self._first[_key(item)] = item
            self._first.move_to_end(_key(item), last=False)
        self._bytes += item.size_bytes
        return newer

    def _look_at_age(self, item: Item[U]) -> None:
        age = item.expires_at_unix_ms
        if age is not None and age < self._expires_at:
            self._expires_at = age

    def _absorb(self, older: Item[U], newer: Item[U]) -> bool:
        """Merge an item into an older one; False when the vendor's merging is at fault: both go on apart."""
        try:
            older.unit = self._merge(older.unit, newer.unit)
        except Exception as fault:  # noqa: BLE001  whatever is wrong with it, no item is lost for it
            let_through(fault)
            newer.merge_key = None
            return False
        older.expires_at_unix_ms = newer.expires_at_unix_ms
        if older.ticket is None:
            older.ticket = newer.ticket
        elif newer.ticket is not None:
            older.ticket.join(newer.ticket)
        return True

    def _make_room(self) -> list[Item[U]]:
        evicted: list[Item[U]] = []
        while len(self) and self._is_over():
            if self._inherited or self._others:
                evicted.append(self._pop_other())
            else:
                _, item = self._first.popitem(last=False)
                self._bytes -= item.size_bytes
                evicted.append(item)
        return evicted

    def _is_over(self) -> bool:
        return len(self) + self._taken > self._max_items or self._bytes > self.max_bytes

    def _pop_other(self) -> Item[U]:
        item = (self._inherited or self._others).popleft()
        self._bytes -= item.size_bytes
        return item

    def _forget(self, taken: Sequence[Item[U]]) -> None:
        self._taken -= len(taken)
        self._bytes -= sum(item.size_bytes for item in taken)


def _newer(older: U, newer: U) -> U:  # noqa: ARG001
    return newer


def _key(item: Item[U]) -> Hashable:
    return item.merge_key if item.merge_key is not None else id(item)


def is_about(item: Item[U], subjects: Collection[str]) -> bool:
    """Whether an item belongs to one of the subjects."""
    return any(subject in subjects for subject in item.subjects)


def _is_expired(item: Item[U], now_unix_ms: float) -> bool:
    return item.expires_at_unix_ms is not None and item.expires_at_unix_ms < now_unix_ms
