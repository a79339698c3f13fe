"""
Increments: what came to a cumulative series since its last point, and the level of a series of changes.

Pure. Source for resets: OpenTelemetry specification, metrics/data-model.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

_MOST_SERIES = 20_000


class _Series(NamedTuple):
    """What a cumulative point said last."""

    start_unix_ns: int | None
    value: float
    samples: int


class Increments:
    """Turns cumulative points into increments, and non-monotonic deltas into levels. Bounded memory."""

    def __init__(self) -> None:
        self._series: OrderedDict[object, _Series] = OrderedDict()
        self._has_forgotten = False

    def since_last(
        self, key: object, start_unix_ns: int | None, time_unix_ns: int, value: float, samples: int
    ) -> tuple[float, int] | None:
        """
        What came to a cumulative series since its last point.

        A new start, or a value or count that fell, is a reset: everything counted since is new. But a point
        without duration is a reset at an unknown time: it says where the series stands, and adds nothing.
        None when the series may be one of those that were forgotten: counting it whole would count it twice.
        """
        may_be_known = self._has_forgotten
        last = self._exchange(key, _Series(start_unix_ns, value, samples))
        if last is None and may_be_known:
            return None
        if start_unix_ns == time_unix_ns:
            return 0, 0
        reset = last is None or last.start_unix_ns != start_unix_ns
        if last is None or reset or value < last.value or samples < last.samples:
            return value, samples
        return value - last.value, samples - last.samples

    def has_room_for(self, key: object) -> bool:
        """Whether a series that is not sent yet can be remembered, and no other is forgotten for it."""
        has_room = key in self._series or len(self._series) < _MOST_SERIES
        self._has_forgotten = self._has_forgotten or not has_room
        return has_room

    def level(self, key: object, change: float) -> float:
        """The level of a series of changes."""
        last = self._series.get(key)
        level = change + (last.value if last else 0)
        self._exchange(key, _Series(None, level, 0))
        return level

    def _exchange(self, key: object, new: _Series) -> _Series | None:
        last = self._series.pop(key, None)
        self._series[key] = new
        if len(self._series) > _MOST_SERIES:
            self._series.popitem(last=False)
            self._has_forgotten = True
        return last
