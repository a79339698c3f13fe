"""The codec: every unit is read again as it was written, and nothing else is taken for one."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as some

from otel_vendor_exporters.mpulse.codec import UnitCodec
from otel_vendor_exporters.mpulse.units import Context, How, Reading, Session, Timing, Unit

CODEC = UnitCodec()
texts = some.text(max_size=20)
whole = some.integers(-(2**53), 2**53)
contexts = some.builds(
    Context,
    page_group=some.none() | texts,
    ab_test=some.none() | texts,
    session=some.none() | some.builds(Session, texts, whole, whole),
    dimensions=some.lists(some.tuples(texts, texts), max_size=4).map(tuple),
    resolved=some.booleans(),
)
timings = some.builds(Timing, texts, whole, whole, contexts)
readings = some.builds(
    Reading,
    texts,
    some.sampled_from(How),
    whole | some.floats(allow_nan=False, allow_infinity=False),
    whole,
    whole,
    contexts,
)


@given(timings | readings)
def test_reads_what_it_wrote(unit: Unit) -> None:
    """Whatever a name, a value or a dimension holds, the unit comes back equal and of its kind."""
    found = CODEC.decode(CODEC.encode(unit))

    assert found == unit
    assert type(found) is type(unit)
    assert CODEC.merge_key(found) == CODEC.merge_key(unit)
    assert hash(found) == hash(unit)


def test_lone_surrogates_survive() -> None:
    """Names that came from bytes that are no UTF-8 are written all the same."""
    unit = Timing("caf\udce9", 1, 2, Context(page_group="\ud800"))

    assert CODEC.decode(CODEC.encode(unit)) == unit


def test_writes_neither_key_nor_crumb() -> None:
    """A unit is all there is: name, value, time and context."""
    body = CODEC.encode(Timing("Checkout", 12, 1_700_000_000_000, Context(dimensions=(("Country", "DE"),))))

    expected = ["timing", "Checkout", 12, 1_700_000_000_000, [None, None, None, [["Country", "DE"]], True]]
    assert json.loads(body) == expected


def test_only_readings_of_one_metric_and_context_merge() -> None:
    """Timings never do."""
    context = Context(page_group="a")
    one = Reading("Orders", How.ADD, 1, 1, 5, context)

    assert CODEC.merge_key(Timing("Checkout", 1, 2, context)) is None
    assert CODEC.merge_key(one) == CODEC.merge_key(one._replace(value=3, end_unix_ms=9))
    assert CODEC.merge_key(one) != CODEC.merge_key(one._replace(context=Context()))
    assert CODEC.merge_key(one) != CODEC.merge_key(one._replace(how=How.LAST))


GOOD = json.loads(CODEC.encode(Timing("Checkout", 12, 5, Context(session=Session("s", 1, 2)))))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"5",
        b"[]",
        b"{}",
        b'["timing"]',
        b"[" * 100_000,
        json.dumps(["span", *GOOD[1:]]).encode(),
        json.dumps([GOOD[0], 5, *GOOD[2:]]).encode(),
        json.dumps([*GOOD[:2], "12", *GOOD[3:]]).encode(),
        json.dumps([*GOOD[:2], True, *GOOD[3:]]).encode(),
        json.dumps([*GOOD[:2], 1.5, *GOOD[3:]]).encode(),
        json.dumps([*GOOD[:3], None, GOOD[4]]).encode(),
        json.dumps([*GOOD[:4], None]).encode(),
        json.dumps([*GOOD[:4], [1, None, None, [], True]]).encode(),
        json.dumps([*GOOD[:4], [None, None, ["s"], [], True]]).encode(),
        json.dumps([*GOOD[:4], [None, None, None, [["a"]], True]]).encode(),
        b'["reading","Orders",["no such",1,1],5,[null,null,null,[],true]]',
        b'["reading","Orders",["add","1",1],5,[null,null,null,[],true]]',
    ],
)
def test_refuses_everything_else(body: bytes) -> None:
    """A damaged or strange body is a ValueError, never another error or a strange unit."""
    with pytest.raises(ValueError):  # noqa: PT011  the kind is the promise
        CODEC.decode(body)


@given(some.binary(max_size=60) | some.text(max_size=60).map(str.encode))
def test_no_body_breaks_it(body: bytes) -> None:
    """Any bytes are a unit or a ValueError."""
    try:
        found = CODEC.decode(body)
    except ValueError:
        return
    assert isinstance(found, (Timing, Reading))
