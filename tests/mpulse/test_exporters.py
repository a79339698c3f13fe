"""The exporters over real HTTP: what an application sees of them, and what mPulse receives."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    InMemoryMetricReader,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_vendor_exporters.errors import ConfigurationError
from otel_vendor_exporters.mpulse import MPulseClient, MPulseMetricExporter, MPulseSpanExporter
from otel_vendor_exporters.sandbox import Dimension, MPulseApp, Sandbox, Switches

NOBODY = "http://127.0.0.1:9/api/config.json"  # the discard port: nobody listens


@pytest.fixture
def spans(sandbox: Sandbox) -> Iterator[MPulseSpanExporter]:
    exporter = MPulseSpanExporter(**sandbox.mpulse_settings)
    yield exporter
    exporter.shutdown()


def finished_spans(*names: str, **attributes: Any) -> tuple[ReadableSpan, ...]:
    """Real spans that have ended."""
    memory = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    for name in names:
        with provider.get_tracer("test").start_as_current_span(name, attributes=attributes):
            pass
    return memory.get_finished_spans()


@pytest.mark.parametrize("processor", [BatchSpanProcessor, SimpleSpanProcessor])
def test_spans_arrive_as_timers(sandbox: Sandbox, processor: Any) -> None:
    """Spans named like a custom timer arrive as its values, with page group and dimensions."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor(MPulseSpanExporter(**sandbox.mpulse_settings)))
    tracer = provider.get_tracer("test")

    for name in ("Checkout", "Search", "Checkout"):
        attributes = {"http.route": "/cart/{id}", "Country": "DE"}
        with tracer.start_as_current_span(name, attributes=attributes):
            pass
    provider.shutdown()

    received = sandbox.received
    assert sorted(name for name, _ in received.timers) == ["Checkout", "Checkout", "Search"]
    assert {beacon.page_group for beacon in received.beacons} == {"cart id"}
    assert {beacon.dimensions for beacon in received.beacons} == {(("Country", "DE"),)}
    assert received.findings == ()


def test_metrics_arrive_as_custom_metrics(sandbox: Sandbox) -> None:
    """Counters arrive as increments, up-down counters as their level, each interval's part exactly once."""
    reader = PeriodicExportingMetricReader(MPulseMetricExporter(**sandbox.mpulse_settings), 60_000)
    provider = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    meter = provider.get_meter("test")
    revenue, queue = meter.create_counter("Revenue"), meter.create_up_down_counter("Queue")

    revenue.add(19.99, {"Country": "DE"})
    revenue.add(5, {"Country": "DE", "sku": "lamp"})
    queue.add(7)
    provider.force_flush()
    revenue.add(1)
    queue.add(-7)
    provider.shutdown()

    received = sandbox.received
    assert received.metrics == {"Revenue": pytest.approx(25.99), "Queue": 7}
    assert [beacon.dimensions for beacon in received.beacons].count((Dimension("Country", "DE"),)) == 1
    assert received.findings == ()


def test_a_histogram_of_seconds_arrives_as_a_timer(sandbox: Sandbox) -> None:
    """A duration histogram named like a timer arrives as the interval's mean in milliseconds."""
    exporter = MPulseMetricExporter(timers={"http.server.*": "Search"}, **sandbox.mpulse_settings)
    provider = MeterProvider(metric_readers=[PeriodicExportingMetricReader(exporter)], shutdown_on_exit=False)
    histogram = provider.get_meter("test").create_histogram("http.server.request.duration", unit="s")

    for seconds in (0.010, 0.030):
        histogram.record(seconds)
    provider.shutdown()

    assert sandbox.received.timers == [("Search", 20)]
    assert sandbox.received.findings == ()


@pytest.mark.flaky(reruns=2)
def test_export_returns_at_once_while_mpulse_hangs(sandbox: Sandbox) -> None:
    """Export keeps and returns although mPulse does not answer for seconds; nothing reaches the caller."""
    sandbox.answer_next(on="config", status=200, delay_seconds=5)
    exporter = MPulseSpanExporter(**sandbox.mpulse_settings, timeout=0.3)
    batch = finished_spans("Checkout")

    began = time.monotonic()
    result = exporter.export(batch)
    seconds = time.monotonic() - began

    assert result is SpanExportResult.SUCCESS
    assert seconds < 0.2
    exporter.shutdown()


def test_spans_from_before_the_configuration_arrive_after_it_with_dimensions(
    sandbox: Sandbox, spans: MPulseSpanExporter
) -> None:
    """B7: what was exported before the configuration came is delivered after it, dimensions included."""
    spans.export(finished_spans("Checkout", "not a timer", Country="FR"))

    assert spans.force_flush()

    assert [name for name, _ in sandbox.received.timers] == ["Checkout"]
    assert sandbox.received.beacons[0].dimensions == (("Country", "FR"),)
    counts = spans.ledger()
    assert (counts.delivered, dict(counts.dropped), counts.lost) == (1, {"undefined": 1}, 0)


