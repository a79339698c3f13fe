"""Every event type writes the JSON of the contract's examples (section 3.4), and nothing else."""

from __future__ import annotations

import json
import typing

import pytest

from otel_vendor_exporters.errors import EncodingError
from otel_vendor_exporters.mparticle import (
    ApplicationStateTransition,
    Breadcrumb,
    CommerceEvent,
    CrashReport,
    CustomEvent,
    Event,
    FirstRun,
    Impression,
    NetworkPerformance,
    OptOut,
    Product,
    ProductAction,
    ProfileChange,
    Promotion,
    PromotionAction,
    PushMessage,
    PushRegistration,
    ScreenView,
    SessionEnd,
    SessionStart,
    ShoppingCart,
    Uninstall,
    UserAttributeChange,
    UserIdentity,
    UserIdentityChange,
)
from otel_vendor_exporters.mparticle.events import DetailedEvent

MS = 1700000000123
SESSION = "91b86d0c-86cb-4124-a8b2-edee107de454"
IDENTITY = UserIdentity(
    identity_type="customer_id",
    identity="123456",
    timestamp_unixtime_ms=1558342828608,
    created_this_batch=True,
)

# The event, its type, and its data as the contract shows it.
EXAMPLES: list[tuple[Event, str, str]] = [
    (
        CustomEvent(
            event_name="click",
            custom_event_type="navigation",
            timestamp_unixtime_ms=MS,
            source_message_id="e8335d31-2031-4bff-afec-17ffc1784697",
            session_uuid=SESSION,
            custom_attributes={"button_name": "home"},
            custom_flags={"Google.Category": "pageview"},
        ),
        "custom_event",
        (
            '{"event_name":"click","custom_event_type":"navigation","timestamp_unixtime_ms":1700000000123,'
            '"source_message_id":"e8335d31-2031-4bff-afec-17ffc1784697",'
            '"session_uuid":"91b86d0c-86cb-4124-a8b2-edee107de454",'
            '"custom_attributes":{"button_name":"home"},"custom_flags":{"Google.Category":"pageview"}}'
        ),
    ),
    (
        ScreenView(screen_name="Home", timestamp_unixtime_ms=MS),
        "screen_view",
        '{"screen_name":"Home","timestamp_unixtime_ms":1700000000123}',
    ),
    (
        SessionStart(timestamp_unixtime_ms=MS, source_message_id=SESSION, session_uuid=SESSION),
        "session_start",
        (
            '{"timestamp_unixtime_ms":1700000000123,"source_message_id":"91b86d0c-86cb-4124-a8b2-edee107de454",'
            '"session_uuid":"91b86d0c-86cb-4124-a8b2-edee107de454"}'
        ),
    ),
    (
        SessionEnd(session_duration_ms=6000, timestamp_unixtime_ms=MS + 6000, session_uuid=SESSION),
        "session_end",
        (
            '{"session_duration_ms":6000,"timestamp_unixtime_ms":1700000006123,'
            '"session_uuid":"91b86d0c-86cb-4124-a8b2-edee107de454"}'
        ),
    ),
    (
        CrashReport(
            class_name="ValueError",
            severity="fatal",
            message="boom",
            stack_trace="Traceback ...",
            exception_handled=False,
            topmost_context="main",
            timestamp_unixtime_ms=MS,
        ),
        "crash_report",
        (
            '{"class_name":"ValueError","severity":"fatal","message":"boom","stack_trace":"Traceback ...",'
            '"exception_handled":false,"topmost_context":"main","timestamp_unixtime_ms":1700000000123}'
        ),
    ),
    (
        Breadcrumb(label="loaded cart", session_number=2, timestamp_unixtime_ms=MS),
        "breadcrumb",
        '{"label":"loaded cart","session_number":2,"timestamp_unixtime_ms":1700000000123}',
    ),
    (
        NetworkPerformance(
            http_verb="GET",
            url="http://sample.url",
            time_elapsed=450,
            bytes_in=2048,
            bytes_out=10,
            response_code=200,
            timestamp_unixtime_ms=MS,
        ),
        "network_performance",
        (
            '{"http_verb":"GET","url":"http://sample.url","time_elapsed":450,"bytes_in":2048,"bytes_out":10,'
            '"response_code":200,"timestamp_unixtime_ms":1700000000123}'
        ),
    ),
    (
        OptOut(is_opted_out=True, timestamp_unixtime_ms=MS),
        "opt_out",
        '{"is_opted_out":true,"timestamp_unixtime_ms":1700000000123}',
    ),
    (
        ApplicationStateTransition(
            application_transition_type="application_initialized",
            is_first_run=True,
            is_upgrade=False,
            timestamp_unixtime_ms=MS,
        ),
        "application_state_transition",
        (
            '{"application_transition_type":"application_initialized","is_first_run":true,"is_upgrade":false,'
            '"timestamp_unixtime_ms":1700000000123}'
        ),
    ),
    (
        PushRegistration(register=True, registration_token="tok"),
        "push_registration",
        '{"register":true,"registration_token":"tok"}',
    ),
    (
        PushMessage(
            push_message_token="x",
            push_message_type="action",
            push_notification_payload="{}",
            message="hi",
            network="apn",
            application_state="foreground",
        ),
        "push_message",
        (
            '{"push_message_token":"x","push_message_type":"action","push_notification_payload":"{}","message":"hi",'
            '"network":"apn","application_state":"foreground"}'
        ),
    ),
    (
        ProfileChange(previous_mpid=1, current_mpid=2, profile_event_type="login"),
        "profile",
        '{"previous_mpid":1,"current_mpid":2,"profile_event_type":"login"}',
    ),
    (
        UserAttributeChange(
            user_attribute_name="plan", new="pro", old="free", deleted=False, is_new_attribute=False
        ),
        "user_attribute_change",
        '{"user_attribute_name":"plan","new":"pro","old":"free","deleted":false,"is_new_attribute":false}',
    ),
    (
        UserIdentityChange(new=IDENTITY, old=IDENTITY),
        "user_identity_change",
        (
            '{"new":{"identity_type":"customer_id","identity":"123456","timestamp_unixtime_ms":1558342828608,'
            '"created_this_batch":true},"old":{"identity_type":"customer_id","identity":"123456",'
            '"timestamp_unixtime_ms":1558342828608,"created_this_batch":true}}'
        ),
    ),
    (
        CommerceEvent(
            product_action=ProductAction(
                action="purchase",
                transaction_id="t-1",
                total_amount=21.49,
                tax_amount=1.5,
                products=[Product(id="sku", name="Prod", price=19.99, quantity=1)],
            ),
            currency_code="USD",
        ),
        "commerce_event",
        (
            '{"product_action":{"action":"purchase","transaction_id":"t-1","total_amount":21.49,"tax_amount":1.5,'
            '"products":[{"id":"sku","name":"Prod","price":19.99,"quantity":1}]},"currency_code":"USD"}'
        ),
    ),
    (
        CommerceEvent(
            promotion_action=PromotionAction(
                action="view", promotions=[Promotion(id="p1", name="n", creative="c", position="top")]
            )
        ),
        "commerce_event",
        (
            '{"promotion_action":{"action":"view","promotions":[{"id":"p1","name":"n","creative":"c",'
            '"position":"top"}]}}'
        ),
    ),
    (
        CommerceEvent(
            product_impressions=[
                Impression(product_impression_list="list", products=[Product(id="sku", name="Prod")])
            ],
            shopping_cart=ShoppingCart(products=[]),
        ),
        "commerce_event",
        (
            '{"product_impressions":[{"product_impression_list":"list","products":[{"id":"sku","name":"Prod"}]}],'
            '"shopping_cart":{"products":[]}}'
        ),
    ),
    (FirstRun(), "first_run", "{}"),
    (Uninstall(), "uninstall", "{}"),
]


