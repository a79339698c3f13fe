"""What is written to a spool file is read again as the same unit, and holds no key."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_vendor_exporters.mparticle_analytics.codec import UnitCodec
from otel_vendor_exporters.mparticle_analytics.units import Unit
from otel_vendor_exporters.mparticle_analytics.wire import Alias, AnalyticsEvent, Delete, Identify, Suppress

CODEC = UnitCodec()
NOW = 1_700_000_000_999
TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=100)


@given(TEXTS, TEXTS, st.text(max_size=50))
def test_every_unit_comes_back(user: str, other: str, value: str) -> None:
    """Whatever ids and properties hold, line breaks included."""
    event = AnalyticsEvent(other, user, {"a": value})
    units = [
        event.unit(NOW),
        event.get_unit(NOW),
        Identify(user, {"a": value, "b": 1}).unit(),
        Suppress(user).unit(),
        Delete(user).unit(),
        *([Alias(user, other).unit()] if user != other else []),
    ]

    assert [CODEC.decode(CODEC.encode(unit)) for unit in units] == units


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"event",
        b"event\n",
        b"event\n[]",
        b"event\n{}",
        b'event\n{"eventUniqueId":1}',
        b'event\n{"eventUniqueId":""}',
        b'event\n{"eventUniqueId":"\xff"}',
        b"event\n" + b"[" * 100_000,
        b'nothing\n{"uniqueId":"u"}',
        b'alias\n{"previousId":"a"}',
        b"event by GET\neventName=e",
        b"\xff\n{}",
    ],
)
def test_what_nobody_wrote_is_refused(body: bytes) -> None:
    """A damaged or foreign row is a ValueError, and so counted as unreadable."""
    with pytest.raises(ValueError):  # noqa: PT011  json's and unicode's own are ValueErrors, too
        CODEC.decode(body)


@pytest.mark.parametrize(
    ("unit", "subjects"),
    [
        (AnalyticsEvent("e", "u").unit(NOW), ("u",)),
        (Alias("a", "b").unit(), ("a", "b")),
        (Delete("u").unit(), ()),
        (Suppress("u").unit(), ()),
    ],
)
def test_A12_whose_data_a_unit_is(unit: Unit, subjects: tuple[str, ...]) -> None:
    """A removal is nobody's data: another one does not take it out."""
    assert CODEC.subjects(unit) == subjects
    assert CODEC.merge_key(unit) is None  # type: ignore[func-returns-value]  # that is the point
