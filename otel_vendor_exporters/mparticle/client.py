"""
The client: the way of batches to one mParticle feed, and `EventsClient` and `PixelClient` for direct use.

A `Destination` is shared by all exporters and clients of one feed in one process. Nothing here connects when
it is made.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

from otel_vendor_exporters.delivery import reentry
from otel_vendor_exporters.delivery.clock import Clock
from otel_vendor_exporters.delivery.direct import DirectClient
from otel_vendor_exporters.delivery.disk_spool import DiskSpool
from otel_vendor_exporters.delivery.journal import Label
from otel_vendor_exporters.delivery.notices import Notices
from otel_vendor_exporters.delivery.remembered import Standings
from otel_vendor_exporters.delivery.request import Receipt, Ticket
from otel_vendor_exporters.delivery.sender import Delivery, Vendor
from otel_vendor_exporters.delivery.shared import SharedDestinations
from otel_vendor_exporters.delivery.spool import MemorySpool, Spool
from otel_vendor_exporters.delivery.spool_writing import Disk
from otel_vendor_exporters.delivery.transport import transport_for
from otel_vendor_exporters.errors import EncodingError
from otel_vendor_exporters.mparticle.batching import Sealed, is_historical, seal_batch
from otel_vendor_exporters.mparticle.feed import CODEC, Feed, PixelFeed, item_of, new_id, pixel_rules
from otel_vendor_exporters.mparticle.pixel import PixelEvent, query_of, shortened
from otel_vendor_exporters.mparticle.settings import MParticleSettings
from otel_vendor_exporters.mparticle.units import SealedBatch
from otel_vendor_exporters.mparticle.wire import Batch

_MOST_AT_ONCE = 500  # batches of one upload that wait at a time


@dataclass(frozen=True, slots=True)
class Destination:
    """What the exporters and clients of one mParticle feed in one process share."""

    delivery: Delivery[SealedBatch]
    settings: MParticleSettings
    clock: Clock
    way: str  # events, historical or pixel

    def keep(self, batches: Iterable[SealedBatch]) -> bool:
        """Keep batches for sending and return at once; False when shut down."""
        return self.keep_for((batch, None) for batch in batches)

    def keep_for(self, batches: Iterable[tuple[SealedBatch, Ticket | None]]) -> bool:
        """The same for callers who wait, each with a ticket."""
        expires = self.clock.unix_ms() + self.settings.max_age * 1000
        return self.delivery.keep([item_of(batch, expires, ticket) for batch, ticket in batches])

    def release(self, timeout_seconds: float) -> None:
        """Leave: send what waits within the deadline; the last user ends the destination."""
        if _destinations.release(_fingerprint(self.settings, self.way), self):
            self.delivery.shutdown(timeout_seconds)
        else:
            self.delivery.flush(timeout_seconds)


def destination_for(settings: MParticleSettings, way: str, clock: Clock | None = None) -> Destination:
    """The destination for these settings, shared in this process. Does not connect."""
    return _destinations.acquire(
        _fingerprint(settings, way), settings, lambda: _destination(settings, way, clock or _CLOCK)
    )


class _Client(DirectClient[Destination]):
    """What the direct clients do alike. Any thread may call."""

    def __init__(self, settings: MParticleSettings, way: str) -> None:
        self._settings = settings
        super().__init__(destination_for(settings, way), settings.timeout)

    def _send(self, uploads: Sequence[Sequence[SealedBatch]], timeout_seconds: float | None) -> list[Receipt]:
        """A receipt for each upload. All are kept at once, so that they share requests."""
        return reentry.call(
            lambda: self._sent(uploads, timeout_seconds),
            later=lambda: self._sent(uploads, 0),
            meanwhile=[Receipt(waiting=len(upload)) for upload in uploads],
        )

    def _sent(self, uploads: Sequence[Sequence[SealedBatch]], timeout_seconds: float | None) -> list[Receipt]:
        deadline = self._destination.clock.monotonic() + self._seconds(timeout_seconds)
        tickets = [Ticket(expected=len(upload)) for upload in uploads]
        items = [(one, ticket) for upload, ticket in zip(uploads, tickets, strict=True) for one in upload]
        if not self._open or not self._destination.keep_for(items):
            return [self._drop_closed(len(upload)) for upload in uploads]
        return [self._receipt(ticket, deadline) for ticket in tickets]

    def _receipt(self, ticket: Ticket, deadline: float) -> Receipt:
        left = deadline - self._destination.clock.monotonic()
        if left > 0:
            self._destination.delivery.wait_for(ticket, left)
        return ticket.receipt()


class EventsClient(_Client):
    """
    Sends batches to mParticle's Events API without OpenTelemetry. Settings are those of the exporters.

    Calls wait for the outcome, at most `timeout`, and return Receipts that count batches; they never raise
    for data or network. A call from a signal handler or finalizer that comes in during another is done when
    that one ends, and its receipt says waiting. A batch that is too large goes out in parts, and its receipt
    counts those. Any thread may call. Use as a context manager, or call `close()`.
    """

    def __init__(self, *, historical: bool = False, **settings: object) -> None:
        """
        `historical`: the path for data older than 72 hours, which is not forwarded ("HTTP API"). mParticle
        ignores what else is sent there, and does not say so: such a batch is refused here, "not_historical".

        Raises ConfigurationError for settings that are wrong or missing; does not connect.
        """
        super().__init__(MParticleSettings.read(**settings), "historical" if historical else "events")
        self._historical = historical

    def upload(self, batch: Batch, *, timeout_seconds: float | None = None) -> Receipt:
        """Send one batch; `timeout_seconds` 0 does not wait for the outcome."""
        (receipt,) = self.upload_many([batch], timeout_seconds=timeout_seconds)
        return receipt

    def upload_many(
        self, batches: Iterable[Batch], *, timeout_seconds: float | None = None
    ) -> tuple[Receipt, ...]:
        """
        Send any number of batches, at most 100 to a request. A receipt for each, in order.

        mParticle may refuse some batches of a request: their receipts say so, in its words.
        `timeout_seconds` is for every 500 batches, which are in the queue at a time.
        """
        receipts: list[Receipt] = []
        waiting = iter(batches)
        while some := list(islice(waiting, _MOST_AT_ONCE)):
            sealed = [self._sealed(batch) for batch in some]
            sent = self._send([one.batches for one in sealed], timeout_seconds)
            receipts += [_with_refused(receipt, one) for receipt, one in zip(sent, sealed, strict=True)]
            reentry.within(partial(self._count, sealed))
        return tuple(receipts)

    def _count(self, sealed: Iterable[Sealed]) -> None:
        for one in sealed:
            self._destination.delivery.ledger.saw(0, one.dropped, one.left_out)

    def _sealed(self, batch: Batch) -> Sealed:
        """The batch in its parts; what no part has room for is counted, as is what is no batch at all."""
        if not isinstance(batch, Batch):
            return Sealed(dropped=Counter(no_batch=1))
        if self._historical and not is_historical(batch, self._destination.clock.unix_ms()):
            return Sealed(dropped=Counter(not_historical=1))
        try:
            return seal_batch(batch, new_id)
        except EncodingError:
            return Sealed(dropped=Counter(too_large=1))


class PixelClient(_Client):
    """Sends single events to mParticle's Pixel Service; needs `web_api_key`. Otherwise as `EventsClient`."""

    def __init__(self, **settings: object) -> None:
        """Raise ConfigurationError for settings that are wrong or missing; does not connect."""
        super().__init__(MParticleSettings.read(**{"transport": "pixel", **settings}), "pixel")

    def send(self, event: PixelEvent, *, timeout_seconds: float | None = None) -> Receipt:
        """Send one event; `timeout_seconds` 0 does not wait for the outcome."""
        room, commas = pixel_rules(self._settings)
        try:
            short, _ = shortened(event, room, commas)
            query = query_of(short, commas).encode("ascii")
        except EncodingError as error:
            return Receipt(refused={f"unfit:{error.field}": 1}, words=(str(error),))
        unit = SealedBatch(query, new_id(), 1, None, None)
        (receipt,) = self._send([[unit]], timeout_seconds)
        return receipt