@pytest.mark.parametrize(("event", "event_type", "data"), EXAMPLES, ids=[row[1] for row in EXAMPLES])
def test_an_event_is_the_contracts_example(event: Event, event_type: str, data: str) -> None:
    """Type and data are those of the documents."""
    assert event.event_type == event_type
    assert event.form == json.loads(data)


def test_all_seventeen_types_have_a_class() -> None:
    """Every event type that has a schema can be made, and no other."""
    assert {event_type for _, event_type, _ in EXAMPLES} == {
        *(
            "session_start",
            "session_end",
            "screen_view",
            "custom_event",
            "crash_report",
            "opt_out",
            "first_run",
        ),
        *("push_registration", "application_state_transition", "push_message", "network_performance"),
        *("breadcrumb", "profile", "commerce_event", "user_attribute_change", "user_identity_change"),
        "uninstall",
    }


def test_a_session_start_takes_nothing_more() -> None:
    """The JSON Reference allows no additional fields, so there are none to fill in."""
    assert not issubclass(SessionStart, DetailedEvent)
    assert "custom_attributes" not in typing.get_type_hints(SessionStart)


def test_names_are_cut_where_the_server_cuts_them() -> None:
    """Event and screen names have 256 characters, action identifiers 100."""
    assert CustomEvent(event_name="e" * 300, custom_event_type="other").form["event_name"] == "e" * 256
    assert ScreenView(screen_name="s" * 300).form["screen_name"] == "s" * 256
    message = PushMessage(
        push_message_token="t",
        push_message_type="action",
        push_notification_payload="{}",
        action_identifier="a" * 101,
    )
    assert message.form["action_identifier"] == "a" * 100


def test_attribution_is_no_type_of_a_custom_event() -> None:
    """S26 would refuse the whole batch for it: the field and the words it takes are named."""
    with pytest.raises(EncodingError) as wrong:
        CustomEvent(event_name="re-engagement", custom_event_type="attribution")  # type: ignore[arg-type]
    assert wrong.value.field == "custom_event.custom_event_type"
    assert str(wrong.value) == (
        "custom_event.custom_event_type takes one of navigation, location, search, transaction, "
        "user_content, user_preference, social, other, media"
    )
