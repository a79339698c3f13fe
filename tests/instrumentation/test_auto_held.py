"""Functions that somebody took before they were wrapped are told of, and no others."""

from __future__ import annotations

import gc
import pickle
from typing import TYPE_CHECKING, Any

import pytest

from instrumentation import instrument_functions
from tests.instrumentation.shop import Application

if TYPE_CHECKING:
    from tests.instrumentation.conftest import Telemetry

HELD = """
def total(): return 1
def tax(): return 2
def fee(): return 3
def view(): return 4
class Job:
    run = staticmethod(tax)
    def __init__(self, work=fee): self.work = work
    def fetch(self): return 5
    data = property(fetch)
class App:
    pass
HANDLERS = {"total": total}
app = App()
app.view = view
"""
FREE = """
import functools
from dataclasses import dataclass
from json import loads

def total(): return total
alias = total
def retried(function):
    @functools.wraps(function)
    def again(): return function()
    return again
@retried
def pay(): return 2
async def fetch(): return 3
def items(): yield 4
@dataclass(slots=True)
class Line:
    sku: str = ""
    def price(self): return super().__repr__()
    add = price
    @classmethod
    def make(cls): return cls()
class Cart:
    def add(self): return self
class Bakery(Cart):
    def bake(self): return self
bakery = Bakery()
pending = items()
next(pending)
"""


@pytest.mark.parametrize("is_imported_before", [True, False])
def test_functions_that_were_taken_are_told(
    is_imported_before: bool, shop: Application, telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    """Calls through what took them go by unrecorded, so they are named once, with what took them."""
    shop.write("held", HELD)
    if is_imported_before:
        shop.load("shop.held")

    instrument_functions(["shop.held:*=timed", "shop.held:Job.*=timed"])
    held = shop.load("shop.held")

    assert held.HANDLERS["total"]() == 1
    assert telemetry.names() == []
    (message,) = caplog.messages
    assert message.startswith("taken before they were wrapped: shop.held:")
    for expected in (
        "total (by dict)",
        "tax (by staticmethod)",
        "fee (by tuple)",
        "view (by ",
        "Job.fetch (by property)",
    ):
        assert f"shop.held:{expected}" in message
    assert message.count("shop.held:") == 5
    assert "below what takes them" in message


@pytest.mark.parametrize("is_imported_before", [True, False])
def test_functions_that_nobody_took_are_not_told(
    is_imported_before: bool, shop: Application, telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    """Names in modules and classes, running calls and our own wrappers are no holders."""
    shop.write("free", FREE)
    shop.write("other", "from shop.free import total as sum_up, Cart")
    if is_imported_before:
        shop.load("shop.other")

    for _ in range(2):
        instrument_functions(["shop.free:*=timed", "shop.free:*.*=timed", "shop.free:loads=timed"])
        instrument_functions(["shop.free:Bakery.add=counted"])
        shop.load("shop.other")
    instrument_functions(["shop.free:total=counted", "shop.other:sum_up=event"])

    assert shop.load("shop.other").sum_up() is shop.load("shop.free").total
    assert caplog.messages == []


def test_many_functions_that_were_taken_make_one_line(
    shop: Application, caplog: pytest.LogCaptureFixture
) -> None:
    """A table of many names the first few, and how many more there are."""
    functions = "".join(f"def f{n}(): ...\n" for n in range(9))
    shop.write("table", functions + "ALL = [f0, f1, f2, f3, f4, f5, f6, f7, f8]")
    instrument_functions(["shop.table:*=timed"])
    shop.load("shop.table")
    (message,) = caplog.messages
    assert message.count("(by list)") == 5
    assert "and 4 more. Calls" in message


def test_what_is_told_can_indeed_not_be_pickled(shop: Application) -> None:
    """The function itself is not what its name leads to any more: README says so, and so does the message."""
    shop.write("held", HELD)
    instrument_functions(["shop.held:total=timed"])
    held = shop.load("shop.held")
    with pytest.raises(pickle.PicklingError, match="not the same object"):
        pickle.dumps(held.HANDLERS["total"])
    assert pickle.loads(pickle.dumps(held.total)) is held.total


def test_all_entries_of_a_module_cost_one_look(
    shop: Application, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The garbage collector looks at every object of the process: once, however many entries there are."""
    functions = "".join(f"def f{n}(): ...\n" for n in range(30))
    shop.write("table", f"{functions}ALL = [{', '.join(f'f{n}' for n in range(30))}]")
    shop.load("shop.table")
    looks: list[int] = []

    def counted_look(*functions: Any) -> list[Any]:
        looks.append(len(functions))
        return gc_referrers(*functions)

    gc_referrers = gc.get_referrers
    monkeypatch.setattr(gc, "get_referrers", counted_look)

    instrument_functions(f"shop.table:f{n}=timed" for n in range(30))

    assert looks == [30]
    assert len(caplog.messages) == 1


def test_functions_asked_for_twice_cost_no_look(shop: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries that overlap are no holders of the functions that they mean."""
    monkeypatch.setattr(gc, "get_referrers", None)
    instrument_functions(["shop.cart:total=timed", "shop.cart:total=counted(calls)", "shop.cart:to*=event"])
    assert type(shop.load().total).__name__ == "Instrumented"
