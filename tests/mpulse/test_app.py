"""The life of a configuration, over real HTTP and with a clock that is set forward: the contract's rows C."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from otel_vendor_exporters.mpulse.client import Destination, destination_for
from otel_vendor_exporters.mpulse.settings import MPulseSettings
from otel_vendor_exporters.mpulse.units import Context, Timing
from otel_vendor_exporters.sandbox import MPulseApp, Sandbox
from otel_vendor_exporters.sandbox.inbox import Record
from otel_vendor_exporters.sandbox.mpulse.config import Switches
from tests.conftest import DIMENSIONS, METRICS, TIMERS, ForwardClock

REFRESH = 301.0
MINUTE = 61.0
Send = Callable[..., bool]


@pytest.fixture
def sandbox(clock: ForwardClock) -> Iterator[Sandbox]:
    """A sandbox that lives by the same clock as the code under test."""
    app = MPulseApp(
        timers=TIMERS,
        metrics=METRICS,
        dimensions=DIMENSIONS,
        oldest_seconds=7200,
        now=lambda: clock.unix_ms() / 1000,
    )
    with Sandbox(mpulse=app) as running:
        yield running


@pytest.fixture
def destination(sandbox: Sandbox, clock: ForwardClock) -> Iterator[Destination]:
    settings = MPulseSettings.read(**sandbox.mpulse_settings, timeout=2, max_age=3600)
    shared = destination_for(settings, clock)
    yield shared
    shared.release(0.5)


@pytest.fixture
def send(destination: Destination, clock: ForwardClock) -> Send:
    """Keep one timing and say whether everything was delivered."""

    def one(name: str = "Checkout", seconds: float = 2.0) -> bool:
        destination.keep([Timing(name, 5, clock.unix_ms(), Context())])
        return destination.delivery.flush(seconds)

    return one


def configs(sandbox: Sandbox) -> list[dict[str, str]]:
    """The parameters of the configuration requests, in order."""
    return [dict(record.pairs) for record in sandbox.received.records if record.kind == "config"]


def beacons(sandbox: Sandbox) -> tuple[Record, ...]:
    return tuple(record for record in sandbox.received.records if record.kind == "beacon")


def switch(sandbox: Sandbox, **switches: object) -> None:
    sandbox.mpulse.switches = replace(Switches(), **switches)  # type: ignore[arg-type]  # as Switches says


def test_C1_first_request_and_refresh(
    sandbox: Sandbox, destination: Destination, clock: ForwardClock, send: Send
) -> None:
    """The first request has key and domain; five minutes later a refresh adds r and bcn."""
    assert configs(sandbox) == []
    assert send()
    clock.forward(REFRESH)
    assert send()

    key, domain = sandbox.mpulse.key, sandbox.mpulse.domain
    bcn = sandbox.url.removeprefix("http:") + beacons(sandbox)[0].path
    assert configs(sandbox) == [{"key": key, "d": domain}, {"key": key, "d": domain, "r": "", "bcn": bcn}]
    assert sandbox.received.findings == ()


def test_C2_a_refresh_with_a_crumb_only_keeps_the_rest(
    sandbox: Sandbox, destination: Destination, clock: ForwardClock, send: Send
) -> None:
    """A refresh that holds only the crumb keeps definitions and URL, and the new crumb is used."""
    assert send()
    before = destination.app.definitions
    clock.forward(REFRESH)
    assert send()

    first, second = (dict(beacon.pairs)["h.cr"] for beacon in beacons(sandbox))
    assert destination.app.definitions is before
    assert first != second
    assert sandbox.received.findings == ()


def test_C3_a_new_beacon_url_is_used_at_once(sandbox: Sandbox, clock: ForwardClock, send: Send) -> None:
    """A beacon_url that changes on refresh gets the next beacon."""
    assert send()
    path = sandbox.mpulse.change_beacon_url()
    clock.forward(REFRESH)
    assert send()

    assert beacons(sandbox)[1].path == path
    assert sandbox.received.findings == ()


def test_C4_the_session_outlives_refreshes(
    sandbox: Sandbox, destination: Destination, clock: ForwardClock
) -> None:
    """rt.si stays what it was, whatever session_id an answer holds."""
    for _ in range(2):
        context = Context(session=destination.app.process_session())
        destination.keep([Timing("Checkout", 5, clock.unix_ms(), context)])
        assert destination.delivery.flush(2)
        clock.forward(REFRESH)

    first, second = (dict(beacon.pairs)["rt.si"] for beacon in beacons(sandbox))
    assert first == second


@pytest.mark.parametrize("answer", ["rate_limited", "status_420"], ids=["C5", "C7"])
def test_C5_C7_a_limited_app_stops_and_resumes(
    sandbox: Sandbox, destination: Destination, clock: ForwardClock, send: Send, answer: str
) -> None:
    """Rate limiting on refresh stops beacons, keeps what waits, asks again, and resumes when it is over."""
    assert send()
    switch(sandbox, answer=answer)
    clock.forward(REFRESH)

    assert not send()
    assert len(beacons(sandbox)) == 1
    assert destination.delivery.ledger.counts().waiting == 1

    switch(sandbox)
    clock.forward(2 * MINUTE)
    assert send()
    assert len(sandbox.received.timers) == 3
    assert sandbox.received.findings == ()


@pytest.mark.parametrize(
    "answer", ["server_error", "garbage", "html", "empty", "not_an_object", "huge", "redirect"]
)
def test_C6_a_failed_refresh_does_not_stop_a_good_crumb(
    sandbox: Sandbox, clock: ForwardClock, send: Send, answer: str
) -> None:
    """After a failed refresh beacons go on with the old crumb until it is ten minutes old, then wait."""
    assert send()
    switch(sandbox, answer=answer)

    clock.forward(REFRESH)
    assert send()
    clock.forward(300)
    assert not send()
    assert len(beacons(sandbox)) == 2

    switch(sandbox)
    clock.forward(10 * MINUTE)
    assert send()
    assert len(sandbox.received.timers) == 4
    assert "crumb_expired" not in sandbox.received.codes


def test_C6_a_slow_refresh_is_a_failed_one(sandbox: Sandbox, clock: ForwardClock, send: Send) -> None:
    """A refresh that does not answer in time does not stop a good crumb."""
    assert send()
    sandbox.answer_next(on="config", delay_seconds=3)
    clock.forward(REFRESH)

    assert send(seconds=4)
    assert len(sandbox.received.timers) == 2


def test_C8_a_message_is_told_in_mpulses_words(
    sandbox: Sandbox, send: Send, caplog: pytest.LogCaptureFixture
) -> None:
    """C8, I4: an answer that is a message is an error with that text, and nothing is sent."""
    switch(sandbox, answer="message")

    assert not send()

    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert "Domain is not a subdomain registered with this API Key" in record.getMessage()
    assert "limit" not in record.getMessage()
    assert beacons(sandbox) == ()


def test_I4_an_error_answer_after_a_good_one_stops_sending(
    sandbox: Sandbox, clock: ForwardClock, send: Send
) -> None:
    """A message in place of a refresh stops beacons although the crumb is still good."""
    assert send()
    switch(sandbox, answer="message")
    clock.forward(REFRESH)

    assert not send()
    assert len(beacons(sandbox)) == 1


def test_C9_a_removed_definition_is_not_sent(
    sandbox: Sandbox,
    destination: Destination,
    clock: ForwardClock,
    send: Send,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A timer that was removed in mPulse is dropped with one line from the next refresh on."""
    assert send()
    sandbox.mpulse.remove("Checkout")
    clock.forward(REFRESH)
    assert send()

    assert len(beacons(sandbox)) == 1
    assert destination.delivery.ledger.counts().dropped == {"undefined": 1}
    assert "no such custom timer: 'Checkout'" in caplog.text


