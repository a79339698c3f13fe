"""What dead processes left is adopted: as much as fits, in order, and each item once."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from otel_vendor_exporters.delivery import journal
from otel_vendor_exporters.delivery.disk_spool import SCAN_SECONDS, DiskSpool
from otel_vendor_exporters.delivery.estate import Estate
from otel_vendor_exporters.delivery.journal import Content, Journal, Label
from otel_vendor_exporters.delivery.request import Item
from otel_vendor_exporters.delivery.spool_writing import RETRY_SECONDS
from otel_vendor_exporters.errors import SpoolError
from tests.delivery.spool_host import LABEL, Host, Killed, adopt, firsts, inherit, items, killed, names


def test_only_what_fits_is_adopted(host: Host) -> None:
    """The rest stays on disk, and is adopted once there is room, each item once."""
    first = host.process(max_items=2000, max_bytes=10**6)
    first.put(items([str(number) for number in range(1200)]))
    host.die(first)
    second = host.process(max_items=1000, max_bytes=10**6)
    second.put(items("gh"))

    (found,) = adopt(second)
    taken = second.take(99_999)
    second.settle(taken)
    (rest,) = adopt(second)

    assert (found.put.evicted, rest.put.evicted) == ([], [])
    assert 0 < found.items <= 998
    assert found.items + rest.items == 1200
    both = names(taken) + names(second.take(99_999))
    assert sorted(both) == sorted([*map(str, range(1200)), "g", "h"])
    assert both[found.items :][:2] == ["g", "h"]


def test_what_several_left_goes_out_oldest_first(host: Host) -> None:
    """File by file, each in its order, and then what is our own: also after what was taken came back."""
    left: list[Path] = []
    for age, units in enumerate(("abc", "de", "f", "ghi")):
        spool = host.process()
        spool.put(items(units))
        host.die(spool)
        (path,) = host.folder.glob("*.spool")
        os.utime(path, (age, age))
        left.append(host.folder.rename(host.folder.with_name(units)))
    bring(host, left[1:3])
    last = host.process()
    last.put(items("xy"))
    first_of_own = last.take(1)
    adopt(last)
    last.give_back([*last.take(2), *first_of_own])
    bring(host, [left[0], left[3]])
    adopt(last)
    (large,) = last.take(1)
    last.replace(large, items("DE"))
    last.put(items("z"))
    host.die(last)
    after = host.process()
    adopt(after)

    assert "".join(names(after.take(99))) == "DEefabcghixyz"


def bring(host: Host, folders: Iterable[Path]) -> None:
    """Let the files of other folders stand in the host's."""
    host.folder.mkdir(exist_ok=True)
    for path in (path for folder in folders for path in folder.iterdir()):
        path.rename(host.folder / path.name)


