"""Functions named in configuration are wrapped however their modules are imported, and no import fails."""

from __future__ import annotations

import importlib
import logging
import sys
import threading
import time
from collections.abc import Mapping
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
import wrapt

from instrumentation import instrument_functions, uninstrument
from instrumentation.imports import ImportWatch
from tests.instrumentation.shop import CART, Application

if TYPE_CHECKING:
    from tests.instrumentation.conftest import Telemetry


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


SELF = """
from instrumentation import instrument_functions
def early(): return 1
instrument_functions(["shop.self:early=timed", "shop.self:late=timed"])
instrument_functions(["shop.self:K.*=timed", "shop.sub:f=timed"])
early()
from shop import sub
TABLE = [early]
def late(): return 2
class K:
    def m(self): return 3
"""


@pytest.mark.parametrize("is_watched", [True, False])
def test_a_module_that_instruments_itself(
    is_watched: bool, shop: Application, telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    """What it has already is wrapped at once, what comes later when it has run; nothing is told amiss."""
    shop.write("self", SELF)
    shop.write("sub", "def f(): return 4")
    if is_watched:
        instrument_functions(["shop.self:ear*=counted(calls)"])

    module = shop.load("shop.self")
    module.late()
    module.K().m()
    module.sub.f()
    module.TABLE[0]()

    names = ["early", "late", "K.m", "f", "early"]
    assert [each for each in telemetry.names() if each != "calls.early"] == names
    assert caplog.messages == []
    uninstrument()
    assert {type(each).__name__ for each in (module.early, module.late, module.K.m, module.sub.f)} == {
        "function"
    }
    assert type(module.__spec__).__name__ == "ModuleSpec"


def test_a_module_that_instruments_itself_and_is_imported_anew(
    shop: Application, telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    """A reload wraps the new functions, and a name that is not there is told when the module has run."""
    shop.write("sub", "def f(): return 4")
    shop.write("self", f"{SELF}instrument_functions(['shop.self:lat=timed'])")
    module = shop.load("shop.self")
    assert caplog.messages == [
        "shop.self:lat is not instrumented: module 'shop.self' has no 'lat' (nearest: 'late')"
    ]
    importlib.reload(module)
    module.late()
    assert telemetry.names() == ["early", "late"]


def test_a_module_that_instruments_itself_and_fails(shop: Application, telemetry: Telemetry) -> None:
    """Its error reaches the application; mended, it is wrapped."""
    shop.write("sub", "def f(): return 4")
    shop.write("self", f"{SELF}raise LookupError('mine')")
    with pytest.raises(LookupError, match="mine"):
        shop.load("shop.self")
    shop.write("self", SELF)
    shop.load("shop.self").late()
    assert telemetry.names() == ["early", "late"]


def test_a_module_that_runs_without_an_import(shop: Application, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody tells when such a module has run, so that is said, and what to do."""
    shop.write("self", SELF)
    shop.write("sub", "def f(): return 4")
    spec = importlib.util.find_spec("shop.self")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["shop.self"] = module

    spec.loader.exec_module(module)

    late, many = caplog.messages
    assert late == (
        "shop.self:late is not instrumented: module 'shop.self' has no 'late' so far. Its code is still "
        "running, and not by an import, whose end is waited for: call instrument_functions when it has run"
    )
    assert many.startswith("shop.self:K.* is not instrumented: module 'shop.self' has no 'K' so far. Its ")


def test_a_module_that_waits_for_the_one_that_instruments_it(
    shop: Application, telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    """Python lets one of two threads that wait for each other go on: the other's module is wrapped too."""
    shop.write("waiting", "import shop.setup\ndef late(): return 1")
    shop.write(
        "setup",
        "import importlib, sys, threading, time\nfrom instrumentation import instrument_functions\n"
        "thread = threading.Thread(target=importlib.import_module, args=('shop.waiting',), daemon=True)\n"
        "thread.start()\ntime.sleep(0.2)\nassert 'shop.waiting' in sys.modules\n"
        "instrument_functions(['shop.waiting:late=timed'])",
    )
    setup = shop.load("shop.setup")
    setup.thread.join(10)
    shop.load("shop.waiting").late()
    assert telemetry.names() == ["late"]
    assert caplog.messages == []


ODD = """
class Proxy:
    @property
    def __class__(self): raise RuntimeError("not set up")
    def __getattr__(self, name): raise RuntimeError(name)
current = Proxy()
def __getattr__(name): raise RuntimeError(name)
def f(): return 1
class K:
    held = current
    def m(self): return 2
"""


@pytest.mark.parametrize("name", ["odd", "odd.__init__"])
@pytest.mark.parametrize("is_imported_before", [True, False])
def test_a_module_whose_attributes_raise(
    name: str,
    is_imported_before: bool,
    tmp_path: Path,
    shop: Application,
    telemetry: Telemetry,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Neither its own `__getattr__` nor a proxy in it, which may raise anything, is asked for more."""
    (tmp_path / "shop" / "odd").mkdir() if "." in name else None
    shop.write(name.replace(".", "/"), ODD)
    if is_imported_before:
        shop.load("shop.odd")

    instrument_functions(["shop.odd:f=timed", "shop.odd:K.*=timed", "shop.odd:*=counted(calls)"])
    instrument_functions(["shop.odd:g=timed", "shop.odd.part:h=timed"])
    odd = shop.load("shop.odd")

    odd.f()
    odd.K().m()
    assert telemetry.names() == ["f", "K.m", "calls.f"]
    told = ["shop.odd:g is not instrumented: module 'shop.odd' has no 'g'"]
    if "." in name:
        told.append("nothing is instrumented in 'shop.odd.part': there is no such module")
    assert sorted(caplog.messages) == sorted(told)


def test_faults_of_the_watch_do_not_reach_the_import(
    shop: Application, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever fails in here, the import goes on."""

    def fail(what: Mapping[str, object] | str | ModuleType) -> bool:
        if isinstance(what, ModuleType) or what == "shop.views":
            raise RuntimeError("ours")
        return True

    shop.write("views", "")
    watch = ImportWatch(fail, fail, fail)
    watch.start()
    try:
        with caplog.at_level(logging.ERROR):
            assert shop.load().total(1) == 1
            shop.load("shop.views")
    finally:
        watch.stop()
    assert len([record for record in caplog.records if record.exc_info]) >= 2
