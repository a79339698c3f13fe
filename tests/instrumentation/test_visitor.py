"""Visitors: what is told, what is inherited, and where a visitor holds."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import pickle
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any
from uuid import UUID

import pytest
from opentelemetry import trace

from instrumentation import VisitorDetails, current_visitor, set_visitor, visitor
from otel_vendor_exporters.visitor import VisitorSpanProcessor
from tests.instrumentation.conftest import Telemetry


class Plan(Enum):
    GOLD = "gold"


class Size(IntEnum):
    L = 3


DETAILS: tuple[tuple[VisitorDetails, Mapping[str, object]], ...] = (
    ({"user_id": "u-1"}, {"user.id": "u-1"}),
    ({"user_id": 42}, {"user.id": "42"}),
    (
        {"user_id": UUID(int=1), "anonymous_id": UUID(int=2), "session_id": UUID(int=3)},
        {
            "user.id": "00000000-0000-0000-0000-000000000001",
            "enduser.pseudo.id": "00000000-0000-0000-0000-000000000002",
            "session.id": "00000000-0000-0000-0000-000000000003",
        },
    ),
    ({"anonymous_id": "a-1"}, {"enduser.pseudo.id": "a-1"}),
    ({"session_id": "s-1"}, {"session.id": "s-1"}),
    (
        {"session_id": "s-1", "session_start_unix_ms": 1_700_000_000_000, "session_length": 3},
        {
            "session.id": "s-1",
            "mpulse.session.start_unix_ms": 1_700_000_000_000,
            "mpulse.session.length": 3,
        },
    ),
    ({"session_limited": True}, {"mpulse.session.limited": True}),
    ({"page_group": "Cart"}, {"mpulse.page_group": "Cart"}),
    ({"ab_test": "B"}, {"mpulse.ab_test": "B"}),
    (
        {"dimensions": {"Plan": "gold", "Beta": True}},
        {"mpulse.dimension.Plan": "gold", "mpulse.dimension.Beta": True},
    ),
    (
        {"identities": {"email": "a@b.example", "mpid": "7", "google": "g-1"}},
        {"user.email": "a@b.example", "mparticle.mpid": "7", "mparticle.identity.google": "g-1"},
    ),
    (
        {"user_attributes": {"plan": "gold", "tags": ["a", "b"]}},
        {"mparticle.user_attributes.plan": "gold", "mparticle.user_attributes.tags": ("a", "b")},
    ),
    (
        {
            "user_attributes": {"since": date(2020, 1, 2), "seen": datetime(2020, 1, 2, 3, 4)},
            "dimensions": {"Total": Decimal("1.50"), "Cart": UUID(int=4), "Plan": Plan.GOLD, "Size": Size.L},
        },
        {
            "mparticle.user_attributes.since": "2020-01-02",
            "mparticle.user_attributes.seen": "2020-01-02T03:04:00",
            "mpulse.dimension.Total": "1.50",
            "mpulse.dimension.Cart": "00000000-0000-0000-0000-000000000004",
            "mpulse.dimension.Plan": "gold",
            "mpulse.dimension.Size": 3,
        },
    ),
    (
        {"consent": {"gdpr.analytics": True, "ccpa.data_sale_opt_out": False}},
        {"mparticle.consent.gdpr.analytics": True, "mparticle.consent.ccpa.data_sale_opt_out": False},
    ),
    (
        {"client_address": "192.0.2.7", "user_agent": "Mozilla/5.0"},
        {"client.address": "192.0.2.7", "user_agent.original": "Mozilla/5.0"},
    ),
    ({"user_id": None, "dimensions": None}, {}),
    ({"user_id": ""}, {}),
)
UNFIT: tuple[dict[str, Any], ...] = (  # Any: what no type checker would let through
    {"user_id": ...},
    {"user_id": True},
    {"session_start_unix_ms": -1},
    {"session_length": "3"},
    {"session_length": 10**15},
    {"session_limited": 1},
    {"dimensions": ["Plan"]},
    {"dimensions": {"Plan": ...}},
    {"dimensions": {7: "gold"}},
    {"consent": {"gdpr.analytics": "yes"}},
)


@pytest.mark.parametrize(("details", "attributes"), DETAILS, ids=[str(each[0])[:40] for each in DETAILS])
def test_every_detail_has_its_attributes(details: VisitorDetails, attributes: Mapping[str, object]) -> None:
    """What is told of a visitor stands under the names that the exporters read."""
    with visitor(**details):
        assert current_visitor() == attributes
    assert current_visitor() == {}


@pytest.mark.parametrize("details", UNFIT, ids=str)
def test_what_does_not_fit_is_left_out_and_said_once(
    details: dict[str, Any], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A value of the wrong kind is no error for the application; the others stay."""
    monkeypatch.setattr("instrumentation.captures.Site.report", _say)
    with visitor(page_group="Cart", **details):
        assert current_visitor() == {"mpulse.page_group": "Cart"}
    (message,) = [record.getMessage() for record in caplog.records]
    assert next(iter(details)) in message


