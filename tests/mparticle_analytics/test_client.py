"""`AnalyticsClient` over real HTTP: every call, truthful receipts, order, refusals and outages."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import pytest

from otel_vendor_exporters.delivery.request import Receipt
from otel_vendor_exporters.errors import ConfigurationError, EncodingError, RefusedError, TransportError
from otel_vendor_exporters.mparticle_analytics import (
    AnalyticsClient,
    AnalyticsEvent,
    AnalyticsSettings,
    MParticleAnalyticsLogExporter,
)
from otel_vendor_exporters.mparticle_analytics.client import destination_for
from tests.conftest import ForwardClock
from tests.delivery.loopback import HANG, RESET, Answer
from tests.mparticle_analytics.records import log_records
from tests.mparticle_analytics.service import Service

TIME_UNIX_MS = 1_700_000_000_123
REGISTRATION = AnalyticsEvent("Registration", "user47", {"Gender": "Female", "Age": 23}, TIME_UNIX_MS)
DOWN = Answer(503, headers={"Retry-After": "300"})


def events(count: int, users: int = 7) -> list[AnalyticsEvent]:
    return [AnalyticsEvent(f"e{number}", f"u{number % users}") for number in range(count)]


def in_turn(*answers: Answer | None) -> Callable[[], Answer | None]:
    """One answer after the other, then none."""
    left = list(answers)
    return lambda: left.pop(0) if left else None


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


def test_A11_an_alias_is_sent_once(service: Service, client: AnalyticsClient) -> None:
    """The second time nothing; what would merge two users is refused; a refused one may be tried again."""
    assert client.alias("anon-1", "u") == Receipt(delivered=1)
    assert client.alias("anon-1", "u") == Receipt()
    assert client.alias("anon-1", "v") == Receipt(refused={"known_user": 1})
    service.fails = in_turn(Answer(422))
    assert client.alias("anon-2", "u").refused == {"http_422 alias": 1}
    assert client.alias("anon-2", "u") == Receipt(delivered=1)

    assert service.kinds == ["alias", "alias"]


def test_A11_what_memory_forgets_is_not_merged_into_somebody_else(
    service: Service, client: AnalyticsClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past the bound of what is remembered of users an id is not taken for a new one."""
    monkeypatch.setattr(client._destination.users, "_most", 2)
    for anonymous, user in (("a1", "u1"), ("a2", "u2"), ("a3", "u3")):
        client.alias(anonymous, user)

    assert client.alias("a1", "u2").dropped == {"merged_elsewhere": 1}
    assert service.kinds.count("alias") == 3


def test_A12_a_deleted_users_waiting_items_are_gone(service: Service, client: AnalyticsClient) -> None:
    """During an outage they are taken out and counted; the call itself and the others go out after it."""
    service.fails = in_turn(Answer(503, headers={"Retry-After": "1"}))
    client.track_many(
        [AnalyticsEvent(f"e{number}", user) for number, user in enumerate("uvuwu")], timeout_seconds=0
    )
    client.identify("u", {"plan": "pro"}, timeout_seconds=0)
    service.until_called(1)
    client.flush(0.1)

    removal = client.delete("u")

    assert removal.receipt == Receipt(delivered=1)
    assert removal.removed == 4
    assert client.flush(5)
    assert service.events == [("v", "e1"), ("w", "e3")]
    assert client.track(AnalyticsEvent("later", "u")) == Receipt(dropped={"suppressed": 1})
    assert client.ledger().dropped == {"suppressed": 5}
    assert Counter(service.kinds)["delete"] == 1


def test_A12_a_deleted_users_anonymous_items_are_gone(service: Service, client: AnalyticsClient) -> None:
    """What waits under an id that was merged into them, and what comes under it later."""
    client.alias("anon", "user47")
    service.fails = lambda: Answer(503, headers={"Retry-After": "1"})
    for user in ("anon", "user47", "other"):
        client.track(AnalyticsEvent("seen", user), timeout_seconds=0)
    service.until_called(2)
    client.flush(0.05)

    removal = client.delete("user47", timeout_seconds=0)
    service.fails = lambda: None
    assert client.flush(10)

    assert removal.removed == 2
    assert client.track(AnalyticsEvent("later", "anon")).dropped == {"suppressed": 1}
    assert service.events == [("other", "seen")]


