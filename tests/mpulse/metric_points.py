"""Metric points made by hand, collections of them, and the readings that they become."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry.sdk.metrics import export as sdk
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from otel_vendor_exporters.mpulse.definitions import Definitions, Metric
from otel_vendor_exporters.mpulse.mapping import Mapped
from otel_vendor_exporters.mpulse.metrics import MetricMapping
from otel_vendor_exporters.mpulse.units import How, Reading
from tests.mpulse.example import NOW_UNIX_MS, settings

NOW = NOW_UNIX_MS * 1_000_000
SECOND = 1_000_000_000
RESOURCE = Resource({})
DELTA, CUMULATIVE = sdk.AggregationTemporality.DELTA, sdk.AggregationTemporality.CUMULATIVE
DEFINITIONS = Definitions(
    timers={"Wait": "custom0"},
    metrics={"Orders": Metric("cmet.Orders"), "Queue": Metric("cmet.Queue"), "Wait": Metric("cmet.Wait")},
    dimensions={"Country": "cdim.Country"},
)
Attributes = Mapping[str, Any]


def number(
    value: Any, attributes: Attributes | None = None, *, start: Any = NOW - SECOND, end: Any = NOW
) -> sdk.NumberDataPoint:
    return sdk.NumberDataPoint(attributes or {}, start, end, value)


def counter(*points: sdk.NumberDataPoint, name: str = "orders", temporality: Any = DELTA) -> sdk.Metric:
    return sdk.Metric(name, None, "1", sdk.Sum(points, temporality, is_monotonic=True))


def level(*points: sdk.NumberDataPoint, temporality: Any = CUMULATIVE) -> sdk.Metric:
    return sdk.Metric("queue", None, "1", sdk.Sum(points, temporality, is_monotonic=False))


def gauge(*points: sdk.NumberDataPoint) -> sdk.Metric:
    return sdk.Metric("queue", None, "1", sdk.Gauge(points))


def histogram(
    total: Any,
    count: Any,
    unit: str | None = "ms",
    *,
    temporality: Any = DELTA,
    start: int = NOW - SECOND,
    end: int = NOW,
) -> sdk.Metric:
    point = sdk.HistogramDataPoint({}, start, end, count, total, [count], [], 0, 0)
    return sdk.Metric("wait", None, unit, sdk.Histogram([point], temporality))


def collection(*metrics: sdk.Metric, resource: Resource = RESOURCE, scope: str = "test") -> sdk.MetricsData:
    scopes = [sdk.ScopeMetrics(InstrumentationScope(scope), metrics, "")]
    return sdk.MetricsData([sdk.ResourceMetrics(resource, scopes, "")])


def mapped(*metrics: sdk.Metric, definitions: Definitions | None = DEFINITIONS, **keywords: Any) -> Mapped:
    """What one collection becomes."""
    return MetricMapping(settings(**keywords)).readings_from(collection(*metrics), definitions, None)


def values(found: Mapped) -> list[tuple[str, How, float]]:
    readings = [unit for unit in found.units if isinstance(unit, Reading)]
    return [(one.name, one.how, one.value) for one in readings]


def over_time(mapping: MetricMapping, *collections: sdk.Metric) -> list[float]:
    """The values of one instrument over several collections."""
    found = [mapping.readings_from(collection(metric), DEFINITIONS, None) for metric in collections]
    return [sum(value for _, how, value in values(one) if how is not How.MEAN) for one in found]


def cumulative(value: float, *, start: int = 0, end: int) -> sdk.Metric:
    return counter(number(value, start=start, end=end), temporality=CUMULATIVE)
