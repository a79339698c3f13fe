"""The one door to time: what the clock says, and waiting that can be interrupted."""

from __future__ import annotations

import threading
import time
from math import isfinite


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
    What is too old by which time: no wall clock that jumps ahead and comes back makes anything older.

    A wall clock that is set back is followed: records are dated by it.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began_unix_ms = clock.unix_ms()
        self._began = clock.lasting()

    def unix_ms(self) -> float:
        """Milliseconds since the epoch."""
        passed_ms = (self._clock.lasting() - self._began) * 1000
        return min(self._clock.unix_ms(), self._began_unix_ms + passed_ms)


def is_duration(given: object) -> bool:
    """Whether a caller has given a duration that can be waited for; None, "5", NaN and infinity are none."""
    return isinstance(given, (int, float)) and not isinstance(given, bool) and isfinite(given)
