"""The allow and the deny list reach everything that leaves, by every name it is known under."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from otel_vendor_exporters.mparticle.mapping import Mapped
from tests.mparticle.records import SHOP, batches, data_of, log, mapping, span

SESSION = "91b86d0c-86cb-4124-a8b2-edee107de454"
TRACE_ID, SPAN_ID = 0x4BF92F3577B34DA6A3CE929D0E0E4736, 0x00F067AA0BA902B7

# One marker for each thing that may leave, so that it is found wherever it went.
PHONE = {
    **SHOP,
    "service.version": "v-marker",
    "os.name": "iOS",
    "os.version": "os-marker",
    "device.manufacturer": "maker-marker",
    "app.installation.id": "8c61383f-2216-4713-8c1c-1cb0a5d7a4cc",
    "browser.language": "xx-YY",
}
SAID: Mapping[str, Any] = {
    "user.id": "id-marker",
    "user.email": "email-marker",
    "session.id": "session-marker",
    "client.address": "192.0.2.7",
    "user_agent.original": "agent-marker",
    "network.carrier.name": "carrier-marker",
    "network.connection.type": "wifi",
    "geo.location.lat": 12.25,
    "geo.location.lon": 34.5,
    "geo.locality.name": "city-marker",
    "mparticle.user_attributes.plan": "plan-marker",
    "mparticle.custom_flags.Google.Category": "flag-marker",
    "mparticle.consent.gdpr.analytics": "true;document:consent-marker",
    "exception.type": "type-marker",
    "exception.message": "message-marker",
    "exception.stacktrace": "stack-marker message-marker",
    "code.function.name": "function-marker",
    "cart": "cart-marker",
}


def crash(name: str | None = "checkout.exception") -> Any:
    """A crash report with all of it."""
    return log(
        name,
        SAID,
        resource=PHONE,
        body="body-marker",
        severity=18,
        severity_text="severity-marker",
        scope="logger-marker",
        trace_id=TRACE_ID,
        span_id=SPAN_ID,
    )


def sent(mapped: Mapped) -> str:
    """All that is sent for it, as text."""
    return json.dumps(batches(mapped))


@pytest.mark.parametrize(
    ("marker", "known_as"),
    [
        ("body-marker", ("log.body", "body")),
        ("logger-marker", ("log.logger", "logger", "otel.scope.name", "log.*")),
        ("severity-marker", ("log.severity_text", "severity_text")),
        ('"18"', ("log.severity_number", "severity_number")),
        (f"{TRACE_ID:032x}", ("trace_id",)),
        (f"{SPAN_ID:016x}", ("span_id",)),
        ("checkout.exception", ("event_name",)),
        ("type-marker", ("exception.type", "class_name")),
        ("message-marker", ("exception.message", "message", "exception.*")),
        ("stack-marker", ("exception.stacktrace", "stack_trace")),
        ("function-marker", ("code.function.name", "topmost_context")),
        ("192.0.2.7", ("client.address", "ip")),
        ("agent-marker", ("user_agent.original", "http_header_user_agent", "device_info")),
        ("carrier-marker", ("network.carrier.name", "network_carrier")),
        ("wifi", ("network.connection.type", "data_connection_type", "device_current_state")),
        ("12.25", ("geo.location.lat", "latitude", "location")),
        ("city-marker", ("geo.locality.name", "city_name", "geo.*")),
        ("email-marker", ("user.email", "email")),
        ("id-marker", ("user.id", "customer_id")),
        ("session-marker", ("session.id", "session_uuid")),
        ("plan-marker", ("mparticle.user_attributes.plan", "plan", "user_attributes")),
        ("flag-marker", ("mparticle.custom_flags.Google.Category", "Google.Category", "custom_flags")),
        ("consent-marker", ("mparticle.consent.gdpr.analytics", "gdpr.analytics", "consent_state")),
        ("v-marker", ("service.version", "application_version", "application_info")),
        ("maker-marker", ("device.manufacturer", "device_manufacturer")),
        ("os-marker", ("os.version", "os_version")),
        ("8c61383f", ("app.installation.id", "ios_idfv")),
        ("xx", ("browser.language", "locale_language")),
        ("cart-marker", ("cart", "c?rt")),
    ],
)
def test_what_is_denied_by_any_of_its_names_is_not_sent(marker: str, known_as: tuple[str, ...]) -> None:
    """By the attribute's name, by the one it has on the wire, or by a glob of them."""
    assert marker in sent(mapping().from_logs([crash()]))
    for name in known_as:
        mapped = mapping(deny_attributes=(name,)).from_logs([crash()])
        assert (mapped.records, mapped.ignored) == (1, {})
        assert marker not in sent(mapped), name


