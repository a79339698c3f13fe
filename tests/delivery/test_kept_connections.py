"""The transport on real sockets: connections that are kept, and servers that close them meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from otel_vendor_exporters.delivery import connection as connection_module
from otel_vendor_exporters.delivery import transport as transport_module
from otel_vendor_exporters.delivery.request import Failure, Request
from otel_vendor_exporters.delivery.transport import Transport
from tests.delivery.exchanges import posted, raw, serve
from tests.delivery.loopback import Answer, Line, Loopback


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