def _say(site: object, part: str, fault: Exception, hint: str) -> None:
    logging.getLogger("test").warning("%s: %s (%s)", part, type(fault).__name__, hint)


def test_an_unknown_detail_names_the_nearest() -> None:
    """A misspelt keyword is refused, and the message says what would be right."""
    with pytest.raises(TypeError, match="no 'usr_id': did you mean user_id"):
        visitor(usr_id="u-1")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="no 'pagegroup': did you mean page_group"):
        set_visitor(pagegroup="Cart")  # type: ignore[call-arg]


def test_nested_visitors_inherit() -> None:
    """The inner visitor knows what the outer one told; afterwards the outer one is as before."""
    with visitor(user_id="u-1", page_group="Cart", dimensions={"Plan": "gold"}):
        outer = current_visitor()
        with visitor(page_group="Checkout", dimensions={"Country": "AT"}):
            assert current_visitor() == {
                "user.id": "u-1",
                "mpulse.page_group": "Checkout",
                "mpulse.dimension.Plan": "gold",
                "mpulse.dimension.Country": "AT",
            }
        assert current_visitor() == outer


def test_another_user_inherits_nothing_personal() -> None:
    """Identities, attributes, consent and the other ids of one user never pass to another."""
    someone: VisitorDetails = {
        "user_id": "u-1",
        "session_id": "s-1",
        "anonymous_id": "a-1",
        "identities": {"email": "a@b.example"},
        "user_attributes": {"plan": "gold"},
        "consent": {"gdpr.analytics": True},
    }
    with visitor(**someone), visitor(user_id="u-2"):
        assert current_visitor() == {"user.id": "u-2", "session.id": "s-1"}


def test_a_visitor_who_logs_in_keeps_what_was_known() -> None:
    """From anonymous to known is no change of person."""
    with visitor(anonymous_id="a-1", consent={"gdpr.analytics": True}), visitor(user_id="u-1"):
        assert current_visitor() == {
            "user.id": "u-1",
            "enduser.pseudo.id": "a-1",
            "mparticle.consent.gdpr.analytics": True,
        }


def test_another_session_inherits_no_start_and_no_limit() -> None:
    """Start, length and limit belong to the session they came with."""
    with (
        visitor(session_id="s-1", session_start_unix_ms=5, session_length=3, session_limited=True),
        visitor(session_id="s-2"),
    ):
        assert current_visitor() == {"session.id": "s-2"}


def test_set_visitor_holds_for_the_rest_of_the_block() -> None:
    """Who logs in within a block is known until the block ends, also after inner functions returned."""

    def log_in() -> None:
        set_visitor(user_id="u-1")

    with visitor(page_group="Login"):
        log_in()
        assert current_visitor() == {"user.id": "u-1", "mpulse.page_group": "Login"}
    assert current_visitor() == {}


def test_set_visitor_without_a_block_holds_for_this_context_only() -> None:
    """A script may tell its visitor once; a thread beside it hears nothing."""
    seen: list[Mapping[str, object]] = []

    def script() -> None:
        set_visitor(user_id="u-1")
        seen.append(current_visitor())

    contextvars.copy_context().run(script)

    assert seen == [{"user.id": "u-1"}]
    assert current_visitor() == {}


def test_set_visitor_tells_the_current_span(telemetry: Telemetry) -> None:
    """The span that was running when the visitor became known carries ids, and nothing personal."""
    with visitor(), trace.get_tracer("app").start_as_current_span("GET /"):
        set_visitor(user_id="u-1", page_group="Login", identities={"email": "a@b.example"})
    assert dict(telemetry.span().attributes or {}) == {"user.id": "u-1", "mpulse.page_group": "Login"}


def test_a_spans_own_word_stands_when_something_else_is_told(telemetry: Telemetry) -> None:
    """Telling the user does not change the page group that the span was given itself."""
    telemetry.tracer_provider.add_span_processor(VisitorSpanProcessor())
    own = {"mpulse.page_group": "Checkout"}
    with visitor(page_group="Cart"), trace.get_tracer("app").start_as_current_span("pay", attributes=own):
        set_visitor(user_id="u-1")
    assert dict(telemetry.span().attributes or {}) == {"mpulse.page_group": "Checkout", "user.id": "u-1"}


