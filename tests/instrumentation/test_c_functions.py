"""Functions written in C, and objects that answer for any attribute."""

from __future__ import annotations

import decimal
import logging
import operator
import os
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from instrumentation import counted, event, timed
from instrumentation.captures import Site
from instrumentation.patches import patched
from instrumentation.targets import target_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.instrumentation.conftest import Telemetry


class FailsForAny:
    """Has no attribute, and says so in its own way."""

    def __call__(self, *_: object) -> str:
        return "called"

    def __getattr__(self, name: str) -> Any:
        raise KeyError(name)


class HasAny(FailsForAny):
    """Has every attribute, as None."""

    def __getattr__(self, name: str) -> Any:
        return None


FUNCTIONS: list[tuple[Callable[..., Any], tuple[Any, ...], str, str]] = [
    (str.upper, ("a",), "str.upper", "builtins.str.upper"),
    ("a".upper, (), "str.upper", "builtins.str.upper"),
    (object.__repr__, (1,), "object.__repr__", "builtins.object.__repr__"),
    ((1).__add__, (2,), "int.__add__", "builtins.int.__add__"),
    (dict.fromkeys, ((1,),), "dict.fromkeys", "builtins.dict.fromkeys"),
    (len, ("abc",), "len", "builtins.len"),
    (operator.itemgetter(0), ([1],), "itemgetter", "operator.itemgetter"),
    (FailsForAny(), (), "FailsForAny", f"{__name__}.FailsForAny"),
    (HasAny(), (), "HasAny", f"{__name__}.HasAny"),
]


@pytest.mark.parametrize(("function", "args", "name", "code_name"), FUNCTIONS, ids=range(len(FUNCTIONS)))
@pytest.mark.parametrize("decorate", [timed, timed(record="metric"), counted, event])
def test_is_decorated_and_named(
    decorate: Any, function: Any, args: Any, name: str, code_name: str, telemetry: Telemetry
) -> None:
    """It is called and recorded under its own name, or its class's."""
    if name == "FailsForAny" and os.environ.get("WRAPT_DISABLE_EXTENSIONS"):
        pytest.skip("wrapt in pure Python reads the names of what it wraps, and lets their errors through")
    expected = function(*args)

    assert repr(decorate(function)(*args)) == repr(expected)

    site = Site(None, function)
    assert (site.name, site.code_name) == (name, code_name)
    assert len(telemetry.names()) == 1


def test_a_method_written_in_c_is_configured(telemetry: Telemetry) -> None:
    """One that a class of the application's inherits from a class written in C."""
    module = ModuleType("tests_shop")
    module.__dict__["Slug"] = type("Slug", (str,), {})
    (patch,) = patched(module, [target_of("tests_shop:Slug.upper=timed(upper)")], missing=print)

    assert module.Slug("tea").upper() == "TEA"

    patch.undo()
    assert telemetry.names() == ["upper"]
    assert "upper" not in vars(module.Slug)


def test_a_class_that_can_not_be_changed_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """What Python does not let be replaced is told, without a traceback."""
    assert patched(decimal, [target_of("decimal:Decimal.sqrt=timed")], missing=print) == []

    ((_, level, message),) = caplog.record_tuples
    assert level == logging.WARNING
    assert message.endswith("<class 'decimal.Decimal'> does not let 'sqrt' be replaced")
