"""
What sending to mParticle costs, against OpenTelemetry's OTLP/HTTP exporter on the same log records.

    python -m tests.benchmarks.bench_mparticle

Everything goes to a sink in another process. Each pair is measured in turn, several rounds, and judged by
its best round, since the machine has other things to do. Exits with 1 when a ratio is over its limit.
mParticle's rate limit is switched off: what is measured is us.
"""

from __future__ import annotations

import gc
import sys
import time
import tracemalloc
from collections.abc import Iterator, Mapping, Sequence

from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from otel_vendor_exporters.mparticle import MParticleLogExporter, MParticleSettings
from otel_vendor_exporters.mparticle.batching import seal
from otel_vendor_exporters.mparticle.feed import new_id
from otel_vendor_exporters.mparticle.mapping import EventMapping
from otel_vendor_exporters.mparticle.wire import bulk_body
from tests.benchmarks.bench_mpulse import Result, best_of, per, rate, sink

BATCH = 512
RECORDS = 16 * BATCH
USERS = 50
MEMORY_RECORDS = 100_000
MEMORY_SECONDS = 120.0  # at most, on a machine with other things to do
RESOURCE = Resource({"service.name": "shop", "service.version": "1.4.2"})


def main() -> int:
    """Run all, print a table; 1 when something does not hold."""
    with sink() as port:
        results = [
            encoding("map + batch + encode, a record", records_with(count=BATCH), 2.5),
            encoding("the same in a trace and a session", records_with(count=BATCH, traced=True), 2.2),
            delivered(port),
            flat(port),
        ]
    print(f"{'':50}{'ours':>14}{'theirs':>14}{'ratio':>8}{'limit':>8}")
    for one in results:
        mark = "" if one.holds else "  MISSED"
        print(f"{one.title:50}{one.ours:>14}{one.theirs:>14}{one.ratio:>8.2f}{one.least:>8.2f}{mark}")
    return 0 if all(one.holds for one in results) else 1


def encoding(title: str, records: Sequence[ReadableLogRecord], least: float) -> Result:
    """Mapping, batching and encoding a record, and OTLP's encoding."""
    settings = MParticleSettings.read(api_key="key", api_secret="secret")
    mapping = EventMapping(settings, new_id, now_ms)

    def ours() -> None:
        sealed = seal(mapping.from_logs(records).events, new_id)
        assert len(sealed.batches) == USERS
        assert bulk_body(batch.body for batch in sealed.batches)

    def theirs() -> None:
        assert encode_logs(records).SerializeToString()

    a, b = best_of(ours, theirs, rounds=100)
    return Result(title, per(a, len(records)), per(b, len(records)), b / a, least)


def delivered(port: int) -> Result:
    """Records from `export` to the sink's answer."""
    records = records_with(count=RECORDS, traced=True)
    ours_exporter = exporter_for(port)
    theirs_exporter = OTLPLogExporter(endpoint=f"http://127.0.0.1:{port}/v1/logs")
    parts = [records[at : at + BATCH] for at in range(0, RECORDS, BATCH)]

    def ours() -> None:
        for part in parts:
            ours_exporter.export(part)
        assert ours_exporter.force_flush()

    def theirs() -> None:
        for part in parts:
            theirs_exporter.export(part)

    a, b = best_of(ours, theirs)
    assert ours_exporter.ledger().lost == 0
    ours_exporter.shutdown()
    theirs_exporter.shutdown()  # type: ignore[no-untyped-call]  # untyped in OpenTelemetry
    return Result("delivered records, a second", rate(a, RECORDS), rate(b, RECORDS), b / a, 1.0)


def flat(port: int) -> Result:
    """
    The most memory in each half of many records, each of a user and a session of its own.

    Memories of users and sessions are bounded, and full long before the first half ends.
    """
    exporter = exporter_for(port)
    deadline = time.monotonic() + MEMORY_SECONDS
    peaks = []
    tracemalloc.start()
    for half in (range(MEMORY_RECORDS // 2), range(MEMORY_RECORDS // 2, MEMORY_RECORDS)):
        gc.collect()
        tracemalloc.reset_peak()
        for start in half[::BATCH]:
            exporter.export(records_with(count=BATCH, users=MEMORY_RECORDS, first=start, traced=True))
            assert exporter.force_flush()
            assert time.monotonic() < deadline, f"only {start} records in {MEMORY_SECONDS} s"
        peaks.append(tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
    assert exporter.ledger().lost == 0
    exporter.shutdown()
    first, second = peaks
    title = f"memory, 2nd half of {MEMORY_RECORDS:,} users and the 1st"
    return Result(title, f"{second / 1e6:.1f} MB", f"{first / 1e6:.1f} MB", first / second, 0.9)


def records_with(
    *, count: int, users: int = USERS, first: int = 0, traced: bool = False
) -> Sequence[ReadableLogRecord]:
    """Real records of 8 attributes, of so many users in turn."""
    memory = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]  # untyped in OpenTelemetry
    logs = LoggerProvider(RESOURCE, shutdown_on_exit=False)  # else the process would hold it to its end
    logs.add_log_record_processor(SimpleLogRecordProcessor(memory))
    logger = logs.get_logger("shop")
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("shop")
    for number, attributes in enumerate(attributes_of(count, users, first, traced), first):
        if traced:
            with tracer.start_as_current_span("request"):
                logger.emit(timestamp=time.time_ns(), event_name=f"Event {number % 8}", attributes=attributes)
        else:
            logger.emit(timestamp=time.time_ns(), event_name=f"Event {number % 8}", attributes=attributes)
    return memory.get_finished_logs()


def attributes_of(
    count: int, users: int, first: int, in_session: bool
) -> Iterator[Mapping[str, str | int | float | bool]]:
    """Eight for each record."""
    for number in range(first, first + count):
        user = number % users
        attributes: dict[str, str | int | float | bool] = {
            "user.id": f"user-{user}",
            "http.route": "/product/{id}",
            "http.request.method": "GET",
            "http.response.status_code": 200,
            "cart.total": 19.99,
            "premium": True,
            "plan": "gold",
        }
        attributes |= {"session.id": f"session-{user}"} if in_session else {"url.path": "/product/3"}
        yield attributes


def exporter_for(port: int) -> MParticleLogExporter:
    """One that goes to the sink, as fast as it can."""
    return MParticleLogExporter(
        api_key="key",
        api_secret="secret",
        base_url=f"http://127.0.0.1:{port}",
        batches_per_second=0,
        timeout=30,
    )


def now_ms() -> int:
    return time.time_ns() // 1_000_000


if __name__ == "__main__":
    sys.exit(main())
