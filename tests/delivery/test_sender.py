"""Delivery over real HTTP: keeping, flushing, retrying, and what replies do. Time is moved by hand."""

from __future__ import annotations

import logging
import threading
import time

import pytest

from otel_vendor_exporters.delivery.policy import TokenBucket
from otel_vendor_exporters.delivery.request import Item, Outcome, Receipt, Reply, Request, Ticket
from tests.delivery.fakes import (
    UNAVAILABLE,
    ClimbingClock,
    FakeClock,
    FastClock,
    Log,
    NumbersServer,
    Ways,
    always,
    first,
)
from tests.delivery.loopback import GUARD_SECONDS, HANG, RESET, Answer

# Keeping and flushing


def test_what_is_kept_arrives_in_order(ways: Ways) -> None:
    """Items are sent in the background, oldest first, each once."""
    with NumbersServer() as server:
        way = ways(server.url, per_parcel=3)
        kept = [way.keep(range(start, start + 5)) for start in (0, 5)]
        flushed = way.delivery.flush(5)

    assert (kept, flushed) == ([True, True], True)
    assert server.numbers == list(range(10))
    assert way.counts() == {"accepted": 10, "delivered": 10}


@pytest.mark.flaky(reruns=2)
def test_keeping_touches_no_socket(ways: Ways, monkeypatch: pytest.MonkeyPatch) -> None:
    """`keep` returns while the vendor hangs, and nothing of sending runs on its thread."""
    with NumbersServer(lambda numbers: HANG) as server:
        way = ways(server.url)
        threads: list[threading.Thread] = []
        send = way.transport.send

        def sending(request: Request, timeout_seconds: float) -> Reply:
            threads.append(threading.current_thread())
            return send(request, 0.2)

        monkeypatch.setattr(way.transport, "send", sending)
        way.keep(range(5))
        server.until_received(1)
        began = time.monotonic()
        for _ in range(100):
            way.keep(range(5))
        took = time.monotonic() - began

    assert took < 0.5
    assert threading.current_thread() not in threads


def test_flushing_nothing_is_done_at_once(ways: Ways) -> None:
    """Without items there is nothing to wait for, and no thread."""
    way = ways("http://127.0.0.1:9")
    before = threading.active_count()

    assert way.delivery.flush(0.0) is True
    assert threading.active_count() == before


def test_flush_keeps_its_deadline(ways: Ways, clock: FakeClock) -> None:
    """A vendor that does not answer holds nobody longer than asked."""
    with NumbersServer(lambda numbers: HANG) as server:
        way = ways(server.url, clock=clock)
        way.keep([1])
        result: list[bool] = []
        waiting = threading.Thread(target=lambda: result.append(way.delivery.flush(7.0)))
        waiting.start()
        server.until_received(1)
        clock.until_somebody_waits(6.9, 7.0)
        clock.advance(7.1)
        waiting.join(GUARD_SECONDS)

    assert result == [False]


def test_flush_does_not_wait_for_a_pause_that_outlasts_it(ways: Ways, clock: FakeClock) -> None:
    """When the vendor is not to be asked before the deadline, flush says so at once."""
    with NumbersServer(lambda numbers: Answer(503, {"Retry-After": "60"})) as server:
        way = ways(server.url, clock=clock)
        way.keep([1])

        flushed = way.delivery.flush(30.0)

    assert (flushed, way.counts()["waiting"]) == (False, 1)


@pytest.mark.parametrize("why", ["told to wait", "out of tokens"])
def test_flush_waits_for_what_is_under_way_when_a_pause_begins(ways: Ways, why: str) -> None:
    """The vendor is not to be asked again before the deadline; one that was asked before may still answer."""
    flushing = threading.Event()

    def answer(numbers: list[int]) -> Answer | None:
        if numbers == [1]:
            return Answer(503, {"Retry-After": "600"}) if why == "told to wait" else None
        assert flushing.wait(GUARD_SECONDS)
        return None

    with NumbersServer(answer) as server:
        rate = TokenBucket(0.001, 2.0) if why == "out of tokens" else None
        way = ways(server.url, connections=2, per_parcel=1, rate=rate)
        way.keep([0, 1, 2] if rate else [0, 1])
        while way.counts().get("in_flight", 0) != 1 or way.counts().get("waiting", 0) != 1:
            time.sleep(0.005)
        threading.Timer(0.2, flushing.set).start()
        began = time.monotonic()
        flushed = way.delivery.flush(GUARD_SECONDS)
        took = time.monotonic() - began

    assert (flushed, way.counts()["waiting"], took < GUARD_SECONDS / 2) == (False, 1, True)
    assert 0 in server.numbers


