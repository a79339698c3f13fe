"""Attributes become page group, A/B bucket, session and dimensions: section 6.5, rows W, I3, J."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from itertools import count
from typing import Any

import pytest
from opentelemetry.sdk.resources import Resource

from otel_vendor_exporters.mpulse.contexts import Contexts, ProcessSession, resolved
from otel_vendor_exporters.mpulse.definitions import Definitions
from otel_vendor_exporters.mpulse.units import Context, Session
from tests.mpulse.example import DEFINITIONS, NOW_UNIX_MS, settings

PROCESS = Session("process", 1, 0)
TWO = Definitions(dimensions={"Country": "cdim.Country", "Plan": "cdim.Plan_Name"})


def context(
    attributes: Mapping[str, object],
    *,
    definitions: Definitions | None = DEFINITIONS,
    resource: Mapping[str, Any] | None = None,
    session: Session | None = PROCESS,
    route: bool = True,
    **keywords: Any,
) -> tuple[Context, dict[str, int]]:
    """The context that attributes tell, and what was left out."""
    left_out: Counter[str] = Counter()
    of_resource = None if resource is None else Resource(resource)
    found = Contexts(settings(**keywords)).context(
        attributes, of_resource, definitions, session, NOW_UNIX_MS, left_out, route=route
    )
    return found, dict(left_out)


@pytest.mark.parametrize(
    ("attributes", "keywords", "expected", "left_out"),
    [
        ({"mpulse.page_group": "My Page Group"}, {}, "My Page Group", 0),
        ({"mpulse.page_group": "a", "http.route": "/b"}, {"page_group": "c"}, "a", 0),
        ({"http.route": "/cart/{id}"}, {"page_group": "c"}, "cart id", 0),
        ({"http.route": "/api/v1.2/<int:id>/"}, {}, "api v1 2 int id", 0),
        ({"http.route": "/"}, {"page_group": "c"}, "c", 0),
        ({"http.route": "/"}, {}, None, 0),
        ({}, {"page_group": "Default/Group"}, "DefaultGroup", 0),
        ({}, {}, None, 0),
        ({"mpulse.page_group": "a<b>/c"}, {}, "abc", 0),
        ({"mpulse.page_group": "a<b>/c"}, {"sanitize": False}, "a<b>/c", 0),
        ({"mpulse.page_group": "a & b"}, {}, "a b", 0),
        ({"mpulse.page_group": "  x  "}, {"sanitize": False}, "x", 0),
        ({"mpulse.page_group": "x" * 999}, {}, "x" * 128, 0),
        ({"mpulse.page_group": "✓" * 999}, {"sanitize": False}, "✓" * 128, 0),
        ({"mpulse.page_group": "✓"}, {}, None, 1),
        ({"mpulse.page_group": ""}, {"page_group": "c"}, "c", 1),
        ({"mpulse.page_group": "   "}, {}, None, 1),
        ({"mpulse.page_group": None}, {"page_group": "c"}, "c", 0),
        ({"mpulse.page_group": 5}, {"page_group": "c"}, "c", 1),
        ({"mpulse.page_group": True}, {}, None, 1),
        ({"mpulse.page_group": ["a"]}, {}, None, 1),
        ({"mpulse.page_group": {"a": 1}}, {}, None, 1),
        ({"mpulse.page_group": b"a"}, {}, None, 1),
        ({"http.route": 5}, {}, None, 1),
    ],
)
def test_W6_J8_page_groups(
    attributes: dict[str, Any], keywords: dict[str, Any], expected: str | None, left_out: int
) -> None:
    """The attribute, else the route, else the setting; cleaned as the browser agent does, never empty."""
    found, lost = context(attributes, **keywords)

    assert (found.page_group, lost) == (expected, {"page_group": left_out} if left_out else {})


def test_only_spans_take_their_page_group_from_the_route() -> None:
    """A metric point's route would split its counter."""
    assert context({"http.route": "/cart"}, route=False) == (Context(session=PROCESS), {})


REFUSED_BUCKETS = [
    "",
    "x" * 26,
    *(f"a{one}b" for one in "!`@#$%^&*()+=<,>./?{}[]|\\:;\"'\n"),
    5,
    True,
    b"a",
    ["a"],
]


@pytest.mark.parametrize("bucket", ["AB Test 1", "ab", "a_b", "a-b", "a b", "a1b", "aAb", "x" * 25])
def test_W7_J9_ab_tests(bucket: str) -> None:
    """A bucket is 1 to 25 of a few characters, and is sent as it is."""
    found, lost = context({"mpulse.ab_test": bucket}, ab_test="default")

    assert (found.ab_test, lost) == (bucket, {})


