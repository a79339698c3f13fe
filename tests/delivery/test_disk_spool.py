"""The durable spool: what is put in outlives the process, and the disk's troubles stay the disk's."""

from __future__ import annotations

import logging
import os
import resource
import shutil
import sqlite3
import stat
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from otel_vendor_exporters.delivery import journal, segments
from otel_vendor_exporters.delivery.codec import BytesCodec
from otel_vendor_exporters.delivery.disk_errors import disk_errors
from otel_vendor_exporters.delivery.disk_spool import DiskSpool
from otel_vendor_exporters.delivery.estate import Estate
from otel_vendor_exporters.delivery.journal import Journal, Label
from otel_vendor_exporters.delivery.notices import Notices
from otel_vendor_exporters.delivery.request import Item
from otel_vendor_exporters.delivery.spool import Inherited, MemorySpool, Put
from otel_vendor_exporters.delivery.spool_writing import RETRY_SECONDS, Disk
from otel_vendor_exporters.errors import SpoolError
from tests.delivery.fakes import FakeClock
from tests.delivery.test_processes import in_a_child

# Forking with threads, which newer versions of Python warn of, is what these tests are about.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")

SECRET = "s3cret-api-key"
LABEL = Label("shop", "text/1", "https://vendor.example/v1", (SECRET, "production"))
Log = pytest.LogCaptureFixture


class TextCodec:
    """Texts; "merge" before a colon is what they merge by."""

    units = "text/1"

    def encode(self, unit: str) -> bytes:
        return unit.encode()

    def decode(self, body: bytes) -> str:
        return body.decode()

    def merge_key(self, unit: str) -> Hashable | None:
        return unit.partition(":")[0] if ":" in unit else None

    def subjects(self, unit: str) -> tuple[str, ...]:
        return tuple(unit.split("@")[1:])


@dataclass
class Host:
    """A machine with a spool folder and processes that come and go."""

    folder: Path
    clock: FakeClock
    label: Label = LABEL
    again: bool = False
    open: list[DiskSpool[str]] = field(default_factory=list)

    def process(self, *, max_items: int = 100, max_bytes: int = 10_000) -> DiskSpool[str]:
        memory: MemorySpool[str] = MemorySpool(
            max_items=max_items, max_bytes=max_bytes, merge=lambda old, new: f"{old}+{new}"
        )
        disk = Disk(self.folder, self.label, TextCodec(), self.again)
        self.notices = Notices(logging.getLogger("otel_vendor_exporters.shop"), self.clock)
        self.open.append(DiskSpool(disk, memory, self.clock, self.notices))
        return self.open[-1]

    def die(self, spool: DiskSpool[str]) -> None:
        """What is left when a process is killed: the file, and no lock."""
        found = spool._journal
        assert found is not None
        found._connection.close()  # tidies the log up, which a kill does not: the content is the same
        found._lock.release()
        spool._journal = None
        spool._closed = True

    def close(self) -> None:
        for spool in self.open:
            spool.close()

    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())


@pytest.fixture
def host(tmp_path: Path, clock: FakeClock) -> Iterator[Host]:
    made = Host(tmp_path / "spool", clock)
    yield made
    made.close()


def items(names: Iterable[str], size: int = 10) -> list[Item[str]]:
    return [Item(name, size) for name in names]


def firsts(*names: str, expires: float | None = None) -> list[Item[str]]:
    key = TextCodec().merge_key
    return [Item(one, 10, first=True, merge_key=key(one), expires_at_unix_ms=expires) for one in names]


def names(found: Sequence[Item[str]]) -> list[str]:
    return [item.unit for item in found]


def adopt(spool: DiskSpool[str]) -> list[Inherited[str]]:
    """Adopt everything there is."""
    found = []
    while (estate := spool.claim()) is not None:
        one = inherit(spool, estate)
        if not one.items:
            break  # it was left
        found.append(one)
    return found


def inherit(spool: DiskSpool[str], estate: Estate) -> Inherited[str]:
    """Adopt of an estate what there is room for."""
    found: list[Inherited[str]] = []
    for portion in spool.portions(estate):
        one = spool.inherit(estate, portion)
        if one is None:
            break
        found.append(one)
    estate.leave()
    evicted = [item for one in found for item in one.put.evicted]
    put = Put(sum(one.put.merged for one in found), evicted)
    counts = [(one.items, one.ambiguous, one.unreadable) for one in found]
    total, ambiguous, unreadable = (sum(column) for column in zip((0, 0, 0), *counts, strict=True))
    return Inherited(total, ambiguous, unreadable, put)