def test_A11_two_known_users_are_not_merged(service: Service, client: AnalyticsClient) -> None:
    """Neither two that were identified, nor one that a record named."""
    for user in ("u1", "u2"):
        client.identify(user, {"plan": "pro"})
    logs = MParticleAnalyticsLogExporter(**service.settings)
    logs.export(log_records({"event_name": "seen", "attributes": {"user.id": "u3"}}))

    assert client.alias("u1", "u2").refused == {"known_user": 1}
    assert client.alias("u3", "u4").refused == {"known_user": 1}
    logs.shutdown()
    assert "alias" not in service.kinds


def test_A11_an_alias_that_was_lost_is_sent_when_it_is_repeated(service: Service) -> None:
    """One that had to make room, and one that came after the end: the client tells no success."""
    with AnalyticsClient(**service.settings, max_queue_items=1) as client:
        service.fails = lambda: Answer(503, headers={"Retry-After": "1"})
        client.alias("a1", "u1", timeout_seconds=0)
        client.track(AnalyticsEvent("seen", "other"), timeout_seconds=0)
        service.until_called(1)
        client.track(AnalyticsEvent("seen", "other"), timeout_seconds=0)
        assert client.ledger().dropped["queue_full"] >= 1
        service.fails = lambda: None
        assert client.flush(10)
        client.alias("a1", "u1").raise_for_losses()
        closed = AnalyticsClient(**service.settings, max_queue_items=1)
        closed.close()
        assert closed.alias("a2", "u2").dropped == {"closed": 1}
        assert client.alias("a2", "u2").delivered == 1

    assert service.kinds.count("alias") == 2


def test_A12_a_waiting_deletion_is_not_taken_out_by_a_suppression(
    service: Service, client: AnalyticsClient
) -> None:
    """Both calls are sent, in their order."""
    service.fails = in_turn(Answer(503, headers={"Retry-After": "1"}))
    client.delete("u", timeout_seconds=0)
    service.until_called(1)

    assert client.suppress("u").removed == 0
    assert service.kinds == ["delete", "suppress"]


def test_A12_a_deletion_is_the_last_to_be_given_up(service: Service, clock: ForwardClock) -> None:
    """It makes room for nothing, never gets too old, and leaves first when the outage is over."""
    service.fails = in_turn(DOWN)
    destination = destination_for(AnalyticsSettings.read(**service.settings, max_queue_items=10), clock)
    with AnalyticsClient(**service.settings, max_queue_items=10) as client:
        client.track(AnalyticsEvent("e", "v"), timeout_seconds=0)
        service.until_called(1)
        client.flush(0.5)  # returns when the pause is known
        client.delete("u", timeout_seconds=0)
        client.track_many(events(50), timeout_seconds=0)
        clock.forward(49 * 3600)
        client.track(AnalyticsEvent("new", "w"), timeout_seconds=0)
        assert client.flush(5)
        destination.release(1)

    assert service.kinds == ["delete", "event"]
    assert service.events == [("w", "new")]
    assert client.ledger().dropped == {"queue_full": 43, "expired": 8}


def test_A13_one_bad_event_does_not_take_99_with_it(
    service: Service, client: AnalyticsClient, caplog: pytest.LogCaptureFixture
) -> None:
    """The culprit alone is refused, and named to the caller, in the ledger and in the log."""
    service.refuses = lambda event: 422 if event["eventName"] == "e42" else 0

    receipt = client.track_many(events(100))

    assert (receipt.delivered, receipt.refused) == (99, {"http_422 event 'e42'": 1})
    assert receipt.words == ("event 'e42': HTTP 422: a field value violates a constraint",)
    assert len(service.calls) <= 1 + 14
    assert client.ledger().refused == {"http_422 event 'e42'": 1}
    assert "1 items refused: event 'e42'" in caplog.text
    assert {name for _, name in service.events} == {f"e{number}" for number in range(100)} - {"e42"}
    with pytest.raises(RefusedError, match="e42"):
        receipt.raise_for_losses()


