"""Faults that are ordered in advance come in order, to whom they are meant, and go with reset()."""

from __future__ import annotations

import json
import time
from http.client import RemoteDisconnected
from typing import Any

import pytest

from otel_vendor_exporters.sandbox import Sandbox
from tests.sandbox.wire import Wire, encoded

TIMER = {"t_other": "custom0|10"}


def beacon_status(wire: Wire) -> int:
    wire.always()
    return wire.ask("GET", f"{wire.beacon_path}?api=1").status


def test_the_default_is_one_503(sandbox: Sandbox, wire: Wire) -> None:
    """Once, to whatever comes; the vendor has not seen that request."""
    wire.learn()
    sandbox.answer_next()

    assert [beacon_status(wire), beacon_status(wire)] == [503, 204]
    faulty, good = sandbox.received.records[1:]
    assert (faulty.vendor, faulty.kind, faulty.status, faulty.accepted) == ("mpulse", "beacon", 503, False)
    assert len(sandbox.received.beacons) == 1
    assert good.status == 204


def test_status_headers_and_body_are_given_as_ordered(sandbox: Sandbox, wire: Wire) -> None:
    """429 with Retry-After and a text, twice."""
    sandbox.answer_next(429, times=2, headers={"Retry-After": "7", "X-Why": "much"}, body=b"too much")

    for _ in range(2):
        reply = wire.config()
        assert (reply.status, reply.body) == (429, b"too much")
        assert (reply.headers["retry-after"], reply.headers["x-why"]) == ("7", "much")
    assert wire.config().status == 200


@pytest.mark.parametrize("status", [200, 204, 301, 304, 400, 401, 413, 420, 429, 500, 502, 503, 599])
def test_any_status_can_be_ordered(sandbox: Sandbox, wire: Wire, status: int) -> None:
    """And the connection stays usable for the next request."""
    sandbox.answer_next(status, body=b"text", headers={"Location": "/"})
    pipeline = b"GET /config HTTP/1.1\r\nHost: x\r\n\r\n" * 2

    answers = wire.raw(pipeline)
    assert answers.startswith(f"HTTP/1.1 {status} ".encode())
    assert answers.count(b"HTTP/1.1 ") == 2
    assert (b"text" in answers) == (status not in (204, 304))


def test_faults_come_in_the_order_they_were_ordered(sandbox: Sandbox, wire: Wire) -> None:
    """500, 502 twice, 504, then the vendor."""
    for status, times in ((500, 1), (502, 2), (504, 1)):
        sandbox.answer_next(status, times=times)

    assert [wire.config().status for _ in range(5)] == [500, 502, 502, 504, 200]


def test_a_fault_waits_for_its_kind_of_request(sandbox: Sandbox, wire: Wire) -> None:
    """One for beacons lets configurations pass, and the other way round."""
    wire.learn()
    sandbox.answer_next(500, on="beacon")
    sandbox.answer_next(502, on="config")

    assert wire.config().status == 502
    assert wire.config().status == 200
    assert beacon_status(wire) == 500
    assert beacon_status(wire) == 204


def test_a_counted_fault_loses_only_the_answer(sandbox: Sandbox, wire: Wire) -> None:
    """The vendor counts the beacon though the client sees 503: a retry counts twice."""
    wire.learn()
    sandbox.answer_next(503, on="beacon", counted=True)
    target = f"{wire.beacon_path}?{encoded({**wire.always(), **TIMER})}"

    assert [wire.ask("GET", target).status for _ in range(2)] == [503, 204]
    assert sandbox.received.timers == [("MyTimer", 10), ("MyTimer", 10)]


@pytest.mark.parametrize(("kind", "error"), [("close", RemoteDisconnected), ("reset", ConnectionResetError)])
def test_a_connection_ends_without_an_answer(
    sandbox: Sandbox, wire: Wire, kind: str, error: type[Exception]
) -> None:
    """Closed or reset; the journal says status 0."""
    sandbox.answer_next(close=kind == "close", reset=kind == "reset")

    with pytest.raises(ConnectionError) as raised:
        wire.config()
    assert raised.type is error
    assert wire.last.status == 0
    assert not wire.last.accepted
    assert wire.config().status == 200


