"""The pixel's query strings, byte for byte."""

from __future__ import annotations

import pytest

from otel_vendor_exporters.errors import EncodingError
from otel_vendor_exporters.mparticle import Location, PixelEvent, UserIdentities
from otel_vendor_exporters.mparticle.pixel import pixel_target, query_of, shortened

MS = 1700000000123


def test_P01_an_app_event() -> None:
    """The contract's first example: commas and everything else inside an element are encoded."""
    event = PixelEvent(
        message_type="AppEvent",
        event_name="My Event",
        custom_event_type="navigation",
        timestamp_unixtime_ms=MS,
        custom_attributes={"a,b": "1,2", "c&d": "x=y", "é": "%"},
        user_identities=UserIdentities(email="test@email.com", customer_id="1234567"),
        environment="development",
    )
    target = pixel_target(event, "web-key")
    assert target == (
        "/v1/web-key/Pixel?dt=AppEvent&et=Navigation&ct=1700000000123&n=My%20Event"
        "&attrs_k=a%2Cb,c%26d,%C3%A9&attrs_v=1%2C2,x%3Dy,%25"
        "&ui_t=email,customerid&ui_v=test%40email.com,1234567&dbg=true"
    )


def test_P02_a_screen_view() -> None:
    """The contract's second example: a page with host, title and place."""
    event = PixelEvent(
        message_type="ScreenView",
        event_name="Home",
        title="A B",
        hostname="shop.example",
        location=Location(latitude=40.7142, longitude=-74.0064),
        timestamp_unixtime_ms=MS,
        environment="production",
    )
    assert pixel_target(event, "web-key") == (
        "/v1/web-key/Pixel?dt=ScreenView&ct=1700000000123&n=Home&hn=shop.example&ttl=A%20B"
        "&lc=40.7142,-74.0064&dbg=false"
    )


def test_names_are_the_web_sdks() -> None:
    """Event types in Pascal case, identities as the browser names them."""
    event = PixelEvent(
        message_type="AppEvent",
        custom_event_type="user_content",
        timestamp_unixtime_ms=1,
        user_identities=UserIdentities(other_id_10="x", facebook_custom_audience_id="f"),
        user_attributes={"plan": "pro"},
        custom_flags={"f": True},
        application_version="1.0",
        location=Location(latitude=1e-7, longitude=0),
        environment="production",
    )
    assert query_of(event) == (
        "dt=AppEvent&et=UserContent&ct=1&ua_k=plan&ua_v=pro&ui_t=other10,facebookcustomaudienceid&ui_v=x,f"
        "&flags_k=f&flags_v=true&lc=0.0000001,0&av=1.0&dbg=false"
    )


def test_commas_may_be_blanks_or_refused() -> None:
    """For a server that decodes before it splits."""
    event = PixelEvent(
        message_type="AppEvent",
        timestamp_unixtime_ms=1,
        custom_attributes={"a": "1,2"},
        environment="production",
    )
    assert "attrs_v=1%202" in query_of(event, commas="space")
    with pytest.raises(EncodingError, match="takes no commas"):
        query_of(event, commas="reject")


def test_an_app_event_has_no_page() -> None:
    """Host and title are a screen view's."""
    with pytest.raises(EncodingError, match="ScreenView"):
        PixelEvent(message_type="AppEvent", timestamp_unixtime_ms=1, title="x", environment="production")


def test_a_long_query_loses_its_largest_attributes() -> None:
    """As many as needed, counted; an event that is too long without them is refused."""
    event = PixelEvent(
        message_type="AppEvent",
        timestamp_unixtime_ms=1,
        custom_attributes={"a": "x" * 50, "b": "y" * 100, "c": "z"},
        environment="production",
    )
    shorter, dropped = shortened(event, 130)
    assert (shorter.form["custom_attributes"], dropped) == ({"a": "x" * 50, "c": "z"}, 1)
    with pytest.raises(EncodingError):
        shortened(event, 20)
