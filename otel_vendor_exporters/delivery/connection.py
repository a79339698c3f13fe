"""
Connection: what happens to one request on its socket. Part of the door to `requests`, under `transport`.

What the pool does not do: the target is sent as it is, whether bytes have left or come is remembered, and
the look-up of the name, connecting and the whole answer have one deadline, not each of its pieces.
"""

from __future__ import annotations

import io
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from http.client import CONTINUE, SWITCHING_PROTOCOLS, HTTPMessage, HTTPResponse
from time import monotonic
from typing import Any

from urllib3.connection import HTTPConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util import SKIP_HEADER

from otel_vendor_exporters.delivery.names import addresses_of

# Never on the wire: the key of a request's headers under which its passage goes through the pool.
PASSAGE = ":passage"
SECONDS_WITHOUT_KEEPING = 600.0


class Passage:
    """
    One request on its way; `deadline` is in monotonic seconds.

    `begun` once its bytes may have left, `heard` once a byte has come back; `reused` on a connection that
    was open before; `last` on a connection that is to be closed after the answer.
    """

    __slots__ = ("begun", "deadline", "heard", "last", "reused", "target")

    def __init__(self, deadline: float, *, last: bool = False) -> None:
        self.deadline = deadline
        self.target = "/"
        self.last = last
        self.begun = self.heard = self.reused = False


class HangUps:
    """
    Which servers close a connection that is kept, just as the next request comes. Any thread may call.

    A request that meets that moment may have been read, or not: nobody knows. So for a while each request to
    such a server has a connection of its own.
    """

    def __init__(self) -> None:
        self._until: dict[str, float] = {}  # by origin: monotonic seconds

    def note(self, origin: str) -> None:
        """It happened."""
        self._until[origin] = monotonic() + SECONDS_WITHOUT_KEEPING

    def are_likely(self, origin: str) -> bool:
        """Whether it has happened lately."""
        return monotonic() < self._until.get(origin, 0.0)


@cache
def verbatim(connection_class: type[HTTPConnection]) -> type[HTTPConnection]:
    """
    The connection class, for requests that carry a `Passage` among their headers.

    Targets go out as they are: what is encoded is not encoded again, which takes the pool a fifth of a
    beacon's time. urllib3 itself sees "/" only, so that none of its log lines can hold a key.
    """
    looks_up = connection_class._new_conn is HTTPConnection._new_conn  # else a SOCKS proxy may do that

    class Verbatim(connection_class):  # type: ignore[misc,valid-type]  # a base known at run time
        _passage = Passage(0.0)
        _used = False

        def connect(self) -> None:
            self._used = False
            self._connect_by = monotonic() + self.timeout
            # A proxy's answer to CONNECT is read here, by the same class.
            self.response_class = _answers_to(Passage(self._connect_by))
            super().connect()

        def _new_conn(self) -> socket.socket:
            connect = super()._new_conn
            sock: socket.socket = _first_that_answers(self, connect) if looks_up else connect()
            sock.settimeout(_left(self._connect_by))  # for TLS
            return sock

        def _tunnel(self) -> None:
            super()._tunnel()
            self.sock.settimeout(_left(self._connect_by))  # for TLS

        def request(
            self, method: str, url: str, body: Any = None, headers: Any = None, **options: Any
        ) -> None:
            headers = dict(headers)
            self._passage = passage = headers.pop(PASSAGE)
            if "User-Agent" not in headers and "user-agent" not in headers:
                headers["User-Agent"] = SKIP_HEADER  # vendors read it; ours is said only where it is wanted
            if self.sock is None:
                self.connect()
            passage.reused, self._used = self._used, True
            self.timeout = _left(passage.deadline)  # connecting took some
            passage.begun = True
            self.response_class = _answers_to(passage)
            super().request(method, url, body=body, headers=headers, **options)

        def putrequest(self, method: str, _url: str, *args: Any, **options: Any) -> None:
            super().putrequest(method, self._passage.target, *args, **options)

    return Verbatim


def _first_that_answers(connection: Any, connect: Callable[[], socket.socket]) -> socket.socket:
    """
    A socket to one of the addresses of a `Verbatim`'s host.

    They share the time, so that one that is dead takes no other's turn. `connect` looks up nothing: it is
    given an address for the name.
    """
    name, seconds = connection._dns_host, connection.timeout
    try:
        addresses = addresses_of(name, connection.port, seconds)
        for position, address in enumerate(addresses[:-1]):
            connection._dns_host = address
            connection.timeout = _left(connection._connect_by) / (len(addresses) - position)
            with suppress(NewConnectionError, ConnectTimeoutError):  # the next one, then
                return connect()
        connection._dns_host, connection.timeout = addresses[-1], _left(connection._connect_by)
        return connect()
    except socket.gaierror as error:
        raise NameResolutionError(name, connection, error) from error
    finally:
        connection._dns_host, connection.timeout = name, seconds


def _left(deadline: float) -> float:
    return max(deadline - monotonic(), 0.001)


def _answers_to(passage: Passage) -> Any:  # http.client calls it as a class
    def response(sock: socket.socket, *args: Any, **options: Any) -> HTTPResponse:
        answer = _Answer(_Source(sock, passage), *args, **options)  # type: ignore[arg-type]  # all it asks
        answer.is_last = passage.last
        return answer

    return response


class _Answer(HTTPResponse):
    """
    An answer, for which "204 No Content" is read at once.

    It is what mPulse says to every beacon. `http.client` reads a head as it would read an e-mail, which takes
    a third of a beacon's time, and there is nothing in this one that anybody asks for.
    """

    is_last = False

    def begin(self) -> None:
        head = self.fp.peek()
        if self.is_last or not _is_plain_204(head):
            super().begin()
            self.will_close = self.will_close or self.is_last
            return
        self.fp.read(len(head))
        self.version, self.status, self.reason = 11, 204, "No Content"
        self.headers = self.msg = HTTPMessage()
        self.chunked, self.length, self.will_close = False, 0, False
        self.close()  # there is no body

    def _read_status(self) -> tuple[str, int, str]:
        """Whatever a server says in advance ("103 Early Hints") is passed over, as `begin` does with 100."""
        version, status, reason = super()._read_status()  # type: ignore[misc]  # typeshed has it not
        in_advance = CONTINUE < status < 200 and status != SWITCHING_PROTOCOLS
        return version, CONTINUE if in_advance else status, reason


def _is_plain_204(head: bytes) -> bool:
    """Whether this is the whole of such an answer, and the connection stays open."""
    return (
        head.startswith(b"HTTP/1.1 204 ")
        and head.find(b"\r\n\r\n") == len(head) - 4
        and b"\nconnection:" not in head.lower()
    )


class _Source:
    """What `http.client` reads an answer from."""

    def __init__(self, sock: socket.socket, passage: Passage) -> None:
        self._sock = sock
        self._passage = passage

    def makefile(self, mode: str) -> io.BufferedReader:  # noqa: ARG002  always "rb"
        return io.BufferedReader(_Reader(self._sock, self._passage))


class _Reader(io.RawIOBase):
    """Reads from a socket until the deadline."""

    def __init__(self, sock: socket.socket, passage: Passage) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)
        self._passage = passage

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._passage.deadline - monotonic()
        if left <= 0:
            raise TimeoutError("the answer takes too long")
        self._sock.settimeout(left)
        count = self._raw.readinto(buffer)
        self._passage.heard = self._passage.heard or bool(count)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()
