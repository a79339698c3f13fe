"""Visitors across tasks, threads and contexts: each sees its own, and none stays behind or leaves."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from opentelemetry import baggage, propagate, trace

from instrumentation import current_visitor, set_visitor, visitor
from otel_vendor_exporters.attributes import VISITOR
from otel_vendor_exporters.visitor import VisitorSpanProcessor
from tests.instrumentation.conftest import Telemetry


def test_tasks_keep_their_own_visitors() -> None:
    """A hundred tasks that interleave each see their visitor, and the task around them sees none."""

    async def request(number: int) -> list[object]:
        seen = []
        async with visitor(user_id=number):
            for _ in range(5):
                await asyncio.sleep(0)
                seen.append(current_visitor()["user.id"])
        return seen

    async def server() -> list[list[object]]:
        found = await asyncio.gather(*(request(number) for number in range(100)))
        assert current_visitor() == {}
        return found

    assert asyncio.run(server()) == [[str(number)] * 5 for number in range(100)]


def test_threads_keep_their_own_visitors() -> None:
    """A pool's reused threads each see the visitor of the call they run, and nothing of the one before."""
    barrier = threading.Barrier(4)

    def request(number: int) -> tuple[Mapping[str, object], object]:
        before = current_visitor()
        with visitor(user_id=number):
            barrier.wait(10)
            return before, current_visitor()["user.id"]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(request, range(40)))

    assert found == [({}, str(number)) for number in range(40)]


def test_a_thread_started_with_a_copied_context_knows_the_visitor() -> None:
    """A copied context carries the visitor; a thread started without one has none."""
    seen: list[Mapping[str, object]] = []

    def work() -> None:
        seen.append(current_visitor())

    with visitor(user_id="u-1"):
        context = contextvars.copy_context()
        for target in (lambda: context.run(work), lambda: contextvars.Context().run(work)):
            thread = threading.Thread(target=target)
            thread.start()
            thread.join(10)

    assert seen == [{"user.id": "u-1"}, {}]


def test_many_threads_tell_one_visitor() -> None:
    """Nothing that is told at the same time is lost."""
    with visitor(user_id="u-1"):

        def tell(number: int) -> None:
            set_visitor(dimensions={f"D{number}": number})

        with ThreadPoolExecutor(8) as pool:
            for number in range(200):
                pool.submit(contextvars.copy_context().run, tell, number)
        told = current_visitor()

    assert told == {"user.id": "u-1", **{f"mpulse.dimension.D{number}": number for number in range(200)}}


def test_a_visitor_stays_out_of_headers_and_baggage(telemetry: Telemetry) -> None:
    """What goes out to other services says nothing of the visitor."""
    telemetry.tracer_provider.add_span_processor(VisitorSpanProcessor("all"))
    carrier: dict[str, str] = {}

    with (
        visitor(user_id="u-secret", identities={"email": "a@b.example"}),
        trace.get_tracer("app").start_as_current_span("call"),
    ):
        propagate.inject(carrier)
        assert baggage.get_all() == {}

    assert set(carrier) == {"traceparent"}


def test_a_replaced_context_does_not_lose_the_visitor(telemetry: Telemetry) -> None:
    """Server instrumentations replace OpenTelemetry's context by the incoming one; the visitor stays."""
    telemetry.tracer_provider.add_span_processor(VisitorSpanProcessor())
    headers = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}

    with visitor(user_id="u-1"):
        span = trace.get_tracer("app").start_span("GET /", context=propagate.extract(headers))
        span.end()

    assert dict(telemetry.span().attributes or {}) == {"user.id": "u-1"}


def test_a_generator_ended_elsewhere_leaves_no_visitor_behind() -> None:
    """A block that is left in another context than it was entered in changes nothing there."""
    entered = visitor(user_id="u-1")
    contextvars.copy_context().run(entered.__enter__)
    entered.__exit__(None, None, None)
    assert VISITOR.get() is None
