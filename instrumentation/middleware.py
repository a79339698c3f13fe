"""
Middleware: the visitor of each request, for WSGI and ASGI applications.

    app.wsgi_app = VisitorMiddleware(app.wsgi_app)                          Flask
    application = VisitorMiddleware(get_wsgi_application())                 Django, ASGI too
    app.add_middleware(VisitorMiddleware, visitor=visitor_of_request)       FastAPI, Starlette

The session comes from mPulse's RT cookie, everything else from the application: by the `visitor=` callback,
which gets the WSGI environ or the ASGI scope, or by `set_visitor` while the request runs.
Rule: the request goes on, whatever is wrong with its visitor.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, MutableMapping
from contextvars import Token
from functools import partial
from inspect import isawaitable, iscoroutinefunction
from time import time
from typing import Any, TypeAlias, cast

from opentelemetry.trace import get_current_span

from instrumentation.rt_cookie import COOKIE, browser_session
from instrumentation.visitor import left, scope_of, stamp_server_span
from instrumentation.visitor_details import SITE, UNKNOWN, VisitorDetails
from otel_vendor_exporters.attributes import VISITOR, VisitorScope

# Any, through this module: what WSGI and ASGI pass around is typed by agreement only.
Environ: TypeAlias = dict[str, Any]
Scope: TypeAlias = MutableMapping[str, Any]
VisitorOf: TypeAlias = Callable[[Any], "VisitorDetails | Awaitable[VisitorDetails | None] | None"]
_Entered: TypeAlias = "tuple[VisitorScope, Token[VisitorScope | None]]"

_KEY = "otel_vendor_exporters.visitor"  # in the environ or scope


class VisitorMiddleware:
    """
    Wraps an application, so that each request runs under its visitor.

    `visitor`: a function of the environ or scope that tells more than the cookie (see `VisitorDetails`; for
    ASGI it may be a coroutine function). `cookie`: the RT cookie's name, None to read none. Whether `app` is
    ASGI is seen from its being asynchronous; `interface` says it where that is hidden. Any number of requests
    may run at once.
    """

    def __new__(
        cls,
        app: Any,
        *,
        visitor: VisitorOf | None = None,
        cookie: str | None = COOKIE,
        interface: str = "auto",
    ) -> Any:
        """The middleware of the application's kind."""
        if interface not in _KINDS:
            raise ValueError(f"interface={interface!r} is not known: use one of {', '.join(_KINDS)}")
        kind = _KINDS[interface] or (
            AsgiVisitorMiddleware if _is_asynchronous(app) else WsgiVisitorMiddleware
        )
        return kind(app, visitor=visitor, cookie=cookie)


class _Middleware:
    """What both kinds share."""

    def __init__(self, app: Any, *, visitor: VisitorOf | None = None, cookie: str | None = COOKIE) -> None:
        self._app = app
        self._visitor = visitor
        self._cookie = cookie

    def _enter(self, details: VisitorDetails, request: MutableMapping[str, Any]) -> _Entered:
        """
        Make the request's visitor current.

        It inherits from a middleware around, and not from the thread or task, where one may have been left.
        """
        visitor = scope_of(details, request.get(_KEY))
        request[_KEY] = visitor
        visitor.is_shared = True
        visitor.span = get_current_span()
        token = VISITOR.set(visitor)
        stamp_server_span(visitor)
        return visitor, token

    def _session(self, header: str) -> VisitorDetails:
        if self._cookie is None or not header:
            return {}
        try:
            session = browser_session(header, int(time() * 1000), self._cookie)
        except Exception as fault:  # noqa: BLE001 - a cookie may hold anything
            SITE.report("cookie", fault)
            return {}
        if session is None:
            return {}
        details: VisitorDetails = {
            "session_id": session.id,
            "session_start_unix_ms": session.start_unix_ms,
            "session_length": session.length,
        }
        return {**details, "session_limited": True} if session.limited else details


