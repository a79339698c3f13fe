"""
Process: what the end of the interpreter and a fork mean for everything that holds threads and locks.

Things are held weakly. Each has its turn, whatever the others raise.
"""

from __future__ import annotations

import atexit
import logging
import os
import weakref
from collections.abc import Callable, Iterable
from typing import Any, Protocol

_logger = logging.getLogger(__name__)


class Renewable(Protocol):
    """Can be made independent of the parent process."""

    def renew_after_fork(self) -> None:
        """Called in the child, before anything else runs there."""
        ...


class Endable(Protocol):
    """Has something to finish."""

    def end_at_exit(self) -> None:
        """Called when the interpreter ends."""
        ...


_renewables: weakref.WeakSet[Any] = weakref.WeakSet()
_endables: weakref.WeakSet[Any] = weakref.WeakSet()


def renew_in_children(thing: Renewable) -> None:
    """Call its `renew_after_fork` in every child."""
    _renewables.add(thing)


def end_with_interpreter(thing: Endable) -> None:
    """Call its `end_at_exit` when the interpreter ends."""
    _endables.add(thing)


def _each(things: Iterable[Any], act: Callable[[Any], None]) -> None:
    for thing in list(things):
        try:
            act(thing)
        except Exception:  # noqa: PERF203  the others have their turn
            _logger.exception("a fault in this library")


@atexit.register
def _end_all() -> None:
    _each(_endables, lambda thing: thing.end_at_exit())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: _each(_renewables, lambda thing: thing.renew_after_fork()))