def test_a_traceback_goes_with_the_message_it_ends_with() -> None:
    """Denying the message denies the stack trace; what is left is still a crash report."""
    ((event_type, data),) = data_of(mapping(deny_attributes=("exception.message",)).from_logs([crash()]))
    assert (event_type, data["class_name"], data["message"]) == ("crash_report", "type-marker", "body-marker")
    assert "stack_trace" not in data


def test_an_allow_list_names_all_that_leaves_but_ids() -> None:
    """What tells whose it is, which event, when and in which session, is always sent."""
    mapped = mapping(allow_attributes=("cart",)).from_logs([crash()])
    (batch,) = batches(mapped)
    ((_, data),) = data_of(mapped)
    del data["source_message_id"], data["session_uuid"]
    assert data == {
        "message": "unknown",
        "severity": "error",
        "exception_handled": True,
        "timestamp_unixtime_ms": 1700000000123,
        "custom_attributes": {"cart": "cart-marker", "session.id": "session-marker"},
    }
    assert {key: one for key, one in batch.items() if key not in ("events", "consent_state")} == {
        "environment": "production",
        "user_identities": {"customer_id": "id-marker", "email": "email-marker"},
        "application_info": {"application_name": "shop", "application_version": "v-marker"},
    }
    assert batch["consent_state"]["gdpr"]["analytics"]["document"] == "consent-marker"


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("exception.stacktrace", "stack_trace", "stack-marker message-marker"),
        ("message", "message", "message-marker"),
        ("log.body", "message", "body-marker"),
        ("topmost_context", "topmost_context", "function-marker"),
        ("device_current_state", "device_current_state", {"data_connection_type": "wifi"}),
        ("geo.*", "location", {"latitude": 12.25, "longitude": 34.5, "city_name": "city-marker"}),
        ("custom_flags", "custom_flags", {"Google.Category": "flag-marker"}),
    ],
)
def test_an_allow_list_takes_any_of_the_names(name: str, key: str, value: object) -> None:
    """The attribute's, or the one on the wire."""
    ((_, data),) = data_of(mapping(allow_attributes=(name,)).from_logs([crash()]))
    assert data[key] == value


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("client.address", "ip", "192.0.2.7"),
        ("plan", "user_attributes", {"plan": "plan-marker"}),
        ("network_carrier", "device_info", {"network_carrier": "carrier-marker"}),
    ],
)
def test_an_allow_list_lets_the_user_be_described(name: str, key: str, value: object) -> None:
    """Address, attributes and device of the user are sent if it names them."""
    (batch,) = batches(mapping(allow_attributes=(name,)).from_logs([crash()]))
    assert batch[key] == value


def test_a_breadcrumb_without_its_label_is_none() -> None:
    """The body is all it has: where it may not leave, the record is refused alone, and counted."""
    plain = log(body="body-marker")
    for lists in ({"deny_attributes": ("log.body",)}, {"deny_attributes": ("label",)}):
        mapped = mapping(plain_logs="breadcrumb", **lists).from_logs([plain, log("x")])
        assert mapped.ignored == {"unfit:breadcrumb.label": 1}
        assert "body-marker" not in sent(mapped)
    allowed = mapping(plain_logs="breadcrumb", allow_attributes=("label",)).from_logs([plain])
    assert data_of(allowed)[0][1]["label"] == "body-marker"


def test_the_lists_reach_what_spans_add() -> None:
    """Their duration and ids, and the address of a call, which is required."""
    call = span({"user.id": "u", "http.request.method": "GET", "url.full": "https://x/"}, name="pay")
    denied_names = ("duration_ms", "trace_id", "span_id", "url")
    custom = mapping(spans={"*": "other"}, deny_attributes=denied_names).from_spans([call])
    attributes = {"http.request.method": "GET", "url.full": "https://x/"}
    assert data_of(custom)[0][1]["custom_attributes"] == attributes
    denied = mapping(network_performance=True, deny_attributes=("url",)).from_spans([call])
    assert (denied.events, denied.ignored) == ([], {"unfit:network_performance.url": 1})
