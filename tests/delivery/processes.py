"""Other processes: a forked child, one that was killed, and waiting for what is done elsewhere."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from tests.delivery.fakes import Ways
from tests.delivery.loopback import GUARD_SECONDS


def in_a_child(act: Callable[[], bool]) -> bool:
    """What `act` returns in a forked child."""
    child = os.fork()
    if child == 0:
        right = False
        try:
            right = act()
        finally:
            os._exit(0 if right else 1)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == 0


def left_behind(ways: Ways, url: str, folder: Path, numbers: range) -> None:
    """A process that was killed while these numbers waited."""

    def child() -> bool:
        way = ways(url, spool_dir=folder)
        way.vendor.use(prepare=lambda timeout_seconds, hurry: 60.0)
        way.keep(numbers)
        os.kill(os.getpid(), 9)
        return False

    assert not in_a_child(child)


def wait_until(true: Callable[[], bool]) -> None:
    """Return as soon as it is true."""
    deadline = time.monotonic() + GUARD_SECONDS
    while not true() and time.monotonic() < deadline:
        time.sleep(0.01)
