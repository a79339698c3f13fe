"""Spans become timings: which, how long, when, and what is left out with a count. Rows B6, I1, I2, J4."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan

from otel_vendor_exporters.mpulse.contexts import Contexts
from otel_vendor_exporters.mpulse.definitions import Definitions
from otel_vendor_exporters.mpulse.mapping import Mapped, Names, timings_from
from otel_vendor_exporters.mpulse.packing import Limits, pack
from otel_vendor_exporters.mpulse.units import Context, Session, Timing
from otel_vendor_exporters.mpulse.wire import beacon_request
from tests.mpulse.example import (
    DEFINITIONS,
    MAXIMUM_INT32,
    NOW_UNIX_MS,
    envelope,
    settings,
    span,
    timed_span,
)

END = NOW_UNIX_MS * 1_000_000
SECOND = 1_000_000_000
PROCESS = Session("process", 1, 0)
UNUSUAL: dict[str, Any] = {
    "None": None,
    "bytes": b"ab\xff",
    "empty": "",
    "very long": "x" * 1_000_000,
    "lone surrogate": "a\ud800b",
    "control characters": "a\0b\r\nc",
    "not a number": float("nan"),
    "infinite": -float("inf"),
    "huge": 10**400,
    "huge negative": -(10**400),
    "huge fraction": 1e308,
    "bool": True,
    "list": ["a", "b"],
    "mixed list": [1, "a", None, b"x"],
    "nested list": [[1], [2]],
    "mapping": {"a": {"b": [1, None]}},
    "empty list": [],
    "object": object(),
}


def mapped(
    *spans: ReadableSpan,
    definitions: Definitions | None = DEFINITIONS,
    session: Session | None = None,
    keeps: Callable[[str, int, int], bool] | None = None,
    **keywords: object,
) -> Mapped:
    """What becomes of spans, by these settings."""
    chosen = settings(**keywords)
    return timings_from(spans, definitions, Names(chosen.timers), Contexts(chosen), session, keeps)


def test_a_span_is_a_timing() -> None:
    """Name, duration, end and session of a span are a timing's."""
    found = mapped(span("MyTimer", milliseconds=231.5), session=PROCESS)

    assert found == Mapped(units=[Timing("MyTimer", 232, NOW_UNIX_MS, Context(session=PROCESS))], records=1)


@pytest.mark.parametrize(
    ("name", "attributes", "timers", "expected"),
    [
        ("MyTimer", {}, {}, "MyTimer"),
        ("GET /cart", {"mpulse.timer": "Code Timer"}, {"GET *": "MyTimer"}, "Code Timer"),
        ("GET /cart", {}, {"GET *": "MyTimer", "*": "Code Timer"}, "MyTimer"),
        ("POST /cart", {}, {"GET *": "MyTimer", "*": "Code Timer"}, "Code Timer"),
        ("MyTimer", {}, {"My*": "Code Timer"}, "Code Timer"),
        ("MyTimer", {"mpulse.timer": ""}, {}, "MyTimer"),
        ("MyTimer", {"mpulse.timer": None}, {}, "MyTimer"),
    ],
)
def test_which_timer_a_span_is(
    name: str, attributes: dict[str, Any], timers: dict[str, str], expected: str
) -> None:
    """The attribute, else the first glob of the setting that matches, else the span's own name."""
    found = mapped(span(name, attributes), timers=timers)

    assert [unit.name for unit in found.units] == [expected]


@pytest.mark.parametrize("name", ["mytimer", "My Timer", "MyTimer ", "", "custom0", "a\ud800", "x" * 100_000])
def test_B6_I2_names_nobody_defined_are_counted_by_name(name: str) -> None:
    """Exact and with case; labels are no names."""
    found = mapped(span(name), span("MyTimer"), span(name))

    assert [unit.name for unit in found.units] == ["MyTimer"]
    assert (found.records, dict(found.undefined), dict(found.ignored)) == (1, {name: 2}, {})


@pytest.mark.parametrize(
    ("nanoseconds", "milliseconds"),
    [
        (0, 0),
        (499_999, 0),
        (500_000, 1),
        (1_100_000, 1),
        (10_500_000, 11),
        (20_500_000, 21),
        (3 * SECOND, 3000),
        (MAXIMUM_INT32 * 1_000_000 + 499_999, MAXIMUM_INT32),
    ],
)
def test_I1_J4_durations_are_rounded_half_up(nanoseconds: int, milliseconds: int) -> None:
    """Nanoseconds to whole milliseconds as mpulse.js rounds: 3 s are 3000."""
    found = mapped(timed_span(END - nanoseconds, END))

    assert found.units == [Timing("MyTimer", milliseconds, NOW_UNIX_MS, Context())]


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (timed_span(END, END - 1), "negative_duration"),
        (timed_span(END - MAXIMUM_INT32 * 1_000_000 - 500_000, END), "too_long"),
        (timed_span(float(END), END), "time_is_not_whole_nanoseconds"),
        (timed_span(END, float(END)), "time_is_not_whole_nanoseconds"),
        (timed_span("now", END), "time_is_not_whole_nanoseconds"),
        (ReadableSpan("MyTimer", start_time=END), "not_ended"),
        (ReadableSpan("MyTimer"), "not_ended"),
        (span(None), "timer_name_is_not_text"),
        (span(5), "timer_name_is_not_text"),
        (span(b"MyTimer"), "timer_name_is_not_text"),
        (span(attributes={"mpulse.timer": 5}), "timer_name_is_not_text"),
        (span(attributes={"mpulse.timer": ["MyTimer"]}), "timer_name_is_not_text"),
    ],
)
def test_what_is_no_timing_is_counted_by_reason(one: ReadableSpan, reason: str) -> None:
    """Spans that cannot be timers are ignored with a reason, and the one beside them is not."""
    found = mapped(one, span())

    assert (found.records, len(found.units), dict(found.ignored)) == (1, 1, {reason: 1})


