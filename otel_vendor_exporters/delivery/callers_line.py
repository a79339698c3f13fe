"""
Caller's line: requests on a session that is not ours. Part of the door to `requests`, under `transport`.

Every request goes all the way of the session, whose adapters may be anybody's code. What it raises is no
answer, whatever it is; where it was raised tells whether anything had left.
"""

from __future__ import annotations

import ssl
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from time import monotonic

import requests
from requests.adapters import BaseAdapter
from urllib3.connection import HTTPConnection
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
from urllib3.util import SKIP_HEADER, Retry

from otel_vendor_exporters.delivery.answers import reply_of
from otel_vendor_exporters.delivery.connection import HangUps
from otel_vendor_exporters.delivery.failures import chain, frames_of, is_alert, words_of
from otel_vendor_exporters.delivery.overdue import Overdue, Wait
from otel_vendor_exporters.delivery.request import Failure, Reply, Request


class CallersLine:
    """One for all threads."""

    def __init__(self, session: requests.Session) -> None:
        self._session = session
        self._hang_ups = HangUps()
        self._kept: set[str] = set()  # origins to which a connection may be open
        self._overdue = Overdue()

    def send(self, request: Request, timeout_seconds: float) -> Reply:
        """As the transport's."""
        deadline = monotonic() + timeout_seconds
        before = sys.exc_info()[1]  # of the application, which may be in the middle of one
        prepared = None
        wait = Wait(deadline)
        try:
            self._overdue.begin(wait)
            if sends_again(self._session.get_adapter(request.url)):
                return Reply(failure=Failure.NOT_SENT, words=_SENDS_AGAIN)
            prepared = _prepared(self._session, request)
            response = _sent(self._session, request.url, prepared, timeout_seconds)
            if wait.is_cut:  # what http.client takes for the end of a head
                response.close()
                return Reply(failure=Failure.NO_ANSWER, words=_TOO_LONG)
            return self._reply(request, response, deadline)
        except BaseException as error:  # anybody's: gevent's Timeout is one, and an adapter may exit
            if isinstance(error, KeyboardInterrupt) and _is_main_thread():
                raise
            return self._no_answer(request, error, before, prepared=prepared is not None, is_cut=wait.is_cut)
        finally:
            self._overdue.end(wait)

    def close(self) -> None:
        """Close the connections of a fork's child, which are the parent's."""
        self._overdue = Overdue()
        self._session.close()

    def _reply(self, request: Request, response: BaseHTTPResponse, deadline: float) -> Reply:
        origin = _origin_of(request.url)
        if self._hang_ups.are_likely(origin):
            _keep_no_longer(response)
        else:
            self._kept.add(origin)
        return reply_of(response, deadline)

    def _no_answer(
        self,
        request: Request,
        error: BaseException,
        before: BaseException | None,
        *,
        prepared: bool,
        is_cut: bool,
    ) -> Reply:
        errors = tuple(chain(error, without=before))
        failure = _failure_of(errors) if prepared else Failure.NOT_SENT
        if is_cut:
            return Reply(failure=failure, words=_TOO_LONG)
        if failure is Failure.NO_ANSWER:
            self._note(_origin_of(request.url), errors)
        by_whom = "" if isinstance(error, _USUAL) else "http_session raised "
        return Reply(failure=failure, words=by_whom + words_of(error))

    def _note(self, origin: str, errors: Iterable[BaseException]) -> None:
        """Which connection it was the session does not say; that of a first request is no kept one."""
        if origin in self._kept and any(isinstance(one, ConnectionError) for one in errors):
            self._kept.discard(origin)
            self._hang_ups.note(origin)


_TOO_LONG = "the answer takes too long"
_SENDS_AGAIN = "an adapter of http_session sends again by itself, expected max_retries=0"
_USUAL = (requests.RequestException, HTTPError, OSError, ValueError)


def _prepared(session: requests.Session, request: Request) -> requests.PreparedRequest:
    # Not its own: mParticle takes a User-Agent for the visitor's, and credentials are the vendor's.
    headers = {"User-Agent": SKIP_HEADER, **request.headers}
    auth = _unchanged if "Authorization" in headers else None
    return session.prepare_request(
        requests.Request(request.method, request.url, headers=headers, data=request.body, auth=auth)
    )


