"""
Shared destinations: one per process and fingerprint.

Exporters and clients of one vendor and account share their queue, sender, limits and configuration, so that
the limits are the vendor's and not the signal's. Reference counted: the last to leave turns off the light.
A signal handler or finalizer may open one while its own thread opens, or leaves, one here.
Rule: what one step tells may be otherwise at the next one, though the lock is held.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, Protocol, TypeVar

from otel_vendor_exporters.delivery import lifetime, reentry
from otel_vendor_exporters.errors import ConfigurationError

S = TypeVar("S")  # the vendor's settings
D = TypeVar("D")  # the vendor's destination


@dataclass(slots=True)
class _Use(Generic[S, D]):
    settings: S
    destination: D
    users: list[None] = field(default_factory=lambda: [None])  # a single step adds one, as `+=` does not


class Leavable(Protocol):
    """What a user leaves."""

    def release(self, timeout_seconds: float) -> None:
        """Leave: send what waits within the deadline; the last user ends the destination."""


def give_back(destination: Leavable, timeout_seconds: float) -> None:
    """
    Leave it for a user whose making was interrupted: nobody else can.

    For an `except BaseException`: `with` would be one more call that a signal handler may interrupt.
    """
    _at_once_or_later(partial(destination.release, timeout_seconds))


class SharedDestinations(Generic[S, D]):
    """The destinations of one vendor in this process. Any thread may call."""

    def __init__(
        self,
        conflict: Callable[[S, S], str | None],
        begin: Callable[[D], object],
        end: Callable[[D], object],
    ) -> None:
        """
        `conflict` is the name of a setting, if one does; `end` shuts down what nobody uses.

        `begin` starts the threads of one that has a user, as often as it is called.
        """
        self._conflict = conflict
        self._begin = begin
        self._end = end
        self._lock = threading.RLock()  # a handler that comes in while one is made may ask for one
        self._uses: dict[Hashable, _Use[S, D]] = {}
        lifetime.register(self)

    def acquire(self, fingerprint: Hashable, settings: S, make: Callable[[], D]) -> D:
        """
        The destination for `fingerprint`, made if there is none yet.

        Raises ConfigurationError when it is in use with settings that conflict.
        """
        had: list[D] = []
        try:
            destination = reentry.within(partial(self._acquire, fingerprint, settings, make, had))
            # Not before: a thread keeps alive what it works for. Nor under the lock: see `crew`.
            _at_once_or_later(partial(self._begin, destination))
            return destination
        except BaseException:  # also when what came in meanwhile was done
            for one in had:
                _at_once_or_later(partial(self._leave, fingerprint, one))
            raise

    def _acquire(self, fingerprint: Hashable, settings: S, make: Callable[[], D], had: list[D]) -> D:
        with self._lock:
            use = self._uses.get(fingerprint)
            if use is None:
                ours = _Use(settings, make())
                had.append(ours.destination)
                use = self._uses.setdefault(fingerprint, ours)
                if use is ours:
                    return ours.destination
                # A handler came in meanwhile and made one. Ours is ended when we hold no lock.
                had.clear()
                _at_once_or_later(partial(self._end, ours.destination))
            self._check(use.settings, settings)
            use.users.append(None)
            had.append(use.destination)
            return use.destination

    def _leave(self, fingerprint: Hashable, destination: D) -> None:
        if self.release(fingerprint, destination):
            self._end(destination)

    def _check(self, shared: S, settings: S) -> None:
        name = self._conflict(shared, settings)
        if name is not None:
            values = f"{getattr(shared, name)!r} and {getattr(settings, name)!r}"
            message = f"{name} differs for one destination in one process ({values}): expected one value"
            raise ConfigurationError(message, setting=name)

    def release(self, fingerprint: Hashable, destination: D) -> bool:
        """Leave; True for the last user, who then shuts the destination down."""
        with self._lock:
            use = self._uses.get(fingerprint)
            if use is None or use.destination is not destination:
                return True
            use.users.pop()
            if not use.users:
                del self._uses[fingerprint]
                if use.users:  # a handler came in between the last two lines, and stays
                    self._uses.setdefault(fingerprint, use)
            return not use.users

    def renew_after_fork(self) -> None:
        """A lock that no thread of the parent holds."""
        self._lock = threading.RLock()

    def end_at_exit(self) -> None:
        """Nothing: the destinations end by themselves."""


def _at_once_or_later(action: Callable[[], object]) -> None:
    """Inside, and when a call that this thread is in already has come to its end."""
    reentry.call(action, later=action, meanwhile=None)
