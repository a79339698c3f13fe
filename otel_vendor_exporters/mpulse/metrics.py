"""
Metrics: from the SDK's metric points to readings.

Pure. Monotonic sums become increments, whatever temporality they come in; gauges and up-down counters their
last value; histograms a timer (the interval's mean) and, or, a metric (its sum), as the app defines.
Rule: points that differ only in attributes without a dimension are added up, never sent twice.
Source for resets: OpenTelemetry specification, metrics/data-model.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping
from typing import NamedTuple, TypeAlias

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    ExponentialHistogram,
    Gauge,
    Histogram,
    Metric,
    MetricsData,
    Sum,
)
from opentelemetry.sdk.resources import Resource

from otel_vendor_exporters.attributes import DECORATORS_SCOPE
from otel_vendor_exporters.mpulse.contexts import Contexts
from otel_vendor_exporters.mpulse.definitions import Definitions
from otel_vendor_exporters.mpulse.mapping import Mapped, Names
from otel_vendor_exporters.mpulse.settings import MPulseSettings
from otel_vendor_exporters.mpulse.undefined import is_about_telemetry
from otel_vendor_exporters.mpulse.units import Context, How, Reading, Session, side_by_side
from otel_vendor_exporters.mpulse.wire import MOST_MILLISECONDS, MOST_NUMBER

# UCUM: case-sensitive, and a minute is "min".
MILLISECONDS_OF_UNIT: Mapping[str, float] = {
    "ns": 1e-6,
    "us": 1e-3,
    "ms": 1.0,
    "s": 1000.0,
    "min": 60_000.0,
    "h": 3_600_000.0,
    "d": 86_400_000.0,
}
_MOST_SERIES = 20_000
_MOST_RESOURCES = 100


class _Series(NamedTuple):
    """What a cumulative point said last."""

    start_unix_ns: int | None
    value: float
    samples: int


class Increments:
    """Turns cumulative points into increments, and non-monotonic deltas into levels. Bounded memory."""

    def __init__(self) -> None:
        self._series: OrderedDict[object, _Series] = OrderedDict()
        self._has_forgotten = False

    def since_last(
        self, key: object, start_unix_ns: int | None, time_unix_ns: int, value: float, samples: int
    ) -> tuple[float, int] | None:
        """
        What came to a cumulative series since its last point.

        A new start, or a value or count that fell, is a reset: everything counted since is new. But a point
        without duration is a reset at an unknown time: it says where the series stands, and adds nothing.
        None when the series may be one of those that were forgotten: counting it whole would count it twice.
        """
        may_be_known = self._has_forgotten
        last = self._exchange(key, _Series(start_unix_ns, value, samples))
        if last is None and may_be_known:
            return None
        if start_unix_ns == time_unix_ns:
            return 0, 0
        reset = last is None or last.start_unix_ns != start_unix_ns
        if last is None or reset or value < last.value or samples < last.samples:
            return value, samples
        return value - last.value, samples - last.samples

    def level(self, key: object, change: float) -> float:
        """The level of a series of changes."""
        last = self._series.get(key)
        level = change + (last.value if last else 0)
        self._exchange(key, _Series(None, level, 0))
        return level

    def _exchange(self, key: object, new: _Series) -> _Series | None:
        last = self._series.pop(key, None)
        self._series[key] = new
        if len(self._series) > _MOST_SERIES:
            self._series.popitem(last=False)
            self._has_forgotten = True
        return last


class _Point(NamedTuple):
    """One data point of any kind: a number, or a histogram's sum and count."""

    attributes: Mapping[str, object]
    start_unix_ns: int | None
    time_unix_ns: int
    value: object
    samples: int


class _Target(NamedTuple):
    """A definition that an instrument feeds; `other` is what `Reading` says of it."""

    name: str
    how: How
    other: str


