"""
Unfit: what cannot be sent for what it is, not for its name; each instrument or span is said once per reason.

mPulse would answer 204 to it all the same, so it is counted, and said with what would be right.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from otel_vendor_exporters.interrupts import let_through
from otel_vendor_exporters.mpulse.definitions import Definitions
from otel_vendor_exporters.mpulse.told_once import ToldOnce
from otel_vendor_exporters.mpulse.wire import MOST_DIGITS, MOST_MILLISECONDS

UNREADABLE = "unreadable"
_MOST_NAMES = 1000
_LONGEST_NAME = 100

# UCUM: case-sensitive, and a minute is "min".
MILLISECONDS_OF_UNIT: Mapping[str, float] = {
    "ns": 1e-6,
    "us": 1e-3,
    "ms": 1.0,
    "s": 1000.0,
    "min": 60_000.0,
    "h": 3_600_000.0,
    "d": 86_400_000.0,
}

# By reason of the ledger. What is not here, as "zero" and "sampled_out", is what settings ask for.
_WORDS: Mapping[str, str] = {
    "negative_value": "a value below 0, which is sent only with negative_metrics=true",
    "not_a_finite_number": f"a metric takes a finite number of at most {MOST_DIGITS} digits",
    "unit_is_no_time": f"a custom timer takes a histogram in one of {', '.join(MILLISECONDS_OF_UNIT)}",
    "too_long": f"longer than the {MOST_MILLISECONDS} ms that a custom timer takes: check unit and times",
    "too_many_series": "more sets of attributes than are remembered: give it fewer, or DELTA temporality",
    "unknown_data": "data of an unknown kind: sums, gauges and histograms are sent",
    "timer_name_is_not_text": "the name of a span, and mpulse.timer, must be a text",
    "time_is_not_whole_nanoseconds": "times of spans and points are whole nanoseconds, as of time.time_ns()",
    "count_is_no_whole_number": "a histogram's count must be a whole number, from 0",
    "negative_duration": "a span that ends before it starts: check start_time and end_time",
    "not_ended": "a span that has not ended",
    UNREADABLE: "it is not as OpenTelemetry's SDK makes it: check its attributes, value and times",
}


class Unfit(NamedTuple):
    """What is said of one instrument or span: its name as shown, and the ledger's reason."""

    shown: str
    reason: str


class NoTiming(NamedTuple):
    """Why a histogram is no value of the timer it might feed, from before there were definitions."""

    timer: str
    unfit: Unfit


def unfit(name: object, reason: str, unit: str | None = None) -> Unfit:
    """As it is said; `unit` is an instrument's, where that is what matters."""
    shown = repr(name[:_LONGEST_NAME]) if isinstance(name, str) else f"a {type(name).__name__} for a name"
    if reason in ("unit_is_no_time", "too_long") and unit is not None:
        shown += f" (unit {unit[:_LONGEST_NAME]!r})"
    return Unfit(shown, reason)


def attribute_of(thing: object, name: str) -> object:
    """An attribute of what may be anything; None if asking for it raises, too."""
    try:
        return getattr(thing, name, None)
    except Exception as error:  # noqa: BLE001  the caller counts the thing as unreadable
        let_through(error)
        return None


def unreadable(error: Exception) -> str:
    """The ledger's reason for what raised that."""
    let_through(error)
    return f"{UNREADABLE}:{type(error).__name__}"


class UnfitNames:
    """Tells what of one app is unfit. Any thread may call."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._told = ToldOnce()
        self._lock = threading.Lock()
        self._no_timings: dict[str, NoTiming] = {}

    def tell(self, unfit: Iterable[Unfit]) -> None:
        """Say of each new one why it is not sent, and what would be right."""
        by_words: dict[str, set[str]] = {}
        for one in unfit:
            words = _WORDS.get(one.reason.partition(":")[0])
            if words is not None:
                by_words.setdefault(words, set()).add(one.shown)
        for words, shown in by_words.items():
            chosen, more = self._told.chosen(shown, words)
            if chosen:
                self._logger.warning("mpulse: not sent: %s%s: %s", ", ".join(chosen), more, words)

    def remember(self, no_timings: Mapping[str, NoTiming]) -> None:
        """Keep in mind, by metric name, what is not sent as a timer either."""
        with self._lock:
            for name, one in no_timings.items():
                if len(self._no_timings) < _MOST_NAMES:
                    self._no_timings[name] = one

    def instead_of_undefined(self, name: str, definitions: Definitions) -> Unfit | None:
        """What is to be said of an undefined metric that would feed a defined timer, were it fit."""
        with self._lock:
            found = self._no_timings.get(name)
        return found.unfit if found is not None and definitions.timer_for(found.timer) is not None else None
