"""
mParticle Analytics as its documents describe it: events, identify, alias, suppress and delete.

Knows no sockets. Answers 200, 400 or 422 like the real service, and tells what it would have thrown away, cut
or misread. Written from contract/analytics.md, checks in the order of its section 6.
"""

from __future__ import annotations

import re
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from threading import Lock
from typing import cast, get_args
from urllib.parse import unquote

from otel_vendor_exporters.sandbox.document import parse
from otel_vendor_exporters.sandbox.exchange import Answer, Request, pairs_from, shown
from otel_vendor_exporters.sandbox.inbox import Record, Severity
from otel_vendor_exporters.sandbox.mparticle_analytics.calls import (
    Json,
    Reading,
    content_of_query,
    event_from,
    events_of,
    kept_properties,
    read_call,
)
from otel_vendor_exporters.sandbox.mparticle_analytics.users import (
    Action,
    AnalyticsCall,
    AnalyticsEvent,
    Directory,
    users_of,
)

# Made up, opens nothing.
DEFAULT_KEY = "6a1f0c52-sandbox-analytics"
BASE_PATH = "/service"
MAX_BODY_BYTES = 1_000_000
EVENTS_PER_SECOND = 250
_PATH = re.compile(r"/service/(?:(event)/(batch)|(event|identify|alias|suppress|delete)(?:/([^/]+))?)")
_TEXT = (("Content-Type", "text/plain; charset=utf-8"),)


@dataclass(frozen=True, slots=True)
class AnalyticsSwitches:
    """How the emulator misbehaves: 429 above the rate (the service documents no answer), and slowness."""

    refuse_over_rate: bool = False
    slow_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class _Address:
    """What a path says."""

    action: Action
    batch: bool = False
    key: str | None = None


