"""
The values of delivery: what is kept, what goes out, what comes back, what became of it.

Pure. Nothing here knows a vendor.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from otel_vendor_exporters.errors import RefusedError, TransportError

U = TypeVar("U")  # the vendor's unit: the smallest thing it counts


def _empty() -> Mapping[str, Any]:  # a default that dataclasses accept and nobody can change
    return MappingProxyType({})


class Item(Generic[U]):
    """
    One unit that waits for delivery, with what delivery must know of it.

    `expires_at_unix_ms` is None for what never gets too old. Items with equal `merge_key` become one while
    they wait. Items with `first` leave before the others. `ticket` belongs to a caller who waits for the
    outcome.
    """

    __slots__ = ("expires_at_unix_ms", "first", "merge_key", "size_bytes", "ticket", "unit")

    def __init__(
        self,
        unit: U,
        size_bytes: int,
        *,
        expires_at_unix_ms: float | None = None,
        merge_key: Hashable | None = None,
        first: bool = False,
        ticket: Ticket | None = None,
    ) -> None:
        self.unit = unit
        self.size_bytes = size_bytes
        self.expires_at_unix_ms = expires_at_unix_ms
        self.merge_key = merge_key
        self.first = first
        self.ticket = ticket


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, complete with address and credentials: made at the moment of sending."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=_empty)
    body: bytes | None = None


class Failure(Enum):
    """Why there is no answer."""

    NOT_SENT = "not sent"  # nothing reached the vendor: DNS, refused connection, TLS, proxy
    NO_ANSWER = "no answer"  # it may have reached the vendor: timeout or reset after sending


@dataclass(frozen=True, slots=True)
class Reply:
    """
    What came back: an answer (`status`, `headers`, `body`), or a `failure` with status 0.

    Header names are lower case. `truncated` says that the body went on past the bound.
    """

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=_empty)
    body: bytes = b""
    truncated: bool = False
    failure: Failure | None = None
    words: str = ""  # the failure in one line, without URL or credentials


@dataclass(frozen=True, slots=True)
class Parcel(Generic[U]):
    """Items that travel in one request. `content` is the vendor's; `cost` is in the vendor's rate units."""

    items: Sequence[Item[U]]
    content: object
    cost: float = 1.0


class Outcome(Enum):
    """What a reply means for what was sent."""

    DELIVERED = "delivered"
    REFUSED = "refused"  # never again
    LATER = "later"  # again, after a pause
    LATER_SLOWLY = "later, slowly"  # again, but the settings look wrong: long pauses
    DIVIDE = "divide"  # again, in halves
    DROPPED = "dropped"  # gone, though the vendor did not say no: reason tells why


@dataclass(frozen=True, slots=True)
class Verdict(Generic[U]):
    """The outcome for some items of a parcel. `reason` is a short ledger word, `words` is for people."""

    items: Sequence[Item[U]]
    outcome: Outcome
    reason: str = ""
    words: str = ""
    wait_seconds: float | None = None


@dataclass(slots=True)
class Ticket:
    """Counts what became of the items of one caller. Guarded by the lock of its Delivery."""

    expected: int
    delivered: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)

    @property
    def settled(self) -> int:
        """How many items have an outcome."""
        return self.delivered + sum(self.refused.values()) + sum(self.dropped.values())

    def receipt(self) -> Receipt:
        """The counts as a value."""
        return Receipt(
            delivered=self.delivered,
            refused=MappingProxyType(dict(self.refused)),
            dropped=MappingProxyType(dict(self.dropped)),
            waiting=self.expected - self.settled,
        )


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of everything handed over in one call; `refused` and `dropped` are counts by reason."""

    delivered: int = 0
    refused: Mapping[str, int] = field(default_factory=_empty)
    dropped: Mapping[str, int] = field(default_factory=_empty)
    waiting: int = 0

    def raise_for_losses(self) -> None:
        """
        Raise unless everything was delivered.

        RefusedError names what was refused or dropped and why; TransportError counts what still waits
        (it goes on being tried in the background).
        """
        lost = [
            f"{count} {reason}"
            for reasons in (self.refused, self.dropped)
            for reason, count in reasons.items()
        ]
        if lost:
            raise RefusedError("not delivered: " + ", ".join(lost))
        if self.waiting:
            raise TransportError(f"no answer yet: {self.waiting} waiting")
