"""Visitors whose details fail, as lazy objects do while their database is down."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from instrumentation import (
    EventHandler,
    VisitorDetails,
    VisitorMiddleware,
    current_visitor,
    set_visitor,
    visitor,
)
from instrumentation.visitor_details import SITE
from otel_vendor_exporters.attributes import MPARTICLE_USER_ATTRIBUTE_PREFIX
from otel_vendor_exporters.sandbox import Sandbox


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


SOMEONE: VisitorDetails = {
    "user_id": "u-1",
    "anonymous_id": "a-1",
    "page_group": "Cart",
    "identities": {"email": "a@b.example"},
    "user_attributes": {"plan": "gold"},
    "consent": {"gdpr.ads": True},
}
ENTERED = {
    "block": lambda told: _seen_in_block(user_id=told),
    "anonymous": lambda told: _seen_in_block(anonymous_id=told),
    "function": lambda told: visitor(user_id=told)(current_visitor)(),
    "call": lambda told: visitor(lambda _: {"user_id": told})(current_visitor)(),
    "set_visitor": lambda told: _seen_when_told(user_id=told),
    "middleware": lambda told: _seen_by_middleware(lambda _: {"user_id": told}),
}
FAILING_CALLBACKS: dict[str, Callable[[Any], Any]] = {
    "raises": lambda call: call.user.id,
    "a list": lambda _: ["u-2"],
    "misspelt": lambda _: {"userid": "u-2"},
}


def _seen_in_block(**told: Any) -> Mapping[str, object]:
    with visitor(**told):
        return current_visitor()


def _seen_when_told(**told: Any) -> Mapping[str, object]:
    with visitor():
        set_visitor(**told)
        return current_visitor()


def _seen_by_middleware(of: Callable[[Any], Any]) -> Mapping[str, object]:
    """What is known within a middleware within another, that told someone."""
    inner = VisitorMiddleware(lambda environ, start: [current_visitor()], visitor=of)
    (seen,) = VisitorMiddleware(inner, visitor=lambda _: SOMEONE)({}, None)
    assert isinstance(seen, Mapping)
    return seen


@pytest.mark.parametrize("enter", ENTERED)
@pytest.mark.parametrize("bad", [5.0, "", True, b"u-2", ...], ids=str)
def test_an_id_that_cannot_be_used_is_nobodys(
    enter: str, bad: object, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing of the visitor around goes on under it; that is said once, and afterwards all is as before."""
    monkeypatch.setattr(SITE, "_reported", {})
    with visitor(**SOMEONE):
        around = current_visitor()
        seen = [ENTERED[enter](bad) for _ in range(2)]
        assert current_visitor() == around

    assert seen == [{"mpulse.page_group": "Cart"}] * 2
    (message,) = caplog.messages
    assert "a text that is not empty, a whole number or a UUID" in message


@pytest.mark.parametrize("kind", FAILING_CALLBACKS)
def test_a_callback_that_fails_tells_nobody_rather_than_another(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever it was to tell, it was not the visitor around."""
    monkeypatch.setattr(SITE, "_reported", {})
    callback = FAILING_CALLBACKS[kind]
    with visitor(**SOMEONE):
        seen = visitor(callback, dimensions={"Plan": "gold"})(current_visitor)()

    assert seen == {"mpulse.page_group": "Cart", "mpulse.dimension.Plan": "gold"}
    assert _seen_by_middleware(callback) == {"mpulse.page_group": "Cart"}


def test_what_is_told_with_a_bad_id_is_kept() -> None:
    """The details told beside it are of that visitor; a good id told of the same user keeps what is known."""
    bad: Any = 5.0
    with visitor(**SOMEONE):
        with visitor(user_id=bad, identities={"email": "c@d.example"}):
            beside = current_visitor()
        with visitor(user_id="u-1", anonymous_id=bad):
            same = current_visitor()
        with visitor(user_id=bad), visitor(user_id="u-2"):
            later = current_visitor()

    assert beside == {"user.email": "c@d.example", "mpulse.page_group": "Cart"}
    assert same == {
        "user.id": "u-1",
        "user.email": "a@b.example",
        "mpulse.page_group": "Cart",
        "mparticle.user_attributes.plan": "gold",
        "mparticle.consent.gdpr.ads": True,
    }
    assert later == {"user.id": "u-2", "mpulse.page_group": "Cart"}


def test_a_session_that_cannot_be_used_is_not_the_one_around() -> None:
    """Neither its id nor its start go on under it."""
    bad: Any = 5.0
    with visitor(session_id="s-1", session_start_unix_ms=5), visitor(session_id=bad):
        assert current_visitor() == {}


def test_of_a_mapping_only_the_bad_entry_is_left_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A refusal of consent stays beside a mistake; each mistake is named with its key and type, once."""
    monkeypatch.setattr(SITE, "_reported", {})
    told: Any = {
        "user_attributes": {"plan": "gold", "since": timedelta(1)},
        "consent": {"gdpr.ads": False, "gdpr.x": "yes", "gdpr.y": 1},
        "dimensions": {"Country": "DE", 7: "x"},
    }
    for _ in range(2):
        with visitor(**told):
            known = current_visitor()

    assert known == {
        "mpulse.dimension.Country": "DE",
        "mparticle.user_attributes.plan": "gold",
        "mparticle.consent.gdpr.ads": False,
    }
    value = "a text, a number, True, False, a date, a Decimal, a UUID or a list of texts"
    assert [message.partition(": the call went on")[0] for message in caplog.messages] == [
        "user_attributes 'since' of 'visitor' (block) failed with TypeError (timedelta: give " + value + ")",
        "consent 'gdpr.x' of 'visitor' (block) failed with TypeError (str: give True or False)",
        "consent 'gdpr.y' of 'visitor' (block) failed with TypeError (int: give True or False)",
        "dimensions of 'visitor' (block) failed with TypeError (a name of type int: give texts)",
    ]


def test_events_go_out_under_the_user_they_were_told_for() -> None:
    """A job of an administrator that works for users by their UUIDs sends each event for that user."""
    logger = logging.getLogger("tests.visitor_faults")
    logger.setLevel(logging.INFO)
    bad: Any = 5.0
    with Sandbox() as sandbox:
        exporters = {"mparticle": dict(sandbox.mparticle_settings)}
        handler = EventHandler(exporters=exporters, records="events", visitor_attributes="all")
        logger.addHandler(handler)
        with visitor(user_id="admin-1", identities={"email": "a@b.example"}):
            for user in (UUID(int=1), UUID(int=2), bad):
                with visitor(user_id=user):
                    logger.info("sent", extra={"event": "Mail sent"})
        logger.removeHandler(handler)
        handler.close()
        users = sandbox.received.mparticle.users

    assert [(user.identities, [event.name for event in user.events]) for user in users] == [
        ({"customer_id": str(UUID(int=number))}, ["Mail sent"]) for number in (1, 2)
    ]
