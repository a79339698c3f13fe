"""
What the `data` of each mParticle event may hold.

Tables only. Written from contract/mparticle.md section 3.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from otel_vendor_exporters.sandbox.mparticle.shapes import (
    ATTRIBUTE,
    BOOLEAN,
    CONNECTION,
    DEVICE_STATE,
    DISPUTED,
    IDENTITY_NAMES,
    INTEGER32,
    INTEGER64,
    LOCATION,
    NUMBER,
    SCALAR,
    SERVER_MADE,
    TEXT,
    UNSIGNED64,
    UUID,
    Fields,
    ListOf,
    MapOf,
    Shape,
    each,
    word,
)

CUSTOM_EVENT_TYPES = word(
    "navigation location search transaction user_content user_preference social other media",
    "attribution unknown",
)
_COMMON: dict[str, Shape] = {
    **each("timestamp_unixtime_ms event_num active_time_on_site_ms", INTEGER64),
    **each("source_message_id view_controller canonical_name page_url", TEXT),
    "session_uuid": UUID,
    "custom_attributes": MapOf(SCALAR),
    "custom_flags": MapOf(SCALAR),
    "location": LOCATION,
    "device_current_state": DEVICE_STATE,
    "data_connection_type": CONNECTION,
    "is_main_thread": BOOLEAN,
    **each(
        "event_id session_id session_start_unixtime_ms event_start_unixtime_ms is_goal_defined "
        "lifetime_value_change lifetime_value_attribute_name event_system_notification_info",
        SERVER_MADE,
    ),
}
_PRODUCT = Fields(
    {
        **each("id name brand category variant coupon_code", TEXT),
        "position": INTEGER32,
        **each("price quantity total_product_amount", NUMBER),
        "added_to_cart_time_ms": INTEGER64,
        "custom_attributes": MapOf(TEXT),
    },
    closed=False,
)
_PRODUCTS = ListOf(_PRODUCT)
_PRODUCT_ACTION = Fields(
    {
        "action": word(
            "add_to_cart remove_from_cart checkout checkout_option click view_detail purchase refund "
            "add_to_wishlist remove_from_wish_list"
        ),
        "checkout_step": INTEGER32,
        **each(
            "checkout_options product_action_list product_list_source transaction_id affiliation coupon_code",
            TEXT,
        ),
        **each("total_amount tax_amount shipping_amount", NUMBER),
        "products": _PRODUCTS,
    },
    required=("action",),
)
_PROMOTION_ACTION = Fields(
    {
        "action": word("view click"),
        "promotions": ListOf(Fields(each("id name creative position", TEXT))),
    },
    required=("action",),
)
_IMPRESSION = Fields(
    {"product_impression_list": TEXT, "products": _PRODUCTS}, required=("product_impression_list", "products")
)
_IDENTITY_TYPE = word(" ".join(IDENTITY_NAMES))
_IDENTITY = Fields(
    {
        "identity_type": _IDENTITY_TYPE,
        "identity": TEXT,
        "timestamp_unixtime_ms": INTEGER64,
        "created_this_batch": BOOLEAN,
    },
    required_by_schema=("identity_type", "identity", "timestamp_unixtime_ms"),
)


def _event(
    shapes: Mapping[str, Shape], required: Iterable[str] = (), required_by_schema: Iterable[str] = ()
) -> Fields:
    return Fields({**_COMMON, **shapes}, tuple(required), tuple(required_by_schema), closed=False)


# `required_by_schema` alone: the JSON reference calls the key optional, or it may be null.
EVENTS: Mapping[str, Fields] = {
    "custom_event": _event(
        {"event_name": TEXT, "custom_event_type": CUSTOM_EVENT_TYPES}, ("event_name", "custom_event_type")
    ),
    "screen_view": _event(
        {"screen_name": TEXT, "activity_type": word("activity_started activity_stopped", enforced=False)},
        required_by_schema=("screen_name",),
    ),
    "commerce_event": _event(
        {
            "product_action": _PRODUCT_ACTION,
            "promotion_action": _PROMOTION_ACTION,
            "product_impressions": ListOf(_IMPRESSION),
            "shopping_cart": Fields({"products": _PRODUCTS}, required=("products",)),
            **each("currency_code screen_name", TEXT),
            "is_non_interactive": BOOLEAN,
            **each("event_name custom_event_type", SERVER_MADE),
        }
    ),
    "session_start": _event({}),
    "session_end": _event({"session_duration_ms": INTEGER64}, required_by_schema=("session_duration_ms",)),
    "crash_report": _event(
        {
            **each("severity message", SCALAR),
            **each("class_name stack_trace topmost_context pl_crash_report_file_base64", TEXT),
            "exception_handled": BOOLEAN,
            "breadcrumbs": DISPUTED,
            **each("ios_image_base_address ios_image_size", UNSIGNED64),
            "session_number": INTEGER32,
        },
        required_by_schema=("severity", "message"),
    ),
    "breadcrumb": _event({"label": TEXT, "session_number": INTEGER32}, ("label",)),
    "network_performance": _event(
        {
            **each("url http_verb data", TEXT),
            "response_code": INTEGER64,
            **each("time_elapsed bytes_in bytes_out", INTEGER32),
        },
        ("url", "response_code"),
    ),
    "opt_out": _event({"is_opted_out": BOOLEAN}, ("is_opted_out",)),
    "push_registration": _event(
        {"register": BOOLEAN, "registration_token": TEXT}, ("register", "registration_token")
    ),
    "push_message": _event(
        {
            **each("push_message_token push_notification_payload message action_identifier", TEXT),
            "push_message_type": word("sent received action"),
            "network": word("apn gcm"),
            "application_state": word("not_running background foreground", enforced=False),
            "push_message_behavior": DISPUTED,
        },
        ("push_message_token", "push_message_type", "push_notification_payload"),
    ),
    "application_state_transition": _event(
        {
            "application_transition_type": word(
                "application_initialized application_exit application_background application_foreground"
            ),
            **each("is_first_run is_upgrade successfully_closed", BOOLEAN),
            **each("push_notification_payload launch_referral", TEXT),
        },
        ("application_transition_type",),
    ),
    "profile": _event(
        {
            **each("previous_mpid current_mpid", INTEGER64),
            "profile_event_type": word("signup login logout update delete"),
        },
        ("previous_mpid", "current_mpid", "profile_event_type"),
    ),
    "user_attribute_change": _event(
        {
            "user_attribute_name": TEXT,
            **each("new old", ATTRIBUTE),
            **each("deleted is_new_attribute", BOOLEAN),
        },
        ("user_attribute_name",),
    ),
    "user_identity_change": _event({"new": _IDENTITY, "old": _IDENTITY}, required_by_schema=("new", "old")),
    "first_run": _event({}),
    "uninstall": _event({}),
}
# In the list of event types, but with no schema of their own.
EVENT_TYPES_WITHOUT_SCHEMA = frozenset(("pre_attribution", "push_reaction"))
# Of these the schema also closes the object around `data`.
CLOSED_EVENTS = frozenset(
    ("custom_event", "commerce_event", "application_state_transition", "breadcrumb", "first_run")
)
