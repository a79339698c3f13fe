"""Two readings as one: while they wait, and beside each other in one collection."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_vendor_exporters.delivery.request import Item
from otel_vendor_exporters.delivery.spool import MemorySpool
from otel_vendor_exporters.mpulse.client import _item
from otel_vendor_exporters.mpulse.units import (
    Context,
    How,
    Reading,
    Timing,
    Unit,
    later_and_older,
    side_by_side,
)

HERE = Context()


def reading(how: How, value: float, samples: int = 1, end_unix_ms: int = 0) -> Reading:
    return Reading("Orders", how, value, samples, end_unix_ms, HERE)


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        (How.ADD, reading(How.ADD, 7, 5, 20)),
        (How.MEAN, reading(How.MEAN, 7, 5, 20)),
        (How.LEVEL, reading(How.LEVEL, 4, 3, 20)),
        (How.LAST, reading(How.LAST, 4, 3, 20)),
    ],
)
def test_readings_of_different_times(how: How, expected: Reading) -> None:
    """Increments and means add up; of levels and gauges the later counts, in whichever order they come."""
    first, second = reading(how, 3, 2, 10), reading(how, 4, 3, 20)

    assert later_and_older(first, second) == expected
    assert later_and_older(second, first) == expected
    assert side_by_side(first, second) == expected
    assert side_by_side(second, first) == expected


@pytest.mark.parametrize(
    ("how", "waiting", "beside"),
    [
        (How.ADD, 7, 7),
        (How.MEAN, 7, 7),
        (How.LEVEL, 4, 7),
        (How.LAST, 4, 4),
    ],
)
def test_readings_of_the_same_time(how: How, waiting: float, beside: float) -> None:
    """Of the same moment the newer replaces a level that waits; beside each other levels are parts of one."""
    first, second = reading(how, 3), reading(how, 4)

    assert later_and_older(first, second).value == waiting  # type: ignore[union-attr]  # a reading
    assert side_by_side(first, second).value == beside


READINGS = st.lists(
    st.builds(reading, st.sampled_from(How), st.integers(0, 1000), st.integers(1, 9), st.integers(0, 99)),
    min_size=1,
)


@given(READINGS, st.data())
def test_the_order_of_merging_does_not_matter(readings: list[Reading], data: st.DataObject) -> None:
    """Sums come out the same however they were put together."""
    same = [one for one in readings if one.how in (How.ADD, How.MEAN)]
    shuffled = data.draw(st.permutations(same))
    for how in (How.ADD, How.MEAN):
        one, other = (_all(how, some) for some in (same, shuffled))
        assert one == other


def _all(how: How, readings: list[Reading]) -> Unit | None:
    merged: Unit | None = None
    for one in readings:
        if one.how is how:
            merged = one if merged is None else later_and_older(merged, one)
    return merged


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.integers(1, 100)), max_size=40))
def test_increments_that_wait_are_merged_and_never_lost(increments: list[tuple[str, int]]) -> None:
    """In the spool there is one item for each metric, with the whole sum, and it never gets too old."""
    spool: MemorySpool[Unit] = MemorySpool(max_items=100, max_bytes=10**6, merge=later_and_older)
    for name, value in increments:
        spool.put([_item(reading(How.ADD, value)._replace(name=name), 600_000, None)])

    names = {name for name, _ in increments}
    assert len(spool) == len(names)
    assert spool.expire(10**18) == []
    totals = {item.unit.name: item.unit.value for item in spool.take(10) if isinstance(item.unit, Reading)}
    assert totals == {name: sum(value for one, value in increments if one == name) for name in names}


@pytest.mark.parametrize(
    ("unit", "expires", "merges"),
    [
        (Timing("T", 5, 1000, HERE), 601_000, False),
        (reading(How.MEAN, 5, end_unix_ms=1000), 601_000, True),
        (reading(How.ADD, 5, end_unix_ms=1000), None, True),
        (reading(How.LEVEL, 5, end_unix_ms=1000), None, True),
        (reading(How.LAST, 5, end_unix_ms=1000), None, True),
    ],
)
def test_timers_get_too_old_and_metrics_do_not(unit: Unit, expires: float | None, merges: bool) -> None:
    """max_age is for timers; metrics go first and merge, timings each go by themselves."""
    item: Item[Unit] = _item(unit, 600_000, None)

    assert item.expires_at_unix_ms == expires
    assert (item.merge_key is not None, item.first) == (merges, merges)
