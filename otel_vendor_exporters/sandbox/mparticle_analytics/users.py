"""
What arrived at mParticle Analytics: calls, events, and the users whose event streams they make.

Values, and the directory that knows which ids are one user and who is not to be listened to any more.
That suppression follows an alias is inferred: the documents speak of one id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from otel_vendor_exporters.sandbox.inbox import Record

Action = Literal["track", "identify", "alias", "suppress", "delete"]

MAX_IDS = 200_000


@dataclass(frozen=True, slots=True)
class AnalyticsEvent:
    """One event as Analytics kept it: values cut to 255 characters, the time in milliseconds since 1970."""

    name: str
    user_id: str
    properties: Mapping[str, object]
    time_unix_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalyticsCall(Record):
    """
    One call. `events`, `properties` and ids are what Analytics worked on: nothing of a refused call, nothing
    of a suppressed user. An alias joins `previous_id` to `user_id`.
    """

    events: tuple[AnalyticsEvent, ...] = ()
    user_id: str | None = None
    previous_id: str | None = None
    properties: Mapping[str, object] = field(default_factory=dict)


@dataclass(slots=True)
class AnalyticsUser:
    """One user under all ids: profile, events in the order they arrived, and whether data is still taken."""

    ids: set[str] = field(default_factory=set)
    properties: dict[str, object] = field(default_factory=dict)
    events: list[AnalyticsEvent] = field(default_factory=list)
    suppressed: bool = False
    deleted: bool = False

    def take_in(self, other: AnalyticsUser) -> None:
        """Merge another user into this one; on a property both have, this one's value stays."""
        self.ids |= other.ids
        self.properties = {**other.properties, **self.properties}
        self.events = sorted([*other.events, *self.events], key=lambda event: event.time_unix_ms)
        self.suppressed |= other.suppressed
        self.deleted |= other.deleted


class Directory:
    """Which ids are one user, and which are suppressed. Bounded; not for several threads at once."""

    def __init__(self) -> None:
        self._parents: dict[str, str] = {}
        self._suppressed: set[str] = set()
        self._users: set[str] = set()  # roots that an anonymous visitor was joined to
        self._identified: set[str] = set()

    def root(self, id_: str) -> str:
        """The id that stands for all ids of a user."""
        root = id_
        while root in self._parents:
            root = self._parents[root]
        if root != id_:
            self._parents[id_] = root
        return root

    def is_suppressed(self, id_: str) -> bool:
        """Whether data of this id, or of one it is joined to, is thrown away."""
        return self.root(id_) in self._suppressed

    def has_user(self, id_: str) -> bool:
        """Whether an anonymous visitor became this id, or one it is joined to, before."""
        return self.root(id_) in self._users

    def are_one(self, id_: str, other: str) -> bool:
        """Whether two ids are one user already."""
        return self.root(id_) == self.root(other)

    def identify(self, id_: str) -> None:
        """A profile is written under this id."""
        if len(self._identified) < MAX_IDS:
            self._identified.add(id_)

    def is_identified(self, id_: str) -> bool:
        """Whether a profile was written under this very id."""
        return id_ in self._identified

    def suppress(self, id_: str) -> None:
        """Listen to this user no more."""
        if len(self._suppressed) < MAX_IDS:
            self._suppressed.add(self.root(id_))

    def join(self, previous_id: str, new_id: str) -> bool:
        """Make two ids one user; False when they are one already."""
        previous_root, new_root = self.root(previous_id), self.root(new_id)
        if previous_root == new_root:
            return False
        if len(self._parents) < MAX_IDS:
            self._parents[previous_root] = new_root
            self._users.add(new_root)
        if previous_root in self._suppressed:
            self._suppressed.add(new_root)
        return True


@dataclass(frozen=True, slots=True)
class Change:
    """What one call changed: users by the id that stands for them, and pairs of ids that became one user."""

    touched: dict[str, AnalyticsUser]
    merged: tuple[tuple[str, str], ...] = ()


class UserStreams:
    """Users as calls make them known, in the order first seen. Not for several threads at once."""

    def __init__(self) -> None:
        self._directory = Directory()
        self.users: dict[str, AnalyticsUser] = {}

    def __len__(self) -> int:
        return len(self.users)

    def root(self, id_: str) -> str:
        """The id that stands for all ids of a user."""
        return self._directory.root(id_)

    def knows(self, id_: str | None) -> bool:
        """Whether an id is of a user known by now."""
        return id_ is not None and self.root(id_) in self.users

    def add(self, call: AnalyticsCall) -> Change:
        """Let users have what a call says of them."""
        if call.previous_id is None or call.user_id is None:
            _apply(call, self._user_of)
            ids = [event.user_id for event in call.events]
            ids += [] if call.user_id is None else [call.user_id]
            return Change({root: self.users[root] for root in map(self.root, ids)})
        old, new = self._user_of(call.previous_id), self._user_of(call.user_id)
        old_root = self.root(call.previous_id)
        merged: tuple[tuple[str, str], ...] = ()
        if self._directory.join(call.previous_id, call.user_id):
            new.take_in(old)
            del self.users[old_root]
            merged = ((old_root, self.root(call.user_id)),)
        return Change({self.root(call.user_id): new}, merged)

    def _user_of(self, id_: str) -> AnalyticsUser:
        user = self.users.setdefault(self.root(id_), AnalyticsUser())
        user.ids.add(id_)
        return user


def users_of(records: Iterable[Record]) -> tuple[AnalyticsUser, ...]:
    """The users some calls speak of, in the order they were first seen."""
    streams = UserStreams()
    for record in records:
        if isinstance(record, AnalyticsCall):
            streams.add(record)
    return tuple(streams.users.values())


def _apply(call: AnalyticsCall, user_of: Callable[[str], AnalyticsUser]) -> None:
    for event in call.events:
        user = user_of(event.user_id)
        user.events.append(event)
        # "Persist until overwritten by another call to the Identify or Track Events APIs."
        user.properties.update(
            {name: value for name, value in event.properties.items() if name in user.properties}
        )
    if call.user_id is None:
        return
    user = user_of(call.user_id)
    user.properties.update(call.properties)
    if call.kind in ("suppress", "delete"):
        user.suppressed = True
    if call.kind == "delete":
        user.deleted = True
        user.events.clear()
        user.properties.clear()
