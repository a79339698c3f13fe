"""
Carried: what is left of money when increments are rounded to cents. It goes along with the next increment.

Currency travels with two decimals ("Send custom data with mPulse"), and increments may be less than a cent.
Rule: what was delivered is the true sum less what is carried, whatever is sent again. So a beacon's remainder
is carried only when the beacon has arrived; until then it is foreseen, as long as there is the beacon.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType
from typing import TypeAlias
from weakref import WeakSet

from otel_vendor_exporters.mpulse.units import Context
from otel_vendor_exporters.mpulse.wire import cents, exact_sum

Key: TypeAlias = tuple[str, Context]  # a metric's label, and where it was counted
NOTHING_CARRIED: Mapping[Key, Decimal] = MappingProxyType({})
_MOST_KEYS = 2000  # bounded memory: past it the oldest remainder is forgotten, mostly less than a cent
_ZERO = Decimal(0)


class Remainders:
    """What a beacon's increments come to beyond what it says. Lives as long as the beacon does."""

    __slots__ = ("__weakref__", "amounts")

    def __init__(self, amounts: Sequence[tuple[Key, Decimal]] = ()) -> None:
        self.amounts = amounts


NO_REMAINDERS = Remainders()


class Carried:
    """The remainders of one app, by metric and context. Any thread may call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._amounts: OrderedDict[Key, Decimal] = OrderedDict()
        # Weakly: delivery may unpack a beacon that has not left, and then nobody hears of it again.
        self._foreseen: WeakSet[Remainders] = WeakSet()

    def snapshot(self) -> Mapping[Key, Decimal]:
        """What is to be added to the next increments, if all beacons there are arrive."""
        with self._lock:
            if not self._amounts and not self._foreseen:
                return NOTHING_CARRIED
            amounts = dict(self._amounts)
            for remainders in self._foreseen:
                for key, amount in remainders.amounts:
                    amounts[key] = exact_sum((amounts.get(key, _ZERO), amount))
            return amounts

    def add(self, amounts: Iterable[tuple[Key, Decimal]]) -> None:
        """Carry these amounts, too."""
        with self._lock:
            self._add(amounts)

    def foresee(self, remainders: Remainders) -> None:
        """There is a beacon that leaves these."""
        if remainders.amounts:
            with self._lock:
                self._foreseen.add(remainders)

    def settle(self, remainders: Remainders, *, delivered: bool) -> None:
        """The beacon has arrived; or it has not, and what it held is packed anew, or lost."""
        if remainders.amounts:
            with self._lock:
                self._foreseen.discard(remainders)
                self._add(remainders.amounts if delivered else ())

    def _add(self, amounts: Iterable[tuple[Key, Decimal]]) -> None:
        for key, amount in amounts:
            total = exact_sum((self._amounts.pop(key, _ZERO), amount))
            if total:
                self._amounts[key] = total
        while len(self._amounts) > _MOST_KEYS:
            self._amounts.popitem(last=False)


class Rounding:
    """Rounds the increments of one packing, one after the other: each takes over what the last has left."""

    def __init__(self, carried: Mapping[Key, Decimal]) -> None:
        self._before = carried
        self._now: dict[Key, Decimal] = {}

    def round(self, key: Key, amount: Decimal) -> Decimal | None:
        """
        Whole cents for `amount` and what was carried; None when there is nothing to send, and all is carried.

        Never the other way than `amount`: too much sent is made up for by sending nothing for a while. An
        amount of exactly zero is one that somebody wanted to be sent.
        """
        if not amount:
            return cents(amount)
        carried = self._now.get(key)
        total = exact_sum((self._before.get(key, _ZERO) if carried is None else carried, amount))
        sent = cents(total)
        if not sent or (sent > 0) != (amount > 0):
            self._now[key] = total
            return None
        self._now[key] = exact_sum((total, -sent))
        return sent
