"""The ledger: its two equations, and the whole of its columns."""

from __future__ import annotations

import threading
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as some

from otel_vendor_exporters.delivery.ledger import Counts, Ledger

MOVES = {
    "accept": lambda ledger, n: ledger.accept(n),
    "leave": lambda ledger, n: ledger.leave(n),
    "come back": lambda ledger, n: ledger.come_back(n),
    "merge": lambda ledger, n: ledger.merge(n),
    "deliver": lambda ledger, n: ledger.deliver(n),
    "refuse": lambda ledger, n: ledger.refuse("http_400", n),
    "refuse waiting": lambda ledger, n: ledger.refuse("bad", n, was="waiting"),
    "drop": lambda ledger, n: ledger.drop("expired", n),
    "drop in flight": lambda ledger, n: ledger.drop("ambiguous", n, was="in_flight"),
    "see": lambda ledger, n: ledger.saw(n, {"unmatched": n}, {"long": 1}),
}

EMPTY = Counts(
    seen=0,
    mapped=0,
    ignored={},
    accepted=0,
    recovered=0,
    delivered=0,
    refused={},
    dropped={},
    waiting=0,
    in_flight=0,
    merged=0,
    handed_over=0,
    left_out={},
)


def test_starts_empty() -> None:
    """A new ledger has nothing in it, which is balanced and no loss."""
    counts = Ledger().counts()

    assert (counts, counts.balanced, counts.lost) == (EMPTY, True, 0)


def test_counts_every_column() -> None:
    """Each move is seen in its column, and nowhere else."""
    ledger = Ledger()

    ledger.saw(12, {"unmatched": 3}, {"too_long": 2})
    ledger.saw(1, {"unmatched": 1, "sampled": 5})
    ledger.accept(20)
    ledger.merge(1)
    ledger.leave(15)
    ledger.come_back(2)
    ledger.deliver(6)
    ledger.refuse("http_400", 2)
    ledger.drop("ambiguous", 1, was="in_flight")
    ledger.drop("expired", 3)
    ledger.drop("undefined", 1, was="in_flight")

    counts = ledger.counts()
    assert counts == Counts(
        seen=22,
        mapped=13,
        ignored={"unmatched": 4, "sampled": 5},
        accepted=20,
        recovered=0,
        delivered=6,
        refused={"http_400": 2},
        dropped={"ambiguous": 1, "expired": 3, "undefined": 1},
        waiting=3,
        in_flight=3,
        merged=1,
        handed_over=0,
        left_out={"too_long": 2},
    )
    assert (counts.balanced, counts.lost) == (True, 6)


@given(some.lists(some.tuples(some.sampled_from(sorted(MOVES)), some.integers(0, 1000))))
def test_is_balanced_after_every_move(moves: list[tuple[str, int]]) -> None:
    """No move, in any order, breaks an equation."""
    ledger = Ledger()

    for name, count in moves:
        MOVES[name](ledger, count)
        assert ledger.counts().balanced


def test_notices_what_is_not_balanced() -> None:
    """The equations are checked, not assumed."""
    assert not replace(EMPTY, accepted=1).balanced
    assert not replace(EMPTY, seen=1).balanced
    assert not replace(EMPTY, waiting=1).balanced


def test_counts_are_a_value() -> None:
    """What was read does not change when the ledger goes on."""
    ledger = Ledger()
    before = ledger.counts()

    ledger.accept(1)
    ledger.drop("expired", 1)

    assert before == EMPTY


def test_may_be_used_by_many_threads() -> None:
    """Moves of several threads are all counted."""
    ledger = Ledger()

    def move() -> None:
        for _ in range(1000):
            ledger.accept(3)
            ledger.leave(2)
            ledger.deliver(1)
            assert ledger.counts().balanced

    threads = [threading.Thread(target=move) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    counts = ledger.counts()
    assert (counts.accepted, counts.waiting, counts.in_flight, counts.delivered) == (12000, 4000, 4000, 4000)


def test_a_fork_starts_a_new_ledger() -> None:
    """The child's ledger is empty, and its lock is not the one a thread of the parent may hold."""
    ledger = Ledger()
    ledger.accept(5)

    with ledger._lock:
        ledger.renew_after_fork()
        assert ledger.counts() == EMPTY
