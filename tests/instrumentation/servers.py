"""Real servers on loopback for applications under test."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import requests
from werkzeug.serving import make_server

SI = "e2668d61-3a2b-4f7c-9d0e-5b6a7c8d9e0f"


def rt_cookie(start_unix_ms: int, **pairs: object) -> dict[str, str]:
    """Request headers with an RT cookie as a browser sends it."""
    pairs = {"z": 0, "dm": "shop.example", "si": SI, "ss": start_unix_ms, "sl": 3, **pairs}
    return {"Cookie": 'theme=dark; RT="' + "&".join(f"{name}={value}" for name, value in pairs.items()) + '"'}


@contextmanager
def wsgi(app: Any) -> Iterator[str]:
    """Serve a WSGI application on threads of their own; gives its base address."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    with _running(server):
        yield f"http://127.0.0.1:{server.server_port}"


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the library's
        """Say nothing."""


@contextmanager
def wsgi_on_one_thread(app: Any) -> Iterator[str]:
    """Serve a WSGI application with the standard library's server: every request on the same thread."""
    server = WSGIServer(("127.0.0.1", 0), _Quiet)
    server.set_app(app)
    with _running(server):
        yield f"http://127.0.0.1:{server.server_port}"
    server.server_close()


@contextmanager
def _running(server: Any) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join(10)


def get(url: str, headers: dict[str, str] | None = None) -> Any:
    """The JSON of an answer, which must be a good one."""
    answer = requests.get(url, headers=headers, timeout=10)
    answer.raise_for_status()
    return answer.json()
