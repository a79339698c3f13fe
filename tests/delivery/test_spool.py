"""The in-memory spool: two lanes, bounds, merging; every item goes out exactly once."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import pytest

from otel_vendor_exporters.delivery.request import Item, Ticket
from otel_vendor_exporters.delivery.spool import MemorySpool, Put


def spool_of(max_items: int = 100, max_bytes: int = 10_000) -> MemorySpool[str]:
    return MemorySpool(max_items=max_items, max_bytes=max_bytes, merge=lambda old, new: f"{old}+{new}")


def items(names: str, size: int = 10) -> list[Item[str]]:
    return [Item(name, size) for name in names]


def firsts(names: str, key: Hashable | None = None) -> list[Item[str]]:
    return [Item(name, 10, first=True, merge_key=key) for name in names]


def names(found: Sequence[Item[str]]) -> list[str]:
    return [item.unit for item in found]


def test_gives_the_oldest_first() -> None:
    """Items go out in the order they came in, as many as asked for."""
    spool = spool_of()
    spool.put(items("ab"))
    spool.put(items("cd"))

    taken = [names(spool.take(3)), names(spool.take(3)), names(spool.take(3))]

    assert taken == [["a", "b", "c"], ["d"], []]


def test_the_first_lane_leaves_first() -> None:
    """Items marked first overtake the others, and keep their own order."""
    spool = spool_of()
    spool.put([*items("a"), *firsts("x"), *items("b"), *firsts("y")])

    taken = [names(spool.take(3)), names(spool.take(3))]

    assert taken == [["x", "y", "a"], ["b"]]


def test_equal_keys_merge() -> None:
    """Items of the first lane with one key become one, older and newer in this order."""
    spool = spool_of()

    put = [spool.put(firsts("ab", "k")), spool.put([*firsts("c", "k"), *firsts("d", "other"), *firsts("e")])]

    assert put == [Put(1, []), Put(1, [])]
    assert names(spool.take(9)) == ["a+b+c", "d", "e"]


def test_a_merged_item_lives_as_long_as_its_newest_part() -> None:
    """The merged item expires when the last that went into it does."""
    spool = spool_of()
    for expires in (1000.0, 2000.0):
        spool.put([Item("a", 10, first=True, merge_key="k", expires_at_unix_ms=expires)])

    assert names(spool.expire(1500.0)) == []
    assert names(spool.expire(2001.0)) == ["a+a"]


def test_what_is_taken_is_not_merged_into() -> None:
    """An item under way stays what it was; a newer one of its key waits by itself."""
    spool = spool_of()
    spool.put(firsts("a", "k"))
    (under_way,) = spool.take(1)

    put = spool.put(firsts("b", "k"))

    assert (put.merged, under_way.unit, names(spool.take(9))) == (0, "a", ["b"])


def test_what_comes_back_stands_in_front() -> None:
    """Items that did not leave are the oldest again, in their old order."""
    spool = spool_of()
    spool.put([*firsts("xy"), *items("abc")])
    taken = spool.take(4)
    spool.put([*firsts("z"), *items("d")])

    spool.give_back(taken)

    assert names(spool.take(99)) == ["x", "y", "z", "a", "b", "c", "d"]


def test_what_comes_back_merges_as_the_older() -> None:
    """An item that comes back is the older part, and the newer one tells how long both live."""
    spool = spool_of()
    spool.put([Item("old", 10, first=True, merge_key="k", expires_at_unix_ms=1000.0)])
    taken = spool.take(1)
    spool.put([Item("new", 10, first=True, merge_key="k", expires_at_unix_ms=2000.0)])

    put = spool.give_back(taken)

    assert (put.merged, len(spool), names(spool.expire(1500.0))) == (1, 1, [])
    assert names(spool.take(1)) == ["old+new"]


def test_the_oldest_make_room_for_count() -> None:
    """Past the number of items the oldest of the second lane go, then the oldest of the first."""
    spool = spool_of(max_items=3)
    spool.put([*firsts("x"), *items("ab")])

    evicted = [names(spool.put(items("c")).evicted), names(spool.put(firsts("yzw")).evicted)]

    assert evicted == [["a"], ["b", "c", "x"]]
    assert names(spool.take(9)) == ["y", "z", "w"]


def test_the_oldest_make_room_for_bytes() -> None:
    """Past the number of bytes the oldest go."""
    spool = spool_of(max_bytes=100)
    spool.put(items("abc", size=30))

    put = spool.put(items("d", size=50))

    assert (names(put.evicted), names(spool.take(9))) == (["a", "b"], ["c", "d"])


@pytest.mark.parametrize("first", [True, False])
def test_what_can_never_fit_does_not_push_out_the_others(first: bool) -> None:
    """An item larger than the whole spool is turned away by itself."""
    spool = spool_of(max_bytes=100)
    spool.put(items("ab"))

    put = spool.put([Item("huge", 101, first=first), *items("c")])

    assert (names(put.evicted), names(spool.take(9))) == (["huge"], ["a", "b", "c"])


def test_what_is_under_way_counts_against_the_bounds() -> None:
    """Taken items hold their room until they are settled."""
    spool = spool_of(max_items=3, max_bytes=30)
    spool.put(items("abc"))
    taken = spool.take(2)

    full = names(spool.put(items("d")).evicted)
    spool.settle(taken)
    free = names(spool.put(items("ef")).evicted)

    assert (full, free, names(spool.take(9))) == (["c"], [], ["d", "e", "f"])


def test_what_comes_back_to_a_full_spool_is_the_oldest() -> None:
    """No more than the bounds ever wait; who comes back makes room like any oldest."""
    spool = spool_of(max_items=2)
    spool.put(items("ab"))
    taken = spool.take(2)
    evicted = [names(spool.put(items("c")).evicted), names(spool.give_back(taken).evicted)]

    assert (evicted, names(spool.take(9))) == ([["c"], []], ["a", "b"])


def test_the_old_expire() -> None:
    """What is too old is removed; what has no age stays."""
    spool = spool_of()
    spool.put(
        [Item(name, 10, expires_at_unix_ms=age) for name, age in (("a", 10.0), ("b", 20.0), ("c", 30.0))]
    )
    spool.put([Item("x", 10, first=True, expires_at_unix_ms=5.0), Item("y", 10, first=True)])

    expired = [names(spool.expire(5.0)), names(spool.expire(25.0))]

    assert expired == [[], ["x", "a", "b"]]
    assert names(spool.take(9)) == ["y", "c"]


def test_the_old_expire_wherever_they_stand() -> None:
    """Behind what is fresher, behind what never expires, and among what came back or was inherited."""
    spool = spool_of()
    ages = {"a": 30.0, "b": 10.0, "c": None, "d": 20.0}
    spool.put([Item(name, 10, expires_at_unix_ms=age) for name, age in ages.items()])
    taken = spool.take(2)
    inherited = {"e": 40.0, "f": 15.0}
    spool.put_inherited([Item(name, 10, expires_at_unix_ms=age) for name, age in inherited.items()])

    expired = [names(spool.expire(12.0)), names(spool.expire(18.0))]
    spool.give_back(taken)
    expired += [names(spool.expire(18.0)), names(spool.expire(35.0)), names(spool.expire(99.0))]

    assert expired == [[], ["f"], ["b"], ["a", "d"], ["e"]]
    assert names(spool.take(9)) == ["c"]


def test_expiry_and_eviction_free_their_room() -> None:
    """Room is room again, however it came free."""
    spool = spool_of(max_items=4, max_bytes=40)
    spool.put([Item("old", 10, expires_at_unix_ms=1.0), *items("ab"), *firsts("m", "k")])
    spool.put(firsts("n", "k"))
    spool.expire(2.0)

    evicted = spool.put(items("c")).evicted

    assert (names(evicted), names(spool.take(9))) == ([], ["m+n", "a", "b", "c"])


def test_ends() -> None:
    """The end gives everything that waits, and frees its room; what is under way stays under way."""
    spool = spool_of(max_items=3)
    spool.put([*items("ab"), *firsts("x")])
    spool.take(1)

    drained = names(spool.end().lost)

    assert (drained, len(spool)) == (["a", "b"], 0)
    assert names(spool.put(items("cde")).evicted) == ["c"]


def test_what_cannot_be_merged_goes_on_apart() -> None:
    """A fault in the vendor's merging loses nothing, neither of new items nor of those that come back."""

    def merge(older: str, newer: str) -> str:
        raise ArithmeticError(f"{older} and {newer}")

    spool: MemorySpool[str] = MemorySpool(max_items=100, max_bytes=10_000, merge=merge)
    assert spool.put(firsts("ab", key="k")) == Put(0, [])
    taken = spool.take(1)
    spool.put(firsts("c", key="k"))
    assert spool.give_back(taken) == Put(0, [])

    assert sorted(names(spool.take(9))) == ["a", "b", "c"]


def test_what_merges_keeps_its_callers() -> None:
    """The item that lives on has the tickets of both, also when it came back and took in a newer one."""
    spool: MemorySpool[str] = MemorySpool(max_items=10, max_bytes=1000, merge=lambda old, new: old + new)
    tickets = [Ticket(expected=1) for _ in range(4)]

    def item(number: int, ticket: Ticket | None) -> Item[str]:
        return Item(str(number), 10, first=True, merge_key="k", ticket=ticket)

    spool.put([item(0, None), item(1, tickets[0]), item(2, tickets[1])])
    taken = spool.take(1)
    spool.put([item(3, tickets[2]), item(4, tickets[3])])
    spool.give_back(taken)

    (whole,) = spool.take(1)
    assert whole.unit == "01234"
    assert whole.ticket is tickets[0]
    assert {id(one) for one in whole.ticket.everyone()} == {id(one) for one in tickets}
