"""
mParticle's own Python SDK (0.16.1) as second witness: what it can build, our wire writes as equal JSON.

Where the two differ, the difference is in a table here, with its place in the wire contract.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from otel_vendor_exporters import errors
from otel_vendor_exporters.mparticle import (
    ApplicationStateTransition,
    Batch,
    Breadcrumb,
    CommerceEvent,
    Consent,
    ConsentState,
    CrashReport,
    CustomEvent,
    Event,
    FirstRun,
    NetworkPerformance,
    OptOut,
    Product,
    ProfileChange,
    PushMessage,
    PushRegistration,
    ScreenView,
    SessionEnd,
    SessionStart,
    UserAttributeChange,
)
from otel_vendor_exporters.sandbox import MParticleApp, Sandbox

PROGRAM = Path(__file__).with_name("official_sdk.py")
EVENTS: Mapping[str, type[Event]] = {
    "AppEvent": CustomEvent,
    "ScreenViewEvent": ScreenView,
    "SessionStartEvent": SessionStart,
    "SessionEndEvent": SessionEnd,
    "CrashReportEvent": CrashReport,
    "BreadcrumbEvent": Breadcrumb,
    "NetworkPerformanceEvent": NetworkPerformance,
    "OptOutEvent": OptOut,
    "FirstRunEvent": FirstRun,
    "PushRegistrationEvent": PushRegistration,
    "PushMessageEvent": PushMessage,
    "ApplicationStateTransitionEvent": ApplicationStateTransition,
    "ProfileEvent": ProfileChange,
    "UserAttributeChangeEvent": UserAttributeChange,
    "CommerceEvent:product_action": CommerceEvent,
    "CommerceEvent:promotion_action": CommerceEvent,
    "CommerceEvent:product_impressions": CommerceEvent,
}

# Known differences.
SERVER_MADE = {"event_id", "session_id"}  # of every event, which only the server may write (3.1)
ONLY_THEIRS: Mapping[str, set[str]] = {
    "AppEvent": {"media_info"},  # in no document
    "SessionStartEvent": {"custom_attributes", "location", "device_current_state"},  # not allowed (3.2)
    "CrashReportEvent": {"breadcrumbs"},  # documents contradict each other (3.2)
    "ProfileEvent": {"profile_name", "previous_profile_name"},  # obsolete (7.1, 6)
}
ONLY_OURS: Mapping[str, dict[str, Any]] = {"ProfileEvent": {"previous_mpid": 1, "current_mpid": 2}}  # 7.1, 6
WRONG_TYPES = {"CrashReportEvent": "commerce_event"}  # 7.1, 1
BATCH_ONLY_THEIRS = {"schema_version", "api_key"}  # sections 2 and 13


@cache
def built() -> dict[str, Any]:
    """What the SDK makes of every field of every class."""
    made: dict[str, Any] = json.loads(run())
    return made


def run(*arguments: str) -> str:
    """The program's output; the SDK's warnings stay in its process."""
    command = [sys.executable, "-W", "ignore", str(PROGRAM), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


@pytest.mark.parametrize("name", EVENTS)
def test_events_are_equal(name: str) -> None:
    """Every field that the SDK fills, ours takes by its name and writes as the SDK does."""
    theirs = built()["events"][name]
    known = SERVER_MADE | ONLY_THEIRS.get(name, set())
    shared = {key: value for key, value in theirs["data"].items() if key not in known}

    ours = EVENTS[name](**shared, **ONLY_OURS.get(name, {}))

    assert ours.form == {**shared, **ONLY_OURS.get(name, {})}
    assert theirs["event_type"] == WRONG_TYPES.get(name, ours.event_type)
    assert known <= theirs["data"].keys()  # a difference that is none any more leaves the table


def test_every_event_class_is_compared() -> None:
    """The SDK has no class of events beside those."""
    assert built()["events"].keys() == EVENTS.keys()


def test_batches_are_equal() -> None:
    """User, device, application, consent, context and ids of a full batch."""
    theirs = dict(built()["batch"])
    identities = dict(theirs["user_identities"])
    identities["customer_id"] = identities.pop("customerid")  # the canonical key (section 4)
    shared = {key: value for key, value in theirs.items() if key not in BATCH_ONLY_THEIRS}

    ours = Batch(**{**shared, "user_identities": identities})

    assert ours.form == {**shared, "user_identities": identities}
    assert theirs.keys() >= BATCH_ONLY_THEIRS


def test_attributes_are_texts_where_the_sdk_sends_any_type() -> None:
    """The SDK sends null, numbers and booleans; the server reads texts, so we write those (7.1, 7; 3.1)."""
    theirs = built()["loose"]["custom_attributes"]

    ours = CustomEvent(event_name="loose", custom_event_type="other", custom_attributes=theirs)

    assert theirs == {"n": None, "i": 1, "f": 1.5, "t": True}
    assert ours.form["custom_attributes"] == {"i": "1", "f": "1.5", "t": "true"}


def test_a_law_without_consent_is_left_out() -> None:
    """The SDK writes an empty ccpa beside gdpr (section 6)."""
    theirs = built()["only_gdpr"]

    ours = ConsentState(gdpr={"analytics": Consent(**theirs["gdpr"]["analytics"])})

    assert theirs["ccpa"] == {}
    assert ours.form == {"gdpr": theirs["gdpr"]}


@pytest.mark.parametrize(
    ("field", "value"),
    [("price", float("nan")), ("added_to_cart_time_ms", datetime(2023, 11, 14)), ("position", "1")],
)
def test_what_the_sdk_writes_wrongly_is_refused(field: str, value: object) -> None:
    """Bare NaN, dates as texts, numbers as texts refuse a whole batch: ours are refused by name (7.1, 7)."""
    with pytest.raises(errors.EncodingError, match=f"product.{field} takes"):
        Product(**{field: value})  # type: ignore[arg-type]


def test_decimals_are_numbers() -> None:
    """The SDK writes them as texts, where the schema has numbers (7.1, 7)."""
    assert Product(price=Decimal("19.99")).form == {"price": 19.99}


def test_live_mode_takes_everything_the_sdk_sends() -> None:
    """All its events but the impossible profile arrive; what the schema says against them is warned of."""
    with Sandbox(mparticle=MParticleApp(mode="live")) as sandbox:
        settings = sandbox.mparticle_settings

        run(settings["api_key"], settings["api_secret"], f"{settings['base_url']}/v2")

        received = sandbox.received
        assert [event.type for event in received.mparticle.events] == [
            WRONG_TYPES.get(name, kind.WHERE) for name, kind in EVENTS.items() if name != "ProfileEvent"
        ], received.findings
        assert received.mparticle.user(customer_id="a customerid").attributes["list"] == ["a", "b"]
        assert received.errors == ()
