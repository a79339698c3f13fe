"""Lifetime: all that live are renewed and ended, whatever else goes on."""

from __future__ import annotations

import gc
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from otel_vendor_exporters.delivery import lifetime


class One:
    """Something that lives."""

    def renew_after_fork(self) -> None:
        """Nothing."""

    def end_at_exit(self) -> None:
        """Nothing."""


@pytest.fixture
def quick_turns() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("quick_turns")
def test_all_have_their_turn_while_another_thread_registers() -> None:
    """What is registered and gone meanwhile takes nobody's turn."""
    all_along = [One() for _ in range(50)]
    for one in all_along:
        lifetime.register(one)
    over = threading.Event()

    def come_and_go() -> None:
        while not over.is_set():
            for one in [One() for _ in range(20)]:
                lifetime.register(one)

    thread = threading.Thread(target=come_and_go)
    thread.start()
    turns: list[int] = []
    end = time.monotonic() + 1.0
    try:
        while time.monotonic() < end:
            had: set[lifetime.Living] = set()
            lifetime._each(had.add)
            turns.append(len(had.intersection(all_along)))
    finally:
        over.set()
        thread.join(10)

    assert set(turns) == {50}


def test_nobody_is_held_alive() -> None:
    """Who is gone is forgotten."""
    before = len(lifetime._all)
    for _ in range(10):
        lifetime.register(One())
    gc.collect()

    assert len(lifetime._all) <= before
