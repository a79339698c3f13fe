"""Losses are told in items: when they begin, once a minute while they go on, and when they are over."""

from __future__ import annotations

import logging

import pytest

from otel_vendor_exporters.delivery.losses import QUIET_SECONDS, Losses
from otel_vendor_exporters.delivery.notices import INTERVAL_SECONDS, Notices
from otel_vendor_exporters.delivery.request import Outcome
from tests.conftest import ForwardClock
from tests.delivery.fakes import FakeClock, Log, NumbersServer, Ways, always
from tests.delivery.loopback import GUARD_SECONDS, Answer
from tests.delivery.processes import wait_until

FULL = "queue_full"


@pytest.fixture
def notices(clock: FakeClock) -> Notices:
    return Notices(logging.getLogger("otel_vendor_exporters.numbers"), clock)


@pytest.fixture
def losses(notices: Notices) -> Losses:
    return Losses("numbers", notices)


def test_a_loss_is_told_when_it_begins_goes_on_and_ends(
    losses: Losses, notices: Notices, clock: FakeClock, caplog: Log
) -> None:
    """Items each time: the first ones, those since the last line, and all of them."""
    for _ in range(70):
        losses.add("dropped", FULL, 100)
        clock.advance(1.0)
    early = losses.seconds_until_over(clock.monotonic())
    losses.end(clock.monotonic())
    clock.advance(INTERVAL_SECONDS)
    losses.end(clock.monotonic())
    notices.tell()

    assert early == 50.0
    assert caplog.messages == [
        "numbers: 100 items dropped: queue full",
        "numbers: 6000 more items dropped: queue full",
        "numbers: no more items dropped (queue full): 7000 in all",
    ]
    assert losses.seconds_until_over(clock.monotonic()) is None


def test_the_end_comes_soon_after_the_last_item(
    losses: Losses, notices: Notices, clock: FakeClock, caplog: Log
) -> None:
    """But never within a minute of the last line."""
    losses.add("dropped", FULL, 1)
    clock.advance(INTERVAL_SECONDS - 1)
    losses.add("dropped", FULL, 1)

    assert losses.seconds_until_over(clock.monotonic()) == QUIET_SECONDS


def test_a_refusal_that_was_told_whole_has_no_end(
    losses: Losses, notices: Notices, clock: FakeClock, caplog: Log
) -> None:
    """What came beside it in the same minute is told, in items and once."""
    losses.add("refused", "http_400", 1, "HTTP 400")
    losses.add("refused", "http_422", 3, "HTTP 422")
    losses.add("refused", "http_422", 40, "HTTP 422: id")
    losses.end()
    notices.tell()

    assert caplog.messages == [
        "numbers: 1 items refused: HTTP 400",
        "numbers: 3 items refused: HTTP 422",
        "numbers: no more items refused (HTTP 422: id): 43 in all",
    ]


def test_a_bounded_number_of_losses_is_kept_apart(
    losses: Losses, notices: Notices, caplog: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest is told as over when another begins."""
    monkeypatch.setattr("otel_vendor_exporters.delivery.losses._MOST_LOSSES", 1)
    losses.add("refused", "one", 1)
    losses.add("refused", "one", 5)
    losses.add("refused", "two", 1)
    notices.tell()

    assert caplog.messages == [
        "numbers: 1 items refused: one",
        "numbers: no more items refused (one): 6 in all",
        "numbers: 1 items refused: two",
    ]


def test_an_idle_process_tells_that_its_queue_has_room_again(ways: Ways, caplog: Log) -> None:
    """A minute after the outage, with all items of it, though nothing is exported any more."""
    clock, answers = ForwardClock(), [Answer(503)]
    with NumbersServer(lambda numbers: answers.pop() if answers else None) as server:
        way = ways(server.url, clock=clock, max_items=1000)
        way.vendor.use(prepare=lambda timeout_seconds, hurry: 5.0)
        for start in range(0, 3000, 100):
            way.keep(range(start, start + 100))
        way.vendor.use(prepare=lambda timeout_seconds, hurry: 0.0)
        clock.forward(5)
        assert way.delivery.flush(GUARD_SECONDS)
        clock.forward(INTERVAL_SECONDS)
        wait_until(lambda: any("in all" in line for line in caplog.messages))

    assert [line for line in caplog.messages if "queue full" in line] == [
        "numbers: 100 items dropped: queue full",
        "numbers: no more items dropped (queue full): 2000 in all",
    ]


def test_a_shutdown_tells_what_was_not_told(ways: Ways, caplog: Log) -> None:
    """Five parcels that were refused one after the other are five items."""
    with NumbersServer() as server:
        way = ways(server.url, per_parcel=1)
        way.vendor.use(judge=always(Outcome.REFUSED, "http_400"))
        way.keep(range(5))
        way.delivery.shutdown(GUARD_SECONDS)

    assert caplog.messages == [
        "numbers: 1 items refused: http 400",
        "numbers: no more items refused (http 400): 5 in all",
        "numbers: shut down after 0 items delivered, refused {'http_400': 5}, dropped {}, 0 still in flight",
    ]
