"""What vendors' answers mean to the doctor, status by status, and what is seen on the way to a collector."""

from __future__ import annotations

import socket

import pytest

from otel_vendor_exporters.delivery.request import Reply
from otel_vendor_exporters.doctor import mparticle, mparticle_analytics, mpulse
from otel_vendor_exporters.mparticle.settings import MParticleSettings
from otel_vendor_exporters.mparticle_analytics.settings import AnalyticsSettings
from otel_vendor_exporters.mpulse.app_config import AppConfig
from otel_vendor_exporters.mpulse.definitions import Definitions
from otel_vendor_exporters.mpulse.settings import MPulseSettings
from otel_vendor_exporters.settings import Secret


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (202, "accepted"),
        (400, "accepted"),  # the credentials come first
        (401, "refused"),
        (403, "refused"),
        (404, "not_mparticle"),
        (429, "rate_limited"),
        (503, "unavailable"),
    ],
)
def test_mparticles_answers(status: int, code: str) -> None:
    """401 and 403 are the credentials; what mParticle never says is an address that is not its own."""
    settings = MParticleSettings(api_key="k", api_secret=Secret("s"), environment="development")

    assert mparticle.answer_finding(Reply(status), settings).code == code


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (422, "accepted"),
        (200, "accepted"),
        (400, "refused"),
        (403, "refused"),
        (404, "not_analytics"),
        (429, "rate_limited"),
        (500, "unavailable"),
    ],
)
def test_analytics_answers(status: int, code: str) -> None:
    """422 is the refusal that the question asks for; 400 is the key."""
    settings = AnalyticsSettings(api_key=Secret("k"))

    assert mparticle_analytics.answer_finding(Reply(status), settings).code == code


@pytest.mark.parametrize(
    ("agent", "is_told"),
    [("curl/8", True), ("python-requests/2.34", True), ("MyBot", True), ("shop/1.0 (python/3.11)", False)],
)
def test_agents_that_look_like_bots(agent: str, *, is_told: bool) -> None:
    """The words that bot filters go by; our own default has none of them."""
    assert bool(list(mpulse.user_agent_findings(agent))) is is_told
    assert not list(mpulse.user_agent_findings(MPulseSettings(api_key="k", domain="d").user_agent))


def test_mparticles_user_agent() -> None:
    """It is no bot filter that reads it: mParticle takes it for the user's device."""
    assert [one.code for one in mparticle.user_agent_findings("shop/1.0")] == ["taken_for_device"]
    assert list(mparticle.user_agent_findings(None)) == []


def test_a_collector_that_cannot_be_reached() -> None:
    """A firewall that passes the configuration and not the beacons is found out before beacons are lost."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"https://127.0.0.1:{taken.getsockname()[1]}/"
    config = AppConfig(
        api_key="k",
        domain="d",
        beacon_url=url,
        beacon_url_as_given=url,
        crumb="c",
        crumb_unix_ms=1,
        crumb_expires_at=1.0,
        definitions=Definitions(),
    )
    finding = mpulse.collector_finding(config, MPulseSettings.read(api_key="k", domain="d", timeout=1))

    assert (finding.level.name, finding.code) == ("ERROR", "collector_unreachable")
    assert finding.sentence.startswith(
        "beacons go to 127.0.0.1, and no connection there comes about (Connection refused)"
    )
