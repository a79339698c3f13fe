"""What outlives the last user of a destination: its rate, and its pause."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest

from otel_vendor_exporters.delivery.clock import Clock
from otel_vendor_exporters.delivery.remembered import Standing, Standings
from otel_vendor_exporters.mparticle_analytics import AnalyticsClient, AnalyticsEvent
from tests.delivery.fakes import NumbersServer, Ways
from tests.delivery.loopback import GUARD_SECONDS, Answer, Loopback, Received, http

LEAVE_ME_ALONE = Answer(429, {"Retry-After": "600"})


def limited(requests: list[Received]) -> Loopback:
    """A vendor that wants to hear nothing for ten minutes."""

    def answer(request: Received) -> Answer:
        requests.append(request)
        return LEAVE_ME_ALONE

    return Loopback(http(answer))


def test_clients_one_after_the_other_keep_one_rate() -> None:
    """No second sees more events than the setting, however many clients bring them."""
    arrived: list[tuple[float, int]] = []
    lock = threading.Lock()

    def answer(request: Received) -> Answer:
        with lock:
            arrived.append((time.monotonic(), len(json.loads(request.body)["events"])))
        return Answer(200)

    with Loopback(http(answer)) as server:
        for number in range(5):
            url = server.url + "/service"
            with AnalyticsClient(api_key="KEYKEYKEY", base_url=url, events_per_second=20) as client:
                client.track_many([AnalyticsEvent("Bought", f"u{number}-{one}") for one in range(10)])

    assert sum(count for _, count in arrived) == 50
    most = max(sum(count for at, count in arrived if began <= at < began + 1) for began, _ in arrived)
    assert most <= 20


def test_clients_one_after_the_other_wait_as_the_vendor_asked() -> None:
    """Of five clients the first one asks, once; what the others have is dropped, and nobody is held up."""
    requests: list[Received] = []
    dropped = []
    with limited(requests) as server:
        began = time.monotonic()
        for number in range(5):
            with AnalyticsClient(api_key="KEYKEYKEY", base_url=server.url + "/service") as client:
                client.track(AnalyticsEvent("Bought", f"u{number}"))
            dropped.append(dict(client.ledger().dropped))

    assert (len(requests), dropped) == (1, [{"shutdown": 1}] * 5)
    assert time.monotonic() - began < 5


def test_other_settings_are_tried_at_once() -> None:
    """They may be what was wrong; the rate is the account's all the same."""
    requests: list[Received] = []
    with limited(requests) as server:
        for timeout in (5.0, 6.0):
            url = server.url + "/service"
            with AnalyticsClient(api_key="KEYKEYKEY", base_url=url, timeout=timeout) as client:
                client.track(AnalyticsEvent("Bought", "u"))

    assert len(requests) == 2


def test_what_waits_stays_on_the_disk_when_the_vendor_asks_to_wait(ways: Ways, tmp_path: Path) -> None:
    """The last try of a shutdown would come before the vendor's time."""
    with NumbersServer(lambda numbers: LEAVE_ME_ALONE) as server:
        way = ways(server.url, spool_dir=tmp_path)
        way.keep([1, 2])
        server.until_received(1)

        way.delivery.shutdown(5.0)

    assert (server.received, way.delivery.ledger.counts().handed_over) == ([[1, 2]], 2)


def test_a_shutdown_waits_as_long_as_the_vendor_asks_within_its_deadline(ways: Ways) -> None:
    """And then sends what waits."""
    answers = [Answer(429, {"Retry-After": "1"})]
    with NumbersServer(lambda numbers: answers.pop() if answers else None) as server:
        way = ways(server.url)
        began = time.monotonic()
        way.keep([1, 2])
        server.until_received(1)

        way.delivery.shutdown(GUARD_SECONDS)

    assert way.counts() == {"accepted": 2, "delivered": 2}
    assert 1.0 <= time.monotonic() - began < 5


@pytest.mark.parametrize("after_fork", [False, True])
def test_a_child_process_inherits_what_was_spent_and_no_pause(after_fork: bool) -> None:
    """The rate is the account's; what the parent waits for is the parent's."""
    standings, clock = Standings(), Clock()
    parents = standings.of("one", None, clock, 10)
    assert parents.rate is not None
    parents.rate.take(10, clock.monotonic())
    parents.rate.answered(10, clock.monotonic())
    parents.outage.failures = 3

    if after_fork:
        standings.renew_after_fork()
    following = standings.of("one", None, clock, 10)

    assert following.rate is not None
    assert following.rate.seconds_until(10, clock.monotonic()) > 0.5
    assert following.outage.failures == (0 if after_fork else 3)


def test_64_destinations_are_remembered() -> None:
    """The one that was opened longest ago makes room."""
    standings, clock = Standings(), Clock()
    made = [standings.of(number, None, clock, None) for number in range(64)]
    assert standings.of(0, None, clock, None) is made[0]

    standings.of(64, None, clock, None)

    assert standings.of(0, None, clock, None) is made[0]
    assert standings.of(1, None, clock, None) is not made[1]


def test_a_handler_that_comes_in_meanwhile_has_the_same_rate() -> None:
    """Two who open one destination inside one another get one standing, the one made first."""
    standings, clock = Standings(), Clock()
    handlers: list[Standing] = []

    def following(known: Standing | None) -> Standing:
        handlers.append(standings.of("a", (), clock, 5.0))
        return known or Standing((), clock, 5.0)

    ours = standings.next_of("a", following)

    assert [ours] == handlers
    assert standings.of("a", (), clock, 5.0) is ours
