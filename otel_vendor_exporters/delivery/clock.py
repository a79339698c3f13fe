"""The one door to time: what the clock says, and waiting that can be interrupted."""

from __future__ import annotations

import threading
import time
from math import isfinite

LEAST_JUMP_MS = 1000.0  # of a wall clock; less is its being adjusted, or the time between two readings


class Clock:
    """Real time. Tests pass one that they move by hand."""

    def monotonic(self) -> float:
        """Seconds, for waits, deadlines and ages; unmoved by changes of the wall clock."""
        return time.monotonic()

    def lasting(self) -> float:
        """Seconds that pass while the machine sleeps, too, where the system tells; unmoved otherwise."""
        boot = getattr(time, "CLOCK_BOOTTIME", None)
        return time.monotonic() if boot is None else time.clock_gettime(boot)

    def unix_ms(self) -> int:
        """The wall clock in milliseconds, for times on the wire."""
        return time.time_ns() // 1_000_000

    def wait(self, condition: threading.Condition, timeout_seconds: float | None) -> None:
        """Wait on `condition`, which the caller holds, until notified or for that long."""
        condition.wait(timeout_seconds)


class AgeClock:
    """
    What is too old by which time: no wall clock that jumps ahead makes older what was kept before.

    It lags behind by the jump as long as anything kept before can matter, and goes by the wall clock again
    from then on: what was kept since expires by that. A clock that comes back ends the lag; one that is set
    back beyond it is followed, as records are dated by it. Not thread-safe: `Delivery` holds its lock.
    """

    def __init__(self, clock: Clock, max_age_seconds: float) -> None:
        self._clock = clock
        self._max_age_seconds = max_age_seconds
        self._ahead_ms = self._ahead(clock.lasting(), clock.unix_ms())
        self._jumps: list[tuple[float, float]] = []  # when each ceases to matter, and its milliseconds

    def unix_ms(self) -> float:
        """Milliseconds since the epoch."""
        now, wall_ms = self._clock.lasting(), self._clock.unix_ms()
        last_ms, self._ahead_ms = self._ahead_ms, self._ahead(now, wall_ms)
        jump_ms = self._ahead_ms - last_ms
        self._jumps = [jump for jump in self._jumps if jump[0] > now]
        if jump_ms >= LEAST_JUMP_MS:
            self._jumps.append((now + self._max_age_seconds, jump_ms))
        while self._jumps and jump_ms < 0:
            jump_ms = self._take_back(jump_ms)
        return wall_ms - sum(lag_ms for _, lag_ms in self._jumps)

    def _take_back(self, jump_ms: float) -> float:
        """Lessen the last jump by one back; what is left of that."""
        ends_at, lag_ms = self._jumps.pop()
        if lag_ms + jump_ms > 0:
            self._jumps.append((ends_at, lag_ms + jump_ms))
        return min(lag_ms + jump_ms, 0.0)

    @staticmethod
    def _ahead(now: float, wall_ms: int) -> float:
        """The wall clock ahead of the time that passes; changes only when it is set."""
        return wall_ms - now * 1000


def is_duration(given: object) -> bool:
    """
    Whether a caller has given a duration that can be waited for.

    None, "5", NaN and infinity are none, nor is an integer beyond what a float can hold.
    """
    try:
        return isinstance(given, (int, float)) and not isinstance(given, bool) and isfinite(given)
    except OverflowError:
        return False
