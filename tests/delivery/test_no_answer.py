"""The transport on real sockets: a server that does not answer, or too late, or too much, is a Reply too."""

from __future__ import annotations

import gzip
import socket
import time
from collections.abc import Callable

import pytest

from otel_vendor_exporters.delivery.answers import MAX_BODY_BYTES
from otel_vendor_exporters.delivery.request import Failure, Reply, Request
from otel_vendor_exporters.delivery.transport import Transport
from tests.delivery.exchanges import drips, posted, raw, serve
from tests.delivery.loopback import HANG, RESET, Answer, Line, Loopback, Received, http

# No answer


def test_a_refused_connection_was_not_sent(transport: Transport) -> None:
    """Nobody listens: nothing was sent."""
    with serve(Answer(204)) as server:
        url = server.url

    assert transport.send(posted(url), 5) == Reply(
        failure=Failure.NOT_SENT, words="NewConnectionError: ConnectionRefusedError: Connection refused"
    )


def test_an_unknown_host_was_not_sent(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS has no such name: nothing was sent."""

    def unknown(*args: object, **kwargs: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)

    reply = transport.send(posted("https://vendor.invalid"), 5)

    assert reply.failure is Failure.NOT_SENT
    assert "NameResolutionError" in reply.words


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/\r\nX: y", "nonsense", "http://[/", "ftp://127.0.0.1/", ""]
)
def test_an_impossible_address_was_not_sent(transport: Transport, url: str) -> None:
    """An address that cannot be does not raise."""
    assert transport.send(Request("POST", url, {}, b""), 1).failure is Failure.NOT_SENT


@pytest.mark.parametrize("headers", [{"X": "a\r\nb: c"}, {"X": "☃"}])
def test_an_impossible_header_does_not_raise(transport: Transport, headers: dict[str, str]) -> None:
    """A header that cannot be sent is a failure, and smuggles nothing."""
    with serve(Answer(204)) as server:
        reply = transport.send(Request("POST", server.url + "/", headers, b""), 1)

    assert reply.failure is not None


@pytest.mark.parametrize("answer", [RESET, HANG], ids=["reset", "silence"])
def test_a_lost_answer_is_ambiguous(transport: Transport, answer: Answer) -> None:
    """The request arrived and no answer came: nobody knows."""
    with serve(answer) as server:
        reply = transport.send(posted(server.url), 0.2)

    assert (reply.failure, reply.status) == (Failure.NO_ANSWER, 0)


@pytest.mark.parametrize("part", [b"", b"HTT", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Le"])
def test_a_head_that_breaks_off_is_ambiguous_or_an_empty_answer(transport: Transport, part: bytes) -> None:
    """A connection closed before the end of the head is never taken for success with a body."""
    with raw(part) as server:
        reply = transport.send(posted(server.url), 2)

    assert reply.failure is Failure.NO_ANSWER or (reply.status, reply.body) == (200, b"")


def test_no_http_is_ambiguous(transport: Transport) -> None:
    """Whatever speaks there is no HTTP server."""
    with raw(b"SSH-2.0-OpenSSH_9.6\r\n") as server:
        assert transport.send(posted(server.url), 2).failure is Failure.NO_ANSWER


@pytest.mark.parametrize("then", [lambda line: None, Line.reset], ids=["close", "reset"])
def test_a_body_that_breaks_off_is_still_an_answer(
    transport: Transport, then: Callable[[Line], None]
) -> None:
    """The status has come, so the outcome is known; the body is what came of it."""
    with raw(b"HTTP/1.1 202 Accepted\r\nContent-Length: 100\r\n\r\nhalf", then) as server:
        reply = transport.send(posted(server.url), 2)

    assert (reply.status, reply.truncated, reply.failure) == (202, True, None)
    assert reply.body in (b"half", b"")


# Time and size


@pytest.mark.parametrize(
    ("head", "drop", "status"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"x", 200),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", 200),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x", 200),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", 0),
        (b"", b"H", 0),
    ],
    ids=["body", "chunks", "body without end", "head", "first line"],
)
@pytest.mark.flaky(reruns=2)
def test_a_dripping_answer_has_one_deadline(
    transport: Transport, head: bytes, drop: bytes, status: int
) -> None:
    """However slowly it drips, the whole answer is waited for once, not each of its bytes."""
    with drips(head, drop) as server:
        began = time.monotonic()
        reply = transport.send(posted(server.url), 0.3)
        took = time.monotonic() - began

    assert took < 0.6
    assert reply.status == status
    assert reply.truncated if status else reply.failure is Failure.NO_ANSWER


@pytest.mark.flaky(reruns=2)
def test_a_server_that_does_not_read_has_the_same_deadline(transport: Transport) -> None:
    """A body nobody takes is not waited for longer."""

    def handle(line: Line) -> None:
        line.hang()

    with Loopback(handle) as server:
        began = time.monotonic()
        reply = transport.send(posted(server.url, b"x" * 30_000_000), 0.3)
        took = time.monotonic() - began

    assert (reply.failure, took < 0.8) == (Failure.NO_ANSWER, True)


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_a_huge_body_is_bounded(transport: Transport, packed: bool) -> None:
    """A megabyte is read, however much there is, and however small it was packed."""
    body, headers = b"x" * (8 * MAX_BODY_BYTES), {}
    if packed:
        body, headers = gzip.compress(body), {"Content-Encoding": "gzip"}

    with serve(Answer(200, headers, body)) as server:
        reply = transport.send(posted(server.url), 5)
        after = transport.send(posted(server.url), 5).status

    assert (reply.status, len(reply.body), reply.truncated, after) == (200, MAX_BODY_BYTES, True, 200)


def test_understands_gzip(transport: Transport) -> None:
    """An answer that came packed is unpacked; a request with a packed body is sent as it is."""
    seen: list[Received] = []

    def answer(request: Received) -> Answer:
        seen.append(request)
        return Answer(200, {"Content-Encoding": "gzip"}, gzip.compress(b'{"a": 1}'))

    packed = gzip.compress(b"much")
    with Loopback(http(answer)) as server:
        reply = transport.send(posted(server.url, packed, **{"Content-Encoding": "gzip"}), 5)

    assert reply.body == b'{"a": 1}'
    assert (seen[0].body, seen[0].headers["content-encoding"]) == (packed, "gzip")


def test_broken_gzip_is_still_an_answer(transport: Transport) -> None:
    """The status counts."""
    with serve(Answer(200, {"Content-Encoding": "gzip"}, b"no gzip at all")) as server:
        reply = transport.send(posted(server.url), 5)

    assert (reply.status, reply.truncated) == (200, True)
