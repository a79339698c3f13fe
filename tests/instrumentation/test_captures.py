"""What is read off a call, and what happens when reading fails."""

from __future__ import annotations

import asyncio
import enum
import inspect
import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.metrics import _internal as metrics_global
from opentelemetry.sdk.trace import SpanProcessor

from instrumentation import Call, counted, event, redact, timed
from instrumentation.captures import Site
from instrumentation.redaction import SECRETS

if TYPE_CHECKING:
    from tests.instrumentation.conftest import Telemetry


@pytest.fixture(autouse=True)
def own_secrets(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Names that a test redacts are forgotten after it."""
    monkeypatch.setattr(SECRETS, "_names", SECRETS._names)
    yield
    monkeypatch.undo()
    SECRETS.add()


@dataclass
class Login:
    user: str
    password: str


class Method(enum.Enum):
    CARD = 1


class Unspeakable:
    def __str__(self) -> str:
        raise RuntimeError("no words")


# Arguments


@pytest.mark.skipif(sys.version_info < (3, 14), reason="before, annotations are evaluated at definition")
def test_annotations_need_no_meaning_at_run_time(telemetry: Telemetry) -> None:
    """Arguments are read, and `inspect` asked, where annotations name what only type checkers import."""
    namespace: dict[str, Any] = {"decorate": timed("Checkout {step}", attributes=["step"])}
    source = "@decorate\ndef pay(step: Step) -> Paid: return step"
    exec(compile(source, "shop", "exec", dont_inherit=True), namespace)  # without this file's __future__

    assert namespace["pay"]("card") == "card"
    assert telemetry.span().name == "Checkout card"
    assert telemetry.attributes()[0]["step"] == "card"
    with pytest.raises(NameError):
        inspect.signature(namespace["pay"])


# Names


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("Checkout {step}", "Checkout pay"),
        ("Checkout {step}/{amount:.2f}", "Checkout pay/9.50"),
        ("Checkout {login.user}", "Checkout ann"),
        ("Checkout {method}", "Checkout Method.CARD"),
        ("Checkout {password}", "Checkout [redacted]"),
        ("Checkout {login.password}", "Checkout [redacted]"),
        ("Checkout {login}", "Checkout [redacted]"),
        ("Checkout {login!r}", "Checkout [redacted]"),
        ("Checkout {{step}}", "Checkout {step}"),
        ("Checkout {extra}", "Checkout more"),
    ],
)
def test_name_is_filled_with_arguments(template: str, expected: str, telemetry: Telemetry) -> None:
    """A name with braces is filled with the call's arguments, defaults included; secrets stay secret."""

    @timed(template)
    def pay(
        step: Any, login: Any, amount: Any = 9.5, method: Any = Method.CARD, password: Any = "x", **more: Any
    ) -> None:
        pass

    pay("pay", Login("ann", "hunter2"), extra="more")

    assert telemetry.names() == [expected]


def test_name_is_filled_in_methods_and_coroutines(telemetry: Telemetry) -> None:
    """Templates see the arguments of methods, `self` too, and of coroutines and generators."""

    class Shop:
        city = "Oslo"

        @timed("{self.city} {step}")
        async def pay(self, step: Any) -> None:
            pass

        @timed("{self.city} {step}")
        def ship(self, step: Any) -> Iterator[None]:
            yield

    asyncio.run(Shop().pay("pay"))
    list(Shop().ship(step="ship"))

    assert telemetry.names() == ["Oslo pay", "Oslo ship"]


# Attributes


def test_nothing_is_captured_that_was_not_named(telemetry: Telemetry) -> None:
    """Without `attributes=` no argument and no result leaves the function."""

    @timed
    @event
    @counted
    def pay(amount: Any) -> Any:
        return amount

    pay(5)

    assert telemetry.attributes() == [{}, {}, {}]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("tea", "tea"),
        ("x" * 999, "x" * 999),
        (True, True),
        (3, 3),
        (2.5, 2.5),
        (None, "None"),
        (Method.CARD, "Method.CARD"),
        (["a", "b"], "['a', 'b']"),
        (list(range(999)), str(list(range(999)))[:248] + "...[cut]"),
        ("x" * 1025, "x" * 1016 + "...[cut]"),
        ("https://shop.example/?token=abc&page=2", "https://shop.example/?token=[redacted]&page=2"),
        ({"headers": [("Authorization", "Bearer abc")]}, "[redacted]"),
        ({"pad": "y" * 300, "password": "hunter2"}, "{'pad': '" + "y" * 239 + "...[cut]"),
        (Login("ann", "hunter2"), "[redacted]"),
        ({"user": "ann", "Access-Token": "abc"}, "[redacted]"),
        ("card", "card"),
    ],
)
def test_captured_values(value: Any, expected: Any, telemetry: Telemetry) -> None:
    """Plain values are captured as they are; others as text that is bounded and tells no secrets."""
    timed(attributes="item")(lambda item: None)(value)

    assert telemetry.attributes() == [{"item": expected}]


