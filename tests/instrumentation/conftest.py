"""A fresh SDK for every test, put where the OpenTelemetry API keeps its global providers."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry._logs import _internal as logs_global
from opentelemetry.metrics import _internal as metrics_global
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from instrumentation import uninstrument
from tests.instrumentation.log_sink import Sink
from tests.instrumentation.shop import CART, Application


@dataclass(frozen=True)
class Point:
    """One data point: a counter's sum, or how many times a histogram was recorded to."""

    name: str
    value: float
    attributes: Mapping[str, object] = field(default_factory=dict)
    unit: str = "1"


@dataclass(frozen=True)
class Event:
    """One log record that has a name."""

    name: str | None
    attributes: Mapping[str, object] = field(default_factory=dict)
    severity: str = "INFO"


class Telemetry:
    """The three providers, and what reached their exporters."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self._spans = InMemorySpanExporter()
        self.logs = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]  # the SDK leaves it untyped
        self.reader = InMemoryMetricReader()
        self.tracer_provider = TracerProvider(shutdown_on_exit=False)
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self._spans))
        self.meter_provider = MeterProvider([self.reader], shutdown_on_exit=False)
        self.logger_provider = LoggerProvider(shutdown_on_exit=False)
        self.logger_provider.add_log_record_processor(SimpleLogRecordProcessor(self.logs))

    def install(self) -> None:
        """From now on, these are the global providers."""
        self._monkeypatch.setattr(trace, "_TRACER_PROVIDER", self.tracer_provider)
        self._monkeypatch.setattr(metrics_global, "_METER_PROVIDER", self.meter_provider)
        self._monkeypatch.setattr(logs_global, "_LOGGER_PROVIDER", self.logger_provider)

    def spans(self) -> list[ReadableSpan]:
        """The spans that have ended, in the order they did."""
        return list(self._spans.get_finished_spans())

    def span(self) -> ReadableSpan:
        """The only span."""
        (span,) = self.spans()
        return span

    def points(self) -> list[Point]:
        """All data points so far."""
        data = self.reader.get_metrics_data()
        if data is None:
            return []
        return [
            Point(
                metric.name,
                point.count if isinstance(point, HistogramDataPoint) else point.value,  # type: ignore[union-attr]
                dict(point.attributes or {}),
                metric.unit or "",
            )
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in metric.data.data_points
        ]

    def seconds(self) -> list[float]:
        """What each of the histograms so far adds up to."""
        data = self.reader.get_metrics_data()
        assert data is not None
        return [
            point.sum
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in metric.data.data_points
            if isinstance(point, HistogramDataPoint)
        ]

    def descriptions(self) -> dict[str, str | None]:
        """The descriptions of all instruments so far, by name."""
        data = self.reader.get_metrics_data()
        assert data is not None
        return {
            metric.name: metric.description
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def events(self) -> list[Event]:
        """All events so far."""
        records = [each.log_record for each in self.logs.get_finished_logs()]
        return [
            Event(each.event_name, dict(each.attributes or {}), getattr(each.severity_number, "name", ""))
            for each in records
        ]

    def attributes(self) -> list[dict[str, Any]]:
        """The attributes of what was recorded (Any: of any value), whatever it was."""
        return [
            *(dict(each.attributes or {}) for each in self.spans()),
            *(dict(each.attributes) for each in self.points()),
            *(dict(each.attributes) for each in self.events()),
        ]

    def names(self) -> list[str | None]:
        """What was recorded, by name, whatever it was."""
        return [
            *(span.name for span in self.spans()),
            *(name for point in self.points() for name in [point.name] * int(point.value)),
            *(event.name for event in self.events()),
        ]


def current() -> Any:
    """The current span (Any: of the SDK or of the API)."""
    return trace.get_current_span()


def raising(error: Any) -> Any:
    """A function that fails (Any: with whatever is raised, and typed as the test decorates it)."""

    def function() -> None:
        raise error

    return function


@pytest.fixture
def telemetry_later(monkeypatch: pytest.MonkeyPatch) -> Telemetry:
    """An SDK that waits for its `install()`; until then there is none."""
    telemetry = Telemetry(monkeypatch)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    monkeypatch.setattr(metrics_global, "_METER_PROVIDER", None)
    monkeypatch.setattr(logs_global, "_LOGGER_PROVIDER", None)
    return telemetry


@pytest.fixture
def telemetry(telemetry_later: Telemetry) -> Telemetry:
    """An SDK that is set up."""
    telemetry_later.install()
    return telemetry_later


@pytest.fixture
def sink() -> Sink:
    """A provider of its own."""
    return Sink()


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, telemetry: Telemetry) -> Iterator[Application]:
    """The application, with `shop.cart` and the SDK set up; forgotten afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    application = Application(tmp_path)
    application.write("cart", CART)
    yield application
    uninstrument()
    for name in [name for name in sys.modules if name.split(".")[0] == "shop"]:
        del sys.modules[name]
