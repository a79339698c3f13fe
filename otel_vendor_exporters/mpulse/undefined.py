"""
Undefined names: what the app does not define is not sent, and each name is said once.

A few names make a line, so that it can be read; the others come with later lines. Bounded memory.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence

from otel_vendor_exporters.mpulse.definitions import Definitions
from otel_vendor_exporters.nearest import listed, nearest

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

        Names that are like none are said with the first few that are defined.
        `kind` is timer, metric, or "metric or timer" for durations, which may be either.
        """
        chosen, more = self._chosen(names, kind)
        if not chosen:
            return
        rest = f" and {more} more" if more else ""
        text = "mpulse: not sent, because the app defines no such custom %s: %s"
        self._logger.warning(text, kind, _with_nearest(chosen, set(_KNOWN[kind](definitions)), rest))

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


def _with_nearest(names: Sequence[str], known: set[str], rest: str) -> str:
    near = {name: nearest(name, known) for name in names}
    told = ", ".join(f"{name!r} (nearest: {one!r})" if one else repr(name) for name, one in near.items())
    if all(near.values()):
        return told + rest
    return f"{told}{rest}; it defines {listed(known) or 'none'}"
