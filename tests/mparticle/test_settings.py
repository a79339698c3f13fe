"""mParticle's settings: what is needed, what is refused, and how keywords and environment say the same."""

from __future__ import annotations

from typing import Any

import pytest

from otel_vendor_exporters.errors import ConfigurationError
from otel_vendor_exporters.mparticle.settings import (
    ENVIRONMENT_PREFIX,
    SCREENS,
    MParticleSettings,
    consents_of,
)

NEEDED = {"api_key": "key", "api_secret": "secret", "environment": "production"}


def test_three_settings_are_enough() -> None:
    """Key, secret and environment; the rest has safe defaults."""
    settings = MParticleSettings.read(**NEEDED)
    assert settings.resolved_base_url == "https://s2s.mparticle.com"
    assert (settings.transport, settings.anonymous, settings.plain_logs) == ("events", "drop", "drop")
    assert settings.batches_per_second_here == 270
    assert settings.max_age == 48 * 3600
    assert settings.screens == SCREENS
    assert settings.user_agent is None
    assert "secret'" not in repr(settings)


def test_the_environment_says_the_same_as_keywords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every setting is a flat text in the environment."""
    keywords: dict[str, Any] = {
        **NEEDED,
        "pod": "EU1",
        "anonymous": "customer_id=batch",
        "plain_logs": "breadcrumb",
        "identities": {"enduser.pseudo.id": "other_id_2", "user.email": "none"},
        "event_types": {"checkout.*": "transaction"},
        "screens": ["page", "screen"],
        "network_performance": True,
        "data_plan": "plan",
        "data_plan_version": 2,
        "consent": {"gdpr.analytics": "true;document:v4", "ccpa.data_sale_opt_out": "false"},
        "deny_attributes": ["secret.*"],
        "batches_per_second": 100,
    }
    texts = {
        **NEEDED,
        "pod": "EU1",
        "anonymous": "customer_id=batch",
        "plain_logs": "breadcrumb",
        "identities": "enduser.pseudo.id=other_id_2,user.email=none",
        "event_types": "checkout.*=transaction",
        "screens": "page, screen",
        "network_performance": "true",
        "data_plan": "plan",
        "data_plan_version": "2",
        "consent": "gdpr.analytics=true;document:v4,ccpa.data_sale_opt_out=false",
        "deny_attributes": "secret.*",
        "batches_per_second": "100",
    }
    for name, text in texts.items():
        monkeypatch.setenv(ENVIRONMENT_PREFIX + name.upper(), text)
    assert MParticleSettings.read() == MParticleSettings.read(**keywords)


def test_a_web_key_alone_is_for_the_pixel() -> None:
    """Which is not chosen silently: it carries less, and has no secret."""
    with pytest.raises(ConfigurationError, match="a web_api_key alone needs transport=pixel"):
        MParticleSettings.read(web_api_key="web-key")
    assert MParticleSettings.read(web_api_key="web-key", transport="pixel").transport == "pixel"


def test_consent_takes_true_and_false() -> None:
    """As YAML writes them, and as a consent is written on a record."""
    read = MParticleSettings.read(**NEEDED, consent={"gdpr.analytics": True})
    assert read == MParticleSettings.read(**NEEDED, consent="gdpr.analytics=true")


@pytest.mark.parametrize(
    ("pod", "url"),
    [
        ("US1", "https://s2s.mparticle.com"),
        ("US2", "https://s2s.us2.mparticle.com"),
        ("EU1", "https://s2s.eu1.mparticle.com"),
        ("AU1", "https://s2s.au1.mparticle.com"),
    ],
)
def test_a_pod_has_an_address(pod: str, url: str) -> None:
    """As "Data Hosting Locations" lists them; mParticle does not find the pod by the key."""
    assert MParticleSettings.read(**NEEDED, pod=pod).resolved_base_url == url


def test_the_pixel_needs_its_own_key_alone() -> None:
    """A Web input's key, and no secret."""
    settings = MParticleSettings.read(transport="pixel", web_api_key="web-key", environment="production")
    assert settings.resolved_base_url == "https://pixels.mparticle.com"


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"api_key": None}, "api_key"),
        ({"api_secret": None}, "api_secret"),
        ({"environment": "staging"}, "environment"),
        ({"transport": "pixel"}, "web_api_key"),
        ({"pod": "EU2"}, "pod"),
        ({"api_key": "a:b"}, "api_key"),
        ({"api_key": "a\nb"}, "api_key"),
        ({"user_agent": "é"}, "user_agent"),
        ({"base_url": "http://shop.example"}, "base_url"),
        ({"base_url": "https://user@s2s.mparticle.com"}, "base_url"),
        ({"anonymous": "keep"}, "anonymous"),
        ({"anonymous": "customerid=x"}, "anonymous"),
        ({"anonymous": "customer_id="}, "anonymous"),
        ({"identities": {"user.hash": "hash"}}, "identities"),
        ({"event_types": {"a": "Transaction"}}, "event_types"),
        ({"event_types": {"a": "attribution"}}, "event_types"),
        ({"spans": {"a": "attribution"}}, "spans"),
        ({"spans": {"a": "none"}}, "spans"),
        ({"consent": {"analytics": "true"}}, "consent"),
        ({"consent": {"ccpa.analytics": "true"}}, "consent"),
        ({"consent": {"gdpr.analytics": "yes"}}, "consent"),
        ({"consent": {"gdpr.analytics": "true;colour:red"}}, "consent"),
        ({"consent": {"gdpr.analytics": "true;timestamp_unixtime_ms:soon"}}, "consent"),
        ({"batches_per_second": -1}, "batches_per_second"),
        ({"proxy": "proxy.example:8080"}, "proxy"),
    ],
)
def test_what_is_wrong_is_named(changed: dict[str, Any], named: str) -> None:
    """A missing or wrong setting ends the construction, with its name."""
    with pytest.raises(ConfigurationError) as wrong:
        MParticleSettings.read(**{**NEEDED, **changed})
    assert wrong.value.setting == named
    assert "secret" not in str(wrong.value).replace("api_secret", "").replace("API_SECRET", "")


