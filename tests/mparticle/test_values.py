"""What a field takes: exact JSON of what is right, a named field for what is not."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import fields
from decimal import Decimal
from typing import Any, get_type_hints

import pytest

from otel_vendor_exporters.errors import EncodingError
from otel_vendor_exporters.mparticle import (
    ApplicationInformation,
    Attribution,
    Batch,
    CcpaConsent,
    CommerceEvent,
    Consent,
    ConsentState,
    CustomEvent,
    DeviceInformation,
    DeviceState,
    Impression,
    Location,
    NetworkPerformance,
    OptOut,
    Product,
    ProductAction,
    PushMessage,
    PushRegistration,
    SessionEnd,
    UserAttributeChange,
    UserIdentities,
)
from otel_vendor_exporters.mparticle.values import WireValue, form_of

A_UUID = "a26f9736-c262-47ea-988b-0b0504cee874"

# What the server would refuse a whole batch for, and the field that errors name.
REFUSED: list[tuple[Callable[[], object], str]] = [
    (
        lambda: Impression(product_impression_list="", products=[]),
        "product_impression.product_impression_list",
    ),
    (lambda: PushRegistration(register=True, registration_token=" "), "push_registration.registration_token"),
    (
        lambda: PushMessage(push_message_token="", push_message_type="sent", push_notification_payload="{}"),
        "push_message.push_message_token",
    ),
    (
        lambda: PushMessage(push_message_token="t", push_message_type="sent", push_notification_payload=""),
        "push_message.push_notification_payload",
    ),
    (
        lambda: Attribution(service_provider="s", publisher="p", campaign=""),
        "attribution_info.campaign",
    ),
    (lambda: DeviceInformation(ios_advertising_id="not-a-guid"), "device_info.ios_advertising_id"),
    (lambda: DeviceInformation(android_advertising_id=A_UUID + "\n"), "device_info.android_advertising_id"),
    (lambda: DeviceInformation(screen_height=2**31), "device_info.screen_height"),
    (lambda: DeviceInformation(screen_height=True), "device_info.screen_height"),
    (lambda: DeviceInformation(platform="desktop"), "device_info.platform"),  # type: ignore[arg-type]
    (lambda: DeviceInformation(is_tablet="yes"), "device_info.is_tablet"),  # type: ignore[arg-type]
    (lambda: ApplicationInformation(application_name=3), "application_info.application_name"),  # type: ignore[arg-type]
    (lambda: UserIdentities(customer_id=""), "user_identities.customer_id"),
    (lambda: UserIdentities(other_id_10=7), "user_identities.other_id_10"),  # type: ignore[arg-type]
    (lambda: Location(latitude=1.0, longitude=float("nan")), "location.longitude"),
    (lambda: Location(latitude="1", longitude=1), "location.latitude"),  # type: ignore[arg-type]
    (lambda: DeviceState(data_connection_type="cell"), "device_current_state.data_connection_type"),  # type: ignore[arg-type]
    (lambda: Batch(environment="staging"), "batch.environment"),  # type: ignore[arg-type]
    (lambda: Batch(environment="production", ip="shop.example"), "batch.ip"),
    (lambda: Batch(environment="production", ip="fe80::1%eth0"), "batch.ip"),
    (lambda: Batch(environment="production", mpid=2**63), "batch.mpid"),
    (lambda: Batch(environment="production", mp_deviceid="x"), "batch.mp_deviceid"),
    (lambda: Batch(environment="production", events=[Product()]), "batch.events"),  # type: ignore[list-item]
    (lambda: CustomEvent(event_name="", custom_event_type="other"), "custom_event.event_name"),
    (lambda: CustomEvent(event_name="x", custom_event_type="Other"), "custom_event.custom_event_type"),  # type: ignore[arg-type]
    (
        lambda: CustomEvent(event_name="x", custom_event_type="other", custom_attributes=["a"]),  # type: ignore[arg-type]
        "custom_event.custom_attributes",
    ),
    (lambda: SessionEnd(session_duration_ms=1.5), "session_end.session_duration_ms"),  # type: ignore[arg-type]
    (lambda: NetworkPerformance(url="u", response_code="200"), "network_performance.response_code"),  # type: ignore[arg-type]
    (
        lambda: NetworkPerformance(url="u", response_code=200, bytes_in=2**31),
        "network_performance.bytes_in",
    ),
    (lambda: CustomEvent(event_name=" ", custom_event_type="other"), "custom_event.event_name"),
    (lambda: UserIdentities(customer_id="\t"), "user_identities.customer_id"),
    (lambda: Location(latitude=90.5, longitude=0), "location.latitude"),
    (lambda: Location(latitude=0, longitude=-181), "location.longitude"),
    (lambda: OptOut(is_opted_out=None), "opt_out.is_opted_out"),  # type: ignore[arg-type]
    (lambda: PushRegistration(register=1, registration_token="t"), "push_registration.register"),  # type: ignore[arg-type]
    (lambda: ProductAction(action="remove_from_wishlist"), "product_action.action"),  # type: ignore[arg-type]
    (lambda: ProductAction(action="purchase", products="abc"), "product_action.products"),  # type: ignore[arg-type]
    (lambda: Product(price=float("inf")), "product.price"),
    (lambda: CommerceEvent(), "commerce_event"),
    (
        lambda: CommerceEvent(
            product_action=ProductAction(action="click"),
            product_impressions=[{"products": []}],  # type: ignore[list-item]
        ),
        "product_impression.product_impression_list",
    ),
    (lambda: Consent(consented=True, timestamp_unixtime_ms=None), "consent.timestamp_unixtime_ms"),  # type: ignore[arg-type]
    (lambda: ConsentState(gdpr={"": Consent(consented=True, timestamp_unixtime_ms=1)}), "consent_state.gdpr"),
]


def wire_values(kind: type[WireValue]) -> Iterator[type[WireValue]]:
    for one in kind.__subclasses__():
        yield one
        yield from wire_values(one)


def test_a_required_text_is_not_empty() -> None:
    """The server refuses a batch for one that is "missing or empty", but for the message of an exception."""
    may_be_empty = {
        f"{kind.WHERE}.{field.name}"
        for kind in wire_values(WireValue)
        for field in fields(kind)
        if field.init and get_type_hints(kind, include_extras=True)[field.name] is str
    }
    assert may_be_empty == {"crash_report.message"}


@pytest.mark.parametrize(
    ("make", "field"), REFUSED, ids=[f"{n}-{field}" for n, (_, field) in enumerate(REFUSED)]
)
def test_what_would_refuse_a_batch_is_refused_here(make: Callable[[], object], field: str) -> None:
    """The error names the field, and says nothing of the value."""
    with pytest.raises(EncodingError) as refused:
        make()
    assert refused.value.field == field
    assert field in str(refused.value)


def test_none_and_empty_optional_maps_are_left_out() -> None:
    """Nothing is sent as null, and no optional object is sent without content."""
    event = CustomEvent(event_name="x", custom_event_type="other", custom_attributes={"a": None})
    assert event.form == {"event_name": "x", "custom_event_type": "other"}
    assert Batch(environment="development", events=[], user_attributes={}).form == {
        "environment": "development"
    }


def test_numbers_stay_numbers() -> None:
    """A Decimal goes as the nearest float: the server takes no number as text."""
    product = Product(price=Decimal("19.99"), quantity=2, custom_attributes={"on-sale": True, "size": 42})
    assert product.form == {
        "price": 19.99,
        "quantity": 2,
        "custom_attributes": {"on-sale": "true", "size": "42"},
    }


def test_plain_json_may_stand_for_a_nested_value() -> None:
    """A map of the right fields is checked like the value it stands for."""
    plain: Any = {"action": "purchase", "products": [{"id": "sku", "price": 1}]}
    event = CommerceEvent(product_action=plain)
    made = CommerceEvent(
        product_action=ProductAction(action="purchase", products=[Product(id="sku", price=1)])
    )
    assert event.form == made.form
    with pytest.raises(EncodingError, match="product has no key 'sku'"):
        form_of(CommerceEvent, {"product_action": {"action": "click", "products": [{"sku": "1"}]}})


def test_a_value_does_not_show_what_it_holds() -> None:
    """The repr names fields, not content: it is people's data."""
    shown = repr(UserIdentities(customer_id="secret-person", email="a@b.c"))
    assert shown == "UserIdentities(email, customer_id)"


