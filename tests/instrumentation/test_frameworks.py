"""Visitors in FastAPI, Starlette and Django, served over real HTTP (ASGI by uvicorn)."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import django
import pytest
import requests
import uvicorn
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path
from fastapi import BackgroundTasks, Depends, FastAPI, Request
from starlette.applications import Starlette
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from instrumentation import VisitorDetails, VisitorMiddleware, current_visitor, set_visitor
from instrumentation.rt_cookie import base36
from tests.instrumentation import servers
from tests.instrumentation.servers import SI, get, rt_cookie

in_background: list[object] = []


@contextmanager
def asgi(app: Any) -> Iterator[str]:
    """Serve an ASGI application on a thread of its own; gives its base address."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + 10
    while not server.started and time.monotonic() < until:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)


def of_scope(scope: Any) -> VisitorDetails | None:
    user = dict(scope["headers"]).get(b"x-user")
    return {"user_id": user.decode()} if user else None


def logged_in(request: Request) -> None:
    """A dependency that is no coroutine: FastAPI runs it on a worker thread."""
    user = request.query_params.get("user")
    set_visitor(user_id=user)


def remember() -> None:
    in_background.append(current_visitor().get("user.id"))


def fastapi_app() -> Any:
    app = FastAPI()

    @app.get("/")
    async def who() -> Any:
        await asyncio.sleep(0)
        return current_visitor()

    @app.get("/thread")
    def who_on_a_thread() -> Any:
        return current_visitor()

    @app.get("/login", dependencies=[Depends(logged_in)])
    def log_in(background: BackgroundTasks) -> Any:
        background.add_task(remember)
        return current_visitor()

    @app.get("/stream")
    async def stream() -> Any:
        async def lines() -> Any:
            for _ in range(3):
                await asyncio.sleep(0)
                yield json.dumps(current_visitor().get("user.id")) + "\n"

        return StreamingResponse(lines())

    app.add_middleware(VisitorMiddleware, visitor=of_scope)
    return app


def starlette_app() -> Any:
    async def who(request: Request) -> JSONResponse:
        return JSONResponse(dict(current_visitor()))

    def on_a_thread(request: Request) -> JSONResponse:
        return JSONResponse(dict(current_visitor()))

    app = Starlette(routes=[Route("/", who), Route("/thread", on_a_thread)])
    return VisitorMiddleware(app, visitor=of_scope)


def django_view(request: HttpRequest) -> JsonResponse:
    user = request.GET.get("user")
    if user:
        set_visitor(user_id=user)
    return JsonResponse(dict(current_visitor()))


async def django_async_view(request: HttpRequest) -> JsonResponse:
    await asyncio.sleep(0)
    return django_view(request)


urlpatterns = [path("", django_view), path("thread", django_async_view), path("login", django_view)]


@pytest.fixture(scope="module")
def configured_django() -> None:
    if not settings.configured:
        settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="test", MIDDLEWARE=[])
        django.setup()


def of_environ_or_scope(request: Any) -> VisitorDetails | None:
    if "HTTP_X_USER" in request:
        return {"user_id": request["HTTP_X_USER"]}
    return of_scope(request) if "headers" in request else None


@contextmanager
def django_wsgi() -> Iterator[str]:
    with servers.wsgi(VisitorMiddleware(get_wsgi_application(), visitor=of_environ_or_scope)) as url:
        yield url


@contextmanager
def django_asgi() -> Iterator[str]:
    with asgi(VisitorMiddleware(get_asgi_application(), visitor=of_environ_or_scope)) as url:
        yield url


SERVED = {
    "fastapi": lambda: asgi(fastapi_app()),
    "starlette": lambda: asgi(starlette_app()),
    "django wsgi": django_wsgi,
    "django asgi": django_asgi,
}


@pytest.mark.usefixtures("configured_django")
@pytest.mark.parametrize("framework", SERVED)
def test_requests_run_under_their_visitor(framework: str) -> None:
    """Cookie and callback tell the visitor, in asynchronous handlers and on worker threads."""
    start_unix_ms = int(time.time() * 1000) - 60_000
    headers = {**rt_cookie(start_unix_ms), "X-User": "u-1"}
    expected = {
        "user.id": "u-1",
        "session.id": f"{SI}-{base36((start_unix_ms + 500) // 1000)}",
        "mpulse.session.start_unix_ms": start_unix_ms,
        "mpulse.session.length": 3,
    }
    with SERVED[framework]() as url:
        for place in ("", "thread"):
            assert get(f"{url}/{place}", headers) == expected
            assert get(f"{url}/{place}") == {}


@pytest.mark.usefixtures("configured_django")
@pytest.mark.parametrize("framework", SERVED)
def test_visitors_do_not_meet(framework: str) -> None:
    """Many requests at once each know their own visitor only."""
    with SERVED[framework]() as url, ThreadPoolExecutor(4) as pool:

        def ask(number: int) -> bool:
            place = "thread" if number % 2 else ""
            headers = {"X-User": f"u-{number}"} if number % 3 else {}
            expected = {"user.id": f"u-{number}"} if number % 3 else {}
            return get(f"{url}/{place}", headers) == expected  # type: ignore[no-any-return]  # JSON

        assert all(pool.map(ask, range(60)))


@pytest.mark.usefixtures("configured_django")
@pytest.mark.parametrize("framework", ["fastapi", "django wsgi", "django asgi"])
def test_a_login_is_known_from_there_on(framework: str) -> None:
    """set_visitor in a dependency or view on a worker thread reaches the request, and no other request."""
    with SERVED[framework]() as url:
        assert get(f"{url}/login?user=u-9") == {"user.id": "u-9"}
        assert get(f"{url}/") == {}


def test_background_tasks_and_streams_know_the_visitor() -> None:
    """What runs after or while the answer is sent still belongs to the request."""
    in_background.clear()
    with asgi(fastapi_app()) as url:
        get(f"{url}/login?user=u-9")
        answer = requests.get(f"{url}/stream", headers={"X-User": "u-1"}, timeout=10)
    assert answer.text == '"u-1"\n' * 3
    assert in_background == ["u-9"]
