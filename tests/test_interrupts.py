"""Interrupts: what a signal handler of the application raises reaches the application, whatever we are at."""

from __future__ import annotations

import functools
import gc
import random
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Metric,
    MetricsData,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from otel_vendor_exporters.interrupts import is_interrupt
from otel_vendor_exporters.mparticle import MParticleLogExporter, MParticleSpanExporter
from otel_vendor_exporters.mparticle_analytics import (
    MParticleAnalyticsLogExporter,
    MParticleAnalyticsSpanExporter,
)
from otel_vendor_exporters.mpulse import MPulseClient, MPulseMetricExporter, MPulseSpanExporter
from otel_vendor_exporters.sandbox import Sandbox


class TimeIsUp(Exception):  # noqa: N818  as it is called there
    """As Celery's SoftTimeLimitExceeded."""


def end(*_: object) -> None:
    raise TimeIsUp


class Ends:
    def __call__(self, *_: object) -> None:
        raise TimeIsUp

    def method(self, *_: object) -> None:
        raise TimeIsUp


@pytest.fixture(autouse=True)
def handler() -> Iterator[None]:
    before = signal.signal(signal.SIGUSR1, end)
    yield
    signal.signal(signal.SIGUSR1, before)


class Slow:
    """A value at which the time is up when anybody looks: with `str`, by name, or in a mapping."""

    def __str__(self) -> str:
        signal.raise_signal(signal.SIGUSR1)
        return "not reached"

    def __getattr__(self, name: str) -> Any:
        signal.raise_signal(signal.SIGUSR1)
        raise AttributeError(name)


def raised(handler: Callable[..., object]) -> Exception:
    signal.signal(signal.SIGUSR1, handler)
    with pytest.raises(TimeIsUp) as found:
        signal.raise_signal(signal.SIGUSR1)
    return found.value


@pytest.mark.parametrize(
    "handler",
    [end, functools.partial(end, 1), functools.partial(functools.partial(end)), Ends(), Ends().method],
    ids=["function", "partly called", "twice", "object", "method"],
)
def test_knows_what_a_handler_raised(handler: Callable[..., object]) -> None:
    """Whatever kind of callable it is."""
    assert is_interrupt(raised(handler))


def test_knows_what_a_handler_did_not_raise() -> None:
    """A fault of a value is one, also while handlers are installed, and whoever raises the same."""
    with pytest.raises(TimeIsUp) as found:
        raise TimeIsUp

    assert not is_interrupt(found.value)


def test_other_threads_have_no_interrupts() -> None:
    """Python runs handlers on the main thread."""
    error, found = raised(end), list[bool]()
    thread = threading.Thread(target=lambda: found.append(is_interrupt(error)))
    thread.start()
    thread.join()

    assert found == [False]


# The exporters


SPAN = ReadableSpan("Checkout", start_time=1, end_time=2)


def points(*points: object) -> MetricsData:
    data = Sum(points, AggregationTemporality.DELTA, is_monotonic=True)  # type: ignore[arg-type]  # what is none
    scope = ScopeMetrics(InstrumentationScope("s"), [Metric("Orders", "", "1", data)], "")
    return MetricsData([ResourceMetrics(Resource({}), [scope], "")])


@pytest.mark.parametrize(
    ("make", "vendor", "records"),
    [
        (MPulseSpanExporter, "mpulse", [SPAN, Slow(), SPAN]),
        (MPulseMetricExporter, "mpulse", points(Slow(), Slow(), Slow())),
        (MParticleSpanExporter, "mparticle", [SPAN, Slow(), SPAN]),
        (MParticleLogExporter, "mparticle", [Slow()] * 3),
        (MParticleAnalyticsSpanExporter, "mparticle_analytics", [SPAN, Slow(), SPAN]),
        (MParticleAnalyticsLogExporter, "mparticle_analytics", [Slow()] * 3),
    ],
)
def test_an_interrupt_during_export_reaches_the_application(
    sandbox: Sandbox, make: Any, vendor: str, records: object
) -> None:
    """Its records are counted, once, and the exporter goes on."""
    exporter = make(**getattr(sandbox, f"{vendor}_settings"))

    with pytest.raises(TimeIsUp):
        exporter.export(records)

    counts = exporter.ledger()
    exporter.shutdown()
    assert (counts.seen, dict(counts.ignored), counts.balanced) == (3, {"interrupted": 3}, True)


def test_an_interrupt_in_what_a_client_is_given_reaches_the_application(sandbox: Sandbox) -> None:
    """Nothing is sent, and nothing counted."""
    with MPulseClient(**sandbox.mpulse_settings) as client:
        with pytest.raises(TimeIsUp):
            client.send_timer("Checkout", 5, dimensions=Slow())  # type: ignore[arg-type]  # what is none
        assert (client.ledger().accepted, client.ledger().balanced) == (0, True)


class TimeLimits:
    """Comes at any moment of an export; what the interpreter swallows, in finalizers, is kept away."""

    def __init__(self) -> None:
        self.is_running = False
        self.fired = self.reached = 0

    def __enter__(self) -> TimeLimits:
        self._before = signal.signal(signal.SIGALRM, self._fire)
        gc.disable()
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._before)
        gc.enable()

    def run(self, action: Callable[[], object], seconds: float) -> None:
        """Do it, for so long at most."""
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            self.is_running = True
            action()
            self.is_running = False
        except TimeIsUp:
            self.is_running = False
            self.reached += 1

    def _fire(self, *_: object) -> None:
        if self.is_running:
            self.fired += 1
            raise TimeIsUp


# A thread that is just being started dies of it, with a message of Python's; another takes its place.
@pytest.mark.filterwarnings("ignore:Exception ignored in thread")
def test_interrupts_at_any_moment_reach_the_application(sandbox: Sandbox) -> None:
    """Every one that comes during an export, and the ledger adds up."""
    exporter = MParticleAnalyticsSpanExporter(**sandbox.mparticle_analytics_settings, events_per_second=0)
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("t")
    spans: list[Any] = [tracer.start_span("a") for _ in range(30)]
    for number, span in enumerate(spans):
        span.add_event("Bought", {"user.id": f"u{number}"})
        span.end()
    chance = random.Random(6)

    with TimeLimits() as limits:
        for _ in range(150):
            limits.run(lambda: exporter.export(spans), chance.uniform(0.00002, 0.001))
    all_sent = exporter.force_flush()
    exporter.shutdown()

    assert limits.reached == limits.fired > 0
    assert (all_sent, exporter.ledger().balanced) == (True, True)
