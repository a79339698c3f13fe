"""Delivery across forks and at the end of the interpreter."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from otel_vendor_exporters.delivery import lifetime
from otel_vendor_exporters.delivery.disk_errors import disk_errors
from otel_vendor_exporters.delivery.disk_spool import SCAN_SECONDS
from otel_vendor_exporters.delivery.file_lock import FileLock
from otel_vendor_exporters.delivery.request import Item
from tests.conftest import ForwardClock
from tests.delivery.fakes import FastClock, NumbersCodec, NumbersServer, Ways
from tests.delivery.loopback import GUARD_SECONDS, HANG, Answer

# Forking with threads, which newer versions of Python warn of, is what these tests are about.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def in_a_child(act: Callable[[], bool]) -> bool:
    """What `act` returns in a forked child."""
    child = os.fork()
    if child == 0:
        right = False
        try:
            right = act()
        finally:
            os._exit(0 if right else 1)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == 0


def test_a_child_starts_from_nothing_and_sends(ways: Ways) -> None:
    """A forked child has nothing of the parent's backlog, fresh threads and connections, and works."""
    with NumbersServer() as server:
        way = ways(server.url)
        way.keep([1, 2])
        way.delivery.flush(5)
        way.keep([3])

        def child() -> bool:
            empty = way.counts() == {}
            sent = way.keep([10, 11]) and way.delivery.flush(5)
            return empty and sent and way.counts() == {"accepted": 2, "delivered": 2}

        right = in_a_child(child)
        way.delivery.flush(5)

    assert right
    assert sorted(server.numbers) == [1, 2, 3, 10, 11]


@pytest.mark.parametrize("before", [False, True], ids=["nothing kept", "kept before"])
def test_a_child_has_a_spool_file_of_its_own(ways: Ways, tmp_path: Path, before: bool) -> None:
    """Parent and child each write down their own; when the child is killed the parent sends both."""
    clock = ForwardClock()
    with NumbersServer() as server:
        way = ways(server.url, spool_dir=tmp_path, clock=clock)
        assert way.delivery.flush(5)  # it has looked into the folder
        if before:
            way.keep([1])
            way.delivery.flush(5)
        way.vendor.use(prepare=lambda timeout_seconds, hurry: 60.0)

        def child() -> bool:
            way.keep([10, 11])
            os.kill(os.getpid(), 9)
            return False

        killed = not in_a_child(child)
        way.vendor.use(prepare=lambda timeout_seconds, hurry: 0.0)
        way.keep([2])
        flushed = way.delivery.flush(5)
        left = [path.name for path in tmp_path.glob("numbers-*.spool") if str(os.getpid()) not in path.name]
        clock.forward(SCAN_SECONDS)
        flushed_again = way.delivery.flush(5)
        way.delivery.shutdown(5)

    assert (killed, flushed, flushed_again) == (True, True, True)
    assert len(left) == 1  # the next look into the folder was half a minute away
    assert sorted(server.numbers) == [*([1] if before else []), 2, 10, 11]
    assert list(tmp_path.glob("*.spool")) == []


def test_a_fork_while_everything_is_busy(ways: Ways) -> None:
    """Forks at any moment, with locks held and requests under way: no child hangs, nothing is doubled."""
    with NumbersServer() as server:
        way = ways(server.url, per_parcel=1, connections=4)
        stop = threading.Event()
        kept = 0

        def work() -> None:
            nonlocal kept
            while not stop.wait(0.0005):
                way.keep([kept])
                kept += 1

        busy = threading.Thread(target=work)
        busy.start()
        try:
            rights = [
                in_a_child(lambda: way.keep([-1]) and way.delivery.flush(GUARD_SECONDS)) for _ in range(10)
            ]
        finally:
            stop.set()
            busy.join(GUARD_SECONDS)
        flushed = way.delivery.flush(GUARD_SECONDS)
        arrived = sorted(server.numbers)

    assert (rights, flushed) == ([True] * 10, True)
    assert arrived == [-1] * 10 + list(range(kept))


