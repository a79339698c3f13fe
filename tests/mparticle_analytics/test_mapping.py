"""From the SDK's records to events of users, and to what else Analytics is told of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor

from otel_vendor_exporters.mparticle_analytics.units import Kind
from otel_vendor_exporters.mparticle_analytics.users import Users
from otel_vendor_exporters.mparticle_analytics.wire import AnalyticsEvent
from tests.mparticle_analytics.mapped import PROCESS_USER, contents, kinds, mapped, mapping
from tests.mparticle_analytics.records import TIME_UNIX_MS, log_record, log_records, span_with


def test_A1_a_named_record_is_an_event() -> None:
    """Name, user, properties as texts, and milliseconds of the nanoseconds."""
    result = mapped(log_record(Gender="Female", Age=23))

    assert contents(result) == [
        {
            "eventName": "Registration",
            "eventUniqueId": "user47",
            "properties": {"Gender": "Female", "Age": "23"},
            "eventTime": 1700000000123,
        }
    ]
    assert (result.records, result.ignored, result.left_out) == (1, {}, {})


ATTRIBUTES: list[Mapping[str, Any]] = [
    {},
    {"Gender": "Female", "Age": 23, "total": 1.5, "new": True, "raw": b"\x00\xff", "none": None},
    {"a": {"b": 1, "c": [1, "x", True]}, "n": None, "nan": float("nan"), "list": [1, 2]},
    {"items": [{"sku": "a"}, {"sku": "b"}], "a.b": 1, "a": {"b": 2}},
    {"long": "x" * 300, "n" * 300: 1, "n" * 299: 2, "half": "\ud800", 'quo"te': "\n"},
    {f"p{number}": number for number in range(120)},
]


@pytest.mark.parametrize("attributes", ATTRIBUTES, ids=range(len(ATTRIBUTES)))
def test_records_and_events_of_the_client_are_written_alike(attributes: Mapping[str, Any]) -> None:
    """The quick way from a record is byte for byte the way of the typed event, the counts included."""
    event = AnalyticsEvent("Registration", "user47", attributes, TIME_UNIX_MS)
    records = log_record(attributes=attributes)
    once = mapping()

    for _ in range(2):  # names are remembered from the first time
        result = once.events_from_logs(records, PROCESS_USER)
        assert [unit.content for unit in result.units] == [event.unit(0).content]
        assert result.left_out == event.left_out


def test_A6_names_and_ids_that_do_not_fit_are_counted() -> None:
    """255 characters are kept, 256 are not; nothing raises, and the other records go their way."""
    records = [
        *log_record("n" * 255),
        *log_record("n" * 256),
        *log_record(attributes={"user.id": "u" * 256}),
        *log_record(attributes={"user.id": "half\ud800"}),
    ]

    result = mapped(records)

    assert result.ignored == {"bad_event_name": 1, "bad_user_id": 2}
    assert [content["eventName"] for content in contents(result)] == ["n" * 255]


@pytest.mark.parametrize("value", [42.0, b"ab", True, ["u1"]])
def test_an_id_of_another_type_is_not_the_same_as_none(value: Any) -> None:
    """It is counted apart; with another id beside it, the record is that one's."""
    records = log_record(attributes={"user.id": value})
    beside = log_record(attributes={"user.id": value, "session.id": "s"})

    assert mapped(records).ignored == {"unusable_user_id": 1}
    assert mapped(records, anonymous="send").ignored == {}
    assert [one["eventUniqueId"] for one in contents(mapped(beside))] == ["s"]


@pytest.mark.parametrize(
    ("time", "reason"), [(-1, "bad_time"), (5_000_000, "bad_time"), (1.7e18, "bad_time")]
)
def test_A9_bad_times_are_refused(time: Any, reason: str) -> None:
    """Before the epoch, readable as seconds, or no whole nanoseconds."""
    assert mapped(log_record(timestamp=time)).ignored == {reason: 1}


def test_A9_without_a_time_it_is_when_the_record_was_observed() -> None:
    """The SDK notes when it first saw the record."""
    records = log_record(timestamp=None)

    (content,) = contents(mapped(records))

    assert content["eventTime"] == records[0].log_record.observed_timestamp // 1_000_000


def test_plain_records_are_sent_only_on_demand() -> None:
    """A record without a name is ignored, or an event named log."""
    records = log_record(None, body="cache is cold", severity_text="INFO")

    assert mapped(records).ignored == {"plain_log": 1}
    (content,) = contents(mapped(records, plain_logs="send"))
    assert content["eventName"] == "log"
    assert content["properties"] == {"log.severity_text": "INFO", "log.body": "cache is cold"}


