"""What arrives of timers that are far beyond the budget: a fair sample at all times, and no other loss."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator

from otel_vendor_exporters.delivery.ledger import Counts
from otel_vendor_exporters.delivery.request import Receipt
from otel_vendor_exporters.mpulse import MPulseClient, MPulseSpanExporter
from otel_vendor_exporters.mpulse.client import Destination, destination_for
from otel_vendor_exporters.mpulse.settings import MPulseSettings
from otel_vendor_exporters.sandbox import MPulseApp, Sandbox
from tests.conftest import METRICS, ForwardClock

PER_HOUR = 1200
A_MINUTE = (PER_HOUR + 1 - PER_HOUR / 12) / 60  # about 18 beacons
AT_ONCE = PER_HOUR / 24  # 50 more, when they have been saved
CHUNK_SECONDS = 5
CHUNKS = 60 // CHUNK_SECONDS
OFTEN, BURST, RARE = "Checkout", "Search", "Payment"
Load = Callable[[int], Mapping[str, int]]  # of a minute: how many spans of each timer


class SeededIds(IdGenerator):
    """The same ids in every run of a test."""

    def __init__(self) -> None:
        self._chance = random.Random(7)

    def generate_span_id(self) -> int:
        return self._chance.getrandbits(64)

    def generate_trace_id(self) -> int:
        return self._chance.getrandbits(128)


@pytest.fixture
def sandbox(clock: ForwardClock) -> Iterator[Sandbox]:
    """A sandbox that lives by the same clock as the code under test."""
    app = MPulseApp(
        timers=(OFTEN, BURST, RARE),
        metrics=METRICS,
        oldest_seconds=7200,
        now=lambda: clock.unix_ms() / 1000,
    )
    with Sandbox(mpulse=app) as running:
        yield running


@dataclass(frozen=True)
class Course:
    """Minutes of an application: what arrived of each slice of time, and the books."""

    by_chunk: list[Counter[str]]  # of the spans that arrived, by when they were made
    beacons: list[int]  # that left in each minute
    before_the_end: Counts
    counts: Counts

    def of(self, timer: str, since: int = 0) -> list[int]:
        """How many of a timer arrived that were made in each minute."""
        return [
            sum(chunk[timer] for chunk in self.by_chunk[at : at + CHUNKS])
            for at in range(since * CHUNKS, len(self.by_chunk), CHUNKS)
        ]


@dataclass
class Application:
    """Makes spans by the clock and lets the exporter send what the budget allows."""

    sandbox: Sandbox
    clock: ForwardClock
    destination: Destination
    exporter: MPulseSpanExporter

    def run(self, minutes: int, load: Load) -> Course:
        tracer = TracerProvider(id_generator=SeededIds(), shutdown_on_exit=False).get_tracer("shop")
        chunks = 0
        beacons: list[int] = []
        for minute in range(minutes):
            before = len(self.sandbox.received.beacons)
            for chunk in range(CHUNKS):
                chunks += 1
                spans = []
                for timer, count in load(minute).items():
                    for _ in range(count * (chunk + 1) // CHUNKS - count * chunk // CHUNKS):
                        now = self.clock.unix_ms() * 1_000_000
                        span = tracer.start_span(timer, start_time=now - chunks * 1_000_000)
                        span.end(now)
                        assert isinstance(span, ReadableSpan)
                        spans.append(span)
                self.exporter.export(spans)
                self.destination.delivery.flush(0.03)
                self.clock.forward(CHUNK_SECONDS)
            beacons.append(len(self.sandbox.received.beacons) - before)
        before_the_end = self.exporter.ledger()
        self.destination.release(0)
        self.exporter.shutdown(500)
        arrived: list[Counter[str]] = [Counter() for _ in range(chunks)]
        for timer, milliseconds in self.sandbox.received.timers:  # so long as many chunks had passed
            arrived[milliseconds - 1][timer] += 1
        return Course(arrived, beacons, before_the_end, self.exporter.ledger())


@pytest.fixture
def application(sandbox: Sandbox, clock: ForwardClock) -> Application:
    keywords: dict[str, Any] = {**sandbox.mpulse_settings, "max_beacons_per_hour": PER_HOUR}
    destination = destination_for(MPulseSettings.read(**keywords), clock)
    return Application(sandbox, clock, destination, MPulseSpanExporter(**keywords))


def assert_nothing_else_is_lost(course: Course, offered: int) -> None:
    counts, before = course.counts, course.before_the_end
    assert before.dropped == {}
    assert counts.seen == offered
    assert counts.ignored.keys() <= {"sampled_out"}
    assert counts.delivered + counts.dropped.get("shutdown", 0) == counts.mapped
    assert (counts.waiting, counts.balanced) == (0, True)
    assert sum(course.beacons) <= AT_ONCE + A_MINUTE * len(course.beacons) + 1


def test_ten_times_too_much_for_twenty_minutes_is_sampled_evenly(application: Application) -> None:
    """After a minute each minute and each slice of it has its part in what arrives; nothing gets too old."""
    course = application.run(20, lambda minute: {OFTEN: 180})

    assert_nothing_else_is_lost(course, 20 * 180)
    assert course.counts.dropped == {}
    minutes = course.of(OFTEN)
    assert AT_ONCE + A_MINUTE <= minutes[0] <= AT_ONCE + 3 * A_MINUTE
    assert all(A_MINUTE / 4 <= kept <= A_MINUTE * 2 for kept in minutes[1:])
    assert sum(minutes[4:]) == pytest.approx(A_MINUTE * 16, rel=0.1)
    assert chi_square_by_second_of_the_minute(course) < 31.3  # 11 degrees of freedom: one in a thousand


def chi_square_by_second_of_the_minute(course: Course) -> float:
    """How unevenly the slices of the minutes, from the second on, are represented."""
    slices = [sum(one[OFTEN] for one in course.by_chunk[CHUNKS + at :: CHUNKS]) for at in range(CHUNKS)]
    expected = sum(slices) / CHUNKS
    return sum((count - expected) ** 2 / expected for count in slices)


def test_a_burst_in_the_first_minute_does_not_use_up_the_next(application: Application) -> None:
    """Of a hundredfold that comes before there are rates, a bounded part is kept; what follows goes on."""
    course = application.run(8, lambda minute: {BURST: 1800} if minute == 0 else {BURST: 12})

    assert_nothing_else_is_lost(course, 1800 + 7 * 12)
    minutes = course.of(BURST)
    assert AT_ONCE + A_MINUTE <= minutes[0] <= AT_ONCE + 5 * A_MINUTE
    assert all(kept > 3 for kept in minutes[2:])
    assert minutes[7] == 12


def test_a_timer_that_was_silent_and_bursts_is_bounded_too(application: Application) -> None:
    """A burst every third minute is sampled from its first slice to its last, beside one that goes on."""
    at = (2, 5, 8)
    course = application.run(14, lambda minute: {RARE: 2, BURST: 1800 if minute in at else 0})

    assert_nothing_else_is_lost(course, 14 * 2 + 3 * 1800)
    assert course.counts.dropped == {}
    assert course.of(RARE) == [2] * 14
    bursts = [course.of(BURST)[minute] for minute in at]
    assert all(A_MINUTE <= kept <= AT_ONCE + 5 * A_MINUTE for kept in bursts)
    for minute in at:
        slices = [chunk[BURST] for chunk in course.by_chunk[minute * CHUNKS : (minute + 1) * CHUNKS]]
        assert sum(slices[6:]) > 0


def test_a_rare_timer_beside_a_frequent_one_is_kept_whole(application: Application) -> None:
    """Of ten times too much, the three a minute of the rare timer all arrive."""
    course = application.run(15, lambda minute: {OFTEN: 180, RARE: 3})

    assert_nothing_else_is_lost(course, 15 * 183)
    assert course.of(RARE) == [3] * 15
    assert sum(course.of(OFTEN, since=4)) == pytest.approx((A_MINUTE - 3) * 11, rel=0.15)


def test_timers_of_a_client_are_sampled_too(sandbox: Sandbox, clock: ForwardClock) -> None:
    """What the budget leaves out is said in the receipt and the ledger, and is no loss."""
    keywords = {**sandbox.mpulse_settings, "max_beacons_per_hour": 120}
    destination = destination_for(MPulseSettings.read(**keywords), clock)
    client = MPulseClient(**keywords)
    receipts = []
    for _ in range(600):
        receipts.append(client.send_timer(OFTEN, 5, timeout_seconds=0))
        destination.delivery.flush(0.2)
        clock.forward(1)
    counts = client.ledger()
    destination.release(0)
    client.close()

    out = receipts.count(Receipt(dropped={"sampled_out": 1}))
    assert 540 < out < 595
    assert dict(counts.dropped) == {"sampled_out": out}
    assert (counts.accepted, counts.lost, counts.balanced) == (600, 0, True)
    assert client.ledger().delivered == 600 - out == len(sandbox.received.timers)


def test_an_undefined_timer_of_a_client_takes_nobody_s_share(sandbox: Sandbox, clock: ForwardClock) -> None:
    """It is told as undefined, however often it comes."""
    keywords = {**sandbox.mpulse_settings, "max_beacons_per_hour": 1200, "timeout": 3}
    with MPulseClient(**keywords) as client:
        assert client.send_timer(OFTEN, 1) == Receipt(delivered=1)
        receipts = [client.send_timer("Chekout", 1) for _ in range(200)]

        assert receipts == [Receipt(dropped={"undefined": 1})] * 200
        assert client.send_timer(OFTEN, 1) == Receipt(delivered=1)
