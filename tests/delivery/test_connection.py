"""Connections on real sockets: all that comes before an answer has one deadline."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import requests

from otel_vendor_exporters.delivery.request import Failure, Reply, Request
from otel_vendor_exporters.delivery.transport import Network, Transport
from tests.delivery.loopback import GUARD_SECONDS, Answer, Line, Loopback, http

SEVERAL_ADDRESSES = pytest.mark.skipif(sys.platform != "linux", reason="127.0.0.2 is no address of others")
FORKS = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # newer Pythons warn of threads


@contextmanager
def swallows(address: str, port: int) -> Iterator[None]:
    """An address that lets nobody in, and does not say so: its queue is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind((address, port))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex((address, port))
        yield


def resolving_to(*addresses: str) -> Callable[..., list[Any]]:
    """A `getaddrinfo` for which every name has these addresses."""
    look_up = socket.getaddrinfo

    def look_up_all(name: str, *args: Any, **options: Any) -> list[Any]:
        names = addresses if name.endswith(".test") else (name,)
        return [one for each in names for one in look_up(each, *args, **options)]

    return look_up_all


@SEVERAL_ADDRESSES
@pytest.mark.flaky(reruns=2)
def test_all_addresses_of_a_host_share_the_time(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host with several dead addresses is waited for once, not once for each."""
    dead = [f"127.0.0.{number}" for number in (2, 3, 4)]
    monkeypatch.setattr(socket, "getaddrinfo", resolving_to(*dead))
    port = free_port()

    with ExitStack() as stack:
        for address in dead:
            stack.enter_context(swallows(address, port))
        reply, took = timed(transport, f"http://many.test:{port}", 0.6)

    assert reply == Reply(failure=Failure.NOT_SENT, words="ConnectTimeoutError: TimeoutError")
    assert 0.5 < took < 1.1


@SEVERAL_ADDRESSES
@pytest.mark.flaky(reruns=2)
def test_a_session_of_ones_own_does_not_wait_for_each_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """urllib3 gives each of them the whole time; what they take together is ended."""
    dead = [f"127.0.0.{number}" for number in range(2, 10)]
    monkeypatch.setattr(socket, "getaddrinfo", resolving_to(*dead))
    port = free_port()

    with ExitStack() as stack:
        for address in dead:
            stack.enter_context(swallows(address, port))
        session = stack.enter_context(requests.Session())
        reply, took = timed(Transport(session=session), f"http://many.test:{port}", 1.0)

    assert (reply.failure, took < 5) == (Failure.NOT_SENT, True)


@SEVERAL_ADDRESSES
@pytest.mark.flaky(reruns=2)
def test_an_address_that_is_alive_has_its_turn(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead address before it takes a part of the time only."""
    monkeypatch.setattr(socket, "getaddrinfo", resolving_to("127.0.0.2", "127.0.0.1"))

    with Loopback(http(lambda request: Answer(204))) as server:
        port = int(server.address.rpartition(":")[2])
        with swallows("127.0.0.2", port):
            reply, took = timed(transport, f"http://both.test:{port}", 1.0)

    assert (reply, took < 0.9) == (Reply(status=204), True)


@pytest.mark.flaky(reruns=2)
def test_a_handshake_that_drips_has_the_same_deadline(transport: Transport) -> None:
    """A server that sends its part of TLS byte by byte is not waited for longer."""
    with Loopback(dripping_handshake) as server:
        reply, took = timed(transport, f"https://{server.address}", 0.4)

    assert (reply.failure, took < 0.9) == (Failure.NOT_SENT, True)


@pytest.mark.flaky(reruns=2)
def test_a_handshake_behind_a_proxy_has_what_the_proxy_left() -> None:
    """A proxy that takes its time and a vendor that takes all of it do not add up."""

    def proxy(line: Line) -> None:
        line.request()
        for byte in b"HTTP/1.1 200 OK\r\n\r\n":
            line.closing.wait(0.1)
            line.send(bytes([byte]))
        dripping_handshake(line)

    with Loopback(proxy) as server:
        transport = Transport(Network(proxy=server.url))
        reply, took = timed(transport, "https://vendor.test", 2.5)
        transport.close()

    assert (reply.failure, took < 3.8) == (Failure.NOT_SENT, True)


@SEVERAL_ADDRESSES
@pytest.mark.flaky(reruns=2)
def test_what_connecting_took_is_not_there_for_sending(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dead address and a server that does not read the body do not add up."""
    monkeypatch.setattr(socket, "getaddrinfo", resolving_to("127.0.0.2", "127.0.0.1"))

    with Loopback(Line.hang) as server:
        port = int(server.address.rpartition(":")[2])
        with swallows("127.0.0.2", port):
            reply, took = timed(transport, f"http://both.test:{port}", 1.0, b"x" * 30_000_000)

    assert (reply.failure, took < 1.3) == (Failure.NO_ANSWER, True)


class NameServer:
    """A `getaddrinfo` that says nothing of names until it is told to, and how often it was asked."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._look_up = socket.getaddrinfo
        self._answers = threading.Event()
        self.asked: list[str] = []
        patch.setattr(socket, "getaddrinfo", self._found)

    def answer(self) -> None:
        self._answers.set()

    def _found(self, name: str, *args: Any, **options: Any) -> list[Any]:
        if options.get("flags", 0) & socket.AI_NUMERICHOST or not name.endswith(".test"):
            return self._look_up(name, *args, **options)
        self.asked.append(name)
        assert self._answers.wait(GUARD_SECONDS)
        return self._look_up("127.0.0.1", *args, **options)


@pytest.fixture
def name_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServer]:
    """Lets go of those who wait at the end."""
    made = NameServer(monkeypatch)
    yield made
    made.answer()


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.flaky(reruns=2)
def test_a_silent_name_server_has_the_same_deadline(
    transport: Transport, name_server: NameServer, scheme: str
) -> None:
    """It was not sent, and why is said."""
    reply, took = timed(transport, f"{scheme}://vendor.test", 0.3)

    assert reply.failure is Failure.NOT_SENT
    assert reply.words == "NameResolutionError: LookUpTimeout"
    assert 0.2 < took < 1.2


def test_one_look_up_of_a_name_is_under_way(transport: Transport, name_server: NameServer) -> None:
    """However often a silent name server meets a request, one thread waits for it; its answer is used."""
    with Loopback(http(lambda request: Answer(204))) as server:
        url = f"http://vendor.test:{server.address.rpartition(':')[2]}"
        failures = [timed(transport, url, 0.05)[0].failure for _ in range(5)]
        asked = list(name_server.asked)
        threading.Timer(0.1, name_server.answer).start()
        reply, _ = timed(transport, url, GUARD_SECONDS)

    assert (failures, asked) == ([Failure.NOT_SENT] * 5, ["vendor.test"])
    assert (reply.status, name_server.asked) == (204, ["vendor.test"])


def test_an_address_is_not_looked_up(transport: Transport, name_server: NameServer) -> None:
    """A silent name server holds up nobody who does not need it."""
    with Loopback(http(lambda request: Answer(204))) as server:
        reply, _ = timed(transport, server.url, GUARD_SECONDS)

    assert (reply.status, name_server.asked) == (204, [])


@FORKS
def test_a_child_looks_up_for_itself(transport: Transport, name_server: NameServer) -> None:
    """What its parent waits for at the fork never comes in the child, which asks anew."""
    with Loopback(http(lambda request: Answer(204))) as server:
        url = f"http://vendor.test:{server.address.rpartition(':')[2]}"
        timed(transport, url, 0.05)
        child = os.fork()
        if child == 0:
            try:
                name_server.answer()
                transport.renew_after_fork()
                is_answered = timed(transport, url, GUARD_SECONDS)[0].status == 204
                os._exit(0 if is_answered else 1)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_name_is_looked_up_when_no_thread_can_be_started(
    transport: Transport, name_server: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the interpreter's end it is done by who asks."""

    start = threading.Thread.start

    def refuses(thread: threading.Thread) -> None:
        if thread.name == "name-look-up":
            raise RuntimeError("can't create new thread at interpreter shutdown")
        start(thread)

    name_server.answer()
    with Loopback(http(lambda request: Answer(204))) as server, monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuses)
        reply, _ = timed(transport, f"http://vendor.test:{server.address.rpartition(':')[2]}", 5)

    assert reply.status == 204


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


def timed(transport: Transport, url: str, seconds: float, body: bytes = b"x") -> tuple[Reply, float]:
    """The reply, and how long it took."""
    began = time.monotonic()
    reply = transport.send(Request("POST", f"{url}/path", body=body), seconds)
    return reply, time.monotonic() - began


def dripping_handshake(line: Line) -> None:
    """The head of a TLS record, and then one byte of it after the other."""
    line.send(b"\x16\x03\x03\x40\x00")
    while not line.closing.wait(0.1):
        line.send(b"\x02")
