"""
mParticle Analytics against OTLP, in the same run: cost per record, and records delivered a second.

The vendor's rate is switched off here; what it costs to wait for it is a line of its own, without a limit.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor

from otel_vendor_exporters.mparticle_analytics import AnalyticsSettings, MParticleAnalyticsLogExporter
from otel_vendor_exporters.mparticle_analytics.mapping import EventMapping
from otel_vendor_exporters.mparticle_analytics.packing import Limits, pack
from otel_vendor_exporters.mparticle_analytics.users import Users
from otel_vendor_exporters.mparticle_analytics.wire import Address, request_for
from tests.benchmarks.bench_mpulse import Result, best_of, per, rate, seconds, sink

BATCH = 512
RECORDS = 16 * BATCH
USERS = 50


def main() -> int:
    """Run all, print a table; 1 when something does not hold."""
    with sink() as port:
        results = [encoding(), encoding(session=True), delivered(port), waiting(port)]
    print(f"{'':50}{'ours':>14}{'theirs':>14}{'ratio':>8}{'limit':>8}")
    for one in results:
        mark = "" if one.holds else "  MISSED"
        print(f"{one.title:50}{one.ours:>14}{one.theirs:>14}{one.ratio:>8.2f}{one.least:>8.2f}{mark}")
    return 0 if all(one.holds for one in results) else 1


def encoding(*, session: bool = False) -> Result:
    """Mapping, packing and encoding a record of 8 attributes, and OTLP's encoding of it."""
    records = records_with(count=BATCH, session=session)
    mapping = EventMapping(AnalyticsSettings.read(api_key="k"), Users(set()))
    limits, address = Limits("k"), Address("https://h/service", "k")

    def ours() -> None:
        units = mapping.events_from_logs(records, "nobody").units
        loads, _ = pack(units, limits)
        requests = [request_for([units[index] for index in load.units], address) for load in loads]
        assert sum(len(load.units) for load in loads) == BATCH
        assert requests

    def theirs() -> None:
        assert encode_logs(records).SerializeToString()

    a, b = best_of(ours, theirs, rounds=50)
    title = "map + pack + encode, a record" + (" with a session" if session else "")
    return Result(title, per(a, BATCH), per(b, BATCH), b / a, 2.5)


def delivered(port: int) -> Result:
    """Records from `export` to the sink's answer."""
    records = records_with(count=RECORDS)
    batches = [records[at : at + BATCH] for at in range(0, RECORDS, BATCH)]
    ours_exporter = MParticleAnalyticsLogExporter(
        api_key="k", base_url=f"http://127.0.0.1:{port}/service", events_per_second=0
    )
    theirs_exporter = OTLPLogExporter(endpoint=f"http://127.0.0.1:{port}/v1/logs")

    def ours() -> None:
        for batch in batches:
            ours_exporter.export(batch)
        assert ours_exporter.force_flush()

    def theirs() -> None:
        for batch in batches:
            theirs_exporter.export(batch)

    a, b = best_of(ours, theirs)
    assert ours_exporter.ledger().lost == 0
    ours_exporter.shutdown()
    theirs_exporter.shutdown()  # type: ignore[no-untyped-call]  # untyped in OpenTelemetry
    return Result("delivered records, a second", rate(a, RECORDS), rate(b, RECORDS), b / a, 1.0)


def waiting(port: int) -> Result:
    """Seconds that 1,000 events wait for the vendor's 250 a second; at best 3."""
    records = records_with(count=1000)
    exporter = MParticleAnalyticsLogExporter(api_key="k2", base_url=f"http://127.0.0.1:{port}/service")

    def ours() -> None:
        exporter.export(records)
        assert exporter.force_flush()

    taken = seconds(ours)
    exporter.shutdown()
    return Result("1,000 events at 250 a second, waited", f"{taken:.2f} s", "3.00 s", 3.0 / taken, 0.5)


def records_with(*, count: int, session: bool = False) -> Sequence[ReadableLogRecord]:
    """Real records of 8 attributes, of 50 users."""
    memory = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]  # untyped in OpenTelemetry
    provider = LoggerProvider()
    provider.add_log_record_processor(SimpleLogRecordProcessor(memory))
    logger = provider.get_logger("benchmark")
    for number in range(count):
        user = number % USERS
        attributes: dict[str, str | int | float | bool] = {
            "user.id": f"user-{user}",
            "Country": f"C{user}",
            "http.route": "/product/{id}",
            "http.request.method": "GET",
            "http.response.status_code": 200,
            "total": 19.99,
            "premium": True,
            "url.path": "/product/3",
        }
        if session:
            attributes["session.id"] = attributes.pop("url.path")
        logger.emit(
            event_name="Order placed", body=f"order {number}", severity_text="INFO", attributes=attributes
        )
    return memory.get_finished_logs()


if __name__ == "__main__":
    sys.exit(main())