def test_C10_an_old_crumb_is_never_sent(sandbox: Sandbox, clock: ForwardClock, send: Send) -> None:
    """What was kept while no refresh succeeded goes with a fresh crumb, however long that took."""
    assert send()
    sandbox.answer_next(on="config", status=503, times=2)
    clock.forward(601)

    assert not send()
    clock.forward(5 * MINUTE)
    send()
    clock.forward(10 * MINUTE)
    assert send()

    assert "crumb_expired" not in sandbox.received.codes
    assert len(sandbox.received.timers) == 4


def test_C11_without_a_first_configuration_items_wait(
    sandbox: Sandbox,
    destination: Destination,
    clock: ForwardClock,
    send: Send,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A failed first configuration is one log line; items wait and go when it works, without restart."""
    sandbox.answer_next(on="config", status=500, times=2)

    assert not send()
    clock.forward(MINUTE * 1.2)
    assert not send()
    clock.forward(MINUTE * 2.4)
    assert send()

    assert len(sandbox.received.timers) == 3
    errors = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert [text for text in errors if "HTTP 500" in text] == errors
    assert len(errors) == 2  # one for each minute


def test_C12_an_error_on_a_beacon_is_tried_again(
    sandbox: Sandbox, destination: Destination, clock: ForwardClock, send: Send
) -> None:
    """HTTP 500 on a beacon crashes nothing; the beacon goes again, once."""
    sandbox.answer_next(on="beacon", status=500)
    assert send(seconds=5)

    assert len(sandbox.received.timers) == 1
    assert destination.delivery.ledger.counts().delivered == 1


def test_a_name_defined_later_is_picked_up(
    sandbox: Sandbox, destination: Destination, clock: ForwardClock, send: Send
) -> None:
    """Although nothing is sent, an export past the refresh time asks for the configuration again."""
    assert send()
    sandbox.mpulse.define(timers=("Checkout", "New timer"))
    clock.forward(REFRESH)
    assert destination.app.is_due

    destination.delivery.nudge()

    assert sandbox.received.wait_for(lambda _: len(configs(sandbox)) == 2)
    assert send("New timer")
    assert ("New timer", 5) in sandbox.received.timers


def test_the_wrong_key_is_told(
    clock: ForwardClock, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """A key mPulse does not know: one clear error naming what to check; nothing is raised."""
    settings = MPulseSettings.read(**{**sandbox.mpulse_settings, "api_key": "WRONG"}, timeout=2)
    destination = destination_for(settings, clock)

    destination.keep([Timing("Checkout", 5, clock.unix_ms(), Context())])

    assert not destination.delivery.flush(2)
    assert "check api_key" in caplog.text
    destination.release(0.5)


def test_a_lost_answer_is_not_sent_again(sandbox: Sandbox, destination: Destination, send: Send) -> None:
    """By default a beacon whose answer never came is dropped as ambiguous, and never counted twice."""
    assert send()
    sandbox.answer_next(on="beacon", close=True, counted=True)
    send()

    assert len(sandbox.received.timers) == 2
    assert destination.delivery.ledger.counts().dropped == {"ambiguous": 1}


def test_a_lost_answer_may_be_sent_again(sandbox: Sandbox, clock: ForwardClock) -> None:
    """With duplicates=allow it goes again."""
    settings = MPulseSettings.read(**sandbox.mpulse_settings, timeout=2, duplicates="allow")
    destination = destination_for(settings, clock)
    sandbox.answer_next(on="beacon", reset=True, counted=True)

    destination.keep([Timing("Checkout", 5, clock.unix_ms(), Context())])

    assert destination.delivery.flush(5)
    assert len(sandbox.received.timers) == 2
    destination.release(0.5)


def test_the_budget_is_kept(sandbox: Sandbox, clock: ForwardClock) -> None:
    """With 120 beacons an hour five go at once, then one each half minute, and five more at the end."""
    settings = MPulseSettings.read(**sandbox.mpulse_settings, max_beacons_per_hour=120, max_timers=1)
    destination = destination_for(settings, clock)
    now = clock.unix_ms()
    destination.keep([Timing("Checkout", number, now, Context()) for number in range(30)])

    assert not destination.delivery.flush(2)
    assert len(beacons(sandbox)) == 5

    clock.forward(32.5)
    assert sandbox.received.wait_for(lambda _: len(beacons(sandbox)) == 6)
    assert not sandbox.received.wait_for(lambda _: len(beacons(sandbox)) > 6, timeout=0.2)

    destination.release(2)
    assert len(beacons(sandbox)) == 11
