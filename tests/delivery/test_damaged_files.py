"""Files that no process should have left: whatever stands in them, the others have their turn."""

from __future__ import annotations

import logging
import os
import random
import resource
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from otel_vendor_exporters.delivery import estate
from otel_vendor_exporters.delivery.disk_errors import disk_errors
from otel_vendor_exporters.delivery.disk_spool import DiskSpool
from otel_vendor_exporters.delivery.estate import Estate
from otel_vendor_exporters.delivery.request import Item
from tests.delivery.fakes import Log, NumbersServer, Ways
from tests.delivery.processes import in_a_child
from tests.delivery.spool_host import Host, Killed, adopt, firsts, inherit, items, killed, names

# Forking with threads, which newer versions of Python warn of, is what these tests are about.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")

MUTATIONS = 200
PAGE_BYTES = 16_384


def bytes_of_a_schema(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"CREATE TABLE label", b"CREAT\xc9 TABLE label"))


def sql(statement: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(statement)
        connection.close()

    return change


@pytest.mark.parametrize(
    "spoil",
    [
        bytes_of_a_schema,
        sql("UPDATE label SET salt = 'text'"),
        sql("UPDATE label SET salt = zeroblob(99)"),
        sql("UPDATE label SET salt = NULL"),
        sql("UPDATE segments SET body = 'text'"),
        sql("UPDATE segments SET body = 5, origin = zeroblob(9)"),
        sql("UPDATE segments SET origin = CAST(x'ff' AS TEXT)"),
        sql("UPDATE segments SET block = -7"),
        sql("UPDATE segments SET block = 9223372036854775807"),
        sql("UPDATE segments SET first = 'text', age = 'text'"),
        sql("DROP TABLE segments"),
        sql("ALTER TABLE segments ADD COLUMN more"),
    ],
)
def test_a_file_with_other_content_holds_up_nobody(host: Host, spoil: Callable[[Path], None]) -> None:
    """Set aside or left, and what others left behind is adopted."""
    for name in "ab":
        spool = host.process()
        spool.put(items(name))
        host.die(spool)
    path, _ = sorted(host.folder.glob("*.spool"), key=lambda one: one.stat().st_mtime)
    spoil(path)

    third = host.process()
    for _ in range(3):
        adopt(third)

    assert "b" in names(third.take(9))


def test_mutated_files_hold_up_nobody(host: Host) -> None:
    """Whichever bytes of a file are others, a look at the folder ends, raises nothing and adopts the rest."""
    left = host.process()
    left.put([*items([f"item {number}" for number in range(60)]), *firsts("k:1")])
    host.die(left)
    content = {path.name: path.read_bytes() for path in host.folder.iterdir()}
    (name,) = (name for name in content if name.endswith(".spool"))
    places = [place for place, byte in enumerate(content[name]) if byte]
    chance = random.Random(7)
    for _ in range(MUTATIONS):
        shutil.rmtree(host.folder)
        good = host.process()
        good.put(items(["good"]))
        host.die(good)
        for each, body in content.items():
            (host.folder / each).write_bytes(body)
        changed = bytearray(content[name])
        for place in chance.choices(places, k=chance.choice([1, 1, 2, 5])):
            changed[place] = chance.randrange(256)
        (host.folder / name).write_bytes(changed)
        adopter = host.process(max_items=1000, max_bytes=10**10)
        adopt(adopter)
        assert "good" in names(adopter.take(999))
        adopter.close()


def test_the_sender_outlives_any_fault_of_an_adoption(
    ways: Ways, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Log
) -> None:
    """Said, and everything is delivered."""

    def broken(*args: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(DiskSpool, "claim", broken)
    with NumbersServer() as server:
        way = ways(server.url, spool_dir=tmp_path)
        for number in range(3):
            way.keep([number])
            assert way.delivery.flush(5)

    assert server.numbers == [0, 1, 2]
    assert "cannot be adopted" in caplog.text


@pytest.mark.parametrize("killed_at", ["claim", "hand_over", "set aside"])
def test_what_can_be_read_of_a_damaged_file_is_not_lost(
    host: Host, monkeypatch: pytest.MonkeyPatch, killed_at: str
) -> None:
    """Set aside only once that is in another file: whenever a process dies over it."""
    left_damaged(host)
    second = host.process(max_items=1000, max_bytes=10**9)
    with monkeypatch.context() as patched:
        patched.setattr("otel_vendor_exporters.delivery.estate._set_aside", killed)
        estate = second.claim()
        assert estate is not None
        if killed_at == "hand_over":
            patched.setattr(Estate, "hand_over", killed)
        if killed_at != "claim":
            with pytest.raises(Killed):
                inherit(second, estate)
            host.die(second)
    estate.lock.release()
    before = list(host.folder.glob("*.damaged"))

    third = host.process(max_items=1000, max_bytes=10**9)
    for _ in range(2):
        adopt(third)
    found = [int(name.strip("x")) for name in names(third.take(999))]

    assert before == []
    assert (found, 10 <= len(found) < 40) == (list(range(len(found))), True)
    assert [path.suffix for path in host.folder.glob(f"{estate.path.name}*")] == [".damaged"]


def left_damaged(host: Host) -> None:
    """A file of which some pages are no more."""
    first = host.process(max_items=1000, max_bytes=10**9)
    for number in range(40):
        first.put([Item(f"{number}".ljust(6000, "x"), 6000)])
    host.die(first)
    (path,) = host.folder.glob("*.spool")
    whole = path.read_bytes()
    path.write_bytes(whole[: -3 * PAGE_BYTES] + b"\xff" * 3 * PAGE_BYTES)


# What is no damage


@pytest.mark.parametrize("words", ["unable to open database file", "disk I/O error", "database is locked"])
def test_a_healthy_file_that_cannot_be_read_now_is_left(
    host: Host, monkeypatch: pytest.MonkeyPatch, caplog: Log, words: str
) -> None:
    """The adopter's own want of something is no damage: said, and adopted by a later look."""
    first = host.process()
    first.put(items("abc"))
    host.die(first)

    def refusing(*args: Any) -> None:
        with disk_errors():
            raise sqlite3.OperationalError(words)

    second = host.process()
    with monkeypatch.context() as patched:
        patched.setattr(estate, "read", refusing)
        assert adopt(second) == []
    adopt(second)

    assert names(second.take(9)) == ["a", "b", "c"]
    assert f"cannot be adopted: {words}" in caplog.text


def test_without_file_descriptors_nothing_is_set_aside(host: Host) -> None:
    """A process that may open no more files leaves what it finds as it is."""
    first = host.process()
    first.put(items("abc"))
    host.die(first)

    def child() -> bool:
        logging.disable(logging.CRITICAL)
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        lowest_free = os.dup(0)
        os.close(lowest_free)
        for spare in range(5):
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free + spare, hard))
            estate = host.process().claim()
            if estate is not None:
                estate.leave()
        return not list(host.folder.glob("*.damaged"))

    assert in_a_child(child)
    assert [one.items for one in adopt(host.process())] == [3]
