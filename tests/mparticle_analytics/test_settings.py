"""Settings of mParticle Analytics: keyword, else environment, else default."""

from __future__ import annotations

import pytest

from otel_vendor_exporters.errors import ConfigurationError
from otel_vendor_exporters.mparticle_analytics.settings import ENVIRONMENT_PREFIX, AnalyticsSettings
from otel_vendor_exporters.settings import Secret


def read(**keywords: object) -> AnalyticsSettings:
    return AnalyticsSettings.read(**{"api_key": "k", **keywords})


def test_a_key_is_all_that_is_needed() -> None:
    """Defaults are the documented host, eight connections, 250 events a second and 48 hours."""
    settings = read()

    assert settings.api_key == Secret("k")
    assert "'k'" not in repr(settings)
    assert settings.base_url == "https://api.indicative.com/service"
    assert (settings.connections, settings.events_per_second, settings.max_age) == (8, 250, 172_800)


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists are separated by commas, maps are pairs."""
    values = {
        "API_KEY": "from-outside",
        "KEY_IN": "path",
        "USER_ID_FROM": "customer, user.id,",
        "EVENT_NAMES": "shop.*=Shop: {name}",
    }
    for name, value in values.items():
        monkeypatch.setenv(ENVIRONMENT_PREFIX + name, value)

    settings = AnalyticsSettings.read(key_in="body")

    assert settings.api_key.reveal() == "from-outside"
    assert settings.key_in == "body"
    assert settings.user_id_from == ("customer", "user.id")
    assert settings.event_names == {"shop.*": "Shop: {name}"}


def test_lists_may_be_lists() -> None:
    """YAML and Python give lists; an empty one is a choice, too."""
    settings = read(user_id_from=["customer"], anonymous_id_from=[])

    assert (settings.user_id_from, settings.anonymous_id_from) == (("customer",), ())


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"key_in": "header"}, "key_in is 'header' .*: expected one of body, path"),
        ({"base_url": "http://api.indicative.com/service"}, "base_url .*: expected an https URL"),
        ({"base_url": "https://h/service/"}, "base_url .*: expected an https URL"),
        ({"base_url": "https://u:secret@h/service"}, r"base_url is '…@h/service': expected"),
        ({"base_url": "https://h:x"}, "base_url .*: expected an https URL"),
        ({"events_per_second": -1}, "events_per_second .*: expected at least 0"),
        ({"events_per_second": 4, "processes": 5}, "processes is 5: expected at most events_per_second, 4"),
        ({"max_batch_events": 101}, "max_batch_events .*: expected at most 100"),
        ({"user_agent": "a\nb"}, "user_agent .*: expected printable ASCII"),
        ({"api_key": "a\nb"}, "api_key holds characters that cannot be sent"),
        ({"anonymous_user": "x" * 256}, "anonymous_user has 256 characters: expected 1 to 255"),
        ({"user_id_from": ""}, "user_id_from is empty: expected attributes that hold the user's id"),
        ({"anonymous_id_from": "session"}, "anonymous_id_from names session, which user_id_from does not"),
        (
            {"event_names": {"a.": "x" * 256}},
            "event_names maps 'a.' to a name that has not 1 to 255 characters",
        ),
        ({"user_id_from": [1]}, 'user_id_from .*: expected a list of texts, or a text such as "one,other"'),
        ({"user_id": "x"}, "mparticle_analytics has no setting 'user_id': did you mean user_id_from"),
    ],
)
def test_what_is_wrong_is_named(keywords: dict[str, object], message: str) -> None:
    """The message names the setting and what would be right, and never shows a secret."""
    with pytest.raises(ConfigurationError, match=message) as raised:
        read(**keywords)

    assert "secret" not in str(raised.value)


def test_the_key_is_asked_for() -> None:
    """Without a key nothing can be sent."""
    with pytest.raises(
        ConfigurationError, match="api_key is missing: pass api_key= or set OTEL_EXPORTER_MPARTICLE"
    ):
        AnalyticsSettings.read()


def test_processes_share_the_rate() -> None:
    """Each takes its part; 0 is no limit."""
    assert read(processes=4).most_per_second == 62
    assert read(events_per_second=0).most_per_second is None


def test_what_two_users_of_a_project_must_agree_on() -> None:
    """Limits are the vendor's; what records become is each exporter's own matter."""
    assert read().conflict_with(read(connections=2)) == "connections"
    assert read().conflict_with(read(plain_logs="send", event_names={"a": "b"})) is None
