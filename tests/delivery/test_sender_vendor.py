"""The vendor's code in a delivery over real HTTP: what it may decide, and what its faults may cost."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from otel_vendor_exporters.delivery.request import Outcome, Parcel, Reply, Request, Verdict
from otel_vendor_exporters.delivery.sender import Packed
from tests.delivery.fakes import FakeClock, Log, NumbersServer, Ways, units_of
from tests.delivery.loopback import GUARD_SECONDS, Answer

# Decisions


def test_a_judge_may_split_its_parcel(ways: Ways, clock: FakeClock) -> None:
    """One answer may deliver some, refuse some and let some wait; each ends in its column."""

    def judge(parcel: Parcel[int], reply: Reply) -> Sequence[Verdict[int]]:
        items = parcel.items
        if len(items) < 3:
            return [Verdict(items, Outcome.DELIVERED)]
        return [
            Verdict(items[:1], Outcome.DELIVERED),
            Verdict(items[1:2], Outcome.REFUSED, "bad"),
            Verdict(items[2:3], Outcome.DROPPED, "ambiguous"),
            Verdict(items[3:], Outcome.LATER, wait_seconds=5.0),
        ]

    with NumbersServer() as server:
        way = ways(server.url, clock=clock)
        way.vendor.use(judge=judge)
        way.keep(range(5))
        server.until_received(1)
        clock.until_somebody_waits(5, 5)
        clock.advance(5)
        way.delivery.flush(1)

    assert server.received == [[0, 1, 2, 3, 4], [3, 4]]
    assert way.counts() == {"accepted": 5, "delivered": 3, "refused": {"bad": 1}, "dropped": {"ambiguous": 1}}


def test_vendors_are_prepared_when_nudged(ways: Ways) -> None:
    """`nudge` calls `prepare` though nothing waits, once."""
    way = ways("http://127.0.0.1:9")
    prepared = threading.Event()
    calls: list[bool] = []

    def prepare(timeout_seconds: float, *, hurry: bool) -> float:
        calls.append(hurry)
        prepared.set()
        return 0.0

    way.vendor.use(prepare=prepare)
    way.delivery.nudge()

    assert prepared.wait(GUARD_SECONDS)
    way.delivery.shutdown(1)
    assert calls == [False]


# Faults


def raising(*args: object, **options: object) -> Any:
    raise RuntimeError("a bug")


@pytest.mark.parametrize("name", ["request", "judge"])
def test_a_callback_that_raises_costs_its_items_only(ways: Ways, name: str, caplog: Log) -> None:
    """What the faulty callback was called for is dropped and counted; the rest arrives; said once."""
    with NumbersServer() as server:
        way = ways(server.url, per_parcel=1)
        good = getattr(way.vendor, name)

        def sometimes(parcel: Parcel[int], *more: Any) -> Any:
            return raising() if parcel.items[0].unit < 3 else good(parcel, *more)

        way.vendor.use(**{name: sometimes})
        way.keep(range(6))
        way.delivery.shutdown(5)

    counts = way.counts()
    assert (counts["delivered"], counts["dropped"]) == (3, {"internal_error": 3})
    faults = [record for record in caplog.records if "a fault in this library" in record.message]
    assert len(faults) == 1
    assert "a bug" in caplog.text


def test_an_item_that_cannot_be_packed_is_found(ways: Ways) -> None:
    """One poisoned item costs itself, not its batch."""
    with NumbersServer() as server:
        way = ways(server.url)
        pack = way.vendor.pack
        way.vendor.use(pack=lambda items: raising() if 13 in units_of(items) else pack(items))
        way.keep(range(40))
        way.delivery.flush(5)

    assert sorted(server.numbers) == [number for number in range(40) if number != 13]
    assert way.counts()["dropped"] == {"internal_error": 1}


def test_a_vendor_that_cannot_prepare_does_not_spin(ways: Ways, clock: FakeClock, caplog: Log) -> None:
    """A `prepare` that always raises is called about once a second, said once, and nothing is lost."""
    way = ways("http://127.0.0.1:9", clock=clock)
    calls: list[float] = []

    def prepare(timeout_seconds: float, *, hurry: bool) -> float:
        calls.append(clock.monotonic())
        return float(raising())

    way.vendor.use(prepare=prepare)
    way.keep(range(5))
    for _ in range(5):
        clock.until_somebody_waits(0.5, 1.0)
        clock.advance(1.0)
    clock.until_somebody_waits(0.5, 1.0)

    assert len(calls) == 6
    assert way.counts()["waiting"] == 5
    assert len(caplog.records) == 1


def test_a_vendor_that_is_never_ready_does_not_spin(ways: Ways, clock: FakeClock) -> None:
    """A request that cannot be made although all is prepared is tried again after a moment, not at once."""
    way = ways("http://127.0.0.1:9", clock=clock)
    calls: list[float] = []

    def request(parcel: Parcel[int]) -> Request | None:
        calls.append(clock.monotonic())
        return None

    way.vendor.use(request=request)
    way.keep(range(5))
    for _ in range(3):
        clock.until_somebody_waits(0.01, 0.1)
        clock.advance(0.1)
    clock.until_somebody_waits(0.01, 0.1)

    assert len(calls) == 4
    assert way.counts()["waiting"] == 5


@pytest.mark.parametrize("name", ["judge", "pack"])
def test_items_a_vendor_forgets_are_counted(ways: Ways, name: str) -> None:
    """No item is in no column, even when our own code forgets it."""
    with NumbersServer() as server:
        way = ways(server.url)
        if name == "judge":
            way.vendor.use(judge=lambda parcel, reply: [Verdict(parcel.items[1:], Outcome.DELIVERED)])
        else:
            way.vendor.use(pack=lambda items: Packed([Parcel(items[1:], units_of(items[1:]))]))
        way.keep(range(4))
        way.delivery.flush(5)

    counts = way.counts()
    assert (counts["delivered"], counts["dropped"]) == (3, {"internal_error": 1})


def test_logging_may_come_back(ways: Ways) -> None:
    """A logging handler that keeps items in the same Delivery neither deadlocks nor loops."""

    class Ours(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            way.keep([1000])
            raise RuntimeError("and is broken")

    logger = logging.getLogger("otel_vendor_exporters.numbers")
    handler = Ours()
    with NumbersServer(lambda numbers: Answer(400) if 0 in numbers else None) as server:
        way = ways(server.url)
        logger.addHandler(handler)
        try:
            way.keep([0])
            received = server.until_received(2)
            flushed = way.delivery.flush(5)
        finally:
            logger.removeHandler(handler)

    assert (received, flushed) == ([[0], [1000]], True)