# What outlives the process


def test_a_subject_taken_out_is_gone_from_the_disk_too(host: Host) -> None:
    first = host.process()
    units = ("a@ann", "b@bob", "c@ann@bob", "d")
    first.put([Item(unit, 10, subjects=TextCodec().subjects(unit)) for unit in units])

    assert names(first.take_out({"ann"})) == ["a@ann", "c@ann@bob"]
    assert first.take_out({"ann"}) == []
    host.die(first)
    second = host.process()
    adopt(second)

    assert names(second.take_out({"bob"})) == ["b@bob"]
    assert names(second.take(9)) == ["d"]


@pytest.mark.parametrize("again", [False, True])
def test_the_parts_of_an_item_take_its_place_on_the_disk(host: Host, again: bool) -> None:
    """In one transaction, and before what came after it."""
    host.again = again
    first = host.process()
    first.put(items("abc"))
    (large,) = first.take(1)
    first.leave([large])
    first.replace(large, items("xy"))
    host.die(first)

    second = host.process()
    assert adopt(second) == [Inherited(4)]
    assert names(second.take(9)) == ["x", "y", "b", "c"]


def test_what_waits_outlives_the_process(host: Host) -> None:
    """Another process gets every item with all that belongs to it, oldest first, and once."""
    first = host.process()
    first.put([Item("a", 11, expires_at_unix_ms=5.0), *items("bc")])
    first.put([*items("d"), *firsts("x:1", expires=9.0)])
    host.die(first)

    second = host.process()
    found = adopt(second)

    assert found == [Inherited(5)]
    taken = second.take(99)
    assert names(taken) == ["x:1", "a", "b", "c", "d"]
    assert [(item.size_bytes, item.expires_at_unix_ms, item.first) for item in taken[:2]] == [
        (10, 9.0, True),
        (11, 5.0, False),
    ]
    assert adopt(host.process()) == []


def test_settled_items_do_not_come_back(host: Host) -> None:
    """Delivered, refused, expired and evicted items are gone from the disk too."""
    first = host.process(max_items=6)
    first.put([Item("old", 10, expires_at_unix_ms=1.0), *items("abcdefg")])
    taken = first.take(2)
    first.leave(taken)
    first.settle(taken)
    first.expire(2.0)
    first.put(items("h"))
    host.die(first)

    second = host.process()
    adopt(second)

    assert names(second.take(99)) == ["d", "e", "f", "g", "h"]


def test_what_was_merged_comes_back_as_one(host: Host) -> None:
    """The file has the sum, with the lifetime of the newest, also after a merge with what came back."""
    first = host.process()
    first.put(firsts("k:1", "k:2", expires=5.0))
    first.put(firsts("k:3", expires=7.0))
    taken = first.take(1)
    first.leave(taken)
    first.put(firsts("k:4", "m:1", expires=9.0))
    first.give_back(taken)
    host.die(first)

    second = host.process()
    adopt(second)

    found = second.take(99)
    assert names(found) == ["k:1+k:2+k:3+k:4", "m:1"]
    assert found[0].expires_at_unix_ms == 9.0


def test_adopted_items_merge_with_what_waits(host: Host) -> None:
    """They are the older part."""
    first = host.process()
    first.put(firsts("k:1"))
    host.die(first)
    second = host.process()
    second.put(firsts("k:2"))

    found = adopt(second)
    host.die(second)
    third = host.process()
    adopt(third)

    assert [one.put.merged for one in found] == [1]
    assert names(third.take(9)) == ["k:1+k:2"]


@pytest.mark.parametrize("again", [False, True])
def test_what_was_in_flight_is_ambiguous(host: Host, again: bool) -> None:
    """Items under way when the process died are sent again only where that is wanted; all others always."""
    host.again = again
    first = host.process()
    first.put(items("abcdef"))
    taken = first.take(4)
    first.leave(taken)
    first.give_back(taken[1:2])
    first.stay(taken[2:3])
    host.die(first)

    second = host.process()
    found = adopt(second)

    assert [(one.items, one.ambiguous) for one in found] == [(6, 0 if again else 2)]
    assert names(second.take(9)) == (["a", "b", "c", "d", "e", "f"] if again else ["b", "c", "e", "f"])