class WsgiVisitorMiddleware(_Middleware):
    """For WSGI: the visitor holds for the call and while the response is iterated and closed."""

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Run the application for one request."""
        scope, token = self._enter(self._details(environ), environ)
        answer: Iterable[bytes] = ()
        try:
            body: Iterable[bytes] = self._app(environ, start_response)
            # A server looks at lists for their length, and at files for a faster way out.
            is_made = isinstance(body, (list, tuple)) or _is_file(body, environ)
            answer = body if is_made else _Body(body, scope)
            return answer
        finally:
            scope.is_shared = isinstance(answer, _Body)  # that ends the request when it is closed
            left(token)

    def _details(self, environ: Environ) -> VisitorDetails:
        told = self._session(environ.get("HTTP_COOKIE", ""))
        if self._visitor is None:
            return told
        try:
            more = self._visitor(environ)
            return _both(told, more)
        except Exception as fault:  # noqa: BLE001 - application code
            SITE.report("callback", fault)
            return {**told, "user_id": UNKNOWN}  # it may have been about to tell one


class AsgiVisitorMiddleware(_Middleware):
    """For ASGI: the visitor holds for one request or one websocket."""

    async def __call__(self, scope: Scope, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        """Run the application for one connection."""
        if scope.get("type") not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        entered, token = self._enter(await self._details(scope), scope)
        try:
            await self._app(scope, receive, send)
        finally:
            entered.is_shared = False  # what is left running works for no request
            left(token)

    async def _details(self, scope: Scope) -> VisitorDetails:
        told = self._session(_cookie_header(scope))
        if self._visitor is None:
            return told
        try:
            more = self._visitor(scope)
            return _both(told, await more if isawaitable(more) else more)
        except Exception as fault:  # noqa: BLE001 - application code
            SITE.report("callback", fault)
            return {**told, "user_id": UNKNOWN}  # it may have been about to tell one


_KINDS: Mapping[str, type[_Middleware] | None] = {
    "auto": None,
    "wsgi": WsgiVisitorMiddleware,
    "asgi": AsgiVisitorMiddleware,
}


class _Body:
    """
    A response that is made while it is iterated: each step runs under the request's visitor.

    Or under the one that the response made current itself, in a block around several of its chunks. Made
    where the application has just returned, for it may have begun the response already.
    """

    def __init__(self, body: Iterable[bytes], scope: VisitorScope) -> None:
        self._body = body
        self._scope = scope
        self._inner = VISITOR.get()
        self._chunks: Iterator[bytes] | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        chunk: bytes = self._within(self._next)
        return chunk

    def close(self) -> None:
        """Close the response, as WSGI asks every server to do."""
        close = getattr(self._body, "close", None)
        try:
            if close is not None:
                self._within(close)
        finally:
            self._scope.is_shared = False

    def _next(self) -> bytes:
        if self._chunks is None:
            self._chunks = iter(self._body)
        return next(self._chunks)

    def _within(self, step: Callable[[], Any]) -> Any:
        token = VISITOR.set(self._inner)
        try:
            return step()
        finally:
            self._inner = VISITOR.get()
            left(token)


def _both(told: VisitorDetails, more: Any) -> VisitorDetails:
    """What the application says goes before the cookie; a session it names is not mixed with another's."""
    if more is None:
        return told
    details = dict(more)  # checked when it is entered
    if details.get("session_id") is None:
        known = {name: value for name, value in details.items() if value is not None}
        details = {**told, **known}
    return cast("VisitorDetails", details)


def _cookie_header(scope: Scope) -> str:
    """
    The Cookie headers as one: HTTP/2 lets a client send several.

    ASGI lets a server give the headers as any iterable: of one that may be read only once, the callback and
    the application get a list.
    """
    try:
        headers = scope.get("headers", ())
        if not isinstance(headers, (list, tuple)):
            headers = scope["headers"] = list(headers)
        values = [value for name, value in headers if name.lower() == b"cookie"]
        return b"; ".join(values).decode("latin-1")
    except Exception as fault:  # noqa: BLE001 - a server of any make
        SITE.report("cookie", fault)
        return ""


def _is_file(body: object, environ: Environ) -> bool:
    wrapper = environ.get("wsgi.file_wrapper")
    return isinstance(wrapper, type) and isinstance(body, wrapper)


def _is_asynchronous(app: Any) -> bool:
    while isinstance(app, partial):
        app = app.func
    return iscoroutinefunction(app) or iscoroutinefunction(getattr(app, "__call__", None))  # noqa: B004 - not a test for callability
