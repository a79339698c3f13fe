"""
Packing: many units into few requests.

Pure. Events travel together, calls alone. Requests leave in the order in which they stand here.
Rule: every unit that comes in goes out, exactly once, and units of one user keep their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from otel_vendor_exporters.mparticle_analytics.units import Kind, Unit
from otel_vendor_exporters.mparticle_analytics.wire import MOST_BODY_BYTES, MOST_EVENTS, batch_overhead_bytes


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may hold. Of a rate, `most_per_second`, requests are parts that add up to it."""

    api_key: str
    max_events: int = MOST_EVENTS
    max_body_bytes: int = MOST_BODY_BYTES
    most_per_second: int | None = None


@dataclass(frozen=True, slots=True)
class Load:
    """The units of one request, by their index, and all the users they are about."""

    units: tuple[int, ...]
    users: frozenset[str]


def pack(
    units: Sequence[Unit],
    limits: Limits,
    *,
    alone: frozenset[str] = frozenset(),
    probe: bool = False,
) -> tuple[list[Load], list[int]]:
    """
    Loads for `units`, and those that are too large to travel, by their index.

    Events of the users `alone` travel alone. With `probe` one unit goes first, of another user if there is
    one: its answer tells what may be done with the others.
    """
    packer = _Packer(limits)
    most_bytes = limits.max_body_bytes - packer.overhead
    too_large = [index for index, unit in enumerate(units) if len(unit.content) > most_bytes]
    first = _probe(units, alone) if probe else None
    if first is not None and first not in too_large:
        packer.add_call(first, units[first])
    for index, unit in enumerate(units):
        if index == first or len(unit.content) > most_bytes:
            continue
        if unit.kind is Kind.EVENT and alone.isdisjoint(unit.users):
            packer.add_event(index, unit)
        else:
            packer.add_call(index, unit)
    packer.close_batch()
    return packer.loads, too_large


def _probe(units: Sequence[Unit], others_than: frozenset[str]) -> int | None:
    """The first unit that overtakes none of its users' and is not about these."""
    seen: set[str] = set()
    for index, unit in enumerate(units):
        if others_than.isdisjoint(unit.users) and seen.isdisjoint(unit.users):
            return index
        seen.update(unit.users)
    return 0 if units else None


class _Packer:
    """The loads so far, and the batch that still takes events."""

    def __init__(self, limits: Limits) -> None:
        self.loads: list[Load] = []
        self.overhead = batch_overhead_bytes(limits.api_key)
        self._limits = limits
        self._second = 0  # events in the current second's worth of batches
        self._open()

    def add_event(self, index: int, unit: Unit) -> None:
        size = len(unit.content) + 1  # a comma
        if self._indexes and self._bytes + size > self._limits.max_body_bytes:
            self.close_batch()
        self._indexes.append(index)
        self._users.update(unit.users)
        self._bytes += size
        if len(self._indexes) == self._most:
            self.close_batch()

    def add_call(self, index: int, unit: Unit) -> None:
        """A call goes in front of the open batch, unless that holds what came before it of its user."""
        if not self._users.isdisjoint(unit.users):
            self.close_batch()
        self.loads.append(Load((index,), frozenset(unit.users)))

    def close_batch(self) -> None:
        if self._indexes:
            self.loads.append(Load(tuple(self._indexes), frozenset(self._users)))
            self._second += len(self._indexes)
            self._open()

    def _open(self) -> None:
        self._indexes: list[int] = []
        self._users: set[str] = set()
        self._bytes = self.overhead
        self._most = self._limits.max_events
        if self._limits.most_per_second is not None:
            # 250 events a second leave as 100, 100 and 50: three times 100 would not fit into a second.
            left = self._limits.most_per_second - self._second % self._limits.most_per_second
            self._most = min(self._most, left)
