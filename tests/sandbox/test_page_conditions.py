"""Conditions that the sandbox's page sets, over real HTTP: they last, and wrong ones are told."""

from __future__ import annotations

import json
from contextlib import closing
from http.client import HTTPConnection

import pytest

from otel_vendor_exporters.sandbox import Sandbox
from tests.sandbox.page_wire import ANALYTICS, JSON, track
from tests.sandbox.wire import Wire


@pytest.mark.parametrize(("condition", "status"), [("429", 429), ("503", 503), ("well", 200)])
def test_a_condition_lasts(sandbox: Sandbox, wire: Wire, condition: str, status: int) -> None:
    """Every request of that vendor is answered so, and no other vendor's, until somebody changes it."""
    order = json.dumps({"vendor": "mpulse", "condition": condition}).encode()
    assert wire.ask("POST", "/sandbox/condition", order).status == 204

    assert [wire.config().status for _ in range(3)] == [status] * 3
    track(wire)
    assert sandbox.received.mparticle_analytics.calls[-1].status == 200
    sandbox.reset()
    assert wire.config().status == 200


def test_down_drops_the_connection(sandbox: Sandbox, wire: Wire) -> None:
    """No answer at all; the request stands in the journal with status 0."""
    sandbox.become("mpulse", "down")

    with pytest.raises(OSError):  # noqa: PT011 - which one depends on the moment of the reset
        wire.config()

    assert wire.last.status == 0


def test_slow_takes_the_request(sandbox: Sandbox, wire: Wire) -> None:
    """The vendor sees the request as ever; only the answer is late."""
    sandbox.become("mparticle_analytics", "slow")
    body = json.dumps({"apiKey": sandbox.mparticle_analytics.api_key, **ANALYTICS})
    with closing(HTTPConnection(*wire.address, timeout=0.3)) as connection:
        connection.request("POST", "/service/event", body, JSON)
        with pytest.raises(TimeoutError):
            connection.getresponse()

    assert [event.name for event in sandbox.received.mparticle_analytics.events] == ["Paid"]


def test_conditions_of_mpulse_alone(sandbox: Sandbox, wire: Wire) -> None:
    """A rate-limited app says so in its configuration; an expired crumb is a finding on each beacon."""
    wire.learn()
    sandbox.become("mpulse", "rate_limited")
    limited = wire.config().json
    sandbox.become("mpulse", "crumb_expired")
    expired = wire.beacon({"t_other": "custom0|1"})
    sandbox.become("mpulse", "well")
    well = wire.beacon({"t_other": "custom0|1"})

    assert limited["rate_limited"] is True
    assert "crumb_expired" in expired.codes
    assert expired.timers == ()
    assert well.findings == ()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", 'expected {"vendor"'),
        (b"[]", 'expected {"vendor"'),
        (b"{", "Expecting property name"),
        (b'{"vendor": "mpulse", "condition": 503}', 'expected {"vendor"'),
        (b'{"vendor": "nobody", "condition": "503"}', "vendor='nobody': choose one of mpulse, mparticle"),
        (
            b'{"vendor": "mparticle", "condition": "crumb_expired"}',
            "choose one of well, 429, 503, slow, down",
        ),
    ],
)
def test_a_wrong_condition_is_told(wire: Wire, body: bytes, said: str) -> None:
    """400 and what would be right."""
    reply = wire.ask("POST", "/sandbox/condition", body)

    assert reply.status == 400
    assert said in reply.body.decode()
