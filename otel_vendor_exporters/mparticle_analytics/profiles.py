"""
Profiles: what this process told Analytics of its users last.

Pure but for its lock, bounded, and safe to call from any thread. Beyond the bound the user told longest ago
is forgotten. Other processes tell of the same users, and what they told is not known here: so everything is
told again after a while.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

TOLD_AGAIN_AFTER_SECONDS = 3600.0


class _Text(NamedTuple):
    """What an attribute was told to be, and when, in monotonic seconds."""

    hash: int
    told_at: float


class Profiles:
    """The attributes of users, as Analytics was told them."""

    def __init__(self, monotonic: Callable[[], float], most: int) -> None:
        self._monotonic = monotonic
        self._most = most
        self._lock = threading.Lock()
        self._count = 0
        # Each user's map is replaced, never changed: `overwritten` reads it without the lock.
        self._told: dict[str, Mapping[str, _Text]] = {}

    def changed(self, user_id: str, texts: Mapping[str, str]) -> dict[str, str]:
        """Those of the attributes that are to be told; they are assumed to be told now."""
        now = self._monotonic()
        with self._lock:
            known = self._told.get(user_id, {})
            new = {name: text for name, text in texts.items() if not _is_known(known.get(name), text, now)}
            if new:
                self._put(user_id, {**known, **_as_told(new, now)})
            return new

    def told(self, user_id: str, texts: Mapping[str, str]) -> None:
        """The application itself tells these."""
        now = self._monotonic()
        with self._lock:
            self._put(user_id, {**self._told.get(user_id, {}), **_as_told(texts, now)})

    def overwritten(self, user_id: str, names: Collection[str], but: Collection[str] = ()) -> None:
        """An event goes out with properties of these names: attributes so called are now what it says."""
        known = self._told.get(user_id)
        if known is None or known.keys().isdisjoint(names):
            return  # as nearly always
        gone = {name for name in known if name in names and name not in but}
        self._forget(user_id, lambda name, _: name in gone)

    def take_back(self, user_id: str, texts: Mapping[str, str]) -> None:
        """These were not told after all."""
        lost = {name: hash(text) for name, text in texts.items()}
        self._forget(user_id, lambda name, text: lost.get(name) == text.hash)

    def _forget(self, user_id: str, is_gone: Callable[[str, _Text], bool]) -> None:
        with self._lock:
            known = self._told.get(user_id, {})
            self._put(user_id, {name: text for name, text in known.items() if not is_gone(name, text)})

    def _put(self, user_id: str, texts: Mapping[str, _Text]) -> None:
        """Make this what is known of a user, who is then the last to be forgotten."""
        self._count += len(texts) - len(self._told.pop(user_id, {}))
        if texts:
            self._told[user_id] = texts
        while self._count > self._most:
            self._count -= len(self._told.pop(next(iter(self._told))))


def _is_known(told: _Text | None, text: str, now: float) -> bool:
    return told is not None and told.hash == hash(text) and now - told.told_at < TOLD_AGAIN_AFTER_SECONDS


def _as_told(texts: Mapping[str, str], now: float) -> dict[str, _Text]:
    return {name: _Text(hash(text), now) for name, text in texts.items()}
