"""
Lifetime: what lives in this process is renewed in a forked child, and ended when the interpreter ends.

Holds nobody alive. Rule: the fault of one is no reason to forget the others.
"""

from __future__ import annotations

import atexit
import logging
import os
import weakref
from collections.abc import Callable
from typing import Protocol

_logger = logging.getLogger(__name__)


class Living(Protocol):
    """Something with threads, locks or connections."""

    def renew_after_fork(self) -> None:
        """Become independent of the parent process."""
        ...

    def end_at_exit(self) -> None:
        """The interpreter ends."""
        ...


_all: weakref.WeakSet[Living] = weakref.WeakSet()


def register(one: Living) -> None:
    """Have `one` renewed and ended as long as it lives."""
    _all.add(one)


def _each(act: Callable[[Living], None]) -> None:
    for one in list(_all):
        try:
            act(one)
        except Exception:  # noqa: PERF203  the others have their turn
            _logger.exception("a fault in this library")


def _renew_all_after_fork() -> None:
    _each(lambda one: one.renew_after_fork())


@atexit.register
def _end_all_at_exit() -> None:
    _each(lambda one: one.end_at_exit())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all_after_fork)
