"""
Direct: what the clients of every vendor do alike, who send without OpenTelemetry.

They hold a destination until they are closed, at the latest when the interpreter ends. Any thread may call,
also in a signal handler or finalizer that comes in during a call (reentry.py).
"""

from __future__ import annotations

import atexit
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

from otel_vendor_exporters.delivery import reentry
from otel_vendor_exporters.delivery.ledger import Counts

if TYPE_CHECKING:
    from typing_extensions import Self

    from otel_vendor_exporters.delivery.outlet import Destination

D = TypeVar("D", bound="Destination")  # the vendor's


class DirectClient(Generic[D]):
    """Leaves its destination when it is closed. Any thread may call."""

    def __init__(self, destination: D, timeout_seconds: float) -> None:
        self._destination = destination
        self._timeout_seconds = timeout_seconds
        self._open = True
        atexit.register(self.close)

    def ledger(self) -> Counts:
        """What became of everything sent to this account by this process."""
        return reentry.within(self._destination.delivery.ledger.counts)

    def close(self, timeout_seconds: float | None = None) -> None:
        """Send what waits within the deadline and leave. Idempotent."""
        if self._open:
            self._open = False
            atexit.unregister(self.close)
            release = partial(self._destination.release, self._seconds(timeout_seconds))
            reentry.call(release, later=release, meanwhile=None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _seconds(self, timeout_seconds: float | None) -> float:
        return self._timeout_seconds if timeout_seconds is None else timeout_seconds
