"""
Deciding: what follows from each verdict on what was packed or sent, for the queue, the pace and the operator.

Not thread-safe: `Delivery` holds its lock around each call, and tells what was noted when it is free.
"""

from __future__ import annotations

import logging
import random
from dataclasses import replace
from typing import Generic

from otel_vendor_exporters.delivery import policy
from otel_vendor_exporters.delivery.backlog import Backlog
from otel_vendor_exporters.delivery.clock import Clock
from otel_vendor_exporters.delivery.notices import Notices
from otel_vendor_exporters.delivery.pace import Pace
from otel_vendor_exporters.delivery.ready import Ready
from otel_vendor_exporters.delivery.request import Outcome, U, Verdict
from otel_vendor_exporters.delivery.vendor import Packed, is_divisible


class Deciding(Generic[U]):
    """Verdicts of one destination, carried out."""

    def __init__(
        self,
        name: str,
        backlog: Backlog[U],
        ready: Ready[U],
        pace: Pace,
        notices: Notices,
        clock: Clock,
    ) -> None:
        self._name = name
        self._backlog = backlog
        self._ready = ready
        self._pace = pace
        self._notices = notices
        self._clock = clock

    def load(self, packed: Packed[U], *, in_front: bool = False) -> None:
        """Let parcels be next, and carry out the verdicts on what can never travel."""
        self._ready.add(packed.parcels, in_front=in_front)
        for verdict in packed.verdicts:
            self._backlog.leave(verdict.items)
            self.apply(verdict)

    def apply(self, verdict: Verdict[U], *, failed: bool = True) -> None:
        """Carry out a verdict on what went out; not `failed` when nothing could be sent."""
        outcome, items = verdict.outcome, verdict.items
        if outcome is Outcome.DELIVERED:
            self._backlog.deliver(items, erase=verdict.erase)
            if self._pace.recover():
                self._notices.note_over("outage", "%s: delivering again", self._name)
        elif is_divisible(verdict):
            self._backlog.divide(items)
        elif outcome is Outcome.DIVIDE and verdict.parts:
            self.unpack()  # before what comes back, which is older
            self._backlog.replace(items[0], verdict.parts)
        elif outcome is Outcome.DIVIDE:
            self._backlog.lose(replace(verdict, outcome=Outcome.REFUSED, reason="too_large"))
        elif outcome in (Outcome.LATER, Outcome.LATER_SLOWLY):
            self.unpack()  # before what comes back, which is older
            self._backlog.come_back(items, verdict.words if outcome is Outcome.LATER_SLOWLY else "")
            if failed:
                self._fail(verdict)
        else:
            self._backlog.lose(verdict)
            if verdict.reason == policy.AMBIGUOUS:  # no answer: what is not under way yet is not to follow it
                self.unpack()
                self._fail(verdict)

    def is_passed_over(self, now: float, *, hurry: bool) -> bool:
        """Whether items that go first wait behind parcels without any, which were packed before they came."""
        parcel = self._ready.next() if self._backlog.has_first else None
        if parcel is None or any(item.first for item in parcel.items):
            return False
        return hurry or self._pace.is_repacking_due(parcel.cost, now)

    def unpack(self) -> None:
        """Let everything that is packed but not under way wait in the queue again."""
        for parcel in self._ready.empty():
            self._backlog.put_back(parcel.items)

    def _fail(self, verdict: Verdict[U]) -> None:
        slowly = verdict.outcome is Outcome.LATER_SLOWLY
        chance = random.random()  # noqa: S311  jitter needs no secrecy
        now = self._clock.monotonic()
        if self._pace.fail(now, chance, slowly=slowly, wait_seconds=verdict.wait_seconds):
            level = logging.ERROR if slowly else logging.WARNING
            text = "%s: not delivering (%s); what waits is kept and tried again"
            self._notices.note("outage", level, text, self._name, verdict.words)
