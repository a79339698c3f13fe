"""
The OpenTelemetry exporters for mParticle: log records, span events and spans become events of users.

`export()` maps, seals and keeps, and never touches a socket; sending is delivery's. Both exporters of one
input share one destination. Any thread may call anything, at any time, also during and after shutdown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from opentelemetry.metrics import MeterProvider
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel_vendor_exporters.delivery.outlet import Outlet, Seen, ThroughOutlet
from otel_vendor_exporters.delivery.self_metrics import check_meter_provider
from otel_vendor_exporters.delivery.shared import give_back
from otel_vendor_exporters.mparticle.batching import Sealed, seal
from otel_vendor_exporters.mparticle.client import destination_for
from otel_vendor_exporters.mparticle.feed import new_id, pixel_rules
from otel_vendor_exporters.mparticle.mapping import EventMapping, Mapped
from otel_vendor_exporters.mparticle.pixel import seal_pixels
from otel_vendor_exporters.mparticle.settings import MParticleSettings
from otel_vendor_exporters.settings import internal_metrics_enabled


class MParticleLogExporter(ThroughOutlet, LogRecordExporter):
    """Sends log records that are events or exceptions. Settings are keywords; see `MParticleSettings`."""

    def __init__(self, *, meter_provider: MeterProvider | None = None, **settings: object) -> None:
        """Raise ConfigurationError for settings that are wrong or missing; does not connect."""
        self._feeder = _Feeder(MParticleSettings.read(**settings), "log", meter_provider)
        self._outlet = self._feeder.outlet

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Keep the events of the records; SUCCESS when all of them are kept."""
        feeder = self._feeder
        kept = feeder.export(len(batch), lambda: feeder.mapping.from_logs(batch))
        return LogRecordExportResult.SUCCESS if kept else LogRecordExportResult.FAILURE


class MParticleSpanExporter(ThroughOutlet, SpanExporter):
    """Sends span events, and spans as far as settings ask for them. Settings: `MParticleSettings`."""

    def __init__(self, *, meter_provider: MeterProvider | None = None, **settings: object) -> None:
        """Raise ConfigurationError for settings that are wrong or missing; does not connect."""
        self._feeder = _Feeder(MParticleSettings.read(**settings), "span", meter_provider)
        self._outlet = self._feeder.outlet

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Keep the events of the spans; SUCCESS when all of them are kept."""
        feeder = self._feeder
        kept = feeder.export(len(spans), lambda: feeder.mapping.from_spans(spans))
        return SpanExportResult.SUCCESS if kept else SpanExportResult.FAILURE


class _Feeder:
    """What both exporters do alike: map, seal, keep."""

    def __init__(
        self, settings: MParticleSettings, record: str, meter_provider: MeterProvider | None
    ) -> None:
        check_meter_provider(meter_provider)
        self._destination = destination_for(settings, settings.transport)
        try:
            self._settings = settings
            self.mapping = EventMapping(settings, new_id, self._destination.clock.unix_ms)
            self.outlet = Outlet(
                self._destination,
                vendor="mparticle",
                component=f"mparticle_{record}_exporter",
                record=record,
                timeout_seconds=settings.timeout,
                meter_provider=meter_provider,
                internal_metrics=internal_metrics_enabled(),
            )
        except BaseException:
            give_back(self._destination, settings.timeout)
            raise

    def export(self, records: int, mapped: Callable[[], Mapped]) -> bool:
        """Whether everything that could be mapped is kept."""
        return self.outlet.export(records, lambda seen: self._keep(mapped(), seen))

    def _keep(self, mapped: Mapped, seen: Seen) -> bool:
        sealed = self._sealed(mapped)
        left = mapped.without(sealed.lost)
        seen(left.records, left.ignored, left.left_out + sealed.left_out)
        return not sealed.batches or self._destination.keep(sealed.batches)

    def _sealed(self, mapped: Mapped) -> Sealed:
        if self._settings.transport == "pixel":
            return seal_pixels(mapped.events, *pixel_rules(self._settings))
        return seal(mapped.events, new_id)
