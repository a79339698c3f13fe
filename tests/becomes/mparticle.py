"""What becomes what in mParticle: the rows of its table in README, and what proves each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.trace import SpanKind

from otel_vendor_exporters.mparticle import MParticleLogExporter, MParticleSpanExporter
from otel_vendor_exporters.sandbox import Sandbox
from tests.becomes.row import Row, exported
from tests.mparticle.records import USER, log, user_and
from tests.mparticle.records import span as client_span


def to_mparticle(*records: Any, traced: Sequence[Any] = (), **settings: Any) -> list[Any]:
    """The batches that arrive for log records, or spans."""
    with Sandbox() as sandbox:
        kind = MParticleSpanExporter if traced else MParticleLogExporter
        exported(kind(**sandbox.mparticle_settings, **settings, timeout=3), traced or records)
        return list(sandbox.received.mparticle.batches)


def types(batches: Sequence[Any]) -> list[str]:
    return [event.type for batch in batches for event in batch.events]


def data_of(batches: Sequence[Any]) -> Mapping[str, Any]:
    """Of the only event."""
    ((event,),) = (batch.events for batch in batches)
    found: Mapping[str, Any] = event.data
    return found


def mparticle_custom_event() -> None:
    def custom_type(said: Mapping[str, Any], **settings: Any) -> Any:
        return data_of(to_mparticle(log("x", {**USER, **said}), **settings))["custom_event_type"]

    of_attribute = {"mparticle.custom_event_type": "media"}
    assert custom_type(of_attribute, event_types={"x": "search"}) == "media"
    assert custom_type({}, event_types={"x": "search"}) == "search"
    assert custom_type({}) == "other"
    assert custom_type({"mparticle.custom_event_type": "nobody's"}) == "other"
    of_span = to_mparticle(traced=[client_span(events=(("x", {}),))])
    assert types(of_span) == ["custom_event"]


def mparticle_session_events() -> None:
    session = user_and(session__id="s-1")
    start, end = (log(f"session.{word}", session) for word in ("start", "end"))
    batches = to_mparticle(start, end, end)
    assert types(batches) == ["session_start", "session_end"]
    ids = {event.data["session_uuid"] for batch in batches for event in batch.events}
    assert len(ids) == 1
    assert len(ids.pop()) == 36
    login = log("session.start", {"user.id": "u-2", "session.id": "s-2", "session.previous_id": "s-1"})
    sent = [(batch.content["user_identities"], types([batch])) for batch in to_mparticle(start, login)]
    ann = {"customer_id": "u-1", "email": "a@example.com"}
    assert sent == [(ann, ["session_start", "session_end"]), ({"customer_id": "u-2"}, ["session_start"])]


def mparticle_screen() -> None:
    for name in ("page_view", "browser.page_view", "screen_view", "app.screen.view"):
        assert types(to_mparticle(log(name))) == ["screen_view"]
    assert types(to_mparticle(log("seen"), screens=["seen"])) == ["screen_view"]


def mparticle_commerce() -> None:
    product = {"product_action": {"action": "purchase", "products": [{"id": "sku", "name": "x", "price": 1}]}}
    promotion = {"promotion_action": {"action": "click", "promotions": [{"id": "p"}]}}
    impressions = {"product_impressions": [{"product_impression_list": "l", "products": [{"id": "s"}]}]}
    for body in (product, promotion, impressions):
        assert types(to_mparticle(log("mparticle.commerce_event", body=body))) == ["commerce_event"], body


def mparticle_lifecycle() -> None:
    record = log("device.app.lifecycle", user_and(ios__app__state="active"))
    assert types(to_mparticle(record)) == ["application_state_transition"]


def mparticle_crash() -> None:
    for name, said in (
        ("exception", {}),
        ("payment.exception", {}),
        ("app.crash", {}),
        (None, {"exception.type": "ValueError"}),
    ):
        assert types(to_mparticle(log(name, {**USER, **said}))) == ["crash_report"], name
    assert types(to_mparticle(log("x", user_and(exception__type="")))) == ["custom_event"]


def mparticle_plain_log() -> None:
    assert to_mparticle(log(None, body="hello")) == []
    assert types(to_mparticle(log(None, body="hello"), plain_logs="breadcrumb")) == ["breadcrumb"]


def mparticle_echo() -> None:
    for logger in ("urllib3.connectionpool", "requests", "otel_vendor_exporters.mparticle"):
        for said in (USER, user_and(exception__type="OSError")):
            assert to_mparticle(log(None, said, body="x", scope=logger), plain_logs="breadcrumb") == []


def mparticle_http_call() -> None:
    call = client_span(user_and(http__request__method="GET", url__full="https://x.example/"))
    assert to_mparticle(traced=[call]) == []
    assert types(to_mparticle(traced=[call], network_performance=True)) == ["network_performance"]


def mparticle_other_span() -> None:
    span = client_span(name="work", kind=SpanKind.INTERNAL)
    assert to_mparticle(traced=[span]) == []
    assert types(to_mparticle(traced=[span], spans={"work": "other"})) == ["custom_event"]


def mparticle_identities() -> None:
    def identities(said: Mapping[str, Any], **settings: Any) -> Mapping[str, str]:
        (batch,) = to_mparticle(log("x", said), **settings)
        found: Mapping[str, str] = batch.identities
        return found

    assert identities({"user.id": "u"}) == {"customer_id": "u"}
    assert identities({"enduser.id": "u"}) == {"customer_id": "u"}
    assert identities({"user.email": "a@b.example"}) == {"email": "a@b.example"}
    assert identities({"member": "m"}, identities={"member": "other"}) == {"other": "m"}
    assert identities({"mparticle.identity.google": "g"}) == {"google": "g"}
    assert to_mparticle(log("x", {})) == []
    assert types(to_mparticle(log("x", {}), anonymous="customer_id=batch")) == ["custom_event"]


def mparticle_person() -> None:
    said = {
        **USER,
        "mparticle.user_attributes.plan": "pro",
        "mparticle.consent.gdpr.ads": True,
        "mparticle.mpid": 7,
        "client.address": "203.0.113.7",
        "user_agent.original": "Firefox",
        "geo.location.lat": 48.5,
        "geo.location.lon": 2.5,
    }
    (batch,) = to_mparticle(log("x", said))
    content = batch.content
    assert content["user_attributes"] == {"plan": "pro"}
    assert content["consent_state"]["gdpr"]["ads"]["consented"] is True
    assert (content["mpid"], content["ip"]) == (7, "203.0.113.7")
    assert content["device_info"]["http_header_user_agent"] == "Firefox"
    assert data_of([batch])["location"] == {"latitude": 48.5, "longitude": 2.5}


def mparticle_flags() -> None:
    flags = data_of(to_mparticle(log("x", {**USER, "mparticle.custom_flags.Google.Page": "cart"})))
    assert flags["custom_flags"] == {"Google.Page": "cart"}


def mparticle_resource() -> None:
    resource = {
        "service.name": "shop",
        "service.version": "1.4.2",
        "deployment.environment.name": "development",
        "device.manufacturer": "Acme",
        "os.name": "Android",
        "os.version": "12",
    }
    (batch,) = to_mparticle(log("x", resource=resource))
    assert batch.environment == "development"
    application, device = batch.content["application_info"], batch.content["device_info"]
    assert (application["application_name"], application["application_version"]) == ("shop", "1.4.2")
    assert (device["device_manufacturer"], device["os_version"]) == ("Acme", "12")
    (batch,) = to_mparticle(log("x", resource={**resource, "os.name": "linux"}))
    assert "device_info" not in batch.content


def mparticle_attributes() -> None:
    custom = data_of(to_mparticle(log("x", user_and(items=3, gift=True))))["custom_attributes"]
    assert {name: custom[name] for name in ("items", "gift")} == {"items": "3", "gift": "true"}


ROWS = (
    Row(
        "log record or span event with an event name",
        (
            "custom event; its type from the attribute `mparticle.custom_event_type`, "
            "else the `event_types` setting, else `other`; "
            "a word that mParticle does not know there is left out and counted"
        ),
        mparticle_custom_event,
    ),
    Row(
        "… `session.start`, `session.end`",
        (
            "session start and end, one end for each start; `session.id` becomes the session's UUID. "
            "A start with `session.previous_id` ends that session for the user it began for, as far as "
            "this process saw it begin"
        ),
        mparticle_session_events,
    ),
    Row(
        (
            "… `page_view`, `browser.page_view`, `screen_view`, `app.screen.view`, or what the `screens` "
            "setting names"
        ),
        "screen view",
        mparticle_screen,
    ),
    Row(
        "… `mparticle.commerce_event`, its body in mParticle's shape",
        "commerce event: product action, promotion or impressions",
        mparticle_commerce,
    ),
    Row(
        "… `device.app.lifecycle`",
        "application state transition",
        mparticle_lifecycle,
    ),
    Row(
        (
            "… `exception`, `*.exception`, `app.crash`, or any record with exception attributes "
            "that are not empty (`log.exception(...)`)"
        ),
        "crash report",
        mparticle_crash,
    ),
    Row(
        "log record without event name and exception",
        "nothing; a breadcrumb with `plain_logs=breadcrumb`",
        mparticle_plain_log,
    ),
    Row(
        "… from the loggers `urllib3`, `requests`, `otel_vendor_exporters` and those below them",
        (
            "never anything, also with an exception: `echo` in the ledger. Each delivery would leave a "
            "line for the next"
        ),
        mparticle_echo,
    ),
    Row(
        "CLIENT span of an HTTP call",
        "nothing; network performance with `network_performance=true`",
        mparticle_http_call,
    ),
    Row(
        "other spans",
        "nothing; custom events where the `spans` setting names them",
        mparticle_other_span,
    ),
    Row(
        ("`user.id` or `enduser.id`, `user.email`, the `identities` setting, `mparticle.identity.<type>`"),
        "user identities; records without any follow `anonymous`",
        mparticle_identities,
    ),
    Row(
        (
            "`mparticle.user_attributes.<name>`, `mparticle.consent.<law>.<purpose>`, `mparticle.mpid`, "
            "`client.address`, `user_agent.original`, `geo.*`"
        ),
        "user attributes, consent, MPID, IP, device, location",
        mparticle_person,
    ),
    Row(
        "`mparticle.custom_flags.<name>`",
        "custom flags",
        mparticle_flags,
    ),
    Row(
        ("resource: `service.name`, `service.version`, `deployment.environment.name`, `device.*`, `os.*`"),
        "application, environment; device, if it is one that a user holds",
        mparticle_resource,
    ),
    Row(
        "other attributes of the record",
        "custom attributes, as text",
        mparticle_attributes,
    ),
)
