"""Any value as the text mParticle stores, and its limits."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_vendor_exporters.errors import EncodingError
from otel_vendor_exporters.mparticle.texts import (
    attribute_texts,
    cut,
    plain_texts,
    text_of,
    user_attribute_texts,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        (True, "true"),
        (False, "false"),
        (3, "3"),
        (2**70, "1180591620717411303424"),
        (1.5, "1.5"),
        (1e300, "1e+300"),
        (float("nan"), "NaN"),
        (float("inf"), "Infinity"),
        (float("-inf"), "-Infinity"),
        (b"\x00\xff", "AP8="),
        (("a", None, 1), '["a",null,1]'),
        ({"k": {"n": float("nan"), "b": b"\x00"}, "é": 1.5}, '{"k":{"n":"NaN","b":"AA=="},"é":1.5}'),
        (Decimal("1.50"), "1.50"),
    ],
)
def test_every_value_has_one_text(value: object, text: str) -> None:
    """Scalars, bytes, lists and maps are written as the contract says."""
    assert text_of(value) == text


def test_an_integer_too_long_for_python_has_a_text() -> None:
    """`str()` refuses integers of more than 4300 digits; an attribute may hold one all the same."""
    assert text_of(10**5000) == "1" + "0" * 5000


def test_a_list_that_holds_itself_is_refused() -> None:
    """What has no end has no text, and does not end the program either."""
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(EncodingError, match="holds itself"):
        text_of(endless)


def test_attributes_are_cut_and_counted() -> None:
    """Names have 256 characters, values 4096, events 100 attributes; None is left out."""
    cut_down = attribute_texts({"k" * 300: "v" * 5000, "none": None, "n": 1})
    assert cut_down == {"k" * 256: "v" * 4096, "n": "1"}
    assert list(attribute_texts({f"a{n}": n for n in range(150)})) == [f"a{n}" for n in range(100)]


def test_names_that_are_sent_alike_are_one() -> None:
    """Halves of characters are question marks on the wire: no object holds a name twice."""
    names = {chr(0xD800): 1, chr(0xDC00): 2, "?": 3, "é": 4}
    for texts in (attribute_texts(names), user_attribute_texts(names), plain_texts(names)):
        assert texts == {"?": "3", "é": "4"}


def test_user_attributes_keep_their_lists() -> None:
    """A list has at most 1000 entries of 512 characters; anything else is a text."""
    texts = user_attribute_texts({"list": ["x" * 600, None, 2], "long": [1] * 2000, "map": {"a": 1}})
    assert texts["list"] == ["x" * 512, "2"]
    assert len(texts["long"]) == 1000
    assert texts["map"] == '{"a":1}'


def test_flags_have_no_limit() -> None:
    """No limit is documented for custom flags, so none is set."""
    assert plain_texts({"f": "x" * 5000, "none": None}) == {"f": "x" * 5000}


@given(st.text(), st.integers(min_value=0, max_value=30))
def test_a_cut_counts_utf16_and_halves_no_character(text: str, most: int) -> None:
    """The beginning of the text, as long as the server's limit allows, and no longer."""
    short = cut(text, most)
    units = len(short.encode("utf-16-le", "surrogatepass")) // 2
    assert text.startswith(short)
    assert units <= most
    if short != text:
        following = text[len(short)]
        assert units + (2 if ord(following) > 0xFFFF else 1) > most
