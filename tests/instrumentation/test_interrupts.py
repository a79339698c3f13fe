"""What a signal handler of the application raises is no fault of a value or callback: it goes through."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from contextvars import copy_context
from types import FrameType
from typing import Any

import pytest
from opentelemetry.sdk._logs import LoggerProvider

from instrumentation import EventHandler, counted, event, timed
from instrumentation.at_work import AT_WORK
from tests.instrumentation.conftest import Telemetry, current


class TimeIsUp(Exception):  # noqa: N818  as it is called there
    """As Celery's SoftTimeLimitExceeded."""


class Slow:
    """The time is up when anybody looks at it."""

    def __str__(self) -> str:
        signal.raise_signal(signal.SIGUSR1)
        return "not reached"


@pytest.fixture(autouse=True)
def handler() -> Iterator[None]:
    def end(*_: object) -> None:
        raise TimeIsUp

    before = signal.signal(signal.SIGUSR1, end)
    yield
    signal.signal(signal.SIGUSR1, before)


def test_an_interrupt_in_an_argument_reaches_the_application(telemetry: Telemetry) -> None:
    """What is captured of a call runs the argument's own code."""

    @timed(attributes=lambda call: {"cart": str(call.arguments["cart"])})
    def check_out(cart: object) -> None: ...

    with pytest.raises(TimeIsUp):
        check_out(Slow())


@pytest.mark.parametrize("place", ["message", "filter"])
def test_an_interrupt_in_a_log_call_reaches_the_application(place: str) -> None:
    """Logging hands what a handler raises to the application."""
    handler = EventHandler(logger_provider=LoggerProvider(shutdown_on_exit=False))
    logger = logging.Logger("shop")
    logger.addHandler(handler)
    if place == "filter":
        handler.addFilter(lambda record: bool(str(Slow())))

    with pytest.raises(TimeIsUp):
        logger.warning("%s bought", Slow())


def interrupted_steps(call: Callable[[], object], after_each: Callable[[], None]) -> int:
    """
    Call it with the time up at its first step, its second, and so on to its end; how many steps that were.

    Python runs a signal's handler where a Python function begins and after a call of one written in C.
    """
    step = 0
    while True:
        step += 1
        left = step
        context = copy_context()  # SDK processors of the same step may leave their own marks in it

        def count(frame: FrameType, kind: str, _: object) -> None:
            nonlocal left
            if kind in ("call", "c_return"):
                left -= 1
                if left == 0:
                    sys.setprofile(None)
                    signal.raise_signal(signal.SIGUSR1)

        try:
            sys.setprofile(count)
            context.run(call)
        except TimeIsUp:
            pass
        finally:
            sys.setprofile(None)
        if left > 0:
            return step
        context.run(after_each)


# Python itself ignores what is raised while it closes one.
STEPS_MAY_CLOSE_GENERATORS = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
RECORDED: dict[str, Any] = {  # Any: decorators of many kinds
    "span": timed("lookup", attributes=["key"]),
    "duration": timed("lookup", attributes=["key"], record="metric"),
    "counter": counted("lookup", value="key"),
    "event": event("lookup", attributes=["key"]),
    "fault": timed("lookup", attributes=lambda call: call.arguments["absent"]),
}


@STEPS_MAY_CLOSE_GENERATORS
@pytest.mark.parametrize("kind", RECORDED)
def test_an_interrupt_at_any_step_silences_no_thread(kind: str, telemetry: Telemetry) -> None:
    """Wherever a time limit ends a decorated call, the thread's later ones are recorded."""
    look_up: Callable[[int], object] = RECORDED[kind](lambda key: key)
    silenced: list[int] = []

    def note() -> None:
        silenced.extend(AT_WORK)
        AT_WORK.clear()

    steps = interrupted_steps(lambda: look_up(1), note)

    assert steps > 10
    assert silenced == []


@timed("lookup", attributes=["key"])
def look_up(key: object) -> object:
    return key


@timed("lookup", attributes=["key"])
def find_none(key: object) -> object:
    raise LookupError


@timed("lookup", attributes=["key"])
async def look_up_later(key: object) -> object:
    return key


def find_none_quietly() -> None:
    with suppress(LookupError):
        find_none(1)


def run_later() -> None:
    with suppress(StopIteration):
        look_up_later(1).send(None)


@STEPS_MAY_CLOSE_GENERATORS
@pytest.mark.parametrize("call", [lambda: look_up(1), find_none_quietly, run_later])
def test_an_interrupt_at_any_step_leaves_no_span_current(
    call: Callable[[], object], telemetry: Telemetry
) -> None:
    """Wherever a time limit ends a decorated call, later spans have no parent that is over."""
    left: list[object] = []

    def note() -> None:
        if current().get_span_context().is_valid:
            left.append(current())

    steps = interrupted_steps(call, note)

    assert steps > 10
    assert left == []
