"""
Users: what this process has told Analytics of whom, and of whom it must tell nothing more.

Pure, bounded, and safe to call from any thread. Beyond the bounds the oldest is forgotten: then a user's
attributes are sent once more than needed, and an anonymous id may be merged later than it could have been.
Rule: an anonymous id is merged into one user at most, since there is no call to undo it.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from typing import Protocol, TypeVar

from otel_vendor_exporters.delivery.clock import Clock
from otel_vendor_exporters.mparticle_analytics.profiles import Profiles
from otel_vendor_exporters.mparticle_analytics.units import Kind, Unit

K = TypeVar("K")
V = TypeVar("V")
MOST_REMEMBERED = 50_000  # anonymous ids, known users, and attributes of users, each
REMEMBERED = frozenset({Kind.ALIAS, Kind.IDENTIFY})  # what is not sent twice, unless it was lost
ALREADY_MERGED = "already_merged"  # the ledger's word for an alias that came about before
MERGED_ELSEWHERE = "merged_elsewhere"  # and for one whose anonymous id was merged into somebody else


class Names(Protocol):
    """Names that are remembered; other processes may add to them."""

    def __contains__(self, name: str) -> bool: ...
    def add(self, name: str) -> None: ...


@dataclass(slots=True)
class _Anonymous:
    """What became of one anonymous id. `user` is whose it is, "" if several claimed it."""

    user: str | None = None
    was_sent: bool = False  # events went out under it
    merged: bool = False


class Users:
    """What is known of users, for all exporters and clients of one project in one process."""

    def __init__(
        self,
        suppressed: Names,
        most: int = MOST_REMEMBERED,
        clock: Clock | None = None,
    ) -> None:
        self._suppressed = suppressed
        self._clock = clock or Clock()
        self._most = most
        self.renew_after_fork()

    def renew_after_fork(self) -> None:
        """Start from nothing but the suppressed, with a lock that no thread of the parent holds."""
        self._lock = threading.Lock()
        self.profiles = Profiles(self._clock.monotonic, self._most)
        self._anonymous: dict[str, _Anonymous] = {}
        self._known: dict[str, None] = {}  # users: something was merged into them, or a record named them
        self._identified: dict[str, None] = {}  # whom the application's own calls identified

    def anonymous_sent(self, anonymous_id: str) -> str | None:
        """An event goes out under this id; the user it is to be merged into now, if there is one."""
        one = self._anonymous.get(anonymous_id)
        if one is not None and one.was_sent and (one.merged or not one.user):
            return None  # as nearly always
        with self._lock:
            one = self._anonymous_one(anonymous_id)
            one.was_sent = True
            return self._merge(one)

    def becomes_known(self, anonymous_id: str, user_id: str, *, always: bool = False) -> bool:
        """
        A record names both; whether the one is to be merged into the other now.

        That is once, and only if events were sent under the anonymous id (or `always`).
        """
        one = self._anonymous.get(anonymous_id)
        if one is not None and one.user == user_id and (one.merged or not (always or one.was_sent)):
            return False  # as nearly always
        with self._lock:
            one = self._anonymous_one(anonymous_id)
            one.was_sent = one.was_sent or always
            if anonymous_id in self._known or one.user not in (None, user_id):
                one.user = one.user if one.merged else ""
                return False
            one.user = user_id
            return self._merge(one) is not None

    def merge(self, previous_id: str, new_id: str) -> str | None:
        """
        The application itself merges two ids. None when that is to be sent, else why not.

        "merged": it was before. "known_user": it would merge two users.
        """
        with self._lock:
            one = self._anonymous_one(previous_id)
            if one.merged and one.user == new_id:
                return "merged"
            if one.merged or previous_id in self._known or self._are_identified(previous_id, new_id):
                return "known_user"
            one.user = new_id
            one.was_sent = True
            self._merge(one)
            return None

    def is_user(self, user_id: str) -> None:
        """A record names somebody known by this id: it is nobody's anonymous one."""
        if user_id not in self._known:  # as rarely
            with self._lock:
                _remember(self._known, user_id, None, self._most)

    def identified(self, user_id: str) -> None:
        """The application has said who this is; two of whom it has are two users."""
        with self._lock:
            _remember(self._identified, user_id, None, self._most)

    def _are_identified(self, previous_id: str, new_id: str) -> bool:
        return previous_id in self._identified and (new_id in self._identified or new_id in self._known)

    def take_back(self, unit: Unit, reason: str) -> None:
        """A call was lost: what it would have told is not told, and may be tried again."""
        if unit.kind is Kind.ALIAS:
            self._take_back_merge(unit.users[0], unit.users[1], reason)
        elif unit.kind is Kind.IDENTIFY:
            self.profiles.take_back(unit.users[0], json.loads(unit.content)["properties"])

    def _take_back_merge(self, previous_id: str, new_id: str, reason: str) -> None:
        with self._lock:
            one = self._anonymous.get(previous_id)
            if one is None or one.user != new_id or reason == ALREADY_MERGED:
                return
            one.merged = False
            if reason == MERGED_ELSEWHERE:
                one.user = ""

    def ids_of(self, user_id: str) -> set[str]:
        """The user's id, and the anonymous ones that are known here to be theirs."""
        with self._lock:
            return {user_id, *(id_ for id_, one in self._anonymous.items() if one.user == user_id)}

    def suppress(self, user_id: str) -> None:
        """From now on nothing more is to be sent of this user."""
        self._suppressed.add(user_id)

    def is_suppressed(self, user_id: str) -> bool:
        """Whether nothing may be sent under this id: its user is suppressed, or whose it is known to be."""
        if user_id in self._suppressed:
            return True
        one = self._anonymous.get(user_id)
        user = None if one is None else one.user or None  # "" is nobody
        return user is not None and user in self._suppressed

    def _anonymous_one(self, anonymous_id: str) -> _Anonymous:
        one = self._anonymous.get(anonymous_id)
        if one is None:
            one = _Anonymous()
            _remember(self._anonymous, anonymous_id, one, self._most)
        return one

    def _merge(self, one: _Anonymous) -> str | None:
        if one.merged or not one.user or not one.was_sent:
            return None
        one.merged = True
        _remember(self._known, one.user, None, self._most)
        return one.user


def _remember(memory: dict[K, V], key: K, value: V, most: int) -> None:
    if len(memory) >= most and key not in memory:
        del memory[next(iter(memory))]
    memory[key] = value
