"""
What an mParticle workspace remembers from one batch to the next: ids, event names, kinds of attributes.

Bounded: the oldest ids are forgotten first. Any thread may call anything.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Literal

from otel_vendor_exporters.sandbox.exchange import shown
from otel_vendor_exporters.sandbox.mparticle.checks import Problem, Rank
from otel_vendor_exporters.sandbox.mparticle.rules import Json, events_of, part

MAX_IDS = 200_000
MAX_ATTRIBUTES = 10_000

Memory = Literal["new", "same", "other"]


class Workspace:
    """The memory behind one API key."""

    def __init__(self, max_event_names: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_event_names = max_event_names
        self._clock = clock
        self._lock = Lock()
        self._requests = _Ids()
        self._messages = _Ids()
        self._event_names: set[str] = set()
        self._attribute_kinds: dict[str, str] = {}
        self._second = 0
        self._batches_in_second = 0

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._requests, self._messages = _Ids(), _Ids()
            self._event_names.clear()
            self._attribute_kinds.clear()

    def rate_after(self, batches: int, batches_per_second: int) -> float:
        """The part of the rate that is used with so many batches more; above 1.0 they are not taken."""
        with self._lock:
            second = int(self._clock())
            if second != self._second:
                self._second, self._batches_in_second = second, 0
            used = (self._batches_in_second + batches) / batches_per_second
            if used <= 1.0:
                self._batches_in_second += batches
            return used

    def store(self, batch: Json) -> tuple[Json | None, list[Problem]]:
        """
        What is kept of a sound batch: None when its source_request_id has been here before.

        Checking and remembering is one step, so that of two copies at the same time one is kept.
        """
        request_id = batch.get("source_request_id")
        digest = _digest(batch) if request_id else b""
        with self._lock:
            memory = self._requests.remember(str(request_id), digest) if request_id else "new"
            if memory != "new":
                return None, [_reused_request_id(str(request_id))] if memory == "other" else []
            problems = [*self._attribute_problems(batch), *self._message_problems(batch)]
            kept, dropped = self._with_known_names(batch)
            return kept, problems + dropped

    def _attribute_problems(self, batch: Json) -> list[Problem]:
        problems = []
        for name, value in part(batch, "user_attributes").items():
            kind = "list" if isinstance(value, list) else "single value"
            before = self._attribute_kinds.get(name, kind)
            if before != kind:
                sentence = f"user attribute `{shown(name)}` was a {before} and is now a {kind}: keep to one."
                path = ("user_attributes", name)
                problems.append(Problem(Rank.LOSS, "attribute_changed_kind", path, sentence))
            elif len(self._attribute_kinds) < MAX_ATTRIBUTES:
                self._attribute_kinds[name] = kind
        return problems

    def _message_problems(self, batch: Json) -> list[Problem]:
        problems = []
        for index, event in enumerate(events_of(batch)):
            message_id = part(event, "data").get("source_message_id")
            if not message_id or self._messages.remember(str(message_id), b"") == "new":
                continue
            sentence = (
                f"source_message_id `{shown(str(message_id))}` came before in another batch or event: "
                "one fresh id for each event."
            )
            path = ("events", index, "data", "source_message_id")
            problems.append(Problem(Rank.ADVICE, "message_id_reused", path, sentence))
        return problems

    def _with_known_names(self, batch: Json) -> tuple[Json, list[Problem]]:
        """The batch without events whose name is one too many for the workspace (contract, section 1.5)."""
        events = events_of(batch)
        kept = [event for event in events if self._has_room_for(event)]
        if len(kept) == len(events):
            return batch, []
        sentence = (
            f"A workspace takes {self._max_event_names} different event and screen names, and drops events "
            "with further ones: keep ids and user input out of event names."
        )
        problem = Problem(Rank.LOSS, "too_many_event_names", ("events",), sentence)
        return {**batch, "events": kept}, [problem] * (len(events) - len(kept))

    def _has_room_for(self, event: Json) -> bool:
        data = part(event, "data")
        name = {"custom_event": data.get("event_name"), "screen_view": data.get("screen_name")}.get(
            str(event.get("event_type"))
        )
        if not isinstance(name, str) or name in self._event_names:
            return True
        if len(self._event_names) >= self._max_event_names:
            return False
        self._event_names.add(name)
        return True


class _Ids:
    """Ids with a digest of what they stood for. Not for many threads."""

    def __init__(self) -> None:
        self._digests: OrderedDict[str, bytes] = OrderedDict()

    def remember(self, id_: str, digest: bytes) -> Memory:
        before = self._digests.get(id_)
        if before is not None:
            return "same" if before == digest else "other"
        self._digests[id_] = digest
        if len(self._digests) > MAX_IDS:
            self._digests.popitem(last=False)
        return "new"


def _digest(batch: Json) -> bytes:
    return hashlib.sha256(json.dumps(batch, sort_keys=True).encode()).digest()


def _reused_request_id(request_id: str) -> Problem:
    sentence = (
        f"source_request_id `{shown(request_id)}` belongs to another batch, so this one is thrown away: "
        "a fresh UUID for each batch, the same one only for its own retries."
    )
    return Problem(Rank.UNPROCESSED, "request_id_reused", ("source_request_id",), sentence)
