"""Packing: every unit exactly once, within every limit, in the fewest beacons. Rows W14, B and I."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_vendor_exporters.mpulse.definitions import Definitions, Metric
from otel_vendor_exporters.mpulse.packing import Discard, Limits, Load, limits_for, pack
from otel_vendor_exporters.mpulse.units import Context, How, Reading, Session, Timing, Unit
from otel_vendor_exporters.mpulse.wire import beacon_request, encoded
from tests.mpulse.example import MAXIMUM_INT32, NOW_UNIX_MS, envelope, settings

DEFINITIONS = Definitions(
    timers={f"T{number}": f"custom{number}" for number in range(30)},
    metrics={
        **{f"M{number}": Metric(f"cmet.{'m' * number}{number}") for number in range(30)},
        "Revenue": Metric("cmet.Revenue €", "Currency"),
        "T1": Metric("cmet.T1"),
    },
    dimensions={"Country": "cdim.Country", "Plan": "cdim.Plan"},
)
LIMITS = Limits()
HERE = Context()


def timing(
    name: str = "T0", milliseconds: int = 10, end_unix_ms: int = NOW_UNIX_MS, context: Context = HERE
) -> Timing:
    return Timing(name, milliseconds, end_unix_ms, context)


def reading(
    name: str = "M0",
    value: float = 1,
    how: How = How.ADD,
    *,
    samples: int = 1,
    end_unix_ms: int = NOW_UNIX_MS,
    context: Context = HERE,
) -> Reading:
    return Reading(name, how, value, samples, end_unix_ms, context)


def packed(units: Sequence[Unit], limits: Limits = LIMITS) -> list[Load]:
    """The loads, where nothing may be discarded."""
    loads, discards = pack(units, DEFINITIONS, limits, NOW_UNIX_MS)
    assert discards == []
    return loads


def fewest(units: Sequence[Unit], limits: Limits) -> int:
    """The contract's lower bound (section 6.4), worked out for each context and time bucket by itself."""
    bucket = limits.time_bucket_ms or 1
    groups: dict[object, tuple[list[str], set[str], set[tuple[str, How]]]] = {}
    for unit in units:
        timings, means, metrics = groups.setdefault(
            (unit.context, unit.end_unix_ms // bucket), ([], set(), set())
        )
        if isinstance(unit, Timing):
            timings.append(unit.name)
        elif unit.how is How.MEAN:
            means.add(unit.name)
        else:
            metrics.add((unit.name, unit.how))
    return sum(
        _fewest_of([*timings, *means], [name for name, _ in metrics], limits)
        for timings, means, metrics in groups.values()
    )


def _fewest_of(timers: list[str], metrics: list[str], limits: Limits) -> int:
    multiplicities = [max(Counter(names).values(), default=0) for names in (timers, metrics)]
    return max(*multiplicities, -(-len(timers) // limits.max_timers), -(-len(metrics) // limits.max_metrics))


CONTEXTS = st.sampled_from(
    [
        HERE,
        Context(page_group="cart id"),
        Context(page_group="cart id", ab_test="A"),
        Context(session=Session("abc", 1450215932314, 3)),
        Context(dimensions=(("Country", "DE"), ("Plan", "é✓" * 20))),
        Context(dimensions=(("Country", "DE"), ("\0Plan", "x")), resolved=False),
    ]
)
TIMES = st.sampled_from([NOW_UNIX_MS - age for age in (0, 1, 4999, 5000, 60_000)])
TIMINGS = st.builds(
    Timing, st.sampled_from(sorted(DEFINITIONS.timers)[:6]), st.integers(0, MAXIMUM_INT32), TIMES, CONTEXTS
)
READINGS = st.builds(
    Reading,
    st.sampled_from(["M0", "M1", "M29", "Revenue", "T1"]),
    st.sampled_from([How.ADD, How.LEVEL, How.LAST]),
    st.just(0.0) | st.floats(0.01, 1e12),  # less than a cent of money is not sent by itself
    st.just(1),
    TIMES,
    CONTEXTS,
)
MEANS = st.builds(
    Reading,
    st.sampled_from(["T0", "T1"]),
    st.just(How.MEAN),
    st.floats(0, 1e9),
    st.integers(1, 9),
    TIMES,
    CONTEXTS,
)
UNITS = st.lists(TIMINGS | READINGS | MEANS, max_size=60)
SIZES = st.integers(1, 12)
BUCKETS = st.sampled_from([0, 1, 5000, 3_600_000])


def carried(loads: Sequence[Load]) -> Counter[int]:
    return Counter(index for load in loads for index in load.units)


@given(UNITS, SIZES, SIZES, BUCKETS)
def test_every_unit_once_in_the_fewest_beacons(
    units: list[Unit], max_timers: int, max_metrics: int, bucket_ms: int
) -> None:
    """Where no byte limit binds: exactly once, within the limits, and not one beacon more than needed."""
    limits = Limits(max_timers, max_metrics, 10**9, bucket_ms)
    loads = packed(units, limits)

    assert carried(loads) == Counter(range(len(units)))
    assert len(loads) == fewest(units, limits)
    for load in loads:
        assert_right(load, units, limits)


@given(st.lists(TIMINGS, max_size=80), SIZES)
def test_the_count_for_timings_alone(timings: list[Timing], max_timers: int) -> None:
    """For n timings of a context and bucket: max(largest multiplicity, n / max_timers rounded up)."""
    limits = Limits(max_timers=max_timers)
    by_group: dict[tuple[Context, int], Counter[str]] = {}
    for one in timings:
        by_group.setdefault((one.context, one.end_unix_ms // 5000), Counter())[one.name] += 1

    bounds = [max(max(names.values()), -(-names.total() // max_timers)) for names in by_group.values()]

    assert len(packed(timings, limits)) == sum(bounds)
    sent = Counter(entry for load in packed(timings, limits) for entry in load.beacon.timers)
    assert sent == Counter((DEFINITIONS.timers[one.name], one.milliseconds) for one in timings)


def assert_right(load: Load, units: Sequence[Unit], limits: Limits) -> None:
    """A beacon within its limits that says what its units say."""
    beacon = load.beacon
    labels = [label for label, _ in (*beacon.timers, *beacon.metrics)]
    assert len(set(labels)) == len(labels)
    assert len(labels) > 0
    assert len(beacon.timers) <= limits.max_timers
    assert len(beacon.metrics) <= limits.max_metrics
    mine = [units[index] for index in load.units]
    bucket = limits.time_bucket_ms or 1
    assert len({unit.context for unit in mine}) == 1
    assert len({unit.end_unix_ms // bucket for unit in mine}) == 1
    assert beacon.end_unix_ms == max(unit.end_unix_ms for unit in mine)
    assert (beacon.page_group, beacon.ab_test, beacon.session) == mine[0].context[:3]


@given(UNITS, st.sampled_from(["get", "post", "auto"]), st.integers(500, 900), st.booleans())
def test_no_request_is_larger_than_it_may_be(
    units: list[Unit], method: str, most: int, http_initiator: bool
) -> None:
    """Encoded, no GET's URL and no POST's body exceeds its limit; what fits into none is discarded."""
    chosen = settings(
        method=method,
        max_url_length=most,
        max_body_bytes=most,
        max_timers=50,
        max_metrics=50,
        time_bucket=3600,
    )
    place = envelope(method=method, max_url_length=most, http_initiator=http_initiator)
    limits = limits_for(chosen, place)

    loads, discards = pack(units, DEFINITIONS, limits, NOW_UNIX_MS)

    assert carried(loads) + Counter(one.unit for one in discards) == Counter(range(len(units)))
    assert {one.reason for one in discards} <= {"too_large"}
    assert len(loads) + len(discards) >= fewest(units, limits)
    for load in loads:
        assert_right(load, units, limits)
        request = beacon_request(load.beacon, place)
        if request.method == "GET":
            assert request.body is None
            assert len(request.url) <= most
        else:
            assert request.body is not None
            assert len(request.body) <= most
            assert "?" not in request.url
        assert request.method in ({"get": "GET", "post": "POST"}.get(method, request.method))


@given(st.lists(TIMINGS | READINGS, min_size=1, max_size=20), st.sampled_from(["get", "post"]))
def test_the_last_byte_is_used(units: list[Unit], method: str) -> None:
    """What fills the limit exactly is one beacon; with one byte less it is not."""
    where = Context(page_group="x" * 400)
    units = [
        one._replace(context=where, end_unix_ms=NOW_UNIX_MS)
        for one in {one.name: one for one in units}.values()
    ]
    (load,) = packed(units, Limits(100, 100))
    request = beacon_request(load.beacon, envelope(method=method))
    length = len(request.url) if request.body is None else len(request.body)

    def count(most: int) -> int:
        chosen = settings(
            method=method, max_url_length=most, max_body_bytes=most, max_timers=100, max_metrics=100
        )
        limits = limits_for(chosen, envelope(method=method, max_url_length=most))
        loads, discards = pack(units, DEFINITIONS, limits, NOW_UNIX_MS)
        return len(loads) + len(discards)

    assert count(length) == 1
    assert len(units) == 1 or count(length - 1) > 1


def test_where_bytes_bind_beacons_are_full() -> None:
    """First fit: no two neighbouring beacons would have fitted into one."""
    place = envelope(method="get", max_url_length=500)
    limits = limits_for(settings(method="get", max_url_length=500, max_timers=100), place)
    loads = packed([timing(f"T{number}", MAXIMUM_INT32) for number in range(30)], limits)

    lengths = [len(beacon_request(load.beacon, place).url) for load in loads]
    entry = len("custom10%7C2147483647%2C")
    assert carried(loads).total() == 30
    assert all(500 - 2 * entry < length <= 500 for length in lengths[:-1])


def test_a_context_too_long_for_any_beacon_is_discarded() -> None:
    """What no beacon can carry is refused with a reason, and the rest is sent."""
    place = envelope(method="get", max_url_length=500)
    limits = limits_for(settings(method="get", max_url_length=500), place)
    long = Context(page_group="✓" * 100)

    loads, discards = pack(
        [timing(), timing(context=long), reading(context=long)], DEFINITIONS, limits, NOW_UNIX_MS
    )

    assert [load.units for load in loads] == [[0]]
    assert discards == [Discard("too_large", 1), Discard("too_large", 2)]


# Single rows


def test_B2_B4_B5_one_beacon_takes_all_that_differs_in_name() -> None:
    """Timers, metrics and their context travel together."""
    where = Context("PG", "A", Session("s", 1, 0), (("Country", "DE"),))
    (load,) = packed(
        [
            timing("T1", 111, context=where),
            timing("T2", 222, context=where),
            reading("M1", 10, context=where),
            reading("Revenue", 100, context=where),
        ]
    )

    assert load.beacon.timers == (("custom1", 111), ("custom2", 222))
    assert load.beacon.metrics == (("cmet.Revenue €", "100.00"), ("cmet.m1", "10"))
    assert load.beacon.dimensions == (("cdim.Country", "DE"),)
    assert (load.beacon.page_group, load.beacon.ab_test, load.beacon.session) == where[:3]


def test_J5_I1_two_values_of_one_timer_are_two_beacons_in_order() -> None:
    """The second value of one label starts another beacon (section 6.4)."""
    loads = packed([timing("T1", 1000), timing("T1", 2000)])

    assert [load.beacon.timers for load in loads] == [(("custom1", 1000),), (("custom1", 2000),)]


def test_W14_with_no_bucket_each_keeps_its_own_time() -> None:
    """time_bucket 0: only timings of the same millisecond share a beacon; else the latest dates it."""
    units = [timing("T1", end_unix_ms=NOW_UNIX_MS - 1), timing("T2"), timing("T3")]

    apart = packed(units, Limits(time_bucket_ms=0))
    (together,) = packed(units, Limits(time_bucket_ms=3_600_000))

    assert [(load.beacon.end_unix_ms, len(load.units)) for load in apart] == [
        (NOW_UNIX_MS - 1, 1),
        (NOW_UNIX_MS, 2),
    ]
    assert together.beacon.end_unix_ms == NOW_UNIX_MS


@pytest.mark.parametrize(
    "other",
    [
        Context(page_group="b"),
        Context(page_group="a", ab_test="A"),
        Context(page_group="a", session=Session("s", 1, 0)),
        Context(page_group="a", dimensions=(("Country", "DE"),)),
    ],
)
def test_B8_I3_each_keeps_its_own_context(other: Context) -> None:
    """What differs in page group, bucket, session or dimensions never shares a beacon."""
    first, second = packed([timing("T1", context=Context(page_group="a")), timing("T2", context=other)])

    assert first.beacon.page_group == "a"
    assert (first.beacon.ab_test, first.beacon.session, first.beacon.dimensions) == (None, None, ())
    assert [label for label, _ in second.beacon.dimensions] == ["cdim.Country"] * len(other.dimensions)
    assert (second.beacon.page_group, second.beacon.ab_test, second.beacon.session) == other[:3]


def test_B6_I2_C9_what_nobody_defined_is_discarded_by_name() -> None:
    """Of known and unknown, the known part is sent; in exact case for timers of spans."""
    units: list[Unit] = [
        timing("T1"),
        timing("nobody's"),
        timing("t1"),
        reading("none"),
        reading("none", how=How.MEAN),
    ]

    loads, discards = pack(units, DEFINITIONS, LIMITS, NOW_UNIX_MS)

    assert [load.units for load in loads] == [[0]]
    assert discards == [
        Discard("undefined", 1, "nobody's"),
        Discard("undefined", 2, "t1"),
        Discard("undefined", 3, "none"),
        Discard("undefined", 4, "none"),
    ]


def test_a_group_without_anything_to_send_makes_no_beacon() -> None:
    """A context alone is no beacon (section 6.4)."""
    loads, discards = pack([timing("nobody's")], DEFINITIONS, LIMITS, NOW_UNIX_MS)

    assert (loads, len(discards)) == ([], 1)
    assert pack([], DEFINITIONS, LIMITS, NOW_UNIX_MS) == ([], [])


@pytest.mark.parametrize(
    ("age_ms", "sent_age_ms"), [(-5000, 0), (-(10**15), 0), (0, 0), (600_000, 600_000), (7_200_000, 600_000)]
)
def test_no_beacon_is_dated_in_the_future_or_too_early(age_ms: int, sent_age_ms: int) -> None:
    """A clock that ran ahead is put right, and a reading that waited long is dated as early as may be."""
    (load,) = packed([reading(end_unix_ms=NOW_UNIX_MS - age_ms)])

    assert load.beacon.end_unix_ms == NOW_UNIX_MS - sent_age_ms


def test_readings_of_one_context_are_added_up_before_they_are_sent() -> None:
    """Two increments of one metric are one number; its level is another beacon's, since a label goes once."""
    added, level = packed([reading("M1", 2), reading("M1", 0.5), reading("M1", 9, How.LEVEL)])

    assert (added.beacon.metrics, level.beacon.metrics) == ((("cmet.m1", "2.5"),), (("cmet.m1", "9"),))
    assert (added.units, level.units) == ([0, 1], [2])


def test_means_are_weighed_by_their_samples() -> None:
    """A histogram of 1 sample of 100 ms and one of 3 samples of 20 ms: the timer is 40 ms."""
    (load,) = packed([reading("T1", 100, How.MEAN), reading("T1", 60, How.MEAN, samples=3)])

    assert load.beacon.timers == (("custom1", 40),)
    assert load.units == [0, 1]


def test_a_sum_that_is_no_longer_a_number_is_refused() -> None:
    """Increments that pass what a number may be together are refused with a reason, all of them."""
    loads, discards = pack([reading(value=9e299)] * 2, DEFINITIONS, LIMITS, NOW_UNIX_MS)

    assert (loads, discards) == ([], [Discard("no_number", 0), Discard("no_number", 1)])


def test_what_was_kept_before_the_definitions_finds_them() -> None:
    """B7: names and dimensions of before the configuration are looked up in it when it has come."""
    before = Context(
        dimensions=(("Country", "DE"), ("mpulse.dimension.Plan", "x"), ("other", "y")), resolved=False
    )
    (load,) = packed(
        [timing(context=before), reading("m1", context=before), reading("t1", how=How.MEAN, context=before)]
    )

    pairs = dict(parse_qsl(encoded(load.beacon, envelope())))
    assert (pairs["cdim.Country"], pairs["cdim.Plan"], pairs["cmet.m1"]) == ("DE", "x", "1")
    assert pairs["t_other"] == "custom0|10,custom1|1"
    assert "y" not in pairs.values()
