"""
Undefined names: what the app does not define is not sent, and each name is said once.

A few names make a line, so that it can be read; the others come with later lines. Bounded memory.
"""

from __future__ import annotations

import difflib
import logging
import threading
from collections.abc import Callable, Iterable, Mapping

from otel_vendor_exporters.mpulse.definitions import Definitions

MOST_AT_ONCE = 10
_MOST_NAMES = 1000
_LONGEST_NAME = 100

_KNOWN: Mapping[str, Callable[[Definitions], Iterable[str]]] = {
    "timer": lambda definitions: definitions.timers,
    "metric": lambda definitions: definitions.metrics,
    "metric or timer": lambda definitions: (*definitions.metrics, *definitions.timers),
}


def is_about_telemetry(instrument: str) -> bool:
    """Whether an instrument is the SDK's or this library's own: nobody misses it in mPulse."""
    return instrument.startswith("otel.sdk.") or instrument == "instrumentation.faults"


class UndefinedNames:
    """Tells the names of one app that are not defined. Any thread may call."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._lock = threading.Lock()
        self._told: set[tuple[str, str]] = set()
        self._untold: dict[str, set[str]] = {kind: set() for kind in _KNOWN}

    def tell(self, names: Iterable[str], kind: str, definitions: Definitions) -> None:
        """
        Say of each new name that the app defines no custom `kind` of it, with the nearest one it does.

        `kind` is timer, metric, or "metric or timer" for durations, which may be either.
        """
        chosen, more = self._chosen(names, kind)
        if not chosen:
            return
        known = {name.casefold(): name for name in _KNOWN[kind](definitions)}
        told = ", ".join(_with_nearest(name, known) for name in chosen)
        rest = f" and {more} more" if more else ""
        text = "mpulse: not sent, because the app defines no such custom %s: %s%s"
        self._logger.warning(text, kind, told, rest)

    def _chosen(self, names: Iterable[str], kind: str) -> tuple[list[str], int]:
        """The names to say now, in order, and how many are left for later."""
        with self._lock:
            untold = self._untold[kind]
            for name in {name[:_LONGEST_NAME] for name in names}:
                room = len(self._told) + sum(map(len, self._untold.values())) < _MOST_NAMES
                if room and (kind, name) not in self._told and not is_about_telemetry(name):
                    untold.add(name)
            chosen = sorted(untold)[:MOST_AT_ONCE]
            self._told.update((kind, name) for name in chosen)
            untold.difference_update(chosen)
            return chosen, len(untold)


def _with_nearest(name: str, known: Mapping[str, str]) -> str:
    near = difflib.get_close_matches(name.casefold(), known, n=1, cutoff=0.0)
    return f"{name!r} (nearest: {known[near[0]]!r})" if near else f"{name!r} (none is defined)"
