"""
Sections of the board: timings, series over time, tallies and listings, each summed up as records come in.

Pure and bounded. A section knows what changed since a moment (`stamp`, a number that only grows), so that a
page is told only that. Not for several threads at once: the board has the lock.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

MAX_NAMES = 1_000
MAX_VALUES = 200
MAX_ENTRIES = 10_000
MAX_VALUE_CHARACTERS = 300
SHOWN_VALUES = 20
BARS = 32
POINTS = 120
PERCENTILES = (50, 75, 95, 99)
# Below so many milliseconds a timing is kept exactly, above to three digits: at most half a percent off.
_EXACT_BELOW = 1_000

Json = dict[str, object]
Value = TypeVar("Value")


class Section(Protocol):
    """A part of a vendor's panel."""

    name: str
    kind: str
    title: str

    def changed_since(self, stamp: int) -> list[Json]:
        """What is to be shown anew."""

    def __len__(self) -> int: ...


class _Stamped(Protocol):
    stamp: int


Sum = TypeVar("Sum", bound=_Stamped)


class _Sums(ABC, Generic[Sum]):
    """Sums by name, of the first MAX_NAMES names; what arrives under others is counted."""

    def __init__(self, name: str, title: str) -> None:
        self.name, self.title = name, title
        self._sums: dict[str, Sum] = {}
        self._left_out = 0
        self._left_out_stamp = 0

    def __len__(self) -> int:
        return len(self._sums)

    def changed_since(self, stamp: int) -> list[Json]:
        """The sums that grew, and how much is in none when that grew."""
        changed = [self._shown(name, one) for name, one in self._sums.items() if one.stamp > stamp]
        beyond: Json = {"left_out": self._left_out, "most": MAX_NAMES}
        return [*changed, beyond] if self._left_out_stamp > stamp else changed

    def _sum_of(self, name: str, new: Callable[[], Sum], stamp: int) -> Sum | None:
        found = self._sums.get(name)
        if found is None:
            if len(self._sums) >= MAX_NAMES:
                self._left_out += 1
                self._left_out_stamp = stamp
                return None
            found = self._sums[name] = new()
        found.stamp = stamp
        return found

    @abstractmethod
    def _shown(self, name: str, one: Sum) -> Json:
        """One of them, for the page."""


@dataclass(slots=True)
class _Timing:
    stamp: int = 0
    count: int = 0
    total: int = 0
    least: int = 0
    most: int = 0
    values: dict[int, int] = field(default_factory=dict)


class Timings(_Sums[_Timing]):
    """Timings by name: how many, and how they are distributed."""

    kind = "timings"

    def add(self, name: str, milliseconds: int, stamp: int) -> None:
        """Count one timing."""
        timing = self._sum_of(name, lambda: _Timing(least=milliseconds), stamp)
        if timing is None:
            return
        timing.count += 1
        timing.total += milliseconds
        timing.least = min(timing.least, milliseconds)
        timing.most = max(timing.most, milliseconds)
        kept = _three_digits(milliseconds)
        timing.values[kept] = timing.values.get(kept, 0) + 1

    def _shown(self, name: str, one: _Timing) -> Json:
        return _shown_timing(name, one)