def test_what_leaves_together_may_stand_far_apart(host: Host) -> None:
    """What stands between items that leave, or stay after all, together stays what it is."""
    first = host.process(max_items=20_000, max_bytes=10**6)
    first.put(items([str(number) for number in range(12_000)]))
    taken = first.take(20_000)
    first.leave([taken[place] for place in (9001, 9000, 3, 5, 4200, 4, 2)])
    first.leave(taken[10:11])
    first.stay([taken[place] for place in (9001, 10, 2)])
    host.die(first)
    second = host.process(max_items=20_000, max_bytes=10**6)
    found = [one.ambiguous for one in adopt(second)]

    gone = {9000, 3, 5, 4200, 4}
    assert found == [5]
    assert names(second.take(20_000)) == [str(number) for number in range(12_000) if number not in gone]


def test_what_was_only_taken_is_not_in_flight(host: Host) -> None:
    """Packed and not yet under way is not lost."""
    first = host.process()
    first.put(items("abc"))
    first.take(3)
    host.die(first)
    second = host.process()

    assert adopt(second) == [Inherited(3)]


def test_the_end_leaves_everything_to_the_next(host: Host) -> None:
    """At shutdown what waits stays on disk and is counted as handed over."""
    first = host.process()
    first.put([*items("abc"), *firsts("k:1")])
    first.settle(first.take(1))
    ended = first.end()
    first.close()
    second = host.process()
    adopt(second)

    assert (ended.handed_over, ended.lost) == (3, [])
    assert names(second.take(9)) == ["a", "b", "c"]


def test_an_empty_file_is_removed(host: Host) -> None:
    """When all is delivered nothing stays in the folder."""
    spool = host.process()
    spool.put(items("abc"))
    spool.settle(spool.take(3))
    during = len(host.files())
    spool.close()

    assert (during > 0, host.files()) == (True, [])


def test_nothing_is_written_before_there_is_something(host: Host) -> None:
    """A constructor touches no disk."""
    host.process()

    assert not host.folder.exists()


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


def test_what_can_never_fit_obeys_the_bounds(host: Host) -> None:
    """Of a process with a larger queue: the oldest make room, in memory and on disk."""
    first = host.process()
    first.put(items("abcdef"))
    host.die(first)
    second = host.process(max_items=4)

    (found,) = adopt(second)
    host.die(second)
    third = host.process()
    adopt(third)

    assert names(found.put.evicted) == ["a", "b"]
    assert names(third.take(99)) == ["c", "d", "e", "f"]


class Killed(BaseException):
    """The end of a process in the middle of something."""


def killed(*args: Any) -> None:
    raise Killed


def killed_while_adopting(host: Host, monkeypatch: pytest.MonkeyPatch, at: str) -> DiskSpool[str]:
    """A process that died after it had written down the first portion, at a method of the other file's."""
    spool = host.process()
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


# Whose files


def test_a_living_process_keeps_its_file(host: Host) -> None:
    """Nobody adopts what is in use, in this process or another."""
    first = host.process()
    first.put(items("abc"))

    def child() -> bool:
        return host.process().claim() is None

    assert host.process().claim() is None
    assert in_a_child(child)
    assert names(first.take(9)) == ["a", "b", "c"]


@pytest.mark.parametrize(
    "other",
    [
        replace(LABEL, identity=("another key", "production")),
        replace(LABEL, identity=(SECRET, "development")),
        replace(LABEL, address="https://elsewhere.example"),
        replace(LABEL, units="text/2"),
        replace(LABEL, vendor="shop-two"),
    ],
)
def test_only_the_same_label_adopts(host: Host, other: Label, caplog: Log) -> None:
    """Another account, environment, address or way to write leaves the file alone, without a word."""
    first = host.process()
    first.put(items("abc"))
    host.die(first)
    before = host.files()

    host.label = other
    stranger = adopt(host.process())
    host.label = LABEL
    own = adopt(host.process())

    assert (stranger, [one.items for one in own]) == ([], [3])
    assert [name for name in before if name not in host.files()] == before
    assert caplog.messages == []


def test_no_credential_reaches_the_disk(host: Host) -> None:
    """Neither the key nor a plain hash of it stands in any file."""
    import hashlib

    spool = host.process()
    spool.put(items("abc"))
    written = b"".join(path.read_bytes() for path in host.folder.iterdir())

    assert SECRET.encode() not in written
    for name in ("md5", "sha1", "sha256", "blake2b"):
        digest = hashlib.new(name, SECRET.encode())
        assert digest.digest() not in written
        assert digest.hexdigest().encode() not in written


