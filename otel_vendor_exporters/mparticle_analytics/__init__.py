"""
mParticle Analytics (formerly Indicative): log records and span events become events of users.

    exporters ──▶ mapping ──▶ units ──▶ delivery ──▶ packing ──▶ wire ──▶ Analytics
                  (context, properties, users)      project: key, suppressed users, answers
"""

from otel_vendor_exporters.mparticle_analytics.client import AnalyticsClient, Removal
from otel_vendor_exporters.mparticle_analytics.exporters import (
    MParticleAnalyticsLogExporter,
    MParticleAnalyticsSpanExporter,
)
from otel_vendor_exporters.mparticle_analytics.settings import AnalyticsSettings
from otel_vendor_exporters.mparticle_analytics.wire import AnalyticsEvent

__all__ = [
    "AnalyticsClient",
    "AnalyticsEvent",
    "AnalyticsSettings",
    "MParticleAnalyticsLogExporter",
    "MParticleAnalyticsSpanExporter",
    "Removal",
]
