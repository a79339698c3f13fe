"""Responses that are made while they are iterated: whose visitor their chunks are."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from instrumentation import VisitorMiddleware, current_visitor, set_visitor, visitor


def test_a_block_around_chunks_of_a_streamed_response_holds_for_all_of_them() -> None:
    """A response's own visitor holds from one chunk to the next, and the request's before and behind it."""

    def chunks() -> Iterator[object]:
        yield current_visitor()["user.id"]
        with visitor(user_id="inner"):
            yield current_visitor()["user.id"]
            set_visitor(page_group="Rows")
            yield current_visitor()
        yield current_visitor()["user.id"]

    def begun(_environ: object, _start_response: object) -> Iterator[object]:
        body = chunks()
        return itertools.chain([next(body), next(body)], body)

    middleware = VisitorMiddleware(begun, visitor=lambda environ: {"user_id": "outer"})

    found = list(middleware({}, None))

    assert found == ["outer", "inner", {"user.id": "inner", "mpulse.page_group": "Rows"}, "outer"]
    assert current_visitor() == {}
