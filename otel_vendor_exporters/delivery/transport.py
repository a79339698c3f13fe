"""
Transport: the one door to `requests`.

A request goes out on a connection of the calling thread, once: no redirects, no retries, a bounded answer,
one deadline for everything. Whatever happens comes back as a Reply.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from functools import cache
from time import monotonic
from typing import Any

import requests
from opentelemetry.context import (
    _SUPPRESS_HTTP_INSTRUMENTATION_KEY,
    _SUPPRESS_INSTRUMENTATION_KEY,
    Context,
    attach,
    detach,
)
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool
from urllib3.connection import HTTPConnection
from urllib3.exceptions import (
    ClosedPoolError,
    ConnectTimeoutError,
    HTTPError,
    LocationValueError,
    NameResolutionError,
    NewConnectionError,
    ProxyError,
    SSLError,
)
from urllib3.response import BaseHTTPResponse

from otel_vendor_exporters.delivery.request import Failure, Reply, Request

MAX_BODY_BYTES = 1024 * 1024
# Servers close connections they think idle, often after 5 s; a request that meets that moment is ambiguous.
MAX_IDLE_SECONDS = 4.0
_CHUNK_BYTES = 16 * 1024
# Nothing this library sends is to be traced, by any instrumentation of any HTTP layer below.
_SUPPRESSED = Context(
    {
        _SUPPRESS_INSTRUMENTATION_KEY: True,
        _SUPPRESS_HTTP_INSTRUMENTATION_KEY: True,
        "suppress_instrumentation": True,
    }
)


class Transport:
    """Sends requests. Any thread may call `send`; each has connections of its own."""

    def __init__(self) -> None:
        self._threads = threading.local()
        self._lock = threading.Lock()
        self._lines: list[_Line] = []

    def send(self, request: Request, timeout_seconds: float) -> Reply:
        """The answer, or why there is none, within about `timeout_seconds`. Never raises for the network."""
        token = attach(_SUPPRESSED)
        try:
            return self._line().send(request, max(timeout_seconds, 0.001))
        finally:
            detach(token)

    def close(self) -> None:
        """Close every connection; a later `send` opens new ones."""
        with self._lock:
            lines, self._lines = self._lines, []
            self._threads = threading.local()
        for line in lines:
            line.close()

    def renew_after_fork(self) -> None:
        """Leave the parent's connections to the parent; closing ours does not end theirs."""
        self._lock = threading.Lock()
        self.close()

    def _line(self) -> _Line:
        line: _Line | None = getattr(self._threads, "line", None)
        if line is None:
            line = self._threads.line = _Line()
            with self._lock:
                self._lines.append(line)
        return line


@dataclass(frozen=True, slots=True)
class _Origin:
    """What `requests` has worked out for one scheme, host and port: proxies, certificates, verification."""

    pool: HTTPConnectionPool
    whole_url: bool  # a plain proxy wants the whole URL, a server only what follows the host