def test_what_is_logged_of_sending_is_not_sent() -> None:
    """Each delivery would leave a line for the next."""
    logs = LoggerProvider(shutdown_on_exit=False)
    memory = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]  # untyped in OpenTelemetry
    logs.add_log_record_processor(SimpleLogRecordProcessor(memory))
    for name in ("urllib3.connectionpool", "otel_vendor_exporters.mparticle_analytics", "app"):
        logs.get_logger(name).emit(body="POST / 202", attributes={"user.id": "u-1"})

    sent = mapped(memory.get_finished_logs(), plain_logs="send")

    assert (sent.records, sent.ignored) == (1, {"echo": 2})


def test_an_exceptions_record_is_an_event() -> None:
    """It is named like the span event of the same kind; the stack trace is not sent."""
    attributes = {"exception.type": "ValueError", "exception.message": "bad", "exception.stacktrace": "…"}

    (content,) = contents(mapped(log_record(None, attributes=attributes)))

    assert content["eventName"] == "exception"
    assert content["properties"] == {"exception.type": "ValueError", "exception.message": "bad"}


def test_the_old_place_of_the_name_is_read() -> None:
    """`event.name` as an attribute names the event, and is no property."""
    (content,) = contents(mapped(log_record(None, attributes={"event.name": "Order placed"})))

    assert (content["eventName"], content["properties"]) == ("Order placed", {})


@pytest.mark.parametrize(
    ("attributes", "user"),
    [
        ({"user.id": "u", "enduser.id": "e", "session.id": "s"}, "u"),
        ({"enduser.id": "e", "session.id": "s"}, "e"),
        ({"user.id": "", "session.id": "s"}, "s"),
        ({"user.id": 47}, "47"),
        ({"user.id": True, "enduser.pseudo.id": "p"}, "p"),
    ],
)
def test_the_first_id_that_is_set_counts(attributes: Mapping[str, Any], user: str) -> None:
    """user.id, enduser.id, enduser.pseudo.id, session.id; ids are no properties."""
    (content,) = contents(mapped(log_records({"event_name": "e", "attributes": attributes})))

    assert (content["eventUniqueId"], content["properties"]) == (user, {})


def test_the_order_of_ids_is_a_setting() -> None:
    """Any attribute may be the id; what is then no id is a property."""
    records = log_record(attributes={"customer": "c-1"})

    (content,) = contents(mapped(records, user_id_from="customer,session.id", allow_attributes="*"))

    assert (content["eventUniqueId"], content["properties"]) == ("c-1", {"user.id": "user47"})


def test_records_of_nobody() -> None:
    """They are ignored, or sent under one id of this process, or under the one in the settings."""
    records = log_records({"event_name": "e", "attributes": {"a": 1}})

    assert mapped(records).ignored == {"anonymous": 1}
    assert mapped(records, anonymous="send").units[0].users == (PROCESS_USER,)
    assert mapped(records, anonymous="send", anonymous_user="server").units[0].users == ("server",)


def test_events_are_renamed() -> None:
    """By globs; the first match wins, and {name} is the original."""
    names = {"shop.order": "Order placed", "shop.*": "Shop: {name}"}
    records = [*log_record("shop.order"), *log_record("shop.cart"), *log_record("other")]

    result = mapped(records, event_names=names)

    assert [one["eventName"] for one in contents(result)] == ["Order placed", "Shop: shop.cart", "other"]


def test_A10_a_users_attributes_are_told_when_they_change() -> None:
    """Identify stands in front of the event, holds what is new, and comes once."""
    one = mapping()

    def told(**attributes: object) -> list[tuple[Kind, Any]]:
        prefixed = {f"mparticle.user_attributes.{name}": value for name, value in attributes.items()}
        result = one.events_from_logs(log_record(attributes=prefixed), PROCESS_USER)
        return [(unit.kind, json.loads(unit.content)["properties"]) for unit in result.units]

    assert told(plan="pro", age=23) == [(Kind.IDENTIFY, {"plan": "pro", "age": "23"}), (Kind.EVENT, {})]
    assert told(plan="pro", age=23) == [(Kind.EVENT, {})]
    assert told(age=23) == [(Kind.EVENT, {})]
    assert told(plan="team", age=23) == [(Kind.IDENTIFY, {"plan": "team"}), (Kind.EVENT, {})]


def test_A11_a_visitor_that_becomes_known_is_merged_once() -> None:
    """After events of a session its user appears: one alias in front of the user's first event."""
    session, both = {"session.id": "anon-1"}, {"session.id": "anon-1", "user.id": "user47"}
    emitted = [{"event_name": "e", "attributes": one} for one in (session, session, both, both, session)]

    result = mapped(log_records(*emitted))

    assert kinds(result) == [
        (Kind.EVENT, ("anon-1",)),
        (Kind.EVENT, ("anon-1",)),
        (Kind.ALIAS, ("anon-1", "user47")),
        (Kind.EVENT, ("user47",)),
        (Kind.EVENT, ("user47",)),
        (Kind.EVENT, ("anon-1",)),
    ]


