"""From records to events: times, ids, spans, and what becomes of records that are no events."""

from __future__ import annotations

import gc
import threading
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import SpanKind

from otel_vendor_exporters.mparticle import Batch
from otel_vendor_exporters.mparticle import events as model
from otel_vendor_exporters.mparticle.values import WireValue, form_of
from tests.mparticle.records import (
    MESSAGE_ID,
    MS,
    NANOSECONDS,
    SHOP,
    USER,
    batches,
    data_of,
    log,
    mapping,
    span,
    user_and,
)

SESSION = "91b86d0c-86cb-4124-a8b2-edee107de454"
TRACE = {"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7"}


# Time and ids


def test_time_is_the_records_else_when_it_was_seen_else_now() -> None:
    """Whole milliseconds, rounded down."""
    records = [
        log("x", observed_timestamp=5_000_000),
        log("x", timestamp=None, observed_timestamp=7_999_999),
        log("x", timestamp=None, observed_timestamp=None),
        log("x", timestamp=1.7e18),  # type: ignore[arg-type]  # which the SDK takes
    ]
    records[2].log_record.observed_timestamp = None  # type: ignore[assignment]  # the SDK's own is never None
    times = [data["timestamp_unixtime_ms"] for _, data in data_of(mapping().from_logs(records))]
    assert times == [MS, 7, MS, 1_700_000_000_000]


@pytest.mark.parametrize("timestamp", [-1, 2**70, float("nan"), "today"])
def test_a_time_that_is_none_is_refused_alone(timestamp: Any) -> None:
    """With its field."""
    mapped = mapping().from_logs([log("x", timestamp=timestamp), log("y")])
    assert (mapped.records, mapped.ignored) == (1, {"unfit:timestamp": 1})


def test_a_records_own_id_is_its_messages() -> None:
    """If it is a UUID; ids of the others differ from each other."""
    records = [
        log("x", user_and(log__record__uid=SESSION)),
        log("x", user_and(log__record__uid="7")),
        log("x"),
    ]
    ids = [data["source_message_id"] for _, data in data_of(mapping().from_logs(records))]
    assert ids[0] == SESSION
    assert ids[1] == MESSAGE_ID
    assert len(set(ids)) == 3


# Spans


def test_spans_are_no_events_unless_asked_for() -> None:
    """Neither calls nor others; they are counted."""
    call = span(user_and(http__request__method="GET", url__full="https://x/"))
    mapped = mapping().from_spans([call, span(kind=SpanKind.SERVER)])
    assert (mapped.events, mapped.ignored) == ([], {"not_an_event": 2})


def test_only_calls_the_application_makes_are_network_performance() -> None:
    """CLIENT and HTTP; a server's request is none, nor is a database's."""
    http = user_and(http__request__method="GET", url__full="https://x/")
    spans = [span(http), span(http, kind=SpanKind.SERVER), span(USER)]
    mapped = mapping(network_performance=True).from_spans(spans)
    assert [kind for kind, _ in data_of(mapped)] == ["network_performance"]
    assert (mapped.records, mapped.ignored) == (1, {"not_an_event": 2})


def test_old_names_of_http_calls_are_known() -> None:
    """Instrumentations of before 2024 write them."""
    old = {
        "http.method": "PUT",
        "http.url": "https://ann:pw@x/?secret=1",
        "http.status_code": 500,
        "http.response_content_length": 2**40,
        "http.request_content_length": "many",
        "error.type": "500",
    }
    mapped = mapping(network_performance=True, url_query="drop").from_spans(
        [span({**USER, **old}, end=NANOSECONDS + 10**18)]
    )
    ((_, data),) = data_of(mapped)
    assert data == {
        "http_verb": "PUT",
        "url": "https://x/",
        "response_code": 500,
        "time_elapsed": 2**31 - 1,
        "bytes_in": 2**31 - 1,
        "timestamp_unixtime_ms": MS,
        "source_message_id": "de73b1ab-e51f-5b77-a53d-f7a4b5b7115c",
        "custom_attributes": {"error.type": "500", **TRACE},
    }


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({}, "https://x/a?q=1"),  # as the contract's C07 has it
        ({"url_query": "drop"}, "https://x/a"),
        ({"url_query": "drop", "allow_attributes": ("url.*",)}, "https://x/a?q=1"),
        ({"deny_attributes": ("url.query",)}, "https://x/a"),
    ],
)
def test_a_call_never_tells_the_password_and_its_query_by_settings(
    settings: dict[str, Any], url: str
) -> None:
    """`url_query` is for the address of network performance; other URLs of the span go without query."""
    said = user_and(http__request__method="GET", url__full="https://ann:pw@x/a?q=1", http__target="/a?q=1")
    ((_, data),) = data_of(mapping(network_performance=True, **settings).from_spans([span(said)]))
    assert data["url"] == url
    assert data.get("custom_attributes", {}).get("http.target") in (None, "/a")


