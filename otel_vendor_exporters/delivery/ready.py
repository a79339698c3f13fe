"""
Ready: parcels that are packed and not yet under way, in order.

Rule: parcels that share a key leave in the order in which they were packed, and never two at once: a later
one waits until the outcome of the earlier one is known. Parcels without keys wait for nobody.
Not thread-safe: `Delivery` holds its lock around each call.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterator, Sequence
from typing import Generic

from otel_vendor_exporters.delivery.request import Parcel, U


class Ready(Generic[U]):
    """A queue of parcels."""

    def __init__(self) -> None:
        self._parcels: deque[Parcel[U]] = deque()
        self._under_way: set[Hashable] = set()  # keys

    def __len__(self) -> int:
        """How many parcels there are."""
        return len(self._parcels)

    @property
    def has_own(self) -> bool:
        """Whether there is something in them that this process has kept itself."""
        return any(not item.inherited for parcel in self._parcels for item in parcel.items)

    @property
    def is_held(self) -> bool:
        """Whether something with keys is under way: it may come back, to go before what waits."""
        return bool(self._under_way)

    def add(self, parcels: Sequence[Parcel[U]], *, in_front: bool = False) -> None:
        """Put parcels behind the others, or before them."""
        if in_front:
            self._parcels.extendleft(reversed(parcels))
        else:
            self._parcels.extend(parcels)

    def next(self) -> Parcel[U] | None:
        """The first parcel that may leave."""
        if not self._under_way:
            return self._parcels[0] if self._parcels else None
        held = set(self._under_way)
        for parcel in self._parcels:
            if held.isdisjoint(parcel.keys):
                return parcel
            held |= parcel.keys
        return None

    def leave(self, parcel: Parcel[U]) -> None:
        """The parcel is about to go out."""
        if self._parcels[0] is parcel:
            self._parcels.popleft()
        else:
            self._parcels.remove(parcel)
        self._under_way |= parcel.keys

    def return_of(self, parcel: Parcel[U]) -> None:
        """The outcome of a parcel that left is known."""
        self._under_way -= parcel.keys

    def empty(self) -> Iterator[Parcel[U]]:
        """Remove all, the last one first."""
        while self._parcels:
            yield self._parcels.pop()