def test_A11_a_session_whose_user_is_known_is_merged_when_it_is_used() -> None:
    """Records that carry only the session come after those that carry both: then, and only then, an alias."""
    both, session = {"session.id": "anon-1", "user.id": "user47"}, {"session.id": "anon-1"}
    emitted = [{"event_name": "e", "attributes": one} for one in (both, both, session, session)]

    assert [kind for kind, _ in kinds(mapped(log_records(*emitted)))] == [
        *(Kind.EVENT, Kind.EVENT),
        *(Kind.ALIAS, Kind.EVENT, Kind.EVENT),
    ]


def test_A11_merging_is_a_setting() -> None:
    """always: at once, whether or not the anonymous id was used; never: never."""
    both = {"event_name": "e", "attributes": {"session.id": "anon-1", "user.id": "user47"}}

    assert [kind for kind, _ in kinds(mapped(log_records(both, both), alias="always"))] == [
        *(Kind.ALIAS, Kind.EVENT, Kind.EVENT)
    ]
    session = {"event_name": "e", "attributes": {"session.id": "anon-1"}}
    assert [kind for kind, _ in kinds(mapped(log_records(session, both), alias="never"))] == [Kind.EVENT] * 2


def test_A12_nothing_is_sent_of_a_suppressed_user() -> None:
    """Records of a user who is suppressed are ignored, and counted as such."""
    users = Users(set())
    users.suppress("user47")

    result = mapping(users).events_from_logs(log_record(), PROCESS_USER)

    assert (result.units, result.ignored) == ([], {"suppressed": 1})


class Odd:
    """A value as libraries for arrays have them: comparing it gives no truth."""

    __hash__ = None  # type: ignore[assignment]  # as they have none

    def __eq__(self, other: object) -> Any:
        return self

    def __bool__(self) -> bool:
        raise ValueError("ambiguous")


class Broken(dict[str, object]):
    """A map whose members cannot be had."""

    def items(self) -> Any:
        raise RuntimeError("gone")


def test_a_records_fault_costs_that_record_only() -> None:
    """A body without a truth value is no fault at all; one that cannot be read is that record's."""
    user = {"user.id": "u"}
    records = log_records(
        {"event_name": "a", "attributes": user},
        {"event_name": "b", "attributes": user, "body": Odd()},
        {"event_name": "c", "attributes": user, "body": Broken(a=1)},
        {"event_name": "d", "attributes": user},
    )

    result = mapped(records)

    assert [content["eventName"] for content in contents(result)] == ["a", "b", "d"]
    assert result.ignored == {"unfit:RuntimeError": 1}


def test_span_events_are_events() -> None:
    """Whose they are says the event, else its span; a span without events is none."""
    spans = [
        *span_with(("added", {"sku": "a"}), ("paid", {"user.id": "u2"}), **{"user.id": "u1"}),
        *span_with(**{"user.id": "u1"}),
    ]
    chosen = "service.name,span.name,otel.scope.name"

    result = mapping(context_properties=chosen).events_from_spans(spans, PROCESS_USER)

    shared = {"service.name": "shop", "otel.scope.name": "shop.cart", "span.name": "GET /cart"}
    assert contents(result) == [
        {
            "eventName": "added",
            "eventUniqueId": "u1",
            "properties": {"sku": "a", **shared},
            "eventTime": TIME_UNIX_MS,
        },
        {"eventName": "paid", "eventUniqueId": "u2", "properties": shared, "eventTime": TIME_UNIX_MS},
    ]
    assert (result.records, result.ignored) == (1, {"no_events": 1})


def test_span_events_tell_of_their_spans_user() -> None:
    """User attributes that the span carries are the user's, whichever event is told."""
    attributes = {"user.id": "u1", "mparticle.user_attributes.plan": "pro"}
    spans = span_with(("a", {}), ("b", {}), **attributes)

    assert kinds(mapping().events_from_spans(spans, PROCESS_USER)) == [
        (Kind.IDENTIFY, ("u1",)),
        (Kind.EVENT, ("u1",)),
        (Kind.EVENT, ("u1",)),
    ]


def test_events_of_a_span_that_cannot_be_sent_are_counted() -> None:
    """A span counts as mapped when one of its events is; the others are left out, by reason."""
    spans = [*span_with(("a", {"user.id": "u1"}), ("b", {}), ("c", {})), *span_with(("b", {}))]

    result = mapping().events_from_spans(spans, PROCESS_USER)

    assert (result.records, result.ignored, result.left_out) == (1, {"anonymous": 1}, {"anonymous": 2})


@pytest.mark.parametrize("name", [None, 3, "", b"x"])
def test_a_strange_name_hurts_nobody(name: Any) -> None:
    """The API takes anything for a span event's name."""
    spans = span_with((name, {"user.id": "u1"}), ("fine", {"user.id": "u1"}))

    result = mapping().events_from_spans(spans, PROCESS_USER)

    assert [one["eventName"] for one in contents(result)] == ["fine"]
    assert result.left_out == {"bad_event_name": 1}
