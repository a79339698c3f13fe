"""Money smaller than a cent: nothing of it is lost in rounding, whatever happens on the way."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_vendor_exporters.delivery.notices import Notices
from otel_vendor_exporters.delivery.request import Failure, Item, Outcome, Parcel, Receipt, Reply
from otel_vendor_exporters.mpulse import MPulseClient
from otel_vendor_exporters.mpulse.app import App
from otel_vendor_exporters.mpulse.packing import Load
from otel_vendor_exporters.mpulse.units import Context, How, Reading, Unit
from otel_vendor_exporters.sandbox import Sandbox
from tests.conftest import ForwardClock
from tests.mpulse.example import NOW_UNIX_MS, answer, reply, settings

HALF_A_CENT = Decimal("0.005")
SLACK = Decimal("1e-9")  # of floats
LABEL = "cmet.Revenue"
ARRIVES = Reply(status=204)
FAILS = Reply(failure=Failure.NOT_SENT, words="refused")
IS_LOST = Reply(failure=Failure.NO_ANSWER, words="timeout")
HERE, THERE = Context(page_group="a"), Context(page_group="b")


class Network:
    """A transport that knows the configuration alone; what becomes of beacons is the test's to say."""

    def send(self, *_: object) -> Reply:
        return reply(answer())


class Shop:
    """An app with everything around it in the test's hands: what waits, what leaves, what arrives."""

    def __init__(self) -> None:
        clock = ForwardClock()
        clock.unix_ms = lambda: NOW_UNIX_MS  # type: ignore[method-assign]  # the example's time
        notices = Notices(logging.getLogger("test"), clock)
        self.app = App(settings(), Network(), clock, notices)  # type: ignore[arg-type]
        assert self.app.prepare(1, hurry=False) == 0
        self.arrived: dict[Context, Decimal] = {HERE: Decimal(0), THERE: Decimal(0)}
        self.true: dict[Context, Decimal] = {HERE: Decimal(0), THERE: Decimal(0)}
        self.texts: list[str] = []
        self.waiting: list[Item[Unit]] = []

    def sells(self, amount: float, context: Context = HERE, age_ms: int = 0) -> None:
        unit = Reading("Revenue", How.ADD, amount, 1, NOW_UNIX_MS - age_ms, context)
        self.waiting.append(Item(unit, 400))

    def packs(self) -> Sequence[Parcel[Unit]]:
        packed = self.app.pack(self.waiting)
        for verdict in packed.verdicts:
            assert (verdict.outcome, verdict.reason) == (Outcome.DROPPED, "carried")
            self._count(verdict.items)
        self.waiting = []
        return packed.parcels

    def leaves(self, parcel: Parcel[Unit]) -> None:
        assert self.app.request(parcel) is not None

    def hears(self, parcel: Parcel[Unit], answered: Reply) -> None:
        (verdict,) = self.app.judge(parcel, answered)
        if verdict.outcome is Outcome.LATER:
            self.waiting.extend(verdict.items)
        elif verdict.outcome is Outcome.DELIVERED:
            load = parcel.content
            assert isinstance(load, Load)
            self._count(verdict.items)
            context = HERE if load.beacon.page_group == "a" else THERE
            for label, text in load.beacon.metrics:
                assert label == LABEL
                self.texts.append(text)
                self.arrived[context] += Decimal(text)

    def _count(self, items: Sequence[Item[Unit]]) -> None:
        for item in items:
            assert isinstance(item.unit, Reading)
            self.true[item.unit.context] += Decimal(repr(item.unit.value))

    def difference(self, context: Context = HERE) -> Decimal:
        return abs(self.arrived[context] - self.true[context])


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[MPulseClient]:
    with MPulseClient(**sandbox.mpulse_settings, timeout=3) as running:
        yield running


@pytest.mark.parametrize(
    ("amount", "total", "beacons"), [(0.005, 1.0, 100), (0.004, 0.8, 80), (0.011, 2.2, 200)]
)
def test_two_hundred_small_amounts_arrive_as_their_sum(
    sandbox: Sandbox, client: MPulseClient, amount: float, total: float, beacons: int
) -> None:
    """200 increments of half a cent are one dollar, not two; and none says 0.00."""
    receipts = Counter(str(client.send_metric("Revenue", amount)) for _ in range(200))
    counts = client.ledger()

    assert sandbox.received.metrics == {"Revenue": pytest.approx(total, abs=0.005)}
    assert len(sandbox.received.beacons) == beacons
    assert (counts.delivered, dict(counts.dropped)) == (
        beacons,
        {"carried": 200 - beacons} if beacons < 200 else {},
    )
    assert (counts.lost, counts.balanced) == (0, True)
    assert len(receipts) <= 2
    assert sandbox.received.findings == ()


