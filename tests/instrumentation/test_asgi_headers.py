"""Headers of ASGI requests, in every form that a server may give them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from instrumentation import VisitorMiddleware, current_visitor

HEADERS = [(b"host", b"shop"), (b"x-user", b"u-1")]


class Once:
    """An iterable that is no iterator, and yet can be read only once."""

    def __init__(self) -> None:
        self._left = iter(HEADERS)

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        return self._left


FORMS: dict[str, Iterable[tuple[bytes, bytes]]] = {
    "list": HEADERS,
    "tuple": tuple(HEADERS),
    "iterator": iter(HEADERS),
    "generator": (each for each in HEADERS),
    "iterable": Once(),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_application_sees_the_headers_that_the_middleware_read(form: str) -> None:
    """The callback and the application each get all of them, in whatever form the server gave them."""
    seen: list[object] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.extend((list(scope["headers"]), dict(current_visitor())))

    middleware = VisitorMiddleware(
        app, visitor=lambda scope: {"user_id": dict(scope["headers"])[b"x-user"].decode()}
    )
    asyncio.run(middleware({"type": "http", "headers": FORMS[form]}, None, None))

    assert seen == [HEADERS, {"user.id": "u-1"}]
