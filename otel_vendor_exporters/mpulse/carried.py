"""
Carried: what is left of money when increments are rounded to cents. It goes along with the next increment.

Currency travels with two decimals ("Send custom data with mPulse"), and increments may be less than a cent.
Rule: what was delivered is the true sum less what is carried, whatever is sent again. So a beacon's remainder
is carried only when the beacon has arrived; while it is under way it is foreseen, and no more.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType
from typing import TypeAlias

from otel_vendor_exporters.mpulse.units import Context
from otel_vendor_exporters.mpulse.wire import cents, exact_sum

Key: TypeAlias = tuple[str, Context]  # a metric's label, and where it was counted
NOTHING_CARRIED: Mapping[Key, Decimal] = MappingProxyType({})
_MOST_KEYS = 2000  # bounded memory: past it the oldest remainder is forgotten, mostly less than a cent
_ZERO = Decimal(0)


class Carried:
    """The remainders of one app, by metric and context. Any thread may call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._amounts: OrderedDict[Key, Decimal] = OrderedDict()
        self._under_way: dict[Key, Decimal] = {}

    def snapshot(self) -> Mapping[Key, Decimal]:
        """What is to be added to the next increments, if all that is under way arrives."""
        with self._lock:
            if not self._amounts and not self._under_way:
                return NOTHING_CARRIED
            amounts = dict(self._amounts)
            for key, amount in self._under_way.items():
                amounts[key] = exact_sum((amounts.get(key, _ZERO), amount))
            return amounts

    def add(self, amounts: Iterable[tuple[Key, Decimal]]) -> None:
        """Carry these amounts, too."""
        with self._lock:
            for key, amount in amounts:
                _add(self._amounts, key, amount)
            while len(self._amounts) > _MOST_KEYS:
                self._amounts.popitem(last=False)

    def leave(self, remainders: Iterable[tuple[Key, Decimal]]) -> None:
        """A beacon with these remainders is about to go out."""
        with self._lock:
            for key, amount in remainders:
                _add(self._under_way, key, amount)

    def settle(self, remainders: Sequence[tuple[Key, Decimal]], *, delivered: bool) -> None:
        """A beacon that went out has arrived, or has not."""
        self.leave([(key, -amount) for key, amount in remainders])
        if delivered:
            self.add(remainders)


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


def _add(amounts: dict[Key, Decimal], key: Key, amount: Decimal) -> None:
    total = exact_sum((amounts.pop(key, _ZERO), amount))
    if total:
        amounts[key] = total
