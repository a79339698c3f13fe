"""How long a decorated generator takes: its body, its consumer, and the `with` block it stands around."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager, suppress

import pytest

from instrumentation import timed
from tests.instrumentation.conftest import Telemetry


class Clock:
    """Stands still until it is told."""

    seconds = 100.0

    def go_on(self, seconds: float) -> None:
        """Time passes."""
        self.seconds += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the durations."""
    clock = Clock()
    monkeypatch.setattr("instrumentation.end_probes.perf_counter", lambda: clock.seconds)
    return clock


def test_duration_of_a_generator_is_its_own(clock: Clock, telemetry: Telemetry) -> None:
    """What the consumer does between two items is not counted, whether the generator ends or is closed."""

    @timed("items", record="metric")
    def items() -> Generator[int, None, None]:
        clock.go_on(1)
        yield 1
        clock.go_on(2)
        yield 2
        clock.go_on(4)

    for item in items():
        clock.go_on(1000 * item)
    closed = items()
    next(closed)
    clock.go_on(1000)
    closed.close()

    assert telemetry.seconds() == [8]


def test_duration_of_an_async_generator_is_its_own(clock: Clock, telemetry: Telemetry) -> None:
    """The same of asynchronous ones: what they wait for is counted, what the consumer does is not."""

    @timed("items", record="metric")
    async def items() -> AsyncGenerator[int, None]:
        clock.go_on(1)
        yield 1
        await asyncio.sleep(0)
        clock.go_on(2)

    async def consume() -> None:
        async for _ in items():
            clock.go_on(1000)

    asyncio.run(consume())

    assert telemetry.seconds() == [3]


def test_context_manager_is_timed_from_below(telemetry: Telemetry) -> None:
    """Below `@contextmanager` the span ends with the block, and fails with it; above, before the block."""

    @contextmanager
    @timed("below")
    def below() -> Generator[None, None, None]:
        yield

    @timed("above")
    @contextmanager
    def above() -> Generator[None, None, None]:
        yield

    names_inside = []
    with above():
        names_inside.append(telemetry.names())
    with suppress(LookupError), below():
        names_inside.append(telemetry.names())
        raise LookupError

    assert names_inside == [["above"], ["above"]]
    assert [(each.name, each.status.is_unset) for each in telemetry.spans()] == [
        ("above", True),
        ("below", False),
    ]
