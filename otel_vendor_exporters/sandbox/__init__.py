"""
The sandbox stands where the vendors stand, on this machine, and says what they would have thrown away.

    from otel_vendor_exporters.sandbox import Sandbox

    with Sandbox() as sandbox:
        ...  # run the application with sandbox.mpulse_settings, sandbox.mparticle_settings, …
        assert sandbox.received.timers == [("MyTimer", 10)]
        assert sandbox.received.mparticle.user(customer_id="u-1").events
        assert sandbox.received.mparticle_analytics.user("u-1").events
        assert not sandbox.received.findings

Written from the vendors' documents; imports nothing else of this package, so it cannot repeat our mistakes.
"""

from otel_vendor_exporters.sandbox.inbox import Counts, Finding, Inbox, Record
from otel_vendor_exporters.sandbox.mparticle.app import MParticleApp, MParticleSwitches
from otel_vendor_exporters.sandbox.mparticle.batches import (
    MParticleBatch,
    MParticleEvent,
    MParticlePixel,
    MParticleUpload,
    MParticleUser,
)
from otel_vendor_exporters.sandbox.mparticle.received import MParticleReceived
from otel_vendor_exporters.sandbox.mparticle_analytics.app import AnalyticsSwitches, MParticleAnalyticsApp
from otel_vendor_exporters.sandbox.mparticle_analytics.received import AnalyticsReceived
from otel_vendor_exporters.sandbox.mparticle_analytics.users import (
    AnalyticsCall,
    AnalyticsEvent,
    AnalyticsUser,
)
from otel_vendor_exporters.sandbox.mpulse.app import MPulseApp
from otel_vendor_exporters.sandbox.mpulse.beacons import Beacon, Dimension, Metric, Session, Timer
from otel_vendor_exporters.sandbox.mpulse.config import Switches
from otel_vendor_exporters.sandbox.received import Received
from otel_vendor_exporters.sandbox.server import Sandbox

__all__ = [
    "AnalyticsCall",
    "AnalyticsEvent",
    "AnalyticsReceived",
    "AnalyticsSwitches",
    "AnalyticsUser",
    "Beacon",
    "Counts",
    "Dimension",
    "Finding",
    "Inbox",
    "MParticleAnalyticsApp",
    "MParticleApp",
    "MParticleBatch",
    "MParticleEvent",
    "MParticlePixel",
    "MParticleReceived",
    "MParticleSwitches",
    "MParticleUpload",
    "MParticleUser",
    "MPulseApp",
    "Metric",
    "Received",
    "Record",
    "Sandbox",
    "Session",
    "Switches",
    "Timer",
]
