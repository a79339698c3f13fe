"""
Batching: many events into few batches, and batches into requests.

Pure. mParticle limits batches to 128 kB, requests to 256 kB and 100 batches; whether its "100 EVENT DATA
items" are batches or events is not said, so we keep both to 100 ("HTTP API", "Default Service Limits"). We
stay below with some room, as a kB may be 1000 bytes.
Rule: every event that comes in goes out once, or is counted. Events of one user keep their order.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from otel_vendor_exporters.errors import EncodingError
from otel_vendor_exporters.mparticle.ids import part_ids
from otel_vendor_exporters.mparticle.units import Form, NewId, OwnedEvent, Owner, SealedBatch
from otel_vendor_exporters.mparticle.wire import Batch, json_text, utf_8

MOST_BATCH_BYTES = 120_000
MOST_REQUEST_BYTES = 250_000
MOST_BATCHES = 100  # per request
MOST_EVENTS = 100  # per batch, and per request
HISTORICAL_AGE_MS = 72 * 3600 * 1000

_NOT_IN_HEAD = frozenset({"events", "source_request_id"})
_STATE = ("user_attributes", "consent_state")
_OWN_BYTES = len(',"source_request_id":"","events":[]}')


@dataclass(slots=True)
class Sealed:
    """
    What became of events: batches, and counts of what no batch had room for.

    `dropped` counts events by reason, and `lost` says which they are, by their texts. `left_out` is what
    events went without, by the name of the field.
    """

    batches: list[SealedBatch] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    lost: dict[str, str] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)

    def drop(self, events: Sequence[str], reason: str) -> None:
        """No batch has room for these."""
        self.dropped[reason] += len(events)
        self.lost.update(dict.fromkeys(events, reason))


def seal(events: Iterable[OwnedEvent], new_id: NewId, most_bytes: int = MOST_BATCH_BYTES) -> Sealed:
    """
    One batch per user, a new one when what is said of that user changes, or as many as it takes.

    What a batch says of its user, consent among it, holds until the next says else: so they must follow each
    other as the events did. Batches are in the order of their first events.
    """
    sealed = Sealed()
    groups: list[tuple[Owner, list[str]]] = []
    latest: dict[str, tuple[Owner, list[str]]] = {}
    for owner, text in events:
        whose = owner.ordering_key or owner.undated
        group = latest.get(whose)
        if group is None or group[0].undated != owner.undated:
            group = latest[whose] = (owner, [])
            groups.append(group)
        group[1].append(text)
    for owner, texts in groups:
        for start in range(0, len(texts), MOST_EVENTS):
            _seal_part(_Part(owner, texts[start : start + MOST_EVENTS]), new_id, most_bytes, sealed)
    return sealed


def seal_batch(batch: Batch, new_id: NewId, most_bytes: int = MOST_BATCH_BYTES) -> Sealed:
    """
    One batch, or its parts.

    A batch that stays whole keeps its `source_request_id`; otherwise each part has one that follows from it,
    so that the same batch uploaded again is found to be a repeat. Raises EncodingError when what it says
    beside its events leaves no room for them.
    """
    owner, events = owner_of(batch.form), _event_texts(batch.form)
    own_id = batch.source_request_id or new_id()
    whole = _batch(_Part(owner, events), own_id)
    if len(whole.body) <= most_bytes and whole.events <= MOST_EVENTS:
        return Sealed([whole])
    if _room(owner, own_id, most_bytes) <= 0:
        message = f"batch takes {most_bytes} bytes, and has more without any event"
        raise EncodingError(message, field="batch")
    return seal([OwnedEvent(owner, event) for event in events], part_ids(own_id, "part").__next__, most_bytes)


def is_historical(batch: Batch, now_unix_ms: int) -> bool:
    """Whether mParticle reads it on the path for old data: events, each with a time and old enough."""
    times = [event.timestamp_unixtime_ms for event in batch.events or ()]
    newest = now_unix_ms - HISTORICAL_AGE_MS
    return bool(times) and all(time is not None and time < newest for time in times)


def owner_of(form: Form) -> Owner:
    """Whose batch this form is."""
    head = {key: content for key, content in form.items() if key not in _NOT_IN_HEAD}
    identities = form.get("user_identities", {})
    named = next(((one, identities[one]) for one in ("customer_id", *identities) if one in identities), None)
    if named is None and "mpid" in form:
        named = ("mpid", str(form["mpid"]))
    text = json_text(head).removesuffix("}")
    return Owner(
        head=text,
        undated=text,
        ordering_key=None if named is None else f"{named[0]}:{named[1]}",
        subject=None if named is None else named[1],
    )


def without_state(owner: Owner) -> Owner:
    """The owner, without what was said of the user at one time and may no longer hold at another."""
    if not any(f'"{key}":' in owner.head for key in _STATE):
        return owner
    form = json.loads(owner.head + "}")
    return owner_of({key: content for key, content in form.items() if key not in _STATE})


def halves(batch: SealedBatch) -> tuple[SealedBatch, ...]:
    """The batch in two, for an answer that says it is too large. Nothing, if it cannot be divided."""
    form = json.loads(batch.body)
    owner, events = owner_of(form), _event_texts(form)
    middle = len(events) // 2
    if not middle:
        return ()
    next_id = part_ids(batch.source_request_id, "half").__next__
    return tuple(_batch(_Part(owner, part), next_id()) for part in (events[:middle], events[middle:]))


def request_groups(
    batches: Iterable[SealedBatch], per_second: float | None = None
) -> Iterator[tuple[SealedBatch, ...]]:
    """The batches in order, in groups that one bulk request takes; of a rate, in parts that add up to it."""
    second = math.inf if per_second is None else max(int(per_second), 1)
    group: list[SealedBatch] = []
    size, events, left = len("[]"), 0, second
    for batch in batches:
        grown = size + len(batch.body) + len(",")
        most = min(MOST_BATCHES, left)
        full = len(group) >= most or events + batch.events > MOST_EVENTS or grown > MOST_REQUEST_BYTES
        if group and full:
            yield tuple(group)
            left = left - len(group) or second
            group, size, events = [], len("[]"), 0
        group.append(batch)
        size += len(batch.body) + len(",")
        events += batch.events
    if group:
        yield tuple(group)


class _Part(NamedTuple):
    """What is to be one batch."""

    owner: Owner
    events: Sequence[str]


def _event_texts(form: Form) -> list[str]:
    return [json_text(event) for event in form.get("events", [])]


def _batch(part: _Part, source_request_id: str) -> SealedBatch:
    owner, events = part
    opening = owner.head if owner.head == "{" else owner.head + ","
    body = f'{opening}"source_request_id":{json_text(source_request_id)},"events":[{",".join(events)}]}}'
    return SealedBatch(utf_8(body), source_request_id, len(events), owner.ordering_key, owner.subject)


def _room(owner: Owner, source_request_id: str, most_bytes: int) -> int:
    """Bytes for the events of one batch."""
    return most_bytes - len(utf_8(owner.head)) - len(utf_8(json_text(source_request_id))) - _OWN_BYTES


def _seal_part(part: _Part, new_id: NewId, most_bytes: int, sealed: Sealed) -> None:
    """The part as one batch; halved while it is too large; a single event without what makes it so."""
    own_id = new_id()
    batch = _batch(part, own_id)
    if len(batch.body) <= most_bytes:
        sealed.batches.append(batch)
        return
    room = _room(part.owner, own_id, most_bytes)
    if room <= 0:
        sealed.drop(part.events, "user_too_large")
    elif len(part.events) == 1:
        slim = _slimmed(json.loads(part.events[0]), room, sealed)
        if slim is None:
            sealed.drop(part.events, "too_large")
        else:
            sealed.batches.append(_batch(_Part(part.owner, [json_text(slim)]), own_id))
    else:
        middle = len(part.events) // 2
        _seal_part(_Part(part.owner, part.events[:middle]), new_id, most_bytes, sealed)
        _seal_part(_Part(part.owner, part.events[middle:]), new_id, most_bytes, sealed)


def _slimmed(event: Form, room: int, sealed: Sealed) -> Form | None:
    """The event without stack trace, then its largest attributes, until it fits; None if it never does."""
    excess = _size(event) - room
    data = dict(event["data"])
    if excess > 0 and "stack_trace" in data:
        excess -= _entry_size("stack_trace", data.pop("stack_trace"))
        sealed.left_out["too_large:stack_trace"] += 1
    attributes = dict(data.pop("custom_attributes", {}))
    sizes = {name: _entry_size(name, text) for name, text in attributes.items()}
    for name in sorted(sizes, key=sizes.__getitem__, reverse=True):
        if excess <= 0:
            break
        excess -= sizes[name]
        del attributes[name]
        sealed.left_out["too_large:attribute"] += 1
    slim = {**event, "data": {**data, "custom_attributes": attributes} if attributes else data}
    return slim if _size(slim) <= room else None


def _entry_size(name: str, text: str) -> int:
    return _size({name: text}) - len("{}")


def _size(form: Form) -> int:
    return len(utf_8(json_text(form)))
