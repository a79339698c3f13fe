"""
Child end: what a child process of multiprocessing recorded is sent before it ends.

A forked one, be it by a fork server, ends by `os._exit`: nothing runs that was registered with `atexit`,
neither the SDK's shutdown nor ours. But multiprocessing has finalizers of its own, and forgets a parent's.
Rule: an application that does not use multiprocessing does not import it.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

from opentelemetry import trace
from opentelemetry._logs import _internal as logs
from opentelemetry.metrics import _internal as metrics

MOST_FLUSH_SECONDS = 2.0  # for providers; other exporters may be behind them, and down
_LAST = -100  # among multiprocessing's finalizers, those of its queues and pools are the lowest with -5

_logger = logging.getLogger(__name__)


class ChildEnd:
    """Hears of the end of a child process. Any thread may call."""

    def __init__(self, end: Callable[[], None]) -> None:
        """`end` is called when what the SDK's providers held has been exported."""
        self._end = end
        self._heard_in = 0  # the process that will be heard of
        self._inherited: object = None  # a parent's metrics, which the parent sends
        # Weak references, and no WeakSet: those cannot be gone through while another thread adds one.
        self._providers: set[weakref.ref[Any]] = set()  # Any: the SDK's, of any version

    def flush_first(self, provider: object) -> None:
        """Have a provider flushed that is none of OpenTelemetry's global ones."""
        self._providers.add(weakref.ref(provider, self._providers.discard))

    def watch(self) -> None:
        """Hear of this process's end, if it is a child of multiprocessing. May be called often."""
        process: Any = sys.modules.get("multiprocessing.process")  # Any: a module
        if process is not None and process.parent_process() is not None:
            self._register()

    def after_fork(self) -> None:
        """In any forked child, before multiprocessing knows of it and forgets all finalizers."""
        self._inherited = metrics._METER_PROVIDER
        util: Any = sys.modules.get("multiprocessing.util")
        if util is not None:
            util.register_after_fork(self, ChildEnd._register)

    def _register(self) -> None:
        if self._heard_in != os.getpid():
            self._heard_in = os.getpid()
            sys.modules["multiprocessing.util"].Finalize(None, self._run, exitpriority=_LAST)

    def _run(self) -> None:
        flushing = threading.Thread(target=self._flush, name="child-end flush", daemon=True)
        flushing.start()
        flushing.join(MOST_FLUSH_SECONDS)
        self._end()

    def _flush(self) -> None:
        metering = metrics._METER_PROVIDER
        own = [provider() for provider in self._providers.copy()]
        known = (trace._TRACER_PROVIDER, logs._LOGGER_PROVIDER, metering, *own)
        for provider in known:
            # Counts of a parent's provider are the parent's, too: flushed here, they would be sent twice.
            flush = None if provider is self._inherited else getattr(provider, "force_flush", None)
            try:
                if flush is not None:
                    flush()
            except Exception:
                _logger.exception("a provider could not be flushed before the process ended")
