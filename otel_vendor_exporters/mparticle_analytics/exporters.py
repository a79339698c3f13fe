"""
The OpenTelemetry exporters for mParticle Analytics: log records and span events become events of users.

`export()` maps and keeps, and never touches a socket; sending is delivery's. Both exporters of one project
share one destination. Concurrency: any thread may call anything, at any time, also during and after shutdown.
"""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.metrics import MeterProvider
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel_vendor_exporters.delivery.outlet import Outlet, Seen, ThroughOutlet
from otel_vendor_exporters.delivery.self_metrics import check_meter_provider
from otel_vendor_exporters.delivery.shared import give_back
from otel_vendor_exporters.mparticle_analytics.client import Destination, destination_for
from otel_vendor_exporters.mparticle_analytics.mapping import EventMapping, Mapped
from otel_vendor_exporters.mparticle_analytics.settings import AnalyticsSettings
from otel_vendor_exporters.settings import internal_metrics_enabled


class MParticleAnalyticsLogExporter(ThroughOutlet, LogRecordExporter):
    """Sends log records as events. Settings are keywords; see `AnalyticsSettings`."""

    def __init__(self, *, meter_provider: MeterProvider | None = None, **settings: object) -> None:
        """Raise ConfigurationError for settings that are wrong or missing; does not connect."""
        read = AnalyticsSettings.read(**settings)
        component = "mparticle_analytics_log_exporter"
        check_meter_provider(meter_provider)
        self._destination = destination_for(read)
        try:
            self._outlet = _outlet(read, self._destination, component, "log", meter_provider)
            self._mapping = EventMapping(read, self._destination.users)
        except BaseException:
            give_back(self._destination, read.timeout)
            raise

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Keep the records that are events; SUCCESS when all of them are kept."""
        kept = self._outlet.export(
            len(batch), lambda seen: _keep(self._destination, self._mapped(batch), seen)
        )
        return LogRecordExportResult.SUCCESS if kept else LogRecordExportResult.FAILURE

    def _mapped(self, records: Sequence[ReadableLogRecord]) -> Mapped:
        return self._mapping.events_from_logs(records, self._destination.project.process_user)


class MParticleAnalyticsSpanExporter(ThroughOutlet, SpanExporter):
    """Sends the events of spans. Settings are keywords; see `AnalyticsSettings`."""

    def __init__(self, *, meter_provider: MeterProvider | None = None, **settings: object) -> None:
        """Raise ConfigurationError for settings that are wrong or missing; does not connect."""
        read = AnalyticsSettings.read(**settings)
        component = "mparticle_analytics_span_exporter"
        check_meter_provider(meter_provider)
        self._destination = destination_for(read)
        try:
            self._outlet = _outlet(read, self._destination, component, "span", meter_provider)
            self._mapping = EventMapping(read, self._destination.users)
        except BaseException:
            give_back(self._destination, read.timeout)
            raise

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Keep the events of the spans; SUCCESS when all of them are kept."""
        kept = self._outlet.export(
            len(spans), lambda seen: _keep(self._destination, self._mapped(spans), seen)
        )
        return SpanExportResult.SUCCESS if kept else SpanExportResult.FAILURE

    def _mapped(self, spans: Sequence[ReadableSpan]) -> Mapped:
        return self._mapping.events_from_spans(spans, self._destination.project.process_user)


def _outlet(
    settings: AnalyticsSettings,
    destination: Destination,
    component: str,
    record: str,
    meter_provider: MeterProvider | None,
) -> Outlet:
    return Outlet(
        destination,
        vendor="mparticle_analytics",
        component=component,
        record=record,
        timeout_seconds=settings.timeout,
        meter_provider=meter_provider,
        internal_metrics=internal_metrics_enabled(),
    )


def _keep(destination: Destination, mapped: Mapped, seen: Seen) -> bool:
    destination.project.tell_of_ids(mapped.ignored["unusable_user_id"])
    seen(mapped.records, mapped.ignored, mapped.left_out)
    return not mapped.units or destination.keep(mapped.units)
