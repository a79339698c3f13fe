"""The pace: pauses, probes, connections and rate."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from otel_vendor_exporters.delivery.pace import FAST_ANSWER_SECONDS, Outage, Pace
from otel_vendor_exporters.delivery.policy import TokenBucket


def failing(pace: Pace, now: float, chance: float = 0.5, wait_seconds: float | None = None) -> bool:
    return pace.fail(now, chance, slowly=False, wait_seconds=wait_seconds)


def test_starts_with_all_connections_and_no_pause() -> None:
    """A new destination is not held back."""
    pace = Pace(4, None)

    assert (pace.lanes, pace.seconds_until_go(1.0, 0.0), pace.wait_for_rate(1.0, 0.0)) == (4, None, 0.0)


def test_probes_alone_after_a_failure() -> None:
    """After a failure one request may be under way, until one succeeds."""
    pace = Pace(4, None)

    failing(pace, 100.0)
    during = pace.lanes
    ended = pace.recover()

    assert (during, ended, pace.lanes) == (1, True, 4)


def test_success_without_an_outage_ends_none() -> None:
    """Only the first success after a failure is news."""
    pace = Pace(4, None)
    failing(pace, 100.0)
    pace.recover()

    assert pace.recover() is False


def test_all_connections_that_fail_together_are_one_failure() -> None:
    """Failures during the pause neither double it nor are told again."""
    pace = Pace(4, None)

    first = [failing(pace, now) for now in (100.0, 100.1, 100.2)]

    assert (first, pace.failures, pace.paused_until) == ([True, False, False], 1, 100.5)


def test_pauses_double_and_end_with_success() -> None:
    """Each failure after a pause doubles the next; after a success it starts again."""
    pace = Pace(1, None)
    pauses = []

    for now in (0.0, 100.0, 200.0):
        failing(pace, now)
        pauses.append(pace.paused_until - now)
    pace.recover()
    failing(pace, 300.0)

    assert (pauses, pace.paused_until) == ([0.5, 1.0, 2.0], 300.5)


def test_waits_as_long_as_the_vendor_asks() -> None:
    """The vendor's wait wins over a shorter backoff, also from a request that failed second."""
    pace = Pace(2, None)

    failing(pace, 100.0, wait_seconds=30.0)
    first = pace.seconds_until_go(None, 100.0)
    failing(pace, 110.0, wait_seconds=40.0)

    assert (first, pace.seconds_until_go(None, 110.0), pace.failures) == (30.0, 40.0, 1)


def test_a_shorter_wait_does_not_end_a_longer_pause() -> None:
    """Of two pauses the longer holds."""
    pace = Pace(2, None)

    pace.pause(60.0, 0.0)
    pace.pause(5.0, 0.0)
    pace.pause(-1.0, 0.0)

    assert pace.paused_until == 60.0


def test_failures_while_the_rate_holds_back_count() -> None:
    """A failure is a failure, and told, though the rate has already made a pause."""
    pace = Pace(2, TokenBucket(0.1, 1.0))
    pace.pause(10.0, 100.0)

    assert (failing(pace, 101.0), pace.failures, pace.paused_until) == (True, 1, 110.0)


def test_resuming_ends_a_pause_but_remembers_the_failures() -> None:
    """The last try of a shutdown goes at once, and when it fails it counts."""
    pace = Pace(2, None)
    pace.fail(100.0, 0.5, slowly=True, wait_seconds=None)

    pace.resume()
    wait = pace.seconds_until_go(None, 100.0)
    again = failing(pace, 101.0)

    assert (wait, again, pace.failures, pace.paused_until) == (None, True, 2, 102.0)


def test_resuming_does_not_end_what_the_vendor_has_asked_for() -> None:
    """Whoever ends does not ask once more inside a Retry-After."""
    pace = Pace(2, None)
    failing(pace, 100.0, wait_seconds=300.0)

    pace.resume()

    assert (pace.failures, pace.paused_until) == (1, 400.0)


def test_an_outage_outlives_who_learned_of_it() -> None:
    """The next one waits as long, and doubles; once a request succeeds, nobody knows of it any more."""
    outage = Outage()
    failing(Pace(2, None, outage), 100.0, wait_seconds=300.0)

    following = Pace(2, None, outage)
    found = (following.failures, following.paused_until, following.lanes)
    failing(following, 400.0)
    after = (following.failures, following.paused_until)
    following.recover()

    assert (found, after) == ((1, 400.0, 1), (2, 401.0))
    assert outage == Outage()


def test_renewing_forgets_failures_but_not_the_rate() -> None:
    """A child starts without the parent's outage; what was spent of the rate stays spent."""
    pace = Pace(3, TokenBucket(1.0, 2.0))
    pace.wait_for_rate(2.0, 100.0)
    failing(pace, 100.0)

    pace.renew_after_fork()

    assert (pace.failures, pace.paused_until, pace.lanes, pace.wait_for_rate(1.0, 100.0)) == (0, 0.0, 3, 1.0)


def test_spends_the_rate_only_when_it_goes() -> None:
    """What must wait has not paid yet."""
    pace = Pace(1, TokenBucket(1.0, 2.0))

    waits = [pace.wait_for_rate(2.0, 10.0), pace.wait_for_rate(2.0, 10.0), pace.wait_for_rate(2.0, 12.0)]

    assert waits == [0.0, 2.0, 0.0]


def test_pause_hides_the_rate() -> None:
    """While there is a pause, its end is what is waited for."""
    pace = Pace(1, TokenBucket(1.0, 2.0))
    pace.wait_for_rate(2.0, 10.0)
    pace.pause(0.5, 10.0)

    waits = [
        pace.seconds_until_go(1.0, 10.0),
        pace.seconds_until_go(1.0, 10.5),
        pace.seconds_until_go(None, 11.0),
    ]

    assert waits == [0.5, 0.5, None]


@pytest.mark.parametrize(
    ("answers", "lanes"),
    [
        ([], 4),
        ([FAST_ANSWER_SECONDS / 2], 1),
        ([FAST_ANSWER_SECONDS * 2], 4),
        ([1.0, 0.0, 0.0], 4),
        ([0.0, 1.0], 4),
    ],
)
def test_a_fast_vendor_has_one_connection(answers: list[float], lanes: int) -> None:
    """More connections are used while answers take their time."""
    pace = Pace(4, None)

    for seconds in answers:
        pace.answered(seconds)

    assert pace.lanes == lanes


@given(
    some.lists(
        some.tuples(
            some.sampled_from(["fail", "slow", "recover", "pause"]),
            some.floats(0, 100),
            some.floats(0, 1, exclude_max=True),
        )
    )
)
def test_a_pause_never_passes_ten_minutes(moves: list[tuple[str, float, float]]) -> None:
    """Whatever happens in whatever order, somebody asks again within the cap, and one lane is open."""
    pace = Pace(4, None)
    now = 0.0

    for name, passed, chance in moves:
        now += passed
        if name in ("fail", "slow"):
            pace.fail(now, chance, slowly=name == "slow", wait_seconds=passed)
        elif name == "recover":
            pace.recover()
        else:
            pace.pause(passed, now)
        assert pace.lanes >= 1
        assert 0 <= (pace.seconds_until_go(None, now) or 0.0) <= 600.0
