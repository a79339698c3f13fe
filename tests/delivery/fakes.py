"""A clock that is moved by hand, a clock that runs fast, and a vendor whose units are numbers."""

from __future__ import annotations

import json
import logging
import math
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from otel_vendor_exporters.delivery import policy
from otel_vendor_exporters.delivery.clock import Clock
from otel_vendor_exporters.delivery.disk_spool import DiskSpool
from otel_vendor_exporters.delivery.journal import Label
from otel_vendor_exporters.delivery.notices import Notices
from otel_vendor_exporters.delivery.request import Item, Outcome, Parcel, Reply, Request, Ticket, Verdict
from otel_vendor_exporters.delivery.sender import Delivery, Packed
from otel_vendor_exporters.delivery.spool import MemorySpool, Spool
from otel_vendor_exporters.delivery.spool_writing import Disk
from otel_vendor_exporters.delivery.transport import Transport
from tests.delivery.loopback import GUARD_SECONDS, Answer, Loopback, Received, http

START_SECONDS = 1000.0
START_UNIX_MS = 1_700_000_000_000
UNAVAILABLE = Answer(503)
Log = pytest.LogCaptureFixture


class FakeClock(Clock):
    """Stands still until `advance`. Who waits is woken by each advance, and by notifications as always."""

    def __init__(self) -> None:
        self._passed = 0.0
        self._changed = threading.Condition()
        self._waits: dict[object, tuple[threading.Condition, float | None]] = {}

    def monotonic(self) -> float:
        return START_SECONDS + self._passed

    def lasting(self) -> float:
        return self.monotonic()

    def unix_ms(self) -> int:
        return START_UNIX_MS + int(self._passed * 1000)

    def wait(self, condition: threading.Condition, timeout_seconds: float | None) -> None:
        me = object()
        with self._changed:
            self._waits[me] = (condition, timeout_seconds)
            self._changed.notify_all()
        notified = condition.wait(GUARD_SECONDS)
        with self._changed:
            self._waits.pop(me, None)
        if not notified and threading.current_thread() is threading.main_thread():
            raise TimeoutError("the test waits for something that does not come")

    def advance(self, seconds: float) -> None:
        """Let time pass, and let those who wait look at the clock."""
        with self._changed:
            self._passed += seconds
            waiting = {id(condition): condition for condition, _ in self._waits.values()}
            self._waits.clear()  # who looks at the clock again and waits on, waits anew
        for condition in waiting.values():
            with condition:
                condition.notify_all()

    def until_somebody_waits(self, least: float, most: float, threads: int = 1) -> float:
        """Return once a thread (or more) waits for so many seconds; how many that are."""

        def found() -> list[float]:
            waits = [t for _, t in self._waits.values() if t is not None and least <= t <= most]
            return waits if len(waits) >= threads else []

        with self._changed:
            if not self._changed.wait_for(found, GUARD_SECONDS):
                raise TimeoutError(f"nobody waits for {least} to {most} s: {self._waits}")
            return found()[0]


class FastClock(Clock):
    """Real time, but an hour takes 18 seconds."""

    SPEED = 200.0

    def monotonic(self) -> float:
        return time.monotonic() * self.SPEED

    def lasting(self) -> float:
        return self.monotonic()

    def wait(self, condition: threading.Condition, timeout_seconds: float | None) -> None:
        condition.wait(None if timeout_seconds is None else timeout_seconds / self.SPEED)


class ClimbingClock(Clock):
    """Real time that goes on by up to 20 ms whenever somebody looks."""

    def __init__(self) -> None:
        self._random = random.Random(1)
        self._ahead = 0.0

    def monotonic(self) -> float:
        self._ahead += self._random.uniform(0, 0.02)
        return time.monotonic() + self._ahead

    def lasting(self) -> float:
        return self.monotonic()


class NumbersVendor:
    """
    Packs numbers into JSON lists and posts them. Implements delivery's `Vendor`.

    Each callback may be replaced by a test.
    """

    name = "numbers"

    def __init__(self, url: str, *, per_parcel: int = 10, again: bool = True) -> None:
        self.url = url
        self.per_parcel = per_parcel
        self.again = again
        self.packed: list[list[int]] = []  # the units of each call of pack
        self.forks = 0

    def prepare(self, timeout_seconds: float, *, hurry: bool) -> float:
        return 0.0

    def pack(self, items: Sequence[Item[int]]) -> Packed[int]:
        self.packed.append(units_of(items))
        step = self.per_parcel
        groups = [items[start : start + step] for start in range(0, len(items), step)]
        return Packed([Parcel(group, units_of(group)) for group in groups])

    def request(self, parcel: Parcel[int]) -> Request | None:
        return Request("POST", self.url + "/numbers", body=json.dumps(parcel.content).encode())

    def judge(self, parcel: Parcel[int], reply: Reply) -> Sequence[Verdict[int]]:
        outcome = policy.outcome_of(reply, send_again_when_ambiguous=self.again)
        reason = f"http_{reply.status}" if reply.failure is None else "ambiguous"
        wait = policy.retry_after_seconds(reply, datetime.now(timezone.utc))
        return [Verdict(parcel.items, outcome, reason, reply.words or f"HTTP {reply.status}", wait or None)]

    def renew_after_fork(self) -> None:
        self.forks += 1

    def use(self, **callbacks: Callable[..., Any]) -> None:
        """Replace callbacks, by name."""
        for name, callback in callbacks.items():
            setattr(self, name, callback)