def _unchanged(prepared: requests.PreparedRequest) -> requests.PreparedRequest:
    return prepared


def _sent(
    session: requests.Session, url: str, prepared: requests.PreparedRequest, timeout_seconds: float
) -> BaseHTTPResponse:
    way = session.merge_environment_settings(prepared.url or url, {}, True, None, None)
    verify = way["verify"]
    # Not Session.send: it reads the answer to a redirect, however long it is.
    response = session.get_adapter(url).send(
        prepared,
        stream=True,
        timeout=timeout_seconds,
        verify=True if verify is None else verify,
        cert=way["cert"],
        proxies=way["proxies"],
    )
    raw: BaseHTTPResponse = response.raw
    return raw


def sends_again(adapter: BaseAdapter | None) -> bool:
    """Whether urllib3 may send a request twice for it, which only this library can decide."""
    retries = getattr(adapter, "max_retries", None)
    if not isinstance(retries, Retry) or retries.total in (0, False):
        return False
    return any(count is None or count for count in (retries.read, retries.status, retries.other))


def _origin_of(url: str) -> str:
    return url[: url.find("/", url.find("//") + 2)]


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _keep_no_longer(response: BaseHTTPResponse) -> None:
    """Let the connection end with this answer, which is read yet: the socket stays open for it."""
    connection = response.connection
    if isinstance(connection, HTTPConnection) and connection.sock is not None:
        sock, connection.sock = connection.sock, None  # as its own `close` does
        sock.close()


# Where a request is, by the functions of the libraries below. In the first nothing of it has left yet.
_LIBRARIES = ("urllib3.", "http.client", "requests.adapters")
_BEFORE = frozenset(
    {
        *("cert_verify", "get_connection_with_tls_context", "request_url", "add_headers"),
        *("_get_conn", "_prepare_proxy", "_validate_conn", "connect", "_new_conn", "_tunnel"),
        *("putrequest", "putheader"),
    }
)
_SENDERS = ("urllib3.", "http.client")  # an adapter's own `send` is more than sending
_AFTER = frozenset({"endheaders", "send", "getresponse"})
# What an adapter of another make says when nothing has left.
_NOT_SENT = (
    NewConnectionError,
    NameResolutionError,
    ConnectTimeoutError,
    ClosedPoolError,
    ProxyError,
    LocationValueError,
    requests.exceptions.ConnectTimeout,
    requests.exceptions.ProxyError,
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    ssl.SSLCertVerificationError,
)


def _failure_of(errors: Sequence[BaseException]) -> Failure:
    """
    Whether anything may have left before these errors: the last, and those that led to it.

    One attempt of several that got as far as sending is enough.
    """
    errors = [*errors, *_of_earlier_attempts(errors)]
    stages = {_stage_of(error) for error in errors}
    for stage in (Failure.NO_ANSWER, Failure.NOT_SENT):
        if stage in stages:
            return stage
    return Failure.NOT_SENT if any(isinstance(one, _NOT_SENT) for one in errors) else Failure.NO_ANSWER


def _of_earlier_attempts(errors: Iterable[BaseException]) -> Iterator[BaseException]:
    """What urllib3 met before it tried again, where an adapter's own `send` has it do that."""
    for frame in (frame for error in errors for frame in frames_of(error)):
        retries = frame.f_locals.get("retries") if frame.f_code.co_name == "urlopen" else None
        for attempt in retries.history if isinstance(retries, Retry) else ():
            yield from chain(attempt.error or _Answered())


class _Answered(Exception):  # noqa: N818  it is no error
    """An earlier attempt had an answer."""


def _stage_of(error: BaseException) -> Failure | None:
    """What was being done when it was raised; None if that is not to be seen."""
    if is_alert(error):
        return Failure.NOT_SENT
    places = [(str(frame.f_globals.get("__name__")), frame.f_code.co_name) for frame in frames_of(error)]
    if any(name in _BEFORE and module.startswith(_LIBRARIES) for module, name in places):
        return Failure.NOT_SENT
    after = any(name in _AFTER and module.startswith(_SENDERS) for module, name in places)
    return Failure.NO_ANSWER if after or isinstance(error, _Answered) else None
