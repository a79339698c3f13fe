"""
The client: the way of units to one mPulse app, and `MPulseClient` for direct use.

A `Destination` is shared by all exporters and clients of one app in one process. Nothing here connects when
it is made.
"""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from sys import getsizeof
from typing import TYPE_CHECKING, TypedDict

from otel_vendor_exporters import attributes as names
from otel_vendor_exporters.delivery import reentry
from otel_vendor_exporters.delivery.clock import Clock
from otel_vendor_exporters.delivery.direct import DirectClient
from otel_vendor_exporters.delivery.disk_spool import DiskSpool
from otel_vendor_exporters.delivery.journal import Label
from otel_vendor_exporters.delivery.ledger import NO_LOSS
from otel_vendor_exporters.delivery.notices import Notices
from otel_vendor_exporters.delivery.request import Item, Receipt, Ticket
from otel_vendor_exporters.delivery.sender import Delivery
from otel_vendor_exporters.delivery.shared import SharedDestinations
from otel_vendor_exporters.delivery.spool import MemorySpool, Spool
from otel_vendor_exporters.delivery.spool_writing import Disk
from otel_vendor_exporters.delivery.transport import transport_for
from otel_vendor_exporters.errors import EncodingError
from otel_vendor_exporters.interrupts import let_through
from otel_vendor_exporters.mpulse import budget
from otel_vendor_exporters.mpulse.app import App
from otel_vendor_exporters.mpulse.budget import SAMPLED_OUT
from otel_vendor_exporters.mpulse.codec import UnitCodec
from otel_vendor_exporters.mpulse.contexts import Contexts
from otel_vendor_exporters.mpulse.definitions import Definitions
from otel_vendor_exporters.mpulse.lasting import LastingApps
from otel_vendor_exporters.mpulse.settings import MPulseSettings
from otel_vendor_exporters.mpulse.unfit import unreadable
from otel_vendor_exporters.mpulse.units import Context, How, Reading, Session, Timing, Unit, later_and_older
from otel_vendor_exporters.mpulse.wire import MOST_DIGITS, MOST_MILLISECONDS, metric_text, timer_milliseconds

if TYPE_CHECKING:
    from typing_extensions import Unpack

_ITEM_BYTES = 400  # about what a timing or reading takes in memory with its item, besides its name
_PAIR_BYTES = 64  # an attribute's pair in a context, besides its texts
_LATEST_MS = 10**15  # microseconds and nanoseconds are past it
_CODEC = UnitCodec()
_CLOCK = Clock()


@dataclass(frozen=True, slots=True)
class Destination:
    """What the exporters and clients of one mPulse app in one process share."""

    app: App
    delivery: Delivery[Unit]
    settings: MPulseSettings
    clock: Clock
    notices: Notices

    def keep(self, units: Iterable[Unit], ticket: Ticket | None = None) -> bool:
        """Keep units for sending and return at once; False when shut down."""
        max_age_ms = self.settings.max_age * 1000
        return self.delivery.keep([_item(unit, max_age_ms, ticket) for unit in units])

    def sampler(self) -> budget.Sampler | None:
        """Who decides which timings are kept, by the rates of this minute; None without a budget."""
        sampler = self.app.sampler
        if sampler is not None:
            sampler.adjust(self.now(), self.delivery.ledger.waiting)
        return sampler

    def samples_out(self, unit: Unit) -> bool:
        """Whether this is a timing outside the sample; counted. It has no span's ids: chance decides."""
        sampler, definitions = self.sampler(), self.app.definitions
        if sampler is None or not isinstance(unit, Timing):
            return False
        if definitions is not None and definitions.timer_label(unit.name) is None:
            return False  # it is undefined, and takes nobody's share
        if sampler.keeps(unit.name, random.getrandbits(128), random.getrandbits(64)):
            return False
        self.delivery.ledger.accept(1)
        self.delivery.ledger.drop(SAMPLED_OUT, 1)
        return True

    def refuse(self, reason: str) -> Receipt:
        """Count a timer or metric that mPulse would ignore, and say so."""
        ledger = self.delivery.ledger
        ledger.accept(1)
        ledger.refuse(reason, 1, was="waiting")
        if reason not in NO_LOSS:
            text = "mpulse: a timer or metric given to a client was refused: %s"
            self.notices.say(f"client {reason}", logging.WARNING, text, _WORDS.get(reason, reason))
        return Receipt(refused={reason: 1})

    def now(self) -> float:
        """Monotonic seconds."""
        return self.clock.monotonic()

    def release(self, timeout_seconds: float) -> None:
        """Leave: send what waits within the deadline; the last user ends the destination."""
        if _destinations.release(_fingerprint(self.settings), self):
            self.delivery.shutdown(timeout_seconds)
        else:
            self.delivery.flush(timeout_seconds)


def destination_for(settings: MPulseSettings, clock: Clock | None = None) -> Destination:
    """The destination for these settings, shared in this process. Does not connect."""
    return _destinations.acquire(
        _fingerprint(settings), settings, lambda: _destination(settings, clock or _CLOCK)
    )


