"""Functions named in configuration are wrapped in real modules, and restored; wrong names are said."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from instrumentation import instrument_functions, uninstrument
from tests.instrumentation.shop import Application

if TYPE_CHECKING:
    from tests.instrumentation.conftest import Telemetry


def snapshot(*owners: Any) -> list[dict[str, object]]:
    return [dict(vars(owner)) for owner in owners]


ORDERS = pytest.mark.parametrize("is_imported_before", [True, False], ids=["before", "after"])


@ORDERS
@pytest.mark.parametrize(
    ("entry", "call", "recorded"),
    [
        ("shop.cart:total=timed", "cart.total(1)", ["total"]),
        ("shop.cart:total=timed(Total)", "cart.total(1)", ["Total"]),
        ("shop.cart:total=timed(sum, record=metric)", "cart.total(1)", ["sum"]),
        ("shop.cart:total=event(cart.total)", "cart.total(1)", ["cart.total"]),
        ("shop.cart:Cart.add=timed", "cart.Cart().add(1)", ["Cart.add"]),
        ("shop.cart:Cart.add=timed('Add {sku}')", "cart.Cart().add('x')", ["Add x"]),
        ("shop.cart:Cart.fetch=timed", "cart.asyncio.run(cart.Cart().fetch())", ["Cart.fetch"]),
        ("shop.cart:Cart.items=timed", "list(cart.Cart().items())", ["Cart.items"]),
        ("shop.cart:Cart.count=timed", "cart.Cart.count()", ["Cart.count"]),
        ("shop.cart:Cart.make=timed", "cart.Cart.make()", ["Cart.make"]),
        ("shop.cart:Cart.size=timed", "cart.Cart().size", ["Cart.size"]),
        ("shop.cart:Cart.stock=timed", "cart.Cart().stock", ["Cart.stock"]),
        ("shop.cart:Cart.inherited=timed", "cart.Cart().inherited()", ["Base.inherited"]),
        ("shop.cart:Cart.inherited=timed", "cart.Base.inherited(0)", []),
        ("shop.cart:Cart.Row.price=timed", "cart.Cart.Row().price()", ["Cart.Row.price"]),
        ("shop.cart:Cart=timed", "cart.Cart().add(1), cart.Cart.count()", ["Cart.add", "Cart.count"]),
        ("shop.cart:Cart.*=timed", "cart.Cart().add(1), cart.Cart.count()", ["Cart.add", "Cart.count"]),
        ("shop.cart:Cart.*=timed(Cart)", "cart.Cart().add(1)", ["Cart.add"]),
        ("shop.cart:Cart.*=timed", "cart.Cart()._private(), cart.Cart().inherited()", []),
        ("shop.cart:*.add=timed", "cart.Cart().add(1), cart.Other().add()", ["Cart.add", "Other.add"]),
        ("shop.cart:t*=timed", "cart.total(1), cart.tax()", ["total", "tax"]),
        ("shop.cart:*=timed", "cart.total(1), cart._hidden(), cart.Other().add()", ["total"]),
        ("shop.cart:_*=timed", "cart._hidden()", ["_hidden"]),
        ("shop.cart:tax=timed", "cart.tax(), cart.alias()", ["tax", "tax"]),
        ("shop.*:total=timed", "cart.total(1)", ["total"]),
    ],
)
def test_functions_are_recorded(
    entry: str,
    call: str,
    recorded: list[str],
    is_imported_before: bool,
    shop: Application,
    telemetry: Telemetry,
) -> None:
    """What an entry names is recorded, and gives what it gave, imported before or after."""
    if is_imported_before:
        shop.load()
    instrument_functions([entry])
    cart = shop.load()

    now = eval(call, {"cart": cart})
    names = telemetry.names()
    uninstrument()

    assert names == recorded
    if not isinstance(now, (tuple, cart.Base)):
        assert now == eval(call, {"cart": cart})
    assert telemetry.names() == recorded


def test_counts_what_the_result_is_worth(shop: Application, telemetry: Telemetry) -> None:
    """`value=result.total` reads revenue off the result."""
    instrument_functions(["shop.cart:Cart.add=counted(revenue, value=result.total)"])
    shop.load().Cart().add("x", amount=5)
    assert [(point.name, point.value) for point in telemetry.points()] == [("revenue", 10)]


@ORDERS
def test_uninstrument_restores_the_very_same_objects(is_imported_before: bool, shop: Application) -> None:
    """Afterwards every module and class holds exactly the objects that it held, and so does sys.meta_path."""
    finders = list(sys.meta_path)
    shop.write("views", "from shop.cart import total")
    owners_before = None
    if is_imported_before:
        cart, views = shop.load(), shop.load("shop.views")
        owners_before = snapshot(cart, cart.Cart, cart.Cart.Row, cart.Other, views)
    instrument_functions(["shop.cart:*=timed", "shop.cart:*.*=timed", "shop.cart:Cart.size=timed"])
    instrument_functions(["shop.cart:total=counted(calls)", "shop.cart:Cart.inherited=timed"])
    cart, views = shop.load(), shop.load("shop.views")
    held = cart.total
    owners = cart, cart.Cart, cart.Cart.Row, cart.Other, views
    changed = snapshot(*owners)

    uninstrument()

    assert sys.meta_path == finders
    after = snapshot(*owners)
    assert after != changed
    if owners_before is not None:
        assert [list(each) for each in after] == [list(each) for each in owners_before]
        for one, other in zip(after, owners_before, strict=True):
            assert all(one[name] is other[name] for name in one)
    assert type(cart.total) is type(lambda: 0)
    assert held is not cart.total
    assert views.total is cart.total


def test_wrappers_still_held_record_no_more(shop: Application, telemetry: Telemetry) -> None:
    """What was registered while it was wrapped, as a view function say, goes straight through afterwards."""
    instrument_functions(["shop.cart:total=timed", "shop.cart:Cart.size=timed"])
    cart = shop.load()
    held = cart.total
    uninstrument()
    assert held(1, 2) == 3
    assert telemetry.names() == []


def test_may_be_turned_on_and_off(shop: Application, telemetry: Telemetry) -> None:
    """After uninstrument the same entries may be given again."""
    cart = shop.load()
    for _ in range(3):
        instrument_functions(["shop.cart:total=timed"])
        cart.total(1)
        uninstrument()
        cart.total(1)
    assert telemetry.names() == ["total"] * 3


def test_packages_without_init(shop: Application, telemetry: Telemetry, tmp_path: Path) -> None:
    """Modules of a namespace package are found like any other."""
    (tmp_path / "shop" / "spread").mkdir()
    (tmp_path / "shop" / "spread" / "far.py").write_text("def f(): return 1")
    instrument_functions(["shop.spread.far:f=timed"])
    assert shop.load("shop.spread.far").f() == 1
    assert telemetry.names() == ["f"]


def test_names_that_others_imported_follow(shop: Application, telemetry: Telemetry) -> None:
    """A module that did `from shop.cart import total` before sees the wrapped function too."""
    shop.write("views", "from shop.cart import total as sum_up\ndef view(): return sum_up(1, 2)")
    views = shop.load("shop.views")
    instrument_functions(["shop.cart:total=timed"])
    assert views.view() == 3
    assert telemetry.names() == ["total"]


def test_what_others_define_is_wrapped_where_it_is_named_only(
    shop: Application, telemetry: Telemetry
) -> None:
    """A function that the application imported from elsewhere stays as it is for everybody else."""
    original = json.loads
    shop.write("reader", "from json import loads")
    instrument_functions(["shop.reader:loads=timed(Read)"])
    assert shop.load("shop.reader").loads("1") == 1
    assert json.loads is original
    uninstrument()
    assert shop.load("shop.reader").loads is original
    assert telemetry.names() == ["Read"]


def test_the_same_entry_twice_wraps_once(shop: Application, telemetry: Telemetry) -> None:
    """Entries may be given again, and overlap; a function goes before its class, a class before globs."""
    for _ in range(2):
        instrument_functions(
            ["shop.cart:Cart.*=timed", "shop.cart:Cart=timed(Cart)", "shop.cart:Cart.add=timed(Add)"]
        )
    cart = shop.load()
    instrument_functions(["shop.cart:*.add=timed"])
    cart.Cart().add(1)
    assert telemetry.names() == ["Add"]


def test_functions_decorated_in_code_are_not_timed_twice(
    shop: Application, telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    """A function with @timed keeps its own, which is said; what it does not record yet is added."""
    shop.write("code", "from instrumentation import timed\n@timed('Own')\ndef pay(): return 1")
    code = shop.load("shop.code")
    own = code.pay
    instrument_functions(["shop.code:pay=timed(Other)", "shop.code:pay=counted(payments)"])
    assert code.pay() == 1
    assert telemetry.names() == ["Own", "payments"]
    (told,) = caplog.messages
    assert told == (
        "shop.code:pay=timed(Other) changes nothing: the function is timed already, as 'Own', by a decorator "
        "in the code; change it there, or take one of the two out"
    )
    uninstrument()
    assert code.pay is own
    assert code.pay() == 1
    assert telemetry.names() == ["Own", "Own", "payments"]


@ORDERS
@pytest.mark.parametrize(
    ("kept", "lost", "already"),
    [
        ("shop.cart:total=timed(A)", "shop.cart:total=timed(B)", "timed already, as 'A'"),
        ("shop.cart:tax=timed", "shop.cart:alias=timed(Alias)", "timed already, as 'tax'"),
        (
            "shop.cart:total=counted(a)",
            "shop.cart:total=counted(a, value=result.real, attributes=['x'])",
            "counted already, as 'a'",
        ),
    ],
)
def test_an_entry_that_changes_nothing_is_said(
    kept: str,
    lost: str,
    already: str,
    is_imported_before: bool,
    shop: Application,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A name that was asked for is not lost in silence: what is there already is named, and what to do."""
    if is_imported_before:
        shop.load()
    instrument_functions([kept, lost])
    shop.load()
    (told,) = caplog.messages
    assert (
        told == f"{lost} changes nothing: the function is {already}, by {kept}; keep one of the two entries"
    )


