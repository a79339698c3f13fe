"""Which event a record is, and how its own fields are made: the contract's section 8, row by row."""

from __future__ import annotations

from typing import Any

import pytest

from tests.mparticle.records import (
    MESSAGE_ID,
    MS,
    NANOSECONDS,
    USER,
    batches,
    data_of,
    log,
    mapping,
    user_and,
)

SESSION = "91b86d0c-86cb-4124-a8b2-edee107de454"
OTHER_SESSION = "a2b901a0-266f-4efc-8e9b-3820d35dc792"


def one(record: Any, **settings: Any) -> tuple[str, dict[str, Any]]:
    """Type and data of the one event of a log record, without its id and time."""
    ((event_type, data),) = data_of(mapping(**settings).from_logs([record]))
    assert (data.pop("source_message_id"), data.pop("timestamp_unixtime_ms")) == (MESSAGE_ID, MS)
    return event_type, data


# Custom events and screens


def test_a_custom_event_has_the_type_of_its_attribute_setting_or_name() -> None:
    """The attribute goes before the setting, the setting before what the name says."""
    types = {"checkout.*": "transaction", "app.screen.click": "social", "*": "search"}
    said = {**USER, "mparticle.custom_event_type": "media"}
    assert one(log("checkout.done", said), event_types=types)[1]["custom_event_type"] == "media"
    assert one(log("checkout.done"), event_types=types)[1]["custom_event_type"] == "transaction"
    assert one(log("app.screen.click"), event_types=types)[1]["custom_event_type"] == "social"
    assert one(log("anything"), event_types=types)[1]["custom_event_type"] == "search"
    assert one(log("app.widget.click"))[1]["custom_event_type"] == "navigation"
    assert one(log("anything"))[1]["custom_event_type"] == "other"


@pytest.mark.parametrize("unknown", ["Transaction", "attribution"])
def test_an_unknown_type_is_left_out_and_counted(unknown: str) -> None:
    """The event goes as another: mParticle would refuse the whole batch for that word."""
    mapped = mapping().from_logs([log("x", {**USER, "mparticle.custom_event_type": unknown})])
    assert mapped.left_out == {"mparticle.custom_event_type": 1}
    assert data_of(mapped)[0][1]["custom_event_type"] == "other"


def test_a_body_is_an_attribute_and_never_a_name() -> None:
    """mParticle knows a thousand names; log bodies are endless."""
    event_type, data = one(log("x", body={"cart": [1, None]}))
    assert (event_type, data["event_name"]) == ("custom_event", "x")
    assert data["custom_attributes"] == {"log.body": '{"cart":[1,null]}'}


@pytest.mark.parametrize(
    ("attributes", "name"),
    [
        ({"app.screen.id": "home"}, "home"),
        ({"app.screen.name": "Home", "app.screen.id": "home"}, "Home"),
        ({"url.path": "/cart"}, "/cart"),
        ({"browser.document.url.full": "https://x/"}, "https://x/"),
        ({}, "page_view"),
        ({"app.screen.name": " "}, "page_view"),
    ],
)
def test_a_screen_has_the_best_name_there_is(attributes: dict[str, str], name: str) -> None:
    """What gave the name is not repeated; the other names stay attributes."""
    event_type, data = one(log("page_view", {**USER, **attributes}))
    assert (event_type, data["screen_name"]) == ("screen_view", name)
    left = {key: text for key, text in attributes.items() if text != name}
    assert data.get("custom_attributes", {}) == left


@pytest.mark.parametrize("name", ["url.path", "browser.document.url.full"])
def test_a_screen_named_by_a_url_has_no_query_in_its_name(name: str) -> None:
    """Nor a password; so a token is no screen of its own."""
    data = one(log("page_view", {**USER, name: "https://ann:pw@x/cart?token=1#top"}))[1]
    assert data == {"screen_name": "https://x/cart"}


def test_screens_are_a_setting() -> None:
    """Other event names may be screens, and those of the default need not be."""
    assert one(log("visited"), screens=("visited",))[0] == "screen_view"
    assert one(log("page_view"), screens=("visited",))[0] == "custom_event"


# Plain records