def test_a_call_without_an_address_is_refused_alone() -> None:
    """The URL is required."""
    mapped = mapping(network_performance=True).from_spans([span(user_and(http__request__method="GET"))])
    assert mapped.ignored == {"unfit:network_performance.url": 1}


def test_spans_can_be_custom_events() -> None:
    """By name, with their duration."""
    mapped = mapping(spans={"checkout*": "transaction"}).from_spans([span(name="checkout 1"), span()])
    ((event_type, data),) = data_of(mapped)
    assert (event_type, data["event_name"], data["custom_event_type"]) == (
        "custom_event",
        "checkout 1",
        "transaction",
    )
    assert data["custom_attributes"] == {"duration_ms": "1", **TRACE}
    assert mapped.ignored == {"not_an_event": 1}


def test_a_span_without_a_name_is_no_custom_event() -> None:
    """mParticle refuses the batch of an event without one."""
    mapped = mapping(spans={"*": "other"}).from_spans([span(name=""), span(name=" "), span(name="x")])
    assert [data["event_name"] for _, data in data_of(mapped)] == ["x"]
    assert mapped.ignored == {"not_an_event": 2}


def test_span_events_are_events_of_the_spans_user() -> None:
    """Session and user are the span's, unless the event says its own; its attributes are its own."""
    with_events = span(
        user_and(session__id=SESSION, route="/cart"),
        events=(
            ("order.placed", {"total": 5}),
            ("exception", {"exception.type": "E", "exception.message": "m", "exception.escaped": "True"}),
            ("greeted", {"user.id": "other"}),
        ),
    )
    mapped = mapping().from_spans([with_events, with_events])
    kinds = [kind for kind, _ in data_of(mapped)]
    assert kinds == ["custom_event", "crash_report", "custom_event"] * 2
    order, crash, _ = (data for _, data in data_of(mapped)[:3])
    assert (order["session_uuid"], order["custom_attributes"]) == (SESSION, {"total": "5", **TRACE})
    assert crash["exception_handled"] is False
    assert [event.owner.subject for event in mapped.events[:3]] == ["u-1", "u-1", "other"]
    assert mapped.records == 2
    ids = [data["source_message_id"] for _, data in data_of(mapped)]
    assert ids[:3] == ids[3:]  # exported twice, the same messages
    assert len(set(ids)) == 3


def test_span_events_can_be_exceptions_alone_or_none() -> None:
    """By a setting."""
    with_events = span(events=(("order.placed", {}), ("exception", {"exception.type": "E"})))
    only = mapping(span_events="exceptions").from_spans([with_events])
    assert [kind for kind, _ in data_of(only)] == ["crash_report"]
    assert mapping(span_events="none").from_spans([with_events]).ignored == {"not_an_event": 1}


# Everything that may happen


class Unwritable:
    """What no one can write down."""

    def __str__(self) -> str:
        raise RuntimeError("no")


def test_no_record_takes_another_with_it() -> None:
    """Whatever is in a record; what was wrong is counted."""
    endless: list[Any] = []
    endless.append(endless)
    strange = [
        log("x", body=Unwritable()),
        log("x", body=endless),
        log("mparticle.commerce_event", body={1: 2}),
        log(5),  # type: ignore[arg-type]
        log("x", trace_id="no number"),
    ]
    mapped = mapping().from_logs([*strange, log("fine")])
    assert [data["event_name"] for _, data in data_of(mapped)] == ["fine"]
    assert mapped.ignored.total() == len(strange)
    assert set(mapped.ignored) == {
        "unreadable:RuntimeError",
        "unreadable:AttributeError",
        "unfit:commerce_event",
        "unfit:event_name",
        "unfit:attribute",
    }


KINDS = {
    "custom_event": model.CustomEvent,
    "screen_view": model.ScreenView,
    "session_start": model.SessionStart,
    "session_end": model.SessionEnd,
    "crash_report": model.CrashReport,
    "breadcrumb": model.Breadcrumb,
    "network_performance": model.NetworkPerformance,
    "application_state_transition": model.ApplicationStateTransition,
    "commerce_event": model.CommerceEvent,
}


