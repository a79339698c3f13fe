"""
Lifetime: what lives in this process is renewed in a forked child, and ended when the interpreter ends.

Holds nobody alive. A fork waits, for a while, until no other thread is inside SQLite: a lock of SQLite's that
is held at that moment would be held in the child for ever.
Rule: the fault of one is no reason to forget the others.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import weakref
from collections.abc import Callable
from typing import Protocol

from otel_vendor_exporters.delivery.child_end import ChildEnd

_logger = logging.getLogger(__name__)


class Living(Protocol):
    """Something with threads, locks or connections."""

    def renew_after_fork(self) -> None:
        """Become independent of the parent process."""
        ...

    def end_at_exit(self) -> None:
        """The interpreter ends."""
        ...


LEAST_SECONDS_AT_EXIT = 1.0  # of each destination: one that hangs does not take the others' turn
MOST_WAIT_SECONDS = 2.0  # of a fork for those inside, and of those who want in for a fork


class NoFork:
    """`with` it, this process is not forked by other threads. Any thread may enter, also within itself."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a finalizer may take it again
        # Waited with, and never entered: a handler that raises in a Condition's `__enter__` leaves it locked.
        self._changed = threading.Condition(self._lock)
        self._inside: dict[int, int] = {}  # by thread: how deep
        self._forks = 0

    def __enter__(self) -> None:
        me = threading.get_ident()
        with self._lock:
            if self._forks and me not in self._inside:
                self._changed.wait_for(lambda: not self._forks, MOST_WAIT_SECONDS)
            self._inside[me] = self._inside.get(me, 0) + 1

    def __exit__(self, *_: object) -> None:
        me = threading.get_ident()
        with self._lock:
            depth = self._inside.pop(me, 0) - 1
            if depth > 0:
                self._inside[me] = depth
            elif self._forks:
                self._changed.notify_all()

    def forget_me(self) -> None:
        """This thread is not inside any more, though it may not have said so."""
        with self._lock:
            self._inside.pop(threading.get_ident(), None)
            self._changed.notify_all()

    def before_fork(self) -> None:
        """Wait until no other thread is inside, and let nobody in."""
        me = threading.get_ident()
        with self._lock:
            self._forks += 1
            self._changed.wait_for(lambda: self._inside.keys() <= {me}, MOST_WAIT_SECONDS)

    def after_fork(self) -> None:
        """In the parent: go on."""
        with self._lock:
            self._forks -= 1
            self._changed.notify_all()

    def renew_after_fork(self) -> None:
        """In the child: nobody is inside, and no thread of the parent holds the lock."""
        NoFork.__init__(self)


no_fork = NoFork()
# A plain set, which is copied in one step: a WeakSet cannot be while another thread or a handler registers.
_all: set[weakref.ref[Living]] = set()


def register(one: Living) -> None:
    """Have `one` renewed and ended as long as it lives."""
    _all.add(weakref.ref(one, _all.discard))
    child_end.watch()


_ends = False  # the process does: those that live are being ended
_exit_began: float | None = None  # monotonic seconds


def deadline(seconds: float, now: float) -> float:
    """
    Until when somebody may be held up who gives so many `seconds` from `now` on, all in monotonic seconds.

    At the interpreter's end all destinations share them, or several vendors that hang would add up: they have
    been sending side by side since the first of them was waited for.
    """
    global _exit_began
    if _exit_began is None and _is_exiting():
        _exit_began = now
    if _exit_began is None:
        return now + seconds
    return max(_exit_began + seconds, now + min(seconds, LEAST_SECONDS_AT_EXIT))


def _is_exiting() -> bool:
    """
    Whether what is registered with atexit is being called, also before it is our turn.

    The main thread calls it when it has ended. Others, if no daemons, may have gone on for days in between.
    """
    main = threading.main_thread()
    return _ends or (threading.get_ident() == main.ident and not main.is_alive())


def _each(act: Callable[[Living], None]) -> None:
    for one in [reference() for reference in _all.copy()]:
        try:
            if one is not None:
                act(one)
        except Exception:  # noqa: PERF203  the others have their turn
            _logger.exception("a fault in this library")


def _renew_all_after_fork() -> None:
    no_fork.renew_after_fork()
    _each(lambda one: one.renew_after_fork())
    child_end.after_fork()


@atexit.register
def _end_all_at_exit() -> None:
    global _ends
    _ends = True
    _each(lambda one: one.end_at_exit())


child_end = ChildEnd(_end_all_at_exit)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=no_fork.before_fork,
        after_in_parent=no_fork.after_fork,
        after_in_child=_renew_all_after_fork,
    )
