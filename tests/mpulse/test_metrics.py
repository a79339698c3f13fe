"""Metric points become readings: increments, levels, last values, means; merged, never sent twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics import export as sdk
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from otel_vendor_exporters.mpulse.definitions import Definitions, Metric
from otel_vendor_exporters.mpulse.exporters import _TEMPORALITY
from otel_vendor_exporters.mpulse.increments import Increments
from otel_vendor_exporters.mpulse.mapping import Mapped
from otel_vendor_exporters.mpulse.metrics import MetricMapping
from otel_vendor_exporters.mpulse.packing import Limits, pack
from otel_vendor_exporters.mpulse.unfit import MILLISECONDS_OF_UNIT
from otel_vendor_exporters.mpulse.units import How, Reading
from tests.mpulse.example import NOW_UNIX_MS, settings
from tests.mpulse.test_mapping import UNUSUAL

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
UNUSUAL_TIMES: tuple[Any, ...] = (float(NOW), float("nan"), float("inf"), True, "now", [1])


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


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (counter(number(3)), [("Orders", How.ADD, 3)]),
        (counter(number(2.5)), [("Orders", How.ADD, 2.5)]),
        (counter(number(3), temporality=CUMULATIVE), [("Orders", How.ADD, 3)]),
        (level(number(3)), [("Queue", How.LEVEL, 3)]),
        (level(number(3), temporality=DELTA), [("Queue", How.LEVEL, 3)]),
        (level(number(0)), [("Queue", How.LEVEL, 0)]),
        (gauge(number(3.5)), [("Queue", How.LAST, 3.5)]),
        (gauge(number(0)), [("Queue", How.LAST, 0)]),
        (histogram(300, 2), [("Wait", How.ADD, 300), ("Wait", How.MEAN, 300)]),
        (histogram(3, 2, "s"), [("Wait", How.ADD, 3), ("Wait", How.MEAN, 3000)]),
        (histogram(300, 2, "By"), [("Wait", How.ADD, 300)]),
        (histogram(300, 2, None), [("Wait", How.ADD, 300)]),
    ],
)
def test_every_kind_of_instrument(metric: sdk.Metric, expected: list[tuple[str, How, float]]) -> None:
    """Counters add, up-down counters are a level, gauges the last value, histograms a sum and a mean."""
    found = mapped(metric)

    assert (values(found), found.records, dict(found.ignored)) == (expected, 1, {})


@pytest.mark.parametrize(
    ("unit", "milliseconds"),
    [("ns", 1), ("us", 1), ("ms", 1), ("s", 1000), ("min", 60_000), ("h", 3_600_000), ("d", 86_400_000)],
)
def test_a_histograms_unit_is_its_ucum_code(unit: str, milliseconds: int) -> None:
    """Two samples of one unit each (for ns and us of one ms): the timer is that long."""
    total = 2 * milliseconds / MILLISECONDS_OF_UNIT[unit]
    found = mapped(histogram(total, 2, unit))

    loads, _ = pack(found.units, DEFINITIONS, Limits(), NOW_UNIX_MS)
    assert [load.beacon.timers for load in loads] == [(("custom0", milliseconds),)]


@pytest.mark.parametrize("unit", ["S", "MS", "sec", "seconds", "m", "{s}", "1", ""])
def test_what_is_no_unit_of_time_is_no_timer(unit: str) -> None:
    """UCUM is case-sensitive: S is siemens, m is metre."""
    found = mapped(histogram(3, 2, unit), definitions=Definitions(timers={"Wait": "custom0"}))

    assert (found.units, dict(found.ignored)) == ([], {"unit_is_no_time": 1})


@pytest.mark.parametrize(
    ("metric", "reason"),
    [
        *[
            (kind(number(value)), "not_a_finite_number")
            for kind in (counter, level, gauge)
            for value in (float("nan"), float("inf"), -float("inf"), True, None, "5", 10**400, 1e200, [1])
        ],
        *[
            (kind(number(5, None, **{which: time})), "time_is_not_whole_nanoseconds")
            for kind in (counter, level, gauge)
            for which in ("start", "end")
            for time in UNUSUAL_TIMES
        ],
        (counter(number(5, end=None)), "time_is_not_whole_nanoseconds"),
        *[
            (histogram(5, count), "count_is_no_whole_number")
            for count in (2.5, float("nan"), float("inf"), True, None, "2", -1, 2**64, 10**400)
        ],
        (histogram(float("nan"), 2), "not_a_finite_number"),
        (histogram(None, 2), "not_a_finite_number"),
        (counter(number(-1)), "negative_value"),
        (level(number(-1)), "negative_value"),
        (gauge(number(-0.5)), "negative_value"),
        (histogram(-5, 2), "negative_value"),
        (counter(number(0)), "zero"),
        (counter(number(5, start=NOW, end=NOW), temporality=CUMULATIVE), "zero"),
        (histogram(0, 0), "zero"),
    ],
)
def test_what_is_no_reading_is_counted_by_reason(metric: sdk.Metric, reason: str) -> None:
    """NaN, infinity, booleans and negative values are refused with a count; nothing happened is no beacon."""
    found = mapped(metric, counter(number(1)))

    assert values(found) == [("Orders", How.ADD, 1)]
    assert (found.records, dict(found.ignored)) == (1, {reason: 1})


def test_a_level_is_judged_when_it_is_whole() -> None:
    """Parts of an up-down counter may be below zero; only what they come to is not."""
    opened, paid = number(20, {"why": "opened"}), number(-12, {"why": "paid"})

    assert values(mapped(level(opened, paid))) == [("Queue", How.LEVEL, 8)]
    below = mapped(level(paid, number(4, {"why": "opened"})))
    assert (below.units, below.records, dict(below.ignored)) == ([], 0, {"negative_value": 2})


def test_names_of_attributes_that_are_no_texts_lose_nothing_else() -> None:
    """Older SDKs let any name through."""
    odd: Any = {3: 4, "a": 1}

    assert values(mapped(counter(number(1, odd)))) == [("Orders", How.ADD, 1)]


def test_a_mean_too_long_for_a_timer_is_counted() -> None:
    """A timer is 32 bits of milliseconds; the sum may still be a metric."""
    only_timer = Definitions(timers={"Wait": "custom0"})

    assert dict(mapped(histogram(2**31, 1), definitions=only_timer).ignored) == {"too_long": 1}
    assert values(mapped(histogram(2**31, 1))) == [("Wait", How.ADD, 2**31)]
    assert len(mapped(histogram(2**31, 2), definitions=only_timer).units) == 1


def test_W4_zeros_and_negatives_are_choices() -> None:
    """An increment of 0 and values below 0 are sent when the settings say so."""
    assert values(mapped(counter(number(0)), zero_metrics=True)) == [("Orders", How.ADD, 0)]
    assert values(mapped(level(number(-2)), negative_metrics=True)) == [("Queue", How.LEVEL, -2)]


@pytest.mark.parametrize(
    ("name", "keywords", "expected"),
    [
        ("Orders", {}, "Orders"),
        ("orders", {}, "Orders"),
        ("shop.orders", {"metrics": {"shop.*": "Orders"}}, "Orders"),
        ("shop.orders", {"metrics": {"Shop.Orders": "Orders"}}, "Orders"),
        ("orders", {"metrics": {"o*": "Queue"}}, "Queue"),
        ("orders", {"metrics": {"o*": "nobody's"}}, None),
        ("shop.orders", {}, None),
    ],
)
def test_B6_which_metric_an_instrument_feeds(
    name: str, keywords: dict[str, Any], expected: str | None
) -> None:
    """The setting's first glob, else its own name, in any case since the SDK writes it in lower case."""
    found = mapped(counter(number(1), name=name), **keywords)

    assert [unit.name for unit in found.units] == ([] if expected is None else [expected])
    assert dict(found.undefined) == ({name: 1} if expected is None else {})


