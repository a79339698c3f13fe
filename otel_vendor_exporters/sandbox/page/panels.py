"""
Panels: what the board shows of each vendor. A new vendor is one more panel.

Pure. A panel reads the vendor's own records into sections, and says a record in a few words.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple, Protocol

from otel_vendor_exporters.sandbox.inbox import Record
from otel_vendor_exporters.sandbox.mparticle.batches import (
    MParticleBatch,
    MParticleEvent,
    MParticleUser,
    UserBook,
    batches_of,
)
from otel_vendor_exporters.sandbox.mparticle_analytics.users import AnalyticsCall, AnalyticsUser, UserStreams
from otel_vendor_exporters.sandbox.mpulse.beacons import Beacon, Session
from otel_vendor_exporters.sandbox.page.sections import Json, Listing, Section, Series, Tallies, Timings

MAX_USERS = 10_000
LAST_EVENTS = 50
MAX_WORDS = 6
MAX_ID_CHARACTERS = 300


class Said(NamedTuple):
    """A record in a few words, and what else it is found by: all its names, and the ids of its users."""

    words: str
    found_by: tuple[str, ...] = ()


class Panel(Protocol):
    """One vendor's part of the board. Not for several threads at once."""

    name: str
    title: str
    sections: tuple[Section, ...]

    def take(self, record: Record, stamp: int) -> Said:
        """Sum up a record, and say it in short."""


class MPulsePanel:
    """Timers, metrics, dimensions, page groups, A/B tests and sessions."""

    name = "mpulse"
    title = "mPulse"

    def __init__(self) -> None:
        self._timers = Timings("mpulse.timers", "Custom timers")
        self._metrics = Series("mpulse.metrics", "Custom metrics")
        self._dimensions = Tallies("mpulse.dimensions", "Dimensions")
        self._places = Tallies("mpulse.places", "Page groups and A/B tests")
        self._sessions: Listing[Session] = Listing("mpulse.sessions", "Sessions", "beacon", _session_row)
        self.sections: tuple[Section, ...] = (
            *(self._timers, self._metrics, self._dimensions, self._places, self._sessions),
        )

    def take(self, record: Record, stamp: int) -> Said:
        """A beacon's timers and metrics, or what else came."""
        if not isinstance(record, Beacon):
            return Said("configuration" if record.kind == "config" else "beacon")
        for timer in record.timers:
            self._timers.add(timer.name, timer.milliseconds, stamp)
        for metric in record.metrics:
            self._metrics.add(metric.name, metric.amount, record.arrived_unix_ms, stamp)
        for dimension in record.dimensions:
            self._dimensions.add(dimension.name, dimension.value, stamp)
        if record.page_group is not None:
            self._places.add("Page group", record.page_group, stamp)
        if record.ab_test is not None:
            self._places.add("A/B test", record.ab_test, stamp)
        if record.session is not None:
            self._sessions.touch(record.session.id, record.session, 1, record.arrived_unix_ms, stamp)
        timers = (f"{name} {milliseconds} ms" for name, milliseconds in record.timers)
        metrics = (f"{name} {amount:+g}" for name, amount in record.metrics)
        named = (record.timers, record.metrics, record.dimensions)
        return Said(_in_short(*timers, *metrics), tuple(name for items in named for name, *_ in items))


class MParticlePanel:
    """Users with identities, attributes and events; events by type and by name."""

    name = "mparticle"
    title = "mParticle"

    def __init__(self) -> None:
        self._book = UserBook()
        self._users: Listing[MParticleUser] = Listing(
            "mparticle.users", "Users", "event", _user_row, _user_detail, lambda user: user.attributes
        )
        self._events = Tallies("mparticle.events", "Events")
        self._batches = Tallies("mparticle.batches", "Batches")
        self.sections: tuple[Section, ...] = (self._users, self._events, self._batches)

    def take(self, record: Record, stamp: int) -> Said:
        """The events of its batches."""
        said: list[str] = []
        ids: dict[str, None] = {}
        for batch in batches_of(record):
            self._batches.add("Status", batch.status, stamp)
            self._batches.add("Environment", batch.environment, stamp)
            said += [event.name or event.type for event in batch.events]
            ids.update(dict.fromkeys(batch.identities.values()))
            if batch.status == "stored":
                self._take_stored(batch, record.arrived_unix_ms, stamp)
        return Said(_in_short(*said), (*dict.fromkeys(said), *ids))

    def _take_stored(self, batch: MParticleBatch, unix_ms: int, stamp: int) -> None:
        events = batch.events
        for event in events:
            self._events.add("Type", event.type, stamp)
            if event.name:
                self._events.add("Name", event.name, stamp)
        if len(self._book) >= MAX_USERS and not self._book.knows(batch):
            self._users.leave_out(len(events), stamp)
        else:
            number, user = self._book.add(batch)
            del user.events[:-LAST_EVENTS]
            self._users.touch(str(number), user, len(events), unix_ms, stamp)


