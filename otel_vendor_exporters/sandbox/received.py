"""
What arrived, in the words a test uses: timers, metric totals, beacons, findings.

A view on the inbox; holds nothing itself.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from typing import TypeVar

from otel_vendor_exporters.sandbox.inbox import Finding, Inbox, Record
from otel_vendor_exporters.sandbox.mparticle.received import MParticleReceived
from otel_vendor_exporters.sandbox.mparticle_analytics.received import AnalyticsReceived
from otel_vendor_exporters.sandbox.mpulse.beacons import Beacon, Timer

AnyRecord = TypeVar("AnyRecord", bound=Record)


class Received:
    """What the sandbox has received since the last reset. Every property looks anew."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    @property
    def records(self) -> tuple[Record, ...]:
        """Every request in the order it arrived, faults and unknown paths too."""
        return self._inbox.records

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Every finding of every request, in order."""
        return tuple(finding for record in self.records for finding in record.findings)

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that mean loss."""
        return tuple(finding for finding in self.findings if finding.severity == "error")

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of all findings."""
        return tuple(finding.code for finding in self.findings)

    @property
    def beacons(self) -> tuple[Beacon, ...]:
        """The mPulse beacons that reached the vendor."""
        return self.of(Beacon)

    @property
    def timers(self) -> list[Timer]:
        """(name, milliseconds) of every timing mPulse would have counted."""
        return [timer for beacon in self.beacons for timer in beacon.timers]

    @property
    def metrics(self) -> dict[str, float]:
        """The total of each metric mPulse would have counted, by name."""
        amounts: dict[str, list[float]] = defaultdict(list)
        for beacon in self.beacons:
            for metric in beacon.metrics:
                amounts[metric.name].append(metric.amount)
        return {name: math.fsum(all_of_it) for name, all_of_it in amounts.items()}

    @property
    def mparticle(self) -> MParticleReceived:
        """What reached mParticle."""
        return MParticleReceived(lambda: self.records)

    @property
    def mparticle_analytics(self) -> AnalyticsReceived:
        """What reached mParticle Analytics."""
        return AnalyticsReceived(lambda: self.records)

    def of(self, kind: type[AnyRecord]) -> tuple[AnyRecord, ...]:
        """The records of one type."""
        return tuple(record for record in self.records if isinstance(record, kind))

    def wait_for(self, predicate: Callable[[Received], bool], timeout: float = 5.0) -> bool:
        """Whether the predicate came true within the timeout (seconds); returns as soon as it does."""
        return self._inbox.wait_for(lambda _: predicate(self), timeout)
