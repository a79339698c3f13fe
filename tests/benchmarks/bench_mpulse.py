"""
What sending to mPulse costs, against OpenTelemetry's OTLP/HTTP exporter on the same spans in the same run.

    python -m tests.benchmarks.bench_mpulse

Everything goes to a sink in another process. Each pair is measured in turn, several rounds, and judged by
its best round, since the machine has other things to do. Exits with 1 when a ratio is over its limit.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.util.types import AnyValue

from otel_vendor_exporters.mpulse import MPulseSettings, MPulseSpanExporter, Session
from otel_vendor_exporters.mpulse.client import destination_for
from otel_vendor_exporters.mpulse.contexts import Contexts
from otel_vendor_exporters.mpulse.definitions import Definitions
from otel_vendor_exporters.mpulse.mapping import Names, timings_from
from otel_vendor_exporters.mpulse.packing import Limits, pack
from otel_vendor_exporters.mpulse.units import Context, Timing
from otel_vendor_exporters.mpulse.wire import Envelope, beacon_request

ROUNDS = 5
BATCH = 512
SPANS = 8 * BATCH
BEACONS = 2000
LATER = 1 << 60  # no beacon is dated later than this
SESSION = Session("6ad5f44a-466f-4373-b3c7-b5cfdd22118d", 1_700_000_000_000, 0)
ENVELOPE = Envelope("https://h/b/", "K", "www.example.com", "a" * 40, 1_700_000_000_000, "benchmark")


@dataclass(frozen=True)
class Result:
    """One line of the table; `ratio` must be at least `least`."""

    title: str
    ours: str
    theirs: str
    ratio: float
    least: float

    @property
    def holds(self) -> bool:
        return self.ratio >= self.least


def main() -> int:
    """Run all, print a table; 1 when something does not hold."""
    with sink() as port:
        results = [encoding(), client(port), delivered(port, 16, 1.0), delivered(port, 4, 0.5), *packing()]
    print(f"{'':50}{'ours':>14}{'theirs':>14}{'ratio':>8}{'limit':>8}")
    for one in results:
        mark = "" if one.holds else "  MISSED"
        print(f"{one.title:50}{one.ours:>14}{one.theirs:>14}{one.ratio:>8.2f}{one.least:>8.2f}{mark}")
    return 0 if all(one.holds for one in results) else 1


@contextmanager
def sink() -> Iterator[int]:
    """A running sink; its port."""
    command = [sys.executable, str(Path(__file__).with_name("sink.py"))]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.communicate("")


def encoding() -> Result:
    """Mapping, packing and encoding a span, and OTLP's encoding: 8 attributes, 4 timers, 1 context."""
    spans = spans_with(timers=4, contexts=1, count=BATCH)
    definitions = Definitions(
        timers={f"Timer {n}": f"custom{n}" for n in range(64)}, dimensions={"Country": "cdim.Country"}
    )
    settings = MPulseSettings(api_key="K", domain="www.example.com")
    names, contexts = Names({}), Contexts(settings)

    def ours() -> None:
        mapped = timings_from(spans, definitions, names, contexts, SESSION)
        loads, _ = pack(mapped.units, definitions, Limits(), LATER)
        requests = [beacon_request(load.beacon, ENVELOPE) for load in loads]
        assert len(requests) == BATCH / 4

    def theirs() -> None:
        assert encode_spans(spans).SerializeToString()

    a, b = best_of(ours, theirs, rounds=10 * ROUNDS)
    return Result("map + pack + encode, a span", per(a, BATCH), per(b, BATCH), b / a, 5.0)


def client(port: int) -> Result:
    """Beacons through the client, and a bare loop that sends a request prepared once."""
    session = requests.Session()
    url = f"http://127.0.0.1:{port}/b/?h.d=www.example.com&h.key=K&t_other=custom0%7C1&{'x' * 400}"
    prepared = session.prepare_request(requests.Request("GET", url))
    destination = destination_for(settings_for(port))
    contexts = [Context(page_group=f"Page {number}") for number in range(BEACONS)]
    destination.keep([Timing("Timer 0", 1, now_ms(), contexts[0])])
    assert destination.delivery.flush(10)

    def ours() -> None:
        now = now_ms()
        destination.keep([Timing("Timer 0", 1, now, context) for context in contexts])
        assert destination.delivery.flush(30)

    def theirs() -> None:
        for _ in range(BEACONS):
            assert session.send(prepared, timeout=10).status_code == 204

    a, b = best_of(ours, theirs)
    destination.release(10)
    session.close()
    return Result("beacons through the client, a second", rate(a, BEACONS), rate(b, BEACONS), b / a, 0.8)


