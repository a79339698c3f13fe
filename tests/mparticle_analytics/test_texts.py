"""Any value as a text of Analytics: cut, joined, flattened, or left out with a count."""

from __future__ import annotations

import math
from collections import Counter
from enum import Enum
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_vendor_exporters.mparticle_analytics.texts import cut, fits, has_lone_surrogate, property_texts

ASTRAL = "\N{GRINNING FACE}"


class Plan(str, Enum):
    PRO = "pro"


class Mute:
    def __str__(self) -> str:
        raise RuntimeError


def texts_of(**properties: object) -> tuple[dict[str, str], dict[str, int]]:
    left_out: Counter[str] = Counter()
    return property_texts(properties, left_out), dict(left_out)


def test_A7_a_value_is_cut_at_255_characters() -> None:
    """A value of 300 characters keeps its first 255, and that is counted."""
    assert texts_of(a="x" * 300, b="y" * 255) == ({"a": "x" * 255, "b": "y" * 255}, {"value_cut": 1})


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("x" * 254 + ASTRAL, "x" * 254),
        ("x" * 253 + ASTRAL, "x" * 253 + ASTRAL),
        (ASTRAL * 128, ASTRAL * 127),
        ("x" * 254 + "\ud800" + "y", "x" * 254 + "\ud800"),
        ("é" * 256, "é" * 255),
    ],
)
def test_A7_no_character_is_cut_in_half(text: str, kept: str) -> None:
    """An astral character counts twice, and is cut off as a whole."""
    assert cut(text) == kept


def test_A8_values_become_texts() -> None:
    """Maps are flattened with dots, lists joined, bytes are base64; None and NaN are left out."""
    nan = math.nan

    texts, left_out = texts_of(a={"b": 1, "c": [1, "x", True]}, n=None, nan=nan, raw=b"\x00\xff")

    assert texts == {"a.b": "1", "a.c": "1,x,true", "raw": "AP8="}
    assert left_out == {"no_number": 1}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (-0.0, "-0.0"),
        (19.9, "19.9"),
        (1e300, "1e+300"),
        (2**64, "18446744073709551616"),
        (10**254, "1" + "0" * 254),
        (Plan.PRO, "pro"),
        (bytearray(b"a"), "YQ=="),
        ((1, None, 2.5), "1,2.5"),
        ((), ""),
        (MappingProxyType({}), None),
    ],
)
def test_scalars(value: object, text: str | None) -> None:
    """Each type has one text, in Python's shortest exact form."""
    assert texts_of(v=value) == ({} if text is None else {"v": text}, {})


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (math.inf, "no_number"),
        (10**255, "number_too_long"),
        pytest.param(1 << 100_000, "number_too_long", id="more digits than str() makes"),
        (Mute(), "no_text"),
    ],
)
def test_what_has_no_text_is_counted(value: object, reason: str) -> None:
    """A number is never cut to another number; what cannot be written is left out."""
    assert texts_of(v=value) == ({}, {reason: 1})


def test_lists_of_maps_are_flattened_by_position() -> None:
    """A list that holds maps or lists becomes one property for each scalar in it."""
    texts, _ = texts_of(items=[{"sku": "a"}, {"sku": "b", "tags": ["x", "y"]}, 3])

    assert texts == {"items.0.sku": "a", "items.1.sku": "b", "items.1.tags": "x,y", "items.2": "3"}


def test_there_are_bounds_to_everything() -> None:
    """200 properties, 8 levels; a list that contains itself and a long one end."""
    endless: list[object] = [1]
    endless.append(endless)
    deep: dict[str, object] = {}
    for _ in range(50):
        deep = {"d": deep, "x": 1}

    assert len(texts_of(**{f"p{n}": n for n in range(300)})[0]) == 200
    assert texts_of(**{f"p{n}": n for n in range(300)})[1] == {"too_many_properties": 1}
    assert texts_of(deep=deep)[1] == {"too_deep": 1}
    wide: list[object] = []
    for _ in range(10):
        wide = [wide] * 200  # 200 ** 10 lists, and not one scalar
    texts, left_out = texts_of(wide=wide)
    assert (texts, left_out["too_many_properties"]) == ({}, 1)
    assert texts_of(endless=endless)[1]["too_deep"] >= 1
    assert texts_of(long=[1] * 1_000_000) == ({"long": "1," * 127 + "1"}, {"value_cut": 1})
    assert texts_of(raw=bytes(1_000_000)) == ({"raw": "A" * 255}, {"value_cut": 1})


def test_names_that_become_equal_stay_one() -> None:
    """A dotted name and a nested one, or two that differ after 255 characters: the first stays, counted."""
    left_out: Counter[str] = Counter()
    properties: dict[str, object] = {"a.b": 1, "a": {"b": 2}, "n" * 255 + "x": 3, "n" * 255 + "y": 4, "": 5}

    assert property_texts(properties, left_out) == {"a.b": "1", "n" * 255: "3"}
    assert left_out == {"same_name": 2, "name_cut": 2, "no_name": 1}


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("", False),
        ("x", True),
        ("x" * 255, True),
        ("x" * 256, False),
        (ASTRAL * 127, True),
        (ASTRAL * 128, False),
    ],
)
def test_A6_names_and_ids_have_1_to_255_characters(text: str, right: bool) -> None:
    """What fits is said in UTF-16 units."""
    assert fits(text) is right


def test_half_a_character_is_seen() -> None:
    """A lone surrogate is found; what UTF-8 can hold is none."""
    assert has_lone_surrogate("a\ud83d")
    assert not has_lone_surrogate(f"a{ASTRAL}é")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=300) | st.binary(max_size=300),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=300), inner, max_size=5),
    max_leaves=30,
)


@given(st.dictionaries(st.text(max_size=300), VALUES, max_size=8))
def test_whatever_comes_the_limits_hold(properties: dict[str, object]) -> None:
    """No value raises, and every name and text is within the limits."""
    texts = property_texts(properties, Counter())

    assert len(texts) <= 200
    assert all(fits(name) for name in texts)
    assert all(len(text.encode("utf-16-le", "surrogatepass")) <= 510 for text in texts.values())
