"""The pixel's query strings, byte for byte."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_vendor_exporters.errors import EncodingError
from otel_vendor_exporters.mparticle import Location, PixelEvent, UserIdentities, pixel
from otel_vendor_exporters.mparticle.pixel import pixel_target, query_of, seal_pixels, shortened
from tests.mparticle.records import MESSAGE_ID, USER, log, mapping

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


@given(
    st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=60), max_size=12),
    st.integers(min_value=60, max_value=400),
)
def test_no_attribute_is_lost_that_had_room(attributes: dict[str, str], most: int) -> None:
    """What is kept fits; with the smallest of what is lost it would not, and nothing kept is larger."""
    event = PixelEvent(
        message_type="AppEvent",
        timestamp_unixtime_ms=1,
        custom_attributes=attributes,
        environment="production",
    )

    shorter, dropped = shortened(event, most)

    kept = {name: attributes[name] for name in shorter.custom_attributes or ()}
    gone = attributes.keys() - kept.keys()
    lost = sorted((len(quote(name + attributes[name], safe="")), name) for name in gone)
    assert len(query_of(shorter)) <= most
    assert len(lost) == dropped
    if lost:
        size, smallest = lost[0]
        more = replace(event, custom_attributes={**kept, smallest: attributes[smallest]})
        assert len(query_of(more)) > most
        assert all(len(quote(name + text, safe="")) <= size for name, text in kept.items())


def test_shortening_looks_at_each_attribute_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many go: an export waits for it, and a hundred long ones took three seconds."""
    quoted = 0

    def counting(text: str, **options: str) -> str:
        nonlocal quoted
        quoted += len(text)
        return quote(text, **options)

    monkeypatch.setattr(pixel, "quote", counting)
    attributes = {f"k{number}": "é" * 100 for number in range(100)}
    event = PixelEvent(
        message_type="AppEvent",
        timestamp_unixtime_ms=1,
        custom_attributes=attributes,
        environment="production",
    )
    assert shortened(event, 1900)[1] == 97
    assert quoted <= 2 * sum(len(name) + len(text) for name, text in attributes.items())


def test_mapped_events_become_queries_one_by_one() -> None:
    """Custom events and screen views of their users, in order; what a pixel cannot carry is counted."""
    said = {
        **USER,
        "mparticle.user_attributes.tags": ("a", "b"),
        "geo.location.lat": 1.5,
        "geo.location.lon": 2,
        "cart": 3,
    }
    typed = {**USER, "mparticle.custom_event_type": "user_content"}
    records = [log("page_view", said), log("exception"), log("re-engagement", typed)]

    sealed = seal_pixels(mapping().from_logs(records).events, 1900)

    user = "ui_t=customerid,email&ui_v=u-1,a%40example.com"
    attributes = "attrs_k=cart&attrs_v=3&ua_k=tags&ua_v=%5B%22a%22%2C%22b%22%5D"
    assert [batch.body.decode() for batch in sealed.batches] == [
        f"dt=ScreenView&ct=1700000000123&n=page_view&{attributes}&{user}&lc=1.5,2&av=1.4.2&dbg=false",
        f"dt=AppEvent&et=UserContent&ct=1700000000123&n=re-engagement&{user}&av=1.4.2&dbg=false",
    ]
    assert [(batch.events, batch.subject) for batch in sealed.batches] == [(1, "u-1"), (1, "u-1")]
    assert sealed.batches[0].source_request_id == MESSAGE_ID
    assert sealed.dropped == {"unfit:pixel.crash_report": 1}


def test_a_long_mapped_event_is_shortened_and_counted() -> None:
    """A URL has room for two thousand bytes."""
    mapped = mapping().from_logs([log("x", {**USER, "a": "y" * 3000, "b": "z"})])
    sealed = seal_pixels(mapped.events, 1900)
    assert b"attrs_k=b&attrs_v=z&" in sealed.batches[0].body
    assert sealed.left_out == {"too_large:attribute": 1}
    assert seal_pixels(mapped.events, 50).dropped == {"unfit:pixel": 1}
    assert seal_pixels(mapping().from_logs([log("x")] * 2).events, 1900).left_out == {}
