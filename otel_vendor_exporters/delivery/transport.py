"""
Transport: the one door to `requests`.

A request goes out on a connection of the calling thread, once: no redirects, no retries, a bounded answer,
one deadline for everything. Whatever happens comes back as a Reply.
"""

from __future__ import annotations

import os
import re
import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Protocol

import requests
from opentelemetry.context import (
    _SUPPRESS_HTTP_INSTRUMENTATION_KEY,
    _SUPPRESS_INSTRUMENTATION_KEY,
    Context,
    attach,
    detach,
)
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, Retry
from urllib3.exceptions import (
    ClosedPoolError,
    ConnectTimeoutError,
    HTTPError,
    LocationValueError,
    NameResolutionError,
    NewConnectionError,
    ProxyError,
)
from urllib3.response import BaseHTTPResponse
from urllib3.util import SKIP_HEADER

from otel_vendor_exporters.delivery.connection import PASSAGE, HangUps, Passage, verbatim
from otel_vendor_exporters.delivery.request import Failure, Reply, Request
from otel_vendor_exporters.errors import ConfigurationError

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


@dataclass(frozen=True, slots=True)
class Network:
    """
    How the network is reached. What is None comes from the environment, as `requests` reads it.

    `ca_file` and `client_certificate` are paths of PEM files, the latter with its key; `proxy` is a URL.
    """

    ca_file: str | None = None
    client_certificate: str | None = None
    proxy: str | None = None


class Revealing(Protocol):
    """A secret."""

    def reveal(self) -> str:
        """Its text."""
        ...


class Ways(Protocol):
    """The settings of a vendor that say how the network is reached."""

    @property
    def ca_file(self) -> str | None: ...
    @property
    def client_certificate(self) -> str | None: ...
    @property
    def proxy(self) -> Revealing | None: ...
    @property
    def http_session(self) -> object | None: ...


def transport_for(settings: Ways) -> Transport:
    """The transport that a vendor's settings ask for. Raises ConfigurationError."""
    proxy = None if settings.proxy is None else settings.proxy.reveal()
    network = Network(settings.ca_file, settings.client_certificate, proxy)
    session = settings.http_session
    if session is None:
        return Transport(network)
    if not isinstance(session, requests.Session):
        message = f"http_session is a {type(session).__name__}: expected a requests.Session"
        raise ConfigurationError(message, setting="http_session")
    if network != Network():
        message = (
            "http_session is set beside ca_file, client_certificate or proxy: expected it to bring its own"
        )
        raise ConfigurationError(message, setting="http_session")
    return Transport(session=session)


def proxy_for(url: str) -> str | None:
    """The proxy that the environment names for `url`, as `requests` reads it; None if it goes straight."""
    proxy = requests.utils.select_proxy(url, requests.utils.get_environ_proxies(url))
    if not proxy:
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


class Transport:
    """
    Sends requests. Any thread may call `send`; each has connections of its own.

    A caller's own `session` is used as it is, with its adapters, headers and proxies, by all threads; it is
    the caller who closes it.
    """

    def __init__(self, network: Network | None = None, *, session: requests.Session | None = None) -> None:
        self._network = network or Network()
        self._callers_line = None if session is None else _CallersLine(session)
        self._threads = threading.local()
        self._lock = threading.Lock()
        self._lines: list[_Line] = []
        self._hang_ups = HangUps()

    def send(self, request: Request, timeout_seconds: float) -> Reply:
        """The answer, or why there is none, within about `timeout_seconds`. Never raises for the network."""
        token = attach(_SUPPRESSED)
        try:
            line = self._callers_line or self._line()
            return line.send(request, max(timeout_seconds, 0.001))
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
        if self._callers_line is not None:
            self._callers_line.close()

    def _line(self) -> _Line:
        line: _Line | None = getattr(self._threads, "line", None)
        if line is None:
            line = self._threads.line = _Line(self._network, self._hang_ups)
            with self._lock:
                self._lines.append(line)
        return line


class _CallersLine:
    """A session that is not ours: every request goes all its way."""

    def __init__(self, session: requests.Session) -> None:
        self._session = session

    def send(self, request: Request, timeout_seconds: float) -> Reply:
        deadline = monotonic() + timeout_seconds
        try:
            session, url = self._session, request.url
            # Not its own: mParticle takes a User-Agent for the visitor's, and credentials are the vendor's.
            headers = {"User-Agent": SKIP_HEADER, **request.headers}
            auth = _unchanged if "Authorization" in headers else None
            prepared = session.prepare_request(
                requests.Request(request.method, url, headers=headers, data=request.body, auth=auth)
            )
            way = session.merge_environment_settings(prepared.url or url, {}, True, None, None)
            # Not Session.send: it reads the answer to a redirect, however long it is.
            verify, cert, proxies = way["verify"], way["cert"], way["proxies"]
            response = session.get_adapter(url).send(
                prepared,
                stream=True,
                timeout=timeout_seconds,
                verify=True if verify is None else verify,
                cert=cert,
                proxies=proxies,
            )
            return _reply(response.raw, deadline)
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            not_sent = any(isinstance(one, _NOT_SENT) for one in _chain(error))
            return Reply(failure=Failure.NOT_SENT if not_sent else Failure.NO_ANSWER, words=_words_of(error))

    def close(self) -> None:
        self._session.close()


def _unchanged(prepared: requests.PreparedRequest) -> requests.PreparedRequest:
    return prepared


@dataclass(frozen=True, slots=True)
class _Origin:
    """What `requests` has worked out for one scheme, host and port: proxies, certificates, verification."""

    pool: HTTPConnectionPool
    whole_url: bool  # a plain proxy wants the whole URL, a server only what follows the host
    headers: Mapping[str, str]  # for the proxy


