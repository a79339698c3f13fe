"""The queue's bound in bytes is one: whatever names and attributes an application makes up."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable

import pytest
from opentelemetry.sdk.trace import ReadableSpan

from otel_vendor_exporters.mpulse import MPulseSpanExporter
from tests.mpulse.example import span

BOUND = 1_000_000
LONG = 100_000
COUNT = 300
NOBODY = "http://127.0.0.1:9/config.json"


def spans(kind: str) -> Iterable[ReadableSpan]:
    for number in range(COUNT):
        long = f"{number:03}" + "x" * LONG
        if kind == "name":
            yield span(long)
        elif kind == "attribute name":
            yield span(attributes={long: 1})
        else:
            yield span(attributes={f"{number} {one}": "y" * 128 for one in range(100)})


@pytest.mark.parametrize("kind", ["name", "attribute name", "attribute values"])
@pytest.mark.parametrize("budget", [None, 1000])
def test_what_waits_takes_no_more_than_it_may(kind: str, budget: int | None) -> None:
    """With mPulse away, 30 MB of names take at most twice the queue's bound, and the rest is counted."""
    exporter = MPulseSpanExporter(
        api_key="K",
        domain="d",
        config_url=NOBODY,
        max_queue_bytes=BOUND,
        timeout=0.2,
        max_beacons_per_hour=budget,
    )
    exporter.export([span("warm up")])
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for one in spans(kind):
        exporter.export([one])
    del one
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    counts = exporter.ledger()
    exporter.shutdown(100)

    assert after - before < 2 * BOUND
    assert counts.waiting < COUNT
    assert counts.balanced