def test_the_sdks_own_metrics_are_not_missed() -> None:
    """otel.sdk.* is counted, and not told as a name nobody defined."""
    found = mapped(counter(number(1), number(2), name="otel.sdk.span.live"))

    assert (dict(found.undefined), dict(found.ignored)) == ({}, {"undefined": 2})


def test_points_that_differ_in_no_dimension_are_added_up() -> None:
    """One reading for each set of dimensions, whatever else the attributes say."""
    points = [
        number(1, {"Country": "DE", "user": "a"}),
        number(2, {"Country": "DE", "user": "b"}),
        number(4, {"Country": "FR"}),
        number(8, {"user": "a"}),
        number(16),
    ]
    found = mapped(counter(*points), level(*points))

    totals = {
        (unit.name, unit.context.dimensions): unit.value for unit in found.units if isinstance(unit, Reading)
    }
    german, french = (("Country", "DE"),), (("Country", "FR"),)
    assert totals == {
        (name, where): value
        for name in ("Orders", "Queue")
        for where, value in ((german, 3), (french, 4), ((), 24))
    }
    assert found.records == 10


def test_of_gauges_the_last_is_sent() -> None:
    """Temperatures do not add up: of several points the latest counts."""
    found = mapped(gauge(number(5, {"a": 1}), number(7, {"a": 2}, end=NOW + SECOND), number(6, {"a": 3})))

    assert values(found) == [("Queue", How.LAST, 7)]


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("value", UNUSUAL.values(), ids=UNUSUAL.keys())
def test_attribute_values_of_every_type_leave_the_number_alone(value: Any, known: bool) -> None:
    """A dimension's value that has no place is left out; the increment itself is counted either way."""
    point = number(3, {"Country": value, "mpulse.page_group": value, "session.id": value})
    found = mapped(counter(point, temporality=CUMULATIVE), definitions=DEFINITIONS if known else None)

    loads, discards = pack(found.units, DEFINITIONS, Limits(), NOW_UNIX_MS)
    assert [load.beacon.metrics for load in loads] == [(("cmet.Orders", "3"),)]
    assert discards == []


