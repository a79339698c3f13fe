"""
The client: the way of units to one Analytics project, and `AnalyticsClient` for direct use.

A `Destination` is shared by all exporters and clients of one project in one process. Nothing here connects
when it is made.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from otel_vendor_exporters.delivery import reentry
from otel_vendor_exporters.delivery.clock import Clock
from otel_vendor_exporters.delivery.direct import CLOSED, DirectClient
from otel_vendor_exporters.delivery.disk_spool import DiskSpool
from otel_vendor_exporters.delivery.journal import Label
from otel_vendor_exporters.delivery.notices import Notices
from otel_vendor_exporters.delivery.register import Register
from otel_vendor_exporters.delivery.remembered import Standings
from otel_vendor_exporters.delivery.request import Item, Receipt, Ticket
from otel_vendor_exporters.delivery.sender import Delivery
from otel_vendor_exporters.delivery.shared import SharedDestinations
from otel_vendor_exporters.delivery.spool import MemorySpool, Spool
from otel_vendor_exporters.delivery.spool_writing import Disk
from otel_vendor_exporters.delivery.transport import transport_for
from otel_vendor_exporters.mparticle_analytics.codec import UnitCodec
from otel_vendor_exporters.mparticle_analytics.merges import Merges
from otel_vendor_exporters.mparticle_analytics.project import Project
from otel_vendor_exporters.mparticle_analytics.settings import AnalyticsSettings
from otel_vendor_exporters.mparticle_analytics.units import REMOVALS, Unit
from otel_vendor_exporters.mparticle_analytics.users import REMEMBERED, Users
from otel_vendor_exporters.mparticle_analytics.wire import Alias, AnalyticsEvent, Delete, Identify, Suppress

SUPPRESSED = "suppressed"  # the ledger's word for what is not sent because its user is not to be told of
_VENDOR = "mparticle_analytics"
_CODEC = UnitCodec()
_CLOCK = Clock()  # one, so that what lasts in this process has one time
_ITEM_BYTES = 300  # about what an item takes in memory beside its content


@dataclass(frozen=True, slots=True)
class Destination:
    """What the exporters and clients of one project in one process share."""

    project: Project
    delivery: Delivery[Unit]
    users: Users
    settings: AnalyticsSettings
    clock: Clock

    def keep(self, units: Sequence[Unit], ticket: Ticket | None = None) -> bool:
        """Keep units for sending and return at once; False when shut down."""
        expires = self.clock.unix_ms() + self.settings.max_age * 1000
        kept = self.delivery.keep([_item(unit, expires, ticket, self.users) for unit in units])
        if not kept:
            for unit in units:
                self.users.take_back(unit, CLOSED)
        return kept

    def silence(self, user_id: str) -> int:
        """Send nothing more of this user, under any id known to be theirs, nor what waits; how many items."""
        ids = self.users.ids_of(user_id)
        for id_ in ids:
            self.users.suppress(id_)
        return self.delivery.take_out(ids, SUPPRESSED)

    def release(self, timeout_seconds: float) -> None:
        """Leave: send what waits within the deadline; the last user ends the destination."""
        if _destinations.release(_fingerprint(self.settings), self):
            self.delivery.shutdown(timeout_seconds)
        else:
            self.delivery.flush(timeout_seconds)


def destination_for(settings: AnalyticsSettings, clock: Clock | None = None) -> Destination:
    """The destination for these settings, shared in this process. Does not connect."""
    return _destinations.acquire(
        _fingerprint(settings), settings, lambda: _destination(settings, clock or _CLOCK)
    )


@dataclass(frozen=True, slots=True)
class Removal:
    """What became of a suppress or delete call, and how many items of the user waited and were given up."""

    receipt: Receipt
    removed: int


class AnalyticsClient(DirectClient[Destination]):
    """
    Sends events and calls without OpenTelemetry. Settings are keywords, as for the exporters.

    Calls wait for the outcome, at most `timeout` (or `timeout_seconds`; 0 does not wait), and return a
    Receipt; what waits longer is tried on. EncodingError is raised for what Analytics does not take, and
    nothing for the network. A call from a signal handler or finalizer that comes in during another is done
    when that one ends, and its receipt says waiting. Any thread may call. Use as a context manager, or call
    `close()`.
    """

    def __init__(self, **settings: object) -> None:
        read = AnalyticsSettings.read(**settings)
        super().__init__(destination_for(read), read.timeout)

    def track(
        self, event: AnalyticsEvent, *, method: str = "post", timeout_seconds: float | None = None
    ) -> Receipt:
        """Send one event; `method` is post or get. Events sent by POST travel with others that wait."""
        if method not in ("post", "get"):
            raise ValueError(f"method is {method!r}: expected post or get")
        now = self._destination.clock.unix_ms()
        unit = event.unit(now) if method == "post" else event.get_unit(now)
        if method == "get":
            self._note_empty(event)
        return self._called(1, lambda timeout: self._tracked([event], [unit], timeout), timeout_seconds)

    def track_many(
        self, events: Iterable[AnalyticsEvent], *, timeout_seconds: float | None = None
    ) -> Receipt:
        """Send any number of events, in batches; the receipt counts them all."""
        events = list(events)
        now = self._destination.clock.unix_ms()
        units = [event.unit(now) for event in events]
        return self._called(
            len(units), lambda timeout: self._tracked(events, units, timeout), timeout_seconds
        )

    def identify(
        self, user_id: str, properties: Mapping[str, object], *, timeout_seconds: float | None = None
    ) -> Receipt:
        """Set properties of a user, which stay until they are set again."""
        identify = Identify(user_id, properties)
        unit = identify.unit()

        def told(timeout_seconds: float | None) -> Receipt:
            self._destination.users.identified(user_id)
            self._destination.users.profiles.told(user_id, identify.texts)
            return self._told([identify], [unit], timeout_seconds)

        return self._called(1, told, timeout_seconds)

    def alias(self, previous_id: str, new_id: str, *, timeout_seconds: float | None = None) -> Receipt:
        """
        Merge an anonymous id's events and profile into a user's, which cannot be undone.

        The second time nothing is sent, and the receipt is empty. What would merge two known users is refused
        as "known_user": an id that records of this process name as a user's, or that something was merged
        into; and two ids that both were identified.
        """
        unit = Alias(previous_id, new_id).unit()

        def merged(timeout_seconds: float | None) -> Receipt:
            problem = self._destination.users.merge(previous_id, new_id)
            if problem is not None:
                return Receipt() if problem == "merged" else Receipt(refused={problem: 1})
            return self._send([unit], timeout_seconds)

        return self._called(1, merged, timeout_seconds)

    def suppress(self, user_id: str, *, timeout_seconds: float | None = None) -> Removal:
        """
        Have Analytics ignore this user from now on, and send nothing more of them.

        That holds for the life of this process; with `spool_dir` for all processes that use the folder, and
        no byte of what waited is left in this process's file. The application keeps a list of its own.
        """
        return self._remove(user_id, Suppress(user_id).unit(), timeout_seconds)

    def delete(self, user_id: str, *, timeout_seconds: float | None = None) -> Removal:
        """Have Analytics delete this user's data for ever; else as `suppress`."""
        return self._remove(user_id, Delete(user_id).unit(), timeout_seconds)

    def _remove(self, user_id: str, unit: Unit, timeout_seconds: float | None) -> Removal:
        def removal(timeout_seconds: float | None) -> Removal:
            removed = self._destination.silence(user_id)
            return Removal(self._send([unit], timeout_seconds), removed)

        return reentry.call(
            partial(removal, timeout_seconds),
            later=partial(removal, 0),
            meanwhile=Removal(Receipt(waiting=1), 0),
        )

    def _called(
        self, count: int, call: Callable[[float | None], Receipt], timeout_seconds: float | None
    ) -> Receipt:
        return reentry.call(
            partial(call, timeout_seconds),
            later=lambda: self._hear(call(0)),
            meanwhile=Receipt(waiting=count),
        )

    def _hear(self, receipt: Receipt) -> None:
        """What nobody gets a receipt of: refused. What was dropped is in the ledger already."""
        self._destination.delivery.ledger.saw(0, receipt.refused)

    def _tracked(
        self, events: Sequence[AnalyticsEvent], units: Sequence[Unit], timeout_seconds: float | None
    ) -> Receipt:
        for event in events:
            self._destination.users.profiles.overwritten(event.user_id, event.texts)
        return self._told(events, units, timeout_seconds)

    def _told(
        self,
        values: Sequence[AnalyticsEvent | Identify],
        units: Sequence[Unit],
        timeout_seconds: float | None,
    ) -> Receipt:
        self._note(values)
        return self._send(units, timeout_seconds)

    def _send(self, units: Sequence[Unit], timeout_seconds: float | None) -> Receipt:
        ticket = Ticket(expected=len(units))
        if not self._open or not self._destination.keep(units, ticket):
            for unit in units:
                self._destination.users.take_back(unit, CLOSED)
            return self._drop_closed(len(units))
        timeout = self._seconds(timeout_seconds)
        if timeout > 0:
            self._destination.delivery.wait_for(ticket, timeout)
        return ticket.receipt()

    def _note_empty(self, event: AnalyticsEvent) -> None:
        """A query has no place for values without a character."""
        empty = sum(not text for text in event.texts.values())
        if empty:
            self._destination.delivery.ledger.saw(0, {}, {"empty_value": empty})

    def _note(self, values: Iterable[AnalyticsEvent | Identify]) -> None:
        left_out = sum((Counter(value.left_out) for value in values if value.left_out), Counter[str]())
        if left_out:
            self._destination.delivery.ledger.saw(0, {}, left_out)


