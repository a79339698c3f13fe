"""
The OpenTelemetry exporters for mPulse: spans become custom timers, metrics custom metrics.

`export()` maps and keeps, and never touches a socket; sending is delivery's. Both exporters of one app share
one destination. Concurrency: any thread may call anything, at any time, also during and after shutdown.
"""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.metrics import MeterProvider
from opentelemetry.sdk.metrics import (
    Counter,
    Histogram,
    ObservableCounter,
    ObservableUpDownCounter,
    UpDownCounter,
)
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    MetricExporter,
    MetricExportResult,
    MetricsData,
)
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel_vendor_exporters.delivery.outlet import Outlet, Seen, ThroughOutlet
from otel_vendor_exporters.delivery.self_metrics import check_meter_provider
from otel_vendor_exporters.delivery.shared import give_back
from otel_vendor_exporters.mpulse.client import Destination, destination_for
from otel_vendor_exporters.mpulse.contexts import Contexts
from otel_vendor_exporters.mpulse.mapping import Mapped, Names, timings_from
from otel_vendor_exporters.mpulse.metrics import MetricMapping
from otel_vendor_exporters.mpulse.points import metrics_in, points_in
from otel_vendor_exporters.mpulse.settings import MPulseSettings
from otel_vendor_exporters.settings import internal_metrics_enabled

# Increments are what mPulse counts; of levels it is told the last.
_TEMPORALITY: dict[type, AggregationTemporality] = {
    Counter: AggregationTemporality.DELTA,
    ObservableCounter: AggregationTemporality.DELTA,
    Histogram: AggregationTemporality.DELTA,
    UpDownCounter: AggregationTemporality.CUMULATIVE,
    ObservableUpDownCounter: AggregationTemporality.CUMULATIVE,
}


class MPulseSpanExporter(ThroughOutlet, SpanExporter):
    """Sends spans as custom timers. Settings are keywords; see `MPulseSettings`."""

    def __init__(self, *, meter_provider: MeterProvider | None = None, **settings: object) -> None:
        """Raise ConfigurationError for settings that are wrong or missing; does not connect."""
        read = MPulseSettings.read(**settings)
        check_meter_provider(meter_provider)
        self._destination = destination_for(read)
        try:
            self._outlet = _outlet(read, self._destination, "mpulse_span_exporter", "span", meter_provider)
            self._timers = Names(read.timers)
            self._contexts = Contexts(read)
        except BaseException:
            give_back(self._destination, read.timeout)
            raise

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Keep the spans that are timers; SUCCESS when all of them are kept."""
        kept = self._outlet.export(
            len(spans), lambda seen: _keep(self._destination, self._mapped(spans), "timer", seen)
        )
        return SpanExportResult.SUCCESS if kept else SpanExportResult.FAILURE

    def _mapped(self, spans: Sequence[ReadableSpan]) -> Mapped:
        app, sampler = self._destination.app, self._destination.sampler()
        keeps = sampler.keeps if sampler is not None else None
        return timings_from(
            spans, app.definitions, self._timers, self._contexts, app.process_session(), keeps
        )


class MPulseMetricExporter(ThroughOutlet, MetricExporter):
    """Sends metrics as custom metrics, and durations as custom timers. Settings: `MPulseSettings`."""

    def __init__(self, *, meter_provider: MeterProvider | None = None, **settings: object) -> None:
        """Raise ConfigurationError for settings that are wrong or missing; does not connect."""
        super().__init__(preferred_temporality=dict(_TEMPORALITY))
        read = MPulseSettings.read(**settings)
        component, record = "mpulse_metric_exporter", "metric_data_point"
        check_meter_provider(meter_provider)
        self._destination = destination_for(read)
        try:
            self._outlet = _outlet(read, self._destination, component, record, meter_provider)
            self._mapping = MetricMapping(read)
        except BaseException:
            give_back(self._destination, read.timeout)
            raise

    def export(
        self,
        metrics_data: MetricsData,
        timeout_millis: float = 10_000,  # noqa: ARG002  nothing here waits
        **kwargs: object,  # noqa: ARG002  the reader may pass more
    ) -> MetricExportResult:
        """Keep the readings of metrics the app defines; SUCCESS when all of them are kept."""
        kept = self._outlet.export(
            _count_points(metrics_data),
            lambda seen: _keep(self._destination, self._mapped(metrics_data), "metric", seen),
        )
        return MetricExportResult.SUCCESS if kept else MetricExportResult.FAILURE

    def _mapped(self, metrics_data: MetricsData) -> Mapped:
        app = self._destination.app
        return self._mapping.readings_from(metrics_data, app.definitions, app.process_session())


def _outlet(
    settings: MPulseSettings,
    destination: Destination,
    component: str,
    record: str,
    meter_provider: MeterProvider | None,
) -> Outlet:
    return Outlet(
        destination,
        vendor="mpulse",
        component=component,
        record=record,
        timeout_seconds=settings.timeout,
        meter_provider=meter_provider,
        internal_metrics=internal_metrics_enabled(),
    )


def _keep(destination: Destination, mapped: Mapped, kind: str, seen: Seen) -> bool:
    """Count what was mapped and keep its units; `kind` is what mPulse calls one in its definitions."""
    app, ledger = destination.app, destination.delivery.ledger
    if mapped.undefined:
        mapped.ignored["undefined"] += mapped.undefined.total()
        app.tell_undefined(mapped.undefined.keys() - mapped.either, kind)
        app.tell_undefined(mapped.either, "metric or timer")
    app.tell_unfit(mapped.unfit, mapped.no_timings)
    seen(mapped.records, mapped.ignored, mapped.left_out)
    if mapped.session_limited:
        ledger.accept(mapped.session_limited)
        ledger.drop("session_limited", mapped.session_limited)
    if mapped.units and not destination.keep(mapped.units):
        return False
    if app.is_due:  # also when nothing is sent: a name may have been defined since
        destination.delivery.nudge()
    return True


def _count_points(data: MetricsData) -> int:
    return sum(points_in(metric) for _, _, metric in metrics_in(data))
