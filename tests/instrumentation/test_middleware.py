"""Middleware: requests run under their visitor, over real HTTP where there is a server."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple
from functools import partial
from typing import Any

import pytest
import requests
from flask import Flask, Response, jsonify, request, stream_with_context
from opentelemetry import trace
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from instrumentation import VisitorDetails, VisitorMiddleware, current_visitor, set_visitor, timed, visitor
from instrumentation.middleware import AsgiVisitorMiddleware, WsgiVisitorMiddleware
from instrumentation.rt_cookie import base36
from otel_vendor_exporters.mpulse import MPulseSpanExporter
from otel_vendor_exporters.sandbox import Sandbox
from otel_vendor_exporters.visitor import VisitorSpanProcessor
from tests.instrumentation import servers
from tests.instrumentation.conftest import Telemetry
from tests.instrumentation.servers import SI, get, rt_cookie

HOSTILE = (
    "RT",
    "RT=",
    'RT="si=x-y&ss=%FF',
    "RT=" + "%" * 9000,
    ";" * 9000,
    'RT="z=9&si=-&ss=-1"',
    "\xff\xfe=RT",
)


def a_minute_ago() -> int:
    return int(time.time() * 1000) - 60_000


def session_attributes(start_unix_ms: int) -> dict[str, object]:
    return {
        "session.id": f"{SI}-{base36((start_unix_ms + 500) // 1000)}",
        "mpulse.session.start_unix_ms": start_unix_ms,
        "mpulse.session.length": 3,
    }


def of_header(environ: dict[str, Any]) -> VisitorDetails | None:
    user = environ.get("HTTP_X_USER")
    return {"user_id": user} if user else None


def flask_app(**options: Any) -> Flask:
    """An application that answers with its visitor."""
    app = Flask("app")

    @app.get("/")
    def who() -> Response:
        return jsonify(current_visitor())

    @app.get("/login/<user>")
    def log_in(user: str) -> Response:
        set_visitor(user_id=user)
        return jsonify(current_visitor())

    @app.get("/stream")
    def stream() -> Response:
        def lines() -> Iterator[str]:
            for _ in range(3):
                yield json.dumps(current_visitor().get("user.id")) + "\n"

        return Response(stream_with_context(lines()))

    @app.get("/fail")
    def fail() -> Response:
        raise LookupError(request.path)

    app.wsgi_app = VisitorMiddleware(app.wsgi_app, **options)  # type: ignore[method-assign]
    return app


def test_section_15_a_request_joins_the_browsers_session() -> None:
    """The session of the RT cookie is the visitor's, under the id that the browser's own beacons carry."""
    start_unix_ms = a_minute_ago()
    with servers.wsgi(flask_app()) as url:
        assert get(url, rt_cookie(start_unix_ms)) == session_attributes(start_unix_ms)
        assert get(url) == {}


def test_section_15_a_limited_session_is_told() -> None:
    """rl=1 reaches the exporter as an attribute."""
    with servers.wsgi(flask_app()) as url:
        assert get(url, rt_cookie(a_minute_ago(), rl=1))["mpulse.session.limited"] is True


@pytest.mark.parametrize("header", HOSTILE, ids=range(len(HOSTILE)))
def test_section_15_a_hostile_cookie_is_no_error(header: str) -> None:
    """The request is answered, and there is no session."""
    with servers.wsgi(flask_app()) as url:
        answer = requests.get(url, headers={"Cookie": header.encode("latin-1")}, timeout=10)
    assert (answer.status_code, answer.json()) == (200, {})


def test_the_callback_and_the_cookie_together() -> None:
    """The callback tells the user, the cookie the session; no cookie is read when none is wanted."""
    start_unix_ms = a_minute_ago()
    headers = {**rt_cookie(start_unix_ms), "X-User": "u-1"}
    with servers.wsgi(flask_app(visitor=of_header)) as url:
        assert get(url, headers) == {"user.id": "u-1", **session_attributes(start_unix_ms)}
        assert get(url) == {}
    with servers.wsgi(flask_app(visitor=of_header, cookie=None)) as url:
        assert get(url, headers) == {"user.id": "u-1"}


def test_a_session_the_application_names_goes_first() -> None:
    """The cookie's start and length do not stand beside another session's id."""
    app = flask_app(visitor=lambda environ: {"session_id": "own-1"})
    with servers.wsgi(app) as url:
        assert get(url, rt_cookie(a_minute_ago())) == {"session.id": "own-1"}


@pytest.mark.parametrize(
    "callback",
    [
        lambda environ: 1 / 0,
        lambda environ: 7,
        lambda environ: {"usr_id": 1},
        lambda environ: {"user_id": []},
    ],
    ids=["raises", "no mapping", "unknown detail", "unfit value"],
)
def test_a_failing_callback_fails_no_request(
    callback: Callable[[Any], Any], caplog: pytest.LogCaptureFixture
) -> None:
    """The request goes on with what the cookie says."""
    start_unix_ms = a_minute_ago()
    with servers.wsgi(flask_app(visitor=callback)) as url:
        assert get(url, rt_cookie(start_unix_ms)) == session_attributes(start_unix_ms)
        assert get(url, rt_cookie(start_unix_ms)) == session_attributes(start_unix_ms)
    said = [record for record in caplog.records if record.name == "instrumentation.decorators"]
    assert len(said) <= 1


def test_a_streamed_response_knows_its_visitor() -> None:
    """What is made while the response is iterated belongs to the request's visitor, too."""
    with servers.wsgi(flask_app(visitor=of_header)) as url:
        answer = requests.get(f"{url}/stream", headers={"X-User": "u-1"}, timeout=10)
    assert answer.text == '"u-1"\n' * 3