@dataclass(slots=True)
class _Points:
    """Amounts in equal slices of time; when there are too many slices, two become one."""

    stamp: int = 0
    count: int = 0
    total: float = 0.0
    last: float = 0.0
    width_ms: int = 1_000
    amounts: dict[int, float] = field(default_factory=dict)

    def add(self, amount: float, unix_ms: int) -> None:
        self.count += 1
        self.total += amount
        self.last = amount
        index = unix_ms // self.width_ms
        self.amounts[index] = self.amounts.get(index, 0.0) + amount
        while max(self.amounts) - min(self.amounts) >= POINTS:
            self._halve()

    def _halve(self) -> None:
        self.width_ms *= 2
        amounts: dict[int, float] = {}
        for index, amount in self.amounts.items():
            amounts[index // 2] = amounts.get(index // 2, 0.0) + amount
        self.amounts = amounts


class Series(_Sums[_Points]):
    """Amounts by name over time."""

    kind = "series"

    def add(self, name: str, amount: float, unix_ms: int, stamp: int) -> None:
        """Add an amount."""
        points = self._sum_of(name, _Points, stamp)
        if points is not None:
            points.add(amount, unix_ms)

    def _shown(self, name: str, one: _Points) -> Json:
        return _shown_series(name, one)


@dataclass(slots=True)
class _Tally:
    stamp: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    others: int = 0


class Tallies(_Sums[_Tally]):
    """Counts of values, by what they are values of."""

    kind = "tallies"

    def add(self, name: str, value: str, stamp: int) -> None:
        """Count a value; beyond MAX_VALUES it is one of the others."""
        tally = self._sum_of(name, _Tally, stamp)
        if tally is None:
            return
        value = value[:MAX_VALUE_CHARACTERS]
        if value in tally.counts or len(tally.counts) < MAX_VALUES:
            tally.counts[value] = tally.counts.get(value, 0) + 1
        else:
            tally.others += 1

    def _shown(self, name: str, one: _Tally) -> Json:
        return _shown_tally(name, one)


@dataclass(slots=True)
class _Entry(Generic[Value]):
    value: Value
    first_stamp: int
    count: int = 0
    last_unix_ms: int = 0


class Listing(Generic[Value]):
    """Entries that may be many, so that a page asks for those in sight: users, sessions, aliases."""

    kind = "listing"

    def __init__(
        self,
        name: str,
        title: str,
        unit: str,
        row: Callable[[Value], Json],
        detail: Callable[[Value], Json] = lambda _: {},
        searched: Callable[[Value], object] = lambda _: "",
    ) -> None:
        """Of an entry `row` is shown, `detail` when opened; it is found by its row and what is `searched`."""
        self.name, self.title = name, title
        self._searched = searched
        self._unit = unit
        self._row, self._detail = row, detail
        self._entries: dict[str, _Entry[Value]] = {}
        self._left_out = 0
        self._stamp = 0

    def __len__(self) -> int:
        return len(self._entries)

    def touch(self, key: str, value: Value, count: int, unix_ms: int, stamp: int) -> None:
        """Note that something of an entry arrived; new ones beyond MAX_ENTRIES are left out, and counted."""
        key = key[:MAX_VALUE_CHARACTERS]
        entry = self._entries.get(key)
        if entry is None:
            if len(self._entries) >= MAX_ENTRIES:
                self.leave_out(count, stamp)
                return
            entry = self._entries[key] = _Entry(value, stamp)
        entry.value = value
        entry.count += count
        entry.last_unix_ms = max(unix_ms, entry.last_unix_ms)
        self._stamp = stamp

    def leave_out(self, count: int, stamp: int) -> None:
        """Note that so much arrived of entries that are not listed, for there are too many."""
        self._left_out += count
        self._stamp = stamp

    def absorb(self, key: str, into: str) -> None:
        """Two entries were one all along."""
        old, new = self._entries.pop(key, None), self._entries.get(into)
        if old is not None and new is not None:
            new.count += old.count
            new.last_unix_ms = max(old.last_unix_ms, new.last_unix_ms)
        elif old is not None:
            self._entries[into] = old

    def changed_since(self, stamp: int) -> list[Json]:
        """How many there are, and how much more arrived of others; which there are, the page asks for."""
        now = {"count": len(self._entries), "unit": self._unit, "left_out": self._left_out}
        return [now] if self._stamp > stamp else []

    def window(self, words: Iterable[str], offset: int, count: int, until: int | None = None) -> Json:
        """
        Some of the entries that hold every word, newest first, and how many there are of them.

        With `until` only of those that were there at that stamp.
        """
        wanted = [word.lower() for word in words]
        keys = [key for key in reversed(self._entries) if self._was_there(key, until)]
        keys = [key for key in keys if self._holds(key, wanted)]
        return {"total": len(keys), "rows": [self._shown(key) for key in keys[offset : offset + count]]}

    def detail(self, key: str) -> Json | None:
        """Everything about one entry."""
        entry = self._entries.get(key)
        return None if entry is None else {**self._shown(key), **self._detail(entry.value)}

    def _was_there(self, key: str, until: int | None) -> bool:
        return until is None or self._entries[key].first_stamp <= until

    def _holds(self, key: str, words: list[str]) -> bool:
        if not words:
            return True
        value = self._entries[key].value
        text = f"{key} {self._row(value)} {self._searched(value)}".lower()
        return all(word in text for word in words)

    def _shown(self, key: str) -> Json:
        entry = self._entries[key]
        return {
            "key": key,
            "unit": self._unit,
            "count": entry.count,
            "t": entry.last_unix_ms,
            **self._row(entry.value),
        }


def _three_digits(milliseconds: int) -> int:
    if milliseconds < _EXACT_BELOW:
        return milliseconds
    unit = int("1" + "0" * (len(str(milliseconds)) - 3))
    return (milliseconds + unit // 2) // unit * unit


def _shown_timing(name: str, timing: _Timing) -> Json:
    values = sorted(timing.values.items())
    return {
        "name": name,
        "count": timing.count,
        "mean": timing.total / timing.count,
        "min": timing.least,
        "max": timing.most,
        "percentiles": [
            [part, min(_percentile(values, timing.count, part), timing.most)] for part in PERCENTILES
        ],
        **_bars(values),
    }


def _percentile(values: list[tuple[int, int]], count: int, part: int) -> int:
    """The nearest-rank percentile."""
    rank, seen = math.ceil(count * part / 100), 0
    for value, times in values:
        seen += times
        if seen >= rank:
            return value
    return 0


def _bars(values: list[tuple[int, int]]) -> Json:
    """
    The distribution in at most BARS slices: equal ones, or, over more than two magnitudes, growing ones.

    Values are whole milliseconds, so there are never more slices than there could be values.
    """
    least, most = values[0][0], values[-1][0]
    growing = most > 100 * max(least, 1)
    low = math.log10(least + 1) if growing else float(least)
    high = math.log10(most + 1) if growing else float(most + 1)
    bars = [0] * (BARS if growing else min(BARS, most - least + 1))
    for value, times in values:
        place = math.log10(value + 1) if growing else float(value)
        index = int((place - low) / (high - low) * len(bars)) if high > low else 0  # 10**18 + 1 is 10**18
        bars[min(index, len(bars) - 1)] += times
    return {"bars": bars, "growing": growing}


def _shown_series(name: str, points: _Points) -> Json:
    first, last = min(points.amounts), max(points.amounts)
    return {
        "name": name,
        "count": points.count,
        "total": points.total,
        "last": points.last,
        "from": first * points.width_ms,
        "width": points.width_ms,
        "points": [round(points.amounts.get(index, 0.0), 6) for index in range(first, last + 1)],
    }


def _shown_tally(name: str, tally: _Tally) -> Json:
    ordered = sorted(tally.counts.items(), key=lambda pair: -pair[1])
    rest = sum(count for _, count in ordered[SHOWN_VALUES:]) + tally.others
    return {
        "name": name,
        "distinct": len(tally.counts),
        "values": ordered[:SHOWN_VALUES],
        "others": rest,
        "total": sum(tally.counts.values()) + tally.others,
    }
