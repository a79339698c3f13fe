"""A spool folder that cannot be used, is taken away, or is held by another program: the memory goes on."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from otel_vendor_exporters.delivery import spool_writing
from otel_vendor_exporters.delivery.journal import Journal
from otel_vendor_exporters.delivery.request import Item
from otel_vendor_exporters.delivery.spool_writing import BUSY_RETRY_SECONDS, LOOK_SECONDS, RETRY_SECONDS
from tests.conftest import ForwardClock
from tests.delivery.fakes import FakeClock, Log, Ways
from tests.delivery.processes import wait_until
from tests.delivery.spool_host import Host, Killed, adopt, items, killed, names, refusing


@pytest.mark.parametrize("gone", ["*", "*.spool", "*.marks", "*.lock", "*-wal", "the folder"])
def test_files_that_are_removed_under_a_living_process(host: Host, gone: str, caplog: Log) -> None:
    """Noticed within a second, said once, and everything that waits is in a new file."""
    spool = host.process()
    spool.put(items("abc"))
    spool.settle(spool.take(1))
    if gone == "the folder":
        shutil.rmtree(host.folder)
    else:
        for path in host.folder.glob(gone):
            path.unlink()
    host.clock.advance(1.0)
    for unit in "def":
        spool.put(items(unit))
        host.clock.advance(1.0)
    host.notices.tell()
    host.die(spool)
    second = host.process()
    adopt(second)

    assert names(second.take(9)) == ["b", "c", "d", "e", "f"]
    words = "shop: somebody has removed files from the spool folder: what waits is written to a new one"
    assert caplog.messages == [words]


@pytest.mark.parametrize("how", ["a file", "no permission", "no place"])
def test_a_folder_that_cannot_be_used(
    host: Host, how: str, caplog: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said with the reason; everything goes on in memory, and ends with the process."""
    if how == "a file":
        host.folder.write_text("in the way")
    elif how == "no permission":
        monkeypatch.setattr(os, "open", _no_permission)
    else:
        host.folder = Path("/proc/nowhere/at/all")
    spool = host.process()

    for name in "abc":
        spool.put(items(name))
    adopted = adopt(spool)
    host.notices.tell()
    ended = spool.end()

    assert (adopted, ended.handed_over, names(ended.lost)) == ([], 0, ["a", "b", "c"])
    assert len(caplog.messages) == 1
    assert "shop: the spool folder cannot be written (" in caplog.messages[0]


def _no_permission(*args: object, **options: object) -> int:
    raise PermissionError(13, "Permission denied")


def test_without_file_locks_the_memory_goes_on(
    host: Host, monkeypatch: pytest.MonkeyPatch, caplog: Log
) -> None:
    """A system without such locks, as Windows, has no durable spool, and is told so."""
    monkeypatch.setattr("otel_vendor_exporters.delivery.file_lock.fcntl", None)
    spool = host.process()

    spool.put(items("abc"))
    host.notices.tell()

    assert names(spool.take(9)) == ["a", "b", "c"]
    assert "no file locks" in caplog.text


@pytest.mark.parametrize("keeps", [False, True], ids=["nothing new", "something new"])
@pytest.mark.flaky(reruns=2)
def test_another_process_that_holds_the_file_costs_a_moment(
    ways: Ways, tmp_path: Path, keeps: bool, caplog: Log
) -> None:
    """export() waits a tenth of a second; a second after the lock is gone all that waits is written."""
    clock = ForwardClock()
    way = ways("http://127.0.0.1:9", spool_dir=tmp_path, clock=clock)
    way.vendor.use(prepare=lambda timeout_seconds, hurry: 60.0)
    way.keep([1])
    (path,) = tmp_path.glob("*.spool")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        way.keep([2])
        took = time.monotonic() - began
    clock.forward(BUSY_RETRY_SECONDS)
    if keeps:
        way.keep([3])
    wait_until(lambda: "numbers: what waits is written to the disk again" in caplog.messages)
    way.delivery.shutdown(0)

    assert took < 0.5
    assert way.delivery.ledger.counts().handed_over == 2 + keeps
    assert caplog.messages[0].startswith("numbers: the spool folder cannot be written (database is locked): ")


def test_a_file_that_is_held_for_longer_is_tried_again_and_again(ways: Ways, tmp_path: Path) -> None:
    """Though nothing new is kept: two tries fail, and the third brings the disk what it has missed."""
    way = ways("http://127.0.0.1:9", spool_dir=tmp_path)
    way.vendor.use(prepare=lambda timeout_seconds, hurry: 60.0)
    way.keep([1])
    (path,) = tmp_path.glob("*.spool")
    tries: list[float] = []
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        catch_up = way.delivery._backlog._spool.catch_up

        def counted() -> bool:
            tries.append(time.monotonic())
            return catch_up()

        way.delivery._backlog._spool.catch_up = counted  # type: ignore[method-assign]
        way.keep([2])
        wait_until(lambda: len(tries) == 2)
    wait_until(lambda: len(tries) == 3)

    assert 0.9 < tries[1] - tries[0] < 3


