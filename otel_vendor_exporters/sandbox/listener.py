"""
The sandbox's sockets: an HTTP/1.1 server on the loopback interface that turns bytes into a `Request`.

Knows no vendor. Whatever arrives is answered or dropped; nothing of it can raise past a connection's thread.
"""

from __future__ import annotations

import ipaddress
import logging
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from threading import Event, Lock, Thread
from typing import Any

from otel_vendor_exporters.sandbox.exchange import Answer, Request

MAX_BODY_BYTES = 1_000_000
MAX_PASSED_OVER = 16_000_000
MAX_CONNECTIONS = 512
IDLE_SECONDS = 60
LOOK_SECONDS = 0.5
STOP_SECONDS = 5.0

_logger = logging.getLogger(__name__)
_REASONS = {status.value: status.phrase for status in HTTPStatus}
# Linger on, for zero seconds: closing then sends a TCP reset.
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Listener:
    """A running server. `start` and `stop` belong to one thread; `respond` is called from many."""

    def __init__(self, respond: Callable[[Request], Answer], host: str, port: int) -> None:
        self._server = _server_class(loopback(host))(host, port, respond)
        self._thread = Thread(target=self._server.serve, daemon=True)

    @property
    def authority(self) -> str:
        """host:port, as it stands in a URL."""
        return self._server.authority

    def start(self) -> None:
        """Begin to accept."""
        self._thread.start()

    def stop(self) -> None:
        """Stop accepting, hang up on everyone, and wait until every thread has ended."""
        self._server.stopping.set()
        self._server.wake()
        self._thread.join(STOP_SECONDS)
        self._server.server_close()
        self._server.hang_up()


def loopback(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The address of a host on this machine's loopback; raises ValueError for any other."""
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host.strip("[]"))
    except ValueError:
        address = None
    if address is None or not address.is_loopback:
        raise ValueError(
            f"host={host!r}: the sandbox only listens on this machine; use 127.0.0.1, ::1 or localhost"
        )
    return address


class _Server(ThreadingHTTPServer):
    """One thread for each connection, all of them known, so that stopping leaves nothing behind."""

    daemon_threads = True
    block_on_close = False
    # Some Pythons switch it on in HTTPServer (3.14's alphas, python/cpython#127319): a second sandbox would
    # then share the port without a word.
    allow_reuse_port = False
    request_queue_size = MAX_CONNECTIONS
    timeout = LOOK_SECONDS

    def __init__(self, host: str, port: int, respond: Callable[[Request], Answer]) -> None:
        self.respond = respond
        self.stopping = Event()
        self._lock = Lock()
        self._connections: dict[socket.socket, Thread] = {}
        super().__init__((str(loopback(host)), port), _Handler)
        address = f"[{loopback(host)}]" if self.address_family == socket.AF_INET6 else str(loopback(host))
        self.authority = f"{address}:{self.server_address[1]}"

    def server_bind(self) -> None:
        """Bind without the reverse lookup of HTTPServer, which may ask a name server."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def serve(self) -> None:
        """Accept until `stopping`. Without a connection it looks up each LOOK_SECONDS, or when woken."""
        while not self.stopping.is_set():
            self.handle_request()

    def wake(self) -> None:
        """Let `serve` look up now; stopping a sandbox is part of every test that uses one."""
        with suppress(OSError):  # then it looks up by itself
            socket.create_connection((self.server_name, self.server_port), LOOK_SECONDS).close()

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002 - socketserver's
        """Whether connections are still taken."""
        return not self.stopping.is_set()

    def process_request(self, request: Any, client_address: Any) -> None:  # Any: as socketserver declares it
        """Hand a connection to its own thread, unless there are too many."""
        thread = Thread(target=self.process_request_thread, args=(request, client_address), daemon=True)
        with self._lock:
            full = len(self._connections) >= MAX_CONNECTIONS
            if not full:
                self._connections[request] = thread
        if full:
            self.shutdown_request(request)
        else:
            thread.start()

    def shutdown_request(self, request: Any) -> None:  # Any: as socketserver declares it
        """Close a connection and forget it."""
        super().shutdown_request(request)
        with self._lock:
            self._connections.pop(request, None)

    def hang_up(self) -> None:
        """End every open connection and its thread."""
        with self._lock:
            connections = dict(self._connections)
        for connection in connections:
            _shut(connection)
        for thread in connections.values():
            thread.join(STOP_SECONDS)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - socketserver's
        """A client that went away is nobody's fault; anything else is a defect of the sandbox."""
        _logger.debug("a connection to the sandbox ended early", exc_info=True)