def _destination(settings: AnalyticsSettings, clock: Clock) -> Destination:
    notices = Notices(logging.getLogger(f"otel_vendor_exporters.{_VENDOR}"), clock)
    suppressed = suppressed_by(settings, notices)
    users = Users(suppressed, clock=clock)
    merges = Merges(merged_by(settings, notices))
    project = Project(settings, users, suppressed, merges, notices, clock)
    standing = standings.of(_fingerprint(settings), settings, clock, settings.most_per_second)

    def spool() -> Spool[Unit]:
        memory: MemorySpool[Unit] = MemorySpool(
            max_items=settings.max_queue_items, max_bytes=settings.max_queue_bytes
        )
        disk = disk_for(settings)
        return memory if disk is None else DiskSpool(disk, memory, clock, notices)

    delivery: Delivery[Unit] = Delivery(
        project,
        spool=spool,
        transport=transport_for(settings),
        clock=clock,
        notices=notices,
        timeout_seconds=settings.timeout,
        connections=settings.connections,
        max_age_seconds=settings.max_age,
        rate=standing.rate,
        outage=standing.outage,
    )
    return Destination(project, delivery, users, settings, clock)


def suppressed_by(settings: AnalyticsSettings, notices: Notices) -> Register:
    """Whom nothing may be told of; with a spool folder all processes that use it know."""
    return _register(SUPPRESSED, settings, notices)