def test_plain_records_are_ignored_and_counted() -> None:
    """A record without name or exception is no event unless asked for."""
    mapped = mapping().from_logs([log(body="hello"), log(""), log(" \t"), log("x")])
    assert (mapped.records, mapped.ignored) == (1, {"no_event_name": 3})


def test_plain_records_can_be_breadcrumbs() -> None:
    """The body is the label, whatever it is made of, and not an attribute again."""
    assert one(log(body={"a": 1}), plain_logs="breadcrumb") == ("breadcrumb", {"label": '{"a":1}'})
    empty = mapping(plain_logs="breadcrumb").from_logs([log(), log(body=""), log(body=" ")])
    assert (empty.events, empty.ignored) == ([], {"unfit:breadcrumb.label": 3})  # it would cost the batch


@pytest.mark.parametrize("logger", ["urllib3.connectionpool", "requests", "otel_vendor_exporters.mparticle"])
def test_what_is_logged_of_sending_is_ignored(logger: str) -> None:
    """It would be sent, and logged, for ever; what carries an event name goes all the same."""
    records = [
        log(body="POST / 202", scope=logger),
        log(attributes={**USER, "exception.type": "OSError"}, scope=logger),
        log("E", scope=logger),
        log(body="hello", scope="app.urllib3"),
    ]
    mapped = mapping(plain_logs="breadcrumb").from_logs(records)
    assert [kind for kind, _ in data_of(mapped)] == ["custom_event", "breadcrumb"]
    assert mapped.ignored == {"echo": 2}


# Exceptions


@pytest.mark.parametrize(
    "name", ["exception", "app.crash", "http.server.request.exception", "db.client.operation.exception"]
)
def test_exceptions_are_known_by_name(name: str) -> None:
    """Also without a single attribute of one; a message is always said."""
    event_type, data = one(log(name))
    assert (event_type, data["message"]) == ("crash_report", "unknown")
    assert data["custom_attributes"] == {"event_name": name}


@pytest.mark.parametrize("nothing", [None, ""])
@pytest.mark.parametrize("attribute", ["exception.type", "exception.message", "exception.stacktrace"])
def test_an_exception_that_is_none_is_none(attribute: str, nothing: str | None) -> None:
    """A field that is always passed along, and empty as all went well, makes no crash of an event."""
    event_type, data = one(log("Order placed", {**USER, attribute: nothing}))
    assert (event_type, data["event_name"]) == ("custom_event", "Order placed")


def test_exceptions_are_known_by_their_attributes() -> None:
    """An event that carries an exception is a crash report, except the start and end of a session."""
    attributes = {**USER, "exception.message": "boom", "code.function": "pay", "session.id": SESSION}
    event_type, data = one(log("checkout.done", attributes))
    assert event_type == "crash_report"
    assert data == {
        "message": "boom",
        "severity": "error",
        "exception_handled": True,
        "topmost_context": "pay",
        "session_uuid": SESSION,
        "custom_attributes": {"event_name": "checkout.done"},
    }
    assert [kind for kind, _ in data_of(mapping().from_logs([log("session.end", attributes)]))] == [
        "session_end"
    ]


def test_a_body_is_the_message_where_no_other_is() -> None:
    """Then it is no attribute again."""
    _, data = one(log(attributes={**USER, "exception.type": "ValueError"}, body="payment failed"))
    assert (data["class_name"], data["message"]) == ("ValueError", "payment failed")
    assert "custom_attributes" not in data


@pytest.mark.parametrize(
    ("severity", "word", "handled"),
    [
        (None, "error", True),
        (1, "debug", True),
        (8, "debug", True),
        (9, "info", True),
        (13, "warning", True),
        (17, "error", True),
        (20, "error", True),
        (21, "fatal", False),
        (24, "fatal", False),
    ],
)
def test_severity_has_a_word(severity: int | None, word: str, handled: bool) -> None:
    """And what is fatal was not handled."""
    _, data = one(log("exception", severity=severity))
    assert (data["severity"], data["exception_handled"]) == (word, handled)


# Sessions


