"""`EventsClient` and `PixelClient` over real HTTP: what arrives, and receipts that are true."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from otel_vendor_exporters.delivery.request import Receipt
from otel_vendor_exporters.errors import ConfigurationError, RefusedError, TransportError
from otel_vendor_exporters.mparticle import (
    Batch,
    CommerceEvent,
    CustomEvent,
    EventsClient,
    PixelClient,
    PixelEvent,
    Product,
    ProductAction,
    ScreenView,
    UserIdentities,
)
from otel_vendor_exporters.sandbox import Sandbox
from tests.delivery.loopback import Answer, Loopback, Received, http


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[EventsClient]:
    with EventsClient(**sandbox.mparticle_settings, timeout=5) as running:
        yield running


def now_unix_ms() -> int:
    return int(time.time() * 1000)


def batch_of(user: str, *names: str) -> Batch:
    return Batch(
        environment="development",
        user_identities=UserIdentities(customer_id=user),
        events=[
            CustomEvent(event_name=name, custom_event_type="other", timestamp_unixtime_ms=now_unix_ms())
            for name in names
        ],
    )


def test_a_batch_arrives_with_its_user(sandbox: Sandbox, client: EventsClient) -> None:
    receipt = client.upload(batch_of("ann", "Signed up", "Logged in"))

    received = sandbox.received.mparticle
    user = received.user(customer_id="ann")
    assert receipt == Receipt(delivered=1)
    assert [event.data["event_name"] for event in user.events] == ["Signed up", "Logged in"]
    assert sandbox.received.findings == ()


def test_T02_T03_any_number_of_batches_in_requests_of_100(sandbox: Sandbox, client: EventsClient) -> None:
    receipts = client.upload_many(batch_of(f"user-{number}", "Event") for number in range(750))

    received = sandbox.received.mparticle
    assert receipts == (Receipt(delivered=1),) * 750
    assert max(len(upload.batches) for upload in received.uploads) == 100
    assert len(received.uploads) < 20
    assert len(received.users) == 750
    assert sandbox.received.findings == ()


def test_T08_a_batch_that_is_refused_takes_no_other_with_it(sandbox: Sandbox, client: EventsClient) -> None:
    """mParticle's words are in the receipt of the one it could not read."""
    error = {"code": "BAD_REQUEST", "message": "No &quot;x&quot;. Path '[1].events'."}
    body = json.dumps({"errors": [error]}).encode()
    sandbox.answer_next(status=202, body=body, on="events")

    receipts = client.upload_many([batch_of("a", "1"), batch_of("b", "2"), batch_of("c", "3")])

    assert receipts[0] == receipts[2] == Receipt(delivered=1)
    assert receipts[1] == Receipt(refused={"bad_batch": 1}, words=("… Path '[1].events'.",))
    with pytest.raises(RefusedError, match="bad_batch"):
        receipts[1].raise_for_losses()


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (
            "Error converting value &quot;ann@x.org&quot;. Path '[0].device_info.ios_idfv', position 9.",
            "HTTP 400: Error converting value … Path '[0].device_info.ios_idfv', position 9.",
        ),
        ("Customer ann@x.org is blocked", "HTTP 400: …"),
    ],
)
def test_a_refused_batch_names_field_and_reason_and_nobody(
    sandbox: Sandbox, client: EventsClient, message: str, words: str
) -> None:
    """In the receipt, as mParticle words it, without what it quotes; what it says of a user is left out."""
    body = json.dumps({"errors": [{"code": "BAD_REQUEST", "message": message}]}).encode()
    sandbox.answer_next(status=400, body=body, on="events")

    receipt = client.upload(batch_of("ann", "Event"))

    assert receipt == Receipt(refused={"bad_batch": 1}, words=(words,))
    assert client.ledger().refused == {"bad_batch": 1}


@pytest.mark.flaky(reruns=2)
def test_T05_T06_a_retry_is_byte_identical_and_waits_as_told() -> None:
    bodies: list[bytes] = []

    def answer(request: Received) -> Answer:
        bodies.append(request.body)
        return Answer(429, headers={"Retry-After": "1"}) if len(bodies) == 1 else Answer(202)

    server = Loopback(http(answer))
    with server, EventsClient(api_key="key", api_secret="secret", base_url=server.url) as client:
        began = time.monotonic()
        receipt = client.upload(batch_of("ann", "Event"))

    assert receipt == Receipt(delivered=1)
    assert 1.0 <= time.monotonic() - began < 3.0
    assert len(bodies) == 2
    assert bodies[0] == bodies[1]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_T06_a_retry_without_a_word_of_when_is_byte_identical(status: int) -> None:
    """Ids are in the body, so that mParticle can tell a repeat."""
    bodies: list[bytes] = []

    def answer(request: Received) -> Answer:
        bodies.append(request.body)
        return Answer(status) if len(bodies) == 1 else Answer(202)

    server = Loopback(http(answer))
    with server, EventsClient(api_key="key", api_secret="secret", base_url=server.url) as client:
        receipt = client.upload(batch_of("ann", "Event"), timeout_seconds=15)

    assert receipt == Receipt(delivered=1)
    assert len(bodies) == 2
    assert bodies[0] == bodies[1]


