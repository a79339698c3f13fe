"""Aliases and deletions over real HTTP: who is merged with whom, once, and what a deletion takes along."""

from __future__ import annotations

from collections import Counter

import pytest

from otel_vendor_exporters.delivery.request import Receipt
from otel_vendor_exporters.mparticle_analytics import (
    AnalyticsClient,
    AnalyticsEvent,
    AnalyticsSettings,
    MParticleAnalyticsLogExporter,
)
from otel_vendor_exporters.mparticle_analytics.client import destination_for
from tests.conftest import ForwardClock
from tests.delivery.loopback import Answer
from tests.mparticle_analytics.records import events, log_records
from tests.mparticle_analytics.service import Service, in_turn

DOWN = Answer(503, headers={"Retry-After": "300"})


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