def test_an_amount_that_goes_along_with_the_next_is_no_loss(client: MPulseClient) -> None:
    """Who asks for losses hears of none."""
    receipt = client.send_metric("Revenue", 0.004)

    assert receipt == Receipt(dropped={"carried": 1})
    receipt.raise_for_losses()


def test_many_threads_share_the_carried_cents(sandbox: Sandbox) -> None:
    """Eight threads, four connections, beacons that fail in between: the sum is right to half a cent."""
    sandbox.answer_next(on="beacon", status=503, times=2)
    with MPulseClient(**sandbox.mpulse_settings, timeout=5, connections=4) as client:

        def sell() -> None:
            for _ in range(25):
                client.send_metric("Revenue", 0.007, timeout_seconds=0.05)

        threads = [threading.Thread(target=sell) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert client._destination.delivery.flush(30)
        counts = client.ledger()

    assert sandbox.received.metrics["Revenue"] == pytest.approx(1.4, abs=0.005001)
    assert (counts.waiting, counts.lost, counts.balanced) == (0, 0, True)


AMOUNTS = st.floats(0.0001, 0.02) | st.sampled_from([0.001, 0.004, 0.005, 0.006, 0.995, 12.345])
SALES = st.lists(
    st.tuples(AMOUNTS, st.sampled_from([HERE, THERE]), st.sampled_from([0, 5000, 60_000])), max_size=6
)
ROUNDS = st.lists(st.tuples(SALES, st.lists(st.sampled_from([ARRIVES, FAILS]), max_size=6)), max_size=12)


@given(ROUNDS)
def test_what_arrives_is_the_true_sum_to_half_a_cent(
    rounds: list[tuple[list[tuple[float, Context, int]], list[Reply]]],
) -> None:
    """Any increments, any failures, several beacons under way at once: once all is through, half a cent."""
    shop = Shop()
    under_way: list[Parcel[Unit]] = []
    for sales, replies in [*rounds, ([], []), ([], [])]:
        for sale in sales:
            shop.sells(*sale)
        for parcel in shop.packs():
            shop.leaves(parcel)
            under_way.append(parcel)
        for answered in replies:
            if under_way:
                shop.hears(under_way.pop(0), answered)
    while under_way:
        for parcel in under_way:
            shop.hears(parcel, ARRIVES)
        under_way = list(shop.packs())
        for parcel in under_way:
            shop.leaves(parcel)

    assert shop.difference(HERE) <= HALF_A_CENT + SLACK
    assert shop.difference(THERE) <= HALF_A_CENT + SLACK
    assert "0.00" not in shop.texts
    assert not [text for text in shop.texts if text.startswith("-")]


@given(st.lists(st.tuples(AMOUNTS, st.sampled_from([ARRIVES, FAILS, IS_LOST])), max_size=60))
def test_it_holds_at_every_moment_for_one_beacon_after_the_other(steps: list[tuple[float, Reply]]) -> None:
    """Of what was settled the difference is never more than half a cent, also when beacons are lost."""
    shop = Shop()
    for amount, answered in steps:
        shop.sells(amount)
        for parcel in shop.packs():
            shop.leaves(parcel)
            shop.hears(parcel, answered)
        assert shop.difference() <= HALF_A_CENT + SLACK

    assert "0.00" not in shop.texts


def test_a_beacon_that_goes_again_counts_its_remainder_once() -> None:
    """0.014 fails five times and arrives: 0.01, and 0.004 is carried, not 0.024."""
    shop = Shop()
    shop.sells(0.014)
    for answered in (*[FAILS] * 5, ARRIVES):
        (parcel,) = shop.packs()
        shop.leaves(parcel)
        shop.hears(parcel, answered)
    shop.sells(0.014)
    (parcel,) = shop.packs()
    shop.leaves(parcel)
    shop.hears(parcel, ARRIVES)

    assert shop.texts == ["0.01", "0.02"]


def test_packed_and_never_sent_leaves_nothing_behind() -> None:
    """What is packed and unpacked again is rounded as if for the first time."""
    shop = Shop()
    for _ in range(3):
        shop.sells(0.014)
        shop.packs()
    shop.sells(0.014)
    (parcel,) = shop.packs()

    load = parcel.content
    assert isinstance(load, Load)
    assert load.beacon.metrics == ((LABEL, "0.01"),)
