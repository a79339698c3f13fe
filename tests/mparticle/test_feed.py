"""What mParticle's answers mean, batch by batch, and what a request to it looks like. No network."""

from __future__ import annotations

import json
import logging

import pytest

from otel_vendor_exporters.delivery.clock import Clock
from otel_vendor_exporters.delivery.notices import Notices
from otel_vendor_exporters.delivery.request import Failure, Item, Outcome, Parcel, Reply
from otel_vendor_exporters.mparticle import Batch, CustomEvent, MParticleSettings, UserIdentities
from otel_vendor_exporters.mparticle.batching import seal_batch
from otel_vendor_exporters.mparticle.feed import Feed, PixelFeed, item_of, new_id, readable
from otel_vendor_exporters.mparticle.units import SealedBatch

SETTINGS = MParticleSettings.read(api_key="key", api_secret="secret")
PIXEL_SETTINGS = MParticleSettings.read(transport="pixel", web_api_key="web/key")


@pytest.fixture
def feed() -> Feed:
    return Feed(SETTINGS, Notices(logging.getLogger("test"), Clock()))


def sealed(user: str = "u", events: int = 1) -> SealedBatch:
    batch = Batch(
        environment="development",
        user_identities=UserIdentities(customer_id=user),
        events=[CustomEvent(event_name=f"e{n}", custom_event_type="other") for n in range(events)],
    )
    (one,) = seal_batch(batch, new_id).batches
    return one


def items(count: int, events: int = 1) -> list[Item[SealedBatch]]:
    return [item_of(sealed(f"user-{number}", events), None, None) for number in range(count)]


def errors(*messages: str) -> bytes:
    return json.dumps(
        {"errors": [{"code": "BAD_REQUEST", "message": message} for message in messages]}
    ).encode()


def judged(feed: Feed, waiting: list[Item[SealedBatch]], reply: Reply) -> list[tuple[list[int], Outcome]]:
    """Which items have which outcome; each has exactly one."""
    verdicts = feed.judge(Parcel(waiting, None), reply)
    found = [([waiting.index(item) for item in one.items], one.outcome) for one in verdicts]
    assert sorted(index for indices, _ in found for index in indices) == list(range(len(waiting)))
    return found


def test_T01_a_request_is_an_array_with_basic_credentials(feed: Feed) -> None:
    two = items(2)
    (parcel,) = feed.pack(two).parcels
    request = feed.request(parcel)

    assert (request.method, request.url) == ("POST", "https://s2s.mparticle.com/v2/bulkevents")
    assert request.headers["Authorization"] == "Basic a2V5OnNlY3JldA=="
    assert request.headers["Content-Type"] == "application/json"
    assert "User-Agent" not in request.headers  # mParticle would take it for the user's device
    assert request.body == b"[" + two[0].unit.body + b"," + two[1].unit.body + b"]"


def test_T02_a_request_has_at_most_100_batches_in_order(feed: Feed) -> None:
    waiting = items(101)
    parcels = feed.pack(waiting).parcels
    assert [list(parcel.items) for parcel in parcels] == [waiting[:100], waiting[100:]]
    assert [parcel.cost for parcel in parcels] == [100, 1]


def test_T03_a_request_has_at_most_100_events(feed: Feed) -> None:
    parcels = feed.pack(items(3, events=40)).parcels
    assert [len(parcel.items) for parcel in parcels] == [2, 1]


