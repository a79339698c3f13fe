"""Threads, forks and signal handlers come in while functions are wrapped, or restored, and nothing hangs."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from instrumentation import instrument_functions, uninstrument
from tests.instrumentation.shop import Application

if TYPE_CHECKING:
    from tests.instrumentation.conftest import Telemetry

ROOT = Path(__file__).parents[2]

# Sixteen children, forked while a thread instruments without a pause. Each imports and instruments, or is
# ended by its alarm.
FORKS = """
import os, signal, sys, threading, warnings
import shop.cart, shop.wide
from instrumentation import instrument_functions, uninstrument

warnings.simplefilter("ignore")  # of threads and fork, which is what this is about
is_over = threading.Event()

def instrument():
    while not is_over.is_set():
        instrument_functions(["shop.wide:*=timed"])
        uninstrument()

def child():
    signal.alarm(5)
    instrument_functions(["shop.cart:total=timed", "shop.late:f=timed"])
    import shop.late
    is_well = {type(f).__name__ for f in (shop.cart.total, shop.late.f)} == {"Instrumented"}
    uninstrument()
    os._exit(0 if is_well and type(shop.cart.total).__name__ == "function" else 3)

instrument_functions([])  # what is imported for the first time at a fork, Python can not import in the child
instrumenting = threading.Thread(target=instrument, daemon=True)
instrumenting.start()
for _ in range(16):
    pid = os.fork()
    if pid == 0:
        child()
    print(os.waitpid(pid, 0)[1])
is_over.set()
instrumenting.join(10)
"""

# A timer's signal comes every millisecond, wherever the main thread is while it instruments.
SIGNALS = """
import signal, sys
import shop.cart, shop.wide
from instrumentation import instrument_functions, uninstrument

handled = 0

def handle(number, frame):
    global handled
    handled += 1
    sys.modules.pop("shop.late", None)
    instrument_functions(["shop.cart:total=timed", "shop.late:f=timed"])
    import shop.late
    if handled % 2:
        uninstrument()

instrument_functions([])  # what a signal finds half imported, no handler can use
sys.unraisablehook = lambda _: None  # Python's own locks of modules tell when a signal found them half made
signal.signal(signal.SIGPROF, handle)
signal.alarm(20)  # ends a process that hangs
signal.setitimer(signal.ITIMER_PROF, 0.001, 0.001)
while handled < 100:
    instrument_functions(["shop.wide:*=timed", "shop.cart:tax=timed"])
    uninstrument()
signal.setitimer(signal.ITIMER_PROF, 0)
uninstrument()
wide = [each for name, each in vars(shop.wide).items() if name[0] == "f"]
functions = [shop.cart.total, shop.cart.tax, *wide]
print({type(each).__name__ for each in functions}, len(functions))
"""


def run(program: str, shop: Application, tmp_path: Path) -> list[str]:
    shop.write("late", "def f(): return 1")
    shop.write("wide", "".join(f"def f{number}(): ...\n" for number in range(200)))
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_child_forked_while_a_thread_instruments(shop: Application, tmp_path: Path) -> None:
    """It imports and instruments as if it were alone, which it is."""
    assert run(FORKS, shop, tmp_path) == ["0"] * 16


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs signals of POSIX")
def test_a_signal_handler_that_instruments_while_its_thread_does(shop: Application, tmp_path: Path) -> None:
    """A handler may import, instrument and uninstrument anywhere; afterwards all is as it was."""
    assert run(SIGNALS, shop, tmp_path) == ["{'function'} 202"]


class Uninstrumenting:
    """A finder in whose midst another thread uninstruments, as it may at any time."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """Find nothing."""
        thread = threading.Thread(target=uninstrument)
        thread.start()
        thread.join(10)


@pytest.mark.parametrize("entry", ["shop.late:f=timed", "shop.cart:total=timed"])
def test_an_import_on_its_way_through_the_finders(
    entry: str, shop: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever uninstruments meanwhile, the import passes over none of them, and the module stays as it is."""
    shop.write("late", "def f(): return 1")
    shop.load("shop")
    instrument_functions([entry])
    finders = list(sys.meta_path)
    finders.insert(finders.index(PathFinder), Uninstrumenting())
    monkeypatch.setattr(sys, "meta_path", finders)

    late = shop.load("shop.late")

    assert type(late.f).__name__ == "function"
    assert not [each for each in sys.meta_path if type(each).__name__ == "ImportWatch"]


def test_imports_while_another_thread_uninstruments(shop: Application, telemetry: Telemetry) -> None:
    """For a second and a half: no import fails, and none leaves a wrapped function behind."""
    names = [f"shop.part{number}" for number in range(12)]
    for name in names:
        shop.write(name.removeprefix("shop."), "def f(): return 1\nclass K:\n    def m(self): return 2")
    loaded, is_over = [], threading.Event()

    def load(own: list[str]) -> None:
        while not is_over.is_set():
            for name in own:
                sys.modules.pop(name, None)
                loaded.append(importlib.import_module(name))

    entries = [f"{name}:{path}=timed" for name in names for path in ("f", "K.m", "K.*")]
    interval, end = sys.getswitchinterval(), time.monotonic() + 1.5
    with ThreadPoolExecutor(2) as pool:
        loading = [pool.submit(load, names[part::2]) for part in (0, 1)]
        try:
            sys.setswitchinterval(1e-5)
            while time.monotonic() < end:
                instrument_functions(entries)
                uninstrument()
        finally:
            is_over.set()
            sys.setswitchinterval(interval)
    uninstrument()

    assert [each.exception(10) for each in loading] == [None, None]
    assert len(loaded) > len(names)
    assert {type(each).__name__ for module in loaded for each in (module.f, vars(module.K)["m"])} == {
        "function"
    }
    instrument_functions(entries)
    shop.load(names[0]).f()
    assert telemetry.names() == ["f"]
