"""The beacon budget: never more in any 60 minutes, and a fair, uniform sample of timings."""

from __future__ import annotations

import math
import random
from bisect import bisect_left
from collections import deque
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_vendor_exporters.mpulse import MPulseClient
from otel_vendor_exporters.mpulse.budget import PERIOD_SECONDS, Sampler, bucket_for, shares
from otel_vendor_exporters.mpulse.client import destination_for
from otel_vendor_exporters.mpulse.settings import MPulseSettings
from otel_vendor_exporters.mpulse.units import Context, How, Reading, Timing
from otel_vendor_exporters.sandbox import Sandbox
from tests.mpulse.example import settings

HOUR = 3600.0
MAX_AGE_SECONDS = 600.0


def sent_at(per_hour: int, arrivals: list[float], end: float = math.inf) -> list[float]:
    """When beacons leave that came at these times, each as soon as the budget lets it; then the end."""
    bucket, now, moments = bucket_for(per_hour), 0.0, []
    for arrival in sorted(arrivals):
        now = max(now, arrival)
        if now + bucket.seconds_until(1, now) > end:
            now = end
            bucket.open_reserve()
            if bucket.seconds_until(1, now) > 0:
                break
        now += bucket.seconds_until(1, now)
        bucket.take(1, now)
        moments.append(now)
    return moments


def most_in_an_hour(moments: list[float]) -> int:
    """The largest number in any 60 minutes: the hour that begins with each of them."""
    return max(
        (bisect_left(moments, begin + HOUR - 1e-6) - index for index, begin in enumerate(moments)), default=0
    )


@pytest.mark.parametrize("per_hour", [1, 2, 11, 12, 13, 100, 120, 137, 1370, 10_000])
def test_a_hurry_never_passes_the_budget(per_hour: int) -> None:
    """With beacons always waiting no hour sees more than the budget, and the hours see nearly all of it."""
    moments = sent_at(per_hour, [0.0] * per_hour * 4, end=HOUR - 1)

    assert most_in_an_hour(moments) <= per_hour
    assert most_in_an_hour(moments) >= per_hour * 0.9


@given(
    st.sampled_from([1, 2, 12, 13, 14, 60]),
    st.lists(st.floats(0, 5 * HOUR), max_size=150),
    st.lists(st.sampled_from([0.0, HOUR / 2, HOUR, 2 * HOUR]), max_size=60),
    st.floats(0, 5 * HOUR),
)
def test_no_60_minutes_see_more_than_the_budget(
    per_hour: int, arrivals: list[float], bursts: list[float], end: float
) -> None:
    """Whenever beacons come, and whenever the process ends."""
    arrivals = [arrival for arrival in arrivals + bursts if arrival <= end]

    assert most_in_an_hour(sent_at(per_hour, arrivals, end)) <= per_hour


@pytest.mark.parametrize(
    ("per_hour", "at_once", "at_the_end"), [(1, 1, 0), (2, 1, 1), (12, 1, 1), (36, 2, 1), (1200, 50, 50)]
)
def test_half_of_what_may_go_at_once_is_for_the_end(per_hour: int, at_once: int, at_the_end: int) -> None:
    """A budget of two beacons or more holds one or more back while the process runs."""
    moments = sent_at(per_hour, [0.0] * per_hour, end=0.0)

    bucket = bucket_for(per_hour)
    for _ in range(at_once):
        assert bucket.seconds_until(1, 0.0) == 0
        bucket.take(1, 0.0)
    assert bucket.seconds_until(1, 0.0) > 0
    assert len(moments) == at_once + at_the_end


@pytest.mark.parametrize(("budget", "processes"), [(12, 1), (12, 5), (12, 12), (1370, 7), (100, 3)])
def test_processes_share_the_budget(budget: int, processes: int) -> None:
    """All together they stay within it, also where it cannot be divided evenly."""
    per_hour = settings(max_beacons_per_hour=budget, processes=processes).beacons_per_hour
    assert per_hour is not None

    assert most_in_an_hour(sent_at(per_hour, [0.0] * budget * 3)) * processes <= budget


@pytest.mark.parametrize(
    ("budget", "starts", "most"), [(1200, 12, 1200), (1200, 13, 1300), (12, 6, 12), (12, 7, 14)]
)
def test_each_process_begins_with_what_may_go_at_once(budget: int, starts: int, most: int) -> None:
    """Those that live for seconds pass the budget together, unless `processes` counts them."""
    per_hour = settings(max_beacons_per_hour=budget, processes=starts).beacons_per_hour
    assert per_hour is not None

    alone, shared = (len(sent_at(each, [0.0] * budget, end=0.0)) for each in (budget, per_hour))

    assert alone * starts == most
    assert shared * starts <= budget


