"""Many units become few requests, in order and within the limits."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_vendor_exporters.mparticle_analytics.packing import Limits, pack
from otel_vendor_exporters.mparticle_analytics.units import Kind, Unit
from otel_vendor_exporters.mparticle_analytics.wire import (
    Address,
    Alias,
    AnalyticsEvent,
    Delete,
    Identify,
    Suppress,
    batch_bytes,
    request_for,
)

NOW = 1_700_000_000_999


def event(number: int, user: str = "u", **properties: object) -> Unit:
    return AnalyticsEvent(f"e{number}", user, properties).unit(NOW)


def sizes(units: list[Unit], limits: Limits) -> list[int]:
    return [len(load.units) for load in pack(units, limits)[0]]


@pytest.mark.parametrize(
    ("count", "expected"), [(1, [1]), (100, [100]), (250, [100, 100, 50]), (101, [100, 1])]
)
def test_A4_A5_batches_of_100_in_order(count: int, expected: list[int]) -> None:
    """At most 100 events travel together, the first ones first."""
    loads, too_large = pack([event(number) for number in range(count)], Limits("k"))

    assert [len(load.units) for load in loads] == expected
    assert [index for load in loads for index in load.units] == list(range(count))
    assert too_large == []


def test_A5_as_many_as_fit_under_the_byte_limit() -> None:
    """Events of 20 kB fill a body of 900,000 bytes; one more would not fit."""
    properties = {f"p{number}": "x" * 240 for number in range(80)}
    units = [event(number, **properties) for number in range(100)]
    limits = Limits("k")

    loads, _ = pack(units, limits)

    for load, following in pairwise(loads):
        held = [units[index] for index in load.units]
        body = request_for(held, Address("https://h", "k")).body or b""
        assert len(body) == batch_bytes(held, "k") <= 900_000
        assert batch_bytes([*held, units[following.units[0]]], "k") > 900_000


def test_what_can_never_travel_is_said() -> None:
    """An event larger than a body is left out; its neighbours go together."""
    units = [event(0), event(1, **{f"p{n}": "x" * 255 for n in range(100)}), event(2)]

    loads, too_large = pack(units, Limits("k", max_body_bytes=10_000))

    assert [load.units for load in loads] == [(0, 2)]
    assert too_large == [1]


def test_A16_batches_add_up_to_the_rate() -> None:
    """250 events a second leave as 100, 100 and 50, since a third 100 would not fit into the second."""
    units = [event(number) for number in range(600)]

    assert sizes(units, Limits("k", most_per_second=250)) == [100, 100, 50, 100, 100, 50, 100]
    assert sizes(units, Limits("k", most_per_second=40)) == [40] * 15
    assert sizes(units, Limits("k", most_per_second=None)) == [100] * 6


def test_calls_do_not_break_batches_of_others() -> None:
    """A call travels alone, in front of the open batch, unless that holds older events of its user."""
    units = [
        event(0, "a"),
        Identify("b", {"x": 1}).unit(),
        event(1, "b"),
        Alias("c", "b").unit(),
        event(2, "c"),
        AnalyticsEvent("get", "d").get_unit(NOW),
    ]

    loads, _ = pack(units, Limits("k"))

    assert [load.units for load in loads] == [(1,), (0, 2), (3,), (5,), (4,)]


def test_A14_a_probe_goes_first_and_alone() -> None:
    """It is of somebody else than the suspects, and overtakes nothing; else it is the first unit."""
    units = [event(0, "a"), event(1, "b"), event(2, "b"), event(3, "c"), event(4, "a")]

    def packed(alone: frozenset[str]) -> list[tuple[int, ...]]:
        return [load.units for load in pack(units, Limits("k"), alone=alone, probe=True)[0]]

    assert packed(frozenset("a")) == [(1,), (0,), (4,), (2, 3)]
    assert packed(frozenset("abc")) == [(0,), (1,), (2,), (3,), (4,)]
    assert [load.units for load in pack(units, Limits("k"), alone=frozenset("a"))[0]] == [
        (0,),
        (4,),
        (1, 2, 3),
    ]
    assert pack([], Limits("k"), probe=True) == ([], [])


USERS = st.sampled_from(["a", "b", "c", "d"])
UNITS = st.lists(
    st.builds(lambda user: event(0, user), USERS)
    | st.builds(lambda user: Identify(user, {"a": 1}).unit(), USERS)
    | st.builds(lambda user: Alias(user, "z").unit(), USERS)
    | st.builds(lambda user: Suppress(user).unit(), USERS)
    | st.builds(lambda user: Delete(user).unit(), USERS),
    max_size=40,
)


@given(UNITS, st.integers(1, 5), st.frozensets(USERS), st.booleans())
def test_nothing_is_lost_and_nobody_is_overtaken(
    units: list[Unit], most: int, alone: frozenset[str], probe: bool
) -> None:
    """Each unit is in one load, and the units of each user keep their order."""
    loads, too_large = pack(units, Limits("k", max_events=most), alone=alone, probe=probe)

    order = [index for load in loads for index in load.units]
    assert (sorted(order), too_large) == (list(range(len(units))), [])
    for user in ("a", "b", "c", "d", "z"):
        of_user = [index for index in order if user in units[index].users]
        assert of_user == sorted(of_user)
    for load in loads:
        assert load.users == {user for index in load.units for user in units[index].users}
        kinds = {units[index].kind for index in load.units}
        assert len(load.units) == 1 or kinds == {Kind.EVENT}


def test_a_batch_is_json() -> None:
    """What was packed is what arrives."""
    units = [event(0), event(1)]
    (load,), _ = pack(units, Limits("k"))

    body = request_for([units[index] for index in load.units], Address("https://h", "k")).body or b""

    assert [one["eventName"] for one in json.loads(body)["events"]] == ["e0", "e1"]
