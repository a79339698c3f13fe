"""
The ledger: what was seen, what was kept, and what became of it. Nothing is lost without a count.

Two equations hold at every moment (`Counts.balanced`):

    source records   seen = mapped + ignored(reason)
    items            accepted + recovered = delivered + refused + dropped + waiting + in_flight
                                            + merged + handed_over
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

# Gone, but no loss: what nobody wants ("undefined", known only after it was kept; "other_kind", a duration
# kept as metric and timer, of which one is sent; "session_limited", by the vendor; "zero" and "sampled_out",
# by the settings), what goes along with a later item ("carried"), and what came about before, or must not
# come about any more ("already_merged", "merged_elsewhere": an id that is somebody's).
NO_LOSS = frozenset(
    {
        *("undefined", "other_kind", "session_limited", "zero", "sampled_out", "carried"),
        *("already_merged", "merged_elsewhere"),
    }
)


@dataclass(frozen=True, slots=True)
class Counts:
    """The ledger at one moment. `ignored`, `refused` and `dropped` are counts by reason."""

    seen: int
    mapped: int
    ignored: Mapping[str, int]
    accepted: int
    recovered: int
    delivered: int
    refused: Mapping[str, int]
    dropped: Mapping[str, int]
    waiting: int
    in_flight: int
    merged: int
    handed_over: int
    left_out: Mapping[str, int]  # values of mapped records that had no place; no part of the equations

    @property
    def balanced(self) -> bool:
        """Whether both equations hold."""
        gone = self.delivered + sum(self.refused.values()) + sum(self.dropped.values())
        gone += self.merged + self.handed_over
        return (
            self.seen == self.mapped + sum(self.ignored.values())
            and self.accepted + self.recovered == gone + self.waiting + self.in_flight
        )

    @property
    def lost(self) -> int:
        """Items that will never be delivered, though somebody wanted them."""
        gone = (*self.refused.items(), *self.dropped.items())
        return sum(count for reason, count in gone if reason not in NO_LOSS)


class Ledger:
    """Counts moves of items between states. Any thread may call anything."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a finalizer may ask while it is held
        self._numbers: Counter[str] = Counter()
        self._ignored: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()
        self._left_out: Counter[str] = Counter()

    def saw(
        self, mapped: int, ignored: Mapping[str, int], left_out: Mapping[str, int] = MappingProxyType({})
    ) -> None:
        """Source records came by: so many became items, the others were ignored, by reason."""
        with self._lock:
            self._numbers["mapped"] += mapped
            self._ignored.update(ignored)
            self._left_out.update(left_out)

    def accept(self, count: int) -> None:
        """New items wait."""
        self._move(None, "waiting", count, also="accepted")

    def recover(self, count: int) -> None:
        """Items that another process left behind wait."""
        self._move(None, "waiting", count, also="recovered")

    def hand_over(self, count: int) -> None:
        """Waiting items are left to another process."""
        self._move("waiting", "handed_over", count)

    def leave(self, count: int) -> None:
        """Waiting items are about to go out."""
        self._move("waiting", "in_flight", count)

    def come_back(self, count: int) -> None:
        """Items that went out wait again."""
        self._move("in_flight", "waiting", count)

    def merge(self, count: int) -> None:
        """Waiting items were added to others and live on in them."""
        self._move("waiting", "merged", count)

    def replace(self, parts: int) -> None:
        """An item that went out was too large; so many parts of it wait, in which it lives on."""
        self._move("in_flight", "merged", 1)
        self._move(None, "waiting", parts, also="accepted")

    def deliver(self, count: int) -> None:
        """Items that went out arrived."""
        self._move("in_flight", "delivered", count)

    def refuse(self, reason: str, count: int, *, was: str = "in_flight") -> None:
        """The vendor, or our own check of what it would ignore, said no."""
        with self._lock:
            self._numbers[was] -= count
            self._refused[reason] += count

    def drop(self, reason: str, count: int, *, was: str = "waiting") -> None:
        """Items are given up for a reason that is not theirs."""
        with self._lock:
            self._numbers[was] -= count
            self._dropped[reason] += count

    @property
    def waiting(self) -> int:
        """How many items wait."""
        with self._lock:
            return self._numbers["waiting"]

    def correct(self, waiting: int) -> None:
        """So many items wait in truth: what kept or gave up others was interrupted."""
        with self._lock:
            missing = self._numbers["waiting"] - waiting
            if missing > 0:
                self.drop("interrupted", missing)
            else:
                self.accept(-missing)

    def counts(self) -> Counts:
        """Everything at this moment."""
        with self._lock:
            numbers = self._numbers
            return Counts(
                seen=numbers["mapped"] + sum(self._ignored.values()),
                mapped=numbers["mapped"],
                ignored=MappingProxyType(dict(self._ignored)),
                accepted=numbers["accepted"],
                recovered=numbers["recovered"],
                delivered=numbers["delivered"],
                refused=MappingProxyType(dict(self._refused)),
                dropped=MappingProxyType(dict(self._dropped)),
                waiting=numbers["waiting"],
                in_flight=numbers["in_flight"],
                merged=numbers["merged"],
                handed_over=numbers["handed_over"],
                left_out=MappingProxyType(dict(self._left_out)),
            )

    def renew_after_fork(self) -> None:
        """Start from nothing, with a lock that no thread of the parent holds."""
        Ledger.__init__(self)

    def _move(self, source: str | None, target: str, count: int, *, also: str | None = None) -> None:
        with self._lock:
            if source is not None:
                self._numbers[source] -= count
            self._numbers[target] += count
            if also is not None:
                self._numbers[also] += count
