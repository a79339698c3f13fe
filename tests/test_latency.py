"""What an application's own threads feel of a vendor that is slow, silent or down: nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from otel_vendor_exporters.mpulse import MPulseSpanExporter
from otel_vendor_exporters.sandbox import MPulseApp, Sandbox
from tests.delivery.loopback import Line, Loopback

SPANS = 1500
MOST_SECONDS = 0.005  # of 99 in 100, on a busy machine; waiting would be 200 times that


def never_answers(line: Line) -> None:
    line.request()
    line.hang()


def goes_silent(line: Line) -> None:
    line.hang()  # a connection that is half open: nothing is read or said any more


def ninety_ninth(exporter: MPulseSpanExporter) -> float:
    """Seconds that 99 of 100 spans take at most to end, each exported in the thread that ends it."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    took = []
    for _ in range(SPANS):
        span = tracer.start_span("Checkout")
        began = time.perf_counter()
        span.end()
        took.append(time.perf_counter() - began)
    return sorted(took)[SPANS * 99 // 100]


@pytest.mark.flaky(reruns=2)
@pytest.mark.parametrize("condition", ["up", "slow", "down", "503"])
def test_ending_a_span_takes_no_longer_whatever_the_vendor_does(condition: str) -> None:
    """The thread that exports does not wait for a vendor that takes seconds, refuses or is not there."""
    with Sandbox(mpulse=MPulseApp(timers=("Checkout",))) as sandbox:
        settings: dict[str, Any] = {**sandbox.mpulse_settings, "timeout": 1.0}
        exporter = MPulseSpanExporter(**settings)
        ninety_ninth(exporter)
        exporter.force_flush()
        if condition != "up":
            sandbox.become("mpulse", condition)

        took = ninety_ninth(exporter)
        exporter.shutdown(1000)

    assert took < MOST_SECONDS
    assert exporter.ledger().balanced
    assert exporter.ledger().accepted == 2 * SPANS


@pytest.mark.parametrize("handler", [never_answers, goes_silent])
@pytest.mark.flaky(reruns=2)
def test_ending_a_span_takes_no_longer_on_dead_connections(handler: Callable[[Line], None]) -> None:
    """Nor for one that takes the request, or the connection, and is never heard of again."""
    with Loopback(handler) as server:
        exporter = MPulseSpanExporter(
            api_key="K", domain="d", config_url=f"{server.url}/config.json", timeout=1.0
        )
        took = ninety_ninth(exporter)
        began = time.monotonic()
        exporter.shutdown(1000)
        ended = time.monotonic() - began

    assert (took < MOST_SECONDS, ended < 3) == (True, True)
    assert exporter.ledger().balanced
    assert sum(exporter.ledger().dropped.values()) + exporter.ledger().in_flight == SPANS
