"""
A server on the loopback interface that does exactly what a test says, on real sockets.

A handler is called for each connection, on a thread of its own, with a `Line`; when it returns the connection
is closed. `http` makes a handler from a function that answers requests. Everything ends with the server.
"""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self

GUARD_SECONDS = 15.0  # no test waits for longer, whatever goes wrong


@dataclass(frozen=True)
class Received:
    """One request as it arrived. Header names are lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What to answer; `reset` breaks the connection instead, `hang` never answers."""

    status: int = 204
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    reset: bool = False
    hang: bool = False


RESET = Answer(reset=True)
HANG = Answer(hang=True)


class Line:
    """One accepted connection."""

    def __init__(self, connection: socket.socket, closing: threading.Event) -> None:
        self.connection = connection
        self.closing = closing
        self._file = connection.makefile("rb")

    def request(self) -> Received | None:
        """The next request; None when the client has gone."""
        first = self._file.readline().decode("latin-1").split()
        if len(first) < 2:
            return None
        headers = {}
        while line := self._file.readline().decode("latin-1").strip():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        body = self._file.read(int(headers.get("content-length", "0")))
        return Received(first[0], first[1], headers, body)

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.connection.sendall(data)

    def answer(self, answer: Answer) -> None:
        """Send a complete answer."""
        lines = [f"HTTP/1.1 {answer.status} Words"]
        lines += [f"{name}: {value}" for name, value in answer.headers.items()]
        if answer.status != 204:
            lines.append(f"Content-Length: {len(answer.body)}")
        self.send("\r\n".join([*lines, "", ""]).encode() + answer.body)

    def reset(self) -> None:
        """Break the connection, so that the client sees a reset."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def hang(self) -> None:
        """Do nothing until the server ends."""
        self.closing.wait(GUARD_SECONDS)

    def close(self) -> None:
        self._file.close()
        self.connection.close()


class Loopback:
    """Listens from construction to `close`. Any thread may read its attributes; `tls` may be changed."""

    def __init__(self, handler: Callable[[Line], None], *, tls: ssl.SSLContext | None = None) -> None:
        self.connections = 0
        self._handler = handler
        self.tls = tls
        self._closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept, name="loopback", daemon=True)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        """The address with its scheme, without a slash at the end."""
        return f"{'https' if self.tls else 'http'}://{self.address}"

    def stop_listening(self) -> None:
        """Refuse new connections; those that are open go on."""
        _shut(self._listener)
        self._listener.close()

    def close(self) -> None:
        """End all connections and threads."""
        self._closing.set()
        with self._lock:
            for connection in (self._listener, *self._open):
                _shut(connection)
        self._listener.close()
        for thread in self._threads:
            thread.join(GUARD_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._open.add(connection)
                self.connections += 1
            thread = threading.Thread(target=self._serve, args=(connection,), name="loopback", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, plain: socket.socket) -> None:
        connection = plain
        line: Line | None = None
        try:
            with suppress(OSError, ValueError):  # the client goes, or the server ends
                connection = self.tls.wrap_socket(plain, server_side=True) if self.tls else plain
                with self._lock:
                    self._open = (self._open - {plain}) | {connection}
                if self._closing.is_set():
                    return
                line = Line(connection, self._closing)
                self._handler(line)
        finally:
            with self._lock:
                self._open.discard(connection)
                self._open.discard(plain)
            if line is not None:
                line.close()
            connection.close()
            plain.close()


def http(answer: Callable[[Received], Answer]) -> Callable[[Line], None]:
    """A handler that answers each request of a kept-alive connection."""

    def handle(line: Line) -> None:
        while (request := line.request()) is not None:
            given = answer(request)
            if given.hang:
                line.hang()
                return
            if given.reset:
                line.reset()
                return
            line.answer(given)

    return handle


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):  # it was not connected any more
        connection.shutdown(socket.SHUT_RDWR)
