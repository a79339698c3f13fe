"""
Akamai mPulse: spans become custom timers, metrics become custom metrics.

    exporters ──▶ mapping, metrics ──▶ units ──▶ delivery ──▶ packing ──▶ wire ──▶ mPulse
                  (contexts)                     client.App: configuration, crumb, verdicts
"""

from otel_vendor_exporters.mpulse.client import MPulseClient
from otel_vendor_exporters.mpulse.exporters import MPulseMetricExporter, MPulseSpanExporter
from otel_vendor_exporters.mpulse.settings import MPulseSettings
from otel_vendor_exporters.mpulse.units import Session

__all__ = ["MPulseClient", "MPulseMetricExporter", "MPulseSettings", "MPulseSpanExporter", "Session"]
