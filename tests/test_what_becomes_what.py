"""
What becomes what: each row of README's three tables, driven through the exporters.

README's tables are made of these rows; a row that is added or changed comes with what proves it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from opentelemetry.sdk.metrics import export as sdk
from opentelemetry.trace import SpanKind

from otel_vendor_exporters.mparticle import MParticleLogExporter, MParticleSpanExporter
from otel_vendor_exporters.mparticle_analytics import (
    MParticleAnalyticsLogExporter,
    MParticleAnalyticsSpanExporter,
)
from otel_vendor_exporters.mpulse import MPulseMetricExporter, MPulseSpanExporter
from otel_vendor_exporters.sandbox import MPulseApp, Sandbox
from tests.mparticle.records import USER, log, user_and
from tests.mparticle.records import span as client_span
from tests.mpulse.example import span as timing_span
from tests.mpulse.metric_points import collection, counter, gauge, histogram, level, number

APP = MPulseApp(
    timers=("Checkout", "Search", "Wait"),
    metrics={"Orders": "Number", "Queue": "Number", "Size": "Number", "Wait": "Number"},
    dimensions=("Country", "Plan"),
)


@dataclass(frozen=True)
class Row:
    """A row of a table, and what proves it."""

    opentelemetry: str
    vendor: str
    proof: Callable[[], None]


def exported(exporter: Any, *batches: Any) -> None:
    """Each batch in an export of its own, and all of it sent."""
    for batch in batches:
        exporter.export(batch)
    assert exporter.force_flush()
    exporter.shutdown()


# mPulse


def from_span(attributes: Mapping[str, Any], name: str = "Checkout", **settings: Any) -> list[Any]:
    """The beacons of one span, made by the resource of a shop in France."""
    span = timing_span(name, attributes, end_unix_ms=int(time.time() * 1000), resource={"geo": "FR"})
    with Sandbox(mpulse=APP) as sandbox:
        exported(MPulseSpanExporter(**sandbox.mpulse_settings, **settings, timeout=3), [span])
        return list(sandbox.received.beacons)


def from_metrics(*metrics: sdk.Metric, **settings: Any) -> tuple[dict[str, float], list[tuple[str, int]]]:
    """Custom metrics and custom timers that arrive for instruments, each collected by itself."""
    with Sandbox(mpulse=APP) as sandbox:
        exporter = MPulseMetricExporter(**sandbox.mpulse_settings, **settings, timeout=3)
        exported(exporter, *(collection(metric) for metric in metrics))
        received = sandbox.received
        return received.metrics, [(name, value) for name, value in received.timers]


def named(name: str, metric: sdk.Metric) -> sdk.Metric:
    return sdk.Metric(name, None, metric.unit, metric.data)


def timer_of(beacons: Sequence[Any]) -> list[str]:
    return [name for beacon in beacons for name, _ in beacon.timers]


def mpulse_timers() -> None:
    globs = {"GET *": "Search"}
    assert timer_of(from_span({"mpulse.timer": "Wait"}, "GET /", timers=globs)) == ["Wait"]
    assert timer_of(from_span({}, "GET /", timers=globs)) == ["Search"]
    assert timer_of(from_span({}, "Checkout", timers=globs)) == ["Checkout"]


def mpulse_counters() -> None:
    assert from_metrics(counter(number(2)), counter(number(3)))[0] == {"Orders": 5}
    sold = named("sold.all", counter(number(2)))
    assert from_metrics(sold, metrics={"sold.*": "Orders"})[0] == {"Orders": 2}


def mpulse_levels() -> None:
    assert last_of(level(number(2)), level(number(5))) == ("Queue", 5)
    assert last_of(gauge(number(2)), gauge(number(5))) == ("Queue", 5)


def last_of(*metrics: sdk.Metric) -> tuple[str, float]:
    """The last value of a metric that arrived."""
    with Sandbox(mpulse=APP) as sandbox:
        exporter = MPulseMetricExporter(**sandbox.mpulse_settings, timeout=3)
        exported(exporter, *(collection(metric) for metric in metrics))
        name, value = [one for beacon in sandbox.received.beacons for one in beacon.metrics][-1]
        return name, value


def mpulse_durations() -> None:
    now = time.time_ns()
    duration = histogram(3, 2, "s", start=now - 10**9, end=now)
    assert from_metrics(duration) == ({"Wait": 3}, [("Wait", 1500)])
    assert from_metrics(named("search", duration)) == ({}, [("Search", 1500)])
    assert from_metrics(named("size", duration)) == ({"Size": 3}, [])


def mpulse_histograms() -> None:
    assert from_metrics(named("size", histogram(30, 2, "By"))) == ({"Size": 30}, [])


def mpulse_page_group() -> None:
    def group(attributes: Mapping[str, Any]) -> str | None:
        (beacon,) = from_span(attributes, page_group="Shop")
        found: str | None = beacon.page_group
        return found

    assert group({"mpulse.page_group": "Cart", "http.route": "/product/{id}"}) == "Cart"
    assert group({"http.route": "/product/{id}"}) == "product id"
    assert group({}) == "Shop"


def mpulse_ab_test() -> None:
    assert from_span({"mpulse.ab_test": "B"}, ab_test="A")[0].ab_test == "B"
    assert from_span({}, ab_test="A")[0].ab_test == "A"


def mpulse_dimension() -> None:
    cases: tuple[tuple[dict[str, Any], dict[str, Any]], ...] = (
        ({"Country": "FR"}, {}),
        ({"cdim.Country": "FR"}, {}),
        ({"land": "FR"}, {"dimensions": {"land": "Country"}}),
        ({"mpulse.dimension.Country": "FR"}, {}),
        ({}, {"dimensions": {"geo": "Country"}}),  # of the resource
    )
    for attributes, settings in cases:
        (beacon,) = from_span(attributes, **settings)
        assert beacon.dimensions == (("Country", "FR"),), attributes
    point = counter(number(1, {"Country": "DE"}))
    with Sandbox(mpulse=APP) as sandbox:
        exported(MPulseMetricExporter(**sandbox.mpulse_settings, timeout=3), collection(point))
        assert sandbox.received.beacons[0].dimensions == (("Country", "DE"),)


def mpulse_session() -> None:
    began = 1_700_000_000_000
    said = {"session.id": "s-1", "mpulse.session.start_unix_ms": began, "mpulse.session.length": 3}
    session = from_span(said)[0].session
    assert (session.id, session.start_unix_ms, session.length) == ("s-1", began, 3)
    assert from_span({})[0].session is not None


def mpulse_session_limited() -> None:
    with Sandbox(mpulse=APP) as sandbox:
        exporter = MPulseSpanExporter(**sandbox.mpulse_settings, timeout=3)
        exported(exporter, [timing_span("Checkout", {"mpulse.session.limited": True})])
        assert sandbox.received.beacons == ()
        assert dict(exporter.ledger().dropped) == {"session_limited": 1}


# mParticle


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


# mParticle Analytics


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


TABLES: Mapping[str, tuple[Row, ...]] = {
    "mpulse": (
        Row(
            "span",
            (
                "one value of a custom timer: the one named by the attribute `mpulse.timer`, else by the "
                "`timers` setting, else by the span's name"
            ),
            mpulse_timers,
        ),
        Row(
            "monotonic counter",
            (
                "increments of the custom metric of the same name, or by the `metrics` setting; names of "
                "instruments match whatever their case, since the SDK writes them in lower case"
            ),
            mpulse_counters,
        ),
        Row(
            "up-down counter, gauge",
            "their last value, as a custom metric",
            mpulse_levels,
        ),
        Row(
            "histogram in a unit of time",
            (
                "the interval's mean as a custom timer, if one of that name is defined; its sum as a custom "
                "metric, likewise"
            ),
            mpulse_durations,
        ),
        Row(
            "any other histogram",
            "its sum as a custom metric",
            mpulse_histograms,
        ),
        Row(
            "attribute `mpulse.page_group`, else `http.route` (spans), else the setting",
            "page group",
            mpulse_page_group,
        ),
        Row(
            "attribute `mpulse.ab_test`, else the setting",
            "A/B test",
            mpulse_ab_test,
        ),
        Row(
            (
                "attribute named like a custom dimension (or its label, or by the `dimensions` setting, or "
                "`mpulse.dimension.<name>`), of the span, the point or the resource"
            ),
            "custom dimension",
            mpulse_dimension,
        ),
        Row(
            "attributes `session.id`, `mpulse.session.start_unix_ms`, `mpulse.session.length`",
            "session; without them, one session per process",
            mpulse_session,
        ),
        Row(
            "attribute `mpulse.session.limited`",
            (
                "true: nothing of this session is sent, as the RT cookie asks (`rl=1`); counted as dropped "
                "`session_limited`"
            ),
            mpulse_session_limited,
        ),
    ),
    "mparticle": (
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
            (
                "`user.id` or `enduser.id`, `user.email`, the `identities` setting, "
                "`mparticle.identity.<type>`"
            ),
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
            (
                "resource: `service.name`, `service.version`, `deployment.environment.name`, "
                "`device.*`, `os.*`"
            ),
            "application, environment; device, if it is one that a user holds",
            mparticle_resource,
        ),
        Row(
            "other attributes of the record",
            "custom attributes, as text",
            mparticle_attributes,
        ),
    ),
    "mparticle_analytics": (
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
    ),
}
TITLES = {"mpulse": "mPulse", "mparticle": "mParticle", "mparticle_analytics": "mParticle Analytics"}
ROWS = [pytest.param(row, id=row.proof.__name__) for rows in TABLES.values() for row in rows]


def table(vendor: str) -> str:
    """The rows of a vendor as README shows them."""
    rows = [f"| {row.opentelemetry} | {row.vendor} |" for row in TABLES[vendor]]
    return "\n".join([f"| OpenTelemetry | {TITLES[vendor]} |", "|---|---|", *rows])


@pytest.mark.parametrize("row", ROWS)
def test_a_row_is_true(row: Row) -> None:
    """What README says becomes of it arrives."""
    row.proof()
