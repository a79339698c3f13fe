"""
The spool: where items wait.

This is the in-memory queue. Its durable twin (SQLite, on disk) has the same methods and is to stand beside
it; `Delivery` calls nothing else.
Rule: an item that comes in goes out exactly once: taken and settled, merged, evicted or expired.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Generic

from otel_vendor_exporters.delivery.request import Item, U


@dataclass(frozen=True, slots=True)
class Put(Generic[U]):
    """What `put` and `give_back` did beyond keeping: how many merged into others, which had to make room."""

    merged: int
    evicted: Sequence[Item[U]]


class MemorySpool(Generic[U]):
    """
    A queue bounded by count and bytes; the oldest make room.

    Not thread-safe: its owner holds the lock. What was taken still counts against the bounds until it is
    settled. Two lanes: items marked `first` (they merge by key and leave first) and the others, oldest first.
    """

    def __init__(self, *, max_items: int, max_bytes: int, merge: Callable[[U, U], U] | None = None) -> None:
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._merge = merge or _newer
        self._first: OrderedDict[Hashable, Item[U]] = OrderedDict()
        self._others: deque[Item[U]] = deque()
        self._taken = 0
        self._bytes = 0

    def __len__(self) -> int:
        """How many items wait."""
        return len(self._first) + len(self._others)

    def put(self, items: Iterable[Item[U]]) -> Put[U]:
        """Keep new items behind the others. One that is larger than the whole spool is turned away."""
        merged = 0
        turned_away: list[Item[U]] = []
        for item in items:
            if item.size_bytes > self._max_bytes:
                turned_away.append(item)
            else:
                merged += self._add(item)
        return Put(merged, turned_away + self._make_room())

    def take(self, limit: int) -> list[Item[U]]:
        """The next items, at most `limit`; they stay in the bounds until settled or given back."""
        taken = [self._first.pop(key) for key in list(islice(self._first, limit))]
        while self._others and len(taken) < limit:
            taken.append(self._others.popleft())
        self._taken += len(taken)
        return taken

    def give_back(self, items: Sequence[Item[U]]) -> Put[U]:
        """Let taken items wait again, before the others."""
        self._forget(items)
        merged = sum(self._add_in_front(item) for item in reversed(items))
        return Put(merged, self._make_room())

    def replace(self, item: Item[U], parts: Sequence[Item[U]]) -> Put[U]:
        """Let the parts of a taken item wait in its place, before the others."""
        self._forget([item])
        for part in reversed(parts):
            self._add_in_front(part)
        return Put(0, self._make_room())

    def settle(self, items: Sequence[Item[U]]) -> None:
        """Forget taken items: their outcome is known."""
        self._forget(items)

    def expire(self, now_unix_ms: float) -> list[Item[U]]:
        """Remove and return what is too old: of the second lane, as far as it stands in front."""
        keys = [key for key, item in self._first.items() if _is_expired(item, now_unix_ms)]
        expired = [self._first.pop(key) for key in keys]
        self._bytes -= sum(item.size_bytes for item in expired)
        while self._others and _is_expired(self._others[0], now_unix_ms):
            expired.append(self._pop_other())
        return expired

    def take_out(self, subjects: Collection[str]) -> list[Item[U]]:
        """Remove and return what waits and is about one of these subjects."""
        gone = [item for item in (*self._first.values(), *self._others) if is_about(item, subjects)]
        if gone:
            self._others = deque(item for item in self._others if not is_about(item, subjects))
            for item in gone:
                if item.first:
                    del self._first[_key(item)]
            self._bytes -= sum(item.size_bytes for item in gone)
        return gone

    def drain(self) -> list[Item[U]]:
        """Remove and return everything that waits."""
        taken = self.take(len(self))
        self._forget(taken)
        return taken

    def _add(self, item: Item[U]) -> int:
        if not item.first:
            self._others.append(item)
        elif (older := self._first.get(_key(item))) is not None:
            older.unit = self._merge(older.unit, item.unit)
            older.expires_at_unix_ms = item.expires_at_unix_ms
            return 1
        else:
            self._first[_key(item)] = item
        self._bytes += item.size_bytes
        return 0

    def _add_in_front(self, item: Item[U]) -> int:
        """The item is older than all that wait, also than the one it merges with."""
        newer: Item[U] | None = None
        if not item.first:
            self._others.appendleft(item)
        else:
            newer = self._first.pop(_key(item), None)
            if newer is not None:
                self._bytes -= newer.size_bytes
                item.unit = self._merge(item.unit, newer.unit)
                item.expires_at_unix_ms = newer.expires_at_unix_ms
            self._first[_key(item)] = item
            self._first.move_to_end(_key(item), last=False)
        self._bytes += item.size_bytes
        return 0 if newer is None else 1

    def _make_room(self) -> list[Item[U]]:
        evicted: list[Item[U]] = []
        while len(self) and self._is_over():
            if self._others:
                evicted.append(self._pop_other())
            else:
                _, item = self._first.popitem(last=False)
                self._bytes -= item.size_bytes
                evicted.append(item)
        return evicted

    def _is_over(self) -> bool:
        return len(self) + self._taken > self._max_items or self._bytes > self._max_bytes

    def _pop_other(self) -> Item[U]:
        item = self._others.popleft()
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
