"""
Reentry: what calls us while its own thread is inside us.

Signal handlers and finalizers run between any two steps of a thread, also while it holds a lock of ours. If
they end a span or send a metric, waiting for that lock would be waiting for ever. So whatever they ask for is
done when the outer call ends, a moment later.
A handler may also raise, as Celery's do at a time limit, between any two steps.
Rule: every way in from outside asks `is_inside`, and stands in a `scope` that `come_out` ends if it raises;
`call` and `within` do all that.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from otel_vendor_exporters.delivery.lifetime import no_fork
from otel_vendor_exporters.interrupts import let_through

R = TypeVar("R")
_logger = logging.getLogger("otel_vendor_exporters")
_MOST_WAITING = 10_000  # what finalizers may heap up during one call; the oldest go


class _Thread(threading.local):
    def __init__(self) -> None:
        self.is_inside = False
        self.waiting: deque[Callable[[], object]] = deque(maxlen=_MOST_WAITING)


_thread = _Thread()


def is_inside() -> bool:
    """Whether this thread is inside us already."""
    return _thread.is_inside


def do_later(action: Callable[[], object]) -> None:
    """Do it, inside, when the outer call of this thread ends. `action` must not raise."""
    _thread.waiting.append(action)


def is_waited_for() -> bool:
    """Whether something waits for the end of this thread's outer call."""
    return bool(_thread.waiting)


class _Scope:
    """A call from outside. Its end does what has come in meanwhile."""

    def __enter__(self) -> None:
        _thread.is_inside = True

    def __exit__(self, *_: object) -> None:
        thread = _thread
        while True:
            while thread.waiting:
                thread.waiting.popleft()()
            thread.is_inside = False
            if not thread.waiting:  # else a signal came between the last two lines
                return
            thread.is_inside = True


scope = _Scope()


def come_out() -> None:
    """This thread is not inside any more: the end of its scope may have been interrupted, too."""
    _thread.is_inside = False
    no_fork.forget_me()


def come_back() -> None:
    """A job of nothing, for who stands in a scope all the time: leaving it does what waits."""


class Once:
    """True for the first who asks, of all threads, signal handlers and finalizers."""

    def __init__(self) -> None:
        self._turn = threading.Lock()  # never released, nor waited for

    def __call__(self) -> bool:
        return self._turn.acquire(blocking=False)


def call(now: Callable[[], R], *, later: Callable[[], object], meanwhile: R) -> R:
    """
    What a caller from outside gets: of `now`, which is done inside.

    A caller who is inside already gets `meanwhile`, and `later` is done when the outer call ends. What it
    raises is told by our log, as nobody waits for it any more.
    """
    if not _thread.is_inside:
        return within(now)
    do_later(partial(_told, later))
    return meanwhile


def within(action: Callable[[], R]) -> R:
    """
    What `action` gives, done inside at once: it takes none but locks that their owner may take again.

    Without it a handler that came in while such a lock is held would wait for threads that wait for the lock.
    """
    if _thread.is_inside:
        return action()
    try:
        with scope:
            return action()
    except BaseException:
        come_out()
        raise


def _told(action: Callable[[], object]) -> None:
    try:
        action()
    except Exception as fault:
        let_through(fault)
        _logger.exception("a call from a signal handler or finalizer came to nothing")