@pytest.mark.parametrize("timer", UNUSUAL.values(), ids=UNUSUAL.keys())
def test_a_timer_attribute_of_any_type_has_one_outcome(timer: Any) -> None:
    """Mapped, undefined or ignored: each span is in exactly one column."""
    found = mapped(span(attributes={"mpulse.timer": timer}))

    assert found.records + found.undefined.total() + found.ignored.total() == 1


@pytest.mark.parametrize("known", [True, False], ids=["definitions known", "unknown"])
@pytest.mark.parametrize("value", UNUSUAL.values(), ids=UNUSUAL.keys())
def test_attribute_values_of_every_type_are_sent_or_counted(value: Any, known: bool) -> None:
    """In every place an attribute can have, each value is sent as printable text or counted as left out."""
    places = {
        "Visibility State": value,
        "mpulse.page_group": value,
        "mpulse.ab_test": value,
        "session.id": value,
        "mpulse.session.start_unix_ms": value,
        "mpulse.session.length": value,
        "another": value,
    }
    one = span(attributes=places, resource={"of resource": value})
    found = mapped(one, definitions=DEFINITIONS if known else None, session=PROCESS)
    assert found.records == 1

    loads, discards = pack(found.units, DEFINITIONS, Limits(), NOW_UNIX_MS)
    request = beacon_request(loads[0].beacon, envelope())

    assert (len(loads), discards) == (1, [])
    assert request.url.isascii()
    assert request.url.isprintable()
    assert " " not in request.url
    assert len(request.url) <= 2000
    context = loads[0].beacon
    sent = {
        "page_group": context.page_group,
        "ab_test": context.ab_test,
        "dimension": context.dimensions or None,
        "session": context.session if context.session != PROCESS else None,
    }
    given_up = {place for place, text in sent.items() if text is None}
    said = (one.attributes or {}).get("another")  # what the SDK made of it
    if said is None or not known:  # nothing was said, or it was not yet known what is a dimension
        assert set(found.left_out) <= given_up
    else:
        assert set(found.left_out) == given_up


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.binary()
    | st.text(st.characters(exclude_categories=[])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
PLACES = st.sampled_from(
    [
        *("mpulse.timer", "mpulse.page_group", "mpulse.ab_test", "http.route", "session.id"),
        *("mpulse.session.start_unix_ms", "mpulse.session.length", "Visibility State"),
        *("mpulse.dimension.Visibility State", "cdim.Visibility_State", "other"),
    ]
)


@given(st.dictionaries(PLACES, ANYTHING), st.booleans(), st.booleans())
def test_no_attributes_raise_or_break_a_beacon(
    attributes: dict[str, Any], known: bool, sanitize: bool
) -> None:
    """Whatever attributes hold, the span is mapped or counted, and its beacon is plain ASCII."""
    one = span(attributes=attributes)
    found = mapped(one, definitions=DEFINITIONS if known else None, sanitize=sanitize)

    assert found.records + found.undefined.total() + found.ignored.total() == 1
    loads, _ = pack(found.units, DEFINITIONS, Limits(), NOW_UNIX_MS)
    assert all(beacon_request(load.beacon, envelope()).url.isascii() for load in loads)


def test_before_the_definitions_every_span_may_be_a_timer() -> None:
    """B7: nothing is dropped as undefined until it is known what is defined."""
    found = mapped(span("anything", {"Plan": "x"}), definitions=None)

    assert [(unit.name, unit.context.resolved) for unit in found.units] == [("anything", False)]
    assert found.undefined == {}


def test_what_the_sample_leaves_out_is_counted() -> None:
    """A sampler is asked for defined timers alone, by timer, trace and span."""
    spans = [span("MyTimer"), span("Code Timer"), span("nobody's")]
    asked: list[tuple[str, int, int]] = []

    def keeps(*question: Any) -> bool:
        asked.append(question)
        return bool(question[0] == "MyTimer")

    found = mapped(*spans, keeps=keeps)

    assert asked == [(one.name, one.context.trace_id, one.context.span_id) for one in spans[:2]]
    assert ([unit.name for unit in found.units], dict(found.ignored)) == (["MyTimer"], {"sampled_out": 1})


def test_names_are_remembered_within_bounds() -> None:
    """More names than memory has place for are still all mapped."""
    names = Names({"a*": "A"})

    found = {names.of(f"{letter}{number}") for number in range(15_000) for letter in "ab"}

    assert len(found) == 15_001
    assert names.of("a1") == "A"