@pytest.mark.parametrize("server", [servers.wsgi, servers.wsgi_on_one_thread])
def test_visitors_do_not_meet(server: Any) -> None:
    """Many requests at once, and one after the other on one thread, each know their own visitor only."""
    with server(flask_app(visitor=of_header)) as url, ThreadPoolExecutor(4) as pool:

        def ask(number: int) -> bool:
            if number % 3 == 0:
                return get(url) == {}  # type: ignore[no-any-return]  # JSON
            if number % 3 == 1:
                return get(f"{url}/login/u-{number}") == {"user.id": f"u-{number}"}  # type: ignore[no-any-return]
            return get(url, {"X-User": f"u-{number}"}) == {"user.id": f"u-{number}"}  # type: ignore[no-any-return]

        assert all(pool.map(ask, range(60)))


def test_a_request_inherits_nothing_from_its_thread() -> None:
    """A visitor that was left in the server's thread is nobody's."""
    app = flask_app()
    with visitor(user_id="left behind"):
        found = app.test_client().get("/").get_json()
        assert current_visitor() == {"user.id": "left behind"}
    assert found == {}


def test_a_failing_application_leaves_nobody_behind() -> None:
    """The exception passes, and the thread is as before."""
    app = flask_app(visitor=lambda environ: {"user_id": "u-1"})
    app.testing = True
    with pytest.raises(LookupError):
        app.test_client().get("/fail")
    assert current_visitor() == {}


def test_nested_middlewares_inherit() -> None:
    """An inner middleware knows what the outer one told."""
    app = flask_app(visitor=lambda environ: {"page_group": "Cart"})
    app.wsgi_app = VisitorMiddleware(app.wsgi_app, visitor=of_header)  # type: ignore[method-assign]
    found = app.test_client().get("/", headers={"X-User": "u-1"}).get_json()
    assert found == {"user.id": "u-1", "mpulse.page_group": "Cart"}


def test_lists_and_files_are_handed_on_as_they_are() -> None:
    """Servers look at a list's length, and have a faster way for files."""

    class FileWrapper:
        def __init__(self, file: io.BytesIO) -> None:
            self.file = file

    body: Any = [b"one"]
    app = VisitorMiddleware(lambda environ, start_response: body)
    assert app({}, None) is body
    body = FileWrapper(io.BytesIO())
    assert app({"wsgi.file_wrapper": FileWrapper}, None) is body


