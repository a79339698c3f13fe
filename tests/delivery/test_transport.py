"""The transport on real sockets: whatever a server, a proxy or a certificate does comes back as a Reply."""

from __future__ import annotations

import gzip
import logging
import os
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from opentelemetry.context import _SUPPRESS_HTTP_INSTRUMENTATION_KEY, _SUPPRESS_INSTRUMENTATION_KEY, get_value

from otel_vendor_exporters.delivery import connection as connection_module
from otel_vendor_exporters.delivery import transport as transport_module
from otel_vendor_exporters.delivery.request import Failure, Reply, Request
from otel_vendor_exporters.delivery.transport import MAX_BODY_BYTES, Network, Transport
from tests.delivery.loopback import HANG, RESET, Answer, Line, Loopback, Received, http

# Forking with threads, which newer versions of Python warn of, is what these tests are about.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")

SECRET = "key=s3cret"


@pytest.fixture
def transport() -> Iterator[Transport]:
    made = Transport()
    yield made
    made.close()


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


def drips(head: bytes, drop: bytes) -> Loopback:
    """Sends a drop every 20 ms, for ever: no single read takes long."""

    def handle(line: Line) -> None:
        line.request()
        line.send(head)
        while not line.closing.wait(0.02):
            line.send(drop)

    return Loopback(handle)


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


# Kept-alive connections


def closes_after_each_answer(seen: list[bytes]) -> Loopback:
    """Promises to keep the connection and does not."""

    def handle(line: Line) -> None:
        request = line.request()
        if request is not None:
            seen.append(request.body)
            line.answer(Answer(204))

    return Loopback(handle)


def test_a_connection_the_server_closed_loses_nothing(transport: Transport) -> None:
    """A server may close idle connections whenever it likes: the next request opens a new one."""
    seen: list[bytes] = []
    with closes_after_each_answer(seen) as server:
        statuses = []
        for number in range(5):
            statuses.append(transport.send(posted(server.url, b"%d" % number), 5).status)
            time.sleep(0.02)  # the end of the connection arrives

    assert (statuses, seen) == ([204] * 5, [b"0", b"1", b"2", b"3", b"4"])


