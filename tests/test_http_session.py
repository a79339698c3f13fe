"""`http_session`: a `requests.Session` of one's own, for every vendor."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter

from otel_vendor_exporters.delivery.request import Receipt
from otel_vendor_exporters.errors import ConfigurationError
from otel_vendor_exporters.mparticle import Batch, CustomEvent, EventsClient, UserIdentities
from otel_vendor_exporters.mparticle_analytics import AnalyticsClient, AnalyticsEvent
from otel_vendor_exporters.mpulse import MPulseClient, MPulseSpanExporter
from otel_vendor_exporters.sandbox import Sandbox


class Counted(HTTPAdapter):
    """An adapter as a company may have one: it sees every request."""

    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        self.urls.append(request.url or "")
        assert request.headers["X-Team"] == "shop"
        return super().send(request, *args, **options)


def to_mpulse(sandbox: Sandbox, session: requests.Session) -> Receipt:
    with MPulseClient(**sandbox.mpulse_settings, http_session=session) as client:
        return client.send_timer("Checkout", 12)


def to_mparticle(sandbox: Sandbox, session: requests.Session) -> Receipt:
    event = CustomEvent(
        event_name="Order placed",
        custom_event_type="transaction",
        timestamp_unixtime_ms=time.time_ns() // 1_000_000,
    )
    user = UserIdentities(customer_id="u-1")
    batch = Batch(environment="production", user_identities=user, events=[event])
    with EventsClient(**sandbox.mparticle_settings, http_session=session) as client:
        return client.upload(batch)


def to_analytics(sandbox: Sandbox, session: requests.Session) -> Receipt:
    with AnalyticsClient(**sandbox.mparticle_analytics_settings, http_session=session) as client:
        return client.track(AnalyticsEvent("Order placed", "u-1"))


@pytest.mark.parametrize("send", [to_mpulse, to_mparticle, to_analytics])
def test_everything_goes_through_it(
    sandbox: Sandbox, send: Callable[[Sandbox, requests.Session], Receipt]
) -> None:
    """Its adapters and headers are in force for all requests, not its credentials; it stays open."""
    adapter = Counted()
    with requests.Session() as session:
        session.mount("http://", adapter)
        session.headers["X-Team"] = "shop"
        session.auth = ("somebody", "else")
        receipt = send(sandbox, session)
        again = send(sandbox, session)

    assert (receipt.delivered, again.delivered) == (1, 1)
    assert len(adapter.urls) >= 2
    assert sandbox.received.findings == ()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"http_session": "Session"},
            "http_session is 'Session' .*: expected an object, which only code can",
        ),
        ({"http_session": object()}, "http_session is a object: expected a requests.Session"),
        ({"http_session": requests.Session(), "proxy": "http://127.0.0.1:9"}, "expected it to bring its own"),
    ],
)
def test_what_cannot_be_is_refused(sandbox: Sandbox, given: Mapping[str, Any], words: str) -> None:
    """A text, some other object, and settings that the session would have to bring, are named."""
    with pytest.raises(ConfigurationError, match=words) as raised:
        MPulseClient(**sandbox.mpulse_settings, **given)

    assert raised.value.setting == "http_session"


def test_the_environment_cannot_give_it(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable of that name is an error that says so."""
    monkeypatch.setenv("OTEL_EXPORTER_MPULSE_HTTP_SESSION", "requests.Session")

    with pytest.raises(ConfigurationError, match="which only code can give"):
        MPulseClient(**sandbox.mpulse_settings)


def test_one_destination_has_one_session(sandbox: Sandbox) -> None:
    """Exporters and clients of one app share their connections: two sessions are a contradiction."""
    with requests.Session() as one, MPulseClient(**sandbox.mpulse_settings, http_session=one):
        exporter = MPulseSpanExporter(**sandbox.mpulse_settings, http_session=one)
        with pytest.raises(ConfigurationError, match="http_session differs"):
            MPulseSpanExporter(**sandbox.mpulse_settings)
        exporter.shutdown()
