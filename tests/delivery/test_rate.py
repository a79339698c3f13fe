"""A rate that holds in every second of the receiver's clock."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as some

from otel_vendor_exporters.delivery.rate import EvenRate


def departures(
    most: float, costs: Sequence[float], ways: Sequence[float]
) -> list[tuple[float, float, float]]:
    """When each request left, when it was answered, and its cost: one after the other, at full speed."""
    rate, now, found = EvenRate(most), 1000.0, []
    for cost, way in zip(costs, ways, strict=True):
        while (wait := rate.seconds_until(cost, now)) > 0:
            now += wait
        rate.take(cost, now)
        left, now = now, now + way
        rate.answered(cost, now)
        found.append((left, now, cost))
    return found


def test_what_fits_leaves_at_once() -> None:
    """A new rate holds back nothing."""
    assert EvenRate(250).seconds_until(100, 5.0) == 0.0


def test_a_burst_is_spread_evenly() -> None:
    """100, 100 and 50 take a second, and so do the next."""
    left = [left for left, _, _ in departures(250, [100, 100, 50] * 4, [0.01] * 12)]

    gaps = [round(later - earlier, 2) for earlier, later in pairwise(left)]
    assert gaps == [0.4, 0.4, 0.21, 0.4, 0.4, 0.21, 0.4, 0.4, 0.21, 0.4, 0.4]


def test_more_than_the_most_waits_for_an_empty_second() -> None:
    """A request that alone exceeds the rate leaves all the same, when nothing else is counted."""
    (first, _, _), (second, _, _) = departures(10, [5, 25], [0.0, 0.0])

    assert 1.0 < second - first < 1.1


def test_what_is_under_way_counts_until_it_is_answered() -> None:
    """With several connections nothing more leaves while the second's worth is still on its way."""
    rate = EvenRate(10)
    rate.take(10, 0.0)

    assert rate.seconds_until(1, 100.0) == 1.0
    rate.answered(10, 100.0)
    assert 0.9 < rate.seconds_until(1, 100.1) < 1.0
    assert rate.seconds_until(1, 101.1) == 0.0


def test_a_child_process_does_not_wait_for_its_parents_answers() -> None:
    """What was under way at the fork is the parent's."""
    rate = EvenRate(10)
    rate.take(10, 0.0)

    rate.renew_after_fork()

    assert rate.seconds_until(10, 1.0) == 0.0


@given(
    some.integers(1, 300),
    some.lists(some.tuples(some.integers(1, 100), some.floats(0, 3), some.floats(0, 1)), max_size=40),
)
def test_no_second_of_the_receivers_clock_holds_more(most: int, plan: list[tuple[int, float, float]]) -> None:
    """Wherever between departure and answer a request arrives, no second has more than the rate."""
    costs = [float(min(cost, most)) for cost, _, _ in plan]
    left = departures(most, costs, [way for _, way, _ in plan])

    arrivals = [
        (start + part * (end - start), cost)
        for (start, end, cost), (_, _, part) in zip(left, plan, strict=True)
    ]
    for began, _ in arrivals:
        assert sum(cost for at, cost in arrivals if began <= at <= began + 1.0) <= most