class Where(TypedDict, total=False):
    """What may be said of one timer or metric besides its value; times are ms since the epoch."""

    page_group: str
    ab_test: str
    dimensions: Mapping[str, object]  # dimension name to value
    session: Session
    end_unix_ms: int


class MPulseClient(DirectClient[Destination]):
    """
    Sends timers and metrics without OpenTelemetry. Settings are keywords, as for the exporters.

    Calls wait for the outcome, at most `timeout`, and return a Receipt; they never raise for data or
    network. A call from a signal handler or finalizer that comes in during another is done when that one
    ends, and its receipt says waiting. Any thread may call. Use as a context manager, or call `close()`.
    """

    def __init__(self, **settings: object) -> None:
        self._settings = MPulseSettings.read(**settings)
        self._contexts = Contexts(self._settings)
        super().__init__(destination_for(self._settings), self._settings.timeout)

    def send_timer(
        self, name: str, milliseconds: float, *, timeout_seconds: float | None = None, **where: Unpack[Where]
    ) -> Receipt:
        """
        Send one value of the custom timer `name`.

        `where` are the keywords of `Where`; `timeout_seconds` 0 does not wait for the outcome. What mPulse
        would ignore is said in the receipt: refused "bad_name", "no_number" or "bad_time", dropped
        "undefined"; so is what max_beacons_per_hour leaves out, dropped "sampled_out". What `where` says that
        has no place in a beacon is left out and counted in the ledger.
        """

        def timing() -> Unit:
            return Timing(_plain(name), timer_milliseconds(milliseconds), *self._placed(**where))

        return self._send(timing, timeout_seconds)

    def send_metric(
        self, name: str, value: float = 1, *, timeout_seconds: float | None = None, **where: Unpack[Where]
    ) -> Receipt:
        """
        Increment the custom metric `name` by `value`; else as `send_timer`.

        Increments of one metric and place that wait become one, dated as the latest of them; the receipt of
        each is that of the whole. 0 is refused ("zero") unless zero_metrics says otherwise. Money that comes
        to less than a cent goes along with the metric's next increment: dropped "carried", which is no loss.
        """

        def reading() -> Unit:
            metric_text(value)
            if value < 0 and not self._settings.negative_metrics:
                raise EncodingError("a metric takes no negative number", field="value")
            if value == 0 and not self._settings.zero_metrics:
                raise EncodingError("an increment of nothing", field="zero")
            return Reading(_plain(name), How.ADD, value, 1, *self._placed(**where))

        return self._send(reading, timeout_seconds)

    def _placed(
        self,
        *,
        page_group: str | None = None,
        ab_test: str | None = None,
        dimensions: Mapping[str, object] | None = None,
        session: Session | None = None,
        end_unix_ms: int | None = None,
    ) -> tuple[int, Context]:
        """When and where, by the rules that hold for spans. Raises EncodingError for no time."""
        app, now_unix_ms = self._destination.app, self._destination.clock.unix_ms()
        end_unix_ms = now_unix_ms if end_unix_ms is None else _moment(end_unix_ms)
        definitions, left_out = app.definitions, Counter[str]()
        attributes = _attributes_of(dimensions, definitions, left_out)
        attributes |= {names.MPULSE_PAGE_GROUP: page_group, names.MPULSE_AB_TEST: ab_test}
        if session is not None:
            attributes |= _attributes_of_session(session)
        context = self._contexts.context(
            attributes, None, definitions, app.process_session(), now_unix_ms, left_out, route=False
        )
        if left_out:
            self._destination.delivery.ledger.saw(0, {}, left_out)
        return end_unix_ms, context

    def _send(self, make: Callable[[], Unit], timeout_seconds: float | None) -> Receipt:
        return reentry.call(
            partial(self._sent, make, timeout_seconds),
            later=partial(self._sent, make, 0),
            meanwhile=Receipt(waiting=1),
        )

    def _sent(self, make: Callable[[], Unit], timeout_seconds: float | None) -> Receipt:
        try:
            unit = make()
        except EncodingError as error:
            return self._destination.refuse(_REASONS.get(error.field, "no_number"))
        except Exception as error:  # noqa: BLE001  what was given raised when it was looked at
            return self._destination.refuse(unreadable(error))
        if not isinstance(unit.name, str) or not unit.name:
            return self._destination.refuse("bad_name")
        if self._open and self._destination.samples_out(unit):
            return Receipt(dropped={SAMPLED_OUT: 1})
        ticket = Ticket(expected=1)
        if not self._open or not self._destination.keep([unit], ticket):
            return self._drop_closed(1)
        timeout = self._seconds(timeout_seconds)
        if timeout > 0:
            self._destination.delivery.wait_for(ticket, timeout)
        return ticket.receipt()