@pytest.mark.parametrize("bucket", REFUSED_BUCKETS, ids=repr)
def test_J9_refused_ab_tests_leave_the_old_one(bucket: Any) -> None:
    """Anything else is refused with a count, and the setting's bucket stays."""
    assert context({"mpulse.ab_test": bucket}, ab_test="old")[0].ab_test == "old"
    assert context({"mpulse.ab_test": bucket}) == (Context(session=PROCESS), {"ab_test": 1})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("visible", "visible"),
        ("a&b=c|d,e é✓", "abcde"),
        ("a.b_c-d e", "a.b_c-d e"),
        ("x" * 999, "x" * 128),
        (True, "true"),
        (False, "false"),
        (1, "1"),
        (1.0, "1"),
        (-2.5, "-2.5"),
        (1e21, "1" + "0" * 21),
        (10**127, "1" + "0" * 127),
        (None, None),
    ],
)
def test_W8_W9_J10_dimension_values(value: Any, text: str | None) -> None:
    """Text as the browser agent cleans it, booleans in lower case, numbers without exponent; None: unset."""
    found, lost = context({"Visibility State": value})

    assert found.dimensions == (() if text is None else (("Visibility State", text),))
    assert lost == {}


def test_W9_unsanitised_dimension_values() -> None:
    """With sanitize off a value goes as it is."""
    found, _ = context({"Visibility State": "a&b=c|d,e é✓"}, sanitize=False)

    assert found.dimensions == (("Visibility State", "a&b=c|d,e é✓"),)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "  ",
        "✓",
        b"a",
        ["a"],
        (1,),
        {"a": 1},
        float("nan"),
        float("inf"),
        10**128,
        -(10**127),
        1e300,
        ...,
    ],
    ids=repr,
)
def test_dimension_values_without_a_place_are_counted(value: Any) -> None:
    """Each time anew, also for equal values that come again; and the rest of the context stands."""
    contexts, left_out = Contexts(settings()), Counter[str]()

    for times in (1, 2):
        found = contexts.context(
            {"Visibility State": value, "mpulse.page_group": "a"},
            None,
            DEFINITIONS,
            None,
            0,
            left_out,
            route=True,
        )
        assert (found, left_out) == (Context(page_group="a"), {"dimension": times})


@pytest.mark.parametrize(
    ("attributes", "keywords", "expected"),
    [
        ({"Country": "DE"}, {}, {"Country": "DE"}),
        ({"cdim.Country": "DE"}, {}, {"Country": "DE"}),
        ({"mpulse.dimension.Country": "DE"}, {}, {"Country": "DE"}),
        ({"geo.country": "DE"}, {"dimensions": {"geo.country": "Country"}}, {"Country": "DE"}),
        ({"country": "DE", "other": "x"}, {}, {}),
        ({"Country": "DE", "mpulse.dimension.Country": "FR"}, {}, {"Country": "FR"}),
        ({"Country": "DE", "geo": "FR"}, {"dimensions": {"geo": "Country"}}, {"Country": "FR"}),
        ({"cdim.Country": "DE", "Country": "FR"}, {}, {"Country": "FR"}),
        ({"Country": b"x", "cdim.Country": "FR"}, {}, {"Country": "FR"}),
        ({"Country": "DE"}, {"dimensions": {"Country": "Plan"}}, {"Plan": "DE"}),
        ({"cdim.Country": "DE"}, {"dimensions": {"cdim.Country": "Plan"}}, {"Plan": "DE"}),
        ({"geo": "DE"}, {"dimensions": {"geo": "nobody's"}}, {}),
    ],
)
def test_which_attribute_is_which_dimension(
    attributes: dict[str, Any], keywords: dict[str, Any], expected: dict[str, str]
) -> None:
    """By the explicit attribute, the setting, the name, the label, in this order; else it is not sent."""
    assert dict(context(attributes, definitions=TWO, **keywords)[0].dimensions) == expected


@pytest.mark.parametrize("known", [True, False], ids=["definitions known", "resolved later"])
def test_a_resource_says_what_its_spans_do_not(known: bool) -> None:
    """Attributes of the resource are dimensions, too; a span's own go first, whichever name they use."""
    found, lost = context(
        {"cdim.Country": "DE"},
        resource={"Country": "FR", "Plan": "pro", "other": b"x"},
        definitions=TWO if known else None,
    )

    assert resolved(found, TWO).dimensions == (("Country", "DE"), ("Plan", "pro"))
    assert lost == {}


