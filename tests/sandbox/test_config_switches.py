"""mPulse's configuration answers go wrong in every way there is, when a switch says so."""

from __future__ import annotations

import json
from typing import get_args

import pytest

from otel_vendor_exporters.sandbox import Finding, Sandbox, Switches
from otel_vendor_exporters.sandbox.mpulse.config import ConfigAnswer
from tests.sandbox.wire import MovableTime, Wire, now_ms

KEY = "AAAAA-BBBBB-CCCCC-DDDDD-EEEEE"
WRONG_DOMAIN = {"message": "Domain is not a subdomain registered with this API Key"}
TIMER = {"t_other": "custom0|10"}


def test_a_full_answer_to_a_refresh_can_be_had(sandbox: Sandbox, wire: Wire) -> None:
    """By a switch; the session id is another one then (C4)."""
    first = wire.learn()
    sandbox.mpulse.switches = Switches(full_refresh=True)
    second = wire.config({"r": ""}).json

    assert second.keys() == first.keys()
    assert second["session_id"] != first["session_id"]


def test_a_change_reaches_clients_with_their_refresh(sandbox: Sandbox, wire: Wire) -> None:
    """C3, C9: a moved collector and a removed name make the refresh a full one; the old collector answers."""
    wire.learn()
    path = sandbox.mpulse.change_beacon_url()
    sandbox.mpulse.remove("Code Timer")
    answer = wire.config({"r": ""}).json

    assert answer["beacon_url"].endswith(path)
    assert [timer["name"] for timer in answer["PageParams"]["customTimers"]] == ["MyTimer"]
    assert wire.beacon({"t_other": "custom0|1,custom1|1"}).codes == ("unknown_timer:custom1",)
    assert wire.config({"r": "", "bcn": wire.learn()["beacon_url"]}).status == 200
    assert wire.beacon(TIMER).findings == ()


BAD_ANSWERS: dict[str, tuple[int, bytes | None]] = {
    "rate_limited": (200, None),
    "status_420": (420, b""),
    "message": (200, json.dumps(WRONG_DOMAIN).encode()),
    "server_error": (503, b"Service Unavailable"),
    "empty": (200, b""),
    "garbage": (200, b'{"h.key": \x00\xff'),
    "html": (200, b"<html><body>Please log in to the Wi-Fi</body></html>"),
    "not_an_object": (200, b'["h.key", "h.cr"]'),
    "redirect": (302, b""),
    "huge": (200, None),
}


def test_every_bad_answer_is_tested_here() -> None:
    """The table above is the list of switches."""
    assert {"normal", *BAD_ANSWERS} == set(get_args(ConfigAnswer))
    with pytest.raises(ValueError, match="answer='sideways': choose one of normal, rate_limited"):
        Switches(answer="sideways")  # type: ignore[arg-type]  # the mistake under test


@pytest.mark.parametrize(("kind", "expected"), BAD_ANSWERS.items())
def test_bad_answers(
    sandbox: Sandbox, wire: Wire, kind: ConfigAnswer, expected: tuple[int, bytes | None]
) -> None:
    """Each switch gives its answer to the first question and to a refresh, and goes with reset()."""
    sandbox.mpulse.switches = Switches(answer=kind)
    replies = [wire.config(), wire.config({"r": ""})]
    findings = sandbox.received.findings
    sandbox.reset()

    for reply in replies:
        assert reply.status == expected[0]
        assert expected[1] is None or reply.body == expected[1]
    assert findings == ()
    assert wire.config().json["h.key"] == KEY


def test_rate_limited_has_everything_but_the_collector(sandbox: Sandbox, wire: Wire) -> None:
    """C5: `rate_limited` and no `beacon_url`."""
    sandbox.mpulse.switches = Switches(answer="rate_limited")
    content = wire.config().json

    assert content["rate_limited"] is True
    assert "beacon_url" not in content
    assert content["PageParams"]["customTimers"]


def test_a_huge_answer_is_valid_and_huge(sandbox: Sandbox, wire: Wire) -> None:
    """Eight megabytes of JSON."""
    sandbox.mpulse.switches = Switches(answer="huge")
    reply = wire.config()

    assert len(reply.body) > 8_000_000
    assert reply.json["h.key"] == KEY


def test_a_redirect_that_is_followed_is_told(sandbox: Sandbox, wire: Wire) -> None:
    """It leads nowhere but here; who follows it carries key and domain to a stranger."""
    sandbox.mpulse.switches = Switches(answer="redirect")
    location = wire.config().headers["location"]
    reply = wire.ask("GET", f"{location}?key={KEY}")

    assert location.startswith("/")
    assert reply.status == 404
    sentence = "The redirect was followed: do not carry credentials to another address."
    assert wire.last.findings == (Finding("followed_redirect", "error", sentence),)


def test_clock_skew_is_seen_in_h_t_alone(sandbox: Sandbox, wire: Wire) -> None:
    """h.t says another time; the pair lives as long as any."""
    sandbox.mpulse.switches = Switches(clock_skew_seconds=3600)
    config = wire.learn()

    assert 3_590_000 < config["h.t"] - int(now_ms()) < 3_610_000
    assert wire.beacon(TIMER).findings == ()


def test_slow_and_short_lived_answers(sandbox: Sandbox, wire: Wire, moment: MovableTime) -> None:
    """slow_seconds delays, max_age_seconds stands in Cache-Control."""
    sandbox.mpulse.switches = Switches(slow_seconds=0.05, max_age_seconds=7)
    begun = now_ms()
    reply = wire.config()

    assert int(now_ms()) - int(begun) >= 50
    assert "max-age=7," in reply.headers["cache-control"]


@pytest.mark.parametrize("name", ["slow_seconds", "clock_skew_seconds"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e12])
def test_switches_that_could_not_work_are_refused(name: str, value: float) -> None:
    """A number the sandbox could not keep to is told where it is written."""
    with pytest.raises(ValueError, match=f"{name}=.* must be from"):
        Switches(**{name: value})  # type: ignore[arg-type]  # one float field or the other