def test_A14_a_wrong_key_loses_nothing(
    service: Service, clock: ForwardClock, caplog: pytest.LogCaptureFixture
) -> None:
    """All is kept, one error is told, probes are rare; when the key works, everything arrives once."""
    service.key = "not yet"
    destination = destination_for(AnalyticsSettings.read(**service.settings), clock)
    with AnalyticsClient(**service.settings) as client:
        receipt = client.track_many(events(30), timeout_seconds=4)
        tried = len(service.calls)
        words = "HTTP 400: Bad Request, whatever is sent: check api_key"
        assert receipt == Receipt(waiting=30, words=(words,))
        assert tried <= 12
        (error,) = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
        assert "HTTP 400: Bad Request, whatever is sent: check api_key; what waits is kept" in error

        clock.forward(121)  # the second failure in a row: a minute or two
        service.until_called(tried + 1)
        client.flush(0.2)
        assert len(service.calls) == tried + 1

        service.key = "k"
        clock.forward(601)
        assert client.flush(10)
        destination.release(1)

    assert Counter(service.events) == Counter({(f"u{number % 7}", f"e{number}"): 1 for number in range(30)})
    assert client.ledger().lost == 0


def test_A14_a_wrong_key_loses_nothing_of_a_lone_user(
    service: Service, clock: ForwardClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The key is named though nobody else's events show it to be wrong, and a deletion waits as well."""
    service.key = "not yet"
    destination = destination_for(AnalyticsSettings.read(**service.settings), clock)
    with AnalyticsClient(**service.settings) as client:
        client.track_many(events(3, users=1), timeout_seconds=0)
        for tried in range(1, 7):
            service.until_called(tried)
            client.flush(0.2)
            clock.forward(601)
        removal = client.delete("jane", timeout_seconds=0)
        client.flush(0.2)
        assert (removal.receipt, client.ledger().lost) == (Receipt(waiting=1), 0)

        service.key = "k"
        clock.forward(601)
        assert client.flush(10)
        destination.release(1)

    assert "delete" in service.kinds
    assert [name for _, name in service.events] == ["e0", "e1", "e2"]
    assert "HTTP 400: Bad Request, whatever is sent: check api_key; what waits is kept" in caplog.text


def test_A14_a_malformed_event_is_refused_once_the_key_is_proven(
    service: Service, client: AnalyticsClient
) -> None:
    """A 400 for one event of ten is found, checked against another user's event, and refused."""
    service.refuses = lambda event: 400 if event["eventName"] == "e3" else 0

    receipt = client.track_many(events(10))

    assert (receipt.delivered, receipt.refused) == (9, {"http_400 event 'e3'": 1})


def test_A14_one_malformed_event_holds_nobody_back(service: Service, client: AnalyticsClient) -> None:
    """Of one user's hundred the malformed one is refused at once; the others need no pause."""
    service.refuses = lambda event: 400 if event["eventName"] == "e50" else 0
    client.track(AnalyticsEvent("first", "u"))
    receipt = client.track_many(events(100, users=1))

    assert (receipt.delivered, receipt.refused) == (99, {"http_400 event 'e50'": 1})


@pytest.mark.parametrize("status", [400, 401, 422, 503])
def test_the_log_names_neither_key_nor_user(
    service: Service, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    """A server that repeats what it was sent does not bring it into the log or the receipt."""
    service.key = "SECRET-KEY"
    service.fails = lambda: Answer(status, body=b'{"apiKey":"SECRET-KEY","u":"bob@example.com"}')
    settings = {**service.settings, "api_key": "SECRET-KEY", "timeout": 1.0}
    with AnalyticsClient(**settings) as client:
        receipt = client.track(AnalyticsEvent("Paid", "bob@example.com"))

    assert f"HTTP {status}" in caplog.text
    assert "SECRET-KEY" not in caplog.text
    assert "bob@" not in caplog.text + str(receipt.words)


def test_A15_an_outage_ends(service: Service, client: AnalyticsClient) -> None:
    """Three times 503, then 200: delivered once."""
    service.fails = in_turn(*[Answer(503)] * 3)

    assert client.track(REGISTRATION) == Receipt(delivered=1)
    assert [call.status for call in service.calls] == [503, 503, 503, 200]


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