def test_batches_of_one_user_share_a_key_and_those_of_nobody_wait_for_none(feed: Feed) -> None:
    ann, bob = item_of(sealed("ann"), None, None), item_of(sealed("bob"), None, None)
    nobody = item_of(sealed("x")._replace(ordering_key=None), None, None)
    (parcel,) = feed.pack([ann, bob, nobody]).parcels
    assert parcel.keys == {ann.unit.ordering_key, bob.unit.ordering_key}
    assert None not in parcel.keys


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        pytest.param(Reply(202), Outcome.DELIVERED, id="T09-empty"),
        pytest.param(Reply(202, body=b"{}"), Outcome.DELIVERED, id="T09-object"),
        pytest.param(Reply(202, body=b"<html>"), Outcome.DELIVERED, id="T09-html"),
        pytest.param(Reply(200), Outcome.DELIVERED, id="undocumented-200"),
        pytest.param(
            Reply(202, {"x-mp-rate-limit-percentage-used": "92"}), Outcome.DELIVERED, id="T10-nearly-limited"
        ),
        pytest.param(Reply(429, {"retry-after": "2"}), Outcome.LATER, id="T05"),
        pytest.param(Reply(429), Outcome.LATER, id="T06-429"),
        pytest.param(Reply(503), Outcome.LATER, id="T06-503"),
        pytest.param(Reply(500), Outcome.LATER, id="T06-500"),
        pytest.param(Reply(failure=Failure.NOT_SENT), Outcome.LATER, id="T06-connect"),
        pytest.param(Reply(failure=Failure.NO_ANSWER), Outcome.LATER, id="T06-no-answer"),
        pytest.param(Reply(401), Outcome.LATER_SLOWLY, id="T07-401"),
        pytest.param(Reply(403), Outcome.LATER_SLOWLY, id="T07-403"),
        pytest.param(Reply(400), Outcome.DIVIDE, id="400-for-some-of-several"),
        pytest.param(Reply(404), Outcome.DIVIDE, id="T07-404"),
        pytest.param(Reply(413), Outcome.DIVIDE, id="413"),
    ],
)
def test_an_answer_for_all(feed: Feed, reply: Reply, outcome: Outcome) -> None:
    assert judged(feed, items(3), reply) == [([0, 1, 2], outcome)]