class AnalyticsPanel:
    """Users under all their ids, events by name, and the aliases that joined them."""

    name = "mparticle_analytics"
    title = "mParticle Analytics"

    def __init__(self) -> None:
        self._streams = UserStreams()
        self._users: Listing[AnalyticsUser] = Listing(
            "mparticle_analytics.users",
            "Users",
            "event",
            _stream_row,
            _stream_detail,
            lambda user: user.properties,
        )
        self._aliases: Listing[AnalyticsCall] = Listing(
            "mparticle_analytics.aliases", "Aliases", "call", _alias_row
        )
        self._calls = Tallies("mparticle_analytics.calls", "Events and calls")
        self.sections: tuple[Section, ...] = (self._users, self._calls, self._aliases)

    def take(self, record: Record, stamp: int) -> Said:
        """Its events, or what it says of a user."""
        if not isinstance(record, AnalyticsCall):
            return Said(record.kind)
        self._calls.add("Call", record.kind, stamp)
        for event in record.events:
            self._calls.add("Event", event.name, stamp)
        self._add_to_users(self._listed(record, stamp), stamp)
        users = dict.fromkeys(
            (record.user_id, record.previous_id, *(event.user_id for event in record.events))
        )
        names = [event.name for event in record.events]
        found_by = (*dict.fromkeys(names), *filter(None, users))
        if record.previous_id is not None and record.user_id is not None:
            key = f"{record.previous_id} → {record.user_id}"
            self._aliases.touch(key, record, 1, record.arrived_unix_ms, stamp)
            return Said(key, found_by)
        said = _in_short(*names) or " ".join(filter(None, (record.kind, record.user_id)))
        return Said(said, found_by)

    def _listed(self, call: AnalyticsCall, stamp: int) -> AnalyticsCall:
        """What a call says of those who are listed: everybody, until there are too many."""
        knows = self._streams.knows
        if len(self._streams) < MAX_USERS or (call.previous_id is not None and knows(call.previous_id)):
            return call
        events = tuple(event for event in call.events if knows(event.user_id))
        user_id = call.user_id if knows(call.user_id) else None
        left_out = len(call.events) - len(events) + (call.user_id is not None and user_id is None)
        if left_out:
            self._users.leave_out(left_out, stamp)
        previous_id = call.previous_id if user_id is not None else None
        return replace(call, events=events, user_id=user_id, previous_id=previous_id)

    def _add_to_users(self, call: AnalyticsCall, stamp: int) -> None:
        change = self._streams.add(call)
        for gone, into in change.merged:
            self._users.absorb(gone, into)
        for root, user in change.touched.items():
            del user.events[:-LAST_EVENTS]
            events = sum(self._streams.root(event.user_id) == root for event in call.events)
            self._users.touch(root, user, events, call.arrived_unix_ms, stamp)


def panels() -> tuple[Panel, ...]:
    """A panel for each vendor, empty."""
    return (MPulsePanel(), MParticlePanel(), AnalyticsPanel())


def _in_short(*parts: str) -> str:
    more = f", {len(parts) - MAX_WORDS} more" if len(parts) > MAX_WORDS else ""
    return ", ".join(parts[:MAX_WORDS]) + more


def _session_row(session: Session) -> Json:
    return {
        "title": session.id[:MAX_ID_CHARACTERS],
        "about": f"page views: {session.length}",
        "from": session.start_unix_ms,
    }


def _user_row(user: MParticleUser) -> Json:
    identities = [f"{name}: {value}" for name, value in user.identities.items()]
    return {"title": identities[0] if identities else "anonymous", "about": ", ".join(identities[1:])}


def _user_detail(user: MParticleUser) -> Json:
    return {
        "Identities": dict(user.identities),
        "Attributes": dict(user.attributes),
        "events": [_event(event) for event in reversed(user.events)],
    }


def _event(event: MParticleEvent) -> Json:
    return {
        "name": event.name or event.type,
        "type": event.type,
        "t": event.timestamp_unix_ms,
        "attributes": dict(event.attributes),
    }


def _stream_row(user: AnalyticsUser) -> Json:
    ids = sorted(user.ids)
    state = "deleted" if user.deleted else "suppressed" if user.suppressed else ""
    return {"title": ids[0] if ids else "nobody", "about": ", ".join(ids[1:]), "state": state}


def _stream_detail(user: AnalyticsUser) -> Json:
    return {
        "Ids": _numbered(sorted(user.ids)),
        "Properties": dict(user.properties),
        "events": [
            {"name": event.name, "type": "", "t": event.time_unix_ms, "attributes": dict(event.properties)}
            for event in reversed(user.events)
        ],
    }


def _alias_row(call: AnalyticsCall) -> Json:
    return {"title": f"{call.previous_id} → {call.user_id}", "about": ""}


def _numbered(texts: Iterable[str]) -> Json:
    return {str(number): text for number, text in enumerate(texts, 1)}
