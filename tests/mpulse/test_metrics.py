"""Metric points become readings: increments, levels, last values, means; merged in each set of dimensions."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics import export as sdk
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View

from otel_vendor_exporters.mpulse.definitions import Definitions
from otel_vendor_exporters.mpulse.exporters import _TEMPORALITY
from otel_vendor_exporters.mpulse.metrics import MetricMapping
from otel_vendor_exporters.mpulse.packing import Limits, pack
from otel_vendor_exporters.mpulse.unfit import MILLISECONDS_OF_UNIT
from otel_vendor_exporters.mpulse.units import How, Reading
from tests.mpulse.example import NOW_UNIX_MS, settings
from tests.mpulse.metric_points import (
    CUMULATIVE,
    DEFINITIONS,
    DELTA,
    NOW,
    SECOND,
    counter,
    gauge,
    histogram,
    level,
    mapped,
    number,
    values,
)
from tests.mpulse.test_mapping import UNUSUAL

UNUSUAL_TIMES: tuple[Any, ...] = (float(NOW), float("nan"), float("inf"), True, "now", [1])


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
