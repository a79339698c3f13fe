"""
The sandbox's page: its files, the stream of what changes, and the windows a browser asks for.

Everything that leaves here is masked. The page loads nothing from elsewhere, and no other page may ask: the
side API keeps them out, and the policy header keeps this page from asking others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from importlib.resources import files

from otel_vendor_exporters.sandbox.conditions import Conditions, wish_from_json
from otel_vendor_exporters.sandbox.exchange import Answer, Request, pairs_from
from otel_vendor_exporters.sandbox.inbox import Inbox, Raw, Record
from otel_vendor_exporters.sandbox.json_text import json_text
from otel_vendor_exporters.sandbox.masking import (
    masked_headers,
    masked_pairs,
    masked_path,
    masked_text,
    masked_values,
)
from otel_vendor_exporters.sandbox.mpulse.app import MPulseApp
from otel_vendor_exporters.sandbox.page.board import Board, Filter
from otel_vendor_exporters.sandbox.page.looks import Secrets, masked_findings, secrets_of_record
from otel_vendor_exporters.sandbox.page.sections import Json
from otel_vendor_exporters.sandbox.remedies import remedy

LOOK_SECONDS = 0.25
PACE_SECONDS = 0.25
HEARTBEAT_SECONDS = 5.0
MAX_RAW_BODY = 64_000
MAX_NUMBER = 10**12
_TEXT = (("Content-Type", "text/plain; charset=utf-8"),)
_JSON = (("Content-Type", "application/json"), ("Cache-Control", "no-store"))
_STREAM = (("Content-Type", "text/event-stream"), ("Cache-Control", "no-store"))
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_SAFE = (
    ("Content-Security-Policy", _POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-cache"),
)
_FILES = {
    "/sandbox/": ("page.html", "text/html; charset=utf-8"),
    "/sandbox/page.css": ("page.css", "text/css; charset=utf-8"),
    **{
        f"/sandbox/{name}": (name, "text/javascript; charset=utf-8")
        for name in (
            "page.js",
            "page_detail.js",
            "page_findings.js",
            "page_list.js",
            "page_names.js",
            "page_panels.js",
        )
    },
}

Route = Callable[[Request], Answer]


class Page:
    """What a browser may ask the sandbox for. Any thread may call anything."""

    def __init__(
        self,
        inbox: Inbox,
        conditions: Conditions,
        mpulse: MPulseApp,
        settings: Callable[[], list[str]],
        clear: Callable[[], None],
        keys: frozenset[str] = frozenset(),
    ) -> None:
        """`keys` are the sandbox's own: masked in all that leaves here, but in its settings."""
        self._inbox = inbox
        self._conditions = conditions
        self._mpulse = mpulse
        self._settings = settings
        self._forget = clear
        self._keys = keys
        self._board = Board(inbox, keys)
        self.routes: Mapping[tuple[str, str], Route] = {
            **{("GET", path): self._file for path in _FILES},
            ("GET", "/sandbox/stream"): self._stream,
            ("GET", "/sandbox/requests"): self._requests,
            ("GET", "/sandbox/request"): self._request,
            ("GET", "/sandbox/listing"): self._listing,
            ("GET", "/sandbox/entry"): self._entry,
            ("POST", "/sandbox/clear"): self._clear,
            ("POST", "/sandbox/condition"): self._become,
        }

    def show(self) -> Answer:
        """The page itself."""
        return _file_answer("/sandbox/")

    def _file(self, request: Request) -> Answer:
        return _file_answer(request.path)

    def _stream(self, _: Request) -> Answer:
        return Answer(200, headers=_STREAM, stream=self._events)

    def _events(self) -> Iterator[bytes]:
        """Increments as server-sent events; empty when there is nothing to say, so that stopping is seen."""
        yield _event("hello", self._hello())
        stamp, clearings, said, beat = 0, -1, "", time.monotonic()
        while True:
            behind = self._read_on()
            changes = {**self._board.changes(stamp, clearings), **self._present(), "behind": behind}
            stamp, clearings = int(str(changes["stamp"])), int(str(changes["clearings"]))
            told = masked_values(json_text(changes), self._keys)
            if told != said:
                said, beat = told, time.monotonic()
                yield b"data: " + told.encode() + b"\n\n"
                time.sleep(PACE_SECONDS)
            elif time.monotonic() - beat > HEARTBEAT_SECONDS:
                beat = time.monotonic()
                yield b": still here\n\n"
            else:
                yield b""
            if not behind:
                self._board.wait(LOOK_SECONDS)

    def _read_on(self) -> int:
        """Read on for a moment; how many are still unread."""
        until = time.monotonic() + LOOK_SECONDS
        behind = self._board.read_on()
        while behind and time.monotonic() < until:
            behind = self._board.read_on()
        return behind

    def _hello(self) -> Json:
        return {
            "panels": [
                {
                    **panel,
                    "conditions": [
                        {"name": one.name, "title": one.title, "sentence": one.sentence}
                        for one in self._conditions.choices(str(panel["name"]))
                    ],
                }
                for panel in self._board.layout
            ],
            "settings": self._settings(),
            "holds": {"requests": self._inbox.capacity, "characters": self._inbox.max_characters},
        }

    def _present(self) -> Json:
        """What may change without a request."""
        definitions = self._mpulse.definitions
        return {
            "conditions": self._conditions.present,
            "forgotten": self._inbox.forgotten,
            "learns": self._mpulse.learns,
            "learned": self._mpulse.learned._asdict(),
            "unlisted": self._mpulse.unlisted,
            "defined": {
                "timers": [one.name for one in definitions.timers],
                "metrics": [f"{one.name} ({one.data_type or 'Number'})" for one in definitions.metrics],
                "dimensions": [one.name for one in definitions.dimensions],
            },
        }

    def _requests(self, request: Request) -> Answer:
        asked = pairs_from(request.query).first
        wanted = Filter(
            tuple(asked.get("q", "").lower().split()),
            asked.get("vendor", ""),
            asked.get("severity", ""),
            asked.get("code", ""),
        )
        until = _number(asked, "until", MAX_NUMBER)
        return self._json(
            self._board.window(wanted, _number(asked, "offset", 0), _number(asked, "count", 100), until)
        )

    def _request(self, request: Request) -> Answer:
        position = _number(pairs_from(request.query).first, "position", 0)
        record = self._inbox.at(position)
        return _GONE if record is None else self._json(_detail(position, record, self._keys))

    def _listing(self, request: Request) -> Answer:
        asked = pairs_from(request.query).first
        words, offset = asked.get("q", "").split(), _number(asked, "offset", 0)
        until = _number(asked, "until", MAX_NUMBER)
        found = self._board.listing(asked.get("name", ""), words, offset, _number(asked, "count", 100), until)
        return _GONE if found is None else self._json(found)

    def _entry(self, request: Request) -> Answer:
        asked = pairs_from(request.query).first
        found = self._board.entry(asked.get("name", ""), asked.get("key", ""))
        return _GONE if found is None else self._json(found)

    def _json(self, content: Json) -> Answer:
        return Answer(200, masked_values(json_text(content), self._keys).encode(), _JSON)

    def _clear(self, _: Request) -> Answer:
        self._forget()
        return Answer(204)

    def _become(self, request: Request) -> Answer:
        try:
            self._conditions.become(*wish_from_json(request.body))
        except (ValueError, RecursionError) as error:
            return Answer(400, str(error)[:500].encode(), _TEXT)
        return Answer(204)


