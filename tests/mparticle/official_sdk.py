"""
What mParticle's own Python SDK builds, with every field of every class filled; run as a program.

    python official_sdk.py                               prints it as JSON
    python official_sdk.py api_key api_secret base_url   sends it, too

In a process of its own: importing the SDK warns, changes the levels of loggers and adds handlers to them.
"""

from __future__ import annotations

import json
import sys
from typing import Any  # Any: the SDK has no types

import mparticle
from mparticle.models.user_attribute_change_event import UserAttributeChangeEvent  # not in the package itself

MODELS: dict[str, Any] = {**vars(mparticle), "UserAttributeChangeEvent": UserAttributeChangeEvent}
UUID = "e8335d31-2031-4bff-afec-17ffc1784697"
MS = 1700000000123
EVENTS: dict[str, dict[str, Any]] = {
    "AppEvent": {"custom_event_type": "transaction"},
    "ScreenViewEvent": {"activity_type": "activity_started"},
    "SessionStartEvent": {},
    "SessionEndEvent": {},
    "CrashReportEvent": {},
    "BreadcrumbEvent": {},
    "NetworkPerformanceEvent": {},
    "OptOutEvent": {},
    "FirstRunEvent": {},
    "PushRegistrationEvent": {},
    "PushMessageEvent": {
        "push_message_type": "action",
        "network": "apn",
        "application_state": "background",
        "push_notification_payload": "{}",
    },
    "ApplicationStateTransitionEvent": {"application_transition_type": "application_initialized"},
    "ProfileEvent": {"profile_event_type": "login"},
    "UserAttributeChangeEvent": {"new": "gold", "old": ["silver"]},
}
WORDS: dict[str, str] = {
    **dict.fromkeys(("source_message_id", "session_uuid", "mp_deviceid", "source_request_id"), UUID),
    **dict.fromkeys(("ios_advertising_id", "ios_idfv", "android_advertising_id"), UUID),
    **dict.fromkeys(("roku_advertising_id", "roku_publisher_id", "fire_advertising_id"), UUID),
    **dict.fromkeys(("device_orientation", "status_bar_orientation"), "landscape"),
    "data_connection_type": "wifi",
    "platform": "iOS",
    "att_authorization_status": "denied",
    "environment": "development",
    "ip": "172.217.12.142",
}
VALUES: dict[str, Any] = {
    "int": 7,
    "float": 1.5,
    "bool": True,
    "dict(str, str)": {"name": "text"},
    "dict(str, dict(str, str))": {"123": {"name": "text"}},
    "list[str]": ["old"],
    "object": {"$age": "18", "list": ["a", "b"]},
}


def filled(kind: str, **chosen: Any) -> Any:
    """An object of that class of the SDK; fields not chosen have values of their types."""
    model = MODELS[kind]
    needed: dict[str, Any] = {"AppEvent": {"event_name": "e"}, "CommerceEvent": {"product_action": object()}}
    types = model(**needed.get(kind, {})).swagger_types
    values = {name: chosen[name] if name in chosen else value_of(name, types[name]) for name in types}
    return model(**values)


def value_of(name: str, kind: str) -> Any:
    """A value that such a field takes."""
    if name == "timestamp_unixtime_ms":
        return MS
    if kind == "str":
        return WORDS.get(name, f"a {name}")
    if kind in VALUES:
        return VALUES[kind]
    if kind.startswith("list["):
        return [filled(kind[5:-1], **FILLED.get(kind[5:-1], {}))]
    return filled(kind, **FILLED.get(kind, {}))


FILLED: dict[str, dict[str, Any]] = {
    "BreadcrumbEvent": {"location": None, "device_current_state": None},
    "MediaInfo": {"action": "play", "format": "audio", "quality": "hd"},
}


def commerce_events() -> dict[str, Any]:
    """One for each variant."""
    nothing = {"product_action": None, "promotion_action": None, "product_impressions": None}
    variants: dict[str, Any] = {
        "product_action": filled("ProductAction", action="purchase"),
        "promotion_action": filled("PromotionAction", action="view"),
        "product_impressions": [filled("ProductImpression")],
    }
    return {
        f"CommerceEvent:{name}": filled("CommerceEvent", **{**nothing, name: variant})
        for name, variant in variants.items()
    }


def consent_state() -> Any:
    """Both laws."""
    state = mparticle.ConsentState()
    state.gdpr = {"analytics": filled("GDPRConsentState")}
    state.ccpa = {"data_sale_opt_out": filled("CCPAConsentState")}
    return state


def main() -> None:
    """Build, print, and send if asked to."""
    events = {kind: filled(kind, **chosen) for kind, chosen in EVENTS.items()} | commerce_events()
    batch = filled("Batch", events=None, consent_state=consent_state())
    batch.events = list(events.values())
    built = mparticle.ApiClient.sanitize_for_serialization(batch)
    loose = mparticle.AppEvent("loose", custom_attributes={"n": None, "i": 1, "f": 1.5, "t": True})
    only_gdpr = mparticle.ConsentState()
    only_gdpr.gdpr = batch.consent_state.gdpr
    clean = mparticle.ApiClient.sanitize_for_serialization
    print(
        json.dumps(
            {
                "events": dict(zip(events, built.pop("events"), strict=True)),
                "batch": built,
                "loose": clean(loose),
                "only_gdpr": clean(only_gdpr),
            }
        )
    )
    if len(sys.argv) > 1:
        configuration = mparticle.Configuration()
        configuration.api_key, configuration.api_secret, configuration.host = sys.argv[1:4]
        del events["ProfileEvent"]  # lacks what the schema requires: no server takes it
        batch.events = list(events.values())
        mparticle.EventsApi(configuration).upload_events(batch)


if __name__ == "__main__":
    main()