def test_consents_have_times_and_details() -> None:
    """A consent without a time is as old as the process; details follow the word."""
    details = "FALSE; document: v4 ;location:17 Cherry Tree Lane;timestamp_unixtime_ms:1523039002083"
    assert consents_of({"gdpr.My Purpose": details, "ccpa.data_sale_opt_out": True}, 7) == {
        "gdpr": {
            "My Purpose": {
                "consented": False,
                "timestamp_unixtime_ms": 1523039002083,
                "document": "v4",
                "location": "17 Cherry Tree Lane",
            }
        },
        "ccpa": {"data_sale_opt_out": {"consented": True, "timestamp_unixtime_ms": 7}},
    }


def test_the_rate_is_shared_and_can_be_switched_off() -> None:
    """Each of several processes takes its part; 0 is no limit."""
    assert MParticleSettings.read(**NEEDED, processes=3).batches_per_second_here == 90
    assert MParticleSettings.read(**NEEDED, batches_per_second=0).batches_per_second_here is None


def test_exporters_may_differ_in_what_their_records_are() -> None:
    """How records become events is each exporter's own; where they go is not."""
    one = MParticleSettings.read(**NEEDED)
    assert one.conflict_with(MParticleSettings.read(**NEEDED, plain_logs="breadcrumb")) is None
    assert one.conflict_with(MParticleSettings.read(**NEEDED, timeout=3)) == "timeout"


def test_the_sandbox_is_loopback() -> None:
    """Plain http is for this machine only."""
    assert MParticleSettings.read(**NEEDED, base_url="http://127.0.0.1:8080/").loopback
    assert not MParticleSettings.read(**NEEDED).loopback