def test_what_is_composed_is_what_the_model_would_make() -> None:
    """Events are put together without the model's checks; the model finds nothing to change."""
    details = {
        "session.id": "s",
        "geo.location.lat": 1.5,
        "geo.location.lon": 2,
        "network.connection.type": "cell",
        "mparticle.custom_flags.f": 1,
        "text": "x" * 5000,
        "n" * 300: b"\x00",
        "list": (1, None),
        "exception.escaped": True,
        "code.function.name": "f",
        "app.screen.name": "s" * 300,
    }
    names = ["e" * 300, "page_view", "session.start", "session.end", "exception", None, "app.crash"]
    purchase = log("mparticle.commerce_event", body={"product_action": {"action": "purchase"}})
    lifecycle = log("device.app.lifecycle", user_and(ios__app__state="active"))
    logs = [log(name, {**USER, **details}, body=5, severity=9, scope="s") for name in names]
    http = {"http.request.method": "GET", "url.full": 5, "http.response.status_code": "200"}
    spans = [span({**USER, **details, **http}, name="n" * 300, events=(("x", details),))]
    settings: dict[str, Any] = {"plain_logs": "breadcrumb", "network_performance": True}

    made = data_of(mapping(**settings).from_logs([*logs, purchase, lifecycle]))
    made += data_of(mapping(**settings).from_spans(spans))

    assert {event_type for event_type, _ in made} == set(KINDS)
    for event_type, data in made:
        kind: type[WireValue] = KINDS[event_type]
        assert form_of(kind, data) == data


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
known_names = st.sampled_from(
    [
        *(
            "user.id",
            "user.email",
            "session.id",
            "session.previous_id",
            "geo.location.lat",
            "geo.location.lon",
        ),
        *("mparticle.mpid", "mparticle.custom_event_type", "mparticle.consent.gdpr.a", "client.address"),
        *("mparticle.user_attributes.a", "mparticle.identity.google", "mparticle.custom_flags.f"),
        *("exception.type", "exception.message", "exception.escaped", "app.screen.name", "ios.app.state"),
        *("http.request.method", "url.full", "http.response.status_code", "http.request.body.size"),
        *("network.connection.type", "network.carrier.mcc", "log.record.uid", "user_agent.original"),
    ]
)
event_names = st.sampled_from(
    [None, "x", "session.start", "session.end", "exception", "page_view", "device.app.lifecycle"]
) | st.text(max_size=300)


@given(
    st.lists(
        st.tuples(
            event_names, st.dictionaries(known_names | st.text(min_size=1), anything, max_size=8), anything
        ),
        max_size=4,
    )
)
def test_whatever_comes_is_sent_right_or_counted(given_records: list[Any]) -> None:
    """Nothing raises, nothing is lost, and the model finds nothing wrong in what is sent."""
    settings: dict[str, Any] = {"plain_logs": "breadcrumb", "network_performance": True}
    many = mapping(**settings, anonymous="send")
    logs = [log(name, attributes, body=body) for name, attributes, body in given_records]
    spans = [span(attributes, events=((str(name), attributes),)) for name, attributes, _ in given_records]

    for mapped in (many.from_logs(logs), many.from_spans(spans)):
        assert mapped.records + mapped.ignored.total() == len(given_records)
        for event_type, data in data_of(mapped):
            assert form_of(KINDS[event_type], data) == data
        for batch in batches(mapped):
            del batch["events"]
            assert form_of(Batch, batch) == batch


def test_memory_is_bounded_whatever_records_say() -> None:
    """Ever new users, names and sessions, each a hundred kilobytes long, leave nothing behind."""
    many, resource = mapping(), Resource(SHOP)

    def export(number: int) -> None:
        said = {
            "user.id": f"u{number}" + "u" * 100_000,
            "session.id": f"s{number}" + "s" * 100_000,
            "client.address": f"h{number}" + "h" * 100_000,
            f"a{number}" + "a" * 100_000: 1,
        }
        (event,) = many.from_logs([log(f"e{number}" + "e" * 100_000, said, resource=resource)]).events
        assert event.owner.subject == said["user.id"]

    export(-1)
    tracemalloc.start()
    for number in range(200):
        export(number)
    gc.collect()
    left_behind, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert left_behind < 1_000_000  # 200 exports said 100 MB


def test_threads_may_share_a_mapping() -> None:
    """Every record of every thread is mapped, and to its own user."""
    many, resource = mapping(), Resource(SHOP)
    found: list[list[str | None]] = []

    def work(number: int) -> None:
        records = [log("x", {"user.id": f"{number}-{n}"}, resource=resource) for n in range(500)]
        found.append([event.owner.subject for event in many.from_logs(records).events])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one for subjects in found for one in subjects if one) == sorted(
        f"{number}-{n}" for number in range(4) for n in range(500)
    )
