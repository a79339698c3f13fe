"""`AnalyticsClient` over real HTTP: every call, truthful receipts, order and outages."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

import pytest

from otel_vendor_exporters.delivery.request import Receipt
from otel_vendor_exporters.errors import ConfigurationError, EncodingError, TransportError
from otel_vendor_exporters.mparticle_analytics import AnalyticsClient, AnalyticsEvent
from tests.delivery.loopback import HANG, RESET, Answer
from tests.mparticle_analytics.records import events
from tests.mparticle_analytics.service import Service, in_turn

TIME_UNIX_MS = 1_700_000_000_123
REGISTRATION = AnalyticsEvent("Registration", "user47", {"Gender": "Female", "Age": 23}, TIME_UNIX_MS)


@pytest.mark.parametrize("method", ["post", "get"])
def test_A1_A2_an_event_arrives(service: Service, client: AnalyticsClient, method: str) -> None:
    """By POST and by GET the same is understood."""
    assert client.track(REGISTRATION, method=method) == Receipt(delivered=1)

    (call,) = service.accepted
    assert (call.kind, call.method) == ("event", method.upper())
    assert {**call.body, "eventTime": int(call.body["eventTime"])} == {
        "eventName": "Registration",
        "eventUniqueId": "user47",
        "properties": {"Gender": "Female", "Age": "23"},
        "eventTime": TIME_UNIX_MS,
    }


def test_by_GET_empty_values_are_left_out_and_counted(service: Service, client: AnalyticsClient) -> None:
    """A query has no place for them."""
    client.track(AnalyticsEvent("e", "u", {"a": "", "b": 1}), method="get")

    assert service.accepted[0].body["properties"] == {"b": "1"}
    assert client.ledger().left_out == {"empty_value": 1}


def test_A3_the_key_may_travel_in_the_path(service: Service) -> None:
    """A key with a slash arrives as it is; the body does not hold it."""
    service.key = "a/b"
    with AnalyticsClient(**{**service.settings, "api_key": "a/b", "key_in": "path"}) as client:
        assert client.track(REGISTRATION) == Receipt(delivered=1)

    assert service.accepted[0].target == "/service/event/a%2Fb"


def test_A4_many_events_travel_in_batches_of_100(service: Service, client: AnalyticsClient) -> None:
    """250 events are three requests, in order, and one receipt."""
    assert client.track_many(events(250)) == Receipt(delivered=250)

    assert [(call.kind, len(call.events)) for call in service.calls] == [
        ("event/batch", 100),
        ("event/batch", 100),
        ("event/batch", 50),
    ]
    assert [name for _, name in service.events] == [f"e{number}" for number in range(250)]


def test_A6_what_analytics_does_not_take_is_an_error(service: Service, client: AnalyticsClient) -> None:
    """It is raised where the value is made, before anything is kept."""
    with pytest.raises(EncodingError, match="user_id"):
        client.track(AnalyticsEvent("e", "u" * 256))
    with pytest.raises(EncodingError, match="properties are empty"):
        client.identify("u", {})
    with pytest.raises(EncodingError, match="new_id"):
        client.alias("u", "u")
    with pytest.raises(ValueError, match="method is 'put': expected post or get"):
        client.track(REGISTRATION, method="put")

    assert service.calls == []
    assert client.ledger().accepted == 0


def test_what_was_cut_is_in_the_ledger(client: AnalyticsClient) -> None:
    """Losing half a value is no secret."""
    client.track(AnalyticsEvent("e", "u", {"long": "x" * 300}))
    client.identify("u", {"plan": "pro", "nan": float("nan")})

    assert client.ledger().left_out == {"value_cut": 1, "no_number": 1}


def test_A10_A11_A12_every_call_arrives(service: Service, client: AnalyticsClient) -> None:
    """Identify, alias, suppress and delete, each with its body."""
    client.identify("u", {"plan": "pro"})
    client.alias("anon-1", "u")
    client.suppress("v")
    client.delete("w")

    assert [(call.kind, dict(call.body)) for call in service.accepted] == [
        ("identify", {"uniqueId": "u", "properties": {"plan": "pro"}}),
        ("alias", {"previousId": "anon-1", "newId": "u"}),
        ("suppress", {"uniqueId": "v"}),
        ("delete", {"uniqueId": "w"}),
    ]


def test_A15_an_outage_ends(service: Service, client: AnalyticsClient) -> None:
    """Three times 503, then 200: delivered once."""
    service.fails = in_turn(*[Answer(503)] * 3)

    assert client.track(REGISTRATION) == Receipt(delivered=1)
    assert [call.status for call in service.calls] == [503, 503, 503, 200]


@pytest.mark.flaky(reruns=2)
def test_A16_no_second_has_more_than_250_events(service: Service, client: AnalyticsClient) -> None:
    """1,000 events at once are spread over four seconds, and all arrive."""
    receipt = client.track_many(events(1000), timeout_seconds=30)

    assert receipt == Receipt(delivered=1000)
    arrivals = [(call.at, len(call.events)) for call in service.calls]
    for began, _ in arrivals:
        assert sum(count for at, count in arrivals if began <= at < began + 1.0) <= 250
    assert arrivals[-1][0] - arrivals[0][0] < 6
    assert all(0.15 < later - earlier < 1.5 for (earlier, _), (later, _) in pairwise(arrivals))


def test_users_keep_their_order_through_failures(service: Service) -> None:
    """With several connections and failures, what is told of a user arrives as it was told."""
    answers = [None, Answer(503), None, Answer(429), None, None, Answer(500)] * 5
    service.fails = in_turn(*answers)
    with AnalyticsClient(**{**service.settings, "connections": 4, "timeout": 30.0}) as client:
        for number in range(60):
            user = f"u{number % 5}"
            if number % 4 == 3:
                client.identify(user, {"step": number}, timeout_seconds=0)
            else:
                client.track(AnalyticsEvent(f"{number}", user), timeout_seconds=0)
        assert client.flush(30)

    steps: dict[str, list[int]] = {}
    for call in service.accepted:
        for event in call.events:
            steps.setdefault(event["eventUniqueId"], []).append(int(event["eventName"]))
        if call.kind == "identify":
            steps.setdefault(call.body["uniqueId"], []).append(int(call.body["properties"]["step"]))
    assert steps == {f"u{user}": list(range(user, 60, 5)) for user in range(5)}


@pytest.mark.parametrize(("duplicates", "delivered"), [("allow", 1), ("avoid", 0)])
def test_an_answer_that_never_came(service: Service, duplicates: str, delivered: int) -> None:
    """Events are sent again unless duplicates are to be avoided; calls always are."""
    with AnalyticsClient(**service.settings, duplicates=duplicates) as client:
        service.fails = in_turn(RESET)
        assert client.track(REGISTRATION).delivered == delivered
        service.fails = in_turn(RESET)
        assert client.identify("u", {"a": 1}) == Receipt(delivered=1)


def test_a_hanging_server_does_not_hold_the_caller(service: Service) -> None:
    """The call returns at its deadline; the event waits and is told so."""
    service.fails = lambda: HANG
    with AnalyticsClient(**{**service.settings, "timeout": 0.3}) as client:
        receipt = client.track(REGISTRATION)
        assert receipt == Receipt(waiting=1)
        with pytest.raises(TransportError, match="1 waiting"):
            receipt.raise_for_losses()
        client.close(0.5)
    counts = client.ledger()
    assert counts.dropped.get("shutdown", 0) + counts.in_flight == 1  # the last try may still hang
    assert client.track(REGISTRATION) == Receipt(dropped={"closed": 1})


def test_one_project_has_one_destination(service: Service) -> None:
    """Clients of one key share queue and limits; those that disagree about them are told at construction."""
    with AnalyticsClient(**service.settings) as one, AnalyticsClient(**service.settings) as other:
        one.track(REGISTRATION)
        assert other.ledger().delivered == 1
        with pytest.raises(ConfigurationError, match="connections differs"):
            AnalyticsClient(**service.settings, connections=2)


def test_exit_without_close_delivers(service: Service) -> None:
    """A script that ends without closing its client has its event delivered at exit."""
    script = (
        "from otel_vendor_exporters.mparticle_analytics import AnalyticsClient, AnalyticsEvent\n"
        f"AnalyticsClient(**{service.settings!r}).track(AnalyticsEvent('e', 'u'), timeout_seconds=0)\n"
    )

    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True, timeout=30)

    assert service.events == [("u", "e")]
