"""
Self-metrics: the SDK's standard `otel.sdk.exporter.*` metrics for one exporter.

They count source records (spans, data points, log records) at the door of `export()`: a record is exported
when it is kept for delivery. What becomes of it then is in the ledger. Names and units are those of the
semantic conventions 1.44, otel/sdk-metrics; they stand here because their package moves them.
Rule: the meter provider may be anybody's; what it raises is said once, and costs no export.
"""

from __future__ import annotations

import itertools
import logging
from collections import defaultdict
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import NamedTuple

from opentelemetry.metrics import MeterProvider, get_meter_provider

from otel_vendor_exporters import __version__
from otel_vendor_exporters.errors import ConfigurationError
from otel_vendor_exporters.interrupts import let_through

_UNITS = {"span": "{span}", "log": "{log_record}", "metric_data_point": "{data_point}"}
_logger = logging.getLogger("otel_vendor_exporters")
_numbers: defaultdict[str, Iterator[int]] = defaultdict(itertools.count)


def check_meter_provider(meter_provider: object) -> None:
    """Raise ConfigurationError for what is none; before anything is made that would have to be ended."""
    if meter_provider is not None and not callable(getattr(meter_provider, "get_meter", None)):
        message = (
            f"meter_provider is a {type(meter_provider).__name__}: expected OpenTelemetry's MeterProvider"
        )
        raise ConfigurationError(message, setting="meter_provider")


class Begun(NamedTuple):
    """An export that has begun, and whether it counts as in flight."""

    at: float
    is_in_flight: bool


class SelfMetrics:
    """Counts what one exporter exports; without a meter provider it does nothing. Any thread may call."""

    def __init__(
        self, component: str, record: str, meter_provider: MeterProvider | None, *, enabled: bool
    ) -> None:
        """`component` is an otel.component.type; `record` is span, log or metric_data_point."""
        self._attributes = {
            "otel.component.type": component,
            "otel.component.name": f"{component}/{next(_numbers[component])}",
        }
        self._said = False
        self._enabled = enabled or meter_provider is not None
        self._enabled = self._enabled and self._works(lambda: self._make(record, meter_provider))

    def _make(self, record: str, meter_provider: MeterProvider | None) -> None:
        provider = meter_provider or get_meter_provider()
        meter = provider.get_meter("otel_vendor_exporters", __version__)
        name = f"otel.sdk.exporter.{record}"
        self._inflight = meter.create_up_down_counter(f"{name}.inflight", _UNITS[record])
        self._exported = meter.create_counter(f"{name}.exported", _UNITS[record])
        self._duration = meter.create_histogram("otel.sdk.exporter.operation.duration", "s")

    def begin(self, records: int) -> Begun:
        """An export of so many records begins; give the result to `end`."""
        counts = self._enabled and self._works(lambda: self._inflight.add(records, self._attributes))
        return Begun(perf_counter(), counts)

    def end(self, begun: Begun, records: int, error_type: str | None) -> None:
        """It ended, well or with an error."""
        if not self._enabled:
            return
        attributes = self._attributes
        seconds = perf_counter() - begun.at
        if begun.is_in_flight:
            self._works(lambda: self._inflight.add(-records, self._attributes))
        if error_type is not None:
            attributes = {**attributes, "error.type": error_type}
        self._works(lambda: self._exported.add(records, attributes))
        self._works(lambda: self._duration.record(seconds, attributes))

    def _works(self, report: Callable[[], None]) -> bool:
        """Whether it did; the metrics that are missing then are the whole of the damage."""
        try:
            report()
        except Exception as fault:  # noqa: BLE001  anybody's meter provider
            let_through(fault)
            if not self._said:
                self._said = True
                text = "%s: the meter provider fails (%s); otel.sdk.exporter.* metrics are missing"
                _logger.warning(text, self._attributes["otel.component.name"], type(fault).__name__)
            return False
        return True
