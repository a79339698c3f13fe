"""Functions named in configuration are wrapped in real modules, whenever and however those are imported."""

from __future__ import annotations

import importlib
import json
import logging
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
import wrapt

from instrumentation import instrument_functions, uninstrument
from instrumentation.imports import ImportWatch

if TYPE_CHECKING:
    from tests.instrumentation.conftest import Telemetry

CART = """
import asyncio
import functools
from abc import ABC

class Base(ABC):
    def inherited(self): return "inherited"

class Cart(Base):
    limit = 5
    def add(self, sku, amount=1): return {"total": amount * 2}
    async def fetch(self): return "fetched"
    def items(self): yield 1
    @staticmethod
    def count(): return 3
    @classmethod
    def make(cls): return cls()
    @property
    def size(self): return 4
    @functools.cached_property
    def stock(self): return 5
    def _private(self): return 6
    class Row:
        def price(self): return 7

class Other:
    def add(self): return 8

def total(*amounts): return sum(amounts)
def tax(): return 9
alias = tax
def _hidden(): return 10
RATE = 0.2
"""


class Application:
    """A package `shop` of its own on the path, with what the test puts into it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "shop"
        self._folder.mkdir()
        self.write("__init__", "")

    def write(self, name: str, source: str) -> None:
        """Put a module into the package."""
        (self._folder / f"{name}.py").write_text(source)
        importlib.invalidate_caches()

    def load(self, name: str = "shop.cart") -> Any:
        """The module, imported (Any: the test knows what is in it)."""
        return importlib.import_module(name)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, telemetry: Telemetry) -> Iterator[Application]:
    """The application, with `shop.cart` and the SDK set up; forgotten afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    application = Application(tmp_path)
    application.write("cart", CART)
    yield application
    uninstrument()
    for name in [name for name in sys.modules if name.split(".")[0] == "shop"]:
        del sys.modules[name]


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
    """Entries may be given again, and overlap; the exact one goes before the glob."""
    for _ in range(2):
        instrument_functions(
            ["shop.cart:Cart.*=timed", "shop.cart:Cart.add=timed(Add)", "shop.cart:Cart=timed"]
        )
    cart = shop.load()
    instrument_functions(["shop.cart:*.add=timed"])
    cart.Cart().add(1)
    assert telemetry.names() == ["Add"]


def test_functions_decorated_in_code_are_not_timed_twice(shop: Application, telemetry: Telemetry) -> None:
    """A function with @timed keeps its own; what it does not record yet is added."""
    shop.write("code", "from instrumentation import timed\n@timed('Own')\ndef pay(): return 1")
    code = shop.load("shop.code")
    own = code.pay
    instrument_functions(["shop.code:pay=timed(Other)", "shop.code:pay=counted(payments)"])
    assert code.pay() == 1
    assert telemetry.names() == ["Own", "payments"]
    uninstrument()
    assert code.pay is own
    assert code.pay() == 1
    assert telemetry.names() == ["Own", "Own", "payments"]


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


def test_reload_wraps_the_new_functions(shop: Application, telemetry: Telemetry) -> None:
    """After a reload the new functions are wrapped once, and uninstrument restores the new ones."""
    instrument_functions(["shop.cart:total=timed", "shop.cart:Cart.add=timed"])
    cart = shop.load()
    loader = cart.__loader__
    shop.write("cart", CART.replace("sum(amounts)", "sum(amounts) + 100"))

    importlib.reload(cart)

    assert cart.total(1) == 101
    cart.Cart().add(1)
    assert telemetry.names() == ["total", "Cart.add"]
    uninstrument()
    assert cart.total(1) == 101
    assert telemetry.names() == ["total", "Cart.add"]
    assert type(cart.__loader__) is type(loader)


def test_the_module_keeps_its_own_loader(shop: Application) -> None:
    """What reads sources and data through the loader finds the real one, during and after the import."""
    shop.write("own", "loaders = __loader__, __spec__.loader\ndef f(): ...")
    instrument_functions(["shop.own:f=timed"])
    own = shop.load("shop.own")
    kinds = {type(each) for each in (*own.loaders, own.__loader__, own.__spec__.loader)}
    assert [kind.__name__ for kind in kinds] == ["SourceFileLoader"]
    spec = importlib.util.find_spec("shop.cart")
    assert spec is not None
    assert "class Cart" in (spec.loader.get_source("shop.cart") or "")  # type: ignore[union-attr]  # not Loader's