# What a receipt says of what was not even tried, by its reason.
_CLOCK = Clock()  # one, so that what lasts in this process has one time
_WORDS = {
    "no_batch": "upload takes Batch values",
    "not_historical": "the historical path takes batches with events, each of a time 72 hours ago or before",
    "too_large": "a batch takes less than 128 kB, and so does each event with what is said beside it",
    "user_too_large": "what a batch says beside its events leaves them no room",
}


def _with_refused(receipt: Receipt, sealed: Sealed) -> Receipt:
    """The receipt, with what was refused before anything was sent."""
    if not sealed.dropped:
        return receipt
    words = (*receipt.words, *(_WORDS[reason] for reason in sealed.dropped if reason in _WORDS))
    return replace(receipt, refused={**receipt.refused, **sealed.dropped}, words=words)


def _destination(settings: MParticleSettings, way: str, clock: Clock) -> Destination:
    notices = Notices(logging.getLogger("otel_vendor_exporters.mparticle"), clock)
    vendor: Vendor[SealedBatch]
    if way == "pixel":
        vendor = PixelFeed(settings)
    else:
        vendor = Feed(settings, notices, historical=way == "historical")
    per_second = settings.batches_per_second_here
    standing = standings.of(_fingerprint(settings, way), settings, clock, per_second)

    def spool() -> Spool[SealedBatch]:
        memory: MemorySpool[SealedBatch] = MemorySpool(
            max_items=settings.max_queue_items, max_bytes=settings.max_queue_bytes
        )
        disk = disk_for(settings, way)
        return memory if disk is None else DiskSpool(disk, memory, clock, notices)

    delivery: Delivery[SealedBatch] = Delivery(
        vendor,
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
    return Destination(delivery, settings, clock, way)


def disk_for(settings: MParticleSettings, way: str) -> Disk[SealedBatch] | None:
    """
    Where what waits is written down by these settings, if it is.

    What was under way is sent again, as mParticle removes duplicates; the Pixel Service does not.
    """
    if settings.spool_dir is None:
        return None
    key, address, _ = _fingerprint(settings, way)
    label = Label("mparticle", CODEC.units, address, (way, key or ""))
    again = way != "pixel" or settings.duplicates == "allow"
    return Disk(Path(settings.spool_dir), label, CODEC, again=again)


_destinations: SharedDestinations[MParticleSettings, Destination] = SharedDestinations(
    MParticleSettings.conflict_with,
    begin=lambda one: one.delivery.begin(),
    end=lambda one: one.delivery.shutdown(one.settings.timeout),
)
standings = Standings()


def _fingerprint(settings: MParticleSettings, way: str) -> tuple[str | None, str, str]:
    key = settings.web_api_key if way == "pixel" else settings.api_key
    return key, settings.resolved_base_url, way