def test_names_are_bounded_and_tell_no_secrets(telemetry: Telemetry) -> None:
    """A span's name is cut, and what it is filled with is searched for secrets."""
    timed("Look {q}")(lambda q: None)("x" * 5_000_000)
    timed("Look {q}")(lambda q: None)("token=abc")

    assert telemetry.names() == ["Look " + "x" * 243 + "...[cut]", "Look token=[redacted]"]


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "pass",
        "SSN",
        "session_key",
        "new_password",
        "accessToken",
        "token",
        "client_secret",
        "Authorization",
        "cookies",
        "api_key",
        "apikey",
        "card_number",
        "creditCard",
        "private_key",
        "user_credentials",
    ],
)
def test_secrets_are_redacted_by_name(name: str, telemetry: Telemetry) -> None:
    """What is captured under a secret's name is shown as redacted, by argument name and by attribute name."""

    @timed(attributes=[name])
    def by_argument(**arguments: Any) -> None:
        pass

    by_argument(**{name: "hunter2"})
    timed(attributes=lambda call: {name: "hunter2"})(lambda: None)()

    assert telemetry.attributes() == [{name: "[redacted]"}] * 2


def test_more_names_can_be_redacted(telemetry: Telemetry) -> None:
    """`redact` adds names for the whole process, also for what was decorated before."""

    @timed(attributes=["employee_number"])
    def register(employee_number: int) -> None:
        pass

    redact("employee")

    register(12)

    assert telemetry.attributes() == [{"employee_number": "[redacted]"}]


def test_constants_are_not_captured(telemetry: Telemetry) -> None:
    """A constant attribute is the developer's own word and stays, whatever its name."""
    timed(attributes={"card_type": "visa"})(lambda: None)()

    assert telemetry.attributes() == [{"card_type": "visa"}]


def test_an_argument_named_result_wins(telemetry: Telemetry) -> None:
    """ "result" is the result, unless the function has an argument of that name."""
    event(attributes=["result"])(lambda result: 2)(1)

    assert [each.attributes for each in telemetry.events()] == [{"result": 1}]


def test_function_of_the_call_sees_arguments_result_and_error(telemetry: Telemetry) -> None:
    """A function of the call gets all arguments by name, the result, and the error."""
    seen: list[Call] = []

    def remember(call: Call) -> dict[str, object]:
        seen.append(call)
        return {}

    @counted("orders", on="both", attributes=remember)
    def order(sku: Any, amount: Any = 1, *rest: Any, **more: Any) -> Any:
        return 1 / amount

    order("tea", 2, 3, gift=True)
    with pytest.raises(ZeroDivisionError):
        order("tea", 0)

    first, second = seen
    assert first.arguments == {"sku": "tea", "amount": 2, "rest": (3,), "more": {"gift": True}, "gift": True}
    assert (first.result, first.error) == (0.5, None)
    assert (second.result, type(second.error)) == (None, ZeroDivisionError)


# Faults


def fail(_: object) -> Any:
    raise ZeroDivisionError


def nothing(_: object) -> Any:
    return None