def delivered(port: int, timers: int, least: float) -> Result:
    """Spans from `export` to the sink's answer."""
    spans = spans_with(timers=timers, contexts=SPANS // timers, count=SPANS)
    ours_exporter = MPulseSpanExporter(**{**keywords_for(port), "max_timers": 16})
    theirs_exporter = OTLPSpanExporter(endpoint=f"http://127.0.0.1:{port}/v1/traces")
    ours_exporter.export(spans[:1])
    assert ours_exporter.force_flush()
    batches = [spans[at : at + BATCH] for at in range(0, SPANS, BATCH)]

    def ours() -> None:
        before = ours_exporter.ledger().delivered
        for batch in batches:
            ours_exporter.export(batch)
        assert ours_exporter.force_flush()
        assert ours_exporter.ledger().delivered - before == SPANS

    def theirs() -> None:
        for batch in batches:
            theirs_exporter.export(batch)

    a, b = best_of(ours, theirs)
    ours_exporter.shutdown()
    theirs_exporter.shutdown()  # type: ignore[no-untyped-call]  # untyped in OpenTelemetry
    title = f"delivered spans, {timers} timers a context, a second"
    return Result(title, rate(a, SPANS), rate(b, SPANS), b / a, least)


def packing() -> Iterator[Result]:
    """Beacons for so many spans, and the fewest there can be."""
    for timers in (1, 4, 16):
        for contexts in (1, 10, 100):
            spans = spans_with(timers=timers, contexts=contexts, count=1600)
            definitions = Definitions(
                timers={f"Timer {n}": f"custom{n}" for n in range(64)}, dimensions={"Country": "cdim.Country"}
            )
            settings = MPulseSettings(api_key="K", domain="www.example.com")
            mapped = timings_from(spans, definitions, Names({}), Contexts(settings), SESSION)
            limits = Limits(max_timers=16, time_bucket_ms=10**9)
            loads, discards = pack(mapped.units, definitions, limits, LATER)
            assert not discards
            fewest = 1600 // timers
            title = f"beacons for 1600 spans, {timers} timers x {contexts} contexts"
            yield Result(title, str(len(loads)), str(fewest), fewest / len(loads), 1.0)


def spans_with(*, timers: int, contexts: int, count: int) -> Sequence[ReadableSpan]:
    """Real spans of 8 attributes; each context has the same number of each timer."""
    memory = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    tracer = provider.get_tracer("benchmark")
    for number in range(count):
        attributes: dict[str, AnyValue] = {
            "Country": f"C{number // timers % contexts}",
            "http.route": "/product/{id}",
            "http.request.method": "GET",
            "http.response.status_code": 200,
            "url.path": "/product/3",
            "server.address": "shop.example.com",
            "user_agent.original": "Mozilla/5.0 (X11; Linux x86_64)",
            "url.scheme": "https",
        }
        with tracer.start_as_current_span(f"Timer {number % timers}", attributes=attributes):
            pass
    return memory.get_finished_spans()


def best_of(
    ours: Callable[[], None], theirs: Callable[[], None], rounds: int = ROUNDS
) -> tuple[float, float]:
    """Seconds of the best round of each, measured in turn."""
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(rounds)]
    return min(pair[0] for pair in pairs), min(pair[1] for pair in pairs)


def seconds(function: Callable[[], None]) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def per(total_seconds: float, count: int) -> str:
    return f"{total_seconds / count * 1e6:.1f} µs"


def rate(total_seconds: float, count: int) -> str:
    return f"{count / total_seconds:,.0f}"


def keywords_for(port: int) -> dict[str, Any]:
    config_url = f"http://127.0.0.1:{port}/config.json"
    return {"api_key": "K", "domain": "www.example.com", "config_url": config_url}


def settings_for(port: int) -> MPulseSettings:
    return MPulseSettings.read(**keywords_for(port))


def now_ms() -> int:
    return time.time_ns() // 1_000_000


if __name__ == "__main__":
    sys.exit(main())
