"""
Transport: the one door to `requests`.

A request goes out on a connection of the calling thread, once: no redirects, no retries, a bounded answer,
one deadline for everything. Whatever happens comes back as a Reply.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
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
from urllib3.exceptions import HTTPError

from otel_vendor_exporters.delivery.answers import reply_of
from otel_vendor_exporters.delivery.callers_line import CallersLine, sends_again
from otel_vendor_exporters.delivery.connection import PASSAGE, HangUps, Passage, verbatim
from otel_vendor_exporters.delivery.failures import chain, is_alert, words_of
from otel_vendor_exporters.delivery.request import Failure, Reply, Request
from otel_vendor_exporters.errors import ConfigurationError

# Servers close connections they think idle, often after 5 s; a request that meets that moment is ambiguous.
MAX_IDLE_SECONDS = 4.0
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
    for prefix in ("https://", "http://"):  # one for a single host is looked at when it is used
        if sends_again(session.adapters.get(prefix)):
            message = (
                f"http_session has an adapter for {prefix} that sends again by itself, which may count one "
                f'thing twice: expected max_retries=0, as in session.mount("{prefix}", HTTPAdapter())'
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
        self._callers_line = None if session is None else CallersLine(session)
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
            return reply_of(response, passage.deadline), None
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            sent = passage.begun and not any(map(is_alert, chain(error)))
            failure = Failure.NO_ANSWER if sent else Failure.NOT_SENT
            return Reply(failure=failure, words=words_of(error)), error

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


_NEVER_AGAIN = Retry(total=False, redirect=False)  # made once: it is the same for every request


def _is_hang_up(passage: Passage, error: Exception) -> bool:
    """Whether a connection that was kept was closed when the request met it, before any byte of an answer."""
    kept = passage.reused and not passage.heard
    return kept and any(isinstance(one, ConnectionError) for one in chain(error))