def sessions(*records: tuple[str, int, dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """The events of session records: name, seconds, attributes."""
    logs = [
        log(name, {**USER, **attributes}, timestamp=NANOSECONDS + seconds * 10**9)
        for name, seconds, attributes in records
    ]
    return data_of(mapping().from_logs(logs))


def test_a_start_ends_the_session_before_it() -> None:
    """Whose end nobody saw: with its length, before the new start, once, and always with the same id."""
    events = sessions(
        ("session.start", 0, {"session.id": SESSION}),
        ("session.start", 60, {"session.id": OTHER_SESSION, "session.previous_id": SESSION}),
        ("session.start", 61, {"session.id": OTHER_SESSION, "session.previous_id": SESSION}),
    )
    assert [kind for kind, _ in events] == ["session_start", "session_end", "session_start", "session_start"]
    end = events[1][1]
    assert (end["session_uuid"], end["session_duration_ms"]) == (SESSION, 60_000)
    (again,) = [
        data
        for kind, data in sessions(
            ("session.start", 9, {"session.id": OTHER_SESSION, "session.previous_id": SESSION})
        )
        if kind == "session_end"
    ]
    assert again["source_message_id"] == end["source_message_id"]
    assert again["session_duration_ms"] == 0


def test_an_end_that_was_seen_is_not_said_again() -> None:
    """The new session's word for the old one comes after the old one's own."""
    events = sessions(
        ("session.start", 0, {"session.id": "s-1"}),
        ("session.end", 5, {"session.id": "s-1"}),
        ("session.start", 6, {"session.id": "s-2", "session.previous_id": "s-1"}),
        ("session.start", 7, {"session.id": "s-2", "session.previous_id": "s-2"}),
    )
    assert [kind for kind, _ in events] == ["session_start", "session_end", "session_start", "session_start"]
    assert events[1][1]["session_duration_ms"] == 5_000


def test_a_session_ends_once() -> None:
    """Whether its own record or the next session's start tells it first; what comes later is counted."""
    records = [
        log("session.start", {**USER, "session.id": "s-1"}),
        log("session.start", {**USER, "session.id": "s-2", "session.previous_id": "s-1"}),
        log("session.end", {**USER, "session.id": "s-1"}),
        log("session.end", {**USER, "session.id": "s-2"}),
        log("session.end", {**USER, "session.id": "s-2"}),
    ]
    mapped = mapping().from_logs(records)
    kinds = [kind for kind, _ in data_of(mapped)]
    assert kinds == ["session_start", "session_end", "session_start", "session_end"]
    assert (mapped.records, mapped.ignored) == (3, {"session_ended": 2})


def test_a_session_that_begins_again_ends_again() -> None:
    """Only a start after the end; one that comes late in the queue begins nothing."""
    events = sessions(
        ("session.end", 5, {"session.id": "s-1"}),
        ("session.start", 0, {"session.id": "s-1"}),
        ("session.end", 5, {"session.id": "s-1"}),
        ("session.start", 6, {"session.id": "s-1"}),
        ("session.end", 8, {"session.id": "s-1"}),
    )
    kinds = [kind.removeprefix("session_") for kind, _ in events]
    assert kinds == ["end", "start", "start", "end"]
    assert events[-1][1]["session_duration_ms"] == 2_000


def test_a_session_may_begin_again_at_once() -> None:
    """Its start, its end and the next start bear one time; a late start of an end seen before does not."""
    again = sessions(*[(name, 0, {"session.id": "s"}) for name in ("session.start", "session.end")] * 2)
    assert [kind for kind, _ in again] == ["session_start", "session_end"] * 2
    late = sessions(*[(name, 0, {"session.id": "s"}) for name in ("session.end", "session.start")] * 2)
    assert [kind for kind, _ in late] == ["session_end", "session_start", "session_start"]


def test_the_previous_session_ends_for_whom_it_began() -> None:
    """Somebody logs in: the end is not theirs, and says nothing of the one before that may have changed."""
    ann = {"user.id": "ann", "mparticle.consent.gdpr.ads": True, "mparticle.user_attributes.plan": "pro"}
    bob = {"user.id": "bob", "session.id": "s-2", "session.previous_id": "s-1"}
    records = [log("session.start", {**ann, "session.id": "s-1"}), log("session.start", bob)]
    sent = batches(mapping().from_logs(records))
    assert [
        (batch["user_identities"]["customer_id"], [event["event_type"] for event in batch["events"]])
        for batch in sent
    ] == [("ann", ["session_start"]), ("ann", ["session_end"]), ("bob", ["session_start"])]
    assert not {"consent_state", "user_attributes"} & sent[1].keys()


def test_a_session_whose_start_nobody_saw_is_the_next_ones() -> None:
    """Another process began it: the user who names it ends it."""
    bob = {"user.id": "bob", "session.id": "s-2", "session.previous_id": "s-1"}
    (batch,) = batches(mapping().from_logs([log("session.start", bob)]))
    assert [event["event_type"] for event in batch["events"]] == ["session_end", "session_start"]


def test_a_start_says_nothing_else() -> None:
    """No attributes, flags or place: the JSON Reference allows none."""
    said = {"session.id": SESSION, "cart": 1, "mparticle.custom_flags.a": 1, "geo.location.lat": 1}
    ((_, data),) = sessions(("session.start", 0, {**said, "geo.location.lon": 1}))
    assert data == {"timestamp_unixtime_ms": MS, "source_message_id": SESSION, "session_uuid": SESSION}


def test_a_session_without_an_id_is_refused_alone() -> None:
    """The other records of the export go."""
    mapped = mapping().from_logs([log("session.start"), log("x"), log("session.end")])
    assert (mapped.records, mapped.ignored) == (1, {"unfit:session.id": 2})


# Lifecycle


@pytest.mark.parametrize(
    ("name", "state", "transition"),
    [
        ("android.app.state", "created", "application_initialized"),
        ("android.app.state", "foreground", "application_foreground"),
        ("ios.app.state", "active", "application_foreground"),
        ("ios.app.state", "inactive", "application_background"),
        ("ios.app.state", "terminate", "application_exit"),
    ],
)
def test_a_lifecycle_is_a_transition(name: str, state: str, transition: str) -> None:
    """By the contract's table."""
    event_type, data = one(log("device.app.lifecycle", {**USER, name: state}))
    assert (event_type, data) == (
        "application_state_transition",
        {"application_transition_type": transition},
    )


def test_an_unknown_state_is_refused_alone() -> None:
    """mParticle would refuse the whole batch for it."""
    mapped = mapping().from_logs([log("device.app.lifecycle", user_and(ios__app__state="asleep")), log("x")])
    assert (mapped.records, mapped.ignored) == (1, {"unfit:app.state": 1})


# Commerce


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (None, "commerce_event"),
        ("text", "commerce_event"),
        ({}, "commerce_event"),
        ({"currency_code": "EUR"}, "commerce_event"),
        ({"product_action": {"action": "buy"}}, "product_action.action"),
        ({"product_action": {"action": "purchase", "total_amount": "1"}}, "product_action.total_amount"),
        ({"product_action": {"action": "purchase", "products": [{"sku": "1"}]}}, "product"),
        ({"product_action": {"action": "click"}, "promotion_action": {"action": "click"}}, "commerce_event"),
        ({"product_action": {"action": "click"}, "event_name": "x"}, "commerce_event"),
        (
            {"product_impressions": [{"product_impression_list": "", "products": [{"id": "1"}]}]},
            "product_impression.product_impression_list",
        ),
    ],
)
def test_a_wrong_purchase_is_refused_alone_with_its_field(body: Any, field: str) -> None:
    """And counted under it; the records beside it go."""
    mapped = mapping().from_logs([log("x"), log("mparticle.commerce_event", body=body), log("y")])
    assert [data["event_name"] for _, data in data_of(mapped)] == ["x", "y"]
    assert mapped.ignored == {f"unfit:{field}": 1}


def test_a_purchase_keeps_its_attributes_and_session() -> None:
    """The body is the event; what stands beside it goes along."""
    body = {"product_action": {"action": "purchase", "products": ({"id": "sku", "price": 1},)}}
    event_type, data = one(
        log("mparticle.commerce_event", user_and(session__id=SESSION, coupon="x"), body=body)
    )
    assert (event_type, data) == (
        "commerce_event",
        {
            "session_uuid": SESSION,
            "product_action": {"action": "purchase", "products": [{"id": "sku", "price": 1}]},
            "custom_attributes": {"coupon": "x"},
        },
    )
