"""
Told once: which of many names are said now, so that each is said once, in lines that can be read.

A few names make a line; the others come with later lines. Bounded memory.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

MOST_AT_ONCE = 10
_MOST_NAMES = 1000


class ToldOnce:
    """Remembers what was said of which name. Any thread may call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told: set[tuple[str, str]] = set()
        self._untold: dict[str, set[str]] = {}

    def chosen(self, names: Iterable[str], what: str) -> tuple[list[str], str]:
        """The names of whom to say `what` now, in order, and how many are left for later, in words."""
        with self._lock:
            untold = self._untold.setdefault(what, set())
            for name in set(names):
                room = len(self._told) + sum(map(len, self._untold.values())) < _MOST_NAMES
                if room and (what, name) not in self._told:
                    untold.add(name)
            chosen = sorted(untold)[:MOST_AT_ONCE]
            self._told.update((what, name) for name in chosen)
            untold.difference_update(chosen)
            return chosen, f" and {len(untold)} more" if untold else ""