@pytest.mark.flaky(reruns=2)
def test_a_delay_holds_one_answer_and_nobody_else(sandbox: Sandbox, wire: Wire) -> None:
    """The delayed client waits that long, others are answered meanwhile."""
    sandbox.answer_next(204, delay_seconds=0.5)
    begun = time.monotonic()
    with wire.connect() as slow:
        slow.sendall(b"GET /config HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert sandbox.received.wait_for(lambda received: len(received.records) == 1)
        assert wire.config().status == 200
        assert time.monotonic() - begun < 0.5
        assert slow.recv(1000).startswith(b"HTTP/1.1 204 ")
    assert time.monotonic() - begun >= 0.5


@pytest.mark.flaky(reruns=2)
def test_stop_does_not_wait_for_a_delay(sandbox: Sandbox, wire: Wire) -> None:
    """An answer that is an hour away ends with the sandbox, without an answer."""
    sandbox.answer_next(204, delay_seconds=3600)
    with wire.connect() as slow:
        slow.sendall(b"GET /config HTTP/1.1\r\nHost: x\r\n\r\n")
        assert sandbox.received.wait_for(lambda received: len(received.records) == 1)
        begun = time.monotonic()
        sandbox.stop()
        assert time.monotonic() - begun < 1
        assert slow.recv(1000) == b""


WRONG: list[tuple[dict[str, Any], str]] = [  # Any: the values under test are of every type
    ({"status": 100}, "status=100 must be from 200 to 599"),
    ({"status": 600}, "status=600 must be from 200 to 599"),
    ({"times": 0}, "times=0 must be at least 1"),
    ({"on": "pixels"}, "on='pixels' is not a kind of request: choose one of any, config, beacon"),
    ({"delay_seconds": -1}, "delay_seconds must be 0 to 3600"),
    ({"delay_seconds": float("nan")}, "delay_seconds must be 0 to 3600"),
    ({"delay_seconds": 10**400}, "delay_seconds must be 0 to 3600"),
    ({"headers": {"X": "a\r\nSet-Cookie: b"}}, "a header may not hold a line break"),
    ({"headers": {"X\n": "a"}}, "a header may not hold a line break"),
    ({"headers": {"X": "✓"}}, "a header may only hold Latin-1 characters"),
]


@pytest.mark.parametrize(("order", "sentence"), WRONG)
def test_a_fault_that_could_not_be_given_is_refused(
    sandbox: Sandbox, wire: Wire, order: dict[str, Any], sentence: str
) -> None:
    """In code as a ValueError, from another process as a 400, in the same words; nothing is ordered."""
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - the whole text is compared below
        sandbox.answer_next(**order)
    reply = wire.ask("POST", "/sandbox/answer-next", json.dumps(order).encode())

    assert sentence in str(raised.value)
    assert (reply.status, reply.body.decode()) == (400, str(raised.value))
    assert wire.config().status == 200


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "Expecting property name"),
        (b"[]", "expected a JSON object"),
        (b'{"staus": 503}', "'staus' is not known: use status, times, headers"),
        (b'{"status": "503"}', "status must be of type int"),
        (b'{"times": true}', "times must be of type int"),
        (b'{"close": 1}', "close must be of type bool"),
        (b'{"delay_seconds": "1"}', "delay_seconds must be of type int or float"),
        (b'{"body": "\\ud800"}', "surrogates not allowed"),
        (b"\xff\xfe", ""),
        (b"[" * 100_000, ""),
        (b'{"status": ' + b"9" * 5000 + b"}", ""),
    ],
)
def test_a_badly_written_order_is_told(wire: Wire, body: bytes, said: str) -> None:
    """400 with a sentence, never a failure of the sandbox."""
    reply = wire.ask("POST", "/sandbox/answer-next", body)

    assert reply.status == 400
    assert said in reply.body.decode()


def test_other_processes_order_faults_and_reset(sandbox: Sandbox, wire: Wire) -> None:
    """The side API does what the object does."""
    order = {"status": 429, "times": 2, "on": "config", "headers": {"Retry-After": 3}, "body": "slow down"}
    assert wire.ask("POST", "/sandbox/answer-next", json.dumps(order).encode()).status == 204
    first = wire.config()

    assert (first.status, first.headers["retry-after"], first.body) == (429, "3", b"slow down")
    assert wire.ask("POST", "/sandbox/reset").status == 204
    assert wire.config().status == 200
    assert len(sandbox.received.records) == 1


def test_an_order_without_a_body_is_the_default(wire: Wire) -> None:
    """POST with nothing orders one 503."""
    assert wire.ask("POST", "/sandbox/answer-next").status == 204
    assert [wire.config().status, wire.config().status] == [503, 200]


def test_faults_are_bounded(sandbox: Sandbox) -> None:
    """Ten thousand may wait; times= needs one place for any number."""
    for _ in range(10_000):
        sandbox.answer_next()

    with pytest.raises(ValueError, match=r"more than 10000 faults are waiting: use times= or reset\(\)"):
        sandbox.answer_next()
    sandbox.reset()
    sandbox.answer_next(times=10**12)


def test_reset_forgets_what_came_and_what_was_ordered(sandbox: Sandbox, wire: Wire) -> None:
    """Journal, counts, faults and switches go; the crumb and the collector that clients hold stay good."""
    wire.beacon({"t_other": "custom9|1"})
    sandbox.answer_next(500, times=5)
    sandbox.reset()

    assert sandbox.received.records == ()
    wire_form: dict[str, Any] = sandbox.as_wire()  # Any: JSON
    assert not any(wire_form["requests"].values())
    assert wire_form["findings"] == []
    assert sandbox.mpulse.undefined == ()
    assert wire.beacon(TIMER).findings == ()
    assert sandbox.received.timers == [("MyTimer", 10)]
