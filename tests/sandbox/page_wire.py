"""What the sandbox's page asks the sandbox for: its stream, its rows, and what else it lists."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlencode

from tests.sandbox.wire import Wire

ANALYTICS = {"eventName": "Paid", "eventUniqueId": "u-1", "properties": {"plan": "pro"}}
JSON = {"Content-Type": "application/json"}


@contextmanager
def stream(wire: Wire) -> Iterator[Iterator[dict[str, Any]]]:
    """The page's stream, event by event; `hello` stands under its name."""
    with closing(HTTPConnection(*wire.address, timeout=5)) as connection:
        connection.request("GET", "/sandbox/stream", headers={"Accept": "text/event-stream"})
        reply = connection.getresponse()
        assert reply.headers["Content-Type"] == "text/event-stream"

        def events() -> Iterator[dict[str, Any]]:
            kind = ""
            while line := reply.readline().decode().rstrip("\n"):
                kind = line.partition("event: ")[2]
                line = reply.readline().decode().rstrip("\n") if kind else line
                assert reply.readline() == b"\n"
                if line.startswith("data: "):
                    content = json.loads(line.removeprefix("data: "))
                    yield {"hello": content} if kind else content

        yield events()


def asked(wire: Wire, path: str, **query: object) -> Any:
    reply = wire.ask("GET", f"/sandbox/{path}?{urlencode(query)}")
    assert reply.status == 200, reply
    return reply.json


def requests(wire: Wire, **query: object) -> Any:
    """The rows, after the page has looked: the board reads only for those who listen."""
    with stream(wire) as events:
        next(events)
        while next(events)["behind"]:
            pass
    return asked(wire, "requests", **query)


def track(wire: Wire, **changes: object) -> None:
    key = wire.sandbox.mparticle_analytics.api_key
    wire.ask("POST", "/service/event", json.dumps({"apiKey": key, **ANALYTICS, **changes}).encode(), JSON)