# Increments out of cumulative points


def cumulative(value: float, *, start: int = 0, end: int) -> sdk.Metric:
    return counter(number(value, start=start, end=end), temporality=CUMULATIVE)


@pytest.mark.parametrize(
    ("points", "increments"),
    [
        ([(0, 1, 5), (0, 2, 7), (0, 3, 7), (0, 4, 10)], [5, 2, 0, 3]),
        ([(0, 1, 5), (0, 2, 3), (0, 3, 4)], [5, 3, 1]),
        ([(0, 1, 5), (2, 3, 6), (2, 4, 9)], [5, 6, 3]),
        ([(0, 1, 5), (2, 2, 100), (2, 3, 103)], [5, 0, 3]),
        ([(0, 1, 5), (0, 2, float("nan")), (0, 3, 8)], [5, 0, 3]),
    ],
    ids=["differences", "the value falls", "a new start", "a reset at an unknown time", "a gap"],
)
def test_resets_of_cumulative_counters(
    points: Sequence[tuple[int, int, float]], increments: list[float]
) -> None:
    """(start, end, value): after a reset everything counted since is new (OpenTelemetry's data model)."""
    collections = [cumulative(value, start=start, end=end) for start, end, value in points]

    assert over_time(MetricMapping(settings()), *collections) == increments


def test_a_histogram_is_reset_when_its_count_falls() -> None:
    """Sum and count go together: a mean is of what came since the last point."""
    mapping = MetricMapping(settings())
    points = [(100, 1, 1), (400, 3, 2), (500, 2, 3)]

    found = [
        mapping.readings_from(
            collection(histogram(total, count, temporality=CUMULATIVE, start=0, end=end)), DEFINITIONS, None
        )
        for total, count, end in points
    ]

    means = [
        unit for one in found for unit in one.units if isinstance(unit, Reading) and unit.how is How.MEAN
    ]
    assert [(one.value, one.samples) for one in means] == [(100, 1), (300, 2), (500, 2)]


def test_changes_of_a_level_are_added_to_it() -> None:
    """An up-down counter in deltas is still sent as its level."""
    mapping = MetricMapping(settings())

    changes = [level(number(change), temporality=DELTA) for change in (5, -2, 4)]

    assert over_time(mapping, *changes) == [5, 3, 7]