_REASONS = {"end_unix_ms": "bad_time", "zero": "zero"}  # by the field that cannot be sent
_WORDS = {
    "bad_name": "its name is not a text, or empty",
    "bad_time": "end_unix_ms takes milliseconds since the epoch",
    "no_number": (
        f"a timer takes 0 to {MOST_MILLISECONDS} milliseconds, a metric a finite number of at most "
        f"{MOST_DIGITS} digits (a negative one with negative_metrics)"
    ),
}


def _attributes_of(
    dimensions: object, definitions: Definitions | None, left_out: Counter[str]
) -> dict[str, object]:
    """Dimensions as the attributes that name them; those that are not defined are left out."""
    if dimensions is None:
        return {}
    try:
        pairs = dict(dimensions.items())  # type: ignore[attr-defined]  # whatever it is
    except Exception as error:  # noqa: BLE001  it is none, or raises when it is looked at
        let_through(error)
        left_out["dimension"] += 1
        return {}
    if definitions is not None and not definitions.sends_undefined:
        left_out.update("dimension" for name in pairs if name not in definitions.dimensions)
    return {f"{names.MPULSE_DIMENSION_PREFIX}{name}": value for name, value in pairs.items()}


def _attributes_of_session(session: object) -> dict[str, object]:
    """A session as a span's attributes tell it; what is none has an id that is none."""
    if not isinstance(session, Session):
        return {names.SESSION_ID: session}
    return {
        names.SESSION_ID: session.id,
        names.MPULSE_SESSION_START_UNIX_MS: session.start_unix_ms,
        names.MPULSE_SESSION_LENGTH: session.length,
    }


def _plain(name: str) -> str:
    """The text alone: a subclass may raise when it is compared, in the queue or in the sender's thread."""
    return str.__str__(name) if isinstance(name, str) else name


def _moment(unix_ms: object) -> int:
    """A time in whole ms, also of time.time() * 1000. Raises EncodingError."""
    if isinstance(unix_ms, bool) or not isinstance(unix_ms, (int, float)) or not 0 <= unix_ms < _LATEST_MS:
        raise EncodingError("a time takes milliseconds since the epoch", field="end_unix_ms")
    return int(unix_ms)


def _destination(settings: MPulseSettings, clock: Clock) -> Destination:
    notices = Notices(logging.getLogger("otel_vendor_exporters.mpulse"), clock)
    transport = transport_for(settings)
    lasting = lasting_apps.of(_fingerprint(settings), settings, clock)
    app = App(settings, transport, clock, notices, lasting)

    def spool() -> Spool[Unit]:
        memory: MemorySpool[Unit] = MemorySpool(
            max_items=settings.max_queue_items, max_bytes=settings.max_queue_bytes, merge=later_and_older
        )
        disk = disk_for(settings)
        return memory if disk is None else DiskSpool(disk, memory, clock, notices)

    delivery: Delivery[Unit] = Delivery(
        app,
        spool=spool,
        transport=transport,
        clock=clock,
        notices=notices,
        timeout_seconds=settings.timeout,
        connections=settings.connections,
        max_age_seconds=settings.max_age,
        rate=lasting.rate(),
        outage=lasting.outage,
    )
    return Destination(app, delivery, settings, clock, notices)


def disk_for(settings: MPulseSettings) -> Disk[Unit] | None:
    """Where what waits is written down by these settings, if it is."""
    if settings.spool_dir is None:
        return None
    return Disk(
        Path(settings.spool_dir),
        Label(
            "mpulse",
            _CODEC.units,
            settings.resolved_config_url,
            (settings.api_key, settings.domain_in_lower_case),
        ),
        _CODEC,
        again=settings.duplicates == "allow",
    )


_destinations: SharedDestinations[MPulseSettings, Destination] = SharedDestinations(
    MPulseSettings.conflict_with,
    begin=lambda one: one.delivery.begin(),
    end=lambda one: one.delivery.shutdown(one.settings.timeout),
)
lasting_apps = LastingApps()


def _fingerprint(settings: MPulseSettings) -> tuple[str, str, str]:
    return settings.api_key, settings.domain_in_lower_case, settings.resolved_config_url


def _item(unit: Unit, max_age_ms: float, ticket: Ticket | None) -> Item[Unit]:
    size = _ITEM_BYTES + getsizeof(unit.name)
    if not unit.context.resolved:
        size += _size_of_pairs(unit.context.dimensions)
    if isinstance(unit, Timing):
        return Item(unit, size, expires_at_unix_ms=unit.end_unix_ms + max_age_ms, ticket=ticket)
    expires = unit.end_unix_ms + max_age_ms if unit.how is How.MEAN else None
    key = _CODEC.merge_key(unit)
    return Item(unit, size, expires_at_unix_ms=expires, merge_key=key, first=True, ticket=ticket)


def _size_of_pairs(pairs: Iterable[tuple[str, str]]) -> int:
    """What attributes take that wait for definitions: names and values are whatever the application says."""
    return sum([_PAIR_BYTES + getsizeof(name) + getsizeof(value) for name, value in pairs])