def test_flush_returns_once_the_rate_lets_nothing_go(ways: Ways) -> None:
    """It waits for what may go, and not for its deadline."""
    with NumbersServer() as server:
        way = ways(server.url, per_parcel=1, rate=TokenBucket(0.001, 2.0))
        began = time.monotonic()
        way.keep(range(3))
        flushed = way.delivery.flush(GUARD_SECONDS)
        took = time.monotonic() - began

    assert (flushed, server.numbers, took < GUARD_SECONDS / 2) == (False, [0, 1], True)


def test_a_caller_can_wait_for_its_own_items(ways: Ways) -> None:
    """The ticket's receipt counts this caller's items, whatever becomes of others."""
    with NumbersServer(lambda numbers: Answer(400) if 2 in numbers else None) as server:
        way = ways(server.url, per_parcel=1)
        ticket = Ticket(expected=3)
        way.keep([7, 8])
        way.keep([1, 2, 3], ticket)
        way.delivery.wait_for(ticket, 5)

    assert ticket.receipt() == Receipt(delivered=2, refused={"http_400": 1}, words=("HTTP 400",))


@pytest.mark.parametrize("outcome", [Outcome.DELIVERED, Outcome.REFUSED, Outcome.DROPPED])
def test_every_final_outcome_ends_the_wait(ways: Ways, outcome: Outcome) -> None:
    """A caller who waits for its ticket is woken whatever the end was."""
    with NumbersServer() as server:
        way = ways(server.url)
        way.vendor.use(judge=always(outcome, "why"))
        ticket = Ticket(expected=2)
        way.keep([1, 2], ticket)
        way.delivery.wait_for(ticket, GUARD_SECONDS)

    assert ticket.settled == 2


# Retrying


def test_tries_again_with_growing_pauses(ways: Ways, clock: FakeClock, caplog: Log) -> None:
    """A vendor that is down is asked again, later and later, until the items arrive; told once."""
    with NumbersServer(first(UNAVAILABLE, UNAVAILABLE, UNAVAILABLE)) as server:
        way = ways(server.url, clock=clock)
        way.keep([1, 2])
        pauses = []
        for failures in (1, 2, 3):
            server.until_received(failures)
            pauses.append(clock.until_somebody_waits(0.0, 2.0 ** (failures - 1)))
            clock.advance(2.0 ** (failures - 1))
        way.delivery.shutdown(1)

    assert server.accepted == [[1, 2]]
    assert len(server.received) == 4
    assert all(0 <= pause <= most for pause, most in zip(pauses, (1, 2, 4), strict=True))
    assert caplog.messages == [
        "numbers: not delivering (HTTP 503); what waits is kept and tried again",
        "numbers: delivering again",
    ]


@pytest.mark.parametrize("status", [429, 503])
def test_waits_exactly_as_long_as_the_vendor_asks(ways: Ways, clock: FakeClock, status: int) -> None:
    """Retry-After is kept to the second."""
    with NumbersServer(first(Answer(status, {"Retry-After": "30"}))) as server:
        way = ways(server.url, clock=clock)
        way.keep([1])
        server.until_received(1)
        clock.until_somebody_waits(30, 30)
        clock.advance(29.9)
        clock.until_somebody_waits(0.05, 0.15)
        early = len(server.received)
        clock.advance(0.11)
        way.delivery.flush(1)

    assert (early, server.accepted) == (1, [[1]])


