"""The transport on real sockets: what is sent arrives, every answer comes back, and nobody else hears."""

from __future__ import annotations

import logging
import os
import socket
import time

import pytest
import requests
from opentelemetry.context import _SUPPRESS_HTTP_INSTRUMENTATION_KEY, _SUPPRESS_INSTRUMENTATION_KEY, get_value

from otel_vendor_exporters.delivery.request import Failure, Reply, Request
from otel_vendor_exporters.delivery.transport import Transport
from tests.delivery.exchanges import drips, posted, raw, serve
from tests.delivery.loopback import HANG, RESET, Answer, Line, Loopback, Received, http

# Forking with threads, which newer versions of Python warn of, is what these tests are about.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def test_sends_what_it_is_given_and_gives_what_comes(transport: Transport) -> None:
    """Method, target, headers and body arrive byte for byte; status, headers and body come back."""
    seen: list[Received] = []

    def answer(request: Received) -> Answer:
        seen.append(request)
        return Answer(202, {"X-Words": "yes", "Retry-After": "7"}, b"fine")

    with Loopback(http(answer)) as server:
        request = Request(
            "PUT", server.url + "/a%20b/c?x=%7E&y=a+b|c", {"Content-Type": "text/x"}, b"\x00\xff"
        )
        reply = transport.send(request, 5)

    (arrived,) = seen
    assert (arrived.method, arrived.target) == ("PUT", "/a%20b/c?x=%7E&y=a+b|c")
    assert (arrived.headers["content-type"], arrived.headers["content-length"]) == ("text/x", "2")
    assert not [name for name in arrived.headers if name.startswith(":")]
    assert arrived.body == b"\x00\xff"
    assert (reply.status, reply.body, reply.truncated, reply.failure) == (202, b"fine", False, None)
    assert (reply.headers["x-words"], reply.headers["retry-after"]) == ("yes", "7")


def test_keeps_its_connection(transport: Transport) -> None:
    """Many requests travel on one connection, with a body in the answer or without."""
    answers = iter([Answer(204), Answer(200, body=b"x"), Answer(400, body=b"no"), Answer(204)])

    with Loopback(http(lambda request: next(answers))) as server:
        statuses = [transport.send(posted(server.url), 5).status for _ in range(4)]

    assert (statuses, server.connections) == ([204, 200, 400, 204], 1)


NO_CONTENT = b"HTTP/1.1 204 No Content\r\nDate: Sat, 21 Nov 2026 10:00:00 GMT\r\n\r\n"


