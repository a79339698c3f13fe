"""The end of a delivery over real HTTP: what waits is sent or counted, and every deadline is kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from tests.delivery.fakes import UNAVAILABLE, FakeClock, Log, NumbersServer, Ways, first
from tests.delivery.loopback import GUARD_SECONDS, HANG, Answer


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
    with NumbersServer(lambda numbers: Answer(401)) as server:
        way = ways(server.url, clock=clock)
        way.keep(range(3))
        server.until_received(1)
        clock.until_somebody_waits(30, 60)
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


@pytest.mark.flaky(reruns=2)
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
