"""Increments out of cumulative points: resets, series that are told apart, and what memory forgets."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.resources import Resource

from otel_vendor_exporters.mpulse.increments import Increments
from otel_vendor_exporters.mpulse.metrics import MetricMapping
from otel_vendor_exporters.mpulse.units import How, Reading
from tests.mpulse.example import settings
from tests.mpulse.metric_points import (
    CUMULATIVE,
    DEFINITIONS,
    DELTA,
    collection,
    counter,
    cumulative,
    histogram,
    level,
    number,
    over_time,
    values,
)


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
