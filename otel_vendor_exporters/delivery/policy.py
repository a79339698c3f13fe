"""
Policy: what a reply means, how long to wait, and the rate that must be kept.

Pure: `now` and randomness are arguments. The table is delivery's default; a vendor may override rows.
Rule: every reply has exactly one meaning, also those nobody has thought of.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from types import MappingProxyType

from otel_vendor_exporters.delivery.request import Failure, Outcome, Reply

AMBIGUOUS = "ambiguous"  # the ledger word for what was sent without an answer, and is not sent again
BACKOFF_BASE_SECONDS = 1.0
BACKOFF_CAP_SECONDS = 60.0
SLOW_BASE_SECONDS = 60.0
SLOW_CAP_SECONDS = 600.0
RETRY_AFTER_CAP_SECONDS = 600.0

MEANING_OF_STATUS: Mapping[int, Outcome] = MappingProxyType(
    {
        401: Outcome.LATER_SLOWLY,
        403: Outcome.LATER_SLOWLY,
        407: Outcome.LATER_SLOWLY,
        408: Outcome.LATER,
        413: Outcome.DIVIDE,
        420: Outcome.LATER,
        425: Outcome.LATER,
        429: Outcome.LATER,
    }
)
_MEANING_OF_CLASS: Mapping[int, Outcome] = MappingProxyType(
    {
        2: Outcome.DELIVERED,
        3: Outcome.REFUSED,  # a redirect would carry credentials elsewhere
        4: Outcome.REFUSED,
        5: Outcome.LATER,
    }
)


def outcome_of(
    reply: Reply,
    *,
    send_again_when_ambiguous: bool,
    table: Mapping[int, Outcome] = MEANING_OF_STATUS,
) -> Outcome:
    """
    What `reply` means for the items that were sent.

    An answer that never came is ambiguous: where the vendor removes duplicates, or the user prefers them,
    the items go again; otherwise they are dropped, so that nothing is counted twice.
    """
    if reply.failure is Failure.NOT_SENT:
        return Outcome.LATER
    if reply.failure is Failure.NO_ANSWER:
        return Outcome.LATER if send_again_when_ambiguous else Outcome.DROPPED
    return table.get(reply.status) or _MEANING_OF_CLASS.get(reply.status // 100, Outcome.REFUSED)


def retry_after_seconds(reply: Reply, now: datetime) -> float | None:
    """
    Seconds the vendor asked us to wait, if it asked; never more than ten minutes.

    A date is by the vendor's clock, and measured from what the reply says that clock shows (Date); from `now`
    where it does not say.
    """
    text = reply.headers.get("retry-after", "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit():
        return min(float(text), RETRY_AFTER_CAP_SECONDS)  # infinite, if it has a thousand digits
    until = _moment(text)
    if until is None:
        return None
    since = _moment(reply.headers.get("date", "")) or now
    return min(max((until - since).total_seconds(), 0.0), RETRY_AFTER_CAP_SECONDS)


def _moment(text: str) -> datetime | None:
    """A header's date, if it can be read."""
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return None
    return moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment


def backoff_seconds(failures: int, chance: float, *, slowly: bool = False) -> float:
    """
    The pause after so many failures in a row: exponential, capped, full jitter.

    `chance` is a random number in [0, 1). Slowly: for settings that look wrong, between half and the whole
    of 60 s growing to 10 min.
    """
    doublings = min(failures - 1, 30)
    if slowly:
        return min(SLOW_BASE_SECONDS * 2.0**doublings, SLOW_CAP_SECONDS) * (0.5 + chance / 2)
    return min(BACKOFF_BASE_SECONDS * 2.0**doublings, BACKOFF_CAP_SECONDS) * chance


class TokenBucket:
    """
    A rate with a burst. Starts full.

    `reserve` is the part of the burst that stays in it until `open_reserve`. Any thread may call. Times are
    monotonic seconds.
    """

    def __init__(self, per_second: float, burst: float, reserve: float = 0.0) -> None:
        self._per_second = per_second
        self._burst = burst
        self._whole_reserve = self._reserve = reserve
        self._level = _Level(burst)

    def for_another(self) -> TokenBucket:
        """The same tokens for another owner, who has the reserve to open for itself."""
        other = TokenBucket(self._per_second, self._burst, self._whole_reserve)
        other._level = self._level
        return other

    def available(self, now: float) -> float:
        """Tokens there are at `now`, the reserve among them."""
        with self._level.lock:
            return self._available(now)

    def seconds_until(self, cost: float, now: float) -> float:
        """How long until `cost` can be taken; 0 when it can now. More than the burst costs the burst."""
        with self._level.lock:
            return self._seconds_until(cost, now)

    def take(self, cost: float, now: float) -> float:
        """
        Spend `cost` and return 0, or return how long until it can be taken.

        May go below zero for a cost above the burst, which the next ones then wait out.
        """
        with self._level.lock:
            wait = self._seconds_until(cost, now)
            if wait == 0:
                self._level.tokens = self._available(now) - cost
            return wait

    def open_reserve(self) -> None:
        """It is the end: nothing needs to be held back any more."""
        self._reserve = 0.0

    def answered(self, cost: float, now: float) -> None:
        """Of no matter here: what leaves is counted when it leaves."""

    def renew_after_fork(self) -> None:
        """A lock that no thread of the parent process holds."""
        self._level.lock = threading.Lock()

    def _available(self, now: float) -> float:
        level = self._level
        if level.at is None:
            level.at = now
        if now > level.at:  # a clock that goes back gives nothing, and nothing again when it catches up
            level.tokens = min(self._burst, level.tokens + (now - level.at) * self._per_second)
            level.at = now
        return level.tokens

    def _seconds_until(self, cost: float, now: float) -> float:
        missing = min(cost + self._reserve, self._burst) - self._available(now)
        # What times lose by rounding is forgiven, so that waiting exactly so long is always enough.
        rounding = 1e-9 + 4 * math.ulp(now) * self._per_second
        return missing / self._per_second if missing > rounding else 0.0


@dataclass(slots=True)
class _Level:
    """How full a bucket is."""

    tokens: float
    at: float | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)
