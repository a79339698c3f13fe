"""What of a record's attributes leaves: of its user, of URLs, of long names, and whatever else was seen."""

from __future__ import annotations

import json
import time
import tracemalloc
from typing import Any

import pytest

from otel_vendor_exporters.mparticle_analytics.mapping import EventMapping, Mapped
from otel_vendor_exporters.mparticle_analytics.settings import AnalyticsSettings
from otel_vendor_exporters.mparticle_analytics.users import Users
from tests.mparticle_analytics.records import log_record, span_with

ADDRESS = "https://ann:pw@shop.example/cart?token=1#top"
BARE = "https://shop.example/cart"
OF_USER = "mparticle.user_attributes."


def mapping(**settings: Any) -> EventMapping:
    return EventMapping(AnalyticsSettings.read(api_key="k", **settings), Users(set()))


def told(result: Mapped) -> list[dict[str, str]]:
    """The properties of each unit, those of users before those of events."""
    return [json.loads(unit.content)["properties"] for unit in result.units]


def sent(attributes: dict[str, Any], **settings: Any) -> list[dict[str, str]]:
    """What leaves of one record with these attributes."""
    result = mapping(**settings).events_from_logs(log_record(attributes=attributes), "p")
    return told(result)


USER = {OF_USER + "email": "a@b.c", OF_USER + "plan": "pro"}
LISTS = [
    ({"deny_attributes": "mparticle.user_attributes.*"}, {}, {}, {"sku": "A7"}),
    ({"deny_attributes": "*email"}, {"plan": "pro"}, {"home.zip": "1"}, {"sku": "A7"}),
    ({"deny_attributes": "email,home"}, {"plan": "pro"}, {}, {"sku": "A7"}),
    ({"deny_attributes": "*.zip"}, {"email": "a@b.c", "plan": "pro"}, {}, {"sku": "A7"}),
    ({"allow_attributes": "sku"}, {}, {}, {"sku": "A7"}),
    ({"allow_attributes": "sku,plan"}, {"plan": "pro"}, {}, {"sku": "A7"}),
    ({"allow_attributes": "home.zip"}, {}, {"home.zip": "1"}, {}),
    (
        {"allow_attributes": "mparticle.user_attributes.*", "deny_attributes": "email"},
        {"plan": "pro"},
        {"home.zip": "1"},
        {},
    ),
]


@pytest.mark.parametrize(("lists", "texts", "in_maps", "of_event"), LISTS)
def test_lists_reach_what_describes_the_user(
    lists: dict[str, str], texts: dict[str, str], in_maps: dict[str, str], of_event: dict[str, str]
) -> None:
    """By the attribute's name or the bare one, of a record, maps included, and of a span; deny wins."""
    settings = {**lists, "context_properties": ""}
    spans = span_with(("e", {"sku": "A7"}), **{"user.id": "u", **USER})

    of_record = sent({**USER, "sku": "A7"}, **settings)
    with_map = sent({**USER, "sku": "A7", OF_USER + "home": {"zip": 1}}, **settings)
    of_span = told(mapping(**settings).events_from_spans(spans, "p"))

    without_map = [one for one in (texts,) if one] + [of_event]
    assert (of_record, of_span) == (without_map, without_map)
    assert with_map == [one for one in ({**texts, **in_maps},) if one] + [of_event]


@pytest.mark.parametrize(
    ("attributes", "left"),
    [
        ({OF_USER + "landing.url": ADDRESS}, [{"landing.url": BARE}, {}]),
        ({OF_USER + "page": {"url": ADDRESS}}, [{"page.url": BARE}, {}]),
        ({"url": ADDRESS}, [{"url": BARE}]),
        ({"redirect.url": [ADDRESS, "https://x/?y"]}, [{"redirect.url": f"{BARE},https://x/"}]),
        ({"redirect.url": [[ADDRESS], [1]]}, [{"redirect.url.0": BARE, "redirect.url.1": "1"}]),
        ({"a.url": b"https://h/p?token=1"}, [{"a.url": "aHR0cHM6Ly9oL3A="}]),
        ({"a.url": 7, "b.url": None}, [{"a.url": "7"}]),
    ],
)
def test_urls_of_any_shape_leave_without_what_they_hide(
    attributes: dict[str, Any], left: list[dict[str, str]]
) -> None:
    """A list of them, bytes, one of the user or simply called url: no password and no query."""
    assert sent(attributes, context_properties="") == left


def test_a_url_is_bare_whatever_else_was_seen() -> None:
    """Names that never come back make the memory of names begin anew, in the middle of no record."""
    records = [
        record
        for number in range(10_050)
        for record in log_record(attributes={"url.full": ADDRESS, f"item.{number}": 1})
    ]

    result = mapping().events_from_logs(records, "p")

    assert {one["url.full"] for one in told(result)} == {BARE}


@pytest.mark.parametrize("key", ["." * 50_000, "x" * 50_000, "a.b" * 400, "." * 21])
@pytest.mark.parametrize("value", [1, {"inner": 1}])
@pytest.mark.flaky(reruns=2)
def test_a_map_with_a_key_that_is_no_name_is_cheap(key: str, value: object) -> None:
    """What no list can be asked about does not leave, is counted, and takes neither time nor memory."""
    attributes = {"payload": {key: value, "sku": "A7"}}
    (record,) = log_record(attributes=attributes)
    once = mapping(context_properties="")
    tracemalloc.start()
    began = time.process_time()

    result = once.events_from_logs([record], "p")

    assert time.process_time() - began < 0.5
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()
    assert told(result) == [{"payload.sku": "A7"}]
    assert result.left_out == {"name_too_long": 1}


def test_names_that_are_sent_alike_are_one() -> None:
    """Halves of characters become question marks before names are compared; the first stays, counted."""
    once = mapping(context_properties="")
    half, other_half = chr(0xD800), chr(0xDC00)
    inner = {"a": {half: 1, other_half: 2, "?": 3}}
    flat = {half: 1, other_half: 2, OF_USER + half: 1, OF_USER + "?": 2}

    results = [once.events_from_logs(log_record(attributes=one), "p") for one in (inner, flat, flat)]

    assert [unit.content.count(b"?") for result in results for unit in result.units] == [1] * 4
    assert [told(result) for result in results] == [[{"a.?": "1"}], [{"?": "1"}, {"?": "1"}], [{"?": "1"}]]
    assert [result.left_out["same_name"] for result in results] == [2, 2, 2]