@pytest.mark.parametrize("part", ["attributes", "resource", "scope", "name"])
def test_series_are_told_apart(part: str) -> None:
    """Cumulative values are compared with those of the same resource, scope, instrument and attributes."""
    mapping = MetricMapping(settings(metrics={"o*": "Orders"}))

    def one(value: float, which: int) -> float:
        point = number(value, {"a": [which]} if part == "attributes" else {}, start=0, end=1)
        metric = counter(point, name=f"o{which}" if part == "name" else "orders", temporality=CUMULATIVE)
        data = collection(
            metric,
            resource=Resource({"a": which if part == "resource" else 0}),
            scope=str(which) if part == "scope" else "",
        )
        return sum(value for *_, value in values(mapping.readings_from(data, DEFINITIONS, None)))

    assert [one(5, 1), one(7, 2), one(6, 1), one(8, 2)] == [5, 7, 1, 1]


@given(st.lists(st.lists(st.integers(0, 100), min_size=1, max_size=5), max_size=6))
def test_cumulative_and_delta_count_the_same(lives: list[list[int]]) -> None:
    """Whatever was added, over any number of restarts: the increments are what was added, in both ways."""
    as_delta, as_cumulative = MetricMapping(settings()), MetricMapping(settings())
    moment = 0
    for life in lives:
        moment += 1
        start, total = moment, 0
        for added in life:
            moment, total = moment + 1, total + added
            point = number(added, start=moment - 1, end=moment)
            assert over_time(as_delta, counter(point)) == [added]
            assert over_time(as_cumulative, cumulative(total, start=start, end=moment)) == [added]


def test_endless_series_do_not_stay_in_memory() -> None:
    """Beyond a bound the series seen longest ago is forgotten, and not counted whole once more."""
    increments = Increments()
    for key in range(20_002):
        increments.since_last(key, 0, 1, 5, 1)

    assert len(increments._series) == 20_000
    assert increments.since_last(20_001, 0, 2, 7, 1) == (2, 0)
    assert increments.since_last(0, 0, 2, 7, 1) is None
    assert increments.since_last(0, 0, 3, 9, 1) == (2, 0)


# With the real SDK


@pytest.mark.parametrize("aggregation", ["explicit", "exponential"])
def test_the_sdks_own_points_are_understood(aggregation: str) -> None:
    """Real instruments with the exporter's temporality: two collections, each interval's part once."""
    views = [View(instrument_name="Wait", aggregation=ExponentialBucketHistogramAggregation())]
    reader = sdk.InMemoryMetricReader(preferred_temporality=dict(_TEMPORALITY))
    provider = MeterProvider(
        [reader], views=views if aggregation == "exponential" else (), shutdown_on_exit=False
    )
    meter = provider.get_meter("test")
    orders, queue = meter.create_counter("Orders"), meter.create_up_down_counter("Queue")
    wait = meter.create_histogram("Wait", unit="s")
    mapping = MetricMapping(settings())

    found = []
    for _ in range(2):
        orders.add(2, {"Country": "DE"})
        queue.add(3)
        wait.record(0.1)
        wait.record(0.3)
        data = reader.get_metrics_data()
        assert data is not None
        found.append(sorted(values(mapping.readings_from(data, DEFINITIONS, None)), key=str))
    provider.shutdown()

    assert found == [
        [
            ("Orders", How.ADD, 2),
            ("Queue", How.LEVEL, total),
            ("Wait", How.ADD, pytest.approx(0.4)),
            ("Wait", How.MEAN, pytest.approx(400)),
        ]
        for total in (3, 6)
    ]


def test_values_of_callbacks_may_be_anything() -> None:
    """What an observable callback returns by mistake is refused with a count."""
    reader = sdk.InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    observations = [Observation(value, {"a": str(value)}) for value in (True, 7)]
    provider.get_meter("test").create_observable_gauge("Queue", [lambda _: observations])
    data = reader.get_metrics_data()
    provider.shutdown()
    assert data is not None

    found = MetricMapping(settings()).readings_from(data, DEFINITIONS, None)

    assert (values(found), dict(found.ignored)) == ([("Queue", How.LAST, 7)], {"not_a_finite_number": 1})