class _Line:
    """
    One thread's session.

    `requests` finds proxies and certificates and makes the connection pool, once per origin; each request
    then goes straight to the pool. `Session.send` costs twice as much as the sending itself.
    """

    def __init__(self) -> None:
        self._session = requests.Session()
        self._origins: dict[str, _Origin] = {}
        self._used_at = monotonic()

    def send(self, request: Request, timeout_seconds: float) -> Reply:
        now = monotonic()
        if now - self._used_at > MAX_IDLE_SECONDS:
            self.close()
        try:
            end_of_host = request.url.find("/", request.url.find("//") + 2)
            origin = self._origin(request.url[:end_of_host])
            target = request.url if origin.whole_url else request.url[end_of_host:]
            response = origin.pool.urlopen(
                request.method,
                "/",
                body=request.body,
                headers={**request.headers, _TARGET: target},
                redirect=False,
                retries=False,
                assert_same_host=False,
                preload_content=False,
                timeout=timeout_seconds,
            )
            return _reply(response, now + timeout_seconds)
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            return Reply(failure=_failure_of(error), words=_words_of(error))
        finally:
            self._used_at = monotonic()

    def close(self) -> None:
        self._origins = {}
        self._session.close()

    def _origin(self, url: str) -> _Origin:
        found = self._origins.get(url)
        if found is None:
            adapter = self._session.get_adapter(url)
            assert isinstance(adapter, HTTPAdapter)  # what a Session mounts
            prepared = requests.Request("GET", url + "/").prepare()
            merged = self._session.merge_environment_settings(url, {}, None, None, None)
            proxies, verify, cert = merged["proxies"], merged["verify"], merged["cert"]
            pool = adapter.get_connection_with_tls_context(prepared, verify, proxies, cert)
            assert isinstance(pool, HTTPConnectionPool)  # what an HTTPAdapter makes
            pool.ConnectionCls = _verbatim(pool.ConnectionCls)
            adapter.cert_verify(pool, url, verify, cert)  # type: ignore[no-untyped-call]  # untyped in requests
            found = _Origin(pool, whole_url=adapter.request_url(prepared, proxies) != "/")
            self._origins[url] = found
        return found


# Never on the wire: carries the target past the pool, which would check each of its bytes once more.
_TARGET = ":target"


@cache
def _verbatim(connection_class: type[HTTPConnection]) -> type[HTTPConnection]:
    """
    The connection class, sending targets as they are: what is encoded is not encoded again.

    The pool takes a fifth of a beacon's time for that.
    """

    class Verbatim(connection_class):  # type: ignore[misc,valid-type]  # a base known at run time
        def request(
            self, method: str, url: str, body: Any = None, headers: Any = None, **options: Any
        ) -> None:
            headers = dict(headers)
            super().request(method, headers.pop(_TARGET, url), body=body, headers=headers, **options)

    return Verbatim


def _reply(response: BaseHTTPResponse, deadline: float) -> Reply:
    headers = {name.lower(): value for name, value in response.headers.items()}
    if response.status == 204:
        response.drain_conn()
        response.release_conn()
        return Reply(status=204, headers=headers)
    body, whole = _body(response, deadline)
    return Reply(status=response.status, headers=headers, body=body, truncated=not whole)


def _body(response: BaseHTTPResponse, deadline: float) -> tuple[bytes, bool]:
    """The body up to the bound and the deadline, and whether that was all. A break in it is an end."""
    body = bytearray()
    read = getattr(response, "read1", response.read)  # what is there, not what would fill a chunk
    try:
        while chunk := read(_CHUNK_BYTES, decode_content=True):
            body += chunk
            if len(body) > MAX_BODY_BYTES or monotonic() > deadline:
                response.close()
                return bytes(body[:MAX_BODY_BYTES]), False
    except (HTTPError, OSError):
        response.close()
        return bytes(body), False
    response.release_conn()
    return bytes(body), True


# Nothing has reached the vendor when these come. Everything else may be the loss of an answer.
_NOT_SENT = (
    NewConnectionError,
    NameResolutionError,
    ConnectTimeoutError,
    ClosedPoolError,
    ProxyError,
    SSLError,
    LocationValueError,
    requests.RequestException,
)


def _failure_of(error: Exception) -> Failure:
    unusable = isinstance(error, (ValueError, FileNotFoundError))  # an address, a header, a certificate file
    return Failure.NOT_SENT if unusable or isinstance(error, _NOT_SENT) else Failure.NO_ANSWER


def _words_of(error: Exception) -> str:
    """The failure in a few words: only types, since messages hold URLs, and URLs hold keys."""
    names = [type(error).__name__]
    cause: object = error
    while isinstance(cause, BaseException) and cause.args and isinstance(cause.args[-1], BaseException):
        cause = cause.args[-1]
    if cause is error and error.__cause__ is not None:
        cause = error.__cause__
    if cause is not error:
        names.append(type(cause).__name__)
    number = getattr(cause, "errno", None)
    if isinstance(number, int) and number > 0:
        names.append(os.strerror(number))
    return ": ".join(names)