def test_one_pause_for_all_connections_and_one_probe_after_it(ways: Ways, clock: FakeClock) -> None:
    """Four requests that fail together are one failure; after the pause one asks before the rest follow."""
    down = threading.Event()
    down.set()
    together = threading.Barrier(4)
    probing = threading.Event()
    let_probe_end = threading.Event()

    def answer(numbers: list[int]) -> Answer | None:
        if down.is_set():
            together.wait(GUARD_SECONDS)
            return UNAVAILABLE
        if not probing.is_set():
            probing.set()
            let_probe_end.wait(GUARD_SECONDS)
        return None

    with NumbersServer(answer) as server:
        way = ways(server.url, clock=clock, connections=4, per_parcel=1)
        way.keep(range(12))
        server.until_received(4)
        clock.until_somebody_waits(0.0, 1.0, threads=4)
        down.clear()
        clock.advance(1.0)
        server.until_received(5)
        probing.wait(GUARD_SECONDS)
        alone = len(server.received)
        let_probe_end.set()
        way.delivery.flush(1)

    assert alone == 5
    assert sorted(server.numbers) == list(range(12))
    assert len(server.received) == 16


def test_wrong_settings_are_probed_slowly(ways: Ways, clock: FakeClock, caplog: Log) -> None:
    """401 keeps the items and asks again after half a minute at the earliest; an error says so."""
    with NumbersServer(first(Answer(401))) as server:
        way = ways(server.url, clock=clock)
        way.keep([1])
        server.until_received(1)
        pause = clock.until_somebody_waits(30, 60)
        clock.advance(pause)
        way.delivery.shutdown(1)

    assert server.accepted == [[1]]
    assert caplog.record_tuples[0][1:] == (
        logging.ERROR,
        "numbers: not delivering (HTTP 401); what waits is kept and tried again",
    )


def test_a_vendor_out_of_reach_keeps_everything(ways: Ways, clock: FakeClock) -> None:
    """Nobody listens: items wait, and each new one does too."""
    with NumbersServer() as server:
        url = server.url
    way = ways(url, clock=clock)

    for number in range(100):
        way.keep([number])
        way.delivery.flush(0.0)
    clock.until_somebody_waits(0.0, 60.0)

    assert way.counts()["waiting"] == 100