@pytest.mark.parametrize("fault", [{"status": 503}, {"close": True}, {"reset": True}])
def test_T06_what_is_in_doubt_is_sent_again_and_arrives_once(
    sandbox: Sandbox, client: EventsClient, fault: dict[str, object]
) -> None:
    sandbox.answer_next(**fault, on="events", times=2)  # type: ignore[arg-type]  # a table of keywords

    assert client.upload(batch_of("ann", "Event"), timeout_seconds=15) == Receipt(delivered=1)
    assert len(sandbox.received.mparticle.events) == 1


def test_T11_the_same_batch_twice_is_stored_once(sandbox: Sandbox, client: EventsClient) -> None:
    batch = Batch(environment="development", source_request_id="once", events=batch_of("a", "b").events)

    assert client.upload_many([batch, batch]) == (Receipt(delivered=1), Receipt(delivered=1))
    assert len(sandbox.received.mparticle.events) == 1


@pytest.mark.parametrize("setting", [{"api_key": "another"}, {"api_secret": "another"}])
def test_T12_wrong_credentials_are_said_and_the_batch_waits(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture, setting: dict[str, str]
) -> None:
    settings: dict[str, Any] = {**sandbox.mparticle_settings, **setting, "timeout": 0.5}
    with EventsClient(**settings) as client:
        receipt = client.upload(batch_of("ann", "Event"))
        ledger = client.ledger()

    words = "HTTP 403: check api_key and api_secret, and that pod is theirs"
    assert receipt == Receipt(waiting=1, words=(words,))
    with pytest.raises(TransportError, match=words):
        receipt.raise_for_losses()
    assert ledger.waiting == 1
    (error,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "check api_key and api_secret" in error.getMessage()
    assert sandbox.mparticle.api_secret not in caplog.text


@pytest.mark.parametrize("status", [401, 403])
def test_what_waits_for_credentials_says_so_until_it_is_delivered(status: int) -> None:
    """And the Pixel Service has a key of its own."""
    answers = [Answer(status), Answer(202)]
    server = Loopback(http(lambda _: answers.pop(0)))
    clicked = PixelEvent(message_type="AppEvent", timestamp_unixtime_ms=1, environment="development")
    with server, PixelClient(web_api_key="key", base_url=server.url) as client:
        receipt = client.send(clicked, timeout_seconds=2)
        client.close()
        ledger = client.ledger()

    assert receipt == Receipt(waiting=1, words=(f"HTTP {status}: check web_api_key",))
    assert ledger.delivered == 1


def test_an_endless_batch_goes_out_in_parts(sandbox: Sandbox, client: EventsClient) -> None:
    """T04: each part has an id of its own and the user's fields; the receipt counts the parts."""
    receipt = client.upload(batch_of("ann", *(f"Event {number}" for number in range(250))))

    received = sandbox.received.mparticle
    assert receipt == Receipt(delivered=3)
    assert [len(batch.events) for batch in received.batches] == [100, 100, 50]
    names = [event.data["event_name"] for event in received.user(customer_id="ann").events]
    assert names == [f"Event {number}" for number in range(250)]


def test_an_endless_batch_uploaded_twice_is_stored_once(sandbox: Sandbox, client: EventsClient) -> None:
    """Its own request id holds for its parts: a job that runs again doubles nothing."""
    batch = replace(batch_of("ann", *(f"Event {number}" for number in range(250))), source_request_id="job-7")

    assert [client.upload(batch), client.upload(batch)] == [Receipt(delivered=3)] * 2
    assert len(sandbox.received.mparticle.events) == 250


def test_what_no_part_has_room_for_is_in_the_receipt(sandbox: Sandbox, client: EventsClient) -> None:
    """And what is no batch at all is refused alone."""
    products = [Product(id=str(number), name="n" * 50) for number in range(2500)]
    large = CommerceEvent(
        timestamp_unixtime_ms=now_unix_ms(),
        product_action=ProductAction(action="purchase", products=products),
    )
    small = CustomEvent(event_name="fits", custom_event_type="other", timestamp_unixtime_ms=now_unix_ms())
    batch = replace(batch_of("ann"), events=[small, large])

    fits, no_batch = client.upload_many([batch, None])  # type: ignore[list-item]  # as callers do

    assert (fits.delivered, sum(fits.refused.values())) == (1, 1)
    assert no_batch.refused == {"no_batch": 1}
    with pytest.raises(RefusedError):
        fits.raise_for_losses()


def test_historical_data_goes_its_own_way(sandbox: Sandbox) -> None:
    old = CustomEvent(event_name="Old", custom_event_type="other", timestamp_unixtime_ms=1_600_000_000_000)
    batch = Batch(environment="development", user_identities=UserIdentities(customer_id="ann"), events=[old])
    with EventsClient(**sandbox.mparticle_settings, historical=True) as client:
        assert client.upload(batch) == Receipt(delivered=1)
    assert [record.path for record in sandbox.received.records] == ["/v2/bulkevents/historical"]
    assert sandbox.received.findings == ()


@pytest.mark.parametrize("age_ms", [None, 0, 72 * 3_600_000 - 60_000])
def test_the_historical_path_refuses_what_mparticle_would_ignore(
    sandbox: Sandbox, age_ms: int | None
) -> None:
    """mParticle answers 202 and reads nothing that has no time, is younger than 72 hours, or is no event."""
    old = replace(batch_of("ann", "Old").events[0], timestamp_unixtime_ms=1_600_000_000_000)  # type: ignore[index]
    time_ms = None if age_ms is None else now_unix_ms() - age_ms
    young = CustomEvent(event_name="Young", custom_event_type="other", timestamp_unixtime_ms=time_ms)
    fine, mixed, empty = (replace(batch_of("ann"), events=events) for events in ([old], [old, young], []))

    with EventsClient(**sandbox.mparticle_settings, historical=True) as client:
        receipts = client.upload_many([mixed, fine, empty])
        ledger = client.ledger()

    words = "the historical path takes batches with events, each of a time 72 hours ago or before"
    refused = Receipt(refused={"not_historical": 1}, words=(words,))
    assert receipts == (refused, Receipt(delivered=1), refused)
    assert (ledger.ignored, ledger.delivered) == ({"not_historical": 2}, 1)
    assert [event.data["event_name"] for event in sandbox.received.mparticle.events] == ["Old"]


def test_after_closing_nothing_is_taken(sandbox: Sandbox) -> None:
    client = EventsClient(**sandbox.mparticle_settings)
    client.close()
    client.close()
    assert client.upload(batch_of("ann", "Event")) == Receipt(dropped={"closed": 1})


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({}, "api_key is missing"),
        ({"api_key": "k"}, "api_secret is missing"),
        ({"api_key": "k", "api_secret": "s", "pod": "EU9"}, "pod"),
        ({"api_key": "k", "api_secret": "s", "base_url": "http://example.com"}, "base_url"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        EventsClient(**settings)


def test_the_pixel_arrives(sandbox: Sandbox) -> None:
    """P01 and P02 byte for byte are in test_pixel.py; here they arrive."""
    ann = UserIdentities(email="ann@example.com")
    common = {"timestamp_unixtime_ms": now_unix_ms(), "environment": "development"}
    with PixelClient(**sandbox.mparticle_pixel_settings) as client:
        clicked = PixelEvent(
            message_type="AppEvent",
            event_name="Clicked",
            custom_event_type="navigation",
            custom_attributes={"a&b": "1=2"},
            user_identities=ann,
            **common,  # type: ignore[arg-type]  # a table of keywords
        )
        seen = PixelEvent(message_type="ScreenView", event_name="Home", user_identities=ann, **common)  # type: ignore[arg-type]
        assert client.send(clicked) == client.send(seen) == Receipt(delivered=1)

    user = sandbox.received.mparticle.user(email="ann@example.com")
    assert [event.type for event in user.events] == ["custom_event", "screen_view"]
    assert sandbox.received.findings == ()


def test_a_pixel_that_cannot_fit_is_refused(sandbox: Sandbox) -> None:
    event = PixelEvent(
        message_type="AppEvent",
        event_name="Clicked",
        timestamp_unixtime_ms=1,
        environment="development",
        user_attributes={f"name{number}": "x" * 200 for number in range(20)},
    )
    with PixelClient(**sandbox.mparticle_pixel_settings) as client:
        receipt = client.send(event)
    assert receipt.refused == {"unfit:pixel": 1}
    assert sandbox.received.records == ()


def test_a_screen_view_of_the_events_api(sandbox: Sandbox, client: EventsClient) -> None:
    batch = Batch(
        environment="development",
        user_identities=UserIdentities(customer_id="ann"),
        events=[ScreenView(screen_name="Home")],
    )
    assert client.upload(batch) == Receipt(delivered=1)
    (event,) = sandbox.received.mparticle.events
    assert (event.type, event.data["screen_name"]) == ("screen_view", "Home")