class MetricMapping:
    """Maps collections of metrics. One thread at a time, as metric readers call exporters."""

    def __init__(self, settings: MPulseSettings) -> None:
        self._settings = settings
        self._timers = Names(_folded(settings.timers))
        self._metrics = Names(_folded(settings.metrics))
        self._contexts = Contexts(settings)
        self._increments = Increments()
        self._resources: dict[int, tuple[Resource, str]] = {}  # by id; holding one keeps its id its own

    def readings_from(
        self, data: MetricsData, definitions: Definitions | None, process_session: Session | None
    ) -> Mapped:
        """The readings in `data`; while `definitions` are unknown every instrument may be defined."""
        mapped = Mapped()
        readings: dict[_Key, Reading] = {}
        points_of: Counter[_Key] = Counter()
        for resource, scope, metric in _metrics_in(data):
            given = _given_name(metric, scope)
            targets = self._targets(metric, given, definitions)
            points = list(_points_of(metric))
            if not targets:
                _ignore(mapped, metric, given, len(points))
                continue
            stream = (self._told_by(resource), scope, metric.name, given, metric.unit, type(metric.data))
            for point in points:
                found = self._readings_of(metric, point, targets, (stream, _told(point.attributes)))
                if isinstance(found, str):
                    mapped.ignored[found] += 1
                    continue
                mapped.records += 1
                context = self._contexts.context(
                    point.attributes,
                    resource,
                    definitions,
                    process_session,
                    point.time_unix_ns // 1_000_000,
                    mapped.left_out,
                    route=False,
                )
                for reading in found:
                    key = _add(readings, reading._replace(context=context))
                    points_of[key] += 1
        for key, reading in readings.items():
            if reading.value < 0 and not self._settings.negative_metrics:  # a level, now that it is whole
                mapped.records -= points_of[key]
                mapped.ignored["negative_value"] += points_of[key]
            else:
                mapped.units.append(reading)
        return mapped

    def _targets(self, metric: Metric, given: str, definitions: Definitions | None) -> list[_Target]:
        """The definitions this instrument feeds, or may feed; `given` is its name as somebody gave it."""
        targets: list[_Target] = []
        name, timer = (_named(given, metric.name, names) for names in (self._metrics, self._timers))
        either = definitions is None and _is_duration(metric)
        defined = name if definitions is None else definitions.metric_for(name)
        if defined is not None:
            targets.append(_Target(defined, _kind_of(metric), timer if either else ""))
        defined = timer if definitions is None else definitions.timer_for(timer)
        if defined is not None and _is_histogram(metric):
            targets.append(_Target(defined, How.MEAN, name if either else ""))
        return targets

    def _readings_of(
        self, metric: Metric, point: _Point, targets: list[_Target], series: object
    ) -> list[Reading] | str:
        """The point's readings, or the reason why it has none."""
        new = self._new_in(metric, point, series)
        if isinstance(new, str):
            return new
        value, samples = new
        is_part = any(how is How.LEVEL for _, how, _ in targets)  # others may make up for it
        if value < 0 and not (is_part or self._settings.negative_metrics):
            return "negative_value"
        end_unix_ms = point.time_unix_ns // 1_000_000
        readings = []
        reason = "zero"
        for name, how, other in targets:
            if how is How.MEAN:
                factor = MILLISECONDS_OF_UNIT.get(metric.unit or "")
                if factor is None or value * factor > MOST_MILLISECONDS * max(samples, 1):
                    reason = "unit_is_no_time" if factor is None else "too_long"
                elif samples > 0:
                    readings.append(
                        Reading(name, how, value * factor, samples, end_unix_ms, _NO_CONTEXT, other)
                    )
            elif value != 0 or how is not How.ADD or self._settings.zero_metrics:
                readings.append(Reading(name, how, value, samples, end_unix_ms, _NO_CONTEXT, other))
        return readings or reason

    def _new_in(self, metric: Metric, point: _Point, series: object) -> tuple[float, int] | str:
        """Value and samples that the point adds, or a level's value; or the reason why there is none."""
        value, samples = point.value, point.samples
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= MOST_NUMBER:
            return "not_a_finite_number"
        if _is_cumulative(metric):
            new = self._increments.since_last(series, point.start_unix_ns, point.time_unix_ns, value, samples)
            return "too_many_series" if new is None else new
        if isinstance(metric.data, Sum) and not metric.data.is_monotonic and _is_delta(metric):
            return self._increments.level(series, value), samples
        return value, samples

    def _told_by(self, resource: Resource) -> str:
        """The resource as a key: two that say the same are the same, whichever objects they are."""
        known = self._resources.get(id(resource))
        if known is None:
            if len(self._resources) >= _MOST_RESOURCES:
                self._resources = {}
            known = self._resources[id(resource)] = (resource, _told(resource.attributes))
        return known[1]