class _Line:
    """
    One thread's session.

    `requests` finds proxies and certificates and makes the connection pool, once per origin; each request
    then goes straight to the pool. `Session.send` costs twice as much as the sending itself.
    """

    def __init__(self, network: Network, hang_ups: HangUps) -> None:
        self._network = network
        self._hang_ups = hang_ups
        self._keeps = False  # a connection may be open
        self._session = requests.Session()
        self._origins: dict[str, _Origin] = {}
        self._used_at = monotonic()

    def send(self, request: Request, timeout_seconds: float) -> Reply:
        now = monotonic()
        end_of_host = request.url.find("/", request.url.find("//") + 2)
        host, target = request.url[:end_of_host], request.url[end_of_host:]
        alone = not request.repeatable and self._hang_ups.are_likely(host)
        if now - self._used_at > MAX_IDLE_SECONDS or (alone and self._keeps):
            self.close()
        passage = Passage(now + timeout_seconds, last=alone)
        reply, error = self._send(request, host, target, passage)
        if error is not None and _is_hang_up(passage, error):
            self._hang_ups.note(host)
            if request.repeatable:
                reply, _ = self._send(request, host, target, Passage(passage.deadline))
        self._keeps = not alone
        self._used_at = monotonic()
        return reply

    def _send(
        self, request: Request, host: str, target: str, passage: Passage
    ) -> tuple[Reply, Exception | None]:
        try:
            origin = self._origin(host)
            passage.target = request.url if origin.whole_url else target
            response = origin.pool.urlopen(
                request.method,
                "/",
                body=request.body,
                headers={**request.headers, **origin.headers, PASSAGE: passage},  # type: ignore[dict-item]  # taken out below
                redirect=False,
                retries=_NEVER_AGAIN,
                assert_same_host=False,
                preload_content=False,
                timeout=max(passage.deadline - monotonic(), 0.001),
            )
            return _reply(response, passage.deadline), None
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            sent = passage.begun and not any(map(_is_alert, _chain(error)))
            failure = Failure.NO_ANSWER if sent else Failure.NOT_SENT
            return Reply(failure=failure, words=_words_of(error)), error

    def close(self) -> None:
        self._origins = {}
        self._session.close()

    def _origin(self, url: str) -> _Origin:
        found = self._origins.get(url)
        if found is None:
            adapter = self._session.get_adapter(url)
            assert isinstance(adapter, HTTPAdapter)  # what a Session mounts
            prepared = requests.Request("GET", url + "/").prepare()
            network = self._network
            given = {} if network.proxy is None else {"http": network.proxy, "https": network.proxy}
            merged = self._session.merge_environment_settings(
                url, given, None, network.ca_file, network.client_certificate
            )
            proxies, verify, cert = merged["proxies"], merged["verify"], merged["cert"]
            pool = adapter.get_connection_with_tls_context(prepared, verify, proxies, cert)
            assert isinstance(pool, HTTPConnectionPool)  # what an HTTPAdapter makes
            pool.ConnectionCls = verbatim(pool.ConnectionCls)
            if cert is not None and isinstance(pool, HTTPSConnectionPool):
                pool.key_password = ""  # else OpenSSL asks for one, on the application's terminal
            adapter.cert_verify(pool, url, verify, cert)  # type: ignore[no-untyped-call]  # untyped in requests
            whole_url = adapter.request_url(prepared, proxies) != "/"
            found = _Origin(pool, whole_url, pool.proxy_headers if whole_url else {})
            self._origins[url] = found
        return found


_NO_CONTENT = Reply(status=204)
_NEVER_AGAIN = Retry(total=False, redirect=False)  # made once: it is the same for every request


def _reply(response: BaseHTTPResponse, deadline: float) -> Reply:
    if response.status == 204:  # what mPulse says to every beacon: nothing of it is ever read
        if not response.closed:
            response.drain_conn()
        response.release_conn()
        return _NO_CONTENT
    headers = {name.lower(): value for name, value in response.headers.items()}
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


# With a caller's session: nothing has reached the vendor when these come.
_NOT_SENT = (
    NewConnectionError,
    NameResolutionError,
    ConnectTimeoutError,
    ClosedPoolError,
    ProxyError,
    LocationValueError,
    requests.exceptions.ConnectTimeout,
    requests.exceptions.ProxyError,
    ssl.SSLCertVerificationError,
    ValueError,  # an address or a header that cannot be
    FileNotFoundError,  # a certificate file
)


def _is_hang_up(passage: Passage, error: Exception) -> bool:
    """Whether a connection that was kept was closed when the request met it, before any byte of an answer."""
    kept = passage.reused and not passage.heard
    return kept and any(isinstance(one, ConnectionError) for one in _chain(error))


def _is_alert(error: BaseException) -> bool:
    """TLS 1.3 says only after the first bytes that a client's certificate is not good enough."""
    return isinstance(error, ssl.SSLError) and "ALERT" in (error.reason or "")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and those that led to it."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        one = waiting.pop()
        if isinstance(one, BaseException) and id(one) not in seen:
            seen.add(id(one))
            yield one
            waiting += [*one.args, getattr(one, "reason", None), one.__cause__, one.__context__]


_NO_TUNNEL = re.compile(r"Tunnel connection failed: (\d{3})")  # http.client's words for it


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
    if isinstance(cause, ssl.SSLError):
        names.append((cause.reason or "").replace("_", " ").lower() or "no reason given")
    elif isinstance(cause, OSError) and cause.errno is not None and cause.errno > 0:
        names.append(os.strerror(cause.errno))
    elif tunnel := _NO_TUNNEL.match(str(cause)):
        names.append(f"answered {tunnel[1]}")
    return ": ".join(names)
