"""The end of the interpreter: what waits is delivered, and a vendor that hangs holds nobody up for long."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.delivery.fakes import NumbersServer
from tests.delivery.loopback import HANG, Answer

SCRIPT = """
import sys
sys.path.insert(0, {root!r})
from tests.delivery.fakes import Ways
way = Ways()({url!r}, timeout_seconds={timeout}, per_parcel=2)
way.keep(range(5))
{then}
"""


def run(url: str, then: str = "", timeout: float = 5.0) -> subprocess.CompletedProcess[str]:
    root = str(Path(__file__).parent.parent.parent)
    script = SCRIPT.format(root=root, url=url, then=then, timeout=timeout)
    command = [sys.executable, "-W", "error", "-c", script]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


SEVERAL = """
import sys
sys.path.insert(0, {root!r})
from tests.delivery.fakes import Ways
ways = [Ways()(url, timeout_seconds=3, per_parcel=1) for url in ({hangs!r}, {hangs!r}, {hangs!r}, {works!r})]
for number, way in enumerate(ways):
    way.keep([number, 10 + number])
    {then}
"""


@pytest.mark.flaky(reruns=2)
@pytest.mark.parametrize("then", ["pass", "__import__('atexit').register(way.delivery.shutdown, 3)"])
def test_vendors_that_hang_do_not_add_up(then: str) -> None:
    """At exit all destinations share the time of one, with a second each at least; what works delivers."""
    root = str(Path(__file__).parent.parent.parent)
    with NumbersServer() as works, NumbersServer(lambda numbers: HANG) as hangs:
        script = SEVERAL.format(root=root, hangs=hangs.url, works=works.url, then=then)
        began = time.monotonic()
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=30, check=False)
        took = time.monotonic() - began

    assert (done.returncode, sorted(works.numbers)) == (0, [3, 13])
    assert took < 7  # 3 + 1 + 1 and the start; they would add up to 9


DEADLINES = """
import atexit, threading
from otel_vendor_exporters.delivery import lifetime

def tell():
    print([lifetime.deadline(3.0, now) for now in (100.0, 102.0, 200.0)])

def work():
    threading.main_thread().join()
    tell()

atexit.register(tell)
threading.Thread(target=work).start()
"""


def test_threads_that_outlive_the_main_thread_have_all_their_time() -> None:
    """Only what is called at the interpreter's end shares it, not a thread that keeps the program running."""
    done = subprocess.run([sys.executable, "-c", DEADLINES], capture_output=True, timeout=30, check=False)

    of_the_thread, at_exit = done.stdout.decode().splitlines()
    assert (of_the_thread, at_exit) == ("[103.0, 105.0, 203.0]", "[103.0, 103.0, 201.0]")


@pytest.mark.parametrize("then", ["", "raise SystemExit(0)", "del way"])
def test_exit_without_shutdown_delivers(then: str) -> None:
    """A program that ends without a word has its items delivered first."""
    with NumbersServer() as server:
        done = run(server.url, then)

    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(server.numbers) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("answer", [HANG, Answer(503)], ids=["silent", "down"])
def test_exit_is_not_held_up(answer: Answer) -> None:
    """A vendor that is down or hangs delays the end by one request's time at most, and the loss is told."""
    with NumbersServer(lambda numbers: answer) as server:
        done = run(server.url, timeout=0.5)

    assert done.returncode == 0
    assert "exit after 0 items delivered, refused {}, dropped {}, 5 still waiting" in done.stderr
    assert "Traceback" not in done.stderr