# The sample


@pytest.mark.parametrize(
    ("offered", "room", "expected"),
    [
        ({"a": 10}, 100, {"a": 1.0}),
        ({"a": 10}, 5, {"a": 0.5}),
        ({"a": 10, "b": 90}, 50, {"a": 1.0, "b": 40 / 90}),
        ({"a": 100, "b": 100}, 50, {"a": 0.25, "b": 0.25}),
        ({"a": 1, "b": 30, "c": 1000}, 31, {"a": 1.0, "b": 0.5, "c": 0.015}),
        ({"a": 10}, 0, {"a": 0.0}),
        ({"a": 0}, 10, {"a": 1.0}),
        ({}, 10, {}),
    ],
)
def test_rare_timers_are_kept_whole(
    offered: dict[str, float], room: float, expected: dict[str, float]
) -> None:
    """Each timer gets the same number; what a rare one leaves goes to the frequent ones."""
    assert shares(offered, room) == pytest.approx(expected)


@given(st.dictionaries(st.text(max_size=3), st.floats(0, 1e6)), st.floats(0, 1e6))
def test_shares_fit_and_use_the_room(offered: dict[str, float], room: float) -> None:
    """Together the kept parts are all there is, or just what there is room for."""
    rates = shares(offered, room)

    kept = sum(rates[timer] * count for timer, count in offered.items())
    assert rates.keys() == offered.keys()
    assert all(0 <= rate <= 1 for rate in rates.values())
    assert kept == pytest.approx(min(room, sum(offered.values())), abs=1e-3)


def sampled(sampler: Sampler, timer: str, spans: int, seed: int = 1) -> int:
    """How many of so many spans are kept."""
    chance = random.Random(seed)
    return sum(sampler.keeps(timer, chance.getrandbits(128), chance.getrandbits(64)) for _ in range(spans))


def test_the_first_minute_keeps_what_may_go_at_once_and_then_ever_less() -> None:
    """There is no rate to go by yet: all is kept up to the room, and of a thousandfold some beyond it."""
    sampler = Sampler(1200, MAX_AGE_SECONDS, 0.0)
    room = 50 + 1101 / 60  # half of a twelfth, and a minute's

    assert sampled(sampler, "a", int(room)) == int(room)
    kept = [sampled(sampler, "a", 1000, seed) for seed in range(18)]
    assert 20 < kept[0] < 60
    assert all(later <= 20 for later in kept[1:])
    assert sum(kept) < 100
    assert sampled(sampler, "rare", 30) == 30
    sampler.adjust(PERIOD_SECONDS - 1, 0)
    assert sampled(sampler, "a", 100) < 10


def test_a_backlog_leaves_half_of_the_room_until_it_is_nearly_too_old() -> None:
    """Rates behind a backlog are half of those without; a backlog of `max_age` sets them to nothing."""
    kept = []
    for waiting in (0, 2200, 3300, 5500, 6600, 10_000):
        sampler = Sampler(12 * 60 * 60, MAX_AGE_SECONDS, 0.0)
        for _ in range(1800 + 660):
            sampler.sent(1)
        sampled(sampler, "a", 66_000)
        sampler.adjust(PERIOD_SECONDS, waiting)
        kept.append(sampled(sampler, "a", 66_000, seed=2))

    assert kept == [pytest.approx(count, abs=60) for count in (660, 220, 165, 55, 0, 0)]


def test_the_sample_is_uniform_per_timer() -> None:
    """After a minute each timer keeps its share, the rare one everything; in every minute anew."""
    sampler = Sampler(12 * 60 * 60, MAX_AGE_SECONDS, 0.0)  # 660 a minute beside the burst
    sampled(sampler, "often", 20_000)
    sampled(sampler, "rare", 50)
    for _ in range(1800 + 660):
        sampler.sent(1)

    sampler.adjust(PERIOD_SECONDS, 0)

    room = 660
    assert sampled(sampler, "rare", 50, seed=2) == 50
    assert sampled(sampler, "often", 20_000, seed=3) == pytest.approx(room - 50, rel=0.15)
    assert sampled(sampler, "new", 100) == 100
    sampler.adjust(2 * PERIOD_SECONDS, 0)
    sampler.adjust(3 * PERIOD_SECONDS, 0)  # a quiet minute
    assert sampled(sampler, "often", 100) == 100


