"""
Metrics: from the SDK's metric points to readings.

Pure. Monotonic sums become increments, whatever temporality they come in; gauges and up-down counters their
last value; histograms a timer (the interval's mean) and, or, a metric (its sum), as the app defines.
Rule: points that differ only in attributes without a dimension are added up, never sent twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from opentelemetry.sdk.metrics.export import (
    ExponentialHistogram,
    Gauge,
    Histogram,
    Metric,
    MetricsData,
    Sum,
)
from opentelemetry.sdk.resources import Resource

from otel_vendor_exporters.attributes import DECORATORS_SCOPE
from otel_vendor_exporters.interrupts import let_through
from otel_vendor_exporters.mpulse.contexts import Contexts
from otel_vendor_exporters.mpulse.definitions import Definitions
from otel_vendor_exporters.mpulse.increments import Increments
from otel_vendor_exporters.mpulse.mapping import Mapped, Names
from otel_vendor_exporters.mpulse.points import (
    Point,
    adds_up,
    is_changes_of_level,
    is_cumulative,
    is_histogram,
    metrics_in,
    point_of,
    points_in,
    told,
    wrong_with,
)
from otel_vendor_exporters.mpulse.settings import MPulseSettings
from otel_vendor_exporters.mpulse.undefined import is_about_telemetry
from otel_vendor_exporters.mpulse.unfit import (
    MILLISECONDS_OF_UNIT,
    NoTiming,
    Unfit,
    attribute_of,
    unfit,
    unreadable,
)
from otel_vendor_exporters.mpulse.units import Context, How, Reading, Session, side_by_side
from otel_vendor_exporters.mpulse.wire import TOO_MANY_MILLISECONDS

_MOST_RESOURCES = 100


_Key: TypeAlias = tuple[str, How, Context]


class _Target(NamedTuple):
    """A definition that an instrument feeds; `other` is what `Reading` says of it."""

    name: str
    how: How
    other: str


class _Instrument(NamedTuple):
    """One instrument of a collection, and what its points feed."""

    metric: Metric
    given: str
    targets: list[_Target]
    resource: Resource
    stream: object


class _Fed(NamedTuple):
    """What points of one name and context come to."""

    reading: Reading
    points: int
    instrument: str


@dataclass(slots=True)
class _Collection:
    """One collection while it is mapped."""

    definitions: Definitions | None
    session: Session | None
    mapped: Mapped = field(default_factory=Mapped)
    fed: dict[_Key, _Fed] = field(default_factory=dict)

    def add(self, reading: Reading, instrument: str) -> None:
        """Add a reading to those of its name and context."""
        key = (reading.name, reading.how, reading.context)
        known = self.fed.get(key)
        if known is None:
            self.fed[key] = _Fed(reading, 1, instrument)
        else:
            self.fed[key] = _Fed(side_by_side(known.reading, reading), known.points + 1, known.instrument)

    def refuse(self, one: Unfit, points: int = 1) -> None:
        """Count points that are not sent, and keep in mind to say so."""
        self.mapped.ignored[one.reason] += points
        self.mapped.unfit.add(one)

    def whole(self, negatives: bool) -> Mapped:
        """The collection as mapped; levels are judged now that they are whole."""
        for reading, points, instrument in self.fed.values():
            if reading.value < 0 and not negatives:
                self.mapped.records -= points
                self.refuse(unfit(instrument, "negative_value"), points)
            else:
                self.mapped.units.append(reading)
        return self.mapped


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
        collection = _Collection(definitions, process_session)
        for resource, scope, metric in metrics_in(data):
            try:
                self._add_metric(collection, resource, scope, metric)
            except Exception as error:  # noqa: BLE001, PERF203  it takes no other with it
                collection.refuse(unfit(attribute_of(metric, "name"), unreadable(error)), points_in(metric))
        return collection.whole(self._settings.negative_metrics)

    def _add_metric(self, collection: _Collection, resource: Resource, scope: object, metric: Metric) -> None:
        """Add what an instrument's points become; raises for what is none, before any of it is added."""
        points = tuple(metric.data.data_points)
        if not isinstance(metric.data, _KNOWN_DATA):
            collection.refuse(unfit(metric.name, "unknown_data"), len(points))
            return
        given = _given_name(metric, getattr(scope, "name", None))
        targets = self._targets(metric, given, collection.definitions)
        stream = self._stream(metric, given, resource, scope) if targets or adds_up(metric) else None
        if not targets:
            if stream is not None:
                self._follow(metric, points, stream)
            _ignore(collection.mapped, metric, given, len(points))
            return
        instrument = _Instrument(metric, given, targets, resource, stream)
        for point in points:
            try:
                reason = self._add_point(collection, instrument, point_of(metric, point))
            except Exception as error:  # noqa: BLE001  as for instruments
                reason = unreadable(error)
            if reason is not None:
                collection.refuse(unfit(given, reason, metric.unit))

    def _follow(self, metric: Metric, points: Iterable[object], stream: object) -> None:
        """Keep in mind where undefined series stand: once they are defined, only what comes then is new."""
        for one in points:
            try:
                point = point_of(metric, one)
                series = stream, told(point.attributes)
                if wrong_with(point) is None and self._increments.has_room_for(series):
                    self._new_in(metric, point, series)
            except Exception as error:  # noqa: BLE001, PERF203  it is counted as undefined, whatever it is
                let_through(error)

    def _stream(self, metric: Metric, given: str, resource: Resource, scope: object) -> object:
        """Whose points they are, as a key."""
        by_scope = getattr(scope, "name", None), getattr(scope, "version", None)
        return (self._told_by(resource), *by_scope, metric.name, given, metric.unit, type(metric.data))

    def _add_point(self, collection: _Collection, instrument: _Instrument, point: Point) -> str | None:
        """Add the point's readings, or say why it has none."""
        found, reason = self._readings_of(instrument, point)
        if not found:
            return reason
        context = self._contexts.context(
            point.attributes,
            instrument.resource,
            collection.definitions,
            collection.session,
            point.time_unix_ns // 1_000_000,
            collection.mapped.left_out,
            route=False,
        )
        collection.mapped.records += 1
        for reading in found:
            collection.add(reading._replace(context=context), instrument.given)
        if reason is not None:
            self._add_no_timing(collection, instrument, found[0], reason)
        return None

    def _add_no_timing(
        self, collection: _Collection, instrument: _Instrument, reading: Reading, reason: str
    ) -> None:
        """A histogram that is sent as a metric alone, though it would feed a timer, too."""
        one = unfit(instrument.given, reason, instrument.metric.unit)
        timer = next(target.name for target in instrument.targets if target.how is How.MEAN)
        if collection.definitions is None:
            collection.mapped.no_timings[reading.name] = NoTiming(timer, one)
        elif reason == "too_long":  # by its unit it is a time, and meant as one
            collection.mapped.left_out[reason] += 1
            collection.mapped.unfit.add(one)

    def _targets(self, metric: Metric, given: str, definitions: Definitions | None) -> list[_Target]:
        """The definitions this instrument feeds, or may feed; `given` is its name as somebody gave it."""
        targets: list[_Target] = []
        name, timer = (_named(given, metric.name, names) for names in (self._metrics, self._timers))
        either = definitions is None and _is_duration(metric)
        defined = name if definitions is None else definitions.metric_for(name)
        if defined is not None:
            targets.append(_Target(defined, _kind_of(metric), timer if either else ""))
        defined = timer if definitions is None else definitions.timer_for(timer)
        if defined is not None and is_histogram(metric):
            targets.append(_Target(defined, How.MEAN, name if either else ""))
        return targets

    def _readings_of(self, instrument: _Instrument, point: Point) -> tuple[list[Reading], str | None]:
        """The point's readings, and the reason why it has none, or not all."""
        metric, targets = instrument.metric, instrument.targets
        wrong = wrong_with(point)
        if wrong is not None:
            return [], wrong
        new = self._new_in(metric, point, (instrument.stream, told(point.attributes)))
        if isinstance(new, str):
            return [], new
        value, samples = new
        is_part = any(how is How.LEVEL for _, how, _ in targets)  # others may make up for it
        if value < 0 and not (is_part or self._settings.negative_metrics):
            return [], "negative_value"
        end_unix_ms = point.time_unix_ns // 1_000_000
        readings = []
        reason = None
        for name, how, other in targets:
            if how is How.MEAN:
                factor = MILLISECONDS_OF_UNIT.get(metric.unit or "")
                if factor is None or value * factor >= TOO_MANY_MILLISECONDS * max(samples, 1):
                    reason = "unit_is_no_time" if factor is None else "too_long"
                elif samples > 0:
                    readings.append(
                        Reading(name, how, value * factor, samples, end_unix_ms, _NO_CONTEXT, other)
                    )
            elif value != 0 or how is not How.ADD or self._settings.zero_metrics:
                readings.append(Reading(name, how, value, samples, end_unix_ms, _NO_CONTEXT, other))
        if reason == "too_long":
            readings = [one._replace(other="") for one in readings]
        return readings, reason if readings else reason or "zero"

    def _new_in(self, metric: Metric, point: Point, series: object) -> tuple[float, int] | str:
        """Value and samples that the point adds, or a level's value; or the reason why there is none."""
        value, samples = point.value, point.samples
        if is_cumulative(metric):
            new = self._increments.since_last(series, point.start_unix_ns, point.time_unix_ns, value, samples)
            return "too_many_series" if new is None else new
        if is_changes_of_level(metric):
            return self._increments.level(series, value), samples
        return value, samples

    def _told_by(self, resource: Resource) -> str:
        """The resource as a key: two that say the same are the same, whichever objects they are."""
        known = self._resources.get(id(resource))
        if known is None:
            if len(self._resources) >= _MOST_RESOURCES:
                self._resources = {}
            known = self._resources[id(resource)] = (resource, told(resource.attributes))
        return known[1]


