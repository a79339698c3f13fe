"""Few batches, each within mParticle's limits, and no event lost without a count."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_vendor_exporters.errors import EncodingError
from otel_vendor_exporters.mparticle import Batch, CrashReport, CustomEvent, UserIdentities
from otel_vendor_exporters.mparticle.batching import (
    MOST_BATCH_BYTES,
    MOST_REQUEST_BYTES,
    halves,
    owner_of,
    request_groups,
    seal,
    seal_batch,
)
from otel_vendor_exporters.mparticle.units import NewId, OwnedEvent, SealedBatch
from otel_vendor_exporters.mparticle.wire import event_text


@pytest.fixture
def new_id() -> NewId:
    numbers = count()
    return lambda: f"id-{next(numbers)}"


def owned(user: str, name: str = "e", **attributes: Any) -> OwnedEvent:
    owner = owner_of({"environment": "production", "user_identities": {"customer_id": user}})
    data: dict[str, Any] = {"event_name": name, "custom_event_type": "other"}
    if attributes:
        data["custom_attributes"] = attributes
    return OwnedEvent(owner, event_text("custom_event", data))


def names(batch: SealedBatch) -> list[str]:
    return [event["data"]["event_name"] for event in json.loads(batch.body)["events"]]


def sealed_of_size(events: int, size: int) -> SealedBatch:
    return SealedBatch(b"x" * size, "id", events, None, None)


def test_a_batch_per_owner_in_the_order_of_records(new_id: NewId) -> None:
    """Equal owners share a batch, even when they are different objects; ids are inside."""
    events = [owned("a", "1"), owned("b", "2"), owned("a", "3")]

    batches = seal(events, new_id).batches

    assert [(batch.ordering_key, batch.subject, batch.events) for batch in batches] == [
        ("customer_id:a", "a", 2),
        ("customer_id:b", "b", 1),
    ]
    assert json.loads(batches[0].body) == {
        "environment": "production",
        "user_identities": {"customer_id": "a"},
        "source_request_id": "id-0",
        "events": [events[0].form, events[2].form],
    }
    assert batches[0].source_request_id == "id-0"


def test_what_is_said_of_a_user_arrives_in_the_order_in_which_it_was_said(new_id: NewId) -> None:
    """Plan free, pro, free are three batches of that user; what others do meanwhile divides none."""

    def on(plan: str, name: str) -> OwnedEvent:
        head = {"user_identities": {"customer_id": "a"}, "user_attributes": {"plan": plan}}
        return OwnedEvent(owner_of(head), owned("a", name).text)

    events = [on("free", "1"), owned("b", "2"), on("free", "3"), on("pro", "4"), owned("b", "5")]
    batches = seal([*events, on("free", "6")], new_id).batches

    plans = [json.loads(batch.body).get("user_attributes", {}).get("plan") for batch in batches]
    assert list(zip(plans, map(names, batches), strict=True)) == [
        ("free", ["1", "3"]),
        (None, ["2", "5"]),
        ("pro", ["4"]),
        ("free", ["6"]),
    ]


def test_an_owners_key_is_the_customer_then_another_identity_then_the_mpid() -> None:
    """What orders a user's batches is the most lasting id there is; nobody's batches have no order."""
    both = {"email": "a@b.c", "customer_id": "u"}
    assert owner_of({"user_identities": both, "mpid": 7}).ordering_key == "customer_id:u"
    assert owner_of({"user_identities": {"email": "a@b.c"}, "mpid": 7}).subject == "a@b.c"
    assert owner_of({"mpid": 7}).ordering_key == "mpid:7"
    assert owner_of({"environment": "production"}).ordering_key is None


def test_T02_requests_hold_at_most_100_batches() -> None:
    """101 batches of one event are two requests, of 100 and of 1, in order."""
    batches = [sealed_of_size(1, 10)._replace(source_request_id=str(n)) for n in range(101)]
    groups = list(request_groups(batches))
    assert [len(group) for group in groups] == [100, 1]
    assert [one for group in groups for one in group] == batches


@pytest.mark.parametrize(
    ("per_second", "sizes"),
    [
        (None, [100, 100, 100]),
        (270.0, [100, 100, 70, 30]),
        (120.0, [100, 20, 100, 20, 60]),
        (90.5, [90, 90, 90, 30]),
        (0.5, [1] * 300),
    ],
)
def test_requests_are_parts_of_a_seconds_worth(per_second: float | None, sizes: list[int]) -> None:
    """So that a whole second's worth may leave in each second, and no request alone is more than that."""
    batches = [sealed_of_size(1, 10)._replace(source_request_id=str(n)) for n in range(300)]

    groups = list(request_groups(batches, per_second))

    assert [len(group) for group in groups] == sizes
    assert [one for group in groups for one in group] == batches