def test_a_strangers_file_is_opened_once(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever of our own is found beside it, and however often: until somebody has written to it."""
    opened: list[str] = []

    def read(path: Path, label: Label) -> Content | str | None:
        opened.append(path.name)
        return journal.read(path, label)

    monkeypatch.setattr("otel_vendor_exporters.delivery.estate.read", read)
    for label in (replace(LABEL, identity=("another key",)), LABEL):
        host.label = label
        for process in [host.process() for _ in range(3)]:
            process.put(items("a"))
            host.die(process)
            (new,) = (path for path in host.folder.glob("*.spool") if path.stat().st_mtime > 1000)
            os.utime(new, (len(host.open), len(host.open)))  # strangers are older
    living = host.process()

    first = [one.items for one in adopt(living)]
    opened_first = sorted(opened)
    later = adopt(living)
    opened_later = opened[len(opened_first) :]
    strangers = sorted(path for path in host.folder.glob("*.spool") if path.stat().st_mtime < 1000)
    os.utime(strangers[0], (2000, 2000))
    adopt(living)

    assert (first, later, opened_later) == ([1, 1, 1], [], [])
    assert len(opened_first) == len(set(opened_first)) == 6
    assert (len(strangers), opened[len(opened_first) :]) == (3, [strangers[0].name])


def test_a_look_among_strangers_can_be_left_and_gone_on_with(host: Host) -> None:
    """When its time is over, after each file; then it goes on with the next, up to our own."""
    host.label = replace(LABEL, identity=("another key",))
    for process in [host.process() for _ in range(3)]:
        process.put(items("a"))
        host.die(process)
    for path in host.folder.glob("*.spool"):
        os.utime(path, (1, 1))
    host.label = LABEL
    own = host.process()
    own.put(items("b"))
    host.die(own)
    living = host.process()

    claims = [living.claim(until=host.clock.monotonic()) for _ in range(3)]
    estate = living.claim(until=host.clock.monotonic())
    assert estate is not None
    found = inherit(living, estate)
    is_looking = living.is_looking, living.claim(), living.is_looking

    assert (claims, found.items, names(living.take(9))) == ([None] * 3, 1, ["b"])
    assert is_looking == (True, None, False)
    assert living.seconds_until_claim(host.clock.monotonic()) == SCAN_SECONDS


@pytest.mark.parametrize("bounds", [{"max_items": 4}, {"max_bytes": 45}], ids=["items", "bytes"])
def test_what_a_larger_queue_held_waits_where_it_is(host: Host, bounds: dict[str, int]) -> None:
    """Of one export, too: the oldest that fit are adopted, and nothing has to make room for the others."""
    first = host.process()
    first.put(items("abcdefghi"))
    host.die(first)
    second = host.process(**bounds)

    found, taken = [], []
    for _ in range(3):
        (one,) = adopt(second)
        found.append((one.items, one.put.evicted))
        going = second.take(99)
        second.settle(going)
        taken += names(going)

    assert found == [(4, []), (4, []), (1, [])]
    assert taken == [*"abcdefghi"]
    assert len(list(host.folder.glob("*.spool"))) == 1  # its own


def test_what_is_larger_than_the_whole_queue_blocks_nothing(host: Host) -> None:
    """It is turned away, as one that is kept here would be; what stands around it is adopted."""
    first = host.process()
    first.put([*items("ab"), Item("large", 50), *items("cdef")])
    host.die(first)
    second = host.process(max_bytes=45)

    (found,) = adopt(second)
    taken = second.take(99)
    second.settle(taken)
    (rest,) = adopt(second)
    host.die(second)
    third = host.process()
    adopt(third)

    assert (names(found.put.evicted), names(taken), rest.put.evicted) == (["large"], [*"abcd"], [])
    assert names(third.take(99)) == ["e", "f"]


def test_what_cannot_be_read_is_counted_once(host: Host) -> None:
    """However many times the rest of its file has to wait for room."""
    first = host.process()
    for names_of_one in ("broken", "abc", "def"):
        first.put(items(names_of_one))
    host.die(first)
    (path,) = host.folder.glob("*.spool")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE segments SET body = x'00' WHERE block = 0")
    second = host.process(max_items=2)

    found = []
    for _ in range(4):
        for one in adopt(second):
            going = second.take(99)
            second.settle(going)
            found.append((names(going), one.items, one.unreadable))

    assert found == [(["a", "b"], 3, 1), (["c", "d"], 2, 0), (["e", "f"], 2, 0)]


@pytest.mark.parametrize("again", [True, False])
def test_what_was_under_way_is_counted_with_what_it_stood_before(host: Host, again: bool) -> None:
    """Of an export that is adopted piece by piece each item has one outcome."""
    host.again = again
    first = host.process()
    first.put(items("abcdef"))
    taken = first.take(6)
    first.leave([taken[1], taken[4]])
    first.settle([taken[0]])
    first.give_back(taken[5:])
    first._mark_settled()
    host.die(first)
    second = host.process(max_items=2)

    found = []
    for _ in range(3):
        for one in adopt(second):
            going = second.take(99)
            second.settle(going)
            found.append((names(going), one.items, one.ambiguous))

    in_pieces = [(["b", "c"], 2, 0), (["d", "e"], 2, 0), (["f"], 1, 0)]
    assert found == (in_pieces if again else [(["c", "d"], 4, 2), (["f"], 1, 0)])


@pytest.mark.parametrize("at", ["hand_over", "leave"])
@pytest.mark.parametrize("oldest_first", [True, False])
@pytest.mark.parametrize("adopted", [0, 2])
def test_an_adoption_of_a_part_that_was_cut_short_doubles_and_loses_nothing(
    host: Host, monkeypatch: pytest.MonkeyPatch, at: str, oldest_first: bool, adopted: int
) -> None:
    """Two files have the same part of an export, and one the rest of it: each item goes out once."""
    first = host.process()
    first.put(items("abcdefgh"))
    host.die(first)
    spool = host.process(max_items=3 + adopted)
    if adopted:
        spool.put(items("xyz"))
        adopt(spool)
        spool.settle(spool.take(3 + adopted)[adopted:])
    killed_while_adopting(host, monkeypatch, at, spool)
    left = sorted(
        host.folder.glob("*.spool"), key=lambda path: path.stat().st_mtime, reverse=not oldest_first
    )
    for age, path in enumerate(left):
        os.utime(path, (age, age))

    sent = []
    third = host.process(max_items=2)
    for _ in range(6):
        adopt(third)
        taken = third.take(99)
        third.leave(taken)
        third.settle(taken)
        sent += names(taken)

    assert sorted(set(sent) - {*"xyz"}) == [*"abcdefgh"]
    assert len(sent) == len(set(sent))


def killed_while_adopting(
    host: Host, monkeypatch: pytest.MonkeyPatch, at: str, spool: DiskSpool[str] | None = None
) -> DiskSpool[str]:
    """A process that died after it had written down the first portion, at a method of the other file's."""
    spool = host.process() if spool is None else spool
    estate = spool.claim()
    assert estate is not None
    with monkeypatch.context() as patched:
        patched.setattr(Estate, at, killed)
        with pytest.raises(Killed):
            inherit(spool, estate)
    estate.lock.release()
    host.die(spool)
    return spool


@pytest.mark.parametrize("at", ["hand_over", "leave"])
@pytest.mark.parametrize("oldest_first", [True, False])
@pytest.mark.parametrize("again", [True, False])
def test_an_adoption_that_was_cut_short_doubles_nothing(
    host: Host, monkeypatch: pytest.MonkeyPatch, at: str, oldest_first: bool, again: bool
) -> None:
    """An adopter dies and two files have the same items: each goes out once, even if long after the other."""
    host.again = again
    first = host.process()
    first.put([*items("abc"), *firsts("k:1")])
    host.die(first)
    killed_while_adopting(host, monkeypatch, at)
    left = sorted(
        host.folder.glob("*.spool"), key=lambda path: path.stat().st_mtime, reverse=not oldest_first
    )
    for age, path in enumerate(left):
        os.utime(path, (age, age))

    third, sent = host.process(), []
    while (estate := third.claim()) is not None:
        inherit(third, estate)
        taken = third.take(99)
        third.leave(taken)
        third.settle(taken)
        sent += names(taken)

    assert len(left) == 2
    assert sorted(sent) == ["a", "b", "c", "k:1"]


def test_two_adopt_what_an_adopter_left(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one has the file, the other leaves what was copied from it to a later time: each item once."""
    first = host.process(max_items=2000, max_bytes=10**6)
    first.put(items([str(number) for number in range(1200)]))
    host.die(first)
    killed_while_adopting(host, monkeypatch, "hand_over")
    old = min(host.folder.glob("*.spool"), key=lambda path: path.stat().st_mtime)
    os.utime(old, (1, 1))

    third, fourth = (host.process(max_items=2000, max_bytes=10**6) for _ in range(2))
    estate = third.claim()
    assert estate is not None
    during = fourth.claim()
    inherit(third, estate)
    adopt(fourth)

    assert (estate.path, during) == (old, None)
    both = names(third.take(9999)) + names(fourth.take(9999))
    assert sorted(both) == sorted(map(str, range(1200)))


@pytest.mark.parametrize("writable", [True, False])
def test_a_file_that_cannot_be_marked_is_not_adopted(
    host: Host, monkeypatch: pytest.MonkeyPatch, writable: bool
) -> None:
    """What was copied is taken back, and stays where it was, whether our own file can be written or not."""
    first = host.process()
    first.put(items("abc"))
    host.die(first)
    second = host.process()
    second.put(items("x"))
    estate = second.claim()
    assert estate is not None
    with monkeypatch.context() as patched:
        patched.setattr("otel_vendor_exporters.delivery.estate.settle", cannot_settle)
        if not writable:
            good = Journal.write
            only_new = lambda own, changes: good(own, changes) if changes.new else cannot_settle()  # noqa: E731
            patched.setattr(Journal, "write", only_new)
        found = inherit(second, estate)
    here = names(second.take(9))
    host.clock.advance(RETRY_SECONDS + 1)
    second.put(items("y"))
    third = host.process()
    adopt(third)

    assert (found.items, here) == (0, ["x"])
    assert names(third.take(9)) == ["a", "b", "c"]
    assert names(second.take(9)) == ["y"]


def cannot_settle(*args: Any) -> None:
    raise SpoolError("Input/output error")


def test_what_a_death_at_the_wrong_moment_leaves_is_tidied(host: Host) -> None:
    """Locks and logs without their file go; those of living processes and damaged files stay."""
    host.folder.mkdir()
    for name in ("shop-1-a.spool.lock", "shop-2-b.spool-wal", "shop-2-b.spool-shm", "shop-3-c.spool.damaged"):
        (host.folder / name).touch()
    living = host.process()
    living.put(items("a"))
    own = [name for name in host.files() if f"-{os.getpid()}-" in name]

    adopt(host.process())

    assert host.files() == sorted([*own, "shop-3-c.spool.damaged"])
