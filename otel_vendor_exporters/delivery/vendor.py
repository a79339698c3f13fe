"""
What Delivery asks of a vendor, and what follows when a vendor's callback is at fault.

Rule: whatever a callback raises or forgets, every item has exactly one verdict, and nothing spins.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Protocol

from otel_vendor_exporters.delivery.notices import Notices
from otel_vendor_exporters.delivery.request import Item, Outcome, Parcel, Reply, Request, U, Verdict

FAULT_PAUSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Packed(Generic[U]):
    """Parcels made of items, and verdicts on those that can never travel."""

    parcels: Sequence[Parcel[U]]
    verdicts: Sequence[Verdict[U]] = ()


class Vendor(Protocol[U]):
    """What Delivery asks of a vendor. Called on sender threads; `request` and `judge` on several at once."""

    name: str

    def prepare(self, timeout_seconds: float, *, hurry: bool) -> float:
        """Fetch what sending needs; 0 when ready, else seconds until asking again. Hurry: try now."""
        ...

    def pack(self, items: Sequence[Item[U]]) -> Packed[U]:
        """Parcels for `items`, each item in exactly one parcel or verdict."""
        ...

    def request(self, parcel: Parcel[U]) -> Request | None:
        """The request, with credentials as they are now; None when `prepare` must come first."""
        ...

    def judge(self, parcel: Parcel[U], reply: Reply) -> Sequence[Verdict[U]]:
        """What the reply means, for every item of the parcel."""
        ...

    def renew_after_fork(self) -> None:
        """Forget what belongs to the parent process."""
        ...


class Callbacks(Generic[U]):
    """A vendor's callbacks with their faults turned into values. Never raises; called without a lock."""

    def __init__(self, vendor: Vendor[U], notices: Notices) -> None:
        self._vendor = vendor
        self._notices = notices

    def prepare(self, timeout_seconds: float, *, hurry: bool) -> float:
        """Seconds until the vendor is to be asked again; 0 when it is ready."""
        try:
            return self._vendor.prepare(timeout_seconds, hurry=hurry)
        except Exception as fault:  # noqa: BLE001  a fault of ours must not end the thread
            self._say(fault, "what waits is kept")
            return FAULT_PAUSE_SECONDS

    def pack(self, items: Sequence[Item[U]]) -> Packed[U]:
        """Parcels for `items`; those that cannot be packed are found by halving, and dropped."""
        try:
            packed = self._vendor.pack(items)
        except Exception as fault:  # noqa: BLE001  a fault of ours must neither end the thread nor lose count
            if len(items) > 1:
                return _joined(self.pack(half) for half in halves(items))
            self._say(fault, "items are dropped")
            return Packed((), [_dropped(items)])
        groups = [*(parcel.items for parcel in packed.parcels), *(one.items for one in packed.verdicts)]
        missing = _missing(items, groups)
        return replace(packed, verdicts=[*packed.verdicts, _dropped(missing)]) if missing else packed

    def repacked(self, verdicts: Iterable[Verdict[U]]) -> list[Packed[U]]:
        """What is to go again in halves, half by half."""
        divided = [verdict.items for verdict in verdicts if is_divisible(verdict)]
        return [self.pack(half) for items in divided for half in halves(items)]

    def verdicts(
        self, parcel: Parcel[U], exchange: Callable[[Request], Reply]
    ) -> tuple[Sequence[Verdict[U]], bool]:
        """What became of a parcel that `exchange` sent, and whether it could be sent."""
        try:
            request = self._vendor.request(parcel)
            if request is None:
                return [Verdict(parcel.items, Outcome.LATER)], False
            verdicts = self._vendor.judge(parcel, exchange(request))
        except Exception as fault:  # noqa: BLE001  a fault of ours must neither end the thread nor lose count
            self._say(fault, "items are dropped")
            return [_dropped(parcel.items)], True
        missing = _missing(parcel.items, [verdict.items for verdict in verdicts])
        return ([*verdicts, _dropped(missing)] if missing else verdicts), True

    def _say(self, fault: Exception, follows: str) -> None:
        text = "%s: a fault in this library; %s"
        self._notices.say("fault", logging.ERROR, text, self._vendor.name, follows, error=fault)


def halves(items: Sequence[Item[U]]) -> tuple[Sequence[Item[U]], Sequence[Item[U]]]:
    """The first half and the second."""
    return items[: len(items) // 2], items[len(items) // 2 :]


def is_divisible(verdict: Verdict[U]) -> bool:
    """Whether the items of a verdict are to go again in halves."""
    return verdict.outcome is Outcome.DIVIDE and len(verdict.items) > 1


def _joined(parts: Iterable[Packed[U]]) -> Packed[U]:
    parts = list(parts)
    return Packed(
        [parcel for part in parts for parcel in part.parcels],
        [verdict for part in parts for verdict in part.verdicts],
    )


def _dropped(items: Sequence[Item[U]]) -> Verdict[U]:
    return Verdict(items, Outcome.DROPPED, "internal_error")


def _missing(items: Sequence[Item[U]], groups: Sequence[Sequence[Item[U]]]) -> list[Item[U]]:
    """Items that a vendor forgot. Looked for only when the numbers differ: this runs for every parcel."""
    if sum(map(len, groups)) >= len(items):
        return []
    found = {id(item) for group in groups for item in group}
    return [item for item in items if id(item) not in found]
