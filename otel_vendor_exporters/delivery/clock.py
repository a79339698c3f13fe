"""The one door to time: what the clock says, and waiting that can be interrupted."""

from __future__ import annotations

import threading
import time


class Clock:
    """Real time. Tests pass one that they move by hand."""

    def monotonic(self) -> float:
        """Seconds, for waits, deadlines and ages; unmoved by changes of the wall clock."""
        return time.monotonic()

    def unix_ms(self) -> int:
        """The wall clock in milliseconds, for times on the wire."""
        return time.time_ns() // 1_000_000

    def wait(self, condition: threading.Condition, timeout_seconds: float | None) -> None:
        """Wait on `condition`, which the caller holds, until notified or for that long."""
        condition.wait(timeout_seconds)
