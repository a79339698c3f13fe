"""
What these tests talk to the sandbox with: http.client and sockets, and nothing of the exporters.

Written from sections 2 and 6 of the contract: a mistake of the exporters cannot hide one of the sandbox.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from typing import Any, cast
from urllib.parse import quote, urlsplit

from otel_vendor_exporters.sandbox import Beacon, Record, Sandbox

FORM = "application/x-www-form-urlencoded"
USER_AGENT = "wire-of-the-tests/1"
TIMEOUT_SECONDS = 5.0
Changes = Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # Any: whatever the body says
        return json.loads(self.body)


class MovableTime:
    """The clock of an emulator, to be set forward."""

    def __init__(self) -> None:
        self.forward_seconds = 0.0

    def __call__(self) -> float:
        return time.time() + self.forward_seconds


def component(text: str) -> str:
    """JavaScript's encodeURIComponent."""
    return quote(text, safe="!*'()~")


def encoded(pairs: Mapping[str, str] | Iterable[tuple[str, str]]) -> str:
    """Pairs as they stand in a query or a form."""
    items = pairs.items() if isinstance(pairs, Mapping) else pairs
    return "&".join(f"{component(name)}={component(value)}" for name, value in items)


class Wire:
    """One client of one sandbox; each request is a connection of its own."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self._config: dict[str, Any] = {}

    @property
    def address(self) -> tuple[str, int]:
        """Where the sandbox listens."""
        parts = urlsplit(self.sandbox.url)
        return cast("str", parts.hostname), cast("int", parts.port)

    @property
    def last(self) -> Record:
        """The newest journal entry."""
        return self.sandbox.received.records[-1]

    def ask(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send one request as it is given and read the answer; a header of value "" is left out."""
        told = {"User-Agent": USER_AGENT, **(headers or {})}
        with closing(HTTPConnection(*self.address, timeout=TIMEOUT_SECONDS)) as connection:
            connection.request(method, target, body, {name: value for name, value in told.items() if value})
            return read(connection.getresponse())

    def config(self, changes: Changes = {}, path: str = "/api/config.json") -> Reply:  # noqa: B006 - a Mapping
        """Ask for the configuration, plain mode."""
        app = self.sandbox.mpulse
        query = changed({"key": app.key, "d": app.domain}, changes)
        return self.ask("GET", f"{path}?{encoded(query)}")

    def learn(self) -> dict[str, Any]:
        """Ask for a configuration once and use it from here on."""
        self._config = self.config().json
        return self._config

    @property
    def beacon_path(self) -> str:
        """The path of the collector that was given out."""
        url: str = (self._config or self.learn())["beacon_url"]
        return urlsplit(url).path

    def always(self) -> dict[str, str]:
        """The eight pairs of every beacon (contract 6.2)."""
        config = self._config or self.learn()
        return {
            "api": "1",
            "api.v": "1",
            **{name: str(config[name]) for name in ("h.key", "h.d", "h.cr", "h.t")},
            "rt.start": "manual",
            "rt.end": now_ms(),
        }

    def beacon(self, changes: Changes = {}, headers: Mapping[str, str] | None = None) -> Beacon:  # noqa: B006
        """GET one beacon: the eight pairs with these changes. Gives what the journal says of it."""
        target = f"{self.beacon_path}?{encoded(changed(self.always(), changes))}"
        return self.sent("GET", target, headers=headers)

    def post(self, changes: Changes = {}, content_type: str = FORM) -> Beacon:  # noqa: B006 - a Mapping
        """The same as a form."""
        body = encoded(changed(self.always(), changes)).encode()
        return self.sent("POST", self.beacon_path, body, {"Content-Type": content_type})

    def sent(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Beacon:
        """Any request to a collector: it is answered 204 with nothing, whatever it holds (contract 7)."""
        before = len(self.sandbox.received.beacons)
        reply = self.ask(method, target, body, headers)
        assert (reply.status, reply.body) == (204, b"")
        assert len(self.sandbox.received.beacons) == before + 1
        return self.sandbox.received.beacons[-1]

    def connect(self) -> socket.socket:
        """A bare connection."""
        return socket.create_connection(self.address, timeout=TIMEOUT_SECONDS)

    def raw(self, request: bytes) -> bytes:
        """Send bytes, say that this is all, read to the end."""
        with self.connect() as connection:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            return read_all(connection)


def read(response: HTTPResponse) -> Reply:
    """An answer as a value."""
    return Reply(response.status, {k.lower(): v for k, v in response.headers.items()}, response.read())


def read_all(connection: socket.socket) -> bytes:
    """Everything until the other side closes."""
    chunks = []
    while chunk := connection.recv(65_536):
        chunks.append(chunk)
    return b"".join(chunks)


def changed(pairs: Mapping[str, str], changes: Changes) -> dict[str, str]:
    """The pairs with some replaced, added, or (None) left out."""
    merged = {**pairs, **changes}
    return {name: value for name, value in merged.items() if value is not None}


def now_ms(offset_seconds: float = 0.0) -> str:
    """Now in milliseconds since 1970, as text."""
    return str(int((time.time() + offset_seconds) * 1000))


def eventually(condition: Callable[[], bool], timeout_seconds: float = TIMEOUT_SECONDS) -> bool:
    """Whether the condition came true in time."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True
