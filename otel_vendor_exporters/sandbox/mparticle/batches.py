"""
What arrived at mParticle: batches, events, pixels, and the users they belong to.

Values only. Which user a batch belongs to is the documented default of identity resolution in short: a known
`mpid` or `customer_id` decides, else the first other identity that is known; the rest is inferred.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from otel_vendor_exporters.sandbox.inbox import Record
from otel_vendor_exporters.sandbox.mparticle.rules import Json, events_of, part
from otel_vendor_exporters.sandbox.mparticle.shapes import IDENTITY_NAMES, IDENTITY_SPELLINGS

BatchStatus = Literal["stored", "duplicate", "refused", "not_processed"]

_FNV_OFFSET, _FNV_PRIME = 0xCBF29CE484222325, 0x100000001B3
_NAME_KEYS = ("event_name", "screen_name", "label", "class_name", "url", "application_transition_type")
# One of these says alone who it is; the others may be shared, by a family's mail address say.
_DECIDING = ("mpid", "customer_id")
_PRIORITY = (*_DECIDING, *(name for name in IDENTITY_NAMES if name != "customer_id"), "mp_deviceid")


@dataclass(frozen=True, slots=True)
class MParticleEvent:
    """One event as mParticle kept it: `data` cut to the limits, the time in milliseconds since 1970."""

    type: str
    data: Mapping[str, object]
    timestamp_unix_ms: int
    session_id: int | None = None

    @property
    def name(self) -> str:
        """What it is called: event_name, screen_name, label, …; empty when its type has no name."""
        return next((str(self.data[key]) for key in _NAME_KEYS if self.data.get(key)), "")

    @property
    def attributes(self) -> Mapping[str, object]:
        """Its custom attributes."""
        return part(self.data, "custom_attributes")


@dataclass(frozen=True, slots=True)
class MParticleBatch:
    """One batch: `content` is what was sent, cut to the limits when it was stored."""

    status: BatchStatus
    content: Mapping[str, object]
    arrived_unix_ms: int

    @property
    def environment(self) -> str:
        """Either production (also when absent) or development."""
        return str(self.content.get("environment") or "production")

    @property
    def source_request_id(self) -> str:
        """The id by which repeated requests are recognised; empty when there is none."""
        return str(self.content.get("source_request_id") or "")

    @property
    def identities(self) -> dict[str, str]:
        """Whose it is, by the schema's names."""
        given = part(self.content, "user_identities").items()
        named = {IDENTITY_SPELLINGS.get(name, name): str(value) for name, value in given if value is not None}
        further = {name: self.content.get(name) for name in ("mpid", "mp_deviceid")}
        return {**named, **{name: str(value) for name, value in further.items() if value is not None}}

    @property
    def user_attributes(self) -> Mapping[str, object]:
        """What it says about its user."""
        return part(self.content, "user_attributes")

    @property
    def deleted_user_attributes(self) -> tuple[str, ...]:
        """Names of user attributes to forget."""
        names = self.content.get("deleted_user_attributes")
        return tuple(str(name) for name in names) if isinstance(names, list) else ()

    @property
    def events(self) -> tuple[MParticleEvent, ...]:
        """Its events in order."""
        return tuple(_event(event, self.arrived_unix_ms) for event in events_of(dict(self.content)))


@dataclass(frozen=True, slots=True, kw_only=True)
class MParticleUpload(Record):
    """One request to the Events API with all its batches, also those that were not stored."""

    batches: tuple[MParticleBatch, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MParticlePixel(Record):
    """One request to the Pixel Service; `batch` is what it amounts to, None when it was refused."""

    batch: MParticleBatch | None = None


@dataclass(slots=True)
class MParticleUser:
    """One user: who it is, what is known of it, and all its events in the order they arrived."""

    identities: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, object] = field(default_factory=dict)
    events: list[MParticleEvent] = field(default_factory=list)


def session_id(session_uuid: object) -> int | None:
    """The number mParticle gives a session: FNV-1a of its UTF-16LE text, as a signed 64-bit integer."""
    if not isinstance(session_uuid, str):
        return None
    number = _FNV_OFFSET
    for byte in session_uuid.encode("utf-16-le", "surrogatepass"):
        number = (number ^ byte) * _FNV_PRIME % 2**64
    return number - 2**64 if number >= 2**63 else number


def stored_batches(records: Iterable[Record]) -> tuple[MParticleBatch, ...]:
    """The batches mParticle would work on, of uploads and pixels, in the order they arrived."""
    return tuple(batch for record in records for batch in batches_of(record) if batch.status == "stored")


class UserBook:
    """Users as batches make them known, in the order first seen. Not for several threads at once."""

    def __init__(self) -> None:
        self.users: list[MParticleUser] = []
        self._known: dict[tuple[str, str], int] = {}

    def __len__(self) -> int:
        return len(self.users)

    def add(self, batch: MParticleBatch) -> tuple[int, MParticleUser]:
        """The user a batch belongs to, and its number, with all that the batch says."""
        identities = batch.identities
        number = self._number_of(identities)
        if number is None:
            number = len(self.users)
            self.users.append(MParticleUser())
        _add(self.users[number], batch, identities)
        self._known.update(dict.fromkeys(identities.items(), number))
        return number, self.users[number]

    def knows(self, batch: MParticleBatch) -> bool:
        """Whether a batch belongs to a user known by now."""
        return self._number_of(batch.identities) is not None

    def _number_of(self, identities: Mapping[str, str]) -> int | None:
        for name in _PRIORITY:
            number = self._known.get((name, identities[name])) if name in identities else None
            if number is not None and not _is_somebody_else(self.users[number], identities):
                return number
        return None


def users_of(batches: Iterable[MParticleBatch]) -> tuple[MParticleUser, ...]:
    """The users of some batches, in the order they were first seen."""
    book = UserBook()
    for batch in batches:
        book.add(batch)
    return tuple(book.users)


def batches_of(record: Record) -> tuple[MParticleBatch, ...]:
    """The batches of one record, whatever became of them."""
    if isinstance(record, MParticleUpload):
        return record.batches
    if isinstance(record, MParticlePixel) and record.batch is not None:
        return (record.batch,)
    return ()


def _is_somebody_else(user: MParticleUser, identities: Mapping[str, str]) -> bool:
    return any(
        user.identities.get(n, identities.get(n)) != identities.get(n, user.identities.get(n))
        for n in _DECIDING
    )


def _add(user: MParticleUser, batch: MParticleBatch, identities: Mapping[str, str]) -> None:
    user.identities.update(identities)
    user.attributes.update(batch.user_attributes)
    for name in batch.deleted_user_attributes:
        user.attributes.pop(name, None)
    user.events.extend(batch.events)


def _event(event: Json, arrived_unix_ms: int) -> MParticleEvent:
    data = part(event, "data")
    return MParticleEvent(
        type=str(event.get("event_type")),
        data=data,
        timestamp_unix_ms=_unix_ms(data.get("timestamp_unixtime_ms"), arrived_unix_ms),
        session_id=session_id(data.get("session_uuid")),
    )


def _unix_ms(time: object, arrived_unix_ms: int) -> int:
    """The time an event gives, when it is a number of 64 bits; else, also of a refused batch, its arrival."""
    try:
        given = int(time) if isinstance(time, (int, float, str)) else arrived_unix_ms
    except (ValueError, OverflowError):  # words, too many digits, NaN, infinity
        return arrived_unix_ms
    return given if abs(given) < 2**63 else arrived_unix_ms
