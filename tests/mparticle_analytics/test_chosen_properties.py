"""What an event tells beside its name: what is chosen, what stays here, and what is hidden."""

from __future__ import annotations

import pytest

from tests.mparticle_analytics.mapped import mapped, properties
from tests.mparticle_analytics.records import log_record, log_records


def test_what_else_an_event_tells_is_chosen() -> None:
    """Of resource, scope and record an event tells what context_properties names."""
    keywords = {
        "event_name": "e",
        "attributes": {"user.id": "u"},
        "body": {"a": [1, 2]},
        "severity_text": "WARN",
    }
    records = log_records(keywords, resource={"service.name": "shop", "deployment.environment.name": "test"})
    chosen = "host.name,otel.scope.name,otel.scope.version,service.name,service.name"

    assert properties(records) == {
        "service.name": "shop",
        "deployment.environment.name": "test",
        "log.severity_text": "WARN",
        "log.body.a": "1,2",
    }
    assert properties(records, context_properties=chosen) == {
        "service.name": "shop",
        "otel.scope.name": "shop.cart",
        "otel.scope.version": "1.2",
    }


def test_an_attribute_wins_over_the_surroundings() -> None:
    """A name is never there twice, on the quick way and on the long one."""
    attributes = {"user.id": "u", "service.name": "mine"}
    for more in ({}, {"map": {"a": 1}}):
        keywords = {"event_name": "e", "attributes": {**attributes, **more}}
        (record,) = log_records(keywords, resource={"service.name": "shop"})
        text = mapped([record]).units[0].content.decode()
        assert text.count('"service.name"') == 1
        assert '"service.name":"mine"' in text


def test_the_message_is_not_repeated() -> None:
    """A body that says what the name says is left out; ids of the trace come on demand."""
    (record,) = log_record("Order placed", body="Order placed")

    assert properties([record]) == {}
    assert properties([record], context_properties="trace_id,span_id") == {}  # there is no span


def test_personal_data_stays_here_unless_allowed() -> None:
    """Deny wins over allow; both are globs and hold inside maps. What speaks to exporters never leaves."""
    attributes = {
        "user.email": "a@example.com",
        "client.address": "192.0.2.1",
        "code.line.number": 3,
        "plan": "pro",
        "address": {"city": "Ulm", "street": "Am See"},
        "mpulse.page_group": "Cart",
        "mparticle.mpid": 1,
    }
    records = log_record(attributes=attributes)
    address = {"address.city": "Ulm", "address.street": "Am See"}

    assert properties(records) == {"plan": "pro", **address}
    assert properties(records, deny_attributes="*.street,plan") == {"address.city": "Ulm"}
    assert properties(records, allow_attributes="*") == {
        "user.email": "a@example.com",
        "client.address": "192.0.2.1",
        "code.line.number": "3",
        "plan": "pro",
        **address,
    }
    assert properties(records, allow_attributes="address.c*,pl*") == {"plan": "pro", "address.city": "Ulm"}
    assert properties(records, allow_attributes="address", deny_attributes="address.city") == {
        "address.street": "Am See"
    }


ADDRESS = "https://me:pw@shop.example/cart?token=x#y"


@pytest.mark.parametrize(
    ("allowed", "left"),
    [(None, "https://shop.example/cart"), ("*", "https://shop.example/cart?token=x#y")],
)
def test_urls_leave_without_what_they_hide(allowed: str | None, left: str) -> None:
    """User and password never, query and fragment only if url.query is allowed: wherever the URL is."""
    record = log_record(
        body={"http": {"url": ADDRESS}},
        attributes={
            "url.full": ADDRESS,
            "req": {"url": ADDRESS},
            "url.path": "/cart?token=x#y",
            "note": "a?b",
        },
    )
    told = properties(record, context_properties="log.body", allow_attributes=allowed)

    assert told == {
        "url.full": left,
        "req.url": left,
        "url.path": left.removeprefix("https://shop.example"),
        "note": "a?b",
        "log.body.http.url": left,
    }


MAPS = {"user.email": "b@e", "client": {"address": "1.2.3.4"}, "code": {"line": 1}, "sku": "A7"}


def test_personal_data_stays_here_in_whatever_map_it_is() -> None:
    """In attributes, in lists and in the body; what is only like technical names goes along."""
    record = log_record(body=MAPS, req=MAPS, items=[MAPS], http={"request": {"header": {"a": "Bearer"}}})

    told = {"code.line": "1", "sku": "A7"}
    assert properties(record, context_properties="log.body") == {
        f"{where}.{name}": text for where in ("req", "items.0", "log.body") for name, text in told.items()
    }


@pytest.mark.parametrize(
    ("denied", "left"),
    [
        ("log.body", {"req.sku", "service.name"}),
        ("log.body.*,req.s*", {"service.name"}),
        ("req,service.name", {"log.body.sku"}),
        ("*sku", {"service.name"}),
    ],
)
def test_what_is_denied_is_not_sent_from_anywhere(denied: str, left: set[str]) -> None:
    """Context properties and what is in maps: by its whole name, or by a map it is in."""
    emitted = {"event_name": "a", "body": {"sku": "A7"}, "attributes": {"user.id": "u", "req": {"sku": "A7"}}}
    record = log_records(emitted, resource={"service.name": "shop"})

    assert properties(record, deny_attributes=denied).keys() == left


def test_the_body_may_be_denied() -> None:
    """A message can hold anything, so its name counts in the list too."""
    assert properties(log_record(body="user bob@example.com"), deny_attributes="log.body") == {}