class _Server6(_Server):
    address_family = socket.AF_INET6


def _server_class(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> type[_Server]:
    return _Server6 if address.version == 6 else _Server


class _Handler(BaseHTTPRequestHandler):
    """One connection: reads requests one after another and writes what `respond` says."""

    server: _Server
    protocol_version = "HTTP/1.1"
    # http.server answers what it cannot read as HTTP/0.9: a page without a status line that no client reads.
    default_request_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = IDLE_SECONDS

    def answer_request(self) -> None:
        """Read one request, answer it."""
        body = self._body()
        if body is None:
            return
        request = self._request(body)
        answer = self._respond(request)
        if answer.delay_seconds and self.server.stopping.wait(answer.delay_seconds):
            self.close_connection = True
        elif answer.close or answer.reset:
            self._drop(answer.reset)
        else:
            self._write(answer)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_HEAD = answer_request  # noqa: N815

    def send_error(
        self,
        code: int,
        message: str | None = None,
        explain: str | None = None,  # noqa: ARG002 - http.server's
    ) -> None:
        """What http.server says of a request it cannot read: the status and one line of text."""
        self._refuse(code, message or _REASONS.get(code, ""))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is http.server's
        """Say nothing: the journal is the log."""

    def _respond(self, request: Request) -> Answer:
        try:
            return self.server.respond(request)
        except Exception:  # the last line of defence: a defect answers 500 and is logged
            _logger.exception("the sandbox failed on %s %s", request.method, request.path[:200])
            return Answer(500, b"the sandbox itself failed; this is a defect of the sandbox")

    def _request(self, body: bytes) -> Request:
        path, _, query = self.path.partition("?")
        if not path.startswith("/"):
            path = "/" + path.partition("://")[2].partition("/")[2]
        return Request(
            method=self.command,
            path=path,
            query=query.encode("latin-1"),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=body[:MAX_BODY_BYTES],
            authority=self.server.authority,
            host=self.headers.get("Host", ""),
            body_too_large=len(body) > MAX_BODY_BYTES,
        )

    def _body(self) -> bytes | None:
        """
        The body; None when its length cannot be known, which has been answered then.

        None also when the client was gone before all of it came, as one that is killed: that is no request.

        Of a body that is too large one byte more than is allowed is kept; the connection ends after it.
        """
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers:
            self._refuse(411, "send a Content-Length: the sandbox reads no chunks")
            return None
        if not (length.isascii() and length.isdigit() and len(length) < 19):
            self._refuse(400, "Content-Length must be a whole number")
            return None
        body = self.rfile.read(min(int(length), MAX_BODY_BYTES + 1))
        if len(body) < min(int(length), MAX_BODY_BYTES + 1):
            self.close_connection = True
            return None
        if int(length) > MAX_BODY_BYTES:
            self.close_connection = True
            self._pass_over(min(int(length), MAX_PASSED_OVER) - len(body))
        return body

    def _pass_over(self, count: int) -> None:
        """Read on without keeping it, so that the client has a chance to see its answer."""
        while count > 0 and (chunk := self.rfile.read(min(count, 65_536))):
            count -= len(chunk)

    def _refuse(self, status: int, why: str) -> None:
        self.close_connection = True
        self._write(Answer(status, why.encode(), (("Content-Type", "text/plain; charset=utf-8"),)))

    def _write(self, answer: Answer) -> None:
        if answer.stream is not None:
            self._write_stream(answer, answer.stream)
            return
        bare = answer.status in (204, 304) or self.command == "HEAD"
        lines = [f"HTTP/1.1 {answer.status} {_REASONS.get(answer.status, 'Unknown')}"]
        lines += [f"{name}: {value}" for name, value in answer.headers]
        if answer.status not in (204, 304):
            lines.append(f"Content-Length: {len(answer.body)}")
        if self.close_connection:
            lines.append("Connection: close")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        self.wfile.write(head if bare else head + answer.body)

    def _write_stream(self, answer: Answer, stream: Callable[[], Iterator[bytes]]) -> None:
        """Parts until there are no more, the client has gone, or the server stops. Ends the connection."""
        self.close_connection = True
        lines = [f"HTTP/1.1 {answer.status} {_REASONS.get(answer.status, 'Unknown')}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in answer.headers]
        self.wfile.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        for part in stream():
            if self.server.stopping.is_set():
                return
            self.wfile.write(part)

    def _drop(self, reset: bool) -> None:
        self.close_connection = True
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self.connection.close()


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):  # the other side was faster
        connection.shutdown(socket.SHUT_RDWR)