@pytest.mark.parametrize(
    "entries",
    [
        ["shop.cart:*=timed", "shop.cart:total=timed(Total)", "shop.cart:t*=timed(T)"],
        ["shop.cart:Cart.*=timed", "shop.cart:Cart=timed(Cart)", "shop.cart:Cart.add=timed(Add)"],
        ["shop.cart:total=timed(A)", "shop.cart:total=timed(A)"],
        ["shop.cart:total=timed(A)", "shop.cart:total=timed(record=metric)", "shop.cart:total=counted(a)"],
    ],
)
def test_entries_that_overlap_on_purpose_are_not_said(
    entries: list[str], shop: Application, caplog: pytest.LogCaptureFixture
) -> None:
    """A glob or a class beside a function, an entry given twice, and two kinds of record are no mistake."""
    instrument_functions(entries)
    shop.load()
    instrument_functions(entries)
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("shop.cart:totl=timed", "module 'shop.cart' has no 'totl' (nearest: 'total')"),
        ("shop.cart:Cart.ad=timed", "class 'Cart' has no 'ad' (nearest: 'add')"),
        ("shop.cart:Crat.add=timed", "module 'shop.cart' has no 'Crat' (nearest: 'Cart')"),
        ("shop.cart:RATE=timed", "'RATE' of module 'shop.cart' is 'float', which can not be decorated"),
        ("shop.cart:total.add=timed", "'total' of module 'shop.cart' is 'function'"),
        ("shop.cart:x*=timed", "module 'shop.cart' has nothing that 'x*' means"),
        ("shop.crat:total=timed", "'shop.crat': there is no such module (nearest: 'shop.cart')"),
        ("shop.crat.deep:total=timed", "'shop.crat': there is no such module (nearest: 'shop.cart')"),
    ],
)
@ORDERS
def test_wrong_names_are_said_and_harm_nothing(
    entry: str,
    message: str,
    is_imported_before: bool,
    shop: Application,
    telemetry: Telemetry,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A wrong name is said once with the nearest right one; the rest is wrapped, and the import goes on."""
    if is_imported_before:
        shop.load()
    instrument_functions([entry, "shop.cart:tax=timed"])
    cart = shop.load()
    cart.tax()
    assert [message in record.getMessage() for record in caplog.records] == [True]
    assert telemetry.names() == ["tax"]


def test_a_module_that_cannot_be_changed_is_said(shop: Application, caplog: pytest.LogCaptureFixture) -> None:
    """A class of the interpreter refuses; the application does not notice."""
    instrument_functions(["builtins:int.bit_length=timed"])
    assert (5).bit_length() == 3
    assert "builtins:int.bit_length is not instrumented" in caplog.text


def test_wrong_entries_are_errors_before_anything_is_wrapped(shop: Application, telemetry: Telemetry) -> None:
    """In Python a wrong entry raises at once."""
    with pytest.raises(ValueError, match="nearest: 'timed'"):
        instrument_functions(["shop.cart:total=timed", "shop.cart:total=tmed"])
    shop.load().total()
    assert telemetry.names() == []


def test_like_names_are_told_when_imported(shop: Application, caplog: pytest.LogCaptureFixture) -> None:
    """`shpo` is not found until `shop` is imported; then the likeness is said."""
    instrument_functions(["shpo.cart:total=timed"])
    assert caplog.records == []
    shop.load()
    assert "in 'shpo': there is no such module (nearest: 'shop')" in caplog.text