class MParticleAnalyticsApp:
    """
    One Analytics project. Any thread may call anything.

    Events above `events_per_second` in any one second are kept, and reported.
    """

    name = "mparticle_analytics"
    kinds: tuple[str, ...] = get_args(Action)

    def __init__(
        self,
        *,
        api_key: str = DEFAULT_KEY,
        events_per_second: int = EVENTS_PER_SECOND,
        max_body_bytes: int = MAX_BODY_BYTES,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.api_key = api_key
        self.switches = AnalyticsSwitches()
        self._max_body_bytes = max_body_bytes
        self._now = now
        self._rate = _Rate(events_per_second, clock)
        self._directory = Directory()
        self._lock = Lock()

    def reset(self) -> None:
        """Friendly answers again, and no memory of users."""
        self.switches = AnalyticsSwitches()
        with self._lock:
            self._directory = Directory()
            self._rate.clear()

    def kind_of(self, request: Request) -> str | None:
        """The action a path asks for; None for what is not Analytics'."""
        address = _address(request.path)
        return address.action if address else None

    def answer(self, request: Request) -> tuple[Answer, Record]:
        """What Analytics answers, and what it would have done."""
        address = _address(request.path) or _Address("track")
        reading = Reading(int(self._now() * 1000))
        content = self._content(request, address, reading)
        events: list[AnalyticsEvent] = []
        if content is not None:
            self._check_key(content, address, reading)
            singles = events_of(content, reading) if address.batch else [content]
            if not address.batch:
                read_call(address.action, content, reading)
            if reading.status == 200 and address.action == "track":
                events = [event_from(single, reading.now_unix_ms) for single in singles]
        kept = self._settle(address.action, content or {}, events, reading)
        record = self._record(request, address, reading, kept)
        body = reading.findings[0].sentence.encode(errors="replace") if reading.status != 200 else b""
        headers = (*_TEXT, ("Allow", "POST")) if reading.status == 405 else _TEXT
        return Answer(reading.status, body, headers, self.switches.slow_seconds), record

    def summary(self, records: Iterable[Record]) -> dict[str, object]:
        """Events by name, users, and calls that were refused, for received.json."""
        calls = [record for record in records if isinstance(record, AnalyticsCall)]
        return {
            "events": dict(Counter(event.name for call in calls for event in call.events)),
            "users": len(users_of(calls)),
            "refused": sum(call.status != 200 for call in calls),
        }

    def _content(self, request: Request, address: _Address, reading: Reading) -> Json | None:
        """The call in its JSON form; None when it cannot be read, which has been noted then."""
        by_query = request.method == "GET" and address == _Address("track")
        if by_query:
            return content_of_query(pairs_from(request.query), reading)
        if request.method != "POST":
            reading.refuse(405, "bad_method", f"{shown(request.method)}: use POST (GET only for /event).")
        elif request.body_too_large or len(request.body) > self._max_body_bytes:
            sentence = f"The body is over {self._max_body_bytes} bytes: send smaller batches."
            reading.refuse(413, "body_too_large", sentence)
        elif request.content_type != "application/json":
            sentence = f"Content-Type `{shown(request.content_type)}`: send application/json."
            reading.refuse(400, "bad_content_type", sentence)
        else:
            return _parsed(request.body, reading)
        return None

    def _check_key(self, content: Json, address: _Address, reading: Reading) -> None:
        in_body = content.get("apiKey")
        key = address.key if address.key is not None else in_body
        if address.key is not None and in_body is not None:
            sentence = "apiKey stands in the path and in the body: one of them is enough."
            reading.say("key_twice", sentence, "warning")
        if key is None:
            reading.refuse(400, "missing_key", "apiKey is missing: set api_key.")
        elif key != self.api_key or (in_body is not None and in_body != self.api_key):
            reading.refuse(400, "wrong_key", "apiKey is not this project's: check api_key.")

    def _settle(self, action: Action, content: Json, events: list[AnalyticsEvent], reading: Reading) -> _Kept:
        """What the project does with a sound call, in one step with its memory of users."""
        with self._lock:
            if reading.status == 200 and events and not self._rate.has_room_for(len(events)):
                sentence = f"More than {self._rate.limit} events in one second: lower events_per_second."
                if self.switches.refuse_over_rate:
                    reading.refuse(429, "over_rate", sentence)
                else:
                    reading.say("over_rate", sentence)
            if reading.status != 200:
                return _Kept()
            if action == "track":
                return _Kept(
                    events=tuple(event for event in events if self._is_heard(event.user_id, reading))
                )
            return self._settle_user(action, content, reading)

    def _settle_user(self, action: Action, content: Json, reading: Reading) -> _Kept:
        if action == "alias":
            return self._settle_alias(str(content["previousId"]), str(content["newId"]), reading)
        user_id = str(content["uniqueId"])
        if action == "identify":
            if not self._is_heard(user_id, reading):
                return _Kept()
            self._directory.identify(user_id)
            return _Kept(user_id=user_id, properties=kept_properties(content.get("properties")))
        self._directory.suppress(user_id)
        return _Kept(user_id=user_id)

    def _settle_alias(self, previous_id: str, new_id: str, reading: Reading) -> _Kept:
        if previous_id == new_id:
            reading.say("alias_to_itself", f"`{shown(new_id)}` is joined to itself: do not send that.")
            return _Kept()
        if not (self._is_heard(previous_id, reading) and self._is_heard(new_id, reading)):
            return _Kept()
        for code, severity, sentence in _wrong_alias(self._directory, previous_id, new_id):
            reading.say(code, sentence, severity)
        self._directory.join(previous_id, new_id)
        return _Kept(user_id=new_id, previous_id=previous_id)

    def _is_heard(self, user_id: str, reading: Reading) -> bool:
        suppressed = self._directory.is_suppressed(user_id)
        if suppressed:
            sentence = (
                f"`{shown(user_id)}` is suppressed or deleted, so this is thrown away: send no more of it."
            )
            reading.say("suppressed_user", sentence)
        return not suppressed

    def _record(self, request: Request, address: _Address, reading: Reading, kept: _Kept) -> AnalyticsCall:
        return AnalyticsCall(
            vendor=self.name,
            kind=address.action,
            method=request.method,
            path=request.path,
            arrived_unix_ms=reading.now_unix_ms,
            status=reading.status,
            findings=tuple(reading.findings),
            body_characters=len(request.body) + len(request.query),
            events=kept.events,
            user_id=kept.user_id,
            previous_id=kept.previous_id,
            properties=kept.properties,
        )


@dataclass(frozen=True, slots=True)
class _Kept:
    """What one call left behind."""

    events: tuple[AnalyticsEvent, ...] = ()
    user_id: str | None = None
    previous_id: str | None = None
    properties: Json = field(default_factory=dict)


class _Rate:
    """Events in the second that ends now. Not for several threads at once."""

    def __init__(self, events_per_second: int, clock: Callable[[], float]) -> None:
        self.limit = events_per_second
        self._clock = clock
        self._arrived: deque[tuple[float, int]] = deque()
        self._count = 0

    def has_room_for(self, events: int) -> bool:
        """Count events; False when there are too many in this second with them."""
        now = self._clock()
        self._arrived.append((now, events))
        self._count += events
        while self._arrived[0][0] <= now - 1.0:
            self._count -= self._arrived.popleft()[1]
        return self._count <= self.limit

    def clear(self) -> None:
        """No events so far."""
        self._arrived.clear()
        self._count = 0


def _address(path: str) -> _Address | None:
    found = _PATH.fullmatch(path)
    if found is None:
        return None
    if found[2]:
        return _Address("track", batch=True)
    action = "track" if found[3] == "event" else found[3]
    return _Address(cast("Action", action), key=None if found[4] is None else unquote(found[4]))


def _wrong_alias(directory: Directory, previous_id: str, new_id: str) -> Iterator[tuple[str, Severity, str]]:
    """
    Why two ids should not be joined, the worst first and alone.

    "Merges two user event streams and profiles", and no call undoes it. Whose an id is shows in what was told
    before: newId is a user's, and so is what was joined to it; who was identified may still be anonymous.
    """
    previous, new = shown(previous_id), shown(new_id)
    if directory.are_one(previous_id, new_id):
        yield "alias_repeated", "warning", f"`{previous}` and `{new}` are one user already: once is enough."
    elif directory.has_user(previous_id) and directory.has_user(new_id):
        sentence = f"`{previous}` and `{new}` belong to two users already known, who are one now for ever."
        yield "alias_of_two_users", "error", sentence
    elif directory.has_user(previous_id):
        sentence = (
            f"`{previous}` belongs to a user already known, and joining two users cannot be undone: "
            "previousId must be an anonymous id."
        )
        yield "alias_of_known_user", "error", sentence
    elif directory.is_identified(previous_id) and directory.is_identified(new_id):
        sentence = (
            f"`{previous}` and `{new}` were both identified, and joining them cannot be undone: "
            "see that the first names an anonymous visitor."
        )
        yield "alias_of_identified_users", "warning", sentence


def _parsed(body: bytes, reading: Reading) -> Json | None:
    try:
        document = parse(body)
    except (ValueError, RecursionError) as error:
        reading.refuse(400, "bad_json", f"The body is not JSON in UTF-8: {shown(str(error))}.")
        return None
    if document.repeated_keys:
        names = shown(", ".join(document.repeated_keys))
        reading.refuse(400, "repeated_key", f"`{names}` stands twice in one object.")
    if not isinstance(document.content, dict):
        reading.refuse(400, "not_an_object", "The body must be a JSON object.")
        return None
    return document.content