_NO_CONTEXT = Context()
_KNOWN_DATA = (Sum, Gauge, Histogram, ExponentialHistogram)


def _folded(globs: Mapping[str, str]) -> Mapping[str, str]:
    folded: dict[str, str] = {}
    for glob, name in globs.items():
        folded.setdefault(glob.casefold(), name)  # first match wins, also of those that are now the same
    return folded


def _given_name(metric: Metric, scope_name: object) -> str:
    """What a decorator calls the instrument, which may hold more than OpenTelemetry takes for a name."""
    return (metric.description if scope_name == DECORATORS_SCOPE else None) or metric.name


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


def _kind_of(metric: Metric) -> How:
    if isinstance(metric.data, Gauge):
        return How.LAST
    if isinstance(metric.data, Sum) and not metric.data.is_monotonic:
        return How.LEVEL
    return How.ADD


def _is_duration(metric: Metric) -> bool:
    """Whether this may be a timer."""
    return is_histogram(metric) and metric.unit in MILLISECONDS_OF_UNIT


def _ignore(mapped: Mapped, metric: Metric, given: str, points: int) -> None:
    """Count points nobody defined."""
    if is_about_telemetry(metric.name):
        mapped.ignored["undefined"] += points
        return
    mapped.undefined[given] += points
    if _is_duration(metric):
        mapped.either.add(given)
