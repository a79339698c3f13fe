"""Self-metrics: what the SDK's conventions ask an exporter to report."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.metrics import _internal as metrics_global
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult

from otel_vendor_exporters.delivery.self_metrics import SelfMetrics
from otel_vendor_exporters.mpulse import MPulseSpanExporter
from otel_vendor_exporters.sandbox import Sandbox


@pytest.fixture
def reader() -> InMemoryMetricReader:
    return InMemoryMetricReader()


@pytest.fixture
def provider(reader: InMemoryMetricReader) -> MeterProvider:
    return MeterProvider([reader], shutdown_on_exit=False)


def reported(reader: InMemoryMetricReader) -> dict[tuple[str, str, str | None], float]:
    """By name, unit and error: the value, or how often a histogram was recorded to."""
    data = reader.get_metrics_data()
    if data is None:
        return {}
    found = {}
    for metric in data.resource_metrics[0].scope_metrics[0].metrics:
        for point in metric.data.data_points:
            attributes = dict(point.attributes or {})
            error = attributes.get("error.type")
            value = point.count if isinstance(point, HistogramDataPoint) else point.value  # type: ignore[union-attr]
            found[metric.name, metric.unit or "", str(error) if error else None] = value
    return found


@pytest.mark.parametrize(
    ("record", "unit"),
    [("span", "{span}"), ("log", "{log_record}"), ("metric_data_point", "{data_point}")],
)
def test_counts_what_is_exported(
    record: str, unit: str, provider: MeterProvider, reader: InMemoryMetricReader
) -> None:
    """Records are in flight during an export, and exported or failed after it."""
    metrics = SelfMetrics("test_exporter", record, provider, enabled=False)

    metrics.end(metrics.begin(5), 5, None)
    metrics.end(metrics.begin(3), 3, "already_shutdown")
    metrics.begin(2)

    name = f"otel.sdk.exporter.{record}"
    assert reported(reader) == {
        (f"{name}.inflight", unit, None): 2,
        (f"{name}.exported", unit, None): 5,
        (f"{name}.exported", unit, "already_shutdown"): 3,
        ("otel.sdk.exporter.operation.duration", "s", None): 1,
        ("otel.sdk.exporter.operation.duration", "s", "already_shutdown"): 1,
    }


def test_each_exporter_has_a_name(provider: MeterProvider, reader: InMemoryMetricReader) -> None:
    """Two exporters of one type are two components."""
    for _ in range(2):
        metrics = SelfMetrics("named_exporter", "span", provider, enabled=False)
        metrics.end(metrics.begin(1), 1, None)

    data = reader.get_metrics_data()
    assert data is not None
    names = {
        str((point.attributes or {})["otel.component.name"])
        for metric in data.resource_metrics[0].scope_metrics[0].metrics
        for point in metric.data.data_points
    }
    assert names == {"named_exporter/0", "named_exporter/1"}


def test_reports_to_the_global_provider_when_enabled(
    provider: MeterProvider, reader: InMemoryMetricReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment's switch is enough where no provider is given."""
    monkeypatch.setattr(metrics_global, "_METER_PROVIDER", provider)
    metrics = SelfMetrics("test_exporter", "span", None, enabled=True)

    metrics.end(metrics.begin(1), 1, None)

    assert reported(reader)["otel.sdk.exporter.span.exported", "{span}", None] == 1


def test_is_silent_by_default(
    provider: MeterProvider, reader: InMemoryMetricReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the switch and without a provider nothing is reported."""
    monkeypatch.setattr(metrics_global, "_METER_PROVIDER", provider)
    metrics = SelfMetrics("test_exporter", "span", None, enabled=False)

    metrics.end(metrics.begin(1), 1, "error")

    assert reported(reader) == {}


class Failing:
    """A meter provider of which `get_meter`, or what its instruments do, raises."""

    def __init__(self, works: tuple[str, ...] = ()) -> None:
        self._works = works

    def __getattr__(self, name: str) -> Any:
        def call(*args: object, **options: object) -> Failing:
            if name not in self._works and not name.startswith("create_"):
                raise RuntimeError("words of a foreign package")
            return self

        return call


@pytest.mark.parametrize("works", [(), ("get_meter",)], ids=["get_meter", "instruments"])
def test_a_meter_provider_that_fails_costs_no_record(
    works: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    """The export goes on, and what fails is said once, by its type."""
    with Sandbox() as sandbox:
        provider = Failing(works)
        exporter = MPulseSpanExporter(**sandbox.mpulse_settings, meter_provider=provider)  # type: ignore[arg-type]  # as far as it goes
        spans = [ReadableSpan("Checkout", context=None, start_time=1, end_time=2)]
        results = [exporter.export(spans) for _ in range(2)]
        exporter.shutdown()

    counts = exporter.ledger()
    assert (results, counts.seen, counts.balanced) == ([SpanExportResult.SUCCESS] * 2, 2, True)
    said = [record.message for record in caplog.records if "meter provider" in record.message]
    assert [line.split(": ", 1)[1] for line in said] == [
        "the meter provider fails (RuntimeError); otel.sdk.exporter.* metrics are missing"
    ]


def test_an_instrument_that_fails_leaves_the_others_right(
    provider: MeterProvider, reader: InMemoryMetricReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was never counted as in flight is not taken from what is."""
    metrics = SelfMetrics("test_exporter", "span", provider, enabled=False)
    with monkeypatch.context() as broken:
        broken.setattr(type(metrics._inflight), "add", Failing().add)
        begun = metrics.begin(5)

    metrics.end(begun, 5, None)

    assert reported(reader) == {
        ("otel.sdk.exporter.span.exported", "{span}", None): 5,
        ("otel.sdk.exporter.operation.duration", "s", None): 1,
    }