def test_a_response_is_closed_under_its_visitor() -> None:
    """close() is handed on, once and under the visitor; a body without one is fine."""
    closed = []

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            return iter([b"one"])

        def close(self) -> None:
            closed.append(current_visitor())

    app = VisitorMiddleware(
        lambda environ, start_response: Body(), visitor=lambda environ: {"user_id": "u-1"}
    )
    body = app({}, None)
    assert list(body) == [b"one"]
    body.close()
    VisitorMiddleware(lambda environ, start_response: iter([b""]))({}, None).close()
    assert closed == [{"user.id": "u-1"}]


async def asgi_app(scope: Any, receive: Any, send: Any) -> None:
    scope["seen"].append(dict(current_visitor()))
    await asyncio.sleep(0)
    scope["seen"].append(dict(current_visitor()))


class AsgiApp:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await asgi_app(scope, receive, send)


@pytest.mark.parametrize(
    "app", [asgi_app, AsgiApp(), partial(asgi_app)], ids=["function", "object", "partial"]
)
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_asgi_connections_run_under_their_visitor(app: Any, kind: str) -> None:
    """Sessions come from the cookie headers (one or several), users from a callback, which may wait."""
    start_unix_ms = a_minute_ago()
    cookie = rt_cookie(start_unix_ms)["Cookie"].encode()

    async def who(scope: Any) -> VisitorDetails:
        await asyncio.sleep(0)
        return {"user_id": "u-1"}

    scope: dict[str, Any] = {"type": kind, "headers": [(b"cookie", b"a=1"), (b"Cookie", cookie)], "seen": []}
    asyncio.run(VisitorMiddleware(app, visitor=who)(scope, None, None))

    assert scope["seen"] == [{"user.id": "u-1", **session_attributes(start_unix_ms)}] * 2
    assert current_visitor() == {}


def test_asgi_lifespan_has_no_visitor() -> None:
    """Only connections have visitors."""
    scope: dict[str, Any] = {"type": "lifespan", "seen": []}
    asyncio.run(VisitorMiddleware(asgi_app, visitor=lambda scope: {"user_id": "u-1"})(scope, None, None))
    assert scope["seen"] == [{}, {}]


@pytest.mark.parametrize("headers", [None, [(1, 2)], [b"x"], [(b"cookie", "text")]], ids=str)
def test_asgi_headers_of_any_shape_are_no_error(headers: Any) -> None:
    """A strange server costs the session, not the request."""
    scope: dict[str, Any] = {"type": "http", "headers": headers, "seen": []}

    def fail(scope: Any) -> VisitorDetails:
        raise LookupError

    asyncio.run(VisitorMiddleware(asgi_app, visitor=fail)(scope, None, None))
    assert scope["seen"] == [{}, {}]


def test_the_interface_may_be_said() -> None:
    """Where a wrapper hides that an application is asynchronous, `interface` says it."""

    def hidden(*args: Any) -> Any:
        return asgi_app(*args)

    assert isinstance(VisitorMiddleware(hidden), WsgiVisitorMiddleware)
    assert isinstance(VisitorMiddleware(hidden, interface="asgi"), AsgiVisitorMiddleware)
    with pytest.raises(ValueError, match="interface='asg' is not known: use one of auto, wsgi, asgi"):
        VisitorMiddleware(hidden, interface="asg")


def test_a_server_span_that_began_before_is_told(telemetry: Telemetry) -> None:
    """Where OpenTelemetry's middleware stands outside of ours, its span gets ids and session all the same."""
    start_unix_ms = a_minute_ago()
    telemetry.tracer_provider.add_span_processor(VisitorSpanProcessor())
    environ = {"HTTP_COOKIE": rt_cookie(start_unix_ms)["Cookie"]}

    with trace.get_tracer("server").start_as_current_span("GET /"):
        VisitorMiddleware(lambda environ, start_response: [])(environ, None)

    assert dict(telemetry.span().attributes or {}) == session_attributes(start_unix_ms)


