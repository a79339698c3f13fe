"""Every setting of mPulse: what it takes, from where, and that a wrong value is named."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import trustme

from otel_vendor_exporters.errors import ConfigurationError
from otel_vendor_exporters.mpulse.settings import (
    ENVIRONMENT_PREFIX,
    USER_AGENT,
    MPulseSettings,
)
from otel_vendor_exporters.settings import Secret
from tests.mpulse.example import DOMAIN, KEY, settings

TEXTS: tuple[Any, ...] = ("", "   ", 5, True, b"x", ["x"], {})
NUMBERS: tuple[Any, ...] = ("", "many", True, float("nan"), float("inf"), [], {}, "1e999", 10**400)
PAIRS: tuple[Any, ...] = (
    "x",
    "=x",
    "x=",
    "{",
    "[]",
    '{"a": 1}',
    '{"a": ""}',
    '{"a":' * 100_000,
    5,
    ["a=b"],
    {"a": 1},
    {1: "a"},
)
SWITCHES: tuple[Any, ...] = ("", "yes", "1", 1, 0, [], "on")
URLS: tuple[Any, ...] = (
    *("http://c.go-mpulse.net/api/config.json", "ftp://h/config", "//h/config", "h/config", "https://h"),
    *("https:///config", "https://user:word@h/config", "https://h/config?key=1", "https://h/config#part"),
    *("https://h:0/config", "https://h:99999/config", "https://h:x/config", "https://h/a b", "https://h/\\"),
    *(
        "https://h/é",
        "https://h/a\nb",
        "https://[::1/config",
        "http://127.0.0.2/config",
        "http://h@127.0.0.1/c",
    ),
)


def numbers(*outside: Any) -> tuple[Any, ...]:
    return (*NUMBERS, *outside)


# Setting → values that are refused. None means "not given", and is no value.
BAD: Mapping[str, tuple[Any, ...]] = {
    "api_key": (*TEXTS, "a\nb", "a b", "a\udc80b", "a\0", "KÉY", "ключ"),
    "domain": (*TEXTS, "a\r\nb", "a b\n", "a\tb", "a\u00a0b", "\udcff", "a\0"),
    "config_url": (*TEXTS, *URLS),
    "rest_secret": (*TEXTS, "a\nb", "\udc80"),
    "user_agent": (*TEXTS, "a\nX-Header: b", "a\rb", "é", "a\0"),
    "timers": PAIRS,
    "metrics": PAIRS,
    "dimensions": PAIRS,
    "page_group": (*TEXTS, "✓", "///"),
    "ab_test": (*TEXTS, "x" * 26, "a/b", "é", "a\nb"),
    "spool_dir": TEXTS,
    "ca_file": (*TEXTS, "/no/such.pem", __file__),
    "client_certificate": (*TEXTS, "/no/such.pem"),
    "http_session": (*TEXTS, "requests.Session"),
    "proxy": (*TEXTS, "proxy.local:8080", "ftp://proxy", "http://:1", "http://h:x", "http://h\nx"),
    "session": (*TEXTS, "visitor", "Process"),
    "undefined": (*TEXTS, "keep", "Send", "send"),  # send: only to this machine
    "timeout": numbers(0, -1, 0.009, 3601, 1e10),
    "connections": numbers(0, 65, 1.5),
    "max_beacons_per_hour": numbers(0, 11, 12.5, -1),
    "processes": numbers(0, -1, 1.5),
    "max_age": numbers(0, 0.9, -1),
    "time_bucket": numbers(-0.1),
    "duplicates": (*TEXTS, "always"),
    "method": (*TEXTS, "GET", "put"),
    "max_url_length": numbers(499, 0, 500.5),
    "max_body_bytes": numbers(499, 0, 500.5),
    "max_timers": numbers(0, 1.5),
    "max_metrics": numbers(0, 1.5),
    "api_version": numbers(0, 3, 1.5),
    "rt_start": (*TEXTS, "navigation"),
    "http_initiator": SWITCHES,
    "sanitize": SWITCHES,
    "zero_metrics": SWITCHES,
    "negative_metrics": SWITCHES,
    "config_refresh": numbers(0.9, 591, 0),
    "config_retry": numbers(0, -1),
    "max_queue_items": numbers(0, 1.5),
    "max_queue_bytes": numbers(9_999, 0, 10_000.5),
}
NAMES = [field.name for field in dataclasses.fields(MPulseSettings)]
CASES = [pytest.param(name, value, id=f"{name}={value!r}") for name in NAMES for value in BAD[name]]


def test_every_setting_has_bad_values_here() -> None:
    """A new setting is added to the table."""
    assert sorted(BAD) == sorted(NAMES)


@pytest.mark.parametrize(("name", "value"), CASES)
def test_a_bad_value_is_named(name: str, value: Any) -> None:
    """The error names the setting and says what would be right; never a secret."""
    with pytest.raises(ConfigurationError) as caught:
        settings(**{name: value})

    message = str(caught.value)
    assert caught.value.setting == name
    assert message.startswith(name)
    assert "expected" in message or "cannot be sent" in message
    if name in ("rest_secret", "proxy") and isinstance(value, str) and value.strip():
        assert value not in message


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (name, value)
        for name in NAMES
        for value in BAD[name]
        if isinstance(value, str) and value.strip() and "\0" not in value
    ],
)
def test_a_bad_variable_is_named(name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same from the environment, where an empty variable counts as unset."""
    monkeypatch.setenv("OTEL_EXPORTER_MPULSE_API_KEY", KEY)
    monkeypatch.setenv("OTEL_EXPORTER_MPULSE_DOMAIN", DOMAIN)
    monkeypatch.setenv(f"OTEL_EXPORTER_MPULSE_{name.upper()}", text)

    with pytest.raises(ConfigurationError) as caught:
        MPulseSettings.read()

    assert caught.value.setting == name


