"""
The OpenTelemetry exporters for mPulse: spans become custom timers, metrics custom metrics.

`export()` maps and keeps, and never touches a socket; sending is delivery's. Both exporters of one app share
one destination. Concurrency: any thread may call anything, at any time, also during and after shutdown.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

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

from otel_vendor_exporters.delivery.ledger import Counts
from otel_vendor_exporters.delivery.self_metrics import SelfMetrics
from otel_vendor_exporters.mpulse.client import Destination, destination_for
from otel_vendor_exporters.mpulse.contexts import Contexts
from otel_vendor_exporters.mpulse.mapping import Mapped, Names, timings_from
from otel_vendor_exporters.mpulse.metrics import MetricMapping
from otel_vendor_exporters.mpulse.settings import MPulseSettings
from otel_vendor_exporters.settings import internal_metrics_enabled

_logger = logging.getLogger(__name__)

# Increments are what mPulse counts; of levels it is told the last.
_TEMPORALITY: dict[type, AggregationTemporality] = {
    Counter: AggregationTemporality.DELTA,
    ObservableCounter: AggregationTemporality.DELTA,
    Histogram: AggregationTemporality.DELTA,
    UpDownCounter: AggregationTemporality.CUMULATIVE,
    ObservableUpDownCounter: AggregationTemporality.CUMULATIVE,
}


class MPulseSpanExporter(SpanExporter):
    """Sends spans as custom timers. Settings are keywords; see `MPulseSettings`."""

    def __init__(self, *, meter_provider: MeterProvider | None = None, **settings: object) -> None:
        """Raise ConfigurationError for settings that are wrong or missing; does not connect."""
        read = MPulseSettings.read(**settings)
        self._outlet = _Outlet(read, "mpulse_span_exporter", "span", meter_provider)
        self._timers = Names(read.timers)
        self._contexts = Contexts(read)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Keep the spans that are timers; SUCCESS when all of them are kept."""
        kept = self._outlet.export(len(spans), lambda: self._mapped(spans), "timer")
        return SpanExportResult.SUCCESS if kept else SpanExportResult.FAILURE

    def force_flush(self, timeout_millis: float = 30_000) -> bool:
        """Wait until everything kept is sent; False when that took too long or mPulse is down."""
        return self._outlet.flush(timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000) -> None:
        """Send what waits within the deadline; what is left is counted as dropped."""
        self._outlet.close(timeout_millis)

    def ledger(self) -> Counts:
        """What became of everything this process sent to this app."""
        return self._outlet.ledger()

    def _mapped(self, spans: Sequence[ReadableSpan]) -> Mapped:
        app = self._outlet.destination.app
        keeps = app.sampler.keeps if app.sampler is not None else None
        return timings_from(
            spans, app.definitions, self._timers, self._contexts, app.process_session(), keeps
        )


class MPulseMetricExporter(MetricExporter):
    """Sends metrics as custom metrics, and durations as custom timers. Settings: `MPulseSettings`."""

    def __init__(self, *, meter_provider: MeterProvider | None = None, **settings: object) -> None:
        """Raise ConfigurationError for settings that are wrong or missing; does not connect."""
        super().__init__(preferred_temporality=dict(_TEMPORALITY))
        read = MPulseSettings.read(**settings)
        self._outlet = _Outlet(read, "mpulse_metric_exporter", "metric_data_point", meter_provider)
        self._mapping = MetricMapping(read)

    def export(
        self,
        metrics_data: MetricsData,
        timeout_millis: float = 10_000,  # noqa: ARG002  nothing here waits
        **kwargs: object,  # noqa: ARG002  the reader may pass more
    ) -> MetricExportResult:
        """Keep the readings of metrics the app defines; SUCCESS when all of them are kept."""
        app = self._outlet.destination.app
        kept = self._outlet.export(
            _count_points(metrics_data),
            lambda: self._mapping.readings_from(metrics_data, app.definitions, app.process_session()),
            "metric",
        )
        return MetricExportResult.SUCCESS if kept else MetricExportResult.FAILURE

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Wait until everything kept is sent; False when that took too long or mPulse is down."""
        return self._outlet.flush(timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: object) -> None:
        """Send what waits within the deadline; what is left is counted as dropped."""
        timeout = kwargs.get(
            "timeout"
        )  # the periodic reader calls it so: open-telemetry/opentelemetry-python #5574
        self._outlet.close(float(timeout) if isinstance(timeout, (int, float)) else timeout_millis)

    def ledger(self) -> Counts:
        """What became of everything this process sent to this app."""
        return self._outlet.ledger()


class _Outlet:
    """What both exporters do alike: keep what was mapped, count, flush and end."""

    def __init__(
        self, settings: MPulseSettings, component: str, record: str, meter_provider: MeterProvider | None
    ) -> None:
        self.destination: Destination = destination_for(settings)
        self._timeout_seconds = settings.timeout
        self._metrics = SelfMetrics(component, record, meter_provider, enabled=internal_metrics_enabled())
        self._open = True

    def export(self, records: int, mapped: Callable[[], Mapped], kind: str) -> bool:
        """Whether everything that could be mapped is kept. Never raises."""
        if not self._open:
            _logger.warning("mpulse: export after shutdown; %d records ignored", records)
            return False
        began = self._metrics.begin(records)
        error: str | None = None
        try:
            if not self._keep(mapped(), kind):
                error = "already_shutdown"
        except Exception as fault:  # telemetry never hurts the application, whatever is wrong with us
            _logger.exception("mpulse: a fault in this library; %d records ignored", records)
            self.destination.delivery.ledger.saw(0, {"internal_error": records})
            error = type(fault).__qualname__
        self._metrics.end(began, records, error)
        return error is None

    def _keep(self, mapped: Mapped, kind: str) -> bool:
        destination = self.destination
        app, ledger = destination.app, destination.delivery.ledger
        if mapped.undefined:
            mapped.ignored["undefined"] += mapped.undefined.total()
            app.tell_undefined(mapped.undefined, kind)
        ledger.saw(mapped.records, mapped.ignored, mapped.left_out)
        if app.sampler is not None:
            app.sampler.adjust(destination.now(), ledger.counts().waiting)
        if mapped.units and not destination.keep(mapped.units):
            return False
        if app.is_due:  # also when nothing is sent: a name may have been defined since
            destination.delivery.nudge()
        return True

    def flush(self, timeout_millis: float) -> bool:
        return not self._open or self.destination.delivery.flush(self._seconds(timeout_millis))

    def close(self, timeout_millis: float) -> None:
        if self._open:
            self._open = False
            self.destination.release(self._seconds(timeout_millis))

    def ledger(self) -> Counts:
        return self.destination.delivery.ledger.counts()

    def _seconds(self, timeout_millis: float) -> float:
        """The SDK's deadlines are not ours to trust: the last collection passes its interval."""
        return min(timeout_millis / 1000, self._timeout_seconds)


def _count_points(data: MetricsData) -> int:
    return sum(
        len(metric.data.data_points)
        for of_resource in data.resource_metrics
        for of_scope in of_resource.scope_metrics
        for metric in of_scope.metrics
    )
