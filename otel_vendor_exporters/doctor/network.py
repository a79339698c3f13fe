"""
The network: one request to a vendor, and what its way and its answer's headers tell.

The request goes out as the exporters' do. Only when no answer comes are name and connection tried one by one.
"""

from __future__ import annotations

import errno
import os
import socket
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timezone
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException
from typing import Protocol
from urllib.parse import SplitResult, unquote, urlsplit

from otel_vendor_exporters.addresses import is_proxy
from otel_vendor_exporters.delivery.clock import Clock
from otel_vendor_exporters.delivery.request import Failure, Reply, Request
from otel_vendor_exporters.delivery.transport import Ways, proxy_for, transport_for
from otel_vendor_exporters.doctor.report import Finding, Level
from otel_vendor_exporters.settings import variables

# Vendors order events by their times; mPulse's sandbox finds timings from the future odd from 2 s on.
SKEW_TO_WARN_SECONDS = 5.0
SKEW_TO_REFUSE_SECONDS = 300.0  # where mPulse's signed requests and its crumbs begin to fail
# A vendor ignores it; the sandbox knows by it that a question is the doctor's, and finds nothing wrong in it.
PROBE_HEADER = "X-Otel-Vendor-Exporters-Probe"
_PORTS = {"http": 80, "https": 443}
_PROXY_SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request, its answer, the proxy on its way with what is wrong with it, and our clock around both."""

    request: Request
    reply: Reply
    proxy: str | None
    sent_unix_ms: int
    came_unix_ms: int
    problem: str | None = None  # of the proxy

    @property
    def host(self) -> str:
        """Whom it was meant for."""
        return urlsplit(self.request.url).hostname or ""

    @property
    def seconds(self) -> float:
        """How long it took."""
        return max(self.came_unix_ms - self.sent_unix_ms, 0) / 1000


class Settings(Ways, Protocol):
    """What of a vendor's settings decides how it is asked."""

    @property
    def timeout(self) -> float: ...


class Network:
    """Asks vendors, each on the way that its exporters would take."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def ask(self, request: Request, settings: Settings) -> Exchange:
        """Send a request, marked as the doctor's; whatever happens is an exchange."""
        request = replace(request, headers={**request.headers, PROBE_HEADER: "doctor"})
        transport = transport_for(settings)
        sent = self.clock.unix_ms()
        reply = transport.send(request, settings.timeout)
        came = self.clock.unix_ms()
        transport.close()
        proxy, problem = proxy_on_the_way(request.url, settings), proxy_problem(request.url, settings)
        return Exchange(request, reply, proxy, sent, came, problem)


def proxy_on_the_way(url: str, settings: Ways) -> str | None:
    """The proxy that stands between an exporter with these settings and `url`, if one does."""
    return proxy_for(url) if settings.proxy is None else settings.proxy.reveal()


def proxy_problem(url: str, settings: Ways) -> str | None:
    """What is wrong with the proxy on the way: with the variable it comes from, and nothing of its URL."""
    proxy = proxy_on_the_way(url, settings)
    if proxy is None or is_proxy(proxy, _PROXY_SCHEMES):
        return None
    source = "the setting proxy" if settings.proxy else _proxy_variable(url, proxy, variables(""))
    return (
        f"the proxy that {source} names is none: expected a URL such as http://host:8080, "
        "what is not plain in user and password percent-encoded (/ as %2F)"
    )


def _proxy_variable(url: str, proxy: str, environment: Mapping[str, str]) -> str:
    """The variable that `requests` has taken this proxy from: of a scheme before that of all."""
    for stem in (urlsplit(url).scheme, "all"):
        for variable in sorted(environment, reverse=True):  # lower case goes first
            if variable.lower() == f"{stem}_proxy" and proxy.endswith(environment[variable].strip()):
                return variable
    return "the system"


def way_findings(exchange: Exchange, timeout_seconds: float) -> Iterator[Finding]:
    """Whether an answer came, how fast, from whom; and if none came, what is in its way."""
    if exchange.reply.failure is not None:
        code, sentence = _obstacle(exchange, timeout_seconds)
        yield Finding(Level.ERROR, "network", code, sentence, {"words": exchange.reply.words})
        return
    through = f" through the proxy {_shown(exchange.proxy)}" if exchange.proxy else ""
    sentence = f"{exchange.host} answers in {exchange.seconds:.2f} s{through}"
    details = {"seconds": exchange.seconds, "status": exchange.reply.status}
    if exchange.seconds > timeout_seconds / 2:
        sentence += f", and timeout is {timeout_seconds:g} s: raise it, or see what slows the way down"
        yield Finding(Level.WARNING, "network", "slow", sentence, details)
    else:
        yield Finding(Level.OK, "network", "reached", sentence, details)
    if 300 <= exchange.reply.status < 400:
        yield _redirected(exchange)


def clock_findings(exchange: Exchange) -> Iterator[Finding]:
    """Whether this machine's clock agrees with the vendor's Date header; nothing when no answer came."""
    if exchange.reply.failure is not None:
        return
    skew = skew_seconds(exchange)
    if skew is None:
        sentence = "the answer has no Date header to compare this machine's clock with"
        yield Finding(Level.INFO, "clock", "no_date", sentence)
        return
    if abs(skew) < SKEW_TO_WARN_SECONDS:
        yield Finding(Level.OK, "clock", "agrees", f"this machine's clock agrees with {exchange.host}'s")
        return
    way = "ahead of" if skew > 0 else "behind"
    level = Level.ERROR if abs(skew) >= SKEW_TO_REFUSE_SECONDS else Level.WARNING
    sentence = (
        f"this machine's clock is {abs(skew):.0f} s {way} {exchange.host}'s: times that are sent are wrong "
        "by as much; synchronise it (NTP)"
    )
    yield Finding(level, "clock", "skewed", sentence, {"seconds": skew})


