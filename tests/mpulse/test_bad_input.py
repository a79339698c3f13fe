"""What bad input gets, over real HTTP: nothing is raised, nothing lost unseen, and it gets well by itself."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from otel_vendor_exporters.delivery.request import Receipt
from otel_vendor_exporters.mpulse import MPulseClient, Session
from otel_vendor_exporters.mpulse.client import destination_for
from otel_vendor_exporters.mpulse.settings import MPulseSettings
from otel_vendor_exporters.mpulse.units import Context, Timing
from otel_vendor_exporters.sandbox import MPulseApp, Sandbox
from otel_vendor_exporters.sandbox.mpulse.config import Switches
from tests.conftest import TIMERS, ForwardClock

WRONG_ANSWERS = {
    "rate_limited": "limits the rate of this app",
    "status_420": "limits the rate of this app (HTTP 420)",
    "message": "mPulse says: Domain is not a subdomain registered with this API Key",
    "server_error": "HTTP 503",
    "garbage": "not a JSON object",
    "html": "not a JSON object",
    "empty": "not a JSON object",
    "not_an_object": "not a JSON object",
    "huge": "longer than this library reads",
    "redirect": "HTTP 302",
    "slow": "no answer",
    "down": "no answer",
}


@pytest.mark.parametrize(("answer", "words"), WRONG_ANSWERS.items(), ids=WRONG_ANSWERS.keys())
def test_a_bad_first_configuration_keeps_everything_within_bounds(
    answer: str, words: str, clock: ForwardClock, caplog: pytest.LogCaptureFixture
) -> None:
    """C11: items wait, at most as many as may; one log line says why; then they go, without restart."""
    app = MPulseApp(timers=TIMERS, now=lambda: clock.unix_ms() / 1000)
    sandbox = Sandbox(mpulse=app).start()
    port = int(sandbox.url.rpartition(":")[2])
    chosen = MPulseSettings.read(**sandbox.mpulse_settings, timeout=0.5, max_queue_items=3)
    if answer == "slow":
        sandbox.answer_next(on="config", delay_seconds=0.7)
    elif answer == "down":
        sandbox.stop()
    else:
        app.switches = replace(Switches(), answer=answer)  # type: ignore[arg-type]  # one of Switches' words
    destination = destination_for(chosen, clock)

    for number in range(5):
        assert destination.keep([Timing("Checkout", number, clock.unix_ms(), Context())])
    assert not destination.delivery.flush(2)

    counts = destination.delivery.ledger.counts()
    (told,) = [record.getMessage() for record in caplog.records if "no configuration" in record.getMessage()]
    assert words in told
    assert counts.waiting == 3
    assert sum(counts.dropped.values()) == 2
    assert counts.balanced

    app.switches = Switches()
    if answer == "down":
        sandbox = Sandbox(mpulse=app, port=port).start()
    clock.forward(67)
    assert destination.delivery.flush(3)
    assert sorted(sandbox.received.timers) == [("Checkout", number) for number in (2, 3, 4)]
    assert sandbox.received.findings == ()
    destination.release(0.5)
    sandbox.stop()


# What a caller of MPulseClient may say wrong


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[MPulseClient]:
    with MPulseClient(**sandbox.mpulse_settings, timeout=3) as running:
        assert running.send_timer("Checkout", 0) == Receipt(delivered=1)  # the definitions are there
        yield running


@pytest.mark.parametrize("end_unix_ms", ["soon", True, float("nan"), -5, 10**18, b"1", [1]], ids=repr)
def test_a_time_that_is_none_is_refused(sandbox: Sandbox, client: MPulseClient, end_unix_ms: Any) -> None:
    """Text, seconds in nanoseconds, NaN: refused in the receipt, and not sent."""
    receipts = [
        client.send_timer("Checkout", 1, end_unix_ms=end_unix_ms),
        client.send_metric("Orders", 1, end_unix_ms=end_unix_ms),
    ]

    assert receipts == [Receipt(refused={"bad_time": 1})] * 2
    assert len(sandbox.received.beacons) == 1


@pytest.mark.parametrize(
    ("where", "left_out"),
    [
        ({"page_group": 5}, {"page_group": 1}),
        ({"page_group": "✓"}, {"page_group": 1}),
        ({"ab_test": ["a"]}, {"ab_test": 1}),
        ({"ab_test": "a/b"}, {"ab_test": 1}),
        ({"session": 5}, {"session": 1}),
        ({"session": Session(["x"], 1, 1)}, {"session": 1}),  # type: ignore[arg-type]  # what a caller may do
        ({"session": Session("s", [1], {})}, {}),  # type: ignore[arg-type]  # likewise
        ({"session": Session("s", -1, 1.5)}, {}),  # type: ignore[arg-type]  # likewise
        ({"dimensions": "Country"}, {"dimension": 1}),
        ({"dimensions": {1: 2, "nobody's": "x"}}, {"dimension": 2}),
        ({"dimensions": {"Country": [1], "Plan": float("nan")}}, {"dimension": 2}),
        ({"end_unix_ms": "now"}, {}),
    ],
)
def test_what_has_no_place_is_left_out_and_counted(
    sandbox: Sandbox,
    client: MPulseClient,
    clock: ForwardClock,
    where: dict[str, Any],
    left_out: dict[str, int],
) -> None:
    """The timer itself is sent, as a beacon mPulse takes, and the ledger tells what was left out."""
    if "end_unix_ms" in where:
        where = {"end_unix_ms": clock.unix_ms() + 0.5}  # as time.time() * 1000 has it

    assert client.send_timer("Checkout", 1, **where) == Receipt(delivered=1)

    assert client.ledger().left_out == left_out
    assert sandbox.received.timers == [("Checkout", 0), ("Checkout", 1)]
    assert sandbox.received.findings == ()


def test_one_callers_mistake_costs_nobody_else(
    sandbox: Sandbox, client: MPulseClient, caplog: pytest.LogCaptureFixture
) -> None:
    """What waits beside a bad call is delivered all the same, and no fault of ours is logged."""
    odd: Any = Session("s", [1], {"a": object()})  # type: ignore[arg-type]  # what a caller may do
    for number in range(20):
        client.send_timer("Checkout", number, timeout_seconds=0)
        client.send_timer("Search", number, timeout_seconds=0, session=odd)
    client.close()

    assert len(sandbox.received.timers) == 41
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_endless_undefined_names_are_told_in_few_words(
    sandbox: Sandbox, client: MPulseClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Names of a million characters make short log lines and do not stay in memory."""
    destination = destination_for(MPulseSettings.read(**sandbox.mpulse_settings, timeout=3))

    for number in range(30):
        destination.app.tell_undefined([f"{number}" + "x" * 1_000_000], "timer")
        destination.app.tell_undefined([f"{number}" + "x" * 1_000_000], "timer")

    assert len(caplog.records) == 30
    assert max(len(record.getMessage()) for record in caplog.records) < 300
    assert sum(len(name) for _, name in destination.app._lasting.undefined._told._told) < 10_000
    destination.release(0.5)
