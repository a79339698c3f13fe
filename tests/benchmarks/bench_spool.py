"""
What the durable spool costs, against the memory alone in the same run.

    python -m tests.benchmarks.bench_spool

Each pair is measured in turn, several rounds, and judged by the best tenth of them: a single best one is luck
where application, sender and sink share the machine. Exits with 1 when something is over its limit. Limits:
issue "Delivery that loses nothing it accepted"; rulings 6.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

from opentelemetry.sdk.trace import ReadableSpan

from otel_vendor_exporters.delivery.clock import Clock
from otel_vendor_exporters.delivery.codec import BytesCodec
from otel_vendor_exporters.delivery.disk_spool import DiskSpool
from otel_vendor_exporters.delivery.journal import Label
from otel_vendor_exporters.delivery.notices import Notices
from otel_vendor_exporters.delivery.request import Item
from otel_vendor_exporters.delivery.spool import MemorySpool
from otel_vendor_exporters.delivery.spool_writing import Disk
from otel_vendor_exporters.mpulse import MPulseSpanExporter
from tests.benchmarks.bench_mpulse import BATCH, SPANS, best_of, keywords_for, rate, seconds, sink, spans_with

EXPORTS = 40
ROUNDS = 60


@dataclass(frozen=True)
class Line:
    """One line of the table."""

    title: str
    ours: str
    theirs: str
    ratio: float
    holds: bool


def main() -> int:
    """Run all, print a table; 1 when something does not hold."""
    with tempfile.TemporaryDirectory() as folder, sink() as port:
        place = Path(folder)
        lines = [
            put_and_settle(place / "a", again=True),
            put_and_settle(place / "b", again=False),
            delivered(port, place / "c", "allow"),
            delivered(port, place / "d", "avoid"),
            export_while_down(port, None),
            export_while_down(port, place / "e"),
        ]
    print(f"{'':56}{'ours':>12}{'against':>12}{'ratio':>8}")
    for one in lines:
        print(
            f"{one.title:56}{one.ours:>12}{one.theirs:>12}{one.ratio:>8.2f}{'' if one.holds else '  MISSED'}"
        )
    return 0 if all(one.holds for one in lines) else 1


def put_and_settle(folder: Path, *, again: bool) -> Line:
    """Items of a kilobyte through `put`, `leave` and `settle`, in requests of 100."""
    clock = Clock()
    memory: MemorySpool[bytes] = MemorySpool(max_items=10**6, max_bytes=10**9, merge=lambda _, newer: newer)
    disk = Disk(folder, Label("shop", "bytes/1", "https://h", ()), BytesCodec(), again)
    spool = DiskSpool(disk, memory, clock, Notices(logging.getLogger("benchmark"), clock))
    body, count = b"x" * 1000, 50 * BATCH

    def ours() -> None:
        for _ in range(count // BATCH):
            spool.put([Item(body, 1000) for _ in range(BATCH)])
            taken = spool.take(BATCH)
            for at in range(0, BATCH, 100):
                spool.leave(taken[at : at + 100])
                spool.settle(taken[at : at + 100])

    a, _ = best_of(ours, lambda: None)
    spool.close()
    marked = "" if again else ", marked in flight"
    title = f"items of 1 kB through the disk, a second{marked}"
    return Line(title, rate(a, count), "20,000", count / a / 20_000, count / a >= 20_000)


def delivered(port: int, folder: Path, duplicates: str) -> Line:
    """Spans from `export` to the sink's answer, with and without a disk: at most 15 % less."""
    spans = spans_with(timers=16, contexts=SPANS // 16, count=SPANS)
    keywords = {**keywords_for(port), "max_timers": 16}
    with_disk = MPulseSpanExporter(**keywords, api_version=2, spool_dir=str(folder), duplicates=duplicates)
    other_app = {**keywords, "config_url": keywords["config_url"] + "x"}  # its own destination
    without = MPulseSpanExporter(**other_app, duplicates=duplicates)
    rounds = [
        (seconds(lambda: _deliver(with_disk, spans)), seconds(lambda: _deliver(without, spans)))
        for _ in range(ROUNDS)
    ]
    a, b = (quantiles(times, n=10)[0] for times in zip(*rounds, strict=True))
    with_disk.shutdown()
    without.shutdown()
    title = f"delivered spans with a disk, {duplicates}, a second"
    return Line(title, rate(a, SPANS), rate(b, SPANS), b / a, b / a >= 0.85)


def _deliver(exporter: MPulseSpanExporter, spans: Sequence[ReadableSpan]) -> None:
    before = exporter.ledger().delivered
    for at in range(0, SPANS, BATCH):
        exporter.export(spans[at : at + BATCH])
    assert exporter.force_flush()
    assert exporter.ledger().delivered - before == SPANS


def export_while_down(port: int, folder: Path | None) -> Line:
    """One `export` of 512 while mPulse is down, against the same while it is up: at most 1.2 times."""
    spans = spans_with(timers=16, contexts=BATCH // 16, count=BATCH)
    spool_dir = None if folder is None else str(folder)
    more = {"spool_dir": spool_dir, "max_queue_items": 10**6, "max_queue_bytes": 10**9}
    up = MPulseSpanExporter(**{**keywords_for(port), **more})
    with sink() as gone:  # it was there once, so its definitions are known
        down = MPulseSpanExporter(**{**keywords_for(gone), **more})
        for exporter in (up, down):
            exporter.export(spans)
            assert exporter.force_flush(10_000)

    def export_ms(exporter: MPulseSpanExporter) -> float:
        up.export(spans)  # before both the same: other threads have sent, and the caches hold theirs
        assert up.force_flush()
        began = time.perf_counter()
        exporter.export(spans)
        took = time.perf_counter() - began
        exporter.force_flush()
        return took * 1000

    took = [(export_ms(down), export_ms(up)) for _ in range(EXPORTS)]
    down_ms, up_ms = (sorted(times)[EXPORTS // 2] for times in zip(*took, strict=True))
    up.shutdown()
    down.shutdown(100)
    title = f"export of 512 while down, {'memory' if folder is None else 'disk'}, median"
    return Line(title, f"{down_ms:.1f} ms", f"{up_ms:.1f} ms", down_ms / up_ms, down_ms <= up_ms * 1.2)


if __name__ == "__main__":
    sys.exit(main())
