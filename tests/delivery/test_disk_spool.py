"""The durable spool: what is put in outlives the process as it was, and a forked child has nothing of it."""

from __future__ import annotations

import os
from typing import Any

import pytest

from otel_vendor_exporters.delivery.codec import BytesCodec
from otel_vendor_exporters.delivery.request import Item
from otel_vendor_exporters.delivery.spool import Inherited
from tests.delivery.spool_host import Host, TextCodec, adopt, firsts, inherit, items, names

# Forking with threads, which newer versions of Python warn of, is what these tests are about.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


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
