"""
Points: what the data points of any kind of metric say, and whether that can be what it should be.

Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from typing import Any, NamedTuple

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    ExponentialHistogram,
    Histogram,
    Metric,
    MetricsData,
    Sum,
)
from opentelemetry.sdk.resources import Resource

from otel_vendor_exporters.mpulse.unfit import attribute_of
from otel_vendor_exporters.mpulse.wire import NO_NUMBER

_NO_COUNT = 2**64  # of a histogram: OpenTelemetry's protocol has 64 bits for it


class Point(NamedTuple):
    """One data point of any kind: a number, or a histogram's sum and count."""

    attributes: Mapping[str, object]
    start_unix_ns: int | None
    time_unix_ns: int
    value: float
    samples: int


def point_of(metric: Metric, point: Any) -> Point:  # Any: a number's or a histogram's, or what claims to be
    """What a point says; raises for what is none."""
    attributes, start, time = point.attributes or {}, point.start_time_unix_nano, point.time_unix_nano
    if is_histogram(metric):
        return Point(attributes, start, time, point.sum, point.count)
    return Point(attributes, start, time, point.value, 1)


def wrong_with(point: Point) -> str | None:
    """Why a point made by hand cannot be sent, if so."""
    return next((reason for reason, is_wrong in _WRONG if is_wrong(point)), None)


def metrics_in(data: MetricsData) -> Iterator[tuple[Resource, object, Metric]]:
    """The metrics of a collection with their resource and scope; what has no list of them has none."""
    for of_resource in _listed(data, "resource_metrics"):
        for of_scope in _listed(of_resource, "scope_metrics"):
            for metric in _listed(of_scope, "metrics"):
                yield of_resource.resource, of_scope.scope, metric


def _listed(thing: object, name: str) -> Sequence[Any]:  # the SDK's, or what was made by hand
    found = attribute_of(thing, name)
    return found if isinstance(found, Sequence) else ()


def points_in(metric: Metric) -> int:
    """How many points a metric has; what has no list of them counts as one."""
    points = attribute_of(attribute_of(metric, "data"), "data_points")
    return len(points) if isinstance(points, Sized) else 1


def is_histogram(metric: Metric) -> bool:
    """Whether its points have a sum and a count."""
    return isinstance(metric.data, (Histogram, ExponentialHistogram))


def adds_up(metric: Metric) -> bool:
    """Whether what a point adds, or stands at, is known from the series' earlier points alone."""
    return is_cumulative(metric) or is_changes_of_level(metric)


def is_changes_of_level(metric: Metric) -> bool:
    """Whether its points are changes of a level."""
    return isinstance(metric.data, Sum) and not metric.data.is_monotonic and _is_delta(metric)


def _is_delta(metric: Metric) -> bool:
    return getattr(metric.data, "aggregation_temporality", None) == AggregationTemporality.DELTA


def is_cumulative(metric: Metric) -> bool:
    """Whether increments must be taken from the difference to the last point."""
    data = metric.data
    counts = is_histogram(metric) or (isinstance(data, Sum) and data.is_monotonic)
    return counts and not _is_delta(metric)


def told(attributes: Mapping[str, object]) -> str:
    """Attributes as a key: types matter, and values that cannot be hashed have a text, too."""
    return repr(sorted(attributes.items(), key=lambda pair: str(pair[0])))  # older SDKs let any name through


def _is_whole(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool)


def _is_no_number(point: Point) -> bool:
    value = point.value
    return isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < NO_NUMBER


def _has_no_times(point: Point) -> bool:
    start = point.start_unix_ns
    return not _is_whole(point.time_unix_ns) or not (start is None or _is_whole(start))


def _has_no_count(point: Point) -> bool:
    return not _is_whole(point.samples) or not 0 <= point.samples < _NO_COUNT


# What points made by hand may say that cannot be sent, by reason.
_WRONG: tuple[tuple[str, Callable[[Point], bool]], ...] = (
    ("not_a_finite_number", _is_no_number),
    ("time_is_not_whole_nanoseconds", _has_no_times),
    ("count_is_no_whole_number", _has_no_count),
)