def skew_seconds(exchange: Exchange) -> float | None:
    """
    How far our clock is ahead of the vendor's, at least; None without a Date.

    A Date is cut to whole seconds, was written somewhere between request and answer, and is as old as Age
    says when a cache kept the answer.
    """
    date = _date_seconds(exchange.reply)
    if date is None:
        return None
    least = exchange.sent_unix_ms / 1000 - (date + 1)
    most = exchange.came_unix_ms / 1000 - date
    if least <= 0 <= most:
        return 0.0
    return least if least > 0 else most


def unreachable(url: str, settings: Settings) -> str | None:
    """
    Why no connection to the URL's host comes about, if so; a proxy is asked to connect.

    Nothing is sent. TLS is not tried: whether certificates are good, only the transport knows.
    """
    parts, proxy = urlsplit(url), proxy_on_the_way(url, settings)
    if problem := proxy_problem(url, settings):
        return problem
    try:
        if proxy is None or parts.scheme == "http":
            _connect(urlsplit(proxy) if proxy else parts, settings.timeout)
        else:
            _connect_through(urlsplit(proxy), parts, settings.timeout)
    except (OSError, HTTPException, UnicodeError) as error:
        return "its name is not known to the DNS" if _is_about_name(error) else _words(error)
    return None


def _obstacle(exchange: Exchange, timeout_seconds: float) -> tuple[str, str]:
    """What is in the way of an answer: a code, and a sentence with the way out."""
    host, words = exchange.host, exchange.reply.words
    if exchange.problem:
        return "proxy", exchange.problem
    first = urlsplit(exchange.proxy) if exchange.proxy else urlsplit(exchange.request.url)
    try:
        _connect(first, timeout_seconds)
    except (OSError, UnicodeError) as error:
        if exchange.proxy:
            return "proxy", (
                f"the proxy {_shown(exchange.proxy)} cannot be reached ({_words(error)}): check the setting "
                f"proxy, else HTTPS_PROXY, HTTP_PROXY and NO_PROXY, which say how to reach {host}"
            )
        if _is_about_name(error):
            return "dns", f"the name {host} is not known to the DNS: check its spelling, and the resolver"
        return "connect", (
            f"no connection to {host}:{_port(first)} ({_words(error)}): it is down, or behind a firewall"
        )
    if "SSL" in words:
        return "tls", (
            f"no TLS connection to {host} ({words}): if a proxy opens TLS here, name its certificate "
            "authority in ca_file or REQUESTS_CA_BUNDLE"
        )
    if "ProxyError" in words:
        return "proxy", f"the proxy {_shown(exchange.proxy)} does not connect to {host} ({words})"
    if exchange.reply.failure is Failure.NO_ANSWER:
        return "no_answer", f"{host} is connected, and gave no answer in {exchange.seconds:.1f} s ({words})"
    return "network", f"no request to {host} can be sent ({words})"


def _redirected(exchange: Exchange) -> Finding:
    target = urlsplit(exchange.reply.headers.get("location", "")).hostname or exchange.host
    sentence = (
        f"{exchange.host} redirects to {target} (HTTP {exchange.reply.status}); redirects are not followed, "
        "so that no key goes to another host: set the address itself, or pass what stands in between"
    )
    return Finding(Level.ERROR, "network", "redirected", sentence, {"to": target})


def _date_seconds(reply: Reply) -> float | None:
    try:
        date = parsedate_to_datetime(reply.headers.get("date", ""))
    except (TypeError, ValueError, OverflowError):
        return None
    age = reply.headers.get("age", "")
    cached_seconds = int(age) if age.isascii() and age.isdigit() and len(age) < 10 else 0
    return (date if date.tzinfo else date.replace(tzinfo=timezone.utc)).timestamp() + cached_seconds


def _is_about_name(error: Exception) -> bool:
    """UnicodeError: a name that cannot be one, such as a..b."""
    return isinstance(error, (socket.gaierror, UnicodeError))


def _connect(to: SplitResult, timeout_seconds: float) -> None:
    """Connect and leave again. Raises OSError."""
    socket.create_connection((to.hostname or "", _port(to)), timeout_seconds).close()


def _connect_through(proxy: SplitResult, to: SplitResult, timeout_seconds: float) -> None:
    """Have a proxy connect, and leave again. Raises OSError or HTTPException."""
    headers = {}
    if proxy.username is not None:
        user = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
        headers["Proxy-Authorization"] = "Basic " + b64encode(user.encode()).decode()
    connection = HTTPConnection(proxy.hostname or "", _port(proxy), timeout=timeout_seconds)
    connection.set_tunnel(to.hostname or "", _port(to), headers)
    try:
        connection.connect()
    finally:
        connection.close()


def _port(parts: SplitResult) -> int:
    return parts.port or _PORTS.get(parts.scheme, 443)


def _words(error: Exception) -> str:
    """In a few words, without addresses of ours."""
    if isinstance(error, TimeoutError):
        return os.strerror(errno.ETIMEDOUT)
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return str(error)[:100] or type(error).__name__


def _shown(proxy: str | None) -> str:
    """The proxy without the user and password that its URL may hold."""
    return f"…@{proxy.rpartition('@')[2]}" if proxy and "@" in proxy else proxy or ""
