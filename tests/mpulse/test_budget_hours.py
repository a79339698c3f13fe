"""Hours under a beacon budget, over real HTTP and with a clock that is set forward."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

from otel_vendor_exporters.mpulse import MPulseMetricExporter
from otel_vendor_exporters.mpulse.client import Destination, destination_for
from otel_vendor_exporters.mpulse.settings import MPulseSettings
from otel_vendor_exporters.sandbox import MPulseApp, Sandbox
from tests.conftest import DIMENSIONS, METRICS, TIMERS, ForwardClock

STEP_SECONDS = 5


@pytest.fixture
def sandbox(clock: ForwardClock) -> Iterator[Sandbox]:
    """A sandbox that lives by the same clock as the code under test."""
    app = MPulseApp(timers=TIMERS, metrics=METRICS, dimensions=DIMENSIONS, now=lambda: clock.unix_ms() / 1000)
    with Sandbox(mpulse=app) as running:
        yield running


def budgeted(sandbox: Sandbox, clock: ForwardClock, per_hour: int, **more: object) -> Destination:
    """A destination with that budget, which exporters and clients with `sandbox`'s settings then share."""
    keywords = {**sandbox.mpulse_settings, "max_beacons_per_hour": per_hour, **more}
    return destination_for(MPulseSettings.read(**keywords), clock)


def test_what_counters_count_within_the_budget_arrives_to_the_last(
    sandbox: Sandbox, clock: ForwardClock
) -> None:
    """What the budget still holds back of a counter at shutdown leaves with the beacons kept for the end."""
    destination = budgeted(sandbox, clock, 12)
    exporter = MPulseMetricExporter(**sandbox.mpulse_settings, max_beacons_per_hour=12)
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=10**9)
    provider = MeterProvider([reader], shutdown_on_exit=False)
    orders = provider.get_meter("shop").create_counter("Orders")
    for seconds in (*[60] * 50, 0, 0):  # the last two in a hurry
        orders.add(1)
        reader.collect()
        destination.delivery.flush(0.2)
        clock.forward(seconds)
    destination.release(0)
    assert exporter.ledger().waiting == 1

    provider.shutdown()

    counts = exporter.ledger()
    assert sandbox.received.metrics == {"Orders": 52}
    assert len(sandbox.received.beacons) <= 12
    assert (counts.accepted, counts.lost, counts.waiting, counts.balanced) == (52, 0, 0, True)
    assert sandbox.received.findings == ()