def left_behind(ways: Ways, url: str, folder: Path, numbers: range) -> None:
    """A process that was killed while these numbers waited."""

    def child() -> bool:
        way = ways(url, spool_dir=folder)
        way.vendor.use(prepare=lambda timeout_seconds, hurry: 60.0)
        way.keep(numbers)
        os.kill(os.getpid(), 9)
        return False

    assert not in_a_child(child)


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


def wait_until(true: Callable[[], bool]) -> None:
    """Return as soon as it is true."""
    deadline = time.monotonic() + GUARD_SECONDS
    while not true() and time.monotonic() < deadline:
        time.sleep(0.01)


def test_a_fork_while_threads_write_to_the_disk(ways: Ways, tmp_path: Path) -> None:
    """SQLite's own locks are free in every child: none hangs, and each writes down its own."""
    way = ways("http://127.0.0.1:9", spool_dir=tmp_path, max_items=2000)
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            way.keep(range(20))

    busy = [threading.Thread(target=work) for _ in range(3)]
    for thread in busy:
        thread.start()
    try:
        rights = [in_a_child(lambda: _in_time(lambda: way.keep([1]))) for _ in range(40)]
    finally:
        stop.set()
        for thread in busy:
            thread.join(GUARD_SECONDS)

    assert rights == [True] * 40


def _in_time(act: Callable[[], bool]) -> bool:
    signal.alarm(5)  # ends the process
    return act()


def test_a_child_does_not_keep_the_lock_of_an_estate(tmp_path: Path) -> None:
    """A child that is forked in the middle of an adoption holds up nobody, however long it lives."""
    path = tmp_path / "numbers-1-a.spool"
    lock = FileLock.take(path, create=True)
    assert lock is not None
    context = multiprocessing.get_context("fork")
    ready, done = context.Event(), context.Event()

    def live() -> None:
        ready.set()
        done.wait(GUARD_SECONDS)

    child = context.Process(target=live)
    child.start()
    ready.wait(GUARD_SECONDS)
    lock.release()
    again = FileLock.take(path)
    done.set()
    child.join(GUARD_SECONDS)

    assert again is not None
    again.release()


def test_a_fork_waits_for_who_is_at_the_disk() -> None:
    """A child is not made while another thread may hold a lock of SQLite's."""
    at_the_disk = threading.Event()

    def write() -> None:
        with disk_errors():
            at_the_disk.set()
            time.sleep(0.2)
            at_the_disk.clear()

    thread = threading.Thread(target=write)
    thread.start()
    at_the_disk.wait(GUARD_SECONDS)
    right = in_a_child(lambda: not at_the_disk.is_set())
    thread.join(GUARD_SECONDS)

    assert right