def test_the_sample_knows_how_many_timings_share_a_beacon() -> None:
    """When beacons carry ten timings each, ten times as many are kept; beacons of metrics take their part."""
    sampler = Sampler(12 * 60 * 60, MAX_AGE_SECONDS, 0.0)
    sampled(sampler, "often", 20_000)
    for _ in range(100):
        sampler.sent(10)
        sampler.sent(0)
    saved = 1800 + 660 - 200

    sampler.adjust(PERIOD_SECONDS, waiting=20_000)

    assert sampled(sampler, "often", 20_000, seed=2) == pytest.approx(
        (min(saved, 1800) + 660 - 100) * 10 - 20_000, rel=0.1
    )


@pytest.mark.parametrize("per_hour", [12, 24, 120, 1200])
@pytest.mark.parametrize("overload", [10, 300])
@pytest.mark.parametrize("minutes_between", [1, 2, 3, 7])
def test_nothing_that_is_kept_gets_too_old(per_hour: int, overload: int, minutes_between: int) -> None:
    """However much too much comes, always or in minutes now and then: what waits leaves within `max_age`."""
    sampler, bucket, chance = Sampler(per_hour, MAX_AGE_SECONDS, 0.0), bucket_for(per_hour), random.Random(1)
    per_chunk = per_hour * overload // 720 + 1
    waiting: deque[float] = deque()  # since when
    oldest = kept = 0.0
    for now in range(0, int(HOUR), 5):
        sampler.adjust(now, len(waiting))
        for _ in range(per_chunk if now // 60 % minutes_between == 0 else 0):
            if sampler.keeps("a", chance.getrandbits(128), chance.getrandbits(64)):
                waiting.append(now)
                kept += 1
        while waiting and bucket.seconds_until(1, now) == 0:
            bucket.take(1, now)
            sampler.sent(1)
            oldest = max(oldest, now - waiting.popleft())

    assert oldest <= MAX_AGE_SECONDS
    assert kept >= per_hour / minutes_between / 3


def test_one_span_is_always_in_or_out() -> None:
    """Whether a timing is in the sample depends on its ids alone: looking again changes nothing."""
    sampler = Sampler(1370, MAX_AGE_SECONDS, 0.0)
    sampled(sampler, "a", 10_000)
    sampler.adjust(PERIOD_SECONDS, 0)
    ids = [(number * 2**64 + 7, number) for number in range(500)]

    first, second = ([sampler.keeps("a", *one) for one in ids] for _ in range(2))

    assert first == second
    assert 0 < sum(first) < 500


def test_endless_timer_names_do_not_stay_in_memory() -> None:
    """Beyond a bound they share one count."""
    sampler = Sampler(1370, MAX_AGE_SECONDS, 0.0)
    for number in range(12_000):
        sampler.keeps(f"timer {number}", number, number)
    assert len(sampler._period.offered) <= 10_001

    sampler.adjust(PERIOD_SECONDS, 0)
    assert len(sampler._period.rates) <= 10_001


@pytest.mark.parametrize("spooled", [False, True])
def test_what_the_budget_does_not_let_go_at_the_end_is_counted(
    sandbox: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture, spooled: bool
) -> None:
    """More places than the reserve: with a spool folder the next process sends them; else they are lost."""
    keywords = {**sandbox.mpulse_settings, "timeout": 0.3, "max_beacons_per_hour": 12}
    if spooled:
        keywords["spool_dir"] = str(tmp_path)
    client = MPulseClient(**keywords)
    for number in range(6):
        client.send_metric("Orders", 10, timeout_seconds=0, page_group=f"Page {number}")
    client.close(0.5)

    counts = client.ledger()
    assert (counts.delivered, counts.waiting, counts.balanced) == (2, 0, True)
    if spooled:
        assert (counts.handed_over, counts.lost) == (4, 0)
        with MPulseClient(**{**keywords, "max_beacons_per_hour": None, "timeout": 3}) as later:
            later.send_metric("Orders", 1)
        assert sandbox.received.metrics == {"Orders": 61}
    else:
        assert (counts.handed_over, dict(counts.dropped), counts.lost) == (0, {"shutdown": 4}, 4)
        assert "4 items dropped: shutdown" in caplog.text


def test_increments_of_every_place_leave_before_timings(sandbox: Sandbox) -> None:
    """Beacons with increments go first, also those of a place that comes after one with many timings."""
    destination = destination_for(MPulseSettings.read(**sandbox.mpulse_settings, connections=1))
    now_unix_ms = destination.clock.unix_ms() // 5000 * 5000
    here, there = Context(page_group="Here"), Context(page_group="There")
    timings = [Timing("Checkout", number, now_unix_ms, here) for number in range(4)]
    orders = [Reading("Orders", How.ADD, 1, 1, now_unix_ms, place) for place in (here, there)]

    destination.keep([*timings, *orders])
    destination.release(5)

    assert [bool(beacon.metrics) for beacon in sandbox.received.beacons] == [True, True, False, False, False]
