"""
Losses: what the operator is told of items that are refused or dropped, in items.

One line when a loss begins; while it goes on at most one a minute, with the items since; and one when it is
over, with the items of the whole loss. Of one that was told whole when it began, and is no state that ends,
as a refused event is none, no end is told.
Not thread-safe: `Delivery` holds its lock around each call, and tells what was noted when it is free.
Rule: every item is in a line, at the latest in the one at the end.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass

from otel_vendor_exporters.delivery.notices import INTERVAL_SECONDS, Notices

QUIET_SECONDS = 10.0  # without another item, and a loss is over
_STATES = frozenset({"queue_full", "expired"})  # whose end is news, however short they were
_MOST_LOSSES = 1000  # bounded memory: past it the oldest is told as over


@dataclass(slots=True)
class _Loss:
    done: str  # refused or dropped
    reason: str
    words: str = ""
    items: int = 0
    unsaid: int = 0  # of those
    told_at: float = -math.inf
    last_at: float = -math.inf

    @property
    def over_at(self) -> float:
        """Not within a minute of the last line: one that comes and goes makes two lines a minute."""
        return max(self.last_at + QUIET_SECONDS, self.told_at + INTERVAL_SECONDS)


class Losses:
    """Those of one destination."""

    def __init__(self, name: str, notices: Notices) -> None:
        self._name = name
        self._notices = notices
        self._going_on: dict[tuple[str, str], _Loss] = {}

    def add(self, done: str, reason: str, items: int, words: str = "") -> None:
        """So many items more are refused or dropped."""
        now = self._notices.clock.monotonic()
        if (done, reason) not in self._going_on and len(self._going_on) >= _MOST_LOSSES:
            self._end(next(iter(self._going_on.values())))
        loss = self._going_on.setdefault((done, reason), _Loss(done, reason))
        loss.items += items
        loss.unsaid += items
        loss.words = words or reason.replace("_", " ")
        loss.last_at = now
        if now >= loss.told_at + INTERVAL_SECONDS:
            more = "more " if loss.items > loss.unsaid else ""
            self._note("%s: %d %sitems %s: %s", loss.unsaid, more, done, loss.words)
            loss.told_at, loss.unsaid = now, 0

    def seconds_until_over(self, now: float) -> float | None:
        """Until `end` has something to tell, unless more is lost; None while nothing is lost."""
        if not self._going_on:
            return None
        return max(min(loss.over_at for loss in self._going_on.values()) - now, 0.0)

    def end(self, now: float = math.inf) -> None:
        """Tell which losses are over; without a time, all of them."""
        for loss in [loss for loss in self._going_on.values() if loss.over_at <= now]:
            self._end(loss)

    def _end(self, loss: _Loss) -> None:
        del self._going_on[loss.done, loss.reason]
        if loss.unsaid or loss.reason in _STATES:
            self._note("%s: no more items %s (%s): %d in all", loss.done, loss.words, loss.items)

    def _note(self, text: str, *args: object) -> None:
        self._notices.note_line(logging.WARNING, text, self._name, *args)