def test_nothing_is_lost_against_a_flaky_server(ways: Ways) -> None:
    """20,000 items, a third of the requests failing in every way: all arrive, and the counts agree."""
    faults = [UNAVAILABLE, Answer(429, {"Retry-After": "1"}), RESET, Answer(500), Answer(408)]
    asked = iter(range(10**9))

    def answer(numbers: list[int]) -> Answer | None:
        if len(numbers) > 80 and numbers[0] % 3 == 0:
            return Answer(413)
        turn = next(asked)
        return faults[turn // 3 % len(faults)] if turn % 3 == 0 else None

    moments = []
    with NumbersServer(answer) as server:
        way = ways(server.url, clock=FastClock(), connections=4, per_parcel=100)
        for start in range(0, 20_000, 500):
            way.keep(range(start, start + 500))
            moments.append(way.delivery.ledger.counts().balanced)
        flushed = way.delivery.flush(FastClock.SPEED * GUARD_SECONDS)

    assert (flushed, all(moments)) == (True, True)
    assert sorted(server.numbers) == list(range(20_000))
    assert way.counts() == {"accepted": 20_000, "delivered": 20_000}


# What replies do to items


def test_too_large_is_sent_in_halves(ways: Ways) -> None:
    """413 divides until it fits, keeping the order; one item that is too large by itself is refused."""

    def answer(numbers: list[int]) -> Answer | None:
        return Answer(413) if len(numbers) > 2 or 5 in numbers else None

    with NumbersServer(answer) as server:
        way = ways(server.url, per_parcel=8)
        way.keep(range(8))
        way.delivery.flush(5)

    assert server.accepted == [[0, 1], [2, 3], [4], [6, 7]]
    assert way.counts() == {"accepted": 8, "delivered": 7, "refused": {"too_large": 1}}


def test_refused_items_are_not_sent_again(ways: Ways, caplog: Log) -> None:
    """400 is final, counted, and told with the vendor's words."""
    with NumbersServer(lambda numbers: Answer(400) if 0 in numbers else None) as server:
        way = ways(server.url, per_parcel=2)
        way.keep(range(4))
        way.delivery.flush(5)

    assert (len(server.received), server.accepted) == (2, [[2, 3]])
    assert way.counts()["refused"] == {"http_400": 2}
    way.delivery.shutdown(1)  # its threads have ended, so have their messages
    assert caplog.messages[0] == "numbers: 2 items refused: HTTP 400"


@pytest.mark.parametrize("again", [True, False])
def test_ambiguous_items_go_again_only_where_wanted(ways: Ways, again: bool) -> None:
    """A reset after sending: sent again, or dropped and counted as ambiguous."""
    with NumbersServer(first(RESET)) as server:
        way = ways(server.url, clock=FastClock(), again=again)
        way.keep([1])
        way.delivery.flush(1000)

    assert len(server.received) == (2 if again else 1)
    assert way.counts() == {
        "accepted": 1,
        **({"delivered": 1} if again else {"dropped": {"ambiguous": 1}}),
    }


def test_the_oldest_make_room(ways: Ways, clock: FakeClock, caplog: Log) -> None:
    """A full queue drops the oldest, counts them and says so."""
    way = ways("http://127.0.0.1:9", clock=clock, max_items=10)
    way.vendor.use(prepare=lambda timeout_seconds, hurry: 60.0)  # nothing leaves

    way.keep(range(100))
    counts = way.counts()
    way.delivery.shutdown(1)  # its threads have ended, so have their messages

    assert counts == {"accepted": 100, "waiting": 10, "dropped": {"queue_full": 90}}
    assert "numbers: 90 items dropped: queue full" in caplog.messages


def test_keeps_the_vendors_rate(ways: Ways, clock: FakeClock) -> None:
    """A burst goes at once; the rest follows as fast as the rate allows, and no faster."""
    with NumbersServer() as server:
        way = ways(server.url, clock=clock, per_parcel=1, rate=TokenBucket(2.0, 3.0))
        way.keep(range(5))
        server.until_received(3)
        first_wait = clock.until_somebody_waits(0.01, 0.5)
        at_once = len(server.received)
        clock.advance(0.5)
        server.until_received(4)
        clock.until_somebody_waits(0.01, 0.5)
        clock.advance(0.5)
        way.delivery.flush(1)

    assert (at_once, first_wait, server.accepted) == (3, 0.5, [[0], [1], [2], [3], [4]])


def test_what_the_rate_lets_go_meanwhile_is_not_slept_through(ways: Ways) -> None:
    """The wait may end between finding that there is one and asking how long: nobody would be woken."""
    with NumbersServer() as server:
        way = ways(server.url, clock=ClimbingClock(), per_parcel=1, rate=TokenBucket(20.0, 1.0))
        way.keep(range(30))
        flushed = way.delivery.flush(5)

    assert (flushed, server.numbers) == (True, list(range(30)))


@pytest.mark.parametrize("oldest_first", [True, False])
def test_expired_items_are_not_sent(ways: Ways, clock: FakeClock, oldest_first: bool) -> None:
    """What got too old while the vendor was down is dropped as expired, also behind what is fresher."""
    with NumbersServer(first(Answer(503, {"Retry-After": "30"}))) as server:
        way = ways(server.url, clock=clock)
        soon, late = clock.unix_ms() + 10_000, clock.unix_ms() + 60_000
        ages = (soon, late) if oldest_first else (late, soon)
        for start, age in zip((0, 3), ages, strict=True):
            way.delivery.keep([Item(start + place, 10, expires_at_unix_ms=age) for place in range(3)])
        server.until_received(1)
        clock.until_somebody_waits(30, 30)
        clock.advance(30)
        way.delivery.flush(1)

    assert server.numbers == ([3, 4, 5] if oldest_first else [0, 1, 2])
    assert way.counts()["dropped"] == {"expired": 3}