def test_T03_batches_and_requests_hold_at_most_100_events(new_id: NewId) -> None:
    """101 events of one user are two batches, and two requests."""
    batches = seal([owned("a", str(n)) for n in range(101)], new_id).batches
    assert [batch.events for batch in batches] == [100, 1]
    assert names(batches[0]) + names(batches[1]) == [str(n) for n in range(101)]
    assert [len(group) for group in request_groups(batches)] == [1, 1]


def test_requests_stay_below_their_size() -> None:
    """Three batches of 100 kB do not fit in one request of 250 kB."""
    groups = list(request_groups([sealed_of_size(1, 100_000) for _ in range(3)]))
    assert [len(group) for group in groups] == [2, 1]
    sizes = [sum(len(one.body) + 1 for one in group) + 1 for group in groups]
    assert max(sizes) <= MOST_REQUEST_BYTES


def test_T04_a_large_batch_is_halved_with_new_ids(new_id: NewId) -> None:
    """Each part repeats the user, has an id of its own, and is below the limit."""
    events = [owned("a", str(n), text="x" * 4000) for n in range(64)]

    sealed = seal(events, new_id)

    assert [batch.events for batch in sealed.batches] == [16, 16, 16, 16]
    assert len({batch.source_request_id for batch in sealed.batches}) == 4
    assert all(len(batch.body) <= MOST_BATCH_BYTES for batch in sealed.batches)
    assert [name for batch in sealed.batches for name in names(batch)] == [str(n) for n in range(64)]
    assert {json.loads(batch.body)["user_identities"]["customer_id"] for batch in sealed.batches} == {"a"}


def test_T04_a_large_event_loses_its_largest_attributes(new_id: NewId) -> None:
    """The largest go first, as many as needed; what went is counted."""
    event = owned("a", **{f"a{n}": "é" * (100 - n) for n in range(20)})
    sealed = seal([event], new_id, most_bytes=3000)
    (batch,) = sealed.batches
    kept = json.loads(batch.body)["events"][0]["data"]["custom_attributes"]
    assert len(batch.body) <= 3000
    assert set(kept) == {f"a{n}" for n in range(20 - len(kept), 20)}
    assert sealed.left_out == {"too_large:attribute": 20 - len(kept)}
    assert not sealed.dropped


def test_T04_a_stack_trace_goes_before_attributes(new_id: NewId) -> None:
    """A crash keeps its attributes when going without the stack trace is enough."""
    crash = CrashReport(
        severity="fatal", message="m", stack_trace="x" * 200_000, custom_attributes={"a": "b" * 4000}
    )
    sealed = seal([owned("a")._replace(text=event_text("crash_report", crash.form))], new_id)
    data = json.loads(sealed.batches[0].body)["events"][0]["data"]
    assert data == {"severity": "fatal", "message": "m", "custom_attributes": {"a": "b" * 4000}}
    assert sealed.left_out == {"too_large:stack_trace": 1}
    assert "stack_trace" in crash.form  # the caller's event is as it was


