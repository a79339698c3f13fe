"""What becomes what in mParticle Analytics: the rows of its table in README, and what proves each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from otel_vendor_exporters.mparticle_analytics import (
    MParticleAnalyticsLogExporter,
    MParticleAnalyticsSpanExporter,
)
from otel_vendor_exporters.sandbox import Sandbox
from tests.becomes.row import Row, exported
from tests.mparticle.records import USER, log, user_and
from tests.mparticle.records import span as client_span


def to_analytics(*records: Any, traced: Sequence[Any] = (), **settings: Any) -> Any:
    """What arrives for log records, or spans."""
    with Sandbox() as sandbox:
        kind = MParticleAnalyticsSpanExporter if traced else MParticleAnalyticsLogExporter
        exported(kind(**sandbox.mparticle_analytics_settings, **settings, timeout=3), traced or records)
        return sandbox.received.mparticle_analytics


def names(received: Any) -> list[str]:
    return [event.name for event in received.events]


def mparticle_analytics_event_names() -> None:
    assert names(to_analytics(log("shop.paid"))) == ["shop.paid"]
    assert names(to_analytics(log("shop.paid"), event_names={"shop.*": "Paid"})) == ["Paid"]


def mparticle_analytics_exceptions() -> None:
    assert names(to_analytics(log(None, user_and(exception__type="ValueError")))) == ["exception"]
    assert names(to_analytics(traced=[client_span(events=(("seen", {}), ("exception", {})))])) == [
        "seen",
        "exception",
    ]


def mparticle_analytics_plain_record() -> None:
    assert names(to_analytics(log(None, body="hello"))) == []
    assert names(to_analytics(log(None, body="hello"), plain_logs="send")) == ["log"]
    assert names(to_analytics(log(None, body="hello", scope="urllib3"), plain_logs="send")) == []


def mparticle_analytics_owner() -> None:
    ids = {
        "user.id": "1",
        "enduser.id": "2",
        "mparticle.identity.customer_id": "3",
        "enduser.pseudo.id": "4",
        "session.id": "5",
    }
    for place in range(len(ids)):
        said = dict(list(ids.items())[place:])
        (event,) = to_analytics(log("x", said), alias="never").events
        assert event.user_id == str(place + 1)
    (of_span,) = to_analytics(traced=[client_span({"user.id": "u"}, events=(("x", {}),))]).events
    assert of_span.user_id == "u"
    assert names(to_analytics(log("x", {}))) == []
    assert names(to_analytics(log("x", {}), anonymous="send")) == ["x"]


def mparticle_analytics_user_property() -> None:
    free, pro = ({**USER, "mparticle.user_attributes.plan": plan} for plan in ("free", "pro"))
    received = to_analytics(log("x", free), log("x", free), log("x", pro))
    assert [dict(call.properties) for call in received.calls if call.kind == "identify"] == [
        {"plan": "free"},
        {"plan": "pro"},
    ]


def mparticle_analytics_alias() -> None:
    visitor, user = log("x", {"session.id": "s"}), log("x", {"user.id": "u", "session.id": "s"})
    received = to_analytics(visitor, user, user)
    assert [call.kind for call in received.calls].count("alias") == 1
    assert received.user("u") is not None
    assert set(received.user("u").ids) == {"s", "u"}


def mparticle_analytics_properties() -> None:
    said = {**USER, "long": "x" * 300, "cart": {"sku": "a"}, "tags": ["a", "b"], "count": 3}
    (event,) = to_analytics(log("x", said)).events
    found = event.properties
    assert {name: found[name] for name in ("long", "cart.sku", "count")} == {
        "long": "x" * 255,
        "cart.sku": "a",
        "count": "3",
    }
    assert found["tags"].replace(" ", "") == "a,b"


ROWS = (
    Row(
        "log record with an event name",
        "an event of that name, or as `event_names` renames it",
        mparticle_analytics_event_names,
    ),
    Row(
        "log record with exception attributes; event of a span",
        "an event, named `exception` or like the span event",
        mparticle_analytics_exceptions,
    ),
    Row(
        "any other log record",
        (
            "nothing; with `plain_logs=send` an event named `log`, but for those of the loggers that log "
            "each delivery, as to mParticle: `echo`"
        ),
        mparticle_analytics_plain_record,
    ),
    Row(
        (
            "`user.id`, else `enduser.id`, `mparticle.identity.customer_id`, `enduser.pseudo.id`, "
            "`session.id` (of the record, else of the span)"
        ),
        "whose event it is; without any of them see `anonymous`",
        mparticle_analytics_owner,
    ),
    Row(
        "attribute `mparticle.user_attributes.<name>`",
        "a property of the user, told by an identify call when it changes",
        mparticle_analytics_user_property,
    ),
    Row(
        "a session that turns out to be a user's",
        "one alias call, after which both are one user",
        mparticle_analytics_alias,
    ),
    Row(
        "any other attribute",
        "a property: a text, cut at 255 characters; maps as `a.b`, lists joined",
        mparticle_analytics_properties,
    ),
)
