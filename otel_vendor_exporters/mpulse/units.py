"""
Units: what is kept for mPulse. One timing, or one reading of a metric, by name.

Labels, packing and credentials come at the moment of sending, from the configuration as it is then. These
are named tuples, not dataclasses: they are made for every span, and a tuple is made in a third of the time.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple, TypeAlias


class Session(NamedTuple):
    """A visitor's session, sent whole: rt.si, rt.ss (ms since the epoch) and rt.sl (page views)."""

    id: str
    start_unix_ms: int
    length: int


class Context(NamedTuple):
    """
    What one beacon can say only once: page group, A/B bucket, session and dimensions.

    `dimensions` are pairs of dimension name and value. Before the app's definitions are known
    (`resolved` is False) they are pairs of attribute name and value, for all attributes.
    """

    page_group: str | None = None
    ab_test: str | None = None
    session: Session | None = None
    dimensions: tuple[tuple[str, str], ...] = ()
    resolved: bool = True


class Timing(NamedTuple):
    """One value of a custom timer, in whole milliseconds."""

    name: str
    milliseconds: int
    end_unix_ms: int
    context: Context


class How(Enum):
    """What a reading is, and so how two of them become one."""

    ADD = "add"  # a counter's increment: adds up
    LEVEL = "level"  # an up-down counter: the last value, added up over attributes
    LAST = "last"  # a gauge: the last value
    MEAN = "mean"  # a histogram as a timer: sum in ms and how many; sends the mean


class Reading(NamedTuple):
    """
    One reading of a metric instrument. `samples` matters to MEAN only.

    `other` is set for durations that were kept before the definitions were known, as a metric and as a
    timer: it is the name of the other one. Only what is defined of the two is sent.
    """

    name: str
    how: How
    value: float
    samples: int
    end_unix_ms: int
    context: Context
    other: str = ""


Unit: TypeAlias = "Timing | Reading"


def later_and_older(older: Unit, newer: Unit) -> Unit:
    """Two readings of one name and context, made at different times, as one."""
    assert isinstance(older, Reading)  # timings have no merge key
    assert isinstance(newer, Reading)
    if older.how in (How.ADD, How.MEAN):
        return _summed(older, newer)
    return max(newer, older, key=lambda reading: reading.end_unix_ms)


def side_by_side(one: Reading, other: Reading) -> Reading:
    """Two readings of one name and context that differed in attributes without a dimension, as one."""
    if one.how is How.LAST or (one.how is How.LEVEL and one.end_unix_ms != other.end_unix_ms):
        return max(other, one, key=lambda reading: reading.end_unix_ms)
    return _summed(one, other)


def _summed(one: Reading, other: Reading) -> Reading:
    return one._replace(
        value=one.value + other.value,
        samples=one.samples + other.samples,
        end_unix_ms=max(one.end_unix_ms, other.end_unix_ms),
    )
