"""
Units: what is kept for mParticle Analytics. One event or one call, with the users it is about.

The content is the JSON that goes out, without the API key: it is written once, when the unit is made, so that
a queue of any kind holds nothing but texts and bytes, a batch is put together by joining, and its size is
known. A named tuple, not a dataclass: one is made for every record, in a third of the time.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Kind(Enum):
    """What a unit asks for; the value is the last part of its path."""

    EVENT = "event"
    GET_EVENT = "event by GET"  # the only one whose content is a query, not JSON
    IDENTIFY = "identify"
    ALIAS = "alias"
    SUPPRESS = "suppress"
    DELETE = "delete"


EVENTS = frozenset({Kind.EVENT, Kind.GET_EVENT})
REMOVALS = frozenset({Kind.SUPPRESS, Kind.DELETE})  # what a later removal does not remove


class Unit(NamedTuple):
    """One event or call. `users` are the ids in it: units that share one keep their order."""

    kind: Kind
    users: tuple[str, ...]
    content: bytes
