"""Age by a wall clock that is set ahead or back: never too early, and by the right time again soon."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from otel_vendor_exporters.delivery.clock import AgeClock, Clock
from otel_vendor_exporters.delivery.request import Item
from tests.conftest import ForwardClock
from tests.delivery.fakes import NumbersServer, Ways
from tests.delivery.loopback import GUARD_SECONDS

MAX_AGE_SECONDS = 600.0


class SetClock(Clock):
    """The wall clock and the time that passes, apart."""

    wall_ms = 1_800_000_000_000
    passed = 100.0

    def lasting(self) -> float:
        return self.passed

    def unix_ms(self) -> int:
        return self.wall_ms

    def go_on(self, seconds: float, jump_seconds: float = 0.0) -> None:
        """Time passes, and the wall clock is set."""
        self.passed += seconds
        self.wall_ms += int((seconds + jump_seconds) * 1000)


def test_a_wall_clock_that_jumps_and_comes_back_makes_nothing_older() -> None:
    """Days ahead and back again count for nothing; set back for good, it is followed."""
    clock = SetClock()
    ages = AgeClock(clock, MAX_AGE_SECONDS)
    began = ages.unix_ms()

    clock.wall_ms += 3 * 86_400_000
    clock.passed += 2.5
    assert ages.unix_ms() == began + 2500
    clock.wall_ms -= 4 * 86_400_000
    assert ages.unix_ms() == clock.wall_ms


def test_a_clock_set_ahead_for_good_is_followed_once_nothing_kept_before_matters() -> None:
    """What was kept before the jump and what was kept since expire after exactly the maximum age."""
    clock = SetClock()
    ages = AgeClock(clock, MAX_AGE_SECONDS)
    expires_ms = clock.unix_ms() + MAX_AGE_SECONDS * 1000
    clock.go_on(200.0, jump_seconds=7200.0)
    ages.unix_ms()
    expires_later_ms = clock.unix_ms() + MAX_AGE_SECONDS * 1000

    found = []
    for seconds in (0.0, 399.0, 2.0, 198.0, 2.0):
        clock.go_on(seconds)
        found.append((ages.unix_ms() >= expires_ms, ages.unix_ms() >= expires_later_ms))

    assert found == [(False, False), (False, False), (True, False), (True, False), (True, True)]


def test_what_is_kept_while_the_clock_is_set_back_is_not_older_when_it_is_right_again() -> None:
    """An hour back, and ten minutes later the hour ahead: what was kept in between has its whole age."""
    clock = SetClock()
    ages = AgeClock(clock, MAX_AGE_SECONDS)
    clock.go_on(10.0, jump_seconds=-3600.0)
    ages.unix_ms()
    expires_ms = clock.unix_ms() + MAX_AGE_SECONDS * 1000
    clock.go_on(300.0, jump_seconds=3600.0)

    found = []
    for seconds in (0.0, 299.0, 2.0):
        clock.go_on(seconds)
        found.append(ages.unix_ms() >= expires_ms)

    assert found == [False, False, True]


@given(some.lists(some.tuples(some.integers(0, 900), some.integers(-9000, 9000)), max_size=30))
def test_nothing_expires_before_its_age(plan: list[tuple[int, int]]) -> None:
    """However often the clock is set; and nothing does by a clock that is ahead of the wall's."""
    clock = SetClock()
    ages = AgeClock(clock, MAX_AGE_SECONDS)
    kept: list[tuple[float, float]] = []
    for seconds, jump in plan:
        kept.append((clock.passed, ages.unix_ms() and clock.unix_ms() + MAX_AGE_SECONDS * 1000))
        clock.go_on(float(seconds), float(jump))
        now_ms = ages.unix_ms()
        assert now_ms <= clock.unix_ms()
        for at, expires_ms in kept:
            assert now_ms < expires_ms + 1000 or clock.passed - at >= MAX_AGE_SECONDS


class SetForwardClock(ForwardClock):
    """Goes with the real one, and can be set ahead of what has passed."""

    set_ahead_seconds = 0.0

    def unix_ms(self) -> int:
        return super().unix_ms() + int(self.set_ahead_seconds * 1000)


@pytest.mark.parametrize("jump_seconds", [0.0, 7200.0, -7200.0])
def test_the_maximum_age_holds_after_the_clock_was_set(ways: Ways, jump_seconds: float) -> None:
    """An hour's outage is too long for what may wait ten minutes, also when nothing was tried in between."""
    clock = SetForwardClock()
    with NumbersServer() as server:
        way = ways(server.url, clock=clock, max_age_seconds=MAX_AGE_SECONDS)
        way.vendor.use(prepare=lambda timeout_seconds, hurry: 300.0)
        way.keep([1])
        clock.set_ahead_seconds = jump_seconds
        expires = clock.unix_ms() + MAX_AGE_SECONDS * 1000
        way.delivery.keep([Item(2, 10, expires_at_unix_ms=expires)])
        way.vendor.use(prepare=lambda timeout_seconds, hurry: 0.0)
        clock.forward(3600)
        assert way.delivery.flush(GUARD_SECONDS)

    assert (server.numbers, way.counts()["dropped"]) == ([1], {"expired": 1})
