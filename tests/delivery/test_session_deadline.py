"""The deadline of a caller's own session: the session bounds each silence of a server, and we the whole."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter

from otel_vendor_exporters.delivery.request import Failure, Reply
from otel_vendor_exporters.delivery.transport import Transport
from otel_vendor_exporters.mparticle_analytics import AnalyticsClient, AnalyticsEvent
from tests.delivery.exchanges import drips, posted, raw
from tests.delivery.loopback import Line, Loopback
from tests.delivery.test_callers_session import session_with


def drips_at_once(line: Line) -> None:
    line.send(b"\x16\x03\x03\x40\x00")  # the head of a TLS record
    while not line.closing.wait(0.02):
        line.send(b"\x02")


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
DRIPS: dict[str, tuple[Callable[[], Loopback], str, Failure | None]] = {
    "head": (lambda: drips(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"), "http", Failure.NO_ANSWER),
    "first line": (lambda: drips(b"", b"H"), "http", Failure.NO_ANSWER),
    "in advance": (lambda: drips(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), "http", Failure.NO_ANSWER),
    "chunk's length": (lambda: drips(CHUNKED, b"0"), "http", None),
    "body nobody reads": (lambda: Loopback(Line.hang), "http", Failure.NO_ANSWER),
    "handshake": (lambda: Loopback(drips_at_once), "https", Failure.NOT_SENT),
}


@pytest.mark.flaky(reruns=2)
@pytest.mark.parametrize("kind", DRIPS)
def test_a_server_that_drips_has_the_one_deadline(kind: str) -> None:
    """The session gives each silence a time; the whole is ended a moment after the deadline."""
    make, scheme, failure = DRIPS[kind]
    body = b"x" * (30_000_000 if kind == "body nobody reads" else 1)
    with make() as server, requests.Session() as session:
        began = time.monotonic()
        reply = Transport(session=session).send(posted(f"{scheme}://{server.address}", body), 0.4)
        took = time.monotonic() - began

    assert (reply.failure, took < 2) == (failure, True)


def test_a_server_that_drips_behind_tls_has_the_one_deadline(tls: ssl.SSLContext, certificate: Path) -> None:
    """It is the socket below it that is shut down."""
    with drips(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", tls=tls) as server, requests.Session() as session:
        session.trust_env, session.verify = False, str(certificate)
        reply = Transport(session=session).send(posted(f"https://{server.address}"), 0.3)

    assert reply == Reply(failure=Failure.NO_ANSWER, words="the answer takes too long")


def test_what_comes_in_time_is_left_alone() -> None:
    """A look-out that ended one request ends none of those that follow on the same thread."""
    slow = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n", lambda line: drip_for(line, 1.2))
    with requests.Session() as session, drips(b"", b"H") as dripping, slow:
        transport = Transport(session=session)
        overdue = transport.send(posted(dripping.url), 0.1)
        reply = transport.send(posted(slow.url), 5)

    assert (overdue.failure, overdue.words) == (Failure.NO_ANSWER, "the answer takes too long")
    assert (reply.status, reply.body) == (200, b"x")


class Sleeps(HTTPAdapter):
    """Waits for no socket, and longer than it may."""

    def send(self, *args: Any, **options: Any) -> requests.Response:
        time.sleep(0.8)
        raise requests.ConnectionError


def test_no_socket_of_the_application_is_shut_down() -> None:
    """Whoever sends may stand within a server of the application's: its socket is none of ours."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            Transport(session=session_with(Sleeps())).send(posted("http://127.0.0.1:9"), 0.05)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server, requests.Session() as session:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        session.trust_env = False
        answers = [session.get(f"http://127.0.0.1:{server.server_port}", timeout=5) for _ in range(2)]
        server.shutdown()
        serving.join(5)

    assert [answer.status_code for answer in answers] == [204, 204]


def drip_for(line: Line, seconds: float) -> None:
    line.closing.wait(seconds)
    line.send(b"x")


@pytest.mark.flaky(reruns=2)
def test_a_server_that_drips_its_head_holds_up_no_shutdown() -> None:
    """The callers of a client wait no longer than they asked."""
    with drips(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n") as server, requests.Session() as session:
        client = AnalyticsClient(api_key="k", base_url=server.url, http_session=session, timeout=5)
        began = time.monotonic()
        receipt = client.track(AnalyticsEvent("Bought", "u"), timeout_seconds=0.3)
        client.close(0.3)
        took, in_flight = time.monotonic() - began, client.ledger().in_flight

    assert (receipt.waiting, in_flight, took < 1.5) == (1, 1, True)
