"""Items that go first, as increments do, overtake what was packed before they came."""

from __future__ import annotations

import threading
import time

from otel_vendor_exporters.delivery.policy import TokenBucket
from otel_vendor_exporters.delivery.request import Item
from tests.delivery.fakes import FakeClock, NumbersServer, Way, Ways
from tests.delivery.loopback import GUARD_SECONDS

TEN_A_SECOND = 10.0


def keep_first(way: Way, *numbers: int) -> None:
    way.delivery.keep([Item(number, 10, first=True) for number in numbers])


def test_what_goes_first_overtakes_what_waits_for_the_rate(ways: Ways, clock: FakeClock) -> None:
    """A second after parcels were packed, those that still wait are packed anew with what goes first."""
    with NumbersServer() as server:
        way = ways(server.url, clock=clock, per_parcel=1, rate=TokenBucket(TEN_A_SECOND, 1.0))
        way.keep(range(100))
        server.until_received(1)
        for sent in range(2, 12):
            clock.until_somebody_waits(0.01, 0.2)
            keep_first(way, -sent)
            clock.advance(0.1)
            server.until_received(sent)
        for sent in range(12, 22):
            clock.until_somebody_waits(0.01, 0.2)
            clock.advance(0.1)
            server.until_received(sent)

    assert [number for number in server.numbers if number < 0] == list(range(-2, -12, -1))
    assert server.numbers[:10] == list(range(10))
    assert len(way.vendor.packed) <= 3


def test_what_goes_first_is_packed_anew_no_more_than_once_a_second(ways: Ways, clock: FakeClock) -> None:
    """Whatever comes to go first, however often: packing costs something."""
    with NumbersServer() as server:
        way = ways(server.url, clock=clock, per_parcel=1, rate=TokenBucket(TEN_A_SECOND, 1.0))
        way.keep(range(200))
        server.until_received(1)
        for sent in range(2, 52):
            clock.until_somebody_waits(0.01, 0.2)
            keep_first(way, -sent)
            clock.advance(0.1)
            server.until_received(sent)

    assert len(way.vendor.packed) <= 6
    assert min(server.numbers) < -30


def test_what_goes_first_leaves_first_at_the_end(ways: Ways) -> None:
    """What is held back for the shutdown is for what goes first, though others were packed before it came."""
    with NumbersServer() as server:
        way = ways(server.url, per_parcel=1, rate=TokenBucket(1.25, 4.0, 3.0))
        way.keep(range(100))
        server.until_received(1)
        keep_first(way, -1, -2)
        way.delivery.shutdown(0.3)

    assert server.numbers[:4] == [0, -1, -2, 1]
    assert way.counts()["delivered"] == len(server.numbers)


def test_without_a_rate_nothing_is_packed_anew_until_the_end(ways: Ways) -> None:
    """What goes first waits for one packing; at the end it goes before what is not under way."""
    hold = threading.Event()

    def answer(numbers: list[int]) -> None:
        hold.wait(GUARD_SECONDS)

    with NumbersServer(answer) as server:
        way = ways(server.url, per_parcel=1)
        way.keep(range(5))
        server.until_received(1)
        keep_first(way, -1, -2)
        packed_before_the_end = len(way.vendor.packed)
        ending = threading.Thread(target=way.delivery.shutdown, args=(GUARD_SECONDS,))
        ending.start()
        while way.keep([]):  # until it has begun
            time.sleep(0.005)
        hold.set()
        ending.join()

    assert packed_before_the_end == 1
    assert server.numbers == [0, -1, -2, 1, 2, 3, 4]