@pytest.mark.parametrize(("used", "told"), [("92", 1), ("12", 0), ("soon", 0)])
def test_T10_a_rate_nearly_used_up_is_told(
    feed: Feed, used: str, told: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Before mParticle refuses anything, and once, not with every answer."""
    for _ in range(2):
        feed.judge(Parcel(items(1), None), Reply(202, {"x-mp-rate-limit-percentage-used": used}))
    assert caplog.text.count(f"{used} % of the account's rate limit is used") == told


@pytest.mark.parametrize("status", [400, 404, 422])
def test_T07_a_refusal_of_one_batch_is_final(feed: Feed, status: int) -> None:
    assert judged(feed, items(1), Reply(status)) == [([0], Outcome.REFUSED)]


def test_T05_T14_the_wait_that_is_asked_for(feed: Feed) -> None:
    """Whole seconds are kept; what is no number of seconds is as if it was absent."""
    for header, wait in (("2", 2.0), ("abc", None), ("-1", None), ("", None)):
        (verdict,) = feed.judge(Parcel(items(1), None), Reply(429, {"retry-after": header}))
        assert verdict.wait_seconds == wait


def test_T08_one_of_three_is_refused_by_position(feed: Feed) -> None:
    waiting = items(3)
    before = 1 + len(waiting[0].unit.body) + 1
    place = before + waiting[1].unit.body.index(b'"event_name"') + 1
    message = f"Error reading string. Unexpected token: StartObject. Path 'data.x', line 1, position {place}."

    reply = Reply(202, body=errors(message))

    assert judged(feed, waiting, reply) == [([0, 2], Outcome.DELIVERED), ([1], Outcome.REFUSED)]


def test_one_of_three_is_refused_by_its_index(feed: Feed) -> None:
    message = "Error converting value &quot;x&quot; to type 'System.Guid'. Path '[2].device_info.ios_idfv'."
    reply = Reply(202, body=errors(message))
    assert judged(feed, items(3), reply) == [([0, 1], Outcome.DELIVERED), ([2], Outcome.REFUSED)]


def test_all_are_refused(feed: Feed) -> None:
    messages = [f"Required. Path '[{index}].events'." for index in range(2)]
    found = judged(feed, items(2), Reply(400, body=errors(*messages)))
    assert found == [([0], Outcome.REFUSED), ([1], Outcome.REFUSED)]


@pytest.mark.parametrize("status", [202, 400])
def test_an_error_that_names_no_batch_divides(feed: Feed, status: int) -> None:
    """What had been accepted is removed as a duplicate, and the culprit is alone in the end."""
    reply = Reply(status, body=errors("Something is wrong."))
    assert judged(feed, items(2), reply) == [([0, 1], Outcome.DIVIDE)]
    assert judged(feed, items(1), reply) == [([0], Outcome.REFUSED)]


def test_a_batch_that_is_too_large_is_halved_under_new_ids(feed: Feed) -> None:
    item = item_of(sealed(events=5), 123.0, None)
    (verdict,) = feed.judge(Parcel([item], None), Reply(413))

    parts = [json.loads(part.unit.body) for part in verdict.parts]
    assert verdict.outcome is Outcome.DIVIDE
    assert [[event["data"]["event_name"] for event in part["events"]] for part in parts] == [
        ["e0", "e1"],
        ["e2", "e3", "e4"],
    ]
    assert len({item.unit.source_request_id, *(part["source_request_id"] for part in parts)}) == 3
    assert {part.expires_at_unix_ms for part in verdict.parts} == {123.0}


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        (
            "Error converting value \"ann@x.org\" to type 'System.Guid'. Path '[0].a', line 1, position 9.",
            "Error converting value … Path '[0].a', line 1, position 9.",
        ),
        (
            "Error reading string. Unexpected token: StartObject. Path 'a', line 1, position 3.",
            "Error reading string. Unexpected token: StartObject … Path 'a', line 1, position 3.",
        ),
        (
            'Required event field "event_type" is missing or empty.',
            'Required event field "event_type" is missing or empty …',
        ),
        (
            "Could not convert string to integer: ann@x.org. Path 'a', line 1, position 3.",
            "Could not convert string to integer … Path 'a', line 1, position 3.",
        ),
        ('Error converting value "' + "ann@x.org " * 400, "Error converting value …"),
        ('Error converting value "a\\"ann@x.org" to type', "Error converting value …"),
        ("Input string 'it's ann@x.org' is no integer. Path 'a'.", "Input string … Path 'a'."),
        ("JSON integer 5551234567 is too large. Path 'a'.", "JSON integer … Path 'a'."),
        ("Customer ann@x.org is blocked\x1b[31m", "…"),
    ],
)
def test_what_mparticle_says_is_one_line_without_user_data(message: str, shown: str) -> None:
    assert readable(message) == shown


def test_the_pixel_has_its_key_in_the_path() -> None:
    feed = PixelFeed(PIXEL_SETTINGS)
    unit = SealedBatch(b"dt=AppEvent&ct=1", "id", 1, None, None)
    (parcel,) = feed.pack([item_of(unit, None, None)]).parcels
    request = feed.request(parcel)
    assert request.url == "https://pixels.mparticle.com/v1/web%2Fkey/Pixel?dt=AppEvent&ct=1"
    assert (request.method, request.body, dict(request.headers)) == ("GET", None, {})


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (Reply(200), Outcome.DELIVERED),
        (Reply(204), Outcome.DELIVERED),
        (Reply(failure=Failure.NO_ANSWER), Outcome.DROPPED),
        (Reply(503), Outcome.LATER),
        (Reply(404), Outcome.REFUSED),
    ],
)
def test_what_the_pixel_answers(reply: Reply, outcome: Outcome) -> None:
    unit = SealedBatch(b"dt=AppEvent&ct=1", "id", 1, None, None)
    (verdict,) = PixelFeed(PIXEL_SETTINGS).judge(Parcel([item_of(unit, None, None)], None), reply)
    assert verdict.outcome is outcome
