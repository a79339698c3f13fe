"""
mPulse: asks for the app's configuration, as the exporters do, and reads everything off the answer.

No beacon is sent: mPulse answers 204 to any, and would count it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from otel_vendor_exporters.doctor.definitions import code_findings, list_finding, setting_findings
from otel_vendor_exporters.doctor.faults import guarded
from otel_vendor_exporters.doctor.network import Exchange, clock_findings, unreachable, way_findings
from otel_vendor_exporters.doctor.report import Finding, Level
from otel_vendor_exporters.doctor.spool import spool_findings
from otel_vendor_exporters.doctor.vendor import Tools, Vendor
from otel_vendor_exporters.mpulse.app_config import AppConfig, Problem, config_request, read_answer
from otel_vendor_exporters.mpulse.client import disk_for
from otel_vendor_exporters.mpulse.definitions import Definitions
from otel_vendor_exporters.mpulse.settings import ENVIRONMENT_PREFIX, USER_AGENT, MPulseSettings

# Words of agents that are no browsers and that bot filters know; mPulse's own list is not published.
BOT_WORDS = ("bot", "crawl", "curl", "go-http-client", "java/", "python-", "scrapy", "spider", "wget")
_REFUSALS = (400, 401, 403, 404)


def examine(settings: MPulseSettings, tools: Tools) -> Iterator[Finding]:
    """The findings of one mPulse app."""
    yield from user_agent_findings(settings.user_agent)
    yield from guarded("spool", lambda: spool_findings(disk_for(settings)))
    network = tools.network
    request = config_request(settings, None, network.clock.unix_ms())
    exchange = network.ask(request, settings)
    yield from guarded("network", lambda: way_findings(exchange, settings.timeout))
    yield from guarded("clock", lambda: clock_findings(exchange))
    if exchange.reply.failure is not None or 300 <= exchange.reply.status < 400:
        return
    now, now_unix_ms = network.clock.monotonic(), exchange.came_unix_ms
    answer = read_answer(exchange.reply, settings, None, asked_at=now, now_unix_ms=now_unix_ms)
    if isinstance(answer, Problem):
        yield _refused(answer, exchange, settings, tools)
        return
    yield from _accepted(answer, settings)
    yield from guarded("names", lambda: _names(answer.definitions, settings, tools))
    yield from guarded("network", lambda: [collector_finding(answer, settings)])


def user_agent_findings(user_agent: str) -> Iterator[Finding]:
    """Whether a bot filter may take us for one of its own; pure."""
    words = [word for word in BOT_WORDS if word in user_agent.lower()]
    if words:
        sentence = (
            f"user_agent is {user_agent!r}, and {words[0]!r} in it looks like a bot: apps that do not "
            "include bot beacons (mPulse UI, Configure Web App) may refuse it; choose another"
        )
        yield Finding(Level.WARNING, "user agent", "looks_like_bot", sentence)


def collector_finding(config: AppConfig, settings: MPulseSettings) -> Finding:
    """Whether beacons have a way: they go to another host than the configuration comes from."""
    host = urlsplit(config.beacon_url).hostname
    obstacle = unreachable(config.beacon_url, settings)
    if obstacle is None:
        return Finding(Level.OK, "network", "collector_reached", f"beacons go to {host}, which connects")
    sentence = (
        f"beacons go to {host}, and no connection there comes about ({obstacle}): let a firewall pass it; "
        "mPulse's collectors are below akstat.io and mpstat.us"
    )
    return Finding(Level.ERROR, "network", "collector_unreachable", sentence, {"host": host})


def _names(definitions: Definitions, settings: MPulseSettings, tools: Tools) -> Iterator[Finding]:
    yield list_finding(definitions)
    yield from setting_findings(settings, definitions)
    if tools.code is not None:
        yield from code_findings(tools.code, settings, definitions)


def _accepted(config: AppConfig, settings: MPulseSettings) -> Iterator[Finding]:
    sentence = f"mPulse knows api_key and {'rest_secret' if settings.rest_secret else 'domain'}"
    yield Finding(Level.OK, "credentials", "accepted", sentence, {"domain": config.domain})
    for warning in config.warnings:
        yield Finding(Level.WARNING, "configuration", "odd", warning)


def _refused(problem: Problem, exchange: Exchange, settings: MPulseSettings, tools: Tools) -> Finding:
    """Why there is no configuration: the words of the vendor, and whose fault it is."""
    status, details = exchange.reply.status, {"status": exchange.reply.status}
    if status == 420 or _is_rate_limited(exchange):
        sentence = f"{problem.words}: nothing is sent until it says otherwise; see max_beacons_per_hour"
        return Finding(Level.ERROR, "credentials", "rate_limited", sentence, details)
    if status == 429:
        sentence = "mPulse limits the rate of requests just now (HTTP 429): wait a minute, and ask again"
        return Finding(Level.ERROR, "credentials", "rate_limited", sentence, details)
    if status in _REFUSALS and _is_agents_fault(settings, tools):
        sentence = (
            f"mPulse refuses user_agent {settings.user_agent!r} (HTTP {status}), and takes the default, "
            f"{USER_AGENT!r}: unset it, or tick Include Bot Beacons in mPulse"
        )
        return Finding(Level.ERROR, "user agent", "refused", sentence, details)
    is_refusal = problem.stop or status in _REFUSALS
    if is_refusal:
        return Finding(Level.ERROR, "credentials", "refused", problem.words, details)
    return Finding(Level.ERROR, "configuration", "unusable", problem.words, details)


def _is_agents_fault(settings: MPulseSettings, tools: Tools) -> bool:
    """Whether the same question with the default agent is answered."""
    if settings.user_agent == USER_AGENT:
        return False
    as_default = replace(settings, user_agent=USER_AGENT)
    request = config_request(as_default, None, tools.network.clock.unix_ms())
    return tools.network.ask(request, settings).reply.status == 200


def _is_rate_limited(exchange: Exchange) -> bool:
    try:
        answer: Any = json.loads(exchange.reply.body)  # Any: whatever came
    except ValueError:
        return False
    return isinstance(answer, Mapping) and answer.get("rate_limited") not in (None, False)


VENDOR = Vendor("mpulse", ENVIRONMENT_PREFIX, MPulseSettings, examine)
