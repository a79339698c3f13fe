"""Delivery over real HTTP: keeping, sending, retrying, limits, and ending. Time is moved by hand."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from otel_vendor_exporters.delivery.policy import TokenBucket
from otel_vendor_exporters.delivery.request import (
    Item,
    Outcome,
    Parcel,
    Receipt,
    Reply,
    Request,
    Ticket,
    Verdict,
)
from otel_vendor_exporters.delivery.sender import Packed
from tests.delivery.fakes import FakeClock, FastClock, NumbersServer, Ways, always, units_of
from tests.delivery.loopback import GUARD_SECONDS, HANG, RESET, Answer

Log = pytest.LogCaptureFixture
UNAVAILABLE = Answer(503)


def first(*answers: Answer) -> Callable[[list[int]], Answer | None]:
    """Answers with these, one after the other, and then with 204."""
    left = list(answers)
    return lambda numbers: left.pop(0) if left else None


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


def test_a_caller_can_wait_for_its_own_items(ways: Ways) -> None:
    """The ticket's receipt counts this caller's items, whatever becomes of others."""
    with NumbersServer(lambda numbers: Answer(400) if 2 in numbers else None) as server:
        way = ways(server.url, per_parcel=1)
        ticket = Ticket(expected=3)
        way.keep([7, 8])
        way.keep([1, 2, 3], ticket)
        way.delivery.wait_for(ticket, 5)

    assert ticket.receipt() == Receipt(delivered=2, refused={"http_400": 1}, words=("HTTP 400",))


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


# Faults of the vendor's code


def raising(*args: object, **options: object) -> Any:
    raise RuntimeError("a bug")


@pytest.mark.parametrize("name", ["request", "judge"])
def test_a_callback_that_raises_costs_its_items_only(ways: Ways, name: str, caplog: Log) -> None:
    """What the faulty callback was called for is dropped and counted; the rest arrives; said once."""
    with NumbersServer() as server:
        way = ways(server.url, per_parcel=1)
        good = getattr(way.vendor, name)

        def sometimes(parcel: Parcel[int], *more: Any) -> Any:
            return raising() if parcel.items[0].unit < 3 else good(parcel, *more)

        way.vendor.use(**{name: sometimes})
        way.keep(range(6))
        way.delivery.shutdown(5)

    counts = way.counts()
    assert (counts["delivered"], counts["dropped"]) == (3, {"internal_error": 3})
    faults = [record for record in caplog.records if "a fault in this library" in record.message]
    assert len(faults) == 1
    assert "a bug" in caplog.text


def test_an_item_that_cannot_be_packed_is_found(ways: Ways) -> None:
    """One poisoned item costs itself, not its batch."""
    with NumbersServer() as server:
        way = ways(server.url)
        pack = way.vendor.pack
        way.vendor.use(pack=lambda items: raising() if 13 in units_of(items) else pack(items))
        way.keep(range(40))
        way.delivery.flush(5)

    assert sorted(server.numbers) == [number for number in range(40) if number != 13]
    assert way.counts()["dropped"] == {"internal_error": 1}


def test_a_vendor_that_cannot_prepare_does_not_spin(ways: Ways, clock: FakeClock, caplog: Log) -> None:
    """A `prepare` that always raises is called about once a second, said once, and nothing is lost."""
    way = ways("http://127.0.0.1:9", clock=clock)
    calls: list[float] = []

    def prepare(timeout_seconds: float, *, hurry: bool) -> float:
        calls.append(clock.monotonic())
        return float(raising())

    way.vendor.use(prepare=prepare)
    way.keep(range(5))
    for _ in range(5):
        clock.until_somebody_waits(0.5, 1.0)
        clock.advance(1.0)
    clock.until_somebody_waits(0.5, 1.0)

    assert len(calls) == 6
    assert way.counts()["waiting"] == 5
    assert len(caplog.records) == 1


def test_a_vendor_that_is_never_ready_does_not_spin(ways: Ways, clock: FakeClock) -> None:
    """A request that cannot be made although all is prepared is tried again after a moment, not at once."""
    way = ways("http://127.0.0.1:9", clock=clock)
    calls: list[float] = []

    def request(parcel: Parcel[int]) -> Request | None:
        calls.append(clock.monotonic())
        return None

    way.vendor.use(request=request)
    way.keep(range(5))
    for _ in range(3):
        clock.until_somebody_waits(0.01, 0.1)
        clock.advance(0.1)
    clock.until_somebody_waits(0.01, 0.1)

    assert len(calls) == 4
    assert way.counts()["waiting"] == 5


@pytest.mark.parametrize("name", ["judge", "pack"])
def test_items_a_vendor_forgets_are_counted(ways: Ways, name: str) -> None:
    """No item is in no column, even when our own code forgets it."""
    with NumbersServer() as server:
        way = ways(server.url)
        if name == "judge":
            way.vendor.use(judge=lambda parcel, reply: [Verdict(parcel.items[1:], Outcome.DELIVERED)])
        else:
            way.vendor.use(pack=lambda items: Packed([Parcel(items[1:], units_of(items[1:]))]))
        way.keep(range(4))
        way.delivery.flush(5)

    counts = way.counts()
    assert (counts["delivered"], counts["dropped"]) == (3, {"internal_error": 1})


def test_logging_may_come_back(ways: Ways) -> None:
    """A logging handler that keeps items in the same Delivery neither deadlocks nor loops."""

    class Ours(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            way.keep([1000])
            raise RuntimeError("and is broken")

    logger = logging.getLogger("otel_vendor_exporters.numbers")
    handler = Ours()
    with NumbersServer(lambda numbers: Answer(400) if 0 in numbers else None) as server:
        way = ways(server.url)
        logger.addHandler(handler)
        try:
            way.keep([0])
            received = server.until_received(2)
            flushed = way.delivery.flush(5)
        finally:
            logger.removeHandler(handler)

    assert (received, flushed) == ([[0], [1000]], True)


# Ending


def test_shutdown_sends_what_waits(ways: Ways) -> None:
    """Everything kept before shutdown arrives, and nothing is kept after it."""
    with NumbersServer() as server:
        way = ways(server.url)
        way.keep(range(25))
        way.delivery.shutdown(5)
        after = way.keep([99])

    assert (after, sorted(server.numbers)) == (False, list(range(25)))
    assert way.counts() == {"accepted": 25, "delivered": 25}


def test_shutdown_during_an_outage_tries_once(ways: Ways, clock: FakeClock, caplog: Log) -> None:
    """A pause is ended for one last try; then what is left is counted and told, without waiting longer."""
    with NumbersServer(lambda numbers: Answer(503, {"Retry-After": "300"})) as server:
        way = ways(server.url, clock=clock)
        way.keep(range(3))
        server.until_received(1)
        clock.until_somebody_waits(300, 300)
        way.delivery.shutdown(30)

    assert len(server.received) == 2
    assert way.counts() == {"accepted": 3, "dropped": {"shutdown": 3}}
    assert "numbers: shut down after 0 items delivered, refused {}, dropped {'shutdown': 3}" in caplog.text


def test_shutdown_does_not_try_again_for_an_answer_that_would_come_too_late(
    ways: Ways, clock: FakeClock
) -> None:
    """With a moment left after the pause nothing goes out: without an answer it would count as ambiguous."""

    def once_shutting_down(numbers: list[int]) -> Answer:
        while way.keep([]):
            time.sleep(0.005)
        return Answer(503, {"Retry-After": "2"})

    with NumbersServer(once_shutting_down) as server:
        way = ways(server.url, clock=clock, again=False)
        way.keep(range(3))
        way.delivery.shutdown(2.2)

    assert len(server.received) == 1
    assert way.counts() == {"accepted": 3, "dropped": {"shutdown": 3}}


def test_shutdown_keeps_its_deadline_and_tells_what_is_in_flight(ways: Ways, caplog: Log) -> None:
    """A vendor that hangs does not hold up the end; what was under way is in the last line."""
    with NumbersServer(lambda numbers: HANG) as server:
        way = ways(server.url, timeout_seconds=60, per_parcel=2)
        way.keep(range(6))
        server.until_received(1)
        began = time.monotonic()
        way.delivery.shutdown(0.3)
        took = time.monotonic() - began
        summary = caplog.messages[-1]

    assert took < 1.0
    text = (
        "numbers: shut down after 0 items delivered, refused {}, dropped {'shutdown': 4}, 2 still in flight"
    )
    assert summary == text


def test_shutdown_without_loss_says_nothing(ways: Ways, caplog: Log) -> None:
    """No news is good news."""
    with NumbersServer() as server:
        way = ways(server.url)
        way.keep(range(3))
        way.delivery.shutdown(5)

    assert caplog.messages == []


def test_two_shutdowns_at_once(ways: Ways) -> None:
    """Several threads may shut down; all return, and everything is counted once."""
    with NumbersServer() as server:
        way = ways(server.url, per_parcel=1)
        way.keep(range(50))
        threads = [threading.Thread(target=way.delivery.shutdown, args=(5,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(GUARD_SECONDS)
        way.delivery.shutdown(5)

    assert way.counts() == {"accepted": 50, "delivered": 50}
    assert len(server.received) == 50


def test_keeping_during_shutdown(ways: Ways) -> None:
    """Threads that keep while another shuts down: each item is either taken and settled, or turned away."""
    taken: list[int] = []
    with NumbersServer() as server:
        way = ways(server.url)
        ending = threading.Event()

        def keep(start: int) -> None:
            for number in range(start, start + 2000):
                if not way.keep([number]):
                    return
                taken.append(number)
                if number == start + 100:
                    ending.set()

        threads = [threading.Thread(target=keep, args=(10_000 * index,)) for index in range(4)]
        for thread in threads:
            thread.start()
        ending.wait(GUARD_SECONDS)
        way.delivery.shutdown(10)
        for thread in threads:
            thread.join(GUARD_SECONDS)

    assert sorted(server.numbers) == sorted(taken)
    assert way.counts() == {"accepted": len(taken), "delivered": len(taken)}


def test_shutdown_ends_the_wait_for_a_retry(ways: Ways, clock: FakeClock) -> None:
    """A sender that waits for its next try ends at once, and so does a flush."""
    with NumbersServer(first(UNAVAILABLE)) as server:
        way = ways(server.url, clock=clock)
        way.keep([1])
        server.until_received(1)
        clock.until_somebody_waits(0.0, 1.0)
        flushing = threading.Thread(target=way.delivery.flush, args=(3000,))
        flushing.start()
        clock.until_somebody_waits(2000, 3000)
        way.delivery.shutdown(5)
        flushing.join(GUARD_SECONDS)

    assert not flushing.is_alive()
    assert server.accepted == [[1]]


def test_a_thread_is_started_while_the_lock_is_free(ways: Ways, monkeypatch: pytest.MonkeyPatch) -> None:
    """A finalizer that runs in a new thread before its first line may send, too: nobody hangs."""
    plain, still_to_send = threading.Thread, [2]

    class Eager(threading.Thread):
        def start(self) -> None:
            if still_to_send:  # a second thread may be started
                finalizer = plain(target=way.keep, args=([still_to_send.pop()],))
                finalizer.start()
                finalizer.join(GUARD_SECONDS)
            super().start()

    with NumbersServer() as server:
        way = ways(server.url)
        began = time.monotonic()
        monkeypatch.setattr(threading, "Thread", Eager)
        way.keep([1])
        monkeypatch.setattr(threading, "Thread", plain)
        flushed = way.delivery.flush(5)
        took = time.monotonic() - began

    assert (flushed, sorted(server.numbers)) == (True, [1, 2])
    assert took < GUARD_SECONDS


def test_without_threads_the_caller_works(ways: Ways, monkeypatch: pytest.MonkeyPatch) -> None:
    """At interpreter exit no thread can be started: flush and shutdown send by themselves."""

    def cannot(self: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    with NumbersServer() as server:
        way = ways(server.url, per_parcel=2)
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", _only_loopback(cannot))
            way.keep(range(6))
            flushed = way.delivery.flush(5)
            way.keep(range(6, 9))
            way.delivery.shutdown(5)

    assert (flushed, sorted(server.numbers)) == (True, list(range(9)))


def _only_loopback(cannot: Callable[[threading.Thread], None]) -> Callable[[threading.Thread], None]:
    """The server of the test may start threads."""
    start = threading.Thread.start
    return lambda thread: start(thread) if thread.name == "loopback" else cannot(thread)


# Many


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


def test_a_judge_may_split_its_parcel(ways: Ways, clock: FakeClock) -> None:
    """One answer may deliver some, refuse some and let some wait; each ends in its column."""

    def judge(parcel: Parcel[int], reply: Reply) -> Sequence[Verdict[int]]:
        items = parcel.items
        if len(items) < 3:
            return [Verdict(items, Outcome.DELIVERED)]
        return [
            Verdict(items[:1], Outcome.DELIVERED),
            Verdict(items[1:2], Outcome.REFUSED, "bad"),
            Verdict(items[2:3], Outcome.DROPPED, "ambiguous"),
            Verdict(items[3:], Outcome.LATER, wait_seconds=5.0),
        ]

    with NumbersServer() as server:
        way = ways(server.url, clock=clock)
        way.vendor.use(judge=judge)
        way.keep(range(5))
        server.until_received(1)
        clock.until_somebody_waits(5, 5)
        clock.advance(5)
        way.delivery.flush(1)

    assert server.received == [[0, 1, 2, 3, 4], [3, 4]]
    assert way.counts() == {"accepted": 5, "delivered": 3, "refused": {"bad": 1}, "dropped": {"ambiguous": 1}}


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


def test_vendors_are_prepared_when_nudged(ways: Ways) -> None:
    """`nudge` calls `prepare` though nothing waits, once."""
    way = ways("http://127.0.0.1:9")
    prepared = threading.Event()
    calls: list[bool] = []

    def prepare(timeout_seconds: float, *, hurry: bool) -> float:
        calls.append(hurry)
        prepared.set()
        return 0.0

    way.vendor.use(prepare=prepare)
    way.delivery.nudge()

    assert prepared.wait(GUARD_SECONDS)
    way.delivery.shutdown(1)
    assert calls == [False]
