"""Whatever arrives is answered or dropped, and the next client is served as if nothing had been."""

from __future__ import annotations

import logging
import random
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from otel_vendor_exporters.sandbox import Sandbox
from otel_vendor_exporters.sandbox.listener import MAX_CONNECTIONS
from tests.sandbox.wire import FORM, Wire, encoded, eventually, read_all

TIMER = {"t_other": "custom0|10"}
CONFIG = b"/config?key=AAAAA-BBBBB-CCCCC-DDDDD-EEEEE&d=www.example.com"
GET_CONFIG = b"GET " + CONFIG + b" HTTP/1.1\r\nHost: x\r\nUser-Agent: t\r\n\r\n"


@pytest.fixture(autouse=True)
def still_serves(wire: Wire, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """After every test of this file a good beacon counts, and the sandbox has not said it failed."""
    caplog.set_level(logging.WARNING, "otel_vendor_exporters")
    yield
    beacon = wire.beacon(TIMER)
    assert beacon.findings == ()
    assert beacon.timers == (("MyTimer", 10),)
    assert caplog.records == []


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"\x00\xff\xfe garbage\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),  # TLS
        (b"GET\r\n\r\n", 400),
        (b"GET /config HTTP/9.9\r\n\r\n", 505),
        (b"GET /config HTTP/x.y\r\n\r\n", 400),
        (b"GET / config HTTP/1.1\r\n\r\n", 400),
        (b"TRACE /config HTTP/1.1\r\nHost: x\r\n\r\n", 501),
        (b"CONNECT evil.example:443 HTTP/1.1\r\nHost: x\r\n\r\n", 501),
        (b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nX: " + b"y" * 70_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n", 431),
        (b"POST /17de4c15/ HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n", 400),
        (b"POST /17de4c15/ HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /17de4c15/ HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 400 + b"\r\n\r\n", 400),
        (b"POST /17de4c15/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411),
        (b"GET /17de4c15/?\xff\xfe=\x80 HTTP/1.1\r\nHost: x\r\n\r\n", 204),
        (b"GET /17de4c15/?%00=%0d%0a&h.pg=%1b[31m HTTP/1.1\r\nHost: x\r\n\r\n", 204),
        (b"GET /17de4c15/?&&&==&=&? HTTP/1.1\r\nHost: x\r\n\r\n", 204),
        (b"GET http://evil.example/17de4c15/?api=1 HTTP/1.1\r\nHost: evil.example\r\n\r\n", 204),
        (b"GET /config?d=1&key=%e2%82 HTTP/1.1\r\nHost: \xff\r\n\r\n", 404),
        (b"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"GET //evil.example/ HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 403),
        (b"GET /config HTTP/1.0\r\n\r\n", 400),
    ],
)
def test_odd_requests_get_an_answer(wire: Wire, request_bytes: bytes, status: int) -> None:
    """Garbage, other protocols, sizes beyond reason and odd bytes: each has a status."""
    answer = wire.raw(request_bytes)

    assert answer.startswith(f"HTTP/1.1 {status} ".encode()), answer[:80]


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"",
        b"\r\n",
        b"GET",
        b"GET /config HTTP/1.1\r\nHost: x",
        b"POST /17de4c15/ HTTP/1.1\r\nContent-Length: 99\r\n\r\nx",
    ],
)
def test_a_client_that_goes_away_leaves_nothing(sandbox: Sandbox, wire: Wire, request_bytes: bytes) -> None:
    """Half a request and a closed connection."""
    with wire.connect() as connection:
        connection.sendall(request_bytes)

    assert eventually(lambda: not sandbox_connections(sandbox))


def test_random_bytes_break_nothing(wire: Wire) -> None:
    """Two hundred requests of random bytes, as a line, as headers, as query and as body."""
    chance = random.Random(20_241_119)
    for _ in range(50):
        noise = chance.randbytes(chance.randint(1, 400))
        line = noise.replace(b"\n", b"").replace(b"\r", b"").replace(b" ", b"")
        for request in (
            noise,
            b"GET /config HTTP/1.1\r\n" + noise + b"\r\n\r\n",
            b"GET /17de4c15/?" + line + b" HTTP/1.1\r\nHost: x\r\n\r\n",
            b"POST /17de4c15/ HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(noise) + noise,
        ):
            with suppress(ConnectionResetError):  # bytes of ours that were left unread reset the connection
                wire.raw(request)


def test_a_huge_body_is_passed_over_and_answered(sandbox: Sandbox, wire: Wire) -> None:
    """Eight megabytes are taken off the wire; the client sees its 204."""
    reply = wire.ask("POST", wire.beacon_path, b"x" * 8_000_000, {"Content-Type": FORM})

    assert reply.status == 204
    assert "body_too_large" in sandbox.received.codes


def test_a_body_without_end_is_cut(wire: Wire) -> None:
    """Of a body that claims a terabyte sixteen megabytes are passed over, then the connection ends."""
    with wire.connect() as connection:
        connection.sendall(b"POST /17de4c15/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000000\r\n\r\n")
        sent = 0
        with suppress(ConnectionError):
            for _ in range(1_000):
                connection.sendall(b"x" * 65_536)
                sent += 65_536

    assert 16_000_000 <= sent < 40_000_000


def test_a_slow_client_holds_up_nobody(wire: Wire) -> None:
    """A request that comes byte by byte is answered in the end, others meanwhile."""
    with wire.connect() as slow:
        for number, byte in enumerate(GET_CONFIG):
            slow.sendall(bytes([byte]))
            if number % 20 == 0:
                assert wire.config().status == 200
        assert slow.recv(65_536).startswith(b"HTTP/1.1 200 ")


