"""
Shared destinations: one per process and fingerprint.

Exporters and clients of one vendor and account share their queue, sender, limits and configuration, so that
the limits are the vendor's and not the signal's. Reference counted: the last to leave turns off the light.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from otel_vendor_exporters.delivery import lifetime
from otel_vendor_exporters.errors import ConfigurationError

S = TypeVar("S")  # the vendor's settings
D = TypeVar("D")  # the vendor's destination


@dataclass(slots=True)
class _Use(Generic[S, D]):
    settings: S
    destination: D
    users: int = 1


class SharedDestinations(Generic[S, D]):
    """The destinations of one vendor in this process. Any thread may call."""

    def __init__(self, conflict: Callable[[S, S], str | None]) -> None:
        self._conflict = conflict
        self._lock = threading.Lock()
        self._uses: dict[Hashable, _Use[S, D]] = {}
        lifetime.register(self)

    def acquire(self, fingerprint: Hashable, settings: S, make: Callable[[], D]) -> D:
        """
        The destination for `fingerprint`, made if there is none yet.

        Raises ConfigurationError when it is in use with settings that conflict.
        """
        with self._lock:
            use = self._uses.get(fingerprint)
            if use is None:
                use = self._uses[fingerprint] = _Use(settings, make())
                return use.destination
            name = self._conflict(use.settings, settings)
            if name is not None:
                values = f"{getattr(use.settings, name)!r} and {getattr(settings, name)!r}"
                message = f"{name} differs for one destination in one process ({values}): expected one value"
                raise ConfigurationError(message, setting=name)
            use.users += 1
            return use.destination

    def release(self, fingerprint: Hashable, destination: D) -> bool:
        """Leave; True for the last user, who then shuts the destination down."""
        with self._lock:
            use = self._uses.get(fingerprint)
            if use is None or use.destination is not destination:
                return True
            use.users -= 1
            if use.users == 0:
                del self._uses[fingerprint]
            return use.users == 0

    def renew_after_fork(self) -> None:
        """A lock that no thread of the parent holds."""
        self._lock = threading.Lock()

    def end_at_exit(self) -> None:
        """Nothing: the destinations end by themselves."""
