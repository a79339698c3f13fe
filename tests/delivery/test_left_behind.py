"""What another process left behind is sent: in order, once, and without holding up anybody."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from otel_vendor_exporters.delivery.backlog import LEAST_SECONDS_BETWEEN_CLAIMS, TURN_SECONDS
from otel_vendor_exporters.delivery.disk_spool import NO_ROOM_SECONDS
from otel_vendor_exporters.delivery.request import Item
from tests.conftest import ForwardClock
from tests.delivery.fakes import FastClock, NumbersCodec, NumbersServer, Ways
from tests.delivery.loopback import GUARD_SECONDS, Answer
from tests.delivery.processes import left_behind, wait_until

# Forking with threads, which newer versions of Python warn of, is what these tests are about.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


@pytest.mark.parametrize("tried", [False, True], ids=["new", "tried before"])
def test_what_several_processes_left_arrives_before_what_is_new(
    ways: Ways, tmp_path: Path, tried: bool
) -> None:
    """Oldest first over all files, and then our own, though the vendor did not take it before."""
    folder = tmp_path / "spool"
    with NumbersServer(lambda numbers: Answer(503)) as server:
        for start in (0, 100, 200):
            left_behind(ways, server.url, tmp_path / str(start), range(start, start + 100))
        way = ways(server.url, spool_dir=folder, clock=FastClock(), timeout_seconds=60 * FastClock.SPEED)
        if tried:
            way.keep([999])
            server.until_received(1)
        folder.mkdir(exist_ok=True)
        for path in sorted(tmp_path.glob("[0-9]*/*")):
            os.utime(path, (int(path.parent.name), int(path.parent.name)))
            path.rename(folder / path.name)
        if not tried:
            way.keep([999])
        wait_until(lambda: way.delivery.ledger.counts().recovered == 300)
        server.answer = lambda numbers: None
        way.delivery.flush(60 * FastClock.SPEED)
        wait_until(lambda: len(server.numbers) == 301)

    assert server.numbers == [*range(300), 999]


class JumpingClock(FastClock):
    """A wall clock that is set ahead and back, again and again, once it is told to."""

    jumps = False

    def unix_ms(self) -> int:
        return super().unix_ms() + (random.choice([-1, 0, 1]) * 86_400_000 if self.jumps else 0)


def test_a_clock_that_jumps_while_a_spool_sends(ways: Ways, tmp_path: Path) -> None:
    """Days ahead and back, through failures and an adoption: everything arrives once, nothing is too old."""
    answers = iter([Answer(503), Answer(429, {"Retry-After": "5"}), None, Answer(500)] * 10)
    clock = JumpingClock()
    with NumbersServer(lambda numbers: next(answers, None)) as server:
        left_behind(ways, server.url, tmp_path, range(100))
        way = ways(server.url, spool_dir=tmp_path, clock=clock, timeout_seconds=60 * FastClock.SPEED)
        clock.jumps = True
        for start in range(100, 600, 50):
            expires = time.time() * 1000 + 600_000
            numbers = range(start, start + 50)
            way.delivery.keep([Item(number, 10, expires_at_unix_ms=expires) for number in numbers])
        wait_until(lambda: len(server.numbers) == 600)
        way.delivery.flush(60 * FastClock.SPEED)
        way.delivery.shutdown(60 * FastClock.SPEED)
        counts = way.delivery.ledger.counts()

    assert sorted(server.numbers) == list(range(600))
    assert (counts.delivered, counts.lost, counts.balanced) == (600, 0, True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("files", [4, 1], ids=["many files", "a large file"])
def test_a_long_adoption_lets_sending_go_on(
    ways: Ways, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: int
) -> None:
    """After half a second what was found is sent with what is new, before the rest; a flush waits for all."""
    clock, found = ForwardClock(), 2048 // files
    decode_at_once = NumbersCodec.decode

    def decode(self: NumbersCodec, body: bytes) -> int:
        clock.forward(TURN_SECONDS / 500)
        return decode_at_once(self, body)

    def answer(numbers: list[int]) -> None:
        clock.forward(LEAST_SECONDS_BETWEEN_CLAIMS)

    monkeypatch.setattr(NumbersCodec, "decode", decode)
    with NumbersServer(answer) as server:
        for start in range(0, 2048, found):
            left_behind(ways, server.url, tmp_path, range(start, start + found))
        way = ways(server.url, spool_dir=tmp_path, clock=clock, per_parcel=100, max_age_seconds=1e9)
        way.keep([9999])
        flushed = way.delivery.flush(1000)

    assert (flushed, sorted(server.numbers)) == (True, [*range(2048), 9999])
    assert 512 <= server.numbers.index(9999) <= 1024
    assert {path.name.split("-")[1] for path in tmp_path.glob("*.spool")} == {str(os.getpid())}


def test_who_has_a_smaller_queue_takes_over_what_fits(ways: Ways, tmp_path: Path) -> None:
    """Nothing that lay safe on the disk is dropped: the rest has its turn once there is room."""
    clock = ForwardClock()
    with NumbersServer() as server:
        left_behind(ways, server.url, tmp_path, range(500))
        way = ways(server.url, spool_dir=tmp_path, clock=clock, max_items=100, max_age_seconds=1e9)
        for _ in range(5):
            assert way.delivery.flush(GUARD_SECONDS)
            clock.forward(NO_ROOM_SECONDS)
        counts = way.delivery.ledger.counts()

    assert server.numbers == [*range(500)]
    assert (counts.recovered, counts.delivered, counts.lost) == (500, 500, 0)


def test_nobody_waits_for_an_adoption(ways: Ways, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a dead process left is read without the lock that the application needs."""
    reading, go_on = threading.Event(), threading.Event()

    def decode(self: NumbersCodec, body: bytes) -> int:
        reading.set()
        assert go_on.wait(GUARD_SECONDS)
        return int(body)

    monkeypatch.setattr(NumbersCodec, "decode", decode)
    with NumbersServer() as server:
        left_behind(ways, server.url, tmp_path, range(1000))
        way = ways(server.url, spool_dir=tmp_path)
        way.keep([1000])
        assert reading.wait(GUARD_SECONDS)
        kept = in_time(lambda: way.keep([1001]))
        go_on.set()
        way.delivery.flush(GUARD_SECONDS)

    assert kept
    assert sorted(server.numbers) == list(range(1002))
    assert way.delivery.ledger.counts().recovered == 1000


def in_time(act: Callable[[], object]) -> bool:
    """Whether it takes no longer than two seconds."""
    thread = threading.Thread(target=act)
    thread.start()
    thread.join(2.0)
    return not thread.is_alive()


def test_what_returns_after_the_shutdown_is_handed_over(ways: Ways, tmp_path: Path) -> None:
    """It is delivered by the next process, and not counted as dropped by this one."""
    go_on = threading.Event()

    def late(numbers: list[int]) -> Answer:
        go_on.wait(GUARD_SECONDS)
        return Answer(503)

    with NumbersServer(late) as server:
        way = ways(server.url, spool_dir=tmp_path)
        way.keep([1, 2])
        server.until_received(1)
        way.delivery.shutdown(0.05)
        go_on.set()
        wait_until(lambda: way.delivery.ledger.counts().in_flight == 0)
        counts = way.delivery.ledger.counts()
        server.answer = lambda numbers: None
        following = ways(server.url, spool_dir=tmp_path)
        following.keep([3])
        following.delivery.flush(GUARD_SECONDS)

    assert (counts.handed_over, dict(counts.dropped)) == (2, {})
    assert sorted(server.numbers) == [1, 2, 3]
