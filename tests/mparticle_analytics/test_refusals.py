"""What is refused over real HTTP: the culprit alone, a wrong key loses nothing, and no log tells a secret."""

from __future__ import annotations

from collections import Counter

import pytest

from otel_vendor_exporters.delivery.request import Receipt
from otel_vendor_exporters.errors import RefusedError
from otel_vendor_exporters.mparticle_analytics import AnalyticsClient, AnalyticsEvent, AnalyticsSettings
from otel_vendor_exporters.mparticle_analytics.client import destination_for
from tests.conftest import ForwardClock
from tests.delivery.loopback import Answer
from tests.mparticle_analytics.records import events
from tests.mparticle_analytics.service import Service


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