def test_a_lock_that_is_gone_at_the_shutdown_costs_nothing(ways: Ways, tmp_path: Path) -> None:
    """There is no later: what waits is written at once."""
    way = ways("http://127.0.0.1:9", spool_dir=tmp_path, clock=FakeClock())
    way.vendor.use(prepare=lambda timeout_seconds, hurry: 60.0)
    way.keep([1])
    (path,) = tmp_path.glob("*.spool")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        way.keep([2])

    way.delivery.shutdown(0)

    counts = way.delivery.ledger.counts()
    assert (counts.handed_over, dict(counts.dropped)) == (2, {})


def test_a_folder_that_has_become_a_file(host: Host, caplog: Log) -> None:
    """That is said, as of files that were removed; once there is a folder again all that waits is written."""
    spool = host.process()
    spool.put(items("ab"))
    host.clock.advance(LOOK_SECONDS)
    shutil.rmtree(host.folder)
    host.folder.write_bytes(b"")
    spool.put(items("c"))
    host.notices.tell()
    told = list(caplog.messages)
    host.folder.unlink()
    host.clock.advance(RETRY_SECONDS)
    spool.put(items("d"))
    host.die(spool)
    second = host.process()
    adopt(second)

    assert names(second.take(99)) == ["a", "b", "c", "d"]
    assert told[0].startswith("shop: somebody has removed files from the spool folder")
    assert told[1].startswith("shop: the spool folder cannot be written (")


def test_a_log_that_somebody_lets_grow(host: Host, monkeypatch: pytest.MonkeyPatch, caplog: Log) -> None:
    """A shell that goes on reading the file keeps what is sent meanwhile from leaving the disk."""
    monkeypatch.setattr(spool_writing, "_MOST_LOG_BYTES", 100_000)
    spool = host.process(max_bytes=1000)
    spool.put(items("a"))
    (file,) = host.folder.glob("*.spool")
    with closing(sqlite3.connect(file, isolation_level=None)) as shell:
        shell.execute("BEGIN")
        assert shell.execute("SELECT count(*) FROM segments").fetchone() == (1,)
        for _ in range(20):
            spool.put(items("b"))
            spool.settle(spool.take(1))
        host.clock.advance(LOOK_SECONDS + 1)
        spool.put(items("c"))
        host.notices.tell()
        files = [*host.folder.glob("*.spool")]
    host.die(spool)
    second = host.process()
    adopt(second)

    assert files != [file]
    assert names(second.take(9)) == ["b", "c"]
    words = "another program has been reading a spool file for long, so that it grows"
    assert caplog.messages == [f"shop: {words}: what waits is written to a new one"]


@pytest.mark.parametrize("again", [True, False])
@pytest.mark.parametrize("trouble", ["removed", "interrupted"])
def test_what_is_taken_stands_in_the_new_file_too(
    host: Host, trouble: str, again: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is packed goes again after a kill, and what is under way where that may be; in its old order."""
    host.again = again
    spool = host.process()
    spool.put(items([f"a{number}" for number in range(10)]))
    taken = spool.take(6)
    spool.leave(taken[:2])
    spool.settle(taken[2:3])

    if trouble == "removed":
        for path in host.folder.iterdir():
            path.unlink()
        host.clock.advance(LOOK_SECONDS)
    else:
        monkeypatch.setattr(spool, "_write", killed)
        with pytest.raises(Killed):
            spool.put(items(["half"]))
        monkeypatch.undo()
    spool.put(items(["b"]))
    host.die(spool)

    heir = host.process()
    (found,) = adopt(heir)
    sent = [name for name in names(heir.take(99)) if name != "half"]
    left = [] if not again else ["a0", "a1"]
    assert (sent, found.ambiguous) == ([*left, *(f"a{n}" for n in range(3, 10)), "b"], 2 - len(left))


@pytest.mark.parametrize("works_again", [True, False])
def test_nothing_is_left_to_erase_in_a_file_that_is_set_aside(
    host: Host, works_again: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when no new one can be made: rather lost at a kill than left there."""
    spool = host.process()
    spool.put([Item("secret", 10, subjects=("ann",)), *items("b")])
    monkeypatch.setattr(spool, "_write", killed)
    if not works_again:
        monkeypatch.setattr(Journal, "create", refusing("database or disk is full"))
    with pytest.raises(Killed):
        spool.put(items(["c"]))
    monkeypatch.undo()
    if not works_again:
        monkeypatch.setattr(Journal, "create", refusing("database or disk is full"))

    spool.take_out(["ann"])
    spool.erase(at_once=True)

    assert not [path.name for path in host.folder.iterdir() if b"secret" in path.read_bytes()]
