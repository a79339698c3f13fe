"""
The beacon budget: mPulse licences count beacons, so a process may be told how many it has an hour.

Pure. Metrics are merged and never sampled; of timings a uniform sample per timer is kept, by a rate that is
set anew each minute. Whether one timing is in the sample depends on its trace and span id and the rate alone.
When a minute brings more than the last, its rates fall gently while it lasts.
Rule: rare timers keep everything as long as the frequent ones can make room; what is kept can be sent before
it is too old.
"""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from otel_vendor_exporters.delivery.policy import TokenBucket

SAMPLED_OUT = "sampled_out"  # the ledger's word for timings that are not in the sample
PERIOD_SECONDS = 60.0
_BITS = 53  # a float tells all of them apart
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

    def __init__(self, beacons_per_hour: int, max_age_seconds: float, now: float) -> None:
        burst = _burst(beacons_per_hour)
        self._per_period = _sustained(beacons_per_hour) * PERIOD_SECONDS / 3600
        self._most_saved = burst - _reserve(burst)
        self._periods_of_age = max_age_seconds / PERIOD_SECONDS
        self._lock = threading.Lock()
        self._saved = self._most_saved  # beacons that may leave besides those of the period
        self._timings_per_beacon = 1.0
        self._sent_timings = 0
        self._sent_beacons = 0
        self._sent_others = 0
        self._since = now
        self._period = _Period({}, self._saved + self._per_period, self._per_period)

    def keeps(self, timer: str, trace_id: int, span_id: int) -> bool:
        """Whether the timing of this span belongs to the sample of its timer."""
        chance = (hash((trace_id, span_id)) & (2**_BITS - 1)) / 2**_BITS
        with self._lock:
            return self._period.keeps(timer, chance)

    def sent(self, timings: int) -> None:
        """A beacon with so many timings has left."""
        with self._lock:
            self._sent_timings += timings
            self._sent_beacons += 1 if timings else 0
            self._sent_others += 0 if timings else 1

    def adjust(self, now: float, waiting: int) -> None:
        """Once a minute: set the rates from what the last minute offered and what still waits."""
        with self._lock:
            periods = (now - self._since) / PERIOD_SECONDS
            if periods < 1:
                return
            if self._sent_beacons:
                self._timings_per_beacon = max(self._sent_timings / self._sent_beacons, 1.0)
            unspent = self._saved + self._per_period * periods - self._sent_beacons - self._sent_others
            self._saved = min(max(unspent, 0.0), self._most_saved)
            room, slack = self._room_and_slack(waiting, self._sent_others / periods)
            offered = {timer: count / periods for timer, count in self._period.offered.items()}
            self._period = _Period(shares(offered, room), room, slack)
            self._sent_timings = self._sent_beacons = self._sent_others = 0
            self._since = now

    def _room_and_slack(self, waiting: int, others: float) -> tuple[float, float]:
        """
        For so many timings waiting, and so many beacons of metrics in a period.

        The room is what may leave by the end of the next period after what waits. Behind a backlog it is half
        of what leaves in a period, so that the sample goes on; less when the backlog is nearly too old.
        """
        even = max(self._per_period - others, 0.0) * self._timings_per_beacon
        slack = max(even - (waiting + 1) / self._periods_of_age, 0.0)  # so that one more is not too old
        return max(self._saved * self._timings_per_beacon + even - waiting, slack / 2), slack


@dataclass(slots=True)
class _Period:
    """A minute: the rates it began with, and what came."""

    rates: Mapping[str, float]  # by timer
    room: float  # timings
    slack: float  # timings: the more, the gentler the rates fall when more comes than was planned for
    offered: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    all_kept: int = 0

    def keeps(self, timer: str, chance: float) -> bool:
        is_small = len(self.offered) < _MOST_TIMERS and len(timer) <= _LONGEST_TIMER
        timer = timer if is_small or timer in self.offered else _REST
        self.offered[timer] += 1
        if chance >= self._rate(timer):
            return False
        self.kept[timer] += 1
        self.all_kept += 1
        return True

    def _rate(self, timer: str) -> float:
        """
        The planned one; when more came than there is room for, those fall who had their share of it.

        They fall by what was kept beyond the room: that comes to slack / 2 * log(1 + 2 * overload), about.
        """
        planned = self.rates.get(timer, min(self.room, 1.0))
        beyond = self.all_kept + 1 - max(self.room, 1.0)
        if beyond <= 0 or self.kept[timer] + 1 <= self.room / len(self.offered):
            return planned
        return planned * math.exp(-2 * beyond / self.slack) if self.slack else 0.0


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
