"""
mParticle Analytics: asks with an event that no project takes, because its name is too long.

"REST API": 422 is a field that violates a constraint, 400 a wrong key or malformed JSON; the probe is well
formed.
"""

from __future__ import annotations

from collections.abc import Iterator

from otel_vendor_exporters.delivery.request import Reply, Request
from otel_vendor_exporters.doctor.faults import guarded
from otel_vendor_exporters.doctor.network import clock_findings, way_findings
from otel_vendor_exporters.doctor.report import Finding, Level
from otel_vendor_exporters.doctor.spool import spool_findings
from otel_vendor_exporters.doctor.vendor import Tools, Vendor
from otel_vendor_exporters.mparticle_analytics.client import disk_for
from otel_vendor_exporters.mparticle_analytics.settings import ENVIRONMENT_PREFIX, AnalyticsSettings
from otel_vendor_exporters.mparticle_analytics.units import Kind, Unit
from otel_vendor_exporters.mparticle_analytics.wire import Address, event_content, quoted, request_for

TOO_LONG = "doctor " * 37  # 259 characters; 255 are allowed
_USER = "otel-vendor-exporters-doctor"


def examine(settings: AnalyticsSettings, tools: Tools) -> Iterator[Finding]:
    """The findings of one Analytics project."""
    yield from guarded("spool", lambda: spool_findings(disk_for(settings)))
    exchange = tools.network.ask(question(settings, tools.network.clock.unix_ms()), settings)
    yield from guarded("network", lambda: way_findings(exchange, settings.timeout))
    yield from guarded("clock", lambda: clock_findings(exchange))
    if exchange.reply.failure is None and not 300 <= exchange.reply.status < 400:
        yield answer_finding(exchange.reply, settings)


def question(settings: AnalyticsSettings, now_unix_ms: int) -> Request:
    """A well-formed event that Analytics refuses."""
    address = Address(settings.base_url, settings.api_key.reveal(), settings.key_in, settings.user_agent)
    content = event_content(quoted(TOO_LONG), _USER, "", now_unix_ms)
    return request_for([Unit(Kind.EVENT, (_USER,), content)], address)


def answer_finding(reply: Reply, settings: AnalyticsSettings) -> Finding:
    """What the answer says of the key."""
    status, details = reply.status, {"status": reply.status}
    if status in (200, 422):
        return Finding(Level.OK, "credentials", "accepted", "Analytics takes api_key", details)
    if status in (400, 401, 403):
        sentence = f"Analytics refuses api_key (HTTP {status}): check it in Analytics, Settings, Data Sources"
        return Finding(Level.ERROR, "credentials", "refused", sentence, details)
    if status == 429:
        sentence = "Analytics limits the rate of this project just now (HTTP 429)"
        return Finding(Level.WARNING, "credentials", "rate_limited", sentence, details)
    if status < 500:
        sentence = f"{settings.base_url} answers HTTP {status}, which Analytics would not: check base_url"
        return Finding(Level.ERROR, "credentials", "not_analytics", sentence, details)
    sentence = f"{settings.base_url} answers HTTP {status}: Analytics is down, or not behind this address"
    return Finding(Level.ERROR, "credentials", "unavailable", sentence, details)


VENDOR = Vendor("mparticle_analytics", ENVIRONMENT_PREFIX, AnalyticsSettings, examine)
