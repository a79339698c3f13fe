"""What samplers, processors and callbacks call is not recorded: it would call them again, without end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk._logs import LogRecordProcessor
from opentelemetry.sdk.trace import SpanProcessor

from instrumentation import counted, event, timed
from instrumentation.at_work import AT_WORK

if TYPE_CHECKING:
    from tests.instrumentation.conftest import Telemetry

DECORATORS: dict[str, Callable[..., Any]] = {
    "span": lambda **options: timed("lookup", **options),
    "duration": lambda **options: timed("lookup", record="metric", **options),
    "counter": lambda **options: counted("lookup", **options),
    "event": lambda **options: event("lookup", **options),
}


class Stamp(SpanProcessor):
    """Asks the application what to put on spans, when they start and again when they end."""

    def __init__(self, ask: Callable[[], object]) -> None:
        self.ask = ask

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        self.ask()
        self.ask()

    def on_end(self, span: Any) -> None:
        self.ask()
        self.ask()


class LogStamp(LogRecordProcessor):
    """The same of log records."""

    def __init__(self, ask: Callable[[], object]) -> None:
        self.ask = ask

    def on_emit(self, log_record: Any) -> None:
        self.ask()
        self.ask()

    def shutdown(self) -> None:
        pass

    def force_flush(self, timeout_millis: int = 0) -> bool:
        return True


@pytest.mark.parametrize("kind", DECORATORS)
def test_what_a_callback_calls_is_not_recorded(kind: str, telemetry: Telemetry) -> None:
    """A function of the call that calls decorated functions, even the same one, calls them plainly."""
    asked = []

    def name(name: str) -> str:
        asked.append(name)
        return name

    look_up: Any = DECORATORS[kind](
        attributes=lambda call: {"tenant": look_up("tenant"), "region": look_up("region")}
    )(name)

    look_up("order")

    assert asked == ["order", "tenant", "region"]
    assert telemetry.names() == ["lookup"]
    assert telemetry.attributes()[0].items() >= {"tenant": "tenant", "region": "region"}.items()
    assert set() == AT_WORK


def test_what_a_span_processor_calls_is_not_recorded(telemetry: Telemetry) -> None:
    """A processor that calls decorated functions at start and end of each span is called for one span."""
    asked = []

    @timed
    def tenant() -> Generator[int, None, None]:
        asked.append("tenant")
        yield 1

    telemetry.tracer_provider.add_span_processor(Stamp(lambda: list(tenant())))
    with timed("order"):
        pass

    assert asked == ["tenant"] * 4
    assert telemetry.names() == ["order"]


def test_what_a_log_processor_calls_is_not_recorded(telemetry: Telemetry) -> None:
    """So of the processors of log records."""
    asked = []

    @event("tenant")
    def tenant() -> None:
        asked.append("tenant")

    telemetry.logger_provider.add_log_record_processor(LogStamp(tenant))
    tenant()

    assert asked == ["tenant"] * 3
    assert telemetry.names() == ["tenant"]


@pytest.mark.parametrize("kind", DECORATORS)
@pytest.mark.parametrize("error", [LookupError, KeyboardInterrupt, SystemExit])
def test_records_on_after_a_callback_that_raised(
    kind: str, error: type[BaseException], telemetry: Telemetry
) -> None:
    """Whatever ends a recording, the thread's next call is recorded."""

    def tenant(_: object) -> dict[str, str]:
        raise error

    with suppress(error):  # what only ends the program goes through
        DECORATORS[kind](attributes=tenant)(len)("abc")
    before = len(telemetry.names())

    DECORATORS[kind]()(len)("abc")

    assert (len(telemetry.names()), AT_WORK) == (before + 1, set())


def test_records_on_after_a_processor_that_raised(telemetry: Telemetry) -> None:
    """So when a processor is interrupted."""

    def interrupted() -> None:
        raise KeyboardInterrupt

    stamp = Stamp(interrupted)
    telemetry.tracer_provider.add_span_processor(stamp)
    with pytest.raises(KeyboardInterrupt):
        timed(len)("abc")
    stamp.ask = lambda: None

    timed("order")(len)("abc")

    assert telemetry.names() == ["order"]


def test_ends_what_a_processor_ends(telemetry: Telemetry) -> None:
    """A generator that a processor closes is recorded, and what else the processor calls is still not."""
    asked = []

    @timed("items")
    def items() -> Generator[int, None, None]:
        yield 1

    @timed("tenant")
    def tenant() -> None:
        asked.append("tenant")

    begun = [items()]
    next(begun[0])

    def close() -> None:
        if begun:
            begun.pop().close()
        tenant()

    telemetry.tracer_provider.add_span_processor(Stamp(close))
    with timed("order"):
        pass

    assert len(asked) == 6
    assert telemetry.names() == ["items", "order"]


def test_another_thread_is_recorded_meanwhile(telemetry: Telemetry) -> None:
    """While one thread is inside a processor, calls of another are recorded."""

    @counted("orders")
    def order() -> None:
        pass

    def in_a_thread() -> None:
        thread = threading.Thread(target=order)
        thread.start()
        thread.join(10)

    telemetry.tracer_provider.add_span_processor(Stamp(in_a_thread))
    with timed("checkout"):
        pass

    assert telemetry.names() == ["checkout", *["orders"] * 4]
