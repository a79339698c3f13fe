"""Crew: a thread whose starting is interrupted is of the crew if it works, and not if it does not."""

from __future__ import annotations

import threading

import pytest

from otel_vendor_exporters.delivery.crew import Crew


class TimeIsUp(Exception):  # noqa: N818  what a signal handler raises
    """In the middle of `Thread.start`."""


@pytest.mark.parametrize("lives", [True, False])
def test_an_interrupted_start_leaves_no_dead_thread(lives: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else nobody would be started in its place, and what waits would wait until the end."""
    start, lock = threading.Thread.start, threading.Lock()
    begun, end = threading.Event(), threading.Event()

    def interrupted(thread: threading.Thread) -> None:
        if lives:
            start(thread)
            begun.wait(5)
        raise TimeIsUp

    def work() -> None:
        begun.set()
        end.wait(5)

    crew = Crew(lock, work, "test")
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", interrupted)
        with lock, pytest.raises(TimeIsUp):
            crew.grow_to(1)
    with lock:
        missed, started = len(crew), crew.grow_to(1)
    threads = crew.running()
    end.set()
    for thread in threads:
        thread.join(5)

    assert (missed, started, len(threads)) == ((1, False, 1) if lives else (0, True, 1))
