"""What the SDK asks of every exporter, and its traps: deadlines by three names, and calls after the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry.sdk.metrics.export import MetricsData

from otel_vendor_exporters.mparticle import MParticleLogExporter, MParticleSpanExporter
from otel_vendor_exporters.mparticle_analytics import (
    MParticleAnalyticsLogExporter,
    MParticleAnalyticsSpanExporter,
)
from otel_vendor_exporters.mpulse import MPulseMetricExporter, MPulseSpanExporter
from otel_vendor_exporters.sandbox import Sandbox
from tests.command import analytics_environment, mparticle_environment, mpulse_environment

EXPORTERS: dict[Callable[[], Any], Any] = {  # Any: each signal's own; and what is an export of nothing
    MPulseSpanExporter: [],
    MPulseMetricExporter: MetricsData(resource_metrics=()),
    MParticleLogExporter: [],
    MParticleSpanExporter: [],
    MParticleAnalyticsLogExporter: [],
    MParticleAnalyticsSpanExporter: [],
}
SHUTDOWNS: tuple[tuple[list[float], dict[str, float]], ...] = (
    ([], {}),
    ([500.0], {}),
    ([], {"timeout_millis": 500.0}),
    ([], {"timeout": 500.0}),  # PeriodicExportingMetricReader's word for it, in milliseconds too
    ([], {"timeout": 500.0, "a_later_word": 1.0}),
)


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.mark.parametrize("exporter", EXPORTERS, ids=lambda one: one.__name__)
def test_shutdown_is_understood_in_every_form(
    running: Sandbox, monkeypatch: pytest.MonkeyPatch, exporter: Callable[[], Any]
) -> None:
    """Once or twice; afterwards nothing waits, and an export fails and raises nothing."""
    made_by = (mpulse_environment, mparticle_environment, analytics_environment)
    for name, value in {k: v for made in made_by for k, v in made(running).items()}.items():
        monkeypatch.setenv(name, value)
    nothing = EXPORTERS[exporter]

    for positional, named in SHUTDOWNS:
        one = exporter()
        assert one.export(nothing).name == "SUCCESS"
        assert one.force_flush(500.0)
        one.shutdown(*positional, **named)
        one.shutdown(*positional, **named)
        assert one.force_flush(timeout_millis=500.0)
        assert one.export(nothing).name == "FAILURE"
        assert one.ledger().balanced