@pytest.mark.parametrize(
    ("keywords", "name"),
    [
        ({}, "api_key"),
        ({"domain": "d"}, "api_key"),
        ({"api_key": "K"}, "domain"),
        ({"api_key": "K", "domain": "d", "domian": "d"}, "domian"),
        ({"api_key": "K", "domain": "d", "max_beacons_per_hour": 12, "processes": 13}, "processes"),
    ],
)
def test_what_is_missing_or_unknown_is_named(keywords: dict[str, Any], name: str) -> None:
    """Required settings, misspelt ones, and those that do not fit together."""
    with pytest.raises(ConfigurationError, match=name) as caught:
        MPulseSettings.read(**keywords)

    assert caught.value.setting == name


def certificate() -> str:
    """A certificate with its key, in a file."""
    path = Path(tempfile.mkdtemp(prefix="certificate")) / "shop.pem"
    trustme.CA().issue_cert("shop.example").private_key_and_cert_chain_pem.write_to_path(str(path))
    return str(path)


CERTIFICATE = certificate()
GOOD: Mapping[str, tuple[str, object]] = {  # a variable's text, and what it becomes
    "api_key": (" K1 ", "K1"),
    "domain": ("com.example.App", "com.example.App"),
    "config_url": ("http://127.0.0.1:8000/api/config.json", "http://127.0.0.1:8000/api/config.json"),
    "rest_secret": ("V5PD3", Secret("V5PD3")),
    "user_agent": ("Mozilla/5.0 (x)", "Mozilla/5.0 (x)"),
    "timers": ("GET /cart*=Cart,a=b=C", {"GET /cart*": "Cart", "a=b": "C"}),
    "metrics": ('{"shop.*": "Orders"}', {"shop.*": "Orders"}),
    "dimensions": ("geo.country = Country ,", {"geo.country": "Country"}),
    "page_group": ("My Page Group", "My Page Group"),
    "ab_test": ("AB Test 1", "AB Test 1"),
    "spool_dir": ("/var/spool/shop", "/var/spool/shop"),
    "ca_file": (CERTIFICATE, CERTIFICATE),
    "client_certificate": (CERTIFICATE, CERTIFICATE),
    "proxy": ("http://user:word@proxy.local:8080", Secret("http://user:word@proxy.local:8080")),
    "session": ("none", "none"),
    "timeout": ("0.5", 0.5),
    "connections": ("64", 64),
    "max_beacons_per_hour": ("12", 12),
    "processes": ("4", 4),
    "max_age": ("1", 1.0),
    "time_bucket": ("0", 0.0),
    "duplicates": ("allow", "allow"),
    "undefined": ("send", "send"),
    "method": ("post", "post"),
    "max_url_length": ("500", 500),
    "max_body_bytes": ("500", 500),
    "max_timers": ("1", 1),
    "max_metrics": ("1", 1),
    "api_version": ("2", 2),
    "rt_start": ("api", "api"),
    "http_initiator": ("FALSE", False),
    "sanitize": ("false", False),
    "zero_metrics": ("true", True),
    "negative_metrics": ("True", True),
    "config_refresh": ("590", 590.0),
    "config_retry": ("0.01", 0.01),
    "max_queue_items": ("1", 1),
    "max_queue_bytes": ("1e4", 10_000),
}


