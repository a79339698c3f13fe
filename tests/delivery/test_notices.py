"""Notices: each problem is told once an interval, counted in between, and its end is told once."""

from __future__ import annotations

import logging

import pytest

from otel_vendor_exporters.delivery import notices
from otel_vendor_exporters.delivery.notices import INTERVAL_SECONDS, Notices
from tests.delivery.fakes import FakeClock, Log


@pytest.fixture
def told(clock: FakeClock) -> Notices:
    return Notices(logging.getLogger("otel_vendor_exporters.numbers"), clock)


def test_tells_a_problem_once_an_interval(told: Notices, clock: FakeClock, caplog: Log) -> None:
    """Within the interval a problem is only counted; then the count is told with it."""
    for _ in range(5):
        told.say("down", logging.WARNING, "vendor %s is down", "x")
    clock.advance(INTERVAL_SECONDS)
    told.say("down", logging.ERROR, "vendor %s is down", "x")
    clock.advance(INTERVAL_SECONDS)
    told.say("down", logging.ERROR, "vendor %s is down", "x")

    assert caplog.record_tuples == [
        ("otel_vendor_exporters.numbers", logging.WARNING, "vendor x is down"),
        (
            "otel_vendor_exporters.numbers",
            logging.ERROR,
            "vendor x is down (4 more times since the last message)",
        ),
        ("otel_vendor_exporters.numbers", logging.ERROR, "vendor x is down"),
    ]


def test_keeps_problems_apart(told: Notices, caplog: Log) -> None:
    """Another problem does not wait for the interval of the first."""
    told.say("down", logging.WARNING, "down")
    told.say("full", logging.WARNING, "full")

    assert caplog.messages == ["down", "full"]


def test_tells_the_end_once(told: Notices, caplog: Log) -> None:
    """The end of a problem is told if the problem was, and only once."""
    told.over("down", "never was")
    told.say("down", logging.WARNING, "down")
    told.over("down", "%s again", "up")
    told.over("down", "%s again", "up")

    assert caplog.messages == ["down", "up again"]


def test_a_problem_that_comes_and_goes_is_not_told_each_time(
    told: Notices, clock: FakeClock, caplog: Log
) -> None:
    """A vendor that fails every other time makes two lines an interval, with the count in the next."""
    for _ in range(10):
        told.say("down", logging.WARNING, "down")
        told.over("down", "up again")
        clock.advance(1.0)
    clock.advance(INTERVAL_SECONDS)
    told.say("down", logging.WARNING, "down")
    told.over("down", "up again")

    assert caplog.messages == ["down", "up again", "down (9 more times since the last message)", "up again"]


def test_remembers_a_bounded_number_of_problems(
    told: Notices, caplog: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past the bound the oldest problem is forgotten, and so told again."""
    monkeypatch.setattr(notices, "_MOST_KEYS", 2)

    for key in ("one", "two", "three", "three", "one"):
        told.say(key, logging.WARNING, key)

    assert caplog.messages == ["one", "two", "three", "one"]


def test_notes_are_told_when_the_lock_is_free(told: Notices, caplog: Log) -> None:
    """What is noted is logged by `tell`, once, in order; counting goes by the moment of the note."""
    told.note("down", logging.WARNING, "down")
    told.note("down", logging.WARNING, "down")
    told.note_over("down", "up again")
    silent = list(caplog.messages)
    told.tell()
    told.tell()

    assert (silent, caplog.messages) == ([], ["down", "up again"])


def test_a_fork_tells_anew(told: Notices, caplog: Log) -> None:
    """The child knows nothing of what the parent told, and its lock is its own."""
    told.say("down", logging.WARNING, "down")

    with told._lock:
        told.renew_after_fork()
        told.say("down", logging.WARNING, "down")

    assert caplog.messages == ["down", "down"]
