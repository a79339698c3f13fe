"""
mParticle Analytics (formerly Indicative): log records and span events become events of users.

    exporters ──▶ mapping ──▶ units ──▶ delivery ──▶ packing ──▶ wire ──▶ Analytics
                  (context, properties, users)      answers ◀──────────────┘
"""

from otel_vendor_exporters.mparticle_analytics.settings import AnalyticsSettings
from otel_vendor_exporters.mparticle_analytics.wire import Alias, AnalyticsEvent, Delete, Identify, Suppress

__all__ = ["Alias", "AnalyticsEvent", "AnalyticsSettings", "Delete", "Identify", "Suppress"]
