"""One custom event to mParticle: a batch of one user to the Events API, or a pixel."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from otel_vendor_exporters.delivery.clock import Clock
from otel_vendor_exporters.delivery.notices import Notices
from otel_vendor_exporters.delivery.request import Item
from otel_vendor_exporters.mparticle.batching import seal_batch
from otel_vendor_exporters.mparticle.events import CustomEvent
from otel_vendor_exporters.mparticle.feed import Feed, PixelFeed, item_of, new_id, pixel_rules
from otel_vendor_exporters.mparticle.pixel import PixelEvent, query_of, shortened
from otel_vendor_exporters.mparticle.settings import MParticleSettings
from otel_vendor_exporters.mparticle.units import SealedBatch
from otel_vendor_exporters.mparticle.user import UserIdentities
from otel_vendor_exporters.mparticle.wire import Batch
from otel_vendor_exporters.send.passage import Recorder, Sent, passed

_logger = logging.getLogger(__name__)


def event(given: Mapping[str, Any]) -> Sent:  # Any: arguments of the command line
    """One custom event of one user. Raises ConfigurationError or EncodingError."""
    settings, clock = MParticleSettings.read(transport="events"), Clock()
    batch = Batch(
        environment=settings.environment,  # type: ignore[arg-type]  # one of its choices
        source_request_id=new_id(),
        user_identities=UserIdentities(customer_id=given["user"]),
        events=[
            CustomEvent(
                event_name=given["name"],
                custom_event_type="other",
                timestamp_unixtime_ms=clock.unix_ms(),
                source_message_id=new_id(),
                custom_attributes=dict(given["attribute"]) or None,
            )
        ],
    )
    (sealed,) = seal_batch(batch, new_id).batches
    feed = Feed(settings, Notices(_logger, clock))
    return _sent(feed, sealed, settings)


def pixel(given: Mapping[str, Any]) -> Sent:  # Any: arguments of the command line
    """One custom event of one user, as a pixel. Raises ConfigurationError or EncodingError."""
    settings = MParticleSettings.read(transport="pixel")
    room, commas = pixel_rules(settings)
    event = PixelEvent(
        message_type="AppEvent",
        environment=settings.environment,  # type: ignore[arg-type]  # one of its choices
        event_name=given["name"],
        custom_event_type="other",
        timestamp_unixtime_ms=Clock().unix_ms(),
        user_identities=UserIdentities(customer_id=given["user"]),
        custom_attributes=dict(given["attribute"]) or None,
    )
    short, lost = shortened(event, room, commas)
    if lost:
        _logger.warning("left out: %d attributes, for which the pixel has no room", lost)
    sealed = SealedBatch(query_of(short, commas).encode("ascii"), new_id(), 1, None, None)
    return _sent(PixelFeed(settings), sealed, settings)


def _sent(feed: Feed | PixelFeed, sealed: SealedBatch, settings: MParticleSettings) -> Sent:
    def item() -> Item[SealedBatch]:
        return item_of(sealed, None, None)

    secret = settings.api_secret.reveal() if settings.api_secret else ""
    return passed(feed, item, Recorder(), settings.timeout, [secret])