def test_a_login_in_an_inner_span_is_told_to_the_server_span(telemetry: Telemetry) -> None:
    """Wherever the server's span began, what a request learns inside an inner span is put on it as well."""
    telemetry.tracer_provider.add_span_processor(VisitorSpanProcessor())
    tracer = trace.get_tracer("app")

    def log_in(environ: Any, start_response: Any) -> list[bytes]:
        with tracer.start_as_current_span("inner"):
            set_visitor(user_id="u-1")
        return []

    def with_span(environ: Any, start_response: Any) -> list[bytes]:
        with tracer.start_as_current_span("server"):
            return log_in(environ, start_response)

    VisitorMiddleware(with_span)({}, None)
    with tracer.start_as_current_span("server"):
        VisitorMiddleware(log_in)({}, None)
    with visitor(page_group="Cart"), tracer.start_as_current_span("own"), visitor(page_group="Login"):
        set_visitor(user_id="somebody else")

    found = [(span.name, (span.attributes or {}).get("user.id")) for span in telemetry.spans()]
    assert found[:4] == [("inner", "u-1"), ("server", "u-1")] * 2
    assert dict(telemetry.spans()[4].attributes or {}) == {"mpulse.page_group": "Cart"}


@timed("Payment")
def pay() -> None:
    logging.getLogger("shop").debug("paid")


def mpulse_shop(sandbox: Sandbox) -> tuple[Flask, TracerProvider]:
    """An instrumented Flask application whose spans go to the sandbox; the middleware stands outermost."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(VisitorSpanProcessor())
    exporter = MPulseSpanExporter(**sandbox.mpulse_settings, timers={"GET /checkout": "Checkout"})
    provider.add_span_processor(BatchSpanProcessor(exporter))
    app = Flask("shop")
    FlaskInstrumentor().instrument_app(app, tracer_provider=provider)  # type: ignore[no-untyped-call]

    @app.get("/checkout")
    def checkout() -> str:
        pay()
        return "{}"

    app.wsgi_app = VisitorMiddleware(app.wsgi_app)  # type: ignore[method-assign]
    return app, provider


def test_section_15_beacons_carry_the_browsers_session(
    sandbox: Sandbox, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Server span and inner span of a visitor's request arrive in mPulse under the session of the browser."""
    app, provider = mpulse_shop(sandbox)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    start_unix_ms = a_minute_ago()

    with servers.wsgi(app) as url:
        get(f"{url}/checkout", rt_cookie(start_unix_ms))
        get(f"{url}/checkout")
    provider.shutdown()

    received = sandbox.received
    joined = [beacon for beacon in received.beacons if beacon.session and beacon.session.id.startswith(SI)]
    assert sorted(name for beacon in joined for name, _ in beacon.timers) == ["Checkout", "Payment"]
    assert {astuple(beacon.session) for beacon in joined if beacon.session} == {
        tuple(session_attributes(start_unix_ms).values())
    }
    assert sorted(name for name, _ in received.timers) == ["Checkout", "Checkout", "Payment", "Payment"]
    assert received.findings == ()


def test_section_15_nothing_is_sent_for_a_limited_session(
    sandbox: Sandbox, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """rl=1: its timings are counted as dropped, and others are sent."""
    app, provider = mpulse_shop(sandbox)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)

    with servers.wsgi(app) as url:
        get(f"{url}/checkout", rt_cookie(a_minute_ago(), rl=1))
        get(f"{url}/checkout")
    exporter: Any = provider._active_span_processor._span_processors[1].span_exporter  # type: ignore[attr-defined]
    provider.shutdown()

    assert sorted(name for name, _ in sandbox.received.timers) == ["Checkout", "Payment"]
    counts = exporter.ledger()
    assert (dict(counts.dropped), counts.delivered, counts.lost) == ({"session_limited": 2}, 2, 0)
    assert counts.balanced
    assert sandbox.received.findings == ()
