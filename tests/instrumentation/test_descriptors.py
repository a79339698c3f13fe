"""Members of classes that are no functions, and how deep a decorated function may recurse."""

from __future__ import annotations

import sys
from functools import cached_property, partialmethod, singledispatchmethod
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from instrumentation import counted, timed
from instrumentation.patches import patched
from instrumentation.targets import target_of

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


class Tagged:
    """What an application adds to a holder: its own arguments, state and slots."""

    def __init__(self, tag: str, function: Any) -> None:
        super().__init__(function)  # type: ignore[call-arg]  # of the holder it is mixed into
        self.tag = tag


class TaggedStatic(Tagged, staticmethod):  # type: ignore[type-arg]
    __slots__ = ("never", "tag")


class TaggedClassMethod(Tagged, classmethod):  # type: ignore[type-arg]
    pass


class TaggedProperty(Tagged, property):
    pass


class TaggedCache(Tagged, cached_property):  # type: ignore[type-arg]
    pass


class TaggedPartial(Tagged, partialmethod):  # type: ignore[type-arg]
    pass


@pytest.mark.parametrize(
    ("kind", "function", "use"),
    [
        (TaggedStatic, lambda: 5, lambda shop: shop.target()),
        (TaggedClassMethod, lambda cls: 5, lambda shop: shop.target()),
        (TaggedProperty, lambda self: 5, lambda shop: shop.target),
        (TaggedCache, lambda self: 5, lambda shop: shop.target),
        (TaggedPartial, lambda self: 5, lambda shop: shop.target()),
    ],
)
@pytest.mark.parametrize("is_configured", [False, True])
def test_holders_of_classes_of_the_applications_own(
    kind: Any, function: Any, use: Any, is_configured: bool, telemetry: Telemetry
) -> None:
    """They are timed, and keep class and state though their `__init__` takes what Python's does not."""
    holder = kind("tag", function)
    shop = type("Shop", (), {"target": holder if is_configured else timed("pay")(holder)})
    if is_configured:
        module = ModuleType("tests_shop")
        vars(module)["Shop"] = shop
        (patch,) = patched(module, [target_of("tests_shop:Shop.target=timed(pay)")], missing=print)

    assert use(shop()) == 5

    assert telemetry.names() == ["pay"]
    assert (type(vars(shop)["target"]), vars(shop)["target"].tag) == (kind, "tag")
    if is_configured:
        patch.undo()
        assert vars(shop)["target"] is holder


def test_a_partial_method(telemetry: Telemetry) -> None:
    """It takes the arguments that were given to it, and then its own, through its object or its class."""

    class Shop:
        def add(self, sku: str, count: int, *, gift: bool = False) -> tuple[str, int, bool]:
            return sku, count, gift

        add_tea = timed("add")(partialmethod(add, "tea", gift=True))

    assert (Shop().add_tea(2), Shop.add_tea(Shop(), 3)) == (("tea", 2, True), ("tea", 3, True))
    assert telemetry.names() == ["add", "add"]


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


@pytest.mark.parametrize("is_configured", [False, True])
def test_partial_and_single_dispatch_methods_of_a_class(is_configured: bool, telemetry: Telemetry) -> None:
    """They are public methods of their class as any other, also where a configuration names them all."""

    class Shop:
        add_tea = partialmethod(lambda self, sku: sku, "tea")

        @singledispatchmethod
        def pay(self, with_what: Any) -> str:
            return "anything"

        @pay.register
        def _(self, with_what: int) -> str:
            return "number"

    if is_configured:
        module = ModuleType("tests_shop")
        module.__dict__["Shop"] = Shop
        patches = patched(module, [target_of("tests_shop:Shop.*=timed(Shop)")], missing=print)
    else:
        timed("Shop")(Shop)

    assert (Shop().add_tea(), Shop().pay("x"), Shop().pay(1)) == ("tea", "anything", "number")

    assert telemetry.names() == ["Shop.add_tea", "Shop.pay", "Shop.pay"]
    if is_configured:
        for patch in patches:
            patch.undo()
        assert {type(vars(Shop)[name]) for name in ("add_tea", "pay")} == {
            partialmethod,
            singledispatchmethod,
        }


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
