"""
Outlet: what the exporters of every vendor do alike.

They let a vendor map and keep, count that, flush and end. Nothing here raises into the application, and
nothing touches a socket. Any thread may call anything, at any time, also during and after shutdown.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol

from opentelemetry.metrics import MeterProvider

from otel_vendor_exporters.delivery import reentry
from otel_vendor_exporters.delivery.clock import is_duration
from otel_vendor_exporters.delivery.ledger import Counts, Ledger
from otel_vendor_exporters.delivery.self_metrics import SelfMetrics
from otel_vendor_exporters.delivery.sender import Delivery
from otel_vendor_exporters.interrupts import is_interrupt


class Destination(Protocol):
    """What the exporters and clients of one account in one process share."""

    @property
    def delivery(self) -> Delivery[Any]: ...

    def release(self, timeout_seconds: float) -> None:
        """Leave: send what waits within the deadline; the last user ends the destination."""


class Seen:
    """What an export has told the ledger of its records. For one thread."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.records = 0

    def __call__(self, mapped: int, ignored: Mapping[str, int], left_out: Mapping[str, int]) -> None:
        """As `Ledger.saw`."""
        self._ledger.saw(mapped, ignored, left_out)
        self.records += mapped + sum(ignored.values())


class Outlet:
    """One exporter's way to its destination."""

    def __init__(
        self,
        destination: Destination,
        *,
        vendor: str,
        component: str,
        record: str,
        timeout_seconds: float,
        meter_provider: MeterProvider | None,
        internal_metrics: bool,
    ) -> None:
        """`component` is an otel.component.type; `record` is span, log or metric_data_point."""
        self._destination = destination
        self._vendor = vendor
        self._timeout_seconds = timeout_seconds
        self._metrics = SelfMetrics(component, record, meter_provider, enabled=internal_metrics)
        self._logger = logging.getLogger(f"otel_vendor_exporters.{vendor}")
        self._open = True
        self._leaves = reentry.Once()
        self._tells_end = reentry.Once()

    def export(self, records: int, keep: Callable[[Seen], bool]) -> bool:
        """
        Map and keep so many records by calling `keep`; whether everything that could be mapped is kept.

        `keep` tells what it is given what became of the records.
        """
        if reentry.is_inside():
            reentry.do_later(partial(self._export, records, keep))
            return True
        try:
            with reentry.scope:
                return self._export(records, keep)
        except BaseException:
            reentry.come_out()
            raise

    def _export(self, records: int, keep: Callable[[Seen], bool]) -> bool:
        if not self._open:
            return self._too_late(records)
        begun = self._metrics.begin(records)
        seen = Seen(self._destination.delivery.ledger)
        error: str | None = None
        try:
            if not keep(seen):
                error = "already_shutdown"
        except BaseException as fault:  # noqa: BLE001  raised again if it is not ours
            error = type(fault).__qualname__
            self._miss(fault, records - seen.records)
        finally:
            self._metrics.end(begun, records, error)
        return error is None

    def _miss(self, fault: BaseException, records: int) -> None:
        """A fault of ours never hurts the application; what interrupts it is its own, and raised again."""
        ledger = self._destination.delivery.ledger
        if not isinstance(fault, Exception) or is_interrupt(fault):
            ledger.saw(0, {"interrupted": records})
            raise fault
        text = "%s: a fault in this library; %d records ignored"
        self._logger.error(text, self._vendor, records, exc_info=fault)
        ledger.saw(0, {"internal_error": records})

    def _too_late(self, records: int) -> bool:
        self._destination.delivery.ledger.saw(0, {"already_shutdown": records})
        if self._tells_end():
            text = "%s: export after shutdown; %d records ignored, and all that follow"
            self._logger.warning(text, self._vendor, records)
        return False

    def flush(self, timeout_millis: float) -> bool:
        """Wait until everything kept is sent; False when the deadline came first."""
        if not self._open or reentry.is_inside():
            return not self._open
        flush = self._destination.delivery.flush
        return reentry.within(partial(flush, self._seconds(timeout_millis)))

    def close(self, timeout_millis: float) -> None:
        """Send what waits within the deadline and leave. Idempotent."""
        if reentry.is_inside():
            reentry.do_later(partial(self._close, timeout_millis))
        elif self._open:
            reentry.within(partial(self._close, timeout_millis))

    def _close(self, timeout_millis: float) -> None:
        if self._leaves():  # who left twice would end the destination of others
            self._open = False
            self._destination.release(self._seconds(timeout_millis))

    def counts(self) -> Counts:
        """What became of everything sent to this destination by this process."""
        return reentry.within(self._destination.delivery.ledger.counts)

    def _seconds(self, timeout_millis: float) -> float:
        """The SDK's deadlines are not ours to trust: the last collection passes its interval, others None."""
        if not is_duration(timeout_millis):
            return self._timeout_seconds
        return min(timeout_millis / 1000, self._timeout_seconds)


class ThroughOutlet:
    """What is the same in every exporter, whatever it exports."""

    _outlet: Outlet

    def force_flush(self, timeout_millis: float = 30_000) -> bool:
        """Wait until everything kept is sent; False when that took too long or the vendor is down."""
        return self._outlet.flush(timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: object) -> None:
        """
        Send what waits within the deadline; what is left is counted as dropped, or stays on the disk.

        `timeout`, in milliseconds too, goes before: the SDK's periodic reader calls it so (#5574).
        """
        timeout = kwargs.get("timeout")
        self._outlet.close(timeout if isinstance(timeout, (int, float)) else timeout_millis)

    def ledger(self) -> Counts:
        """What became of everything this process sent to this account."""
        return self._outlet.counts()