def test_user_attribute_change_takes_scalars_and_lists() -> None:
    """Old and new values are texts or lists of texts."""
    change = UserAttributeChange(user_attribute_name="plan", new=["a", 1], old=7, deleted=False)
    assert change.form == {"user_attribute_name": "plan", "new": ["a", "1"], "old": "7", "deleted": False}


def test_consent_has_the_documents_form() -> None:
    """Section 6 of the contract: purposes by name for GDPR, one purpose for CCPA."""
    consent = Consent(
        consented=True,
        timestamp_unixtime_ms=1523039002083,
        document="v4",
        location="17 Cherry Tree Lane",
        hardware_id="IDFA:a5d9",
    )
    state = ConsentState(
        gdpr={"location_collection": consent},
        ccpa=CcpaConsent(data_sale_opt_out=Consent(consented=True, timestamp_unixtime_ms=1)),
    )
    assert state.form == {
        "gdpr": {
            "location_collection": {
                "consented": True,
                "timestamp_unixtime_ms": 1523039002083,
                "document": "v4",
                "location": "17 Cherry Tree Lane",
                "hardware_id": "IDFA:a5d9",
            }
        },
        "ccpa": {"data_sale_opt_out": {"consented": True, "timestamp_unixtime_ms": 1}},
    }


def test_a_value_keeps_what_it_was_given() -> None:
    """A map that is changed afterwards changes nothing, and the value's own cannot be."""
    attributes: dict[str, Any] = {"a": "1", "list": ["x"]}
    event = CustomEvent(event_name="x", custom_event_type="other", custom_attributes=attributes)

    attributes["a"] = "2"
    attributes["list"].append("y")

    assert event.custom_attributes == {"a": "1", "list": ("x",)}
    assert event.form["custom_attributes"] == {"a": "1", "list": '["x"]'}
    with pytest.raises(TypeError, match="replace"):
        event.custom_attributes["a"] = "3"  # type: ignore[index]  # which is what is refused


def test_equal_values_have_one_hash() -> None:
    """Also those with maps; and they can be copied and pickled."""
    one, other = (
        CustomEvent(event_name="x", custom_event_type="other", custom_attributes={"a": ["1"]})
        for _ in range(2)
    )
    assert {one, other, deepcopy(one), pickle.loads(pickle.dumps(one))} == {one}
