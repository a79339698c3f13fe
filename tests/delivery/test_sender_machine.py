"""Every order of keeping, sending, failing and ending: the ledger's equation, and nothing lost or doubled."""

from __future__ import annotations

import logging
from collections import Counter

from hypothesis import settings
from hypothesis import strategies as some
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from otel_vendor_exporters.delivery.notices import Notices
from otel_vendor_exporters.delivery.request import Failure, Item, Reply, Request
from otel_vendor_exporters.delivery.sender import Delivery
from otel_vendor_exporters.delivery.spool import MemorySpool
from otel_vendor_exporters.delivery.transport import Transport
from tests.delivery.fakes import FakeClock, NumbersVendor

REPLIES = {
    "delivered": Reply(status=204),
    "down": Reply(status=503),
    "slow down": Reply(status=429, headers={"retry-after": "20"}),
    "wrong key": Reply(status=401),
    "refused": Reply(status=400),
    "too large": Reply(status=413),
    "not sent": Reply(failure=Failure.NOT_SENT),
    "no answer": Reply(failure=Failure.NO_ANSWER),
}


class ScriptedTransport(Transport):
    """Answers what the machine says, and remembers what arrived for good."""

    def __init__(self) -> None:
        super().__init__()
        self.reply = REPLIES["delivered"]

    def send(self, request: Request, timeout_seconds: float) -> Reply:
        return self.reply


class SteppedDelivery(Delivery[int]):
    """Has no threads: the machine does one job at a time."""

    def _call_worker(self) -> bool:
        """Nobody is there; `step` does the work."""
        return False

    def step(self) -> bool:
        """Do one job; False when there is none now."""
        with self._lock:
            return self._work_here()


class DeliveryMachine(RuleBasedStateMachine):
    """Moves one Delivery through everything that can happen to it."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.transport = ScriptedTransport()
        vendor = NumbersVendor("http://vendor.invalid", per_parcel=3, again=False)
        self.delivery = SteppedDelivery(
            vendor,
            spool=lambda: MemorySpool(max_items=20, max_bytes=10_000, merge=lambda old, new: old + new),
            transport=self.transport,
            clock=self.clock,
            notices=Notices(logging.getLogger("otel_vendor_exporters.machine"), self.clock),
            timeout_seconds=10.0,
            connections=2,
        )
        self.kept: list[int] = []
        self.open = True

    @rule(
        count=some.integers(1, 8),
        age=some.none() | some.integers(1, 30),
        key=some.sampled_from([None, None, "k", "l"]),
    )
    def keep(self, count: int, age: int | None, key: str | None) -> None:
        expires = None if age is None else self.clock.unix_ms() + age * 1000
        start = len(self.kept)
        items = [
            Item(number, 10, expires_at_unix_ms=expires, merge_key=key, first=key is not None)
            for number in range(start, start + count)
        ]
        if self.delivery.keep(items):
            self.kept += range(start, start + count)

    @rule(name=some.sampled_from([*REPLIES, "delivered", "delivered"]), steps=some.integers(1, 6))
    def work(self, name: str, steps: int) -> None:
        self.transport.reply = REPLIES[name]
        for _ in range(steps):
            self.delivery.step()

    @rule(seconds=some.sampled_from([0.5, 5.0, 70.0, 700.0]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @precondition(lambda self: len(self.kept) > 30)
    @rule(name=some.sampled_from(sorted(REPLIES)))
    def shut_down(self, name: str) -> None:
        self.transport.reply = REPLIES[name]
        self.delivery.shutdown(5.0)
        self.open = False

    @invariant()
    def the_equation_holds(self) -> None:
        counts = self.delivery.ledger.counts()
        gone = Counter(counts.refused) + Counter(counts.dropped)
        assert counts.accepted + counts.recovered == (
            counts.delivered
            + gone.total()
            + counts.waiting
            + counts.in_flight
            + counts.merged
            + counts.handed_over
        )
        assert counts.accepted == len(self.kept)
        assert counts.in_flight == 0  # nobody works between the steps
        assert min(counts.delivered, counts.waiting, counts.merged, *gone.values(), 0) == 0

    @invariant()
    def after_the_end_nothing_waits(self) -> None:
        assert self.open or self.delivery.ledger.counts().waiting == 0

    def teardown(self) -> None:
        """Once the vendor is well, everything that waits arrives."""
        before = self.delivery.ledger.counts()
        self.transport.reply = REPLIES["delivered"]
        self.clock.advance(700.0)
        while self.delivery.step():
            pass
        after = self.delivery.ledger.counts()
        gained = after.delivered - before.delivered
        expired = after.dropped.get("expired", 0) - before.dropped.get("expired", 0)
        assert (after.waiting, gained + expired) == (0, before.waiting)


DeliveryMachine.TestCase.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)
TestDeliveryMachine = DeliveryMachine.TestCase
