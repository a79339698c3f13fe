"""What a signal handler of the application raises is no fault of a value or callback: it goes through."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator

import pytest
from opentelemetry.sdk._logs import LoggerProvider

from instrumentation import EventHandler, timed
from tests.instrumentation.conftest import Telemetry


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
