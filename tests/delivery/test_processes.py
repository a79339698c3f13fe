"""Delivery across forks and in worker processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
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
from tests.conftest import ForwardClock
from tests.delivery.fakes import NumbersServer, Ways
from tests.delivery.loopback import GUARD_SECONDS
from tests.delivery.processes import in_a_child

# Forking with threads, which newer versions of Python warn of, is what these tests are about.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


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
