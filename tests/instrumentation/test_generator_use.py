"""Any use of a generator, of either kind, goes as if it were undecorated."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry import trace

from instrumentation import timed
from tests.instrumentation.conftest import Telemetry, current

THROWN: list[type[BaseException]] = [
    LookupError,
    KeyboardInterrupt,
    StopIteration,
    StopAsyncIteration,
    GeneratorExit,
]
AT_AN_ERROR = st.lists(st.sampled_from(["raise", "go on", "return", "raise another"]), max_size=4)
STEPS = st.lists(
    st.one_of(st.just("next"), st.integers(), st.just("close"), st.sampled_from(THROWN)), max_size=7
)
ONE_SDK = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def generator_of(at_an_error: list[str]) -> Generator[object, object, object]:
    """Tells all it meets, and meets errors as it is told."""
    met: list[object] = []
    for reaction in at_an_error:
        try:
            met.append((yield list(met)))
        except BaseException as error:  # noqa: PERF203 - each turn meets its own
            met.append(type(error))
            if reaction == "return":
                return met
            if reaction == "raise":
                raise
            if reaction == "raise another":
                raise OSError from error
    return met


async def async_generator_of(at_an_error: list[str]) -> AsyncGenerator[object, object]:
    """The same, with pauses."""
    met: list[object] = []
    for reaction in at_an_error:
        try:
            met.append((yield list(met)))
            await asyncio.sleep(0)
        except BaseException as error:  # noqa: PERF203 - each turn meets its own
            await asyncio.sleep(0)
            met.append(type(error))
            if reaction == "return":
                return
            if reaction == "raise":
                raise
            if reaction == "raise another":
                raise OSError from error


def taken(generator: Generator[object, object, object], step: Any) -> object:
    try:
        if isinstance(step, type):
            return generator.throw(step())
        if step == "close":
            return generator.close()  # type: ignore[func-returns-value]  # since Python 3.13 it gives the result
        return generator.send(None if step == "next" else step)
    except BaseException as error:  # noqa: BLE001 - it is the answer
        return type(error), str(error), getattr(error, "value", None), type(error.__cause__)


async def async_taken(generator: AsyncGenerator[object, object], step: Any) -> object:
    try:
        if isinstance(step, type):
            return await generator.athrow(step())
        if step == "close":
            await generator.aclose()
            return "closed"
        return await generator.asend(None if step == "next" else step)
    except BaseException as error:  # noqa: BLE001 - it is the answer
        return type(error), str(error), type(error.__cause__)


@ONE_SDK
@given(AT_AN_ERROR, STEPS)
def test_any_use_of_a_generator_goes_as_undecorated(
    telemetry: Telemetry, at_an_error: list[str], steps: list[object]
) -> None:
    """Whatever is sent, thrown and closed in whatever order, a decorated generator answers the same."""
    steps = [*steps, *["next"] * 6]  # to the end: one left half way may complain when it is destroyed
    decorated = timed(generator_of)(at_an_error)
    undecorated = generator_of(at_an_error)

    assert [taken(decorated, step) for step in steps] == [taken(undecorated, step) for step in steps]
    assert current() is trace.INVALID_SPAN


@ONE_SDK
@given(AT_AN_ERROR, STEPS)
def test_any_use_of_an_async_generator_goes_as_undecorated(
    telemetry: Telemetry, at_an_error: list[str], steps: list[object]
) -> None:
    """Whatever is sent, thrown and closed in whatever order, a decorated async generator answers the same."""
    steps = [*steps, *["next"] * 6]

    async def answers(generator: AsyncGenerator[object, object]) -> list[object]:
        return [await async_taken(generator, step) for step in steps]

    decorated = asyncio.run(answers(timed(async_generator_of)(at_an_error)))
    undecorated = asyncio.run(answers(async_generator_of(at_an_error)))

    assert decorated == undecorated
    assert current() is trace.INVALID_SPAN