def test_a_span_around_the_block_is_not_the_visitors(telemetry: Telemetry) -> None:
    """What is told in a block does not go on the span that the block began in."""
    with trace.get_tracer("app").start_as_current_span("batch"), visitor(page_group="Login"):
        set_visitor(user_id="u-1")
    assert dict(telemetry.span().attributes or {}) == {}


def test_functions_of_every_kind_run_under_their_visitor() -> None:
    """The decorator holds for bodies of functions, coroutines and generators, and not for their consumers."""

    @visitor(user_id="u-1")
    def plain() -> Mapping[str, object]:
        return current_visitor()

    @visitor(user_id="u-1")
    async def coroutine() -> Mapping[str, object]:
        await asyncio.sleep(0)
        return current_visitor()

    @visitor(user_id="u-1")
    def generator() -> Iterator[Mapping[str, object]]:
        yield current_visitor()
        set_visitor(page_group="Cart")
        yield current_visitor()

    @visitor(user_id="u-1")
    async def async_generator() -> AsyncIterator[Mapping[str, object]]:
        yield current_visitor()
        await asyncio.sleep(0)
        yield current_visitor()

    async def consumed() -> list[Mapping[str, object]]:
        found = []
        async for each in async_generator():
            found += [each, current_visitor()]
        return found

    known = {"user.id": "u-1"}
    assert plain() == asyncio.run(coroutine()) == known
    assert [(each, current_visitor()) for each in generator()] == [
        (known, {}),
        ({**known, "mpulse.page_group": "Cart"}, {}),
    ]
    assert asyncio.run(consumed()) == [known, {}, known, {}]


def test_a_function_of_the_call_tells_the_visitor() -> None:
    """The decorator may read the visitor off the arguments."""

    @visitor(lambda call: {"user_id": str(call.arguments["who"])}, page_group="Cart")
    def handle(who: str) -> Mapping[str, object]:
        return current_visitor()

    assert handle("u-7") == {"user.id": "u-7", "mpulse.page_group": "Cart"}


@pytest.mark.parametrize("details", [{"usr_id": "u"}, 7, "u-1"], ids=str)
def test_a_failing_function_of_the_call_never_reaches_the_caller(
    details: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The call goes on with what is known otherwise, and one line says so."""

    @visitor(lambda call: details, page_group="Cart")
    def handle() -> Mapping[str, object]:
        return current_visitor()

    assert handle() == handle() == {"mpulse.page_group": "Cart"}
    assert len(caplog.records) == 1


def test_a_misspelt_detail_of_a_callback_is_named(caplog: pytest.LogCaptureFixture) -> None:
    """The message says the name and the nearest right one, and the other details stay."""

    told: Any = {"user_idd": "u-1", "page_group": "Cart"}

    @visitor(lambda call: told)
    def handle() -> Mapping[str, object]:
        return current_visitor()

    assert handle() == {"mpulse.page_group": "Cart"}
    (message,) = caplog.messages
    assert "failed with TypeError (a visitor has no 'user_idd': did you mean user_id?): " in message


@visitor(user_id="u-1")
def module_level() -> Mapping[str, object]:
    """Kept."""
    return current_visitor()


def test_a_decorated_function_is_still_itself() -> None:
    """Docstring and pickling survive; one decorator may be used many times, also nested in itself."""
    assert module_level.__doc__ == "Kept."
    assert pickle.loads(pickle.dumps(module_level))() == {"user.id": "u-1"}
    shared = visitor(user_id="u-2")
    with shared, shared:
        assert current_visitor() == {"user.id": "u-2"}
    assert current_visitor() == {}


def test_works_without_an_sdk(telemetry_later: Telemetry) -> None:
    """Telling a visitor costs no SDK."""
    with visitor(user_id="u-1"):
        set_visitor(page_group="Cart")
        assert current_visitor() == {"user.id": "u-1", "mpulse.page_group": "Cart"}


def test_a_foreign_span_that_fails_is_no_error() -> None:
    """A span of another package that cannot take attributes does not reach the application."""

    class Broken(trace.NonRecordingSpan):
        def is_recording(self) -> bool:
            raise RuntimeError

    with trace.use_span(Broken(trace.INVALID_SPAN_CONTEXT)), visitor(user_id="u-1"):
        set_visitor(page_group="Cart")
        assert current_visitor()["mpulse.page_group"] == "Cart"