def test_an_undefined_name_is_said_once_with_the_nearest(
    sandbox: Sandbox, spans: MPulseSpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    """B6, I2: a name nobody defined is not sent, counted, and told once with the nearest defined one."""
    spans.export(finished_spans("Checkout"))
    spans.force_flush()

    for _ in range(3):
        spans.export(finished_spans("Chekout"))
    spans.force_flush()

    messages = [record.getMessage() for record in caplog.records]
    assert messages == [
        "mpulse: not sent, because the app defines no such custom timer: 'Chekout' (nearest: 'Checkout')"
    ]
    assert spans.ledger().ignored == {"undefined": 3}
    assert len(sandbox.received.timers) == 1


def test_every_span_is_in_one_column_of_the_ledger(sandbox: Sandbox, spans: MPulseSpanExporter) -> None:
    """Seen is mapped plus ignored, accepted is what became of it, at the end as in between."""
    spans.export(finished_spans("Checkout"))
    spans.force_flush()
    spans.export(finished_spans("Checkout", "Search", "nobody's"))
    during = spans.ledger()
    spans.force_flush()
    after = spans.ledger()

    assert during.balanced
    assert after.balanced
    assert (after.seen, after.mapped, after.delivered, after.waiting) == (4, 3, 3, 0)


def test_eight_threads_may_export_at_once(sandbox: Sandbox, spans: MPulseSpanExporter) -> None:
    """SimpleSpanProcessor calls export without a lock: nothing is lost or sent twice."""
    batch = finished_spans("Checkout", "Search")
    threads = [threading.Thread(target=lambda: [spans.export(batch) for _ in range(25)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert spans.force_flush()

    assert len(sandbox.received.timers) == 8 * 25 * 2
    assert spans.ledger().balanced


def test_export_after_shutdown_fails_and_raises_nothing(spans: MPulseSpanExporter) -> None:
    """Export after shutdown returns FAILURE; shutdown may come twice."""
    spans.shutdown()
    spans.shutdown()

    assert spans.export(finished_spans("Checkout")) is SpanExportResult.FAILURE
    assert spans.force_flush() is True


def test_shutdown_during_an_outage_returns_at_once_and_counts(caplog: pytest.LogCaptureFixture) -> None:
    """With mPulse unreachable shutdown does not use up its deadline, and tells what was not delivered."""
    exporter = MPulseSpanExporter(api_key="K", domain="d", config_url=NOBODY)
    exporter.export(finished_spans("Checkout", "Search"))

    began = time.monotonic()
    exporter.shutdown(30_000)

    assert time.monotonic() - began < 5
    assert exporter.ledger().dropped == {"shutdown": 2}
    assert "shutdown" in caplog.text


def test_the_metric_readers_own_shutdown_call_is_understood(sandbox: Sandbox) -> None:
    """PeriodicExportingMetricReader passes `timeout=`, others `timeout_millis=`: both are taken."""
    exporter = MPulseMetricExporter(**sandbox.mpulse_settings)

    exporter.shutdown(timeout=500.0)
    exporter.shutdown(timeout_millis=500.0)

    assert exporter.export(MetricsData(resource_metrics=())) is MetricExportResult.FAILURE


def test_export_takes_what_the_reader_passes(sandbox: Sandbox) -> None:
    """The last collection passes its interval as timeout, and may pass more; export minds neither."""
    memory = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[memory], shutdown_on_exit=False)
    provider.get_meter("test").create_counter("Orders").add(1)
    data = memory.get_metrics_data()
    provider.shutdown()
    assert data is not None
    exporter = MPulseMetricExporter(**sandbox.mpulse_settings)

    result = exporter.export(data, timeout_millis=60_000, anything=1)
    exporter.shutdown()

    assert result is MetricExportResult.SUCCESS
    assert sandbox.received.metrics == {"Orders": 1}


def test_a_fault_of_ours_stays_with_us(
    spans: MPulseSpanExporter, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An exception inside the exporter is logged and counted, and never raised into the application."""
    monkeypatch.setattr(spans, "_mapped", lambda _: 1 / 0)

    result = spans.export(finished_spans("Checkout"))

    assert result is SpanExportResult.FAILURE
    assert spans.ledger().ignored == {"internal_error": 1}
    assert "ZeroDivisionError" in caplog.text


def test_both_exporters_share_one_destination(sandbox: Sandbox) -> None:
    """Span and metric exporter of one app fetch one configuration and keep one ledger."""
    spans = MPulseSpanExporter(**sandbox.mpulse_settings)
    metrics = MPulseMetricExporter(**sandbox.mpulse_settings)

    spans.export(finished_spans("Checkout"))
    spans.force_flush()

    assert metrics.ledger() == spans.ledger()
    metrics.shutdown()
    assert spans.export(finished_spans("Search")) is SpanExportResult.SUCCESS
    spans.shutdown()
    assert [record.kind for record in sandbox.received.records].count("config") == 1
    assert len(sandbox.received.timers) == 2


def test_exporters_of_one_app_must_agree(sandbox: Sandbox) -> None:
    """Two exporters of one app that differ in a shared setting are refused, and the setting is named."""
    first = MPulseSpanExporter(**sandbox.mpulse_settings)

    with pytest.raises(ConfigurationError, match=r"^timeout differs for one destination"):
        MPulseMetricExporter(**sandbox.mpulse_settings, timeout=3)

    MPulseMetricExporter(**sandbox.mpulse_settings, timers={"a": "Checkout"}).shutdown()
    first.shutdown()


@pytest.mark.flaky(reruns=2)
def test_construction_never_connects() -> None:
    """The constructor returns at once, whatever the network does."""
    began = time.monotonic()
    exporter = MPulseSpanExporter(api_key="K", domain="d", config_url="https://192.0.2.1/config.json")

    assert time.monotonic() - began < 0.2
    exporter.shutdown()
    assert threading.active_count() == 1


@pytest.mark.parametrize("how", ["slow", "unreachable"])
@pytest.mark.flaky(reruns=2)
def test_I7_making_an_exporter_returns_at_once_and_sending_starts_when_the_configuration_comes(
    how: str,
) -> None:
    """I7: neither making nor export waits for a slow or unreachable configuration; then what waited goes."""
    app = MPulseApp(timers=("Checkout",), metrics={"Orders": "Number"})
    sandbox = Sandbox(mpulse=app).start()
    settings: dict[str, Any] = {**sandbox.mpulse_settings, "timeout": 3, "config_retry": 0.05}
    port = int(sandbox.url.rpartition(":")[2])
    if how == "slow":
        app.switches = Switches(slow_seconds=1.0)
    else:
        sandbox.stop()

    began = time.monotonic()
    exporter, metrics = MPulseSpanExporter(**settings), MPulseMetricExporter(**settings)
    client = MPulseClient(**settings)
    exporter.export(finished_spans("Checkout"))
    seconds = time.monotonic() - began
    before = list(sandbox.received.timers)
    if how == "unreachable":
        assert not exporter.force_flush(200)
        sandbox = Sandbox(mpulse=app, port=port).start()
    arrived = sandbox.received.wait_for(lambda received: bool(received.timers), 10)

    assert (seconds < 0.5, before, arrived) == (True, [], True)
    assert [name for name, _ in sandbox.received.timers] == ["Checkout"]
    exporter.shutdown()
    metrics.shutdown()
    client.close()
    sandbox.stop()


def test_the_standard_exporter_metrics_are_reported(sandbox: Sandbox) -> None:
    """`otel.sdk.exporter.*` tells how many spans went through the exporter, and how many failed."""
    memory = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[memory], shutdown_on_exit=False)
    exporter = MPulseSpanExporter(meter_provider=provider, **sandbox.mpulse_settings)

    exporter.export(finished_spans("Checkout", "Search"))
    exporter.shutdown()

    data = memory.get_metrics_data()
    assert data is not None
    metrics = {metric.name: metric for metric in data.resource_metrics[0].scope_metrics[0].metrics}
    (exported,) = metrics["otel.sdk.exporter.span.exported"].data.data_points
    (inflight,) = metrics["otel.sdk.exporter.span.inflight"].data.data_points
    assert isinstance(exported, NumberDataPoint)
    assert isinstance(inflight, NumberDataPoint)
    assert exported.attributes is not None
    assert (exported.value, inflight.value) == (2, 0)
    assert exported.attributes["otel.component.type"] == "mpulse_span_exporter"
    assert "otel.sdk.exporter.operation.duration" in metrics
    provider.shutdown()


def test_no_secret_and_no_crumb_in_any_log_line(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    """At the most talkative level, through every kind of failure, neither secret nor crumb is logged."""
    caplog.set_level(logging.DEBUG)
    settings = sandbox.mpulse_settings
    settings["config_url"] = sandbox.signed_config_url
    exporter = MPulseSpanExporter(rest_secret=sandbox.mpulse.rest_secret, **settings, timeout=3)
    sandbox.answer_next(on="beacon", status=503, headers={"Retry-After": "1"})

    exporter.export(finished_spans("Checkout", "undefined"))
    exporter.force_flush(3000)
    exporter.shutdown()

    crumbs = {value for record in sandbox.received.records for name, value in record.pairs if name == "h.cr"}
    assert len(sandbox.received.timers) == 1
    assert sandbox.mpulse.rest_secret not in caplog.text + repr(exporter.__dict__)
    assert not [crumb for crumb in crumbs if crumb in caplog.text.replace("GET /", "")]
