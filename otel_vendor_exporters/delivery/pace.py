"""
The pace: when a destination may be sent to, and by how many at once.

Pure: times are monotonic seconds and arguments, as is chance. Not thread-safe: `Delivery` holds its lock.
Rule: one pause for the whole destination, not one for each item; after it one request probes before the rest
follow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from otel_vendor_exporters.delivery import policy
from otel_vendor_exporters.delivery.rate import Rate

# A vendor that answers faster is served on one connection: more threads would only compete for the
# interpreter.
FAST_ANSWER_SECONDS = 0.002
# Waits for the rate that are longer are spent in the queue: more will travel together when it may go.
REPACK_AFTER_SECONDS = 1.0


@dataclass(slots=True)
class Outage:
    """What is known of a vendor that cannot be sent to; outlives who learned it. Times are monotonic."""

    failures: int = 0
    until: float = 0.0
    asked_until: float = 0.0  # by the vendor itself: Retry-After

    def forget(self) -> None:
        """It is over, or somebody else's."""
        self.failures, self.until, self.asked_until = 0, 0.0, 0.0


class Pace:
    """Pauses, probes, connections and rate of one destination."""

    def __init__(self, connections: int, rate: Rate | None, outage: Outage | None = None) -> None:
        """Goes on with an `outage` that others came to know."""
        self._connections = connections
        self._rate = rate
        self._outage = outage or Outage()
        self._begin()

    def _begin(self) -> None:
        self.failures = self._outage.failures
        self.paused_until = self._outage.until
        self._packed_at = -math.inf
        self._told_until = (
            0.0  # failures before belong to one that was counted: the requests were sent together
        )
        self._answer_seconds: float | None = None  # how long an answer takes, smoothed

    def renew_after_fork(self) -> None:
        """Forget pauses and failures; the rate stays what it was."""
        self._outage.forget()
        self._begin()
        if self._rate is not None:
            self._rate.renew_after_fork()

    @property
    def lanes(self) -> int:
        """How many requests may be under way."""
        fast = self._answer_seconds is not None and self._answer_seconds < FAST_ANSWER_SECONDS
        return 1 if fast or self.failures else self._connections

    def answered(self, seconds: float) -> None:
        """An answer took so long."""
        last = self._answer_seconds
        self._answer_seconds = seconds if last is None else (last + seconds) / 2

    def wait_for_rate(self, cost: float, now: float) -> float:
        """Spend `cost` of the rate and return 0, or return the seconds until that is possible."""
        return 0.0 if self._rate is None else self._rate.take(cost, now)

    def packed(self, wait_seconds: float, now: float) -> None:
        """Parcels were packed now; or nothing could be, and is to be for so long."""
        self._packed_at = now
        self.pause(wait_seconds, now)

    def is_repacking_due(self, cost: float, now: float) -> bool:
        """Whether a parcel of that cost waits for the rate, and was packed a while ago."""
        if self._rate is None or now < self._packed_at + REPACK_AFTER_SECONDS:
            return False
        return self._rate.seconds_until(cost, now) > 0

    def over(self, cost: float, now: float) -> None:
        """A parcel of that cost, which the rate had let go, has its outcome."""
        if self._rate is not None:
            self._rate.answered(cost, now)

    def seconds_until_go(self, cost: float | None, now: float) -> float | None:
        """Until pause and rate let a parcel of that cost go; None when neither holds it back."""
        wait = max(self.paused_until - now, 0.0)
        if wait == 0 and cost is not None and self._rate is not None:
            wait = self._rate.seconds_until(cost, now)
        return wait or None

    def pause(self, seconds: float, now: float) -> None:
        """Send nothing for so long."""
        if seconds > 0:
            self.paused_until = max(self.paused_until, now + seconds)

    def resume(self) -> None:
        """End the pause, but for what the vendor itself has asked for; failures stay counted."""
        self.paused_until, self._told_until = self._outage.asked_until, 0.0

    def end(self) -> None:
        """The last sending: no pause of our own, and what the rate held back for it."""
        self.resume()
        if self._rate is not None:
            self._rate.open_reserve()

    def fail(self, now: float, chance: float, *, slowly: bool, wait_seconds: float | None) -> bool:
        """A request failed; False when somebody has told of this outage already."""
        first = now >= self._told_until
        wait = wait_seconds or 0.0
        if first:
            self.failures += 1
            wait = max(wait, policy.backoff_seconds(self.failures, chance, slowly=slowly))
        self._told_until = max(self._told_until, now + wait)
        self.pause(wait, now)
        outage = self._outage
        outage.failures, outage.until = self.failures, max(outage.until, now + wait)
        outage.asked_until = max(outage.asked_until, now + (wait_seconds or 0.0))
        return first

    def recover(self) -> bool:
        """A request succeeded; True when that ends an outage."""
        had_failed = self.failures > 0
        self.failures = 0
        if had_failed:
            self._outage.forget()
        return had_failed
