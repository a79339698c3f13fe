"""
Units: whose an event is, and what is kept for mParticle: one sealed batch.

A batch is sealed when its ids are in it and its bytes are fixed. From then on every try sends exactly these
bytes, and mParticle finds a repeat by its `source_request_id` ("JSON Reference").
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

NewId: TypeAlias = Callable[[], str]  # a fresh random UUID as text
Form: TypeAlias = Mapping[str, Any]  # Any: JSON, checked when it was made


@dataclass(frozen=True, slots=True, repr=False)
class Owner:
    """
    Everything a batch says beside its events: who, on what, with which consent.

    `head` is that as JSON without the closing brace. Two owners whose `undated` is equal say the same at
    different times: it is the head, but for the times of consents that name none. Batches of one
    `ordering_key` are sent in the order in which they were made; `subject` is the id by which a user's data
    is taken back.
    """

    head: str
    undated: str
    ordering_key: str | None
    subject: str | None


class OwnedEvent(NamedTuple):
    """
    An event as a batch lists it, in JSON, and whose it is.

    Written at once: an event that cannot be takes no other with it, and thousands of them are small.
    """

    owner: Owner
    text: str

    @property
    def form(self) -> Form:
        """`event_type` and `data`."""
        form: Form = json.loads(self.text)
        return form


class SealedBatch(NamedTuple):
    """A batch as it is sent: `body` is JSON in UTF-8 and holds the ids; `events` is how many."""

    body: bytes
    source_request_id: str
    events: int
    ordering_key: str | None
    subject: str | None

    def __repr__(self) -> str:
        return f"SealedBatch({self.source_request_id}, {self.events} events, {len(self.body)} bytes)"
