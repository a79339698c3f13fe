"""A process that has nothing of its own to send looks for what dead ones left."""

from __future__ import annotations

import threading
from pathlib import Path
from time import monotonic

import pytest

from otel_vendor_exporters.delivery.disk_spool import SCAN_SECONDS
from tests.conftest import ForwardClock
from tests.delivery.fakes import NumbersServer, Ways
from tests.delivery.loopback import GUARD_SECONDS, Answer
from tests.delivery.processes import in_a_child, left_behind, wait_until

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def test_an_idle_process_sends_what_a_dead_one_left(ways: Ways, tmp_path: Path) -> None:
    """Nothing needs to be kept, and nobody needs to ask."""
    with NumbersServer() as server:
        left_behind(ways, server.url, tmp_path, range(20))

        ways(server.url, spool_dir=tmp_path)
        server.until_received(2)

    assert sorted(number for numbers in server.received for number in numbers) == [*range(20)]


def test_a_flush_waits_for_what_a_dead_process_left(ways: Ways, tmp_path: Path) -> None:
    """What has not been looked for yet may be something that waits."""
    with NumbersServer() as server:
        left_behind(ways, server.url, tmp_path, range(20))

        flushed = ways(server.url, spool_dir=tmp_path).delivery.flush(GUARD_SECONDS)

    assert (flushed, sorted(server.numbers)) == (True, [*range(20)])


def test_a_flush_waits_for_the_disk_within_its_deadline(ways: Ways, tmp_path: Path) -> None:
    """A vendor that is down holds up nobody for longer than was said."""
    with NumbersServer(lambda numbers: Answer(503)) as server:
        left_behind(ways, server.url, tmp_path, range(20))
        way = ways(server.url, spool_dir=tmp_path)

        flushed = way.delivery.flush(0.3)

        assert (flushed, way.delivery.ledger.counts().recovered) == (False, 20)


def test_an_idle_process_goes_on_looking(ways: Ways, tmp_path: Path) -> None:
    """Also in a folder that did not exist when it began."""
    clock, folder = ForwardClock(), tmp_path / "later"
    with NumbersServer() as server:
        way = ways(server.url, spool_dir=folder, clock=clock)
        assert way.delivery.flush(GUARD_SECONDS)
        assert not folder.exists()
        left_behind(ways, server.url, folder, range(20))

        clock.forward(SCAN_SECONDS)
        server.until_received(2)

    assert sorted(number for numbers in server.received for number in numbers) == [*range(20)]


def test_a_forked_child_leaves_that_to_its_parent(ways: Ways, tmp_path: Path) -> None:
    """One that keeps nothing starts no thread, and takes nothing into its own end; one that does looks."""
    with NumbersServer() as server:
        way = ways(server.url, spool_dir=tmp_path)
        assert way.delivery.flush(GUARD_SECONDS)  # the parent has looked, and will again in half a minute
        left_behind(ways, server.url, tmp_path, range(20))

        def idle() -> bool:
            return threading.active_count() == 1 and way.delivery.ledger.counts().recovered == 0

        def busy() -> bool:
            way.keep([20])
            return way.delivery.flush(GUARD_SECONDS) and way.delivery.ledger.counts().recovered == 20

        right = in_a_child(idle), in_a_child(busy)

    assert (right, sorted(server.numbers)) == ((True, True), [*range(21)])


@pytest.mark.parametrize("answer", [503, None], ids=["down", "up"])
@pytest.mark.flaky(reruns=2)
def test_an_exit_waits_for_nothing_that_was_adopted(answer: int | None, ways: Ways, tmp_path: Path) -> None:
    """It stands on the disk, for the next; what is under way has its time, and so has what was kept here."""
    with NumbersServer(lambda numbers: None if answer is None else Answer(answer)) as server:
        left_behind(ways, server.url, tmp_path, range(1000))
        way = ways(server.url, spool_dir=tmp_path)
        wait_until(lambda: way.delivery.ledger.counts().recovered > 0)

        began = monotonic()
        way.delivery.end_at_exit()
        took_seconds = monotonic() - began
        counts = way.delivery.ledger.counts()

    assert took_seconds < 1
    assert (counts.in_flight, counts.waiting + counts.delivered, counts.lost) == (0, counts.recovered, 0)


def test_only_who_has_a_spool_folder_has_a_thread(ways: Ways, tmp_path: Path) -> None:
    """Without one there is nothing to look for; and after the shutdown there is no thread any more."""
    before = threading.active_count()
    ways("http://127.0.0.1:9")
    without = threading.active_count() - before
    way = ways("http://127.0.0.1:9", spool_dir=tmp_path)
    idle = threading.active_count() - before
    way.delivery.shutdown(GUARD_SECONDS)

    assert (without, idle, threading.active_count() - before) == (0, 1, 0)
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_was_shut_down_looks_no_more(ways: Ways, tmp_path: Path) -> None:
    """Neither does its child, and a flush waits for nothing."""
    with NumbersServer() as server:
        way = ways(server.url, spool_dir=tmp_path)
        way.delivery.shutdown(GUARD_SECONDS)
        left_behind(ways, server.url, tmp_path, range(20))

        right = in_a_child(lambda: way.delivery.flush(GUARD_SECONDS) and threading.active_count() == 1)

    assert (right, way.delivery.flush(GUARD_SECONDS), server.numbers) == (True, True, [])