@pytest.mark.parametrize(
    ("pieces", "connections"),
    [
        ((NO_CONTENT,), 1),
        ((b"HTTP/1.1 204 \r\n\r\n",), 1),
        ((b"HTTP/1.1 204\r\n\r\n",), 1),
        ((NO_CONTENT[:7], NO_CONTENT[7:]), 1),
        ((NO_CONTENT[:-2], NO_CONTENT[-2:]), 1),
        ((b"HTTP/1.1 100 Continue\r\n\r\n" + NO_CONTENT,), 1),
        ((b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", NO_CONTENT), 1),
        ((b"HTTP/1.1 102 Processing\r\n\r\n" * 3, b"HTTP/1.1 100 Continue\r\n\r\n", NO_CONTENT), 1),
        ((NO_CONTENT[:-2] + b"connection: Keep-Alive\r\n\r\n",), 1),
        ((NO_CONTENT[:-2] + b"Content-Length: 0\r\n\r\n",), 1),
        ((NO_CONTENT[:-2] + b"Connection: close\r\n\r\n",), 2),
        ((b"HTTP/1.0 204 No Content\r\n\r\n",), 2),
        ((NO_CONTENT + b"a body that may not be",), 1),
    ],
)
def test_every_form_of_204_is_one(transport: Transport, pieces: tuple[bytes, ...], connections: int) -> None:
    """However mPulse's answer is cut and said, it is read whole, and the connection is kept if it may be."""

    def handle(line: Line) -> None:
        while line.request() is not None:
            for piece in pieces:
                line.send(piece)
                time.sleep(0.02)  # so that it travels alone

    with Loopback(handle) as server:
        replies = [transport.send(posted(server.url), 5) for _ in range(2)]

    assert (replies, server.connections) == ([Reply(status=204)] * 2, connections)


EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"


def says_in_advance(words: bytes) -> Loopback:
    """Says them, then answers with the request's own body."""

    def handle(line: Line) -> None:
        while (request := line.request()) is not None:
            line.send(words)
            time.sleep(0.02)  # so that it travels alone
            line.answer(Answer(200, body=request.body))

    return Loopback(handle)


def test_what_is_said_in_advance_is_not_the_answer(transport: Transport) -> None:
    """The answer to a request is the one that ends it, and none is left over for the next."""
    with says_in_advance(EARLY) as server:
        replies = [transport.send(posted(server.url, body), 5) for body in (b"1", b"2")]

    assert [(reply.status, reply.body) for reply in replies] == [(200, b"1"), (200, b"2")]
    assert server.connections == 1


@pytest.mark.flaky(reruns=2)
def test_words_in_advance_without_end_have_the_one_deadline(transport: Transport) -> None:
    """They are no answer, however many."""
    with drips(b"", EARLY) as server:
        began = time.monotonic()
        reply = transport.send(posted(server.url), 0.3)
        took = time.monotonic() - began

    assert (reply.failure, took < 0.6) == (Failure.NO_ANSWER, True)


def test_a_protocol_nobody_asked_for_ends_its_connection(transport: Transport) -> None:
    """After a 101 the connection speaks something else: the next request has another one."""
    with serve(Answer(101)) as server:
        statuses = [transport.send(posted(server.url), 5).status for _ in range(2)]

    assert (statuses, server.connections) == ([101, 101], 2)


def test_each_thread_has_its_connection_until_closed(transport: Transport) -> None:
    """After `close` a new connection is opened."""
    with serve(Answer(204)) as server:
        transport.send(posted(server.url), 5)
        transport.close()
        status = transport.send(posted(server.url), 5).status

    assert (status, server.connections) == (204, 2)


def test_does_not_follow_redirects(transport: Transport) -> None:
    """A redirect would carry credentials elsewhere: it is the answer."""
    with serve(Answer(204)) as elsewhere:
        location = {"Location": elsewhere.url + "/"}
        with serve(Answer(307, location)) as server:
            reply = transport.send(posted(server.url), 5)

    assert (reply.status, elsewhere.connections) == (307, 0)


@pytest.mark.parametrize("status", [200, 204, 301, 400, 401, 403, 407, 429, 500, 503])
def test_every_status_is_an_answer(transport: Transport, status: int) -> None:
    """No status raises or is tried again by a lower layer."""
    requests_seen = []

    def answer(request: Received) -> Answer:
        requests_seen.append(request)
        return Answer(status)

    with Loopback(http(answer)) as server:
        reply = transport.send(posted(server.url), 5)

    assert (reply.status, len(requests_seen)) == (status, 1)


# A caller's own session


def test_a_callers_session_is_used_as_it_is() -> None:
    """Its headers and adapters are in force, redirects are not followed, and it stays open."""
    seen: list[Received] = []

    def answer(request: Received) -> Answer:
        seen.append(request)
        return Answer(302, {"Location": "/elsewhere"}, b"there")

    with Loopback(http(answer)) as server, requests.Session() as session:
        session.headers["X-Team"] = "shop"
        transport = Transport(session=session)
        reply = transport.send(posted(server.url), 5)
        transport.close()
        again = transport.send(posted(server.url), 5)

    assert (reply.status, reply.body, again.status) == (302, b"there", 302)
    assert [request.headers["x-team"] for request in seen] == ["shop", "shop"]
    assert server.connections == 1


def test_failures_with_a_callers_session() -> None:
    """What was not sent and what is ambiguous are told apart there too."""
    with requests.Session() as session:
        transport = Transport(session=session)
        with serve(HANG) as server:
            silent = transport.send(posted(server.url), 0.2)
        with serve(RESET) as server:
            reset = transport.send(posted(server.url), 2)
        gone = transport.send(posted(server.url), 2)
        impossible = transport.send(Request("POST", "http://[/", {}, b""), 1)

    found = [reply.failure for reply in (silent, reset, gone, impossible)]
    assert found == [Failure.NO_ANSWER, Failure.NO_ANSWER, Failure.NOT_SENT, Failure.NOT_SENT]


# What others see


def test_suppresses_instrumentation_while_it_sends(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is sent is not traced by instrumented HTTP layers; afterwards everything is as before."""
    keys = ("suppress_instrumentation", _SUPPRESS_INSTRUMENTATION_KEY, _SUPPRESS_HTTP_INSTRUMENTATION_KEY)
    seen: list[list[object]] = []
    connect = socket.socket.connect

    def connecting(self: socket.socket, address: tuple[str, int]) -> None:
        seen.append([get_value(key) for key in keys])
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connecting)

    with serve(Answer(204)) as server:
        transport.send(posted(server.url), 5)

    assert seen == [[True, True, True]]
    assert [get_value(key) for key in keys] == [None, None, None]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n: no name\r\nbroken\r\nContent-Length: 0\r\n\r\n",
        b"",
        b"nonsense\r\n\r\n",
    ],
)
def test_no_log_line_holds_a_key(
    answer: bytes, transport: Transport, caplog: pytest.LogCaptureFixture
) -> None:
    """URLs hold keys: at no level, of no library, and in no words of a failure do they appear."""
    caplog.set_level(logging.DEBUG)

    with raw(answer) as server:
        reply = transport.send(posted(server.url), 2)
    gone = transport.send(posted(server.url), 2)

    assert gone.failure is Failure.NOT_SENT
    assert "s3cret" not in caplog.text + repr(reply) + repr(gone)


def test_a_fork_leaves_the_parents_connections_alone(transport: Transport) -> None:
    """The child opens a connection of its own, and the parent goes on with the old one."""
    with serve(Answer(204)) as server:
        transport.send(posted(server.url), 5)
        child = os.fork()
        if child == 0:
            transport.renew_after_fork()
            os._exit(0 if transport.send(posted(server.url), 5).status == 204 else 1)
        _, status = os.waitpid(child, 0)
        after = transport.send(posted(server.url), 5).status

    assert (os.waitstatus_to_exitcode(status), after, server.connections) == (0, 204, 2)
