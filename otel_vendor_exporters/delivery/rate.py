"""
Rate: so much in a second and no more, as the receiver counts it.

Pure: times are monotonic seconds and arguments. A limit outlives who
sends, so two of them may hold it for a moment: it has a lock of its own.
A token bucket lets its burst go on top of the rate, and counts what leaves; a vendor that counts what arrives
in any one second sees more than the rate. This one counts a request from its departure until a second after
its answer, so that no second of the vendor's clock holds more, however long the way is.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from typing import Protocol

WINDOW_SECONDS = 1.0
_MARGIN_SECONDS = 0.001  # clocks are read a little before and after what they are read for


class Rate(Protocol):
    """What the pace asks of a limit."""

    def seconds_until(self, cost: float, now: float) -> float:
        """How long until `cost` may leave; 0 when it may now."""
        ...

    def take(self, cost: float, now: float) -> float:
        """It leaves: 0; or, if it may not now, how long until it may."""
        ...

    def answered(self, cost: float, now: float) -> None:
        """What left is over, whatever became of it."""
        ...

    def open_reserve(self) -> None:
        """It is the end: what was held back for it may leave."""
        ...

    def renew_after_fork(self) -> None:
        """Forget what is under way: it is the parent process's."""
        ...


class EvenRate:
    """
    At most `most` in any second, evenly spread: after each departure there is a pause in proportion.

    Any thread may call.
    """

    def __init__(self, most: float) -> None:
        self._most = most
        self._free_at = -math.inf
        self._under_way: deque[float] = deque()  # costs
        self._arrived: deque[tuple[float, float]] = deque()  # when answered, cost
        self._counted = 0.0  # the sum of both: whole numbers, which add up exactly
        self._lock = threading.Lock()

    def open_reserve(self) -> None:
        """Nothing is held back: what a second has not used is gone."""

    def renew_after_fork(self) -> None:
        """Forget what is under way: it is the parent process's."""
        self._lock = threading.Lock()
        self._under_way.clear()
        self._counted = sum(spent for _, spent in self._arrived)

    def seconds_until(self, cost: float, now: float) -> float:
        """How long until `cost` may leave. More than the most in a second waits for an empty second."""
        with self._lock:
            return self._seconds_until(cost, now)

    def _seconds_until(self, cost: float, now: float) -> float:
        while self._arrived and self._arrived[0][0] + WINDOW_SECONDS + _MARGIN_SECONDS <= now:
            self._counted -= self._arrived.popleft()[1]
        room = self._most - self._counted
        wait = self._free_at - now
        for answered_at, spent in self._arrived:
            if room >= min(cost, self._most):
                break
            room += spent
            wait = max(wait, answered_at + WINDOW_SECONDS + _MARGIN_SECONDS - now)
        if room < min(cost, self._most):  # an answer must come first, and will wake who waits
            wait = max(wait, WINDOW_SECONDS)
        return max(wait, 0.0)

    def take(self, cost: float, now: float) -> float:
        """A request leaves: 0; or, if it may not now, how long until it may."""
        with self._lock:
            wait = self._seconds_until(cost, now)
            if wait > 0:
                return wait
            self._under_way.append(cost)
            self._counted += cost
            self._free_at = max(self._free_at, now) + cost / self._most * WINDOW_SECONDS
            return 0.0

    def answered(self, cost: float, now: float) -> None:
        """A request that left is over, whatever became of it."""
        with self._lock:
            if cost in self._under_way:  # else it left in the parent process
                self._under_way.remove(cost)
                self._arrived.append((now, cost))
