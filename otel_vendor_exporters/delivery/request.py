"""
The values of delivery: what is kept, what goes out, what comes back, what became of it.

Pure. Nothing here knows a vendor.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Any, Generic, TypeVar
from weakref import WeakSet

from otel_vendor_exporters.errors import RefusedError, TransportError

U = TypeVar("U")  # the vendor's unit: the smallest thing it counts


_MOST_WORDS = 100
# Dropped, and nothing is missing: its amount goes along with a later item, or it came about before.
_LIVES_ON = frozenset({"carried", "already_merged"})


def _empty() -> Mapping[str, Any]:  # a default that dataclasses accept and nobody can change
    return MappingProxyType({})


class Item(Generic[U]):
    """
    One unit that waits for delivery, with what delivery must know of it.

    `expires_at_unix_ms` is None for what never gets too old. Items with equal `merge_key` become one while
    they wait. Items with `first` leave before the others. `subjects` are whose data it is, for those who
    want theirs taken out. `ticket` belongs to a caller who waits for the outcome. `on_loss` is called with
    the reason when the item is refused or dropped: under a lock, so it is quick and raises nothing.
    `inherited` says that another process kept it. `row` is the durable spool's.
    """

    __slots__ = (
        *("expires_at_unix_ms", "first", "inherited", "merge_key", "on_loss", "row", "size_bytes"),
        *("subjects", "ticket", "unit"),
    )

    def __init__(
        self,
        unit: U,
        size_bytes: int,
        *,
        expires_at_unix_ms: float | None = None,
        merge_key: Hashable | None = None,
        first: bool = False,
        subjects: tuple[str, ...] = (),
        ticket: Ticket | None = None,
        on_loss: Callable[[str], None] | None = None,
        inherited: bool = False,
    ) -> None:
        self.unit = unit
        self.size_bytes = size_bytes
        self.expires_at_unix_ms = expires_at_unix_ms
        self.merge_key = merge_key
        self.first = first
        self.subjects = subjects
        self.ticket = ticket
        self.on_loss = on_loss
        self.inherited = inherited
        self.row = 0


@dataclass(frozen=True, slots=True)
class Request:
    """
    One HTTP request, complete with address and credentials: made at the moment of sending.

    `repeatable` says that it does no harm when it arrives twice.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=_empty)
    body: bytes | None = None
    repeatable: bool = False


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
    """
    Items that travel in one request. `content` is the vendor's; `cost` is in the vendor's rate units.

    Parcels that share one of their `keys` are sent in order, one after the other.
    """

    items: Sequence[Item[U]]
    content: object
    cost: float = 1.0
    keys: frozenset[Hashable] = frozenset()


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
    """
    The outcome for some items of a parcel. `reason` is a short ledger word, `words` is for people.

    `parts` are what a single item is to be replaced by, which was too large: with DIVIDE. `erase`: no byte of
    the items is to be left on a disk, once they are settled.
    """

    items: Sequence[Item[U]]
    outcome: Outcome
    reason: str = ""
    words: str = ""
    wait_seconds: float | None = None
    parts: Sequence[Item[U]] = ()
    erase: bool = False


class _Mortal:
    """What may be referred to weakly."""

    __slots__ = ("__weakref__",)


@dataclass(slots=True, eq=False)
class Ticket(_Mortal):
    """
    Counts what became of the items of one caller. Guarded by the lock of its Delivery.

    Callers whose items became one all hear what becomes of it. They are referred to weakly: who has stopped
    waiting is forgotten, however many there are.
    """

    expected: int
    delivered: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)
    held_by: str = ""  # why what waits does
    _companions: WeakSet[Ticket] | None = None

    @property
    def settled(self) -> int:
        """How many items have an outcome."""
        return self.delivered + sum(self.refused.values()) + sum(self.dropped.values())

    def join(self, other: Ticket) -> None:
        """The item of another caller, with those who joined that, has become one with the item of this."""
        if self._companions is None:
            self._companions = WeakSet()
        self._companions.update(tuple(other.everyone()))

    def everyone(self) -> Iterator[Ticket]:
        """This ticket, and those of the others who still want to hear."""
        yield self
        yield from self._companions or ()

    def deliver(self) -> None:
        """One item arrived."""
        for one in self.everyone():
            one.delivered += 1

    def refuse(self, reason: str, words: str) -> None:
        """One item was refused."""
        for one in self.everyone():
            one.refused[reason] = one.refused.get(reason, 0) + 1
            one._hear(words)

    def drop(self, reason: str, words: str) -> None:
        """One item was given up."""
        for one in self.everyone():
            one.dropped[reason] = one.dropped.get(reason, 0) + 1
            one._hear(words)

    def hold(self, held_by: str) -> None:
        """One item waits on; `held_by` is what its callers could mend."""
        for one in self.everyone():
            one.held_by = held_by

    def divide(self, parts: int) -> None:
        """One item was replaced by so many parts."""
        for one in self.everyone():
            one.expected += parts - 1

    def _hear(self, words: str) -> None:
        if words and words not in self.words and len(self.words) < _MOST_WORDS:
            self.words.append(words)

    def receipt(self) -> Receipt:
        """The counts as a value."""
        waiting = self.expected - self.settled
        return Receipt(
            delivered=self.delivered,
            refused=MappingProxyType(dict(self.refused)),
            dropped=MappingProxyType(dict(self.dropped)),
            waiting=waiting,
            words=(*self.words, self.held_by) if self.held_by and waiting else tuple(self.words),
        )


@dataclass(frozen=True, slots=True)
class Receipt:
    """
    What became of everything handed over in one call; `refused` and `dropped` are counts by reason.

    `words` are what the vendor said of what is lost, each once, and of what waits for right settings.
    """

    delivered: int = 0
    refused: Mapping[str, int] = field(default_factory=_empty)
    dropped: Mapping[str, int] = field(default_factory=_empty)
    waiting: int = 0
    words: tuple[str, ...] = ()

    def raise_for_losses(self) -> None:
        """
        Raise unless everything was delivered, or will be with something later.

        RefusedError names what was refused or dropped and why; TransportError counts what still waits
        (it goes on being tried in the background).
        """
        lost = [
            f"{count} {reason}"
            for reasons in (self.refused, self.dropped)
            for reason, count in reasons.items()
            if reason not in _LIVES_ON
        ]
        if lost:
            raise RefusedError(
                "not delivered: " + ", ".join(lost) + "".join(f"; {one}" for one in self.words)
            )
        if self.waiting:
            raise TransportError("; ".join((f"no answer yet: {self.waiting} waiting", *self.words)))
