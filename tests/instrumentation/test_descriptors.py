"""Members of classes that are no functions, and how deep a decorated function may recurse."""

from __future__ import annotations

import sys
from functools import singledispatchmethod
from typing import TYPE_CHECKING, Any

import pytest

from instrumentation import counted, timed

if TYPE_CHECKING:
    from tests.instrumentation.conftest import Telemetry


def test_a_callable_object_learns_its_name(telemetry: Telemetry) -> None:
    """`__set_name__` of what is decorated is called, as it is without the decorator."""

    class Action:
        name = ""

        def __set_name__(self, owner: type, name: str) -> None:
            self.name = f"{owner.__name__}.{name}"

        def __call__(self) -> str:
            return self.name

    class Shop:
        pay = timed("pay")(Action())

    assert Shop().pay() == "Shop.pay"
    assert telemetry.names() == ["pay"]


@pytest.mark.parametrize("decorate", [lambda each: each, timed, lambda each: classmethod(timed(each))])
def test_class_methods_that_are_so_by_their_name(decorate: Any, telemetry: Telemetry) -> None:
    """`__init_subclass__` and `__class_getitem__` get their class, as undecorated."""
    told: list[object] = []

    class Shop:
        @decorate  # type: ignore[untyped-decorator]  # any of the above
        def __init_subclass__(cls, **options: Any) -> None:
            super().__init_subclass__()
            told.append((cls.__name__, options))

        @decorate  # type: ignore[untyped-decorator]  # any of the above
        def __class_getitem__(cls, key: Any) -> tuple[str, Any]:
            return cls.__name__, key

    class Bakery(Shop, bread="rye"):
        pass

    shop: Any = Shop
    bakery: Any = Bakery
    assert (told, shop[1], bakery[2]) == ([("Bakery", {"bread": "rye"})], ("Shop", 1), ("Bakery", 2))
    assert {type(vars(Shop)[name]) for name in ("__init_subclass__", "__class_getitem__")} == {classmethod}
    assert len(telemetry.names()) == (0 if decorate(len) is len else 3)


def test_new_is_a_static_method(telemetry: Telemetry) -> None:
    """`__new__` takes the class it is given, also when asked for by an object."""

    class Shop:
        @timed("new")
        @counted("new")
        def __new__(cls) -> Any:
            return super().__new__(cls)

    assert type(Shop().__new__(Shop)) is Shop
    assert telemetry.names() == ["new"] * 4


def test_a_property_that_is_only_set_stays(telemetry: Telemetry) -> None:
    """A property without a getter is passed through: there is nothing to be timed."""
    told: list[object] = []

    class Shop:
        city = timed(property(None, lambda self, value: told.append(value)))

    shop: Any = Shop()
    shop.city = "Oslo"
    with pytest.raises(AttributeError):
        _ = shop.city

    assert (told, telemetry.names()) == (["Oslo"], [])


def test_a_single_dispatch_method(telemetry: Telemetry) -> None:
    """It dispatches as without the decorator, and its calls are timed, also where more is registered."""

    class Shop:
        @timed("pay")  # type: ignore[type-var]  # a descriptor, not a callable
        @singledispatchmethod
        def pay(self, with_what: Any) -> str:
            return "anything"

        @pay.register
        def _(self, with_what: int) -> str:
            return "number"

    assert (Shop().pay("x"), Shop().pay(1)) == ("anything", "number")
    assert telemetry.names() == ["pay", "pay"]


@pytest.mark.parametrize("target", [5, object()], ids=range(2))
def test_what_can_not_be_called_is_refused(target: Any) -> None:
    """What cannot work is said at once."""
    with pytest.raises(TypeError, match="can not be decorated: it is not callable"):
        timed()(target)


@pytest.mark.parametrize("record", ["span", "metric"])
@pytest.mark.parametrize("has_sdk", [False, True])
def test_recursion(record: Any, has_sdk: bool, telemetry_later: Telemetry) -> None:
    """A decorated function recurses to a third of the depth that it reaches alone."""
    if has_sdk:
        telemetry_later.install()

    @timed(record=record)
    def depth(left: int) -> int:
        return 0 if left == 0 else 1 + depth(left - 1)

    assert depth(int((sys.getrecursionlimit() - 150) * 0.3)) > 0