@pytest.mark.parametrize("is_first", [True, False], ids=["before", "behind"])
def test_beside_finders_that_ask_all_others(is_first: bool, shop: Application, telemetry: Telemetry) -> None:
    """wrapt's import hooks, and those of tools built like it, hear of a module too, and each of us once."""
    heard: list[str] = []
    wrapt.register_post_import_hook(lambda module: heard.append(module.__name__), "shop.cart")
    theirs = next(each for each in sys.meta_path if type(each).__name__ == "ImportHookFinder")
    sys.meta_path.remove(theirs)
    instrument_functions(["shop.cart:total=timed", "shop.cart:no=timed"])
    sys.meta_path.insert(0 if is_first else 1, theirs)

    cart = shop.load()

    cart.total(1)
    assert heard == ["shop.cart"]
    assert telemetry.names() == ["total"]
    assert {type(cart.__loader__), type(cart.__spec__.loader)} == {SourceFileLoader}


def test_failing_import_fails_as_ever_and_may_be_repeated(shop: Application, telemetry: Telemetry) -> None:
    """An import error reaches the application; when the module is mended, it is wrapped."""
    instrument_functions(["shop.broken:f=timed"])
    shop.write("broken", "raise LookupError('mine')")
    with pytest.raises(LookupError, match="mine"):
        shop.load("shop.broken")
    shop.write("broken", "def f(): return 'mended'")
    assert shop.load("shop.broken").f() == "mended"
    assert telemetry.names() == ["f"]


def test_threads_importing_at_once(shop: Application, telemetry: Telemetry) -> None:
    """Threads that import and instrument at the same time wrap once, and all see the wrapped function."""
    shop.write("slow", "import time; time.sleep(0.05)\ndef f(): return 1")
    barrier = threading.Barrier(8)
    results: list[object] = []

    def work(number: int) -> None:
        barrier.wait()
        if number % 2:
            instrument_functions(["shop.slow:f=timed"])
        module = shop.load("shop.slow")
        results.append(module.f)

    instrument_functions(["shop.cart:total=timed"])
    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=10)

    assert len(results) == 8
    assert sys.modules["shop.slow"].f() == 1
    assert telemetry.names() == ["f"]


def test_threads_that_wait_for_each_others_imports(shop: Application, telemetry: Telemetry) -> None:
    """A module that instruments others while a thread instruments it: both come to their end."""
    shop.write(
        "slow",
        "import time; from instrumentation import instrument_functions\ntime.sleep(0.1)\n"
        "instrument_functions(['shop.cart:tax=timed'])\ndef f(): return 1",
    )
    shop.load()
    importing = threading.Thread(target=shop.load, args=("shop.slow",), daemon=True)
    importing.start()
    while "shop.slow" not in sys.modules:
        time.sleep(0.001)

    instrumenting = threading.Thread(target=instrument_functions, args=(["shop.slow:f=timed"],), daemon=True)
    instrumenting.start()
    for thread in (importing, instrumenting):
        thread.join(timeout=10)
        assert not thread.is_alive()

    shop.load("shop.slow").f()
    shop.load().tax()
    assert telemetry.names() == ["f", "tax"]


def test_a_module_that_instruments_itself(
    shop: Application, telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    """In the middle of its import a module has no later functions yet; nobody waits for them."""
    shop.write(
        "self",
        "from instrumentation import instrument_functions\ndef early(): return 1\n"
        "instrument_functions(['shop.self:early=timed', 'shop.self:late=timed'])\ndef late(): return 2",
    )
    module = shop.load("shop.self")
    module.early()
    module.late()
    assert telemetry.names() == ["early"]
    assert "has no 'late'" in caplog.text


def test_faults_of_the_watch_do_not_reach_the_import(
    shop: Application, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever fails in here, the import goes on."""

    def fail(what: Mapping[str, object] | str | ModuleType) -> bool:
        if isinstance(what, ModuleType) or what == "shop.views":
            raise RuntimeError("ours")
        return True

    shop.write("views", "")
    watch = ImportWatch(fail, fail)
    watch.start()
    try:
        with caplog.at_level(logging.ERROR):
            assert shop.load().total(1) == 1
            shop.load("shop.views")
    finally:
        watch.stop()
    assert len([record for record in caplog.records if record.exc_info]) >= 2
