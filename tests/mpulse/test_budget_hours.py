"""Hours under a beacon budget, over real HTTP and with a clock that is set forward."""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

from otel_vendor_exporters.delivery.request import Receipt
from otel_vendor_exporters.mpulse import MPulseClient, MPulseMetricExporter
from otel_vendor_exporters.mpulse.client import Destination, destination_for
from otel_vendor_exporters.mpulse.settings import MPulseSettings
from otel_vendor_exporters.sandbox import MPulseApp, Sandbox
from tests.conftest import DIMENSIONS, METRICS, TIMERS, ForwardClock

HOUR_SECONDS = 3600.0
STEP_SECONDS = 5.0
GUARD_SECONDS = 10.0


def until(done: Callable[[], bool]) -> None:
    """Return once that is so."""
    deadline = time.monotonic() + GUARD_SECONDS
    while not done():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.005)


@pytest.fixture
def sandbox(clock: ForwardClock) -> Iterator[Sandbox]:
    """A sandbox that lives by the same clock as the code under test."""
    app = MPulseApp(timers=TIMERS, metrics=METRICS, dimensions=DIMENSIONS, now=lambda: clock.unix_ms() / 1000)
    with Sandbox(mpulse=app) as running:
        yield running


@dataclass
class Hours:
    """Makes settings whose destination lives by the clock, and holds that until the test is over."""

    sandbox: Sandbox
    clock: ForwardClock
    held: list[Destination] = field(default_factory=list)

    def __call__(self, per_hour: int, **more: object) -> tuple[Destination, dict[str, Any]]:
        """The destination with that budget, and keywords for the exporters and clients that share it."""
        keywords = {**self.sandbox.mpulse_settings, "max_beacons_per_hour": per_hour, **more}
        self.held.append(destination_for(MPulseSettings.read(**keywords), self.clock))
        return self.held[-1], keywords

    def let_go(self) -> None:
        """Let the last user who closes end the destinations."""
        while self.held:
            self.held.pop().release(0)


@pytest.fixture
def hours(sandbox: Sandbox, clock: ForwardClock) -> Iterator[Hours]:
    made = Hours(sandbox, clock)
    yield made
    made.let_go()


def test_what_counters_count_within_the_budget_arrives_to_the_last(
    sandbox: Sandbox, clock: ForwardClock, hours: Hours
) -> None:
    """What the budget still holds back of a counter at shutdown leaves with the beacons kept for the end."""
    destination, keywords = hours(12)
    exporter = MPulseMetricExporter(**keywords)
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=10**9)
    provider = MeterProvider([reader], shutdown_on_exit=False)
    orders = provider.get_meter("shop").create_counter("Orders")
    for seconds in (*[60] * 50, 0, 0):  # the last two in a hurry
        orders.add(1)
        reader.collect()
        destination.delivery.flush(0.2)
        clock.forward(seconds)
    hours.let_go()
    assert exporter.ledger().waiting == 1

    provider.shutdown()

    counts = exporter.ledger()
    assert sandbox.received.metrics == {"Orders": 52}
    assert len(sandbox.received.beacons) <= 12
    assert (counts.accepted, counts.lost, counts.waiting, counts.balanced) == (52, 0, 0, True)
    assert sandbox.received.findings == ()


@pytest.mark.parametrize("spooled", [False, True])
def test_increments_of_a_client_merge_within_the_budget(
    sandbox: Sandbox, clock: ForwardClock, hours: Hours, tmp_path: Path, spooled: bool
) -> None:
    """720 increments in an hour of 12 beacons all arrive, in memory and with a spool folder."""
    destination, keywords = hours(12, **({"spool_dir": str(tmp_path)} if spooled else {}))
    client = MPulseClient(**keywords)
    receipts = []
    for number in range(720):
        clock.forward(STEP_SECONDS if number else 0)
        receipts.append(client.send_metric("Orders", timeout_seconds=0))
        destination.delivery.flush(0.2)
    hours.let_go()

    client.close()

    counts = client.ledger()
    assert all(receipt in (Receipt(waiting=1), Receipt(delivered=1)) for receipt in receipts)
    assert sandbox.received.metrics == {"Orders": 720}
    assert len(sandbox.received.beacons) <= 12
    assert counts.delivered == len(sandbox.received.beacons)
    assert (counts.accepted, counts.lost, counts.balanced) == (720, 0, True)
    assert counts.delivered + counts.merged == 720


def test_each_of_those_who_wait_hears_what_became_of_the_whole(
    sandbox: Sandbox, clock: ForwardClock, hours: Hours
) -> None:
    """Calls whose increments became one are told delivered together; one that gave up before, waiting."""
    _, keywords = hours(12)
    client = MPulseClient(**keywords)
    assert client.send_metric("Orders", timeout_seconds=5) == Receipt(delivered=1)
    gave_up = client.send_metric("Orders", 10, timeout_seconds=0.1)

    with ThreadPoolExecutor(4) as pool:
        waiting = [
            pool.submit(client.send_metric, "Orders", 100, timeout_seconds=HOUR_SECONDS) for _ in range(4)
        ]
        until(lambda: client.ledger().merged == 4)
        assert not any(one.done() for one in waiting)
        clock.forward(330)
        receipts = [one.result(10) for one in waiting]

    assert gave_up == Receipt(waiting=1)
    assert receipts == [Receipt(delivered=1)] * 4
    assert sandbox.received.metrics == {"Orders": 411}
    assert len(sandbox.received.beacons) == 2
    client.close()
    assert client.ledger().balanced


def test_calls_that_gave_up_leave_nothing_in_memory(sandbox: Sandbox) -> None:
    """However many increments wait as one, those who stopped waiting take no place."""
    settings = {**sandbox.mpulse_settings, "config_url": "http://127.0.0.1:9/config.json"}
    client = MPulseClient(**settings, timeout=0.2)

    def send(count: int) -> None:
        for _ in range(count):
            client.send_metric("Orders", timeout_seconds=0)

    send(200)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    send(3000)
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    counts = client.ledger()
    client.close(0.1)

    assert (counts.waiting, counts.merged, counts.balanced) == (1, 3199, True)
    assert after - before < 20_000
