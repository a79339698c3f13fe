"""
mParticle: asks with an array of no batches, which needs credentials and stores nothing.

The pixel has no such question: whatever it answers, it has counted an event.
"""

from __future__ import annotations

from collections.abc import Iterator

from otel_vendor_exporters.delivery.request import Reply, Request
from otel_vendor_exporters.doctor.faults import guarded
from otel_vendor_exporters.doctor.network import clock_findings, way_findings
from otel_vendor_exporters.doctor.report import Finding, Level
from otel_vendor_exporters.doctor.spool import spool_findings
from otel_vendor_exporters.doctor.vendor import Tools, Vendor
from otel_vendor_exporters.mparticle.client import disk_for
from otel_vendor_exporters.mparticle.settings import ENVIRONMENT_PREFIX, MParticleSettings
from otel_vendor_exporters.mparticle.wire import BULK_EVENTS_PATH, authorization, bulk_body

# "HTTP API": 401 header missing, 403 key or secret invalid. A 400 comes after the credentials.
_READ = (200, 202, 400)


def examine(settings: MParticleSettings, tools: Tools) -> Iterator[Finding]:
    """The findings of one mParticle input."""
    yield from guarded("spool", lambda: spool_findings(disk_for(settings, settings.transport)))
    yield from user_agent_findings(settings.user_agent)
    exchange = tools.network.ask(question(settings), settings)
    yield from guarded("network", lambda: way_findings(exchange, settings.timeout))
    yield from guarded("clock", lambda: clock_findings(exchange))
    if exchange.reply.failure is None and not 300 <= exchange.reply.status < 400:
        yield answer_finding(exchange.reply, settings)


def question(settings: MParticleSettings) -> Request:
    """A request that mParticle counts as nothing."""
    agent = {} if settings.user_agent is None else {"User-Agent": settings.user_agent}
    if settings.transport == "pixel" or settings.api_secret is None:
        return Request("GET", settings.resolved_base_url + "/", agent)
    headers = {
        "Authorization": authorization(settings.api_key or "", settings.api_secret.reveal()),
        "Content-Type": "application/json",
        "Accept": "application/json",
        **agent,
    }
    return Request("POST", settings.resolved_base_url + BULK_EVENTS_PATH, headers, bulk_body(()))


def answer_finding(reply: Reply, settings: MParticleSettings) -> Finding:
    """What the answer says of the credentials."""
    status, details = reply.status, {"status": reply.status}
    if settings.transport == "pixel":
        sentence = "the Pixel Service tells nobody whether web_api_key is right: try `send pixel`"
        return Finding(Level.INFO, "credentials", "not_checked", sentence, details)
    if status in _READ:
        return Finding(Level.OK, "credentials", "accepted", "mParticle takes api_key and api_secret", details)
    if status in (401, 403):
        pod = f"base_url is {settings.base_url}" if settings.base_url else f"pod is {settings.pod}"
        sentence = (
            f"mParticle refuses api_key and api_secret (HTTP {status}): check both, that they are of an "
            f"input for servers, and where the account's data lives ({pod})"
        )
        return Finding(Level.ERROR, "credentials", "refused", sentence, details)
    if status == 429:
        sentence = "mParticle limits the rate of this input just now (HTTP 429)"
        return Finding(Level.WARNING, "credentials", "rate_limited", sentence, details)
    address = settings.resolved_base_url
    if 400 <= status < 500:
        sentence = f"{address} answers HTTP {status}, which mParticle would not: check base_url"
        return Finding(Level.ERROR, "credentials", "not_mparticle", sentence, details)
    sentence = f"{address} answers HTTP {status}: mParticle is down, or not behind this address"
    return Finding(Level.ERROR, "credentials", "unavailable", sentence, details)


def user_agent_findings(user_agent: str | None) -> Iterator[Finding]:
    """MParticle has no bot filter; it takes the agent for the user's device. Pure."""
    if user_agent is not None:
        sentence = (
            f"user_agent is {user_agent!r}: mParticle takes it for the user's device wherever an event names "
            "none; unset it unless that is meant"
        )
        yield Finding(Level.WARNING, "user agent", "taken_for_device", sentence)


VENDOR = Vendor("mparticle", ENVIRONMENT_PREFIX, MParticleSettings, examine)
