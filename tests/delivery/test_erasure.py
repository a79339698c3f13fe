"""What was taken out, or is settled, can be overwritten: no byte of it is left in any file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from otel_vendor_exporters.delivery.disk_spool import DiskSpool
from otel_vendor_exporters.delivery.journal import Journal
from otel_vendor_exporters.delivery.request import Item
from otel_vendor_exporters.delivery.spool_writing import ERASE_AGAIN_SECONDS, RETRY_SECONDS
from tests.delivery.fakes import FakeClock
from tests.delivery.spool_host import Host, TextCodec, adopt, names, refusing

ANN = "@ann"


@pytest.fixture
def host(tmp_path: Path, clock: FakeClock) -> Iterator[Host]:
    made = Host(tmp_path / "spool", clock, again=True)
    yield made
    made.close()


def about(*units: str, padding: int = 0) -> list[Item[str]]:
    subjects = TextCodec().subjects
    return [Item(unit + " " * padding, 10, subjects=subjects(unit)) for unit in units]


def put_in_turn(spool: DiskSpool[str], items: Iterable[Item[str]]) -> None:
    """Each in a segment of its own."""
    for item in items:
        spool.put([item])


def files_with(host: Host, text: str) -> list[str]:
    """Which files hold a text."""
    return sorted(path.name for path in host.folder.iterdir() if text.encode() in path.read_bytes())


def test_what_is_taken_out_leaves_no_byte(host: Host) -> None:
    """Neither from segments shared with others, nor its own, nor the log; the others are as they were."""
    spool = host.process()
    spool.put(about("a@ann", "b@bob", "c@ann@bob", "d"))
    put_in_turn(spool, about("e@ann", "f", "g@ann"))
    assert files_with(host, ANN)

    assert len(spool.take_out({"ann"})) == 4
    spool.erase(at_once=True)

    assert files_with(host, ANN) == []
    host.die(spool)
    second = host.process()
    adopt(second)
    assert names(second.take(9)) == ["b@bob", "d", "f"]


def test_what_was_settled_before_leaves_no_byte_either(host: Host) -> None:
    """Delivered items whose segment others wait in, or was deleted long ago; small ones and large ones."""
    spool = host.process(max_items=10_000, max_bytes=10**7)
    spool.put(about("first"))
    assert spool._journal is not None
    spool._journal._connection.execute("PRAGMA secure_delete = OFF")  # as many builds of SQLite have it
    for padding in (0, 40_000):
        put_in_turn(spool, about(*(f"{n}@ann" for n in range(100)), padding=padding))
        spool.settle(spool.take(200))
    spool.put(about("a@ann", "b"))
    spool.settle(spool.take(1))
    assert files_with(host, ANN)

    spool.erase(at_once=True)

    assert files_with(host, ANN) == []
    host.die(spool)
    second = host.process()
    adopt(second)
    assert names(second.take(9)) == ["b"]


def test_what_has_just_been_settled_leaves_no_byte_while_others_wait(host: Host) -> None:
    """The last item of a segment, whose row goes with it."""
    spool = host.process()
    put_in_turn(spool, about("a@ann", "b"))
    spool.settle(spool.take(1))

    spool.erase(at_once=True)

    assert files_with(host, ANN) == []


def test_what_is_under_way_is_left(host: Host) -> None:
    """It may come back; it is overwritten once its outcome is known."""
    spool = host.process()
    spool.put(about("a@ann", "b@ann", "c"))
    under_way = spool.take(1)
    spool.leave(under_way)

    spool.take_out({"ann"})
    spool.erase(at_once=True)
    assert len(files_with(host, "a@ann")) == 1
    assert files_with(host, "b@ann") == []

    spool.settle(under_way)
    spool.erase(at_once=True)
    assert files_with(host, ANN) == []


def test_while_somebody_else_reads_the_log_stays_until_they_are_done(host: Host) -> None:
    """It is overwritten with a later write, at most one try a second."""
    spool = host.process()
    spool.put(about("a@ann", "b"))
    (path,) = host.folder.glob("*.spool")
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM segments").fetchall()
        spool.take_out({"ann"})
        spool.erase(at_once=True)
        assert files_with(host, ANN)
        host.clock.advance(ERASE_AGAIN_SECONDS)
        spool.put(about("c"))
        assert files_with(host, ANN)

    spool.put(about("d"))
    assert files_with(host, ANN)
    host.clock.advance(ERASE_AGAIN_SECONDS)
    spool.put(about("e"))

    assert files_with(host, ANN) == []
    assert names(spool.take(9)) == ["b", "c", "d", "e"]


def test_what_is_not_urgent_takes_a_tenth_of_the_time(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """When it takes a second the next one waits for a write ten seconds later, or until nothing waits."""
    spool = host.process()
    rewrite = Journal.rewrite

    def slow(journal: Journal) -> None:
        host.clock.advance(1.0)
        rewrite(journal)

    monkeypatch.setattr(Journal, "rewrite", slow)
    left: list[int] = []
    for name in "ab":
        put_in_turn(spool, about(f"{name}@ann", f"{name}@bob"))
        spool.take_out({"ann"})
        spool.erase(at_once=False)
        left.append(len(files_with(host, f"{name}@ann")))
    host.clock.advance(10.0)
    spool.put(about("c@ann"))
    left.append(len(files_with(host, "b@ann")))
    spool.take_out({"ann"})
    spool.erase(at_once=False)
    left.append(len(files_with(host, "c@ann")))
    spool.settle(spool.take(9))
    left.append(len(files_with(host, "c@ann")))

    assert left == [0, 1, 0, 1, 0]


def test_while_the_disk_fails_it_waits_for_the_disk(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is overwritten with the first write that succeeds."""
    spool = host.process()
    spool.put(about("a@ann", "b"))
    with monkeypatch.context() as broken:
        broken.setattr(Journal, "write", refusing("database or disk is full"))
        spool.take_out({"ann"})
        spool.erase(at_once=True)
    assert files_with(host, ANN)

    host.clock.advance(RETRY_SECONDS)
    spool.put(about("c"))

    assert files_with(host, ANN) == []
    host.die(spool)
    second = host.process()
    adopt(second)
    assert names(second.take(9)) == ["b", "c"]


def test_without_a_file_there_is_nothing_to_overwrite(host: Host) -> None:
    """Nothing was written yet, or all is closed: no file comes of it."""
    spool = host.process()
    spool.erase(at_once=True)
    assert not host.folder.exists()

    spool.put(about("a@ann"))
    spool.close()
    spool.erase(at_once=True)
