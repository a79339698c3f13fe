"""Visitors across tasks, threads and contexts: each sees its own, and none stays behind or leaves."""

from __future__ import annotations

import asyncio
import contextvars
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest
from opentelemetry import baggage, propagate, trace

from instrumentation import VisitorMiddleware, current_visitor, set_visitor, visitor
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


def test_many_threads_tell_one_request() -> None:
    """Nothing that is told at the same time of a request is lost, nor what a worker thread tells of it."""

    def tell(number: int) -> None:
        set_visitor(dimensions={f"D{number}": number})

    def view(_environ: object, _start_response: object) -> list[Mapping[str, object]]:
        with ThreadPoolExecutor(8) as pool:
            for number in range(200):
                pool.submit(contextvars.copy_context().run, tell, number)
        return [current_visitor()]

    middleware = VisitorMiddleware(view, visitor=lambda environ: {"user_id": "u-1"})
    (told,) = middleware({}, None)

    assert told == {"user.id": "u-1", **{f"mpulse.dimension.D{number}": number for number in range(200)}}


async def _job(user: str) -> tuple[str, object]:
    with trace.get_tracer("app").start_as_current_span(f"job {user}"):
        set_visitor(user_id=user)
        await asyncio.sleep(0)
        return user, current_visitor()["user.id"]


async def _jobs() -> list[tuple[str, object]]:
    with trace.get_tracer("app").start_as_current_span("jobs"):
        return await asyncio.gather(*(_job(f"u-{number}") for number in range(4)))


async def _jobs_in_a_block() -> list[tuple[str, object]]:
    with visitor(dimensions={"Country": "DE"}):
        return await _jobs()


async def _jobs_after_a_default() -> list[tuple[str, object]]:
    set_visitor(dimensions={"Country": "DE"})
    return await _jobs()


async def _jobs_around_a_block() -> list[tuple[str, object]]:
    with trace.get_tracer("app").start_as_current_span("all"), visitor(dimensions={"Country": "DE"}):
        return await asyncio.gather(*(_job(f"u-{number}") for number in range(4)))


@pytest.mark.parametrize("jobs", [_jobs_in_a_block, _jobs_after_a_default, _jobs_around_a_block])
def test_tasks_of_one_block_tell_their_own_users(
    jobs: Callable[[], Coroutine[None, None, list[tuple[str, object]]]], telemetry: Telemetry
) -> None:
    """Each task sees the user it told, that user stands on its own span, and none on the span of all."""
    telemetry.tracer_provider.add_span_processor(VisitorSpanProcessor())

    found = asyncio.run(jobs())

    users = [f"u-{number}" for number in range(4)]
    assert found == [(user, user) for user in users]
    stamped = {span.name: dict(span.attributes or {}).get("user.id") for span in telemetry.spans()}
    whole = {"all"} if jobs is _jobs_around_a_block else {"jobs"}
    assert stamped == {**{f"job {user}": user for user in users}, **dict.fromkeys(whole)}


def test_a_task_left_running_tells_its_own_users() -> None:
    """What a request started and left behind tells nothing to others that it left behind."""
    seen: list[object] = []

    async def worker(user: str) -> None:
        await asyncio.sleep(0.01)
        set_visitor(user_id=user)
        await asyncio.sleep(0.01)
        seen.append((user, current_visitor()["user.id"]))

    async def app(*_asgi: object) -> None:
        tasks.extend(asyncio.create_task(worker(user)) for user in ("u-1", "u-2"))

    async def server() -> None:
        await VisitorMiddleware(app)({"type": "http", "headers": []}, None, None)
        await asyncio.gather(*tasks)

    tasks: list[asyncio.Task[None]] = []
    asyncio.run(server())

    assert seen == [("u-1", "u-1"), ("u-2", "u-2")]


_FORKS = """
import os, threading, time
from instrumentation import VisitorMiddleware, set_visitor

def tell():
    while not is_over.is_set():
        set_visitor(user_attributes={f"k{number}": "v" for number in range(50)})

def app(environ, start_response):
    import contextvars
    threads = [threading.Thread(target=contextvars.copy_context().run, args=(tell,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(50):
        child = os.fork()
        if child == 0:
            set_visitor(user_id="child")
            os._exit(0)
        ends_at = time.monotonic() + 10
        while os.waitpid(child, os.WNOHANG)[0] == 0:
            if time.monotonic() > ends_at:
                os.kill(child, 9)
                os.waitpid(child, 0)
                is_over.set()
                raise SystemExit("a child is stuck")
            time.sleep(0.001)
    is_over.set()
    return []

is_over = threading.Event()
VisitorMiddleware(app)({}, None)
"""

_SIGNALS = """
import signal, time
from instrumentation import VisitorMiddleware, set_visitor

def told(*_signal):
    set_visitor(page_group="Reload")

def app(environ, start_response):
    ends_at = time.monotonic() + 1
    signal.setitimer(signal.ITIMER_REAL, 0.003, 0.003)
    while time.monotonic() < ends_at:
        set_visitor(user_attributes={f"k{number}": "v" for number in range(50)})
    signal.setitimer(signal.ITIMER_REAL, 0)
    return []

signal.signal(signal.SIGALRM, told)
VisitorMiddleware(app)({}, None)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks and no such signals on Windows")
@pytest.mark.parametrize("script", [_FORKS, _SIGNALS], ids=["forks", "signals"])
def test_set_visitor_never_waits(script: str) -> None:
    """A child forked while another thread tells, and a signal handler that comes in meanwhile, go on."""
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")


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
