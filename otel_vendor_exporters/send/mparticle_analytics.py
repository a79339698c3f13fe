"""
One event or call to mParticle Analytics.

Whom suppress and delete name, nothing more is told of by processes that share the spool folder, if there is
one; without it they go on, and Analytics ignores what they send.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from otel_vendor_exporters.delivery.clock import Clock
from otel_vendor_exporters.delivery.notices import Notices
from otel_vendor_exporters.delivery.request import Item
from otel_vendor_exporters.mparticle_analytics.client import merged_by, suppressed_by
from otel_vendor_exporters.mparticle_analytics.merges import Merges
from otel_vendor_exporters.mparticle_analytics.project import Project
from otel_vendor_exporters.mparticle_analytics.settings import AnalyticsSettings
from otel_vendor_exporters.mparticle_analytics.units import Unit
from otel_vendor_exporters.mparticle_analytics.users import Users
from otel_vendor_exporters.mparticle_analytics.wire import (
    Alias,
    AnalyticsEvent,
    Delete,
    Identify,
    Suppress,
)
from otel_vendor_exporters.send.passage import Recorder, Sent, passed

_logger = logging.getLogger(__name__)


def analytics_event(given: Mapping[str, Any]) -> Sent:  # Any: arguments of the command line
    """One event of one user. Raises ConfigurationError or EncodingError."""
    event = AnalyticsEvent(given["name"], given["user"], dict(given["property"]))
    return _sent(event.unit(Clock().unix_ms()))


def identify(given: Mapping[str, Any]) -> Sent:  # Any: arguments of the command line
    """Properties of a user. Raises ConfigurationError or EncodingError."""
    return _sent(Identify(given["user"], dict(given["property"])).unit())


def alias(given: Mapping[str, Any]) -> Sent:  # Any: arguments of the command line
    """Merge an anonymous id into a user's. Raises ConfigurationError or EncodingError."""
    return _sent(Alias(given["previous"], given["user"]).unit())


def suppress(given: Mapping[str, Any]) -> Sent:  # Any: arguments of the command line
    """Have Analytics ignore a user. Raises ConfigurationError or EncodingError."""
    return _sent(Suppress(given["user"]).unit(), silenced=given["user"])


def delete(given: Mapping[str, Any]) -> Sent:  # Any: arguments of the command line
    """Have Analytics delete a user's data. Raises ConfigurationError or EncodingError."""
    return _sent(Delete(given["user"]).unit(), silenced=given["user"])


def _sent(unit: Unit, silenced: str | None = None) -> Sent:
    settings, clock = AnalyticsSettings.read(), Clock()
    notices = Notices(_logger, clock)
    suppressed = suppressed_by(settings, notices)
    if silenced is not None:
        suppressed.add(silenced)  # first: nothing of theirs is to follow it
    merges = Merges(merged_by(settings, notices))
    project = Project(settings, Users(suppressed), suppressed, merges, notices, clock)

    def item() -> Item[Unit]:
        return Item(unit, len(unit.content))

    return passed(project, item, Recorder(), settings.timeout, [settings.api_key.reveal()])
