"""Visitors whose details fail, as lazy objects do while their database is down."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from instrumentation import VisitorMiddleware, current_visitor, set_visitor, visitor
from instrumentation.visitor import SITE
from otel_vendor_exporters.attributes import MPARTICLE_USER_ATTRIBUTE_PREFIX


class LazyMapping(Mapping[str, Any]):
    """A mapping that asks a database."""

    def __getitem__(self, key: str) -> Any:
        raise RuntimeError("db down")

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("db down")

    def __len__(self) -> int:
        raise RuntimeError("db down")


class LazyObject:
    """An object that asks a database for what it is, as Django's SimpleLazyObject does."""

    @property
    def __class__(self) -> Any:
        raise RuntimeError("db down")

    @__class__.setter
    def __class__(self, kind: Any) -> None:
        """Never set."""


def wsgi(told: Any) -> None:
    app = VisitorMiddleware(lambda environ, start: [seen()], visitor=lambda _: told)
    assert app({}, None) == [b"answered"]


def asgi(told: Any) -> None:
    async def app(*_: Any) -> None:
        seen()

    middleware = VisitorMiddleware(app, visitor=lambda _: told)
    asyncio.run(middleware({"type": "http", "headers": []}, None, None))


def block(told: Mapping[str, Any]) -> None:
    with visitor(**told):
        seen()


def function(told: Any) -> None:
    visitor(lambda _: told)(seen)()


def telling(told: Mapping[str, Any]) -> None:
    with visitor():
        set_visitor(**told)
        seen()


def seen() -> bytes:
    assert current_visitor()["mpulse.page_group"] == "Cart"
    return b"answered"


# Made in the test: pytest, too, asks parameters for their class.
FAILING: dict[str, Callable[[], dict[str, Any]]] = {
    "lazy object": lambda: {"user_id": LazyObject()},
    "lazy mapping": lambda: {"user_attributes": LazyMapping()},
    "lazy value": lambda: {"user_attributes": {"age": LazyObject()}},
    "a number for a name": lambda: {"dimensions": {1: 2}},
    "no number": lambda: {"user_id": float("nan")},
}
OTHERS: dict[str, Callable[[], Any]] = {
    "numbers": lambda: {1: 2},
    "list": lambda: ["x"],
    "text": lambda: "abc",
    "lazy mapping": LazyMapping,
    "lazy object": LazyObject,
}


@pytest.mark.parametrize("enter", [wsgi, asgi, block, function, telling])
@pytest.mark.parametrize("fault", FAILING)
def test_a_detail_that_fails_is_left_out(
    enter: Callable[[Mapping[str, Any]], None],
    fault: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The request goes on with the other details; the fault is said once."""
    monkeypatch.setattr(SITE, "_reported", {})
    for _ in range(2):
        enter({**FAILING[fault](), "page_group": "Cart"})

    assert [each.levelno for each in caplog.records] == [logging.WARNING]


@pytest.mark.parametrize("told", OTHERS)
def test_a_callback_that_gives_anything_else(told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The request goes on without its visitor."""
    monkeypatch.setattr(SITE, "_reported", {})
    app = VisitorMiddleware(lambda environ, start: [b"answered"], visitor=lambda _: OTHERS[told]())

    assert app({}, None) == [b"answered"]


def test_what_is_told_of_a_visitor_is_bounded() -> None:
    """Of many attributes and of long lists and texts, the beginning is told."""
    attributes = {f"a{number}": number for number in range(5000)}
    with visitor(user_attributes=attributes, dimensions={"long": "x" * 5000}):
        known = current_visitor()
    with visitor(user_attributes={"list": ["x"] * 5000}):
        of_list = current_visitor()[f"{MPARTICLE_USER_ATTRIBUTE_PREFIX}list"]

    assert (len(known), len(str(known["mpulse.dimension.long"]))) == (1001, 1024)
    assert isinstance(of_list, tuple)
    assert len(of_list) == 1000


def test_a_misspelt_detail_of_the_callback_is_named(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message says the name and the nearest right one, and the other details stay."""
    monkeypatch.setattr(SITE, "_reported", {})
    told: Any = {"user_idd": "u-1", "page_group": "Cart"}
    middleware = VisitorMiddleware(lambda *_wsgi: [current_visitor()], visitor=lambda _environ: told)

    assert middleware({}, None) == [{"mpulse.page_group": "Cart"}]

    (message,) = caplog.messages
    assert "failed with TypeError (a visitor has no 'user_idd': did you mean user_id?): " in message
