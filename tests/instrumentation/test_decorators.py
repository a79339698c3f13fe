"""Every decorator on every kind of callable, in every way of use."""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from instrumentation import counted, event, timed
from tests.instrumentation.kinds import KINDS, Decorate

if TYPE_CHECKING:
    from tests.instrumentation.conftest import Telemetry

DECORATORS: dict[str, Decorate] = {
    "span": timed,
    "duration": functools.partial(timed, record="metric"),
    "counter": functools.partial(counted, on="both"),
    "event": functools.partial(event, on="both"),
}
WAYS: dict[str, Callable[[Any], Decorate]] = {
    "bare": lambda decorator: decorator,
    "called": lambda decorator: decorator(),
    "named": lambda decorator: decorator("Checkout"),
    "by keyword": lambda decorator: decorator(name="Checkout", attributes={"channel": "web"}),
    "named, with keywords": lambda decorator: decorator("Checkout", attributes={"channel": "web"}),
    "on the target": lambda decorator: lambda target: decorator(target, name="Checkout"),
}
NAMELESS = {"bare", "called"}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("decorator", DECORATORS)
@pytest.mark.parametrize("kind", KINDS)
def test_records_a_call_that_returns(kind: str, decorator: str, way: str, telemetry: Telemetry) -> None:
    """Every decorator records one call of every kind of callable, and its result comes through."""
    result = KINDS[kind](WAYS[way](DECORATORS[decorator]), lambda: 7)

    assert result == 7
    assert [is_named(name, way, kind) for name in telemetry.names()] == [True]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("decorator", DECORATORS)
@pytest.mark.parametrize("kind", KINDS)
def test_records_a_call_that_raises(kind: str, decorator: str, way: str, telemetry: Telemetry) -> None:
    """An exception goes through every decorator unchanged and is recorded as the call's error type."""
    error = LookupError("sold out")

    def work() -> object:
        raise error

    with pytest.raises(LookupError) as raised:
        KINDS[kind](WAYS[way](DECORATORS[decorator]), work)

    assert raised.value is error
    assert [is_named(name, way, kind) for name in telemetry.names()] == [True]
    assert [found["error.type"] for found in telemetry.attributes()] == ["LookupError"]


@pytest.mark.parametrize("decorator", DECORATORS)
@pytest.mark.parametrize("kind", KINDS)
def test_does_nothing_without_an_sdk(kind: str, decorator: str) -> None:
    """Without an SDK every kind of callable runs as if it were not decorated."""
    assert KINDS[kind](DECORATORS[decorator], lambda: 7) == 7


@pytest.mark.parametrize("outer", DECORATORS)
@pytest.mark.parametrize("inner", DECORATORS)
@pytest.mark.parametrize("kind", KINDS)
def test_stacks_in_any_order(kind: str, inner: str, outer: str, telemetry: Telemetry) -> None:
    """Two decorators on one callable record one call each, whichever is on top."""

    def decorate(target: Any) -> Any:
        return DECORATORS[outer](DECORATORS[inner]("inner")(target), name="outer")

    assert KINDS[kind](decorate, lambda: 7) == 7
    assert sorted(str(name).split(".")[0] for name in telemetry.names()) == ["inner", "outer"]


def is_named(name: str | None, way: str, kind: str) -> bool:
    """Whether it bears the given name, or the target's own; the SDK lowers the names of instruments."""
    given = "checkout.target" if "class" in kind.split("_") else "checkout"
    found = str(name).lower()
    return found.endswith("target") if way in NAMELESS else found == given


def test_typing_examples_can_be_imported() -> None:
    """The examples that type checkers read are real: they import without an error."""
    path = Path(__file__).with_name("typing_api.py")
    spec = spec_from_file_location("typing_api", path)
    assert spec is not None
    assert spec.loader is not None

    spec.loader.exec_module(module_from_spec(spec))