@pytest.mark.flaky(reruns=2)
def test_a_client_that_reads_nothing_is_left_behind(sandbox: Sandbox, wire: Wire) -> None:
    """Eight megabytes of an answer that nobody takes do not keep the sandbox from stopping."""
    sandbox.answer_next(200, body=b"x" * 8_000_000)
    with wire.connect() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.sendall(GET_CONFIG)
        assert sandbox.received.wait_for(lambda received: len(received.records) == 1)
        assert wire.config().status == 200
        begun = time.monotonic()
        sandbox.stop()
        assert time.monotonic() - begun < 1
    sandbox.start()


def test_pipelined_requests_are_answered_in_order(wire: Wire) -> None:
    """Fifty requests in one write: fifty answers, beacons and configurations in turn."""
    query = encoded({**wire.always(), **TIMER}).encode()
    beacon = b"GET " + wire.beacon_path.encode() + b"?" + query + b" HTTP/1.1\r\nHost: x\r\n\r\n"
    answers = wire.raw((beacon + GET_CONFIG) * 25)

    statuses = [part[:3] for part in answers.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [b"204", b"200"] * 25
    assert len(wire.sandbox.received.timers) == 25


def test_one_connection_carries_many_requests(wire: Wire) -> None:
    """Keep-alive, also after a POST, a HEAD, a 404 and a 204; Connection: close ends it."""
    requests = [
        b"POST /17de4c15/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\napi=1",
        b"HEAD " + CONFIG + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PUT /17de4c15/ HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi",
        b"GET " + CONFIG + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        GET_CONFIG,
    ]
    answers = wire.raw(b"".join(requests))

    assert [part[:3] for part in answers.split(b"HTTP/1.1 ")[1:]] == [b"204", b"405", b"404", b"204", b"200"]


def test_head_has_no_body(wire: Wire) -> None:
    """The headers of the answer, and nothing after them."""
    answer = wire.raw(b"HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")

    assert answer.endswith(b"\r\n\r\n")
    assert answer.count(b"\r\n\r\n") == 1


def test_a_client_that_asks_before_it_sends_is_told_to(wire: Wire) -> None:
    """Expect: 100-continue, as curl sends for long forms."""
    body = encoded({**wire.always(), **TIMER}).encode()
    head = f"POST {wire.beacon_path} HTTP/1.1\r\nHost: x\r\nUser-Agent: t\r\nContent-Type: {FORM}\r\n"
    head += f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
    with wire.connect() as connection:
        connection.sendall(head.encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")
        connection.sendall(body)
        assert read_all(connection).startswith(b"HTTP/1.1 204 ")
    assert wire.last.findings == ()


@pytest.mark.parametrize("sent", [b"", b"[{"])
def test_a_client_that_is_gone_in_the_middle_of_a_body_sent_nothing(
    sandbox: Sandbox, wire: Wire, sent: bytes
) -> None:
    """A process that is killed while it sends is no finding: half a request is none."""
    head = b"POST /v2/bulkevents HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
    assert wire.raw(head + sent) == b""
    assert sandbox.received.records == ()
    assert sandbox.received.findings == ()


def test_too_many_connections_are_hung_up_on(sandbox: Sandbox, wire: Wire) -> None:
    """Above the bound a connection ends at once; when others go, there is room again."""
    with ExitStack() as stack:
        for _ in range(MAX_CONNECTIONS):
            stack.enter_context(wire.connect())
        assert eventually(lambda: len(sandbox_connections(sandbox)) == MAX_CONNECTIONS)
        with wire.connect() as one_more:
            assert one_more.recv(1) == b""
    assert eventually(lambda: not sandbox_connections(sandbox))


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8700", 200),
        ("localhost", 200),
        ("[::1]:8700", 200),
        ("127.0.0.1.evil.example", 403),
        ("evil.example", 403),
        ("localhost.evil.example", 403),
        ("10.0.0.1", 403),
        ("[", 403),
    ],
)
def test_a_web_page_that_rebinds_its_name_sees_nothing(wire: Wire, host: str, status: int) -> None:
    """The side API answers to the loopback address alone."""
    for target in ("/", "/sandbox/received.json", "/sandbox/received.json?secrets=1"):
        assert wire.ask("GET", target, headers={"Host": host}).status == status


@pytest.mark.parametrize("origin", ["https://evil.example", "http://127.0.0.1.evil.example", "null"])
@pytest.mark.parametrize("target", ["/sandbox/reset", "/sandbox/answer-next"])
def test_a_web_page_cannot_order_anything(sandbox: Sandbox, wire: Wire, origin: str, target: str) -> None:
    """A form that a foreign page posts here is refused; the sandbox's own origin may."""
    wire.learn()
    reply = wire.ask("POST", target, b"{}", {"Origin": origin})

    assert (reply.status, reply.body) == (403, b"ask by the loopback address")
    assert len(sandbox.received.records) == 1
    assert wire.config().status == 200
    assert wire.ask("POST", "/sandbox/reset", headers={"Origin": sandbox.url}).status == 204


def test_text_from_outside_cannot_write_on_the_terminal(wire: Wire) -> None:
    """Findings show control characters replaced and cut what is long."""
    beacon = wire.beacon({"t_other": "\x1b[2J\r\n\x07|10", "h.ab": "z" * 5_000, "cmet.\u202e": "1"})

    for finding in beacon.findings:
        assert (finding.code + finding.sentence).isprintable()
        assert len(finding.code + finding.sentence) < 400


def sandbox_connections(sandbox: Sandbox) -> list[socket.socket]:
    """The connections that are open, as the listener knows them."""
    listener = sandbox._listener
    assert listener is not None
    return list(listener._server._connections)
