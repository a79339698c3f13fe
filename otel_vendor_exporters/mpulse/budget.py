"""
The beacon budget: mPulse licences count beacons, so a process may be told how many it has an hour.

Pure. Metrics are merged and never sampled; of timings a uniform sample per timer is kept, by a rate that is
set anew each minute. Whether one timing is in the sample depends on its trace and span id alone.
Rule: rare timers keep everything as long as the frequent ones can make room.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping

from otel_vendor_exporters.delivery.policy import TokenBucket

PERIOD_SECONDS = 60.0
_BITS = 56
_MOST_TIMERS = 10_000  # bounded memory: names past it share one count
_LONGEST_TIMER = 1000  # and so do names longer than this
_REST = ""


def bucket_for(beacons_per_hour: int) -> TokenBucket:
    """
    The budget as a rate: a twelfth of an hour's beacons at once, the rest of them spread over the hour.

    So no 60 minutes see more than the budget, and those are what mPulse counts ("Beacon Rate Limiting"). Half
    of the twelfth is for the end, when metrics cannot wait for the next beacon.
    """
    burst = _burst(beacons_per_hour)
    return TokenBucket(_sustained(beacons_per_hour) / 3600, burst, _reserve(burst))


def _burst(beacons_per_hour: int) -> float:
    """A twelfth, where that is two beacons: one to begin with, and one for the end."""
    return max(beacons_per_hour / 12, min(beacons_per_hour, 2.0))


def _reserve(burst: float) -> float:
    """Whole beacons."""
    return float(burst // 2)


def _sustained(beacons_per_hour: int) -> float:
    """Beacons an hour beside the burst; one more, which is there only when the hour is over."""
    return beacons_per_hour + 1 - _burst(beacons_per_hour)


class Sampler:
    """Decides which timings are kept. Any thread may call anything."""

    def __init__(self, beacons_per_hour: int, now: float) -> None:
        self._per_period = _sustained(beacons_per_hour) * PERIOD_SECONDS / 3600
        self._lock = threading.Lock()
        self._offered: Counter[str] = Counter()
        self._rates: Mapping[str, float] = {}
        self._timings_per_beacon = 1.0
        self._sent_timings = 0
        self._sent_beacons = 0
        self._sent_others = 0
        self._since = now

    def keeps(self, timer: str, trace_id: int, span_id: int) -> bool:
        """Whether the timing of this span belongs to the sample of its timer."""
        with self._lock:
            room = len(self._offered) < _MOST_TIMERS and len(timer) <= _LONGEST_TIMER
            known = room or timer in self._offered
            self._offered[timer if known else _REST] += 1
        rate = self._rates.get(timer if known else _REST, 1.0)
        return rate >= 1.0 or (hash((trace_id, span_id)) & (2**_BITS - 1)) < rate * 2**_BITS

    def sent(self, timings: int) -> None:
        """A beacon with so many timings has left."""
        with self._lock:
            self._sent_timings += timings
            self._sent_beacons += 1 if timings else 0
            self._sent_others += 0 if timings else 1

    def adjust(self, now: float, waiting: int) -> None:
        """Once a minute: set the rates from what the last minute offered and what still waits."""
        with self._lock:
            if now - self._since < PERIOD_SECONDS:
                return
            periods = (now - self._since) / PERIOD_SECONDS
            if self._sent_beacons:
                self._timings_per_beacon = max(self._sent_timings / self._sent_beacons, 1.0)
            beacons = max(self._per_period - self._sent_others / periods, 0.0)
            room = max(beacons * self._timings_per_beacon - waiting, 0.0)
            offered = {timer: count / periods for timer, count in self._offered.items()}
            self._rates = shares(offered, room)
            self._offered.clear()
            self._sent_timings = self._sent_beacons = self._sent_others = 0
            self._since = now


def shares(offered: Mapping[str, float], room: float) -> dict[str, float]:
    """
    For each timer the part to keep, so that all parts together fit into `room`.

    Everyone gets the same number of timings; what a rare timer leaves of it goes to the others.
    """
    rates: dict[str, float] = {}
    left = len(offered)
    for timer, count in sorted(offered.items(), key=lambda pair: pair[1]):
        kept = min(count, room / left)
        rates[timer] = kept / count if count else 1.0
        room -= kept
        left -= 1
    return rates
