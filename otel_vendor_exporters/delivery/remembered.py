"""
Remembered: what outlives the last user of a destination in this process, by the destination's fingerprint.

A vendor limits the account, and not clients: who opens one after the last was closed goes on with what was
spent, and waits as long as the vendor has asked for.
Rule: bounded. Past the bound the destination that was opened longest ago is forgotten.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar

from otel_vendor_exporters.delivery import lifetime
from otel_vendor_exporters.delivery.clock import Clock
from otel_vendor_exporters.delivery.pace import Outage
from otel_vendor_exporters.delivery.rate import EvenRate

_MOST_DESTINATIONS = 64


class Lasting(Protocol):
    """What is remembered of one destination."""

    def renew_after_fork(self) -> None:
        """Become independent of the parent process."""
        ...


L = TypeVar("L", bound=Lasting)


class Remembered(Generic[L]):
    """One for each destination. Any thread may call."""

    def __init__(self) -> None:
        self._known: OrderedDict[Hashable, L] = OrderedDict()
        self._lock = threading.RLock()  # a signal handler or finalizer may ask while it is held
        lifetime.register(self)

    def next_of(self, fingerprint: Hashable, following: Callable[[L | None], L]) -> L:
        """What `following` makes of what is remembered of a destination, for its next user."""
        with self._lock:
            known = self._known.get(fingerprint)
            one = following(known)
            if known is None:  # a handler may have come in meanwhile: then there is one
                one = self._known.setdefault(fingerprint, one)
            else:
                self._known[fingerprint] = one
            self._known.move_to_end(fingerprint)
            if len(self._known) > _MOST_DESTINATIONS:
                self._known.popitem(last=False)
            return one

    def forget(self) -> None:
        """Let every destination begin anew with its next user."""
        with self._lock:
            self._known.clear()

    def renew_after_fork(self) -> None:
        """A lock that no thread of the parent holds; a child process is a user of its own."""
        self._lock = threading.RLock()
        for one in self._known.values():
            one.renew_after_fork()

    def end_at_exit(self) -> None:
        """Nothing: what is remembered ends with the process."""


class Standing:
    """What was spent of a rate in a second, and the pause of a destination. Times are of one clock."""

    def __init__(self, settings: object, clock: Clock, per_second: float | None) -> None:
        self.clock = clock
        self.outage = Outage()
        self._settings = settings
        self._new_rate(per_second)

    def pass_on(self, settings: object, per_second: float | None) -> None:
        """Be the next user's: what is settled otherwise may be what was wrong, and is tried at once."""
        if per_second != self._per_second:
            self._new_rate(per_second)
        if settings != self._settings:
            self._settings = settings
            self.outage.forget()

    def renew_after_fork(self) -> None:
        """What the parent has spent is spent; what it waits for is its own."""
        self.outage.forget()
        if self.rate is not None:
            self.rate.renew_after_fork()

    def _new_rate(self, per_second: float | None) -> None:
        self._per_second = per_second
        self.rate = None if per_second is None else EvenRate(per_second)


class Standings(Remembered[Standing]):
    """Those of a vendor's destinations in this process."""

    def of(self, fingerprint: Hashable, settings: object, clock: Clock, per_second: float | None) -> Standing:
        """What lasts of a destination, for a new delivery with these settings."""

        def following(known: Standing | None) -> Standing:
            if known is None or known.clock is not clock:
                return Standing(settings, clock, per_second)
            known.pass_on(settings, per_second)
            return known

        return self.next_of(fingerprint, following)
