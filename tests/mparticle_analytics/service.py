"""
A small service on the loopback interface that answers as the REST document says.

It knows one key, refuses what `refuses` says of an event, and keeps what it accepted, in order. `fails` may
answer first, to every request.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.delivery.loopback import Answer, Loopback, Received, http

OK = Answer(200)
Event = Mapping[str, Any]


@dataclass(frozen=True)
class Call:
    """One request as it was understood; `events` are those of a batch, or the only one."""

    at: float  # monotonic seconds
    kind: str
    method: str
    target: str
    body: Mapping[str, Any]
    events: tuple[Event, ...]
    status: int


class Service(Loopback):
    """Any thread may read and set its attributes."""

    def __init__(self, key: str = "k") -> None:
        self.key = key
        self.fails: Callable[[], Answer | None] = lambda: None
        self.refuses: Callable[[Event], int] = lambda event: 0
        self.calls: list[Call] = []
        self._news = threading.Condition()
        super().__init__(http(self._answer))

    @property
    def settings(self) -> dict[str, Any]:
        """Keywords for exporters and clients."""
        return {"api_key": "k", "base_url": f"{self.url}/service", "timeout": 10.0}

    @property
    def accepted(self) -> list[Call]:
        """What was answered 200."""
        return [call for call in self.calls if call.status == 200]

    @property
    def events(self) -> list[tuple[str, str]]:
        """User and name of each event that was accepted, in order."""
        return [(one["eventUniqueId"], one["eventName"]) for call in self.accepted for one in call.events]

    @property
    def kinds(self) -> list[str]:
        """What was accepted, in order."""
        return [call.kind for call in self.accepted]

    def until_called(self, times: int) -> None:
        """Return once so many requests have come."""
        with self._news:
            assert self._news.wait_for(lambda: len(self.calls) >= times, 15.0), len(self.calls)

    def _answer(self, request: Received) -> Answer:
        parts = urlsplit(request.target)
        path = parts.path.removeprefix("/service/")
        kind, _, key = path.partition("/")
        if path == "event/batch":
            kind, key = path, ""
        pairs = parse_qsl(parts.query)
        body = json.loads(request.body) if request.body else _fields(pairs)
        key = unquote(key) or body.pop("apiKey", "")
        events = tuple(body["events"]) if kind == "event/batch" else (body,) if kind == "event" else ()
        answer = self.fails() or self._judged(key, events)
        with self._news:
            at = time.monotonic()
            self.calls.append(Call(at, kind, request.method, request.target, body, events, answer.status))
            self._news.notify_all()
        return answer

    def _judged(self, key: str, events: tuple[Event, ...]) -> Answer:
        if key != self.key:
            return Answer(400, body=b"Bad Request")
        refusals = [status for status in map(self.refuses, events) if status]
        return Answer(refusals[0], body=b"a field value violates a constraint") if refusals else OK


def in_turn(*answers: Answer | None) -> Callable[[], Answer | None]:
    """One answer after the other, then none."""
    left = list(answers)
    return lambda: left.pop(0) if left else None


def _fields(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    fields: dict[str, Any] = {
        name: value for name, value in pairs if name not in ("propertyNames", "propertyValues")
    }
    names = [value for name, value in pairs if name == "propertyNames"]
    fields["properties"] = dict(
        zip(names, [value for name, value in pairs if name == "propertyValues"], strict=True)
    )
    return fields
