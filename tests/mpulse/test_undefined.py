"""`undefined="send"`: a sandbox that learns hears every name the app does not define."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from otel_vendor_exporters.errors import ConfigurationError
from otel_vendor_exporters.mpulse import MPulseClient, MPulseMetricExporter, MPulseSpanExporter
from otel_vendor_exporters.sandbox import MPulseApp, Sandbox


@pytest.fixture
def learning() -> Iterator[Sandbox]:
    """A sandbox whose app defines little and learns the rest."""
    app = MPulseApp(timers=("Known",), metrics={"Sold": "Number"}, dimensions=("Country",), learn=True)
    with Sandbox(mpulse=app) as sandbox:
        yield sandbox


def test_spans_that_are_no_timers_yet_are_learned(learning: Sandbox) -> None:
    """Timers arrive by their own names, dimensions by `mpulse.dimension.` and by the setting."""
    exporter = MPulseSpanExporter(undefined="send", dimensions={"plan": "Plan"}, **learning.mpulse_settings)
    provider = TracerProvider(
        resource=Resource({"mpulse.dimension.Region": "eu", "mpulse.dimension.Fleet": "a"}),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")

    for _ in range(2):  # the first is kept before the definitions are known, the second after
        attributes = {"mpulse.dimension.Region": "us", "plan": "pro", "Country": "DE", "other": "x"}
        for name in ("Known", "Check out: now"):
            with tracer.start_as_current_span(name, attributes=attributes):
                pass
        assert provider.force_flush()
    provider.shutdown()

    received = learning.received
    assert sorted(name for name, _ in received.timers) == ["Check out: now"] * 2 + ["Known"] * 2
    assert {frozenset(beacon.dimensions) for beacon in received.beacons} == {
        frozenset([("Country", "DE"), ("Fleet", "a"), ("Plan", "pro"), ("Region", "us")])
    }
    assert learning.mpulse.learned.timers == ("Check out: now",)
    assert set(learning.mpulse.learned.dimensions) == {"Fleet", "Plan", "Region"}
    assert exporter.ledger().dropped == {}


def test_instruments_that_are_no_metrics_yet_are_learned(learning: Sandbox) -> None:
    """Counters arrive as metrics, histograms of a unit of time as timer and as metric."""
    exporter = MPulseMetricExporter(undefined="send", **learning.mpulse_settings)
    reader = PeriodicExportingMetricReader(exporter, 60_000)
    provider = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    meter = provider.get_meter("test")

    meter.create_counter("Sold").add(1)
    meter.create_counter("orders").add(2)
    meter.create_histogram("render.time", "s").record(0.25)
    meter.create_histogram("basket.size", "{item}").record(3)
    provider.shutdown()

    assert learning.received.metrics == {"Sold": 1, "orders": 2, "render.time": 0.25, "basket.size": 3}
    assert learning.received.timers == [("render.time", 250)]
    assert set(learning.mpulse.learned.metrics) == {"orders", "render.time", "basket.size"}
    assert learning.mpulse.learned.timers == ("render.time",)


def test_the_client_sends_what_is_undefined(learning: Sandbox) -> None:
    """A timer whose name cannot stand in t_other is dropped and told; every other arrives."""
    with MPulseClient(undefined="send", **learning.mpulse_settings) as client:
        sent = [
            client.send_timer("Search", 5, dimensions={"Plan": "pro"}),
            client.send_timer("a,b", 5),
            client.send_metric("Orders", 2),
        ]

    assert [(one.delivered, dict(one.dropped)) for one in sent] == [
        (1, {}),
        (0, {"undefined": 1}),
        (1, {}),
    ]
    assert learning.received.beacons[0].dimensions == (("Plan", "pro"),)
    assert learning.received.metrics == {"Orders": 2}


def test_by_default_nothing_undefined_is_sent(learning: Sandbox) -> None:
    """The default is what mPulse itself would do: ignore it."""
    with MPulseClient(**learning.mpulse_settings) as client:
        receipt = client.send_timer("Search", 5)

    assert dict(receipt.dropped) == {"undefined": 1}
    assert learning.mpulse.learned.timers == ()


@pytest.mark.parametrize("where", [{}, {"config_url": "https://c.example/config.json"}])
def test_it_is_for_this_machine_alone(where: dict[str, Any]) -> None:
    """mPulse would ignore such names and the ledger call them delivered: the setting is refused."""
    with pytest.raises(ConfigurationError, match="undefined is 'send': expected 'drop'"):
        MPulseSpanExporter(api_key="K", domain="d.example", undefined="send", **where)