@pytest.mark.parametrize(
    ("attributes", "expected", "left_out"),
    [
        ({}, PROCESS, 0),
        ({"session.id": "abc"}, Session("abc", NOW_UNIX_MS, 0), 0),
        (
            {"session.id": "abc", "mpulse.session.start_unix_ms": 123, "mpulse.session.length": 456},
            Session("abc", 123, 456),
            0,
        ),
        ({"session.id": "a", "mpulse.session.start_unix_ms": 0}, Session("a", 0, 0), 0),
        ({"session.id": "a", "mpulse.session.length": -1}, Session("a", NOW_UNIX_MS, 0), 0),
        ({"session.id": "a", "mpulse.session.length": "3"}, Session("a", NOW_UNIX_MS, 0), 0),
        ({"session.id": "a", "mpulse.session.start_unix_ms": True}, Session("a", NOW_UNIX_MS, 0), 0),
        ({"session.id": "a", "mpulse.session.start_unix_ms": 10**15}, Session("a", NOW_UNIX_MS, 0), 0),
        ({"mpulse.session.start_unix_ms": 5}, PROCESS, 0),
        ({"session.id": "x" * 999}, Session("x" * 128, NOW_UNIX_MS, 0), 0),
        ({"session.id": None}, PROCESS, 0),
        ({"session.id": ""}, PROCESS, 1),
        ({"session.id": 100}, PROCESS, 1),
        ({"session.id": True}, PROCESS, 1),
        ({"session.id": ["a"]}, PROCESS, 1),
    ],
)
def test_J11_sessions(attributes: dict[str, Any], expected: Session, left_out: int) -> None:
    """A session goes whole: id, start and length; what is no id leaves the process's session in force."""
    found, lost = context(attributes)

    assert (found.session, lost) == (expected, {"session": left_out} if left_out else {})


def test_a_sessions_start_is_when_it_was_first_seen() -> None:
    """Later spans of a session that tells no start have the start of its first."""
    contexts = Contexts(settings())

    starts = []
    for seen, session_id in ((1000, "a"), (2000, "b"), (3000, "a")):
        found = contexts.context({"session.id": session_id}, None, TWO, None, seen, Counter(), route=True)
        assert found.session is not None
        starts.append(found.session.start_unix_ms)

    assert starts == [1000, 2000, 1000]


def test_the_processs_session_ends_when_idle() -> None:
    """Each use keeps it alive; past the idle time there is a new one, starting then (section 8)."""
    ids = count(1)
    session = ProcessSession(lambda: f"s{next(ids)}", 0)

    found = [session.at(seconds * 1000, 1800) for seconds in (0, 1800, 3600, 5401)]

    assert found == [Session("s1", 0, 0)] * 3 + [Session("s2", 5401_000, 0)]


def test_equal_attributes_give_the_same_object() -> None:
    """Contexts are compared by the thousand: equal ones are one object, different types are different."""
    contexts = Contexts(settings())

    def of(value: Any) -> Context:
        attributes = {"Country": value, "unrelated": object()}
        return contexts.context(attributes, None, TWO, PROCESS, 0, Counter(), route=True)

    assert of("DE") is of("DE")
    assert of(1).dimensions == (("Country", "1"),)
    assert of(True).dimensions == (("Country", "true"),)
    assert of(1) is of(1)


def test_new_definitions_are_seen_at_once() -> None:
    """What was remembered under the old definitions is not used under the new."""
    contexts, attributes = Contexts(settings()), {"Country": "DE", "Tier": "gold"}
    newer = Definitions(dimensions={"Tier": "cdim.Tier"})

    found = [
        contexts.context(attributes, None, definitions, None, 0, Counter(), route=True).dimensions
        for definitions in (TWO, newer, TWO)
    ]

    assert found == [(("Country", "DE"),), (("Tier", "gold"),), (("Country", "DE"),)]


def test_memory_is_bounded() -> None:
    """Endless different sessions, values and lengths do not stay in memory."""
    contexts = Contexts(settings())
    for number in range(10_000):
        attributes = {"session.id": f"s{number}", "Country": "x" * 10_000 + str(number)}
        contexts.context(attributes, None, TWO, None, number, Counter(), route=True)

    held = sum(sys.getsizeof(part) for key in contexts._memory.contexts for part in _texts(key))
    assert held < 10_000_000
    assert len(contexts._starts) <= 4096


def _texts(key: object) -> list[str]:
    """The texts in a nested key."""
    if isinstance(key, str):
        return [key]
    return [text for part in key for text in _texts(part)] if isinstance(key, tuple) else []