FAULTY: dict[str, tuple[Callable[[], Callable[..., Any]], str]] = {
    "template names no argument": (lambda: timed("Pay {stpe}"), "name"),
    "template is broken": (lambda: timed("Pay {step"), "name"),
    "format does not fit": (lambda: timed("Pay {step:d}"), "name"),
    "attribute names no argument": (lambda: timed(attributes=["stpe"]), "attributes"),
    "attribute function fails": (lambda: timed(attributes=fail), "attributes"),
    "attribute function returns nothing": (lambda: event(attributes=nothing), "attributes"),
    "value has no text": (lambda: timed(attributes=["thing"]), "attributes"),
    "value function fails": (lambda: counted("paid", value=fail), "value"),
    "value is no number": (lambda: counted("paid", value=nothing), "value"),
    "value is negative": (lambda: counted("paid", value=lambda _: -1), "value"),
    "value is not a number": (lambda: counted("paid", value=lambda _: float("nan")), "value"),
    "value is infinite": (lambda: counted("paid", value=lambda _: float("inf")), "value"),
    "value names no argument": (lambda: counted("paid", value="amuont"), "value"),
}


@pytest.mark.parametrize("fault", FAULTY)
def test_fault_stays_inside(fault: str, telemetry: Telemetry, caplog: pytest.LogCaptureFixture) -> None:
    """A fault in the instrumentation is said once, counted each time, and the call goes on."""
    decorate, part = FAULTY[fault]

    @decorate()
    def pay(step: Any, thing: Any) -> Any:
        return step

    assert [pay("pay", Unspeakable()) for _ in range(3)] == ["pay", "pay", "pay"]

    assert [(each.levelname, each.name) for each in caplog.records] == [
        ("WARNING", "instrumentation.decorators")
    ]
    faults = [each for each in telemetry.points() if each.name == "instrumentation.faults"]
    assert sum(each.value for each in faults) == 3
    assert {each.attributes["instrumentation.part"] for each in faults} == {part}


def test_faults_leave_nothing_behind(telemetry_later: Telemetry, caplog: pytest.LogCaptureFixture) -> None:
    """Where no meter provider is set up, the API is asked for one meter, not for one at every fault."""
    caplog.set_level(logging.ERROR)
    pay: Callable[[], None] = counted("paid", value=fail)(lambda: None)
    site = Site("paid")
    before = len(metrics_global._PROXY_METER_PROVIDER._meters)

    for _ in range(100):
        pay()
        site.report("value", ValueError())

    assert len(metrics_global._PROXY_METER_PROVIDER._meters) <= before + 1


def test_fault_says_where_and_what_but_no_data(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    """The message names the decorator's name, the function and the fault's type, not its words."""

    @counted("revenue", value=lambda result: result["hunter2"])
    def pay() -> Any:
        return {}

    pay()

    qualname = "test_fault_says_where_and_what_but_no_data.<locals>.pay"
    assert caplog.messages == [
        (
            f"value of 'revenue' ({__name__}.{qualname}) failed with KeyError: "
            "the call went on without it, more of the same is only counted"
        )
    ]


def test_fault_keeps_what_can_be_kept(telemetry: Telemetry, caplog: pytest.LogCaptureFixture) -> None:
    """A span keeps its template as its name, and its other attributes; a counter keeps its count."""
    caplog.set_level(logging.ERROR)

    timed("Pay {stpe}", attributes=["thing", "step"])(lambda step, thing: None)("pay", Unspeakable())
    counted("paid", attributes=fail)(lambda: None)()

    assert telemetry.span().name == "Pay {stpe}"
    assert telemetry.attributes()[0]["step"] == "pay"
    assert [each.value for each in telemetry.points() if each.name == "paid"] == [1]


def test_fault_of_the_sdk_stays_inside(telemetry: Telemetry, caplog: pytest.LogCaptureFixture) -> None:
    """A processor that fails does not fail the call, and the span's context is left all the same."""

    class Failing(SpanProcessor):
        def on_start(self, span: Any, parent_context: Any = None) -> None:
            raise RuntimeError

    telemetry.tracer_provider.add_span_processor(Failing())

    assert timed(lambda: 7)() == 7
    assert len(caplog.messages) == 1


def test_wrong_call_fails_as_undecorated(telemetry: Telemetry) -> None:
    """A call with wrong arguments raises the function's own TypeError."""

    @timed("Pay {step}", attributes=["step"])
    def pay(step: Any) -> None:
        pass

    with pytest.raises(TypeError, match="missing 1 required positional argument: 'step'"):
        pay()  # type: ignore[call-arg]  # the wrong call
