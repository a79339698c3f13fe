"""
What the decorators cost, against the bare API doing the same work in the same run.

    PYTHONPATH=. python tests/benchmarks/bench_decorators.py

Every pair is measured interleaved and by the best tenth of its rounds, since the machine has other things to
do; only the ratios mean anything. Exits with 1 when one is over its limit.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import quantiles
from time import perf_counter

import wrapt
from opentelemetry import context, metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from instrumentation import counted, event, timed
from tests.benchmarks.peers import peers

ROUNDS = 300
CALLS = 200
IMPORT_ROUNDS = 15
IMPORT_LIMIT_MS = 15.0
API_IMPORT = "import opentelemetry.trace, opentelemetry.metrics, opentelemetry._logs"

Function = Callable[[], object]


@dataclass(frozen=True)
class Pair:
    """A decorated function, what it is compared with, and how many times as much it may cost."""

    title: str
    decorated: Function
    bare: Function
    limit: float


class Discard(SpanExporter):
    """Takes spans and forgets them."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS


def empty() -> None:
    pass


@wrapt.decorator
def pass_through(wrapped, instance, args, kwargs):  # type: ignore[no-untyped-def]  # as in wrapt's documentation
    return wrapped(*args, **kwargs)


def bare_span(tracer: trace.Tracer, attributes: dict[str, str] | None = None) -> Function:
    def function() -> None:
        span = tracer.start_span("empty", attributes=attributes)
        token = context.attach(trace.set_span_in_context(span))
        try:
            empty()
        finally:
            context.detach(token)
            span.end()

    return function


def bare_duration(histogram: metrics.Histogram) -> Function:
    def function() -> None:
        started = perf_counter()
        try:
            empty()
        finally:
            histogram.record(perf_counter() - started)

    return function


def bare_count(counter: metrics.Counter) -> Function:
    def function() -> None:
        empty()
        counter.add(1)

    return function


def without_sdk() -> list[Pair]:
    wrapper = pass_through(empty)
    return [
        Pair("timed, no SDK / empty wrapt wrapper", timed(empty), wrapper, 2.0),
        Pair("timed metric, no SDK / empty wrapt wrapper", timed(empty, record="metric"), wrapper, 2.0),
        Pair("counted, no SDK / empty wrapt wrapper", counted(empty), wrapper, 2.0),
        Pair("event, no SDK / empty wrapt wrapper", event(empty), wrapper, 2.0),
    ]


def suppressed() -> list[Pair]:
    wrapper = pass_through(empty)
    return [
        Pair("timed, suppressed / empty wrapt wrapper", timed(empty), wrapper, 2.0),
        Pair("timed metric, suppressed / empty wrapt wrapper", timed(empty, record="metric"), wrapper, 2.0),
        Pair("counted, suppressed / empty wrapt wrapper", counted(empty), wrapper, 2.0),
    ]


def with_sdk() -> list[Pair]:
    tracer = trace.get_tracer("bench")
    meter = metrics.get_meter("bench")
    histogram = meter.create_histogram("bare", "s")
    counter = meter.create_counter("bare.count")
    named = bare_span(tracer, {"code.function.name": "bench.empty"})
    return [
        Pair("timed / bare span", timed(empty), bare_span(tracer), 1.10),
        *(Pair(f"timed / {peer.title}", timed(empty), peer.decorated, 1.0) for peer in peers()),
        Pair("timed with a name / bare span with its attribute", timed("named")(empty), named, 1.10),
        Pair("timed metric / bare histogram", timed(empty, record="metric"), bare_duration(histogram), 1.30),
        Pair("counted / bare counter", counted(empty), bare_count(counter), 1.60),
    ]


def ratio(pair: Pair) -> float:
    decorated, bare = [], []
    for _ in range(ROUNDS):
        decorated.append(seconds_of(pair.decorated))
        bare.append(seconds_of(pair.bare))
    return quantiles(decorated, n=10)[0] / quantiles(bare, n=10)[0]  # a best round of all is luck


def seconds_of(function: Function) -> float:
    started = perf_counter()
    for _ in range(CALLS):
        function()
    return perf_counter() - started


def told(pairs: Sequence[Pair]) -> bool:
    """Print each pair's ratio; whether all are within their limits."""
    ratios = [(pair, ratio(pair)) for pair in pairs]
    for pair, found in ratios:
        print(
            f"{pair.title:52} {found:6.2f}  (limit {pair.limit:.2f}){'' if found <= pair.limit else '  OVER'}"
        )
    return all(found <= pair.limit for pair, found in ratios)


def import_told() -> bool:
    """Print what importing the package adds to importing the API; whether it is within its limit."""
    extra_ms = min(import_ms(f"{API_IMPORT}, instrumentation") for _ in range(IMPORT_ROUNDS)) - min(
        import_ms(API_IMPORT) for _ in range(IMPORT_ROUNDS)
    )
    print(f"{'import instrumentation, above the API, ms':52} {extra_ms:6.1f}  (limit {IMPORT_LIMIT_MS:.1f})")
    return extra_ms <= IMPORT_LIMIT_MS


def import_ms(statement: str) -> float:
    code = f"import time; t = time.perf_counter(); {statement}; print((time.perf_counter() - t) * 1000)"
    return float(
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    )


def main() -> int:
    within = [import_told(), told(without_sdk())]
    processor = BatchSpanProcessor(Discard())
    provider = TracerProvider()
    provider.add_span_processor(processor)
    trace.set_tracer_provider(provider)
    metrics.set_meter_provider(MeterProvider([InMemoryMetricReader()]))
    within.append(told(with_sdk()))
    token = context.attach(context.set_value(context._SUPPRESS_INSTRUMENTATION_KEY, True))
    within.append(told(suppressed()))
    context.detach(token)
    return 0 if all(within) else 1


if __name__ == "__main__":
    sys.exit(main())
