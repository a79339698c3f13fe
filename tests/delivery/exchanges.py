"""What the tests of the transport post, and servers that answer it in one way, right or wrong."""

from __future__ import annotations

import ssl
from collections.abc import Callable

from otel_vendor_exporters.delivery.request import Request
from tests.delivery.loopback import Answer, Line, Loopback, http

SECRET = "key=s3cret"


def posted(url: str, body: bytes = b"body", **headers: str) -> Request:
    return Request("POST", f"{url}/path?{SECRET}", headers, body)


def serve(answer: Answer) -> Loopback:
    return Loopback(http(lambda request: answer))


def raw(data: bytes, then: Callable[[Line], None] = lambda line: None) -> Loopback:
    """Answers each request with these bytes, then does something, then closes."""

    def handle(line: Line) -> None:
        if line.request() is not None:
            line.send(data)
            then(line)

    return Loopback(handle)


def drips(head: bytes, drop: bytes, tls: ssl.SSLContext | None = None) -> Loopback:
    """Sends a drop every 20 ms, for ever: no single read takes long."""

    def handle(line: Line) -> None:
        line.request()
        line.send(head)
        while not line.closing.wait(0.02):
            line.send(drop)

    return Loopback(handle, tls=tls)