def test_a_fork_waits_for_a_while_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that stays inside does not hold up a fork for ever, nor does the child wait for it."""
    monkeypatch.setattr(lifetime, "MOST_WAIT_SECONDS", 0.05)
    inside, stop = threading.Event(), threading.Event()

    def stay() -> None:
        with lifetime.no_fork:
            inside.set()
            stop.wait(GUARD_SECONDS)

    thread = threading.Thread(target=stay)
    thread.start()
    inside.wait(GUARD_SECONDS)

    def child() -> bool:
        with lifetime.no_fork:
            return True

    right = in_a_child(child)
    stop.set()
    thread.join(GUARD_SECONDS)

    assert right


def test_a_child_of_a_delivery_that_was_shut_down(ways: Ways) -> None:
    """It stays shut down, and says so."""
    way = ways("http://127.0.0.1:9")
    way.delivery.shutdown(1)

    assert in_a_child(lambda: not way.keep([1]))


def test_the_vendor_is_told_of_the_fork(ways: Ways) -> None:
    """What belongs to the parent, such as a session, is forgotten in the child; others are renewed too."""
    ways("http://127.0.0.1:9").vendor.use(renew_after_fork=broken)
    way = ways("http://127.0.0.1:9")
    ways("http://127.0.0.1:9").vendor.use(renew_after_fork=broken)

    assert in_a_child(lambda: way.vendor.forks == 1)
    assert way.vendor.forks == 0


def broken() -> None:
    raise RuntimeError("a bug")


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_multiprocessing(method: str) -> None:
    """A worker process of either kind delivers what it keeps."""
    context = multiprocessing.get_context(method)
    with NumbersServer() as server, ProcessPoolExecutor(1, context) as workers:
        workers.submit(worker, server.url).result(GUARD_SECONDS)

    assert server.accepted == [[1, 2, 3]]


def worker(url: str) -> None:
    made = Ways()
    way = made(url)
    way.keep([1, 2, 3])
    assert way.delivery.flush(10)
    made.close()


SCRIPT = """
import sys
sys.path.insert(0, {root!r})
from tests.delivery.fakes import Ways
way = Ways()({url!r}, timeout_seconds={timeout}, per_parcel=2)
way.keep(range(5))
{then}
"""


def run(url: str, then: str = "", timeout: float = 5.0) -> subprocess.CompletedProcess[str]:
    root = str(Path(__file__).parent.parent.parent)
    script = SCRIPT.format(root=root, url=url, then=then, timeout=timeout)
    command = [sys.executable, "-W", "error", "-c", script]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


SEVERAL = """
import sys
sys.path.insert(0, {root!r})
from tests.delivery.fakes import Ways
ways = [Ways()(url, timeout_seconds=3, per_parcel=1) for url in ({hangs!r}, {hangs!r}, {hangs!r}, {works!r})]
for number, way in enumerate(ways):
    way.keep([number, 10 + number])
    {then}
"""


@pytest.mark.parametrize("then", ["pass", "__import__('atexit').register(way.delivery.shutdown, 3)"])
def test_vendors_that_hang_do_not_add_up(then: str) -> None:
    """At exit all destinations share the time of one, with a second each at least; what works delivers."""
    root = str(Path(__file__).parent.parent.parent)
    with NumbersServer() as works, NumbersServer(lambda numbers: HANG) as hangs:
        script = SEVERAL.format(root=root, hangs=hangs.url, works=works.url, then=then)
        began = time.monotonic()
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=30, check=False)
        took = time.monotonic() - began

    assert (done.returncode, sorted(works.numbers)) == (0, [3, 13])
    assert took < 7  # 3 + 1 + 1 and the start; they would add up to 9


DEADLINES = """
import atexit, threading
from otel_vendor_exporters.delivery import lifetime

def tell():
    print([lifetime.deadline(3.0, now) for now in (100.0, 102.0, 200.0)])

def work():
    threading.main_thread().join()
    tell()

atexit.register(tell)
threading.Thread(target=work).start()
"""


def test_threads_that_outlive_the_main_thread_have_all_their_time() -> None:
    """Only what is called at the interpreter's end shares it, not a thread that keeps the program running."""
    done = subprocess.run([sys.executable, "-c", DEADLINES], capture_output=True, timeout=30, check=False)

    of_the_thread, at_exit = done.stdout.decode().splitlines()
    assert (of_the_thread, at_exit) == ("[103.0, 105.0, 203.0]", "[103.0, 103.0, 201.0]")


@pytest.mark.parametrize("then", ["", "raise SystemExit(0)", "del way"])
def test_exit_without_shutdown_delivers(then: str) -> None:
    """A program that ends without a word has its items delivered first."""
    with NumbersServer() as server:
        done = run(server.url, then)

    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(server.numbers) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("answer", [HANG, Answer(503)], ids=["silent", "down"])
def test_exit_is_not_held_up(answer: Answer) -> None:
    """A vendor that is down or hangs delays the end by one request's time at most, and the loss is told."""
    with NumbersServer(lambda numbers: answer) as server:
        done = run(server.url, timeout=0.5)

    assert done.returncode == 0
    assert "exit after 0 items delivered, refused {}, dropped {}, 5 still waiting" in done.stderr
    assert "Traceback" not in done.stderr