def raw_of(request: Request) -> Raw:
    """A request as the journal keeps it."""
    headers = _same(tuple(request.headers.items()))
    return Raw(headers, request.query, request.body[:MAX_RAW_BODY], len(request.body))


@lru_cache(maxsize=256)
def _same(headers: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """The same headers become the same object: those of one client are kept once, not in each record."""
    return headers


_GONE = Answer(404, b"there is no such thing, or no longer", _TEXT)


def _file_answer(path: str) -> Answer:
    name, media_type = _FILES[path]
    content = files(__package__).joinpath(name).read_bytes()
    return Answer(200, content, (("Content-Type", media_type), *_SAFE))


def _event(kind: str, content: Json) -> bytes:
    return f"event: {kind}\ndata: {json_text(content)}\n\n".encode()


def _number(asked: Mapping[str, str], name: str, default: int) -> int:
    text = asked.get(name, "")
    return min(int(text), MAX_NUMBER) if text.isascii() and text.isdigit() and len(text) < 20 else default


def _detail(position: int, record: Record, keys: Secrets) -> Json:
    """A request as it was sent, masked, and all that was found."""
    raw = record.raw
    secrets = secrets_of_record(record, keys)
    path = masked_path(record.path, secrets)
    shown: Json = {
        "position": position,
        "t": record.arrived_unix_ms,
        "vendor": record.vendor,
        "kind": record.kind,
        "method": record.method,
        "path": path,
        "status": record.status,
        "findings": [
            {
                "code": finding.code,
                "severity": finding.severity,
                "sentence": finding.sentence,
                "remedy": remedy(record.vendor, finding.code),
            }
            for finding in masked_findings(record.findings, secrets)
        ],
        "pairs": masked_pairs(record.pairs, secrets),
    }
    if raw is not None:
        query = masked_text(raw.query.decode("utf-8", "replace"), secrets)
        target = f"{path}?{query}" if query else path
        shown["line"] = f"{record.method} {target} HTTP/1.1"
        shown["headers"] = masked_headers(raw.headers, secrets)
        shown["body"] = masked_text(raw.body.decode("utf-8", "replace"), secrets)
        shown["left_out"] = raw.body_bytes - len(raw.body)
    return shown
