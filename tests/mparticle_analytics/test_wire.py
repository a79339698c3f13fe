"""The calls of Analytics: exact JSON, exact URLs, and what is refused before it is sent (contract)."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from otel_vendor_exporters.delivery.request import Request
from otel_vendor_exporters.errors import EncodingError
from otel_vendor_exporters.mparticle_analytics.packing import Limits, pack
from otel_vendor_exporters.mparticle_analytics.units import Kind, Unit
from otel_vendor_exporters.mparticle_analytics.wire import (
    Address,
    Alias,
    AnalyticsEvent,
    Delete,
    Identify,
    Suppress,
    batch_bytes,
    request_for,
)

BASE = "https://api.indicative.com/service"
IN_BODY = Address(BASE, "k")
IN_PATH = Address(BASE, "k", key_in="path")
NOW = 1_700_000_000_999
REGISTRATION = AnalyticsEvent("Registration", "user47", {"Gender": "Female", "Age": 23}, 1_700_000_000_123)
REGISTRATION_JSON = (
    '{"eventName":"Registration","eventUniqueId":"user47",'
    '"properties":{"Gender":"Female","Age":"23"},"eventTime":1700000000123}'
)


def body_of(request: Request) -> Any:
    assert request.body is not None
    return json.loads(request.body)


def events(count: int, **properties: object) -> list[Unit]:
    return [AnalyticsEvent("e", f"u{n}", properties, NOW + n).unit(NOW) for n in range(count)]


def test_A1_track() -> None:
    """An event is posted to /event, byte for byte, with the key first."""
    request = request_for([REGISTRATION.unit(NOW)], IN_BODY)

    assert (request.method, request.url) == ("POST", f"{BASE}/event")
    assert request.body == ('{"apiKey":"k",' + REGISTRATION_JSON[1:]).encode()
    assert request.headers["Content-Type"] == "application/json; charset=utf-8"
    assert request.headers["Indicative-Client"].startswith("otel-vendor-exporters")


def test_A2_track_by_get() -> None:
    """The same by GET: properties are pairs of names and values, in order."""
    request = request_for([REGISTRATION.get_unit(NOW)], IN_BODY)

    assert (request.method, request.body) == ("GET", None)
    assert request.url == (
        f"{BASE}/event?apiKey=k&eventName=Registration&eventUniqueId=user47&eventTime=1700000000123"
        "&propertyNames=Gender&propertyValues=Female&propertyNames=Age&propertyValues=23"
    )


def test_A2_a_url_holds_any_text() -> None:
    """Spaces, &, = and UTF-8 are percent-encoded; a lone surrogate is a question mark; no value is empty."""
    properties = {"a b": "c&d=é", "half": "x\ud800", "empty": ""}
    unit = AnalyticsEvent("E", "u/1", properties, NOW).get_unit(NOW)

    url = request_for([unit], Address(BASE, "k/1")).url

    assert "apiKey=k%2F1&" in url
    assert "propertyNames=a%20b&propertyValues=c%26d%3D%C3%A9" in url
    assert parse_qsl(urlsplit(url).query)[4:] == [
        ("propertyNames", "a b"),
        ("propertyValues", "c&d=é"),
        ("propertyNames", "half"),
        ("propertyValues", "x?"),
    ]


def test_A2_a_url_has_an_end() -> None:
    """What would make a URL that servers refuse is refused here, with the way out."""
    event = AnalyticsEvent("E", "u", {f"p{n}": "x" * 255 for n in range(100)})

    with pytest.raises(EncodingError, match="send them by POST"):
        event.get_unit(NOW)


def test_A3_key_in_the_path() -> None:
    """With the key in the path it is not in the body; a slash in it is encoded."""
    unit = REGISTRATION.unit(NOW)

    assert request_for([unit], IN_PATH).url == f"{BASE}/event/k"
    assert request_for([unit], IN_PATH).body == REGISTRATION_JSON.encode()
    assert request_for([unit], Address(BASE, "k/?", key_in="path")).url == f"{BASE}/event/k%2F%3F"


def test_A3_a_batch_has_its_key_in_the_body_all_the_same() -> None:
    """A key in the path is not documented for /event/batch."""
    request = request_for(events(2), IN_PATH)

    assert request.url == f"{BASE}/event/batch"
    assert body_of(request)["apiKey"] == "k"


def test_A4_a_batch() -> None:
    """Two events make one array, without keys inside."""
    units = [REGISTRATION.unit(NOW), AnalyticsEvent("Log-In", "user752", {}, NOW).unit(NOW)]

    request = request_for(units, IN_BODY)

    assert (request.method, request.url) == ("POST", f"{BASE}/event/batch")
    assert body_of(request) == {
        "apiKey": "k",
        "events": [
            json.loads(REGISTRATION_JSON),
            {"eventName": "Log-In", "eventUniqueId": "user752", "properties": {}, "eventTime": NOW},
        ],
    }
    assert len(request.body or b"") == batch_bytes(units, "k")


@pytest.mark.parametrize("text", ["", "x" * 256, "\N{GRINNING FACE}" * 128, None, 47])
@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda text: AnalyticsEvent(text, "u"), "name"),
        (lambda text: AnalyticsEvent("e", text), "user_id"),
        (lambda text: Identify(text, {"a": 1}), "user_id"),
        (lambda text: Alias(text, "u"), "previous_id"),
        (lambda text: Alias("a", text), "new_id"),
        (lambda text: Suppress(text), "user_id"),
        (lambda text: Delete(text), "user_id"),
    ],
)
def test_A6_names_and_ids_of_the_wrong_length_are_refused(
    make: Callable[[Any], object], field: str, text: object
) -> None:
    """Empty, too long or no text at all: an EncodingError that names the field and not the value."""
    with pytest.raises(EncodingError, match=f"{field} takes a text of 1 to 255 characters") as raised:
        make(text)

    assert raised.value.field == field


def test_A6_255_characters_are_kept() -> None:
    """The longest name and id arrive whole."""
    body = body_of(request_for([AnalyticsEvent("n" * 255, "u" * 255).unit(NOW)], IN_BODY))

    assert (body["eventName"], body["eventUniqueId"]) == ("n" * 255, "u" * 255)


def test_A6_half_a_character_is_no_id() -> None:
    """An id that UTF-8 cannot hold would arrive as another user's."""
    with pytest.raises(EncodingError, match="user_id holds half a character"):
        AnalyticsEvent("e", "u\ud800")


