"""
Reentry: what calls us while its own thread is inside us.

Signal handlers and finalizers run between any two steps of a thread, also while it holds a lock of ours. If
they end a span or send a metric, waiting for that lock would be waiting for ever. So whatever they ask for is
done when the outer call ends, a moment later.
Rule: every way in from outside stands in a `scope`, and asks `is_inside` before.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

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
