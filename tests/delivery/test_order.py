"""Order: what shares a key arrives in the order in which it was kept, whatever fails on the way."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from dataclasses import replace

import pytest

from otel_vendor_exporters.delivery.ready import Ready
from otel_vendor_exporters.delivery.request import Item, Outcome, Parcel, Reply, Ticket, Verdict
from otel_vendor_exporters.delivery.sender import Packed
from tests.delivery.fakes import FakeClock, FastClock, NumbersServer, Ways
from tests.delivery.loopback import GUARD_SECONDS, Answer

USERS = 7


def parcel(*keys: str) -> Parcel[str]:
    return Parcel([], None, keys=frozenset(keys))


def test_a_parcel_waits_for_those_before_it_that_share_a_key() -> None:
    """Also for one that itself still waits; others overtake."""
    ready: Ready[str] = Ready()
    first, both, second, free = parcel("a"), parcel("a", "b"), parcel("b"), parcel()
    ready.add([first, both, second, free])

    left = ready.next()
    assert left is first
    ready.leave(first)
    assert ready.next() is free
    ready.leave(free)
    assert ready.next() is None

    ready.return_of(first)
    assert ready.next() is both
    ready.leave(both)
    assert ready.next() is None
    ready.return_of(both)
    assert ready.next() is second


def test_parcels_in_front_come_first_and_all_come_back_last_first() -> None:
    ready: Ready[str] = Ready()
    one, two, three = parcel("1"), parcel("2"), parcel("3")
    ready.add([three])
    ready.add([one, two], in_front=True)

    assert ready.next() is one
    assert list(ready.empty()) == [three, two, one]
    assert len(ready) == 0


def test_users_events_arrive_in_order_through_every_failure(ways: Ways) -> None:
    """With four connections and a server that fails, limits and loses answers, each user's order holds."""
    chance = random.Random(7)

    def answer(numbers: list[int]) -> Answer | None:
        return chance.choice(
            [None, None, None, Answer(503), Answer(429), Answer(413) if len(numbers) > 1 else None]
        )

    server = NumbersServer(answer)
    with server:
        way = ways(server.url, clock=FastClock(), connections=4, per_parcel=3, timeout_seconds=20_000.0)
        plain = way.vendor.pack

        def pack(items: Sequence[Item[int]]) -> Packed[int]:
            packed = plain(items)
            return replace(packed, parcels=[replace(one, keys=users_of(one)) for one in packed.parcels])

        way.vendor.pack = pack  # type: ignore[method-assign]
        for start in range(0, 300, 20):
            way.keep(range(start, start + 20))
        assert way.delivery.flush(20_000.0)

        arrived = [number for numbers in server.accepted for number in numbers]
    assert sorted(arrived) == list(range(300))
    for user in range(USERS):
        events = [number for number in arrived if number % USERS == user]
        assert events == sorted(events)


def users_of(parcel: Parcel[int]) -> frozenset[int]:
    return frozenset(item.unit % USERS for item in parcel.items)


@pytest.mark.parametrize("parts", [2, 3])
def test_an_item_that_is_too_large_goes_on_as_its_parts(ways: Ways, parts: int) -> None:
    """The parts take its place, before what waits, and its caller waits for them all."""
    server = NumbersServer(lambda numbers: Answer(413) if numbers == [100] else None)
    with server:
        way = ways(server.url, per_parcel=1)
        plain = way.vendor.judge

        def judge(parcel: Parcel[int], reply: Reply) -> Sequence[Verdict[int]]:
            (verdict,) = plain(parcel, reply)
            if verdict.outcome is not Outcome.DIVIDE:
                return [verdict]
            (item,) = parcel.items
            return [replace(verdict, parts=[Item(n, 10, ticket=item.ticket) for n in range(parts)])]

        way.vendor.judge = judge  # type: ignore[method-assign]
        ticket = Ticket(expected=2)
        way.keep([100, 50], ticket)
        way.delivery.wait_for(ticket, 10.0)

    assert ticket.receipt().delivered == parts + 1
    assert server.accepted == [[number] for number in (*range(parts), 50)]
    assert way.counts() == {"accepted": parts + 2, "delivered": parts + 1, "merged": 1}


def test_what_waits_about_a_subject_is_taken_out(ways: Ways) -> None:
    """Also what is packed already; what is about others stays."""
    server = NumbersServer(lambda numbers: Answer(503, headers={"Retry-After": "60"}))
    with server:
        way = ways(server.url, per_parcel=2)
        ticket = Ticket(expected=6)
        names = ("ann", "bob", "ann", "cid", "bob", "ann")
        way.delivery.keep([Item(n, 10, subjects=(name,), ticket=ticket) for n, name in enumerate(names)])
        way.delivery.flush(0.2)
        server.until_received(1)
        way.delivery.flush(0.2)

        assert way.delivery.take_out({"ann"}, "suppressed") == 3
        assert way.delivery.take_out({"ann"}, "suppressed") == 0

    assert ticket.receipt().dropped == {"suppressed": 3}
    assert way.counts() == {"accepted": 6, "waiting": 3, "dropped": {"suppressed": 3}}


def test_what_is_newer_is_not_packed_while_older_may_come_back(ways: Ways) -> None:
    """A failure during packing would otherwise let the newer items go first."""
    packed_meanwhile: list[list[int]] = []
    refusals = [Answer(503, headers={"Retry-After": "1"})]
    both_are_here = threading.Barrier(2)

    def answer(numbers: list[int]) -> Answer | None:
        if numbers[0] in (8, 9):
            both_are_here.wait(GUARD_SECONDS)
            time.sleep(0.05)  # a vendor that answers faster is served on one connection
        elif refusals:
            way.keep([2])
            way.delivery.flush(0.1)
            packed_meanwhile.extend(way.vendor.packed)
            return refusals.pop()
        return None

    server = NumbersServer(answer)
    with server:
        way = ways(server.url, connections=2, per_parcel=1)
        plain = way.vendor.pack

        def pack(items: Sequence[Item[int]]) -> Packed[int]:
            packed = plain(items)
            keyed = [replace(one, keys=frozenset([one.items[0].unit > 2])) for one in packed.parcels]
            return replace(packed, parcels=packed.parcels if items[0].unit > 2 else keyed)

        way.vendor.pack = pack  # type: ignore[method-assign]
        way.keep([8, 9])
        assert way.delivery.flush(GUARD_SECONDS)
        way.keep([1])
        assert way.delivery.flush(GUARD_SECONDS)

    assert packed_meanwhile == [[8, 9], [1]]
    assert [number for numbers in server.accepted[2:] for number in numbers] == [1, 2]


def test_a_vendor_that_answers_nothing_gets_no_more_until_a_probe_arrives(
    ways: Ways, clock: FakeClock
) -> None:
    """Where twice is worse than never, a reset costs what was under way, not what waits behind it."""
    answers = [Answer(reset=True)]
    server = NumbersServer(lambda numbers: answers.pop() if answers else None)
    with server:
        way = ways(server.url, clock=clock, per_parcel=1, again=False)
        way.keep(range(10))
        server.until_received(1)
        clock.until_somebody_waits(0.0, 2.0)
        assert len(server.received) == 1
        assert way.counts()["dropped"] == {"ambiguous": 1}

        way.delivery.shutdown(30.0)

    assert way.counts() == {"accepted": 10, "delivered": 9, "dropped": {"ambiguous": 1}}