def test_every_setting_comes_from_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """OTEL_EXPORTER_MPULSE_<NAME> for each; a keyword goes before the variable."""
    for name, (text, _) in GOOD.items():
        monkeypatch.setenv(ENVIRONMENT_PREFIX + name.upper(), text)

    read = MPulseSettings.read(timeout=7)

    assert sorted(GOOD) == sorted({*NAMES} - {"http_session"})  # which only code can give
    assert {name: getattr(read, name) for name in GOOD} == {
        **{name: value for name, (_, value) in GOOD.items()},
        "timeout": 7.0,
    }


def test_defaults() -> None:
    """Key and domain are enough; the rest is the contract's safe choice (section 14)."""
    read = settings()

    assert read.resolved_config_url == "https://c.go-mpulse.net/api/config.json"
    assert settings(rest_secret="s").resolved_config_url == "https://c.go-mpulse.net/api/v2/config.json"
    assert read.user_agent == USER_AGENT
    assert (read.api_version, read.rt_start, read.http_initiator) == (1, "manual", True)
    assert (read.max_url_length, read.max_body_bytes, read.max_timers, read.max_metrics) == (
        2000,
        16384,
        10,
        10,
    )
    assert (read.max_age, read.duplicates, read.beacons_per_hour) == (600.0, "avoid", None)


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("http://127.0.0.1:1/c", True),
        ("http://localhost/c", True),
        ("http://[::1]:1/c", True),
        ("https://127.0.0.1/c", False),
        ("https://c.example/c", False),
    ],
)
def test_which_addresses_are_this_machines_sandbox(url: str, loopback: bool) -> None:
    """Plain http is taken only for this machine."""
    assert settings(config_url=url).loopback is loopback


def test_no_secret_is_printed() -> None:
    """The secret is in no repr; a password in a URL is in no message."""
    assert "V5PD3" not in repr(settings(rest_secret="V5PD3"))
    with pytest.raises(ConfigurationError) as caught:
        settings(config_url="https://user:hunter2@h/config")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", NAMES)
def test_users_of_one_app_must_agree(name: str) -> None:
    """Settings that concern the destination must not differ; how records are named and placed may."""
    other: dict[str, Any] = {name: object() if name == "http_session" else GOOD[name][1]}
    own = {"timers", "metrics", "dimensions", "page_group", "ab_test"}

    one = settings() if name == "config_url" else settings(config_url=GOOD["config_url"][1])

    conflict = one.conflict_with(dataclasses.replace(one, **other))

    assert conflict == (None if name in own else name)
    assert settings().conflict_with(settings()) is None