_NO_CONTEXT = Context()
_Key: TypeAlias = tuple[str, How, Context]


def _folded(globs: Mapping[str, str]) -> Mapping[str, str]:
    return {glob.casefold(): name for glob, name in globs.items()}


def _given_name(metric: Metric, scope: tuple[str, str | None]) -> str:
    """What a decorator calls the instrument, which may hold more than OpenTelemetry takes for a name."""
    return (metric.description if scope[0] == DECORATORS_SCOPE else None) or metric.name


def _named(given: str, instrument: str, names: Names) -> str:
    """
    The name for an instrument, by globs of either of its names, else as it was given.

    In globs case does not matter, since the SDK writes instrument names in lower case.
    """
    for folded in (given.casefold(), instrument.casefold()):
        name = names.of(folded)
        if name != folded:
            return name
    return given


def _metrics_in(data: MetricsData) -> Iterator[tuple[Resource, tuple[str, str | None], Metric]]:
    for of_resource in data.resource_metrics:
        for of_scope in of_resource.scope_metrics:
            scope = of_scope.scope
            for metric in of_scope.metrics:
                yield of_resource.resource, (scope.name, scope.version), metric


def _points_of(metric: Metric) -> Iterator[_Point]:
    data = metric.data
    for point in data.data_points:
        attributes = point.attributes or {}
        start, time = point.start_time_unix_nano, point.time_unix_nano
        if isinstance(data, (Histogram, ExponentialHistogram)):
            yield _Point(attributes, start, time, point.sum, point.count)  # type: ignore[union-attr]  # a histogram's point
        else:
            yield _Point(attributes, start, time, point.value, 1)  # type: ignore[union-attr]  # a number's point


def _kind_of(metric: Metric) -> How:
    if isinstance(metric.data, Gauge):
        return How.LAST
    if isinstance(metric.data, Sum) and not metric.data.is_monotonic:
        return How.LEVEL
    return How.ADD


def _is_histogram(metric: Metric) -> bool:
    return isinstance(metric.data, (Histogram, ExponentialHistogram))


def _is_duration(metric: Metric) -> bool:
    """Whether this may be a timer."""
    return _is_histogram(metric) and metric.unit in MILLISECONDS_OF_UNIT


def _is_delta(metric: Metric) -> bool:
    return getattr(metric.data, "aggregation_temporality", None) == AggregationTemporality.DELTA


def _is_cumulative(metric: Metric) -> bool:
    """Whether increments must be taken from the difference to the last point."""
    data = metric.data
    counts = _is_histogram(metric) or (isinstance(data, Sum) and data.is_monotonic)
    return counts and not _is_delta(metric)


def _told(attributes: Mapping[str, object]) -> str:
    """Attributes as a key: types matter, and values that cannot be hashed have a text, too."""
    return repr(sorted(attributes.items(), key=lambda pair: str(pair[0])))  # older SDKs let any name through


def _ignore(mapped: Mapped, metric: Metric, given: str, points: int) -> None:
    """Count points nobody defined."""
    if is_about_telemetry(metric.name):
        mapped.ignored["undefined"] += points
        return
    mapped.undefined[given] += points
    if _is_duration(metric):
        mapped.either.add(given)


def _add(readings: dict[_Key, Reading], reading: Reading) -> _Key:
    """Add a reading to those of its name and context, which are its key."""
    key = (reading.name, reading.how, reading.context)
    known = readings.get(key)
    readings[key] = reading if known is None else side_by_side(known, reading)
    return key
