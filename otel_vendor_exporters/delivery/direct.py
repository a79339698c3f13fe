"""
Direct: what the clients of every vendor do alike, who send without OpenTelemetry.

They hold a destination until they are closed, at the latest when the interpreter ends. Any thread may call,
also in a signal handler or finalizer that comes in during a call (reentry.py).
"""

from __future__ import annotations

import atexit
import logging
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

from otel_vendor_exporters.delivery import reentry
from otel_vendor_exporters.delivery.clock import is_duration
from otel_vendor_exporters.delivery.ledger import Counts
from otel_vendor_exporters.delivery.request import Receipt
from otel_vendor_exporters.delivery.shared import give_back

if TYPE_CHECKING:
    from typing_extensions import Self

    from otel_vendor_exporters.delivery.outlet import Destination

CLOSED = "closed"  # the ledger's word for what came after the end
_LONGEST_SECONDS = 365 * 86_400.0  # what locks can wait for has an end
_logger = logging.getLogger("otel_vendor_exporters")

D = TypeVar("D", bound="Destination")  # the vendor's


class DirectClient(Generic[D]):
    """Leaves its destination when it is closed. Any thread may call."""

    def __init__(self, destination: D, timeout_seconds: float) -> None:
        try:
            self._destination = destination
            self._timeout_seconds = timeout_seconds
            self._open = True
            self._leaves = reentry.Once()
            self._tells_end = reentry.Once()
            self._tells_no_time = reentry.Once()
            atexit.register(self.close)
        except BaseException:
            atexit.unregister(self.close)
            give_back(destination, timeout_seconds)
            raise

    def flush(self, timeout_seconds: float | None = None) -> bool:
        """
        Wait until nothing waits, at most `timeout` (or `timeout_seconds`); True when so.

        False at once when the vendor is not to be asked again in time, and for a signal handler or finalizer
        that comes in during another call.
        """
        flush = partial(self._destination.delivery.flush, self._seconds(timeout_seconds))
        return reentry.call(flush, later=bool, meanwhile=False)

    def ledger(self) -> Counts:
        """What became of everything sent to this account by this process."""
        return reentry.within(self._destination.delivery.ledger.counts)

    def close(self, timeout_seconds: float | None = None) -> None:
        """Send what waits within the deadline and leave. Idempotent."""
        if self._leaves():  # who left twice would end the destination of others
            self._open = False
            atexit.unregister(self.close)
            release = partial(self._destination.release, self._seconds(timeout_seconds))
            reentry.call(release, later=release, meanwhile=None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _drop_closed(self, count: int) -> Receipt:
        """What comes after the end, also of the destination, is counted; said once."""
        ledger = self._destination.delivery.ledger
        ledger.accept(count)
        ledger.drop(CLOSED, count)
        if self._tells_end():
            text = "%s: the client is closed; %d items dropped, and all that follow"
            _logger.warning(text, type(self).__name__, count)
        return Receipt(dropped={CLOSED: count})

    def _seconds(self, timeout_seconds: float | None) -> float:
        """How long to wait: what the caller says if that is a time, else the setting."""
        if timeout_seconds is None:
            return self._timeout_seconds
        if is_duration(timeout_seconds):
            return min(timeout_seconds, _LONGEST_SECONDS)
        if self._tells_no_time():
            text = "%s: timeout_seconds takes a number of seconds, and is %s: the setting timeout holds"
            _logger.warning(text, type(self).__name__, _shown(timeout_seconds))
        return self._timeout_seconds


def _shown(no_time: object) -> str:
    """What a caller has given, without anything it may hold."""
    if isinstance(no_time, float):
        return str(no_time)
    kind = type(no_time).__name__
    return "too large an int" if kind == "int" else kind