def test_files_are_their_owners(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folder and files can be read by nobody else, whatever the umask."""
    mask = os.umask(0)
    try:
        spool = host.process()
        spool.put(items("abc"))
    finally:
        os.umask(mask)

    modes = {stat.S_IMODE(path.stat().st_mode) for path in host.folder.iterdir()}
    assert (modes, stat.S_IMODE(host.folder.stat().st_mode)) == ({0o600}, 0o700)
    assert len(host.files()) >= 3


def test_what_another_user_put_there_is_not_adopted(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of somebody else's is not taken for telemetry."""
    first = host.process()
    first.put(items("abc"))
    host.die(first)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)

    assert adopt(host.process()) == []


def test_links_are_not_followed(host: Host, tmp_path: Path) -> None:
    """A symbolic link is no spool file."""
    first = host.process()
    first.put(items("abc"))
    host.die(first)
    (path,) = host.folder.glob("*.spool")
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")

    assert adopt(host.process()) == []


def test_a_relative_folder_is_the_one_at_construction(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An application that changes its working directory later has its file where it said."""
    monkeypatch.chdir(tmp_path)
    host.folder = Path("here")
    spool = host.process()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    spool.put(items("a"))

    assert list((tmp_path / "here").glob("*.spool"))
    assert not (tmp_path / "elsewhere" / "here").exists()


# Troubles


def broken_file(path: Path) -> None:
    path.write_bytes(b"this is no database" * 100)


def foreign_file(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE theirs (a)")
    connection.close()


def future_file(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 7")
    connection.close()


def damaged_file(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096 * 2 :] = b"\xff" * (len(content) - 4096 * 2)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("spoil", "words", "stays"),
    [
        (broken_file, "is damaged (file is not a database); set aside as", False),
        (damaged_file, "is damaged", False),
        (foreign_file, "cannot be adopted: is of another program", True),
        (future_file, "cannot be adopted: has schema version 7, this version knows 1", True),
    ],
)
def test_files_that_cannot_be_used(
    host: Host, spoil: Callable[[Path], None], words: str, stays: bool, caplog: Log
) -> None:
    """Said once, set aside when damaged, left alone when not ours; and everything else goes on."""
    for names_ in ("abc", "def"):
        spool = host.process()
        spool.put(items(names_))
        host.die(spool)
    path = min(host.folder.glob("*.spool"), key=lambda one: one.stat().st_mtime)
    good = {"a", "b", "c", "d", "e", "f"} - set(_content(path))
    spoil(path)

    third = host.process()
    for _ in range(3):
        adopt(third)

    assert set(names(third.take(99))) == good
    assert [message for message in caplog.messages if words in message] == caplog.messages
    assert len(caplog.messages) == 1
    assert path.exists() is stays
    assert path.with_name(path.name + ".damaged").exists() is not stays


def _content(path: Path) -> list[str]:
    with sqlite3.connect(path) as connection:
        found = [body for (body,) in connection.execute("SELECT body FROM segments")]
    connection.close()
    return [entry.body.decode() for body in found for entry in segments.entries_of(body)]


def test_what_cannot_be_read_is_counted(host: Host) -> None:
    """A unit that no codec understands is unreadable; the others are not held up."""
    first = host.process()
    first.put(items("abc"))
    host.die(first)
    (path,) = host.folder.glob("*.spool")
    with sqlite3.connect(path) as connection:
        columns = [(None, 10, b"a"), (None, 10, b"\xff"), (None, 10, b"c")]
        connection.execute("UPDATE segments SET body = ?", [segments.joined(columns)])
    connection.close()
    second = host.process()

    assert adopt(second) == [Inherited(3, 0, 1)]
    assert names(second.take(9)) == ["a", "c"]


def test_a_codec_at_fault_costs_its_item_only(
    host: Host, monkeypatch: pytest.MonkeyPatch, caplog: Log
) -> None:
    """An item that cannot be written waits in memory; one that cannot be read is unreadable."""
    good = TextCodec.encode
    monkeypatch.setattr(TextCodec, "encode", lambda self, unit: cannot() if unit == "b" else good(self, unit))
    spool = host.process()
    spool.put(items("abc"))
    host.notices.tell()
    in_memory = len(spool)
    ended = spool.end()
    spool.close()
    monkeypatch.setattr(TextCodec, "subjects", lambda self, unit: cannot())

    assert (in_memory, ended.handed_over, names(ended.lost)) == (3, 2, ["b"])
    assert [(one.items, one.unreadable) for one in adopt(host.process())] == [(2, 2)]
    assert "cannot be written to the disk" in caplog.text


def cannot(*args: Any, **options: Any) -> Any:
    raise sqlite3.OperationalError("database or disk is full")


def test_a_full_disk_goes_on_in_memory(host: Host, monkeypatch: pytest.MonkeyPatch, caplog: Log) -> None:
    """Said once, nothing lost; a minute later everything that waits is written down again."""
    spool = host.process()
    spool.put(items("ab"))
    with monkeypatch.context() as patched:
        patched.setattr(Journal, "write", _refusing("database or disk is full"))
        spool.put(items("cd"))
        spool.put(items("e"))
        spool.settle(spool.take(1))
        host.clock.advance(RETRY_SECONDS + 1)
        spool.put(items("f"))
    host.clock.advance(RETRY_SECONDS + 1)
    spool.put(items("g"))
    host.notices.tell()
    host.die(spool)
    second = host.process()
    adopt(second)

    assert names(second.take(99)) == ["b", "c", "d", "e", "f", "g"]
    text = "shop: the spool folder cannot be written (database or disk is full): "
    assert caplog.messages[0] == text + "what is new waits in memory only"
    assert caplog.messages[-1] == "shop: what waits is written to the disk again"


@pytest.mark.parametrize("words", ["database or disk is full", "database is locked"])
def test_a_failed_write_takes_nothing_from_the_disk(
    host: Host, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    """What stood in the file when the disk failed outlives the process; what is settled since does not."""
    spool = host.process()
    spool.put([*items("abc"), *firsts("k:1")])
    with monkeypatch.context() as patched:
        patched.setattr(Journal, "write", _refusing(words))
        spool.put(items("d"))
        spool.put(firsts("k:2"))
        taken = spool.take(2)
        spool.leave(taken)
        spool.settle(taken[1:])
        spool.give_back(taken[:1])
        spool.put(items("e"))
    host.die(spool)
    second = host.process()
    adopt(second)

    assert names(second.take(9)) == ["k:1", "b", "c"]


def test_marks_that_cannot_be_written(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is settled is marked later; what leaves, and must not come twice, has no file any more."""
    spool = host.process()
    spool.put(items([str(number) for number in range(3)]))
    with monkeypatch.context() as patched:
        patched.setattr(Journal, "mark", _refusing_marks)
        taken = spool.take(1)
        spool.leave(taken)
        spool.settle(taken)
        during = host.files()
    host.clock.advance(RETRY_SECONDS + 1)
    spool.put(items("x"))
    host.die(spool)
    second = host.process()
    adopt(second)

    assert during == []
    assert names(second.take(9)) == ["1", "2", "x"]


def test_new_items_when_the_marks_before_them_fail(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """They wait in memory, and are not taken for written."""
    host.again = True
    spool = host.process()
    spool.put(items("abc"))
    with monkeypatch.context() as patched:
        patched.setattr(Journal, "mark", _refusing_marks)
        spool.settle(spool.take(3))
        spool.put(items("d"))
        lost = names(spool.end().lost)

    assert lost == ["d"]


def _refusing_marks(self: Journal, places: Sequence[int], mark: journal.Mark) -> None:
    with disk_errors():
        raise OSError(5, "Input/output error")


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


def test_what_merged_while_the_disk_failed_comes_back_once(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the process dies before the disk works again, or after."""
    for recovers in (False, True):
        spool = host.process()
        spool.put(firsts("k:1"))
        taken = spool.take(1)
        spool.put(firsts("k:2"))
        with monkeypatch.context() as patched:
            patched.setattr(Journal, "write", _refusing("database or disk is full"))
            spool.give_back(taken)
            spool.put(firsts("m:1"))
        if recovers:
            host.clock.advance(RETRY_SECONDS + 1)
            spool.put(items("a"))
        else:
            taken = spool.take(1)
            spool.leave(taken)
            spool.settle(taken)
        host.die(spool)
        second = host.process()
        adopt(second)
        found = second.take(9)
        second.settle(found)
        second.close()

        assert sorted(names(found)) == (["a", "k:1+k:2", "m:1"] if recovers else [])


def test_what_was_to_be_taken_out_while_the_disk_failed_is_blotted_out_later(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never sent, and gone from the file once the disk works again."""
    spool = host.process()
    spool.put([Item(unit, 10, subjects=TextCodec().subjects(unit)) for unit in ("a@ann", "b@bob")])
    with monkeypatch.context() as patched:
        patched.setattr(Journal, "write", _refusing("database or disk is full"))
        spool.take_out({"ann"})
        spool.put(items("c"))
    host.clock.advance(RETRY_SECONDS + 1)
    spool.put(items("d"))
    host.die(spool)

    (path,) = host.folder.glob("*.spool")
    assert [body for body in _content(path) if body] == ["b@bob", "c", "d"]


def test_what_comes_back_after_the_end_is_left_to_the_next(host: Host) -> None:
    """It stands in the file that is closed: another process sends it, so it is handed over and not lost."""
    host.again = True
    spool = host.process()
    spool.put(items("abc"))
    taken = spool.take(2)
    spool.leave(taken)
    first = spool.end()
    spool.close()
    spool.give_back(taken)
    second = spool.end()
    adopted = host.process()
    adopt(adopted)

    assert (first.handed_over, first.lost) == (1, [])
    assert (second.handed_over, second.lost) == (2, [])
    assert names(adopted.take(9)) == ["a", "b", "c"]


def _refusing(words: str) -> Callable[..., None]:
    def write(self: Journal, changes: journal.Changes) -> None:
        with disk_errors():
            raise sqlite3.OperationalError(words)

    return write


def test_a_really_full_disk(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite's own refusal, with a file that may not grow: rolled back whole, and the memory has it all."""
    spool = host.process(max_bytes=10**9)
    spool.put(items("a"))
    assert spool._journal is not None
    pages = spool._journal._connection.execute("PRAGMA page_count").fetchone()[0]
    spool._journal._connection.execute(f"PRAGMA max_page_count = {pages + 2}")

    spool.put([Item("x" * 50_000, 50_000)])

    assert [len(name) for name in names(spool.take(9))] == [1, 50_000]
    assert names(spool.end().lost) == []
    host.die(spool)
    second = host.process()
    adopt(second)
    assert names(second.take(9)) == ["a"]


def test_a_quota_that_is_used_up(host: Host) -> None:
    """A limit of the system on the size of files: it goes on in memory, and later on disk again."""

    def child() -> bool:
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
        spool = host.process(max_items=5000, max_bytes=10**9)
        spool.put(items("a"))
        spool.put([Item("x" * 1000, 1000) for _ in range(1000)])
        kept = len(spool) == 1001
        spool.settle(spool.take(1001))
        removed = host.files() == []
        host.clock.advance(RETRY_SECONDS + 1)
        spool.put(items("b"))
        written = spool.end().handed_over == 1
        spool.close()
        return kept and removed and written

    right = in_a_child(child)
    next_one = host.process()
    adopt(next_one)

    assert right
    assert names(next_one.take(9)) == ["b"]


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


def test_the_wall_clock_may_jump(host: Host) -> None:
    """Order on disk is the order of coming, whatever the times say."""
    first = host.process()
    first.put([Item("late", 10, expires_at_unix_ms=9e15)])
    first.put([Item("early", 10, expires_at_unix_ms=1.0)])
    first.put([Item("none", 10)])
    host.die(first)
    second = host.process()
    adopt(second)

    assert names(second.take(9)) == ["late", "early", "none"]


def test_a_forked_child_has_nothing_of_it(host: Host) -> None:
    """The child neither closes nor tidies up the parent's file, nor ends its lock."""
    spool = host.process()
    spool.put(items("abc"))
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        spool.abandon()
        own = host.process()
        own.put(items("z"))
        right = names(own.take(9)) == ["z"] and spool.put(items("y")).evicted == []
        own.settle(own.take(0))
        os.write(writer, b"1" if right else b"0")
        os._exit(0)
    os.waitpid(child, 0)
    answer = os.read(reader, 1)
    os.close(reader)
    os.close(writer)
    spool.put(items("d"))
    still_ours = host.process().claim()
    after = names(still_ours_items(host, still_ours))
    host.die(spool)
    second = host.process()
    adopt(second)

    assert answer == b"1"
    assert after == ["z"]  # the child's own file, left behind by its end
    assert names(second.take(9)) == ["a", "b", "c", "d"]


def still_ours_items(host: Host, estate: Any) -> list[Item[str]]:
    """Adopt the one estate there is, and look."""
    spool = host.process()
    inherit(spool, estate)
    taken = spool.take(9)
    spool.settle(taken)
    return taken


def test_bytes_are_the_trivial_case() -> None:
    """A vendor whose unit is bytes needs nothing more."""
    codec = BytesCodec()

    assert codec.decode(codec.encode(b"\x00\xff")) == b"\x00\xff"
    assert Item(b"a", 1).merge_key is None
