"""Undefined names: what the app does not define is not sent, and each name is said once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence

from otel_vendor_exporters.mpulse.definitions import Definitions
from otel_vendor_exporters.mpulse.told_once import ToldOnce
from otel_vendor_exporters.nearest import listed, nearest

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
        self._told = ToldOnce()

    def tell(self, names: Iterable[str], kind: str, definitions: Definitions) -> None:
        """
        Say of each new name that the app defines no custom `kind` of it, with the nearest one it does.

        Names that are like none are said with the first few that are defined.
        `kind` is timer, metric, or "metric or timer" for durations, which may be either.
        """
        missed = {name[:_LONGEST_NAME] for name in names if not is_about_telemetry(name)}
        chosen, more = self._told.chosen(missed, kind)
        if chosen:
            text = "mpulse: not sent, because the app defines no such custom %s: %s"
            self._logger.warning(text, kind, _with_nearest(chosen, set(_KNOWN[kind](definitions)), more))


def _with_nearest(names: Sequence[str], known: set[str], more: str) -> str:
    near = {name: nearest(name, known) for name in names}
    told = ", ".join(f"{name!r} (nearest: {one!r})" if one else repr(name) for name, one in near.items())
    if all(near.values()):
        return told + more
    return f"{told}{more}; it defines {listed(known) or 'none'}"