def test_A7_A8_properties_are_texts() -> None:
    """What the contract says of values holds for events and for users, and what was cut is counted."""
    properties = {
        "long": "x" * 300,
        "a": {"b": 1, "c": [1, "x", True]},
        "n": None,
        "nan": math.nan,
        "raw": b"\x00\xff",
        "half": "\ud800",
        'quo"te\n': "\x00 \u2028",
    }
    expected = {
        "long": "x" * 255,
        "a.b": "1",
        "a.c": "1,x,true",
        "raw": "AP8=",
        "half": "?",
        'quo"te\n': "\x00 \u2028",
    }

    event, identify = AnalyticsEvent("e", "u", properties), Identify("u", properties)

    assert body_of(request_for([event.unit(NOW)], IN_BODY))["properties"] == expected
    assert body_of(request_for([identify.unit()], IN_BODY))["properties"] == expected
    assert event.left_out == {"value_cut": 1, "no_number": 1}


@pytest.mark.parametrize("time", [-1, 0, 5, 99_999_999_999, 1_700_000_000_123_456_789, 1.7e12, True])
def test_A9_times_that_would_be_misread_are_refused(time: Any) -> None:
    """Negative, readable as seconds, in nanoseconds or no whole number."""
    with pytest.raises(EncodingError, match="time_unix_ms"):
        AnalyticsEvent("e", "u", time_unix_ms=time)


def test_A9_without_a_time_it_is_now() -> None:
    """An event always carries its time: batched events would get that of their receipt."""
    assert body_of(request_for([AnalyticsEvent("e", "u").unit(NOW)], IN_BODY))["eventTime"] == NOW


@pytest.mark.parametrize(
    ("unit", "path", "body"),
    [
        (Identify("u", {"plan": "pro"}).unit(), "identify", '{"uniqueId":"u","properties":{"plan":"pro"}}'),
        (Alias("anon-1", "user47").unit(), "alias", '{"previousId":"anon-1","newId":"user47"}'),
        (Suppress("u").unit(), "suppress", '{"uniqueId":"u"}'),
        (Delete("u").unit(), "delete", '{"uniqueId":"u"}'),
    ],
)
def test_A10_A11_A12_calls(unit: Unit, path: str, body: str) -> None:
    """Identify, alias, suppress and delete, byte for byte, with the key in either place."""
    in_body, in_path = request_for([unit], IN_BODY), request_for([unit], IN_PATH)

    assert (in_body.method, in_body.url) == ("POST", f"{BASE}/{path}")
    assert in_body.body == ('{"apiKey":"k",' + body[1:]).encode()
    assert (in_path.url, in_path.body) == (f"{BASE}/{path}/k", body.encode())


def test_A10_nothing_to_say_of_a_user_is_refused() -> None:
    """An identify call without properties would do nothing."""
    with pytest.raises(EncodingError, match="properties are empty"):
        Identify("u", {"plan": None})


def test_A11_nobody_is_merged_with_themselves() -> None:
    """alias(u, u) is refused."""
    with pytest.raises(EncodingError, match="are the same"):
        Alias("u", "u")


def test_units_say_whose_they_are() -> None:
    """An alias holds both of its users, everything else one."""
    assert REGISTRATION.unit(NOW).users == ("user47",)
    assert Alias("anon-1", "user47").unit() == Unit(
        Kind.ALIAS, ("anon-1", "user47"), b'{"previousId":"anon-1","newId":"user47"}'
    )


def test_no_repr_shows_people_or_keys() -> None:
    """What may stand in a log line holds no id, no property and no key."""
    shown = repr([REGISTRATION, Identify("user47", {"a": "Female"}), Alias("user47", "x1"), IN_BODY])

    assert "user47" not in shown
    assert "Female" not in shown
    assert "'k'" not in shown
    assert "Registration" in shown


def test_a_batch_of_a_wild_kind_is_valid_json() -> None:
    """Whatever texts there are, the body is UTF-8 and JSON, and says what went in."""
    units = [
        AnalyticsEvent(f'"\\\n{n}é\N{GRINNING FACE}', f"u\t{n}", {"\\": '"'}, NOW).unit(NOW) for n in range(3)
    ]
    loads, _ = pack(units, Limits("k"))

    body = body_of(request_for([units[index] for index in loads[0].units], IN_BODY))

    assert [one["eventName"] for one in body["events"]] == [f'"\\\n{n}é\N{GRINNING FACE}' for n in range(3)]
    assert [one["eventUniqueId"] for one in body["events"]] == ["u\t0", "u\t1", "u\t2"]
