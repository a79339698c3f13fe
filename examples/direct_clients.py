"""
How is one thing sent without OpenTelemetry, by a script or a job? By the clients; receipts tell the outcome.

    $ python examples/direct_clients.py
"""

import time

import otel_vendor_exporters.mparticle as mp
from otel_vendor_exporters.mparticle_analytics import AnalyticsClient, AnalyticsEvent
from otel_vendor_exporters.mpulse import MPulseClient

with MPulseClient() as mpulse:
    receipt = mpulse.send_timer("Checkout", 231.5, page_group="Cart", dimensions={"Country": "DE"})
    receipt.raise_for_losses()
    mpulse.send_metric("Revenue", 19.99).raise_for_losses()

now_ms = int(time.time() * 1000)
user = mp.UserIdentities(customer_id="u-1")

with mp.EventsClient() as events:
    signed_up = mp.CustomEvent(
        event_name="Signed up", custom_event_type="other", timestamp_unixtime_ms=now_ms
    )
    batch = mp.Batch(environment="production", user_identities=user, events=[signed_up])
    events.upload(batch).raise_for_losses()

with mp.PixelClient() as pixel:
    opened = mp.PixelEvent(
        message_type="AppEvent",
        event_name="Newsletter opened",
        timestamp_unixtime_ms=now_ms,
        environment="production",
        user_identities=user,
    )
    pixel.send(opened).raise_for_losses()

with AnalyticsClient() as analytics:
    analytics.track(AnalyticsEvent("Registration", "u-1", {"Age": 23})).raise_for_losses()