def merged_by(settings: AnalyticsSettings, notices: Notices) -> Register:
    """Which anonymous ids were merged; with a spool folder all processes that use it know."""
    return _register("merged", settings, notices)


def _register(end: str, settings: AnalyticsSettings, notices: Notices) -> Register:
    path = None if settings.spool_dir is None else _folder(settings.spool_dir) / f"{_VENDOR}.{end}"
    return Register(_VENDOR, (settings.base_url, settings.api_key.reveal()), path, notices)


def _folder(spool_dir: str) -> Path:
    return Path(spool_dir).absolute()


def disk_for(settings: AnalyticsSettings) -> Disk[Unit] | None:
    """Where what waits is written down by these settings, if it is."""
    if settings.spool_dir is None:
        return None
    label = Label(_VENDOR, _CODEC.units, settings.base_url, (settings.api_key.reveal(),))
    again = settings.duplicates == "allow"
    return Disk(_folder(settings.spool_dir), label, _CODEC, again=again)


_destinations: SharedDestinations[AnalyticsSettings, Destination] = SharedDestinations(
    AnalyticsSettings.conflict_with,
    begin=lambda one: one.delivery.begin(),
    end=lambda one: one.delivery.shutdown(one.settings.timeout),
)
standings = Standings()


def _fingerprint(settings: AnalyticsSettings) -> tuple[str, str]:
    return settings.api_key.reveal(), settings.base_url


def _item(unit: Unit, expires_at_unix_ms: float, ticket: Ticket | None, users: Users) -> Item[Unit]:
    """
    A removal never gets too old, leaves before what waits of others, and makes room last.

    Nothing of its own user waits in front of it.
    """
    is_removal = unit.kind in REMOVALS
    return Item(
        unit,
        _ITEM_BYTES + len(unit.content),
        expires_at_unix_ms=None if is_removal else expires_at_unix_ms,
        first=is_removal,
        subjects=_CODEC.subjects(unit),
        ticket=ticket,
        on_loss=partial(users.take_back, unit) if unit.kind in REMEMBERED else None,
    )
