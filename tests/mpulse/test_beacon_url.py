"""Where a configuration answer may send beacons: to https alone, but for the sandbox (section 10, row C3)."""

from __future__ import annotations

from typing import Any

import pytest

from otel_vendor_exporters.mpulse.app_config import Problem
from tests.mpulse.example import answer, config, read

SANDBOX = "http://127.0.0.1:9999/api/config.json"
REFUSED_URLS = [
    "http://17de4c15.akstat.io/",
    "ftp://h/",
    "javascript:alert(1)",
    "file:///etc/passwd",
    "h/beacon",
    "/beacon",
    "//",
    "https://",
    "https:///path",
    "//user:word@h/",
    "//h@evil.example/",
    "//h:0/",
    "//h:99999/",
    "//h:port/",
    "//[::1/",
    "//h/#part",
    "//h\\evil/",
    "//h/a b",
    "//h/\n",
    "//ä.example/",
    "//h/" + "a" * 1000,
    "http://127.0.0.1:8000/",
    5,
    True,
    ["//h/"],
    {"url": "//h/"},
]


@pytest.mark.parametrize("given", REFUSED_URLS, ids=repr)
def test_a_beacon_url_that_is_not_https_is_refused(given: Any) -> None:
    """Wherever else an answer points, nothing is sent there; also not on a refresh."""
    for current in (None, config()):
        found = read(answer(beacon_url=given), current)

        assert isinstance(found, Problem)
        assert "beacon_url that is no https URL" in found.words


@pytest.mark.parametrize(
    ("given", "config_url", "address"),
    [
        ("//127.0.0.1:9999/b/", SANDBOX, "http://127.0.0.1:9999/b/"),
        ("//localhost:9999/b/", SANDBOX, "http://localhost:9999/b/"),
        ("http://[::1]:9999/b/", SANDBOX, "http://[::1]:9999/b/"),
        ("//17de4c15.akstat.io/", SANDBOX, "https://17de4c15.akstat.io/"),
        ("//127.0.0.1:9999/b/", "https://127.0.0.1:9999/api/config.json", "https://127.0.0.1:9999/b/"),
        ("//127.0.0.1:9999/b/", None, "https://127.0.0.1:9999/b/"),
        ("http://17de4c15.akstat.io/", SANDBOX, None),
    ],
)
def test_only_the_sandbox_keeps_plain_http(given: str, config_url: str | None, address: str | None) -> None:
    """Protocol-relative is https, except for a loopback address told by a loopback http configuration."""
    found = read(answer(beacon_url=given), config_url=config_url)

    assert getattr(found, "beacon_url", None) == address


def test_C3_a_refresh_may_move_the_beacons() -> None:
    """A new beacon_url is used, and is what the next refresh reports."""
    after = config(config(), beacon_url="//moved.example/x?y=1")

    assert (after.beacon_url, after.beacon_url_as_given) == (
        "https://moved.example/x?y=1",
        "//moved.example/x?y=1",
    )