def test_idle_connections_are_not_trusted(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    """After some seconds of rest a new connection is opened: the server may be about to close the old one."""
    monkeypatch.setattr(transport_module, "MAX_IDLE_SECONDS", -1.0)

    with serve(Answer(204)) as server:
        for _ in range(3):
            transport.send(posted(server.url), 5)

    assert server.connections == 3


def hangs_up_on_the_second(seen: list[tuple[int, bytes]], last: Callable[[Line], None]) -> Loopback:
    """Answers the first request of a connection, and meets the second with `last` and the end."""
    numbers = iter(range(9))

    def handle(line: Line) -> None:
        number = next(numbers)
        for answer in (lambda line: line.answer(Answer(200)), last):
            request = line.request()
            if request is None:
                return
            seen.append((number, request.body))
            answer(line)

    return Loopback(handle)


@pytest.mark.parametrize("end", ["close", "reset"])
@pytest.mark.parametrize("repeatable", [True, False])
def test_what_may_be_repeated_goes_once_more_at_once(
    transport: Transport, end: str, repeatable: bool
) -> None:
    """A kept connection that ends before any byte of the answer: once more on a new one, or no answer."""
    seen: list[tuple[int, bytes]] = []

    def last(line: Line) -> None:
        if end == "reset":
            line.reset()

    with hangs_up_on_the_second(seen, last) as server:
        request = Request("POST", server.url + "/", body=b"1", repeatable=repeatable)
        replies = [transport.send(request, 5) for _ in range(2)]

    expected = [(0, b"1"), (0, b"1"), (1, b"1")] if repeatable else [(0, b"1"), (0, b"1")]
    assert [reply.failure for reply in replies] == [None, None if repeatable else Failure.NO_ANSWER]
    assert seen == expected


def test_a_server_that_hangs_up_without_a_word_costs_one_request(transport: Transport) -> None:
    """It has happened once: from then on what must not arrive twice has a connection of its own."""
    seen: list[tuple[int, bytes]] = []

    with hangs_up_on_the_second(seen, lambda line: None) as server:
        replies = [transport.send(posted(server.url, b"%d" % number), 5) for number in range(8)]

    assert [reply.status for reply in replies] == [200, 0, 200, 200, 200, 200, 200, 200]
    assert seen == [(0, b"0"), (0, b"1"), *((number - 1, b"%d" % number) for number in range(2, 8))]


def test_all_threads_hear_of_a_server_that_hangs_up(transport: Transport) -> None:
    """The connection that another thread keeps is not used again either."""
    seen: list[tuple[int, bytes]] = []
    with hangs_up_on_the_second(seen, lambda line: None) as server, ThreadPoolExecutor(1) as other:

        def send() -> int:
            return transport.send(posted(server.url), 5).status

        statuses = [other.submit(send).result(), send(), send(), other.submit(send).result()]

    assert statuses == [200, 200, 0, 200]


def test_a_server_that_hung_up_long_ago_is_trusted_again(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was restarted once does not cost a connection for each request for ever."""
    monkeypatch.setattr(connection_module, "SECONDS_WITHOUT_KEEPING", 0.0)
    seen: list[tuple[int, bytes]] = []

    with hangs_up_on_the_second(seen, lambda line: None) as server:
        statuses = [transport.send(posted(server.url), 5).status for _ in range(4)]

    assert statuses == [200, 0, 200, 0]


def test_an_answer_that_has_begun_is_not_asked_for_again(transport: Transport) -> None:
    """The vendor was at work on it: whether it goes again is not decided here."""
    seen: list[tuple[int, bytes]] = []
    with hangs_up_on_the_second(seen, lambda line: line.send(b"HTTP/1.1 20")) as server:
        request = Request("POST", server.url + "/", body=b"1", repeatable=True)
        replies = [transport.send(request, 5) for _ in range(2)]

    assert replies[1].failure is Failure.NO_ANSWER
    assert seen == [(0, b"1"), (0, b"1")]


def test_a_new_connection_that_ends_is_not_tried_again(transport: Transport) -> None:
    """A server that closes every connection is not asked twice by one call."""
    with raw(b"") as server:
        reply = transport.send(Request("POST", server.url + "/", body=b"1", repeatable=True), 5)

    assert (reply.failure, server.connections) == (Failure.NO_ANSWER, 1)


# TLS


def test_a_certificate_nobody_knows_is_refused(transport: Transport, tls: ssl.SSLContext) -> None:
    """A self-signed certificate is not trusted, and the request not sent."""
    requests_seen = []

    def answer(request: Received) -> Answer:
        requests_seen.append(request)
        return Answer(204)

    with Loopback(http(answer), tls=tls) as server:
        reply = transport.send(posted(server.url), 5)

    assert (reply.failure, requests_seen) == (Failure.NOT_SENT, [])
    assert "SSLCertVerificationError" in reply.words


@pytest.mark.parametrize("how", ["setting", "environment"])
def test_a_certificate_authority_of_ones_own(
    how: str, tls: ssl.SSLContext, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A CA file given as a setting or in the environment is trusted."""
    ca_file = str(certificate) if how == "setting" else None
    if how == "environment":
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    transport = Transport(Network(ca_file=ca_file))

    with Loopback(http(lambda request: Answer(204)), tls=tls) as server:
        statuses = [transport.send(posted(server.url), 5).status for _ in range(2)]
        transport.close()

    assert (statuses, server.connections) == ([204, 204], 1)


def test_a_certificate_for_another_host_is_refused(tls: ssl.SSLContext, certificate: Path) -> None:
    """Trusted, but not for this name: nothing is sent."""
    transport = Transport(Network(ca_file=str(certificate)))

    with Loopback(http(lambda request: Answer(204)), tls=tls) as server:
        reply = transport.send(posted(server.url.replace("127.0.0.1", "localhost")), 5)
        transport.close()

    assert reply.failure is Failure.NOT_SENT


@pytest.mark.parametrize("given", [True, False], ids=["with", "without"])
def test_client_certificates(given: bool, tls: ssl.SSLContext, certificate: Path) -> None:
    """A server that asks for one gets it, and answers nobody who has none."""
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.load_verify_locations(certificate)
    client = str(certificate) if given else None
    transport = Transport(Network(ca_file=str(certificate), client_certificate=client))

    with Loopback(http(lambda request: Answer(204)), tls=tls) as server:
        reply = transport.send(posted(server.url), 5)
        transport.close()

    if given:
        assert reply == Reply(status=204)
    else:  # whether the server's alert still arrives, or only the end of the connection, is chance
        assert reply.failure is not None


@pytest.mark.parametrize(
    "network", [Network(ca_file="/no/such.pem"), Network(client_certificate="/no/such.pem")]
)
def test_a_missing_certificate_file_is_a_failure(network: Network) -> None:
    """What waits is kept until the file is there."""
    assert Transport(network).send(posted("https://127.0.0.1:9"), 1).failure is Failure.NOT_SENT


def test_plain_http_where_tls_is_expected(transport: Transport) -> None:
    """A server that speaks no TLS got nothing."""
    with serve(Answer(204)) as server:
        reply = transport.send(posted(server.url.replace("http:", "https:")), 0.2)

    assert reply.failure is Failure.NOT_SENT


def test_tls_that_breaks_after_sending_is_ambiguous(tls: ssl.SSLContext, certificate: Path) -> None:
    """An end of the connection without an answer is the same under TLS."""
    transport = Transport(Network(ca_file=str(certificate)))

    def handle(line: Line) -> None:
        line.request()

    with Loopback(handle, tls=tls) as server:
        reply = transport.send(posted(server.url), 2)
        transport.close()

    assert reply.failure is Failure.NO_ANSWER


# Proxies


def test_a_plain_proxy_gets_the_whole_address() -> None:
    """With http the proxy is asked for the vendor's URL, with its own credentials in the header."""
    seen: list[Received] = []

    def answer(request: Received) -> Answer:
        seen.append(request)
        return Answer(204)

    with Loopback(http(answer)) as proxy:
        transport = Transport(Network(proxy=proxy.url.replace("//", "//user:word@")))
        reply = transport.send(posted("http://vendor.invalid"), 5)
        transport.close()

    assert (reply.status, seen[0].target) == (204, f"http://vendor.invalid/path?{SECRET}")
    assert seen[0].headers["proxy-authorization"].startswith("Basic ")
    assert not [name for name in seen[0].headers if name.startswith(":")]


def tunnels(server: Loopback, status: int = 200) -> Loopback:
    """An HTTP proxy that answers CONNECT and passes bytes on."""

    def handle(line: Line) -> None:
        request = line.request()
        assert request is not None
        assert request.method == "CONNECT"
        line.send(b"HTTP/1.1 %d Words\r\n\r\n" % status)
        if status == 200:
            host, port = server.address.split(":")
            with socket.create_connection((host, int(port)), 5) as onward:
                _pass_on(line.connection, onward)

    return Loopback(handle)


def _pass_on(one: socket.socket, other: socket.socket) -> None:
    one.settimeout(0.01)
    other.settimeout(0.01)
    for _ in range(500):
        for source, target in ((one, other), (other, one)):
            try:
                data = source.recv(65536)
            except TimeoutError:
                continue
            if not data:
                return
            target.sendall(data)


@pytest.mark.parametrize("how", ["setting", "environment"])
def test_a_proxy_tunnels_tls(
    how: str, tls: ssl.SSLContext, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With https the proxy sees a tunnel, and the certificate is the vendor's."""
    with Loopback(http(lambda request: Answer(204)), tls=tls) as server, tunnels(server) as proxy:
        if how == "environment":
            monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        transport = Transport(
            Network(ca_file=str(certificate), proxy=proxy.url if how == "setting" else None)
        )
        reply = transport.send(posted(server.url), 5)
        transport.close()

    assert (reply.status, proxy.connections) == (204, 1)


def test_a_proxy_that_refuses_the_tunnel_sent_nothing(tls: ssl.SSLContext) -> None:
    """The proxy wants a password: the vendor has seen nothing."""
    with Loopback(http(lambda request: Answer(204)), tls=tls) as server, tunnels(server, 407) as proxy:
        transport = Transport(Network(proxy=proxy.url))
        reply = transport.send(posted(server.url), 5)
        transport.close()

    assert reply == Reply(failure=Failure.NOT_SENT, words="ProxyError: OSError: answered 407")
    assert server.connections == 0


def test_a_proxy_that_drips_its_answer_has_one_deadline() -> None:
    """However slowly it drips, the answer to CONNECT is waited for once; the vendor has seen nothing."""
    with drips(b"HTTP/1.1 200 OK\r\nX-Long: ", b"x") as proxy:
        transport = Transport(Network(proxy=proxy.url))
        began = time.monotonic()
        reply = transport.send(posted("https://vendor.invalid"), 0.3)
        transport.close()

    assert reply.failure is Failure.NOT_SENT
    assert time.monotonic() - began < 2


def test_a_proxy_that_is_not_there_sent_nothing() -> None:
    """Nobody listens at the proxy's address."""
    with serve(Answer(204)) as server:
        url = server.url
    transport = Transport(Network(proxy=url))

    assert transport.send(posted("https://vendor.invalid"), 2).failure is Failure.NOT_SENT


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