def test_T04_what_cannot_be_made_to_fit_is_counted(new_id: NewId) -> None:
    """An event that is too large without attributes goes alone; so do events whose user leaves no room."""
    sealed = seal([owned("a", "n" * 300), owned("a", "small")], new_id, most_bytes=300)
    assert [names(batch) for batch in sealed.batches] == [["small"]]
    assert sealed.dropped == {"too_large": 1}
    assert seal([owned("a" * 300)] * 2, new_id, most_bytes=300).dropped == {"user_too_large": 2}


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 400)), max_size=40), st.integers(250, 1500))
def test_every_event_goes_out_once_or_is_counted(events: list[tuple[str, int]], most_bytes: int) -> None:
    """Whatever sizes and users: nothing lost, nothing twice, the order of each user kept."""
    numbers: Iterator[int] = count()
    given_events = [owned(user, f"{n}", text="y" * size) for n, (user, size) in enumerate(events)]
    sealed = seal(given_events, lambda: str(next(numbers)), most_bytes)
    assert all(len(batch.body) <= most_bytes for batch in sealed.batches)
    assert sum(batch.events for batch in sealed.batches) + sealed.dropped.total() == len(events)
    for user in "abc":
        sent = [int(name) for one in sealed.batches if one.subject == user for name in names(one)]
        assert sent == sorted(set(sent))


def test_a_whole_batch_keeps_its_id(new_id: NewId) -> None:
    """A caller's request id is kept with the content it was made for, and only with that."""
    events = [CustomEvent(event_name=f"{n}", custom_event_type="other") for n in range(2)]
    identities = UserIdentities(customer_id="u")
    small = Batch(
        environment="production", source_request_id='mine"', user_identities=identities, events=events
    )
    (whole,) = seal_batch(small, new_id).batches

    assert json.loads(whole.body) == small.form
    assert whole.source_request_id == 'mine"'


def test_parts_have_ids_that_follow_from_their_batchs(new_id: NewId) -> None:
    """So the same batch, divided again, is byte-identical, and mParticle finds the repeat."""
    events = [CustomEvent(event_name=f"{n}", custom_event_type="other") for n in range(101)]
    batch = Batch(environment="production", source_request_id="mine", events=events)

    parts = seal_batch(batch, new_id).batches

    assert [part.source_request_id for part in parts] == [
        str(uuid.uuid5(uuid.NAMESPACE_URL, f"mparticle-otel:part:{number}:mine")) for number in (1, 2)
    ]
    assert seal_batch(batch, new_id).batches == parts
    others = seal_batch(replace(batch, source_request_id="other"), new_id).batches
    unnamed = seal_batch(replace(batch, source_request_id=None), new_id).batches
    assert len({one.source_request_id for one in (*parts, *others, *unnamed)}) == 6


def test_a_batch_without_events_is_one(new_id: NewId) -> None:
    """Attributes of a user may travel alone."""
    batch = Batch(environment="production", mpid=5, user_attributes={"plan": "pro"})
    (sealed,) = seal_batch(batch, new_id).batches
    assert json.loads(sealed.body) == {
        "environment": "production",
        "mpid": 5,
        "user_attributes": {"plan": "pro"},
        "source_request_id": "id-0",
        "events": [],
    }


def test_a_user_without_room_for_events_is_the_callers_mistake(new_id: NewId) -> None:
    """The caller of a direct client hears of it before anything is sent."""
    event = CustomEvent(event_name="e", custom_event_type="other")
    batch = Batch(
        environment="production", user_attributes={f"{n}": "x" * 4096 for n in range(100)}, events=[event]
    )
    with pytest.raises(EncodingError, match="more without any event"):
        seal_batch(batch, new_id)


def test_halves_are_new_batches(new_id: NewId) -> None:
    """After a 413 the two halves go with ids of their own; a single event cannot be divided."""
    (batch,) = seal([owned("a", str(n)) for n in range(3)], new_id).batches
    first, second = halves(batch)
    assert (names(first), names(second)) == (["0"], ["1", "2"])
    assert len({batch.source_request_id, first.source_request_id, second.source_request_id}) == 3
    assert (second.ordering_key, second.subject) == ("customer_id:a", "a")
    assert halves(batch) == (first, second)
    assert halves(first) == ()
    assert "a" not in repr(batch).replace("SealedBatch", "").replace("bytes", "")