class NumbersCodec:
    """Writes numbers as text."""

    units = "numbers/1"

    def encode(self, unit: int) -> bytes:
        return str(unit).encode()

    def decode(self, body: bytes) -> int:
        return int(body)

    def merge_key(self, unit: int) -> None:
        """Numbers do not merge."""

    def subjects(self, unit: int) -> tuple[str, ...]:
        return ()


class NumbersServer(Loopback):
    """Receives what NumbersVendor sends. `answer` decides; None is 204."""

    def __init__(self, answer: Callable[[list[int]], Answer | None] = lambda numbers: None) -> None:
        self.answer = answer
        self.accepted: list[list[int]] = []  # the numbers of each request that was answered 2xx
        self.received: list[list[int]] = []
        self._news = threading.Condition()
        super().__init__(http(self._answer))

    @property
    def numbers(self) -> list[int]:
        """What was accepted, in the order of acceptance."""
        return [number for numbers in self.accepted for number in numbers]

    def until_received(self, requests: int) -> list[list[int]]:
        """Return once so many requests have come; their numbers."""
        with self._news:
            if not self._news.wait_for(lambda: len(self.received) >= requests, GUARD_SECONDS):
                raise TimeoutError(f"{len(self.received)} requests came instead of {requests}")
            return list(self.received)

    def _answer(self, request: Received) -> Answer:
        numbers = json.loads(request.body)
        with self._news:
            self.received.append(numbers)
            self._news.notify_all()
        answer = self.answer(numbers) or Answer()
        if 200 <= answer.status < 300 and not (answer.reset or answer.hang):
            with self._news:
                self.accepted.append(numbers)
        return answer


@dataclass(frozen=True)
class Way:
    """A Delivery and what it was made of."""

    delivery: Delivery[int]
    vendor: NumbersVendor
    transport: Transport

    def keep(self, numbers: Iterable[int], ticket: Ticket | None = None) -> bool:
        return self.delivery.keep([Item(number, 10, ticket=ticket) for number in numbers])

    def counts(self) -> Mapping[str, object]:
        """The counts that are not zero."""
        counts = self.delivery.ledger.counts()
        assert counts.balanced
        numbers = ("accepted", "delivered", "waiting", "in_flight", "merged")
        found: dict[str, object] = {name: getattr(counts, name) for name in numbers}
        found.update(refused=dict(counts.refused), dropped=dict(counts.dropped))
        return {name: count for name, count in found.items() if count}


@dataclass
class Ways:
    """Makes Deliveries, and ends them with the test."""

    made: list[Way] = field(default_factory=list)

    def __call__(
        self,
        url: str,
        *,
        clock: Clock | None = None,
        connections: int = 1,
        timeout_seconds: float = GUARD_SECONDS,
        per_parcel: int = 10,
        again: bool = True,
        max_items: int = 100_000,
        rate: policy.TokenBucket | None = None,
        spool_dir: Path | None = None,
        max_age_seconds: float = math.inf,
    ) -> Way:
        vendor = NumbersVendor(url, per_parcel=per_parcel, again=again)
        transport = Transport()
        clock = clock or Clock()
        notices = Notices(logging.getLogger("otel_vendor_exporters.numbers"), clock)

        def spool() -> Spool[int]:
            memory: MemorySpool[int] = MemorySpool(
                max_items=max_items, max_bytes=10**9, merge=lambda old, new: old + new
            )
            if spool_dir is None:
                return memory
            disk = Disk(spool_dir, Label("numbers", NumbersCodec.units, url, ()), NumbersCodec(), again)
            return DiskSpool(disk, memory, clock, notices)

        delivery: Delivery[int] = Delivery(
            vendor,
            spool=spool,
            transport=transport,
            clock=clock,
            notices=notices,
            timeout_seconds=timeout_seconds,
            connections=connections,
            max_age_seconds=max_age_seconds,
            rate=rate,
        )
        self.made.append(Way(delivery, vendor, transport))
        delivery.begin()
        return self.made[-1]

    def close(self) -> None:
        for way in self.made:
            way.delivery.shutdown(0.0)


def units_of(items: Iterable[Item[int]]) -> list[int]:
    return [item.unit for item in items]


def always(outcome: Outcome, reason: str = "") -> Callable[[Parcel[int], Reply], Sequence[Verdict[int]]]:
    """A judge that knows one outcome."""
    return lambda parcel, reply: [Verdict(parcel.items, outcome, reason)]


def first(*answers: Answer) -> Callable[[list[int]], Answer | None]:
    """Answers with these, one after the other, and then with 204."""
    left = list(answers)
    return lambda numbers: left.pop(0) if left else None
