"""Self-metrics: what the SDK's conventions ask an exporter to report."""

from __future__ import annotations

import pytest
from opentelemetry.metrics import _internal as metrics_global
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader

from otel_vendor_exporters.delivery.self_metrics import SelfMetrics


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
