"""
What the logging handler costs, against OpenTelemetry's own in the same run.

    PYTHONPATH=. python tests/benchmarks/bench_handler.py

Both handlers stand at loggers of their own, with providers of the same make that forget what they get. Every
pair is measured interleaved and by the best tenth of its rounds; only the ratios mean anything. Exits with 1
when one is over its limit. The rows under "for comparison" have no limit: OpenTelemetry's handler does not do
that work.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import quantiles
from time import perf_counter

from opentelemetry import trace
from opentelemetry.instrumentation.logging.handler import LoggingHandler
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import (
    BatchLogRecordProcessor,
    LogRecordExporter,
    LogRecordExportResult,
)
from opentelemetry.sdk.trace import TracerProvider

from instrumentation import EventHandler, visitor

ROUNDS = 200
CALLS = 100
LIMIT = 1.10
EXTRA = {"order.id": "o-1", "order.total": 19.99, "order.items": 3, "country": "AT"}

Log = Callable[[logging.Logger], None]


@dataclass(frozen=True)
class Row:
    """A log call, the handlers that tell it, and how many times as much ours may cost."""

    title: str
    log: Log
    ours: logging.Handler
    theirs: logging.Handler
    limit: float | None = LIMIT


class Discard(LogRecordExporter):
    """Takes records and forgets them."""

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        return LogRecordExportResult.SUCCESS

    def shutdown(self) -> None:
        pass

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return True


def provider() -> LoggerProvider:
    made = LoggerProvider()
    made.add_log_record_processor(BatchLogRecordProcessor(Discard()))
    return made


def plain(logger: logging.Logger) -> None:
    logger.info("order %s placed", "o-1")


def with_extra(logger: logging.Logger) -> None:
    logger.info("order placed", extra=EXTRA)


def as_event(logger: logging.Logger) -> None:
    logger.info("order placed", extra={"otel.event.name": "Order Placed", **EXTRA})


def with_exception(logger: logging.Logger) -> None:
    try:
        raise LookupError("no such order")
    except LookupError:
        logger.exception("order failed")


def with_visitor(logger: logging.Logger) -> None:
    with visitor(user_id="u-1", session_id="s-1", page_group="Cart"):
        logger.info("order placed", extra=EXTRA)


def ignored(logger: logging.Logger) -> None:
    logger.getChild("child").info("order placed")


def rows() -> list[Row]:
    bare = (EventHandler(logger_provider=provider(), code=False), LoggingHandler(logger_provider=provider()))
    coded = (
        EventHandler(logger_provider=provider()),
        LoggingHandler(logger_provider=provider(), log_code_attributes=True),
    )
    logs = [
        ("message", plain),
        ("4 attributes", with_extra),
        ("event", as_event),
        ("exception", with_exception),
    ]
    found = [Row(f"{title} / OpenTelemetry's handler", log, *bare) for title, log in logs]
    found += [Row(f"{title}, code told / OpenTelemetry's", log, *coded) for title, log in logs]
    elsewhere = EventHandler(logger_provider=provider(), loggers="elsewhere")
    found.append(Row("for comparison: a visitor entered and told", with_visitor, *bare, limit=None))
    found.append(Row("for comparison: a logger not chosen", plain, elsewhere, bare[1], limit=None))
    return found


def ratio(row: Row) -> float:
    loggers = [logger_with(row.ours, "ours"), logger_with(row.theirs, "theirs")]
    seconds: list[list[float]] = [[], []]
    for _ in range(ROUNDS):
        for logger, found in zip(loggers, seconds, strict=True):
            found.append(seconds_of(row.log, logger))
    ours, theirs = (quantiles(found, n=10)[0] for found in seconds)
    return ours / theirs


def logger_with(handler: logging.Handler, name: str) -> logging.Logger:
    logger = logging.Logger(f"bench.{name}", logging.INFO)
    logger.addHandler(handler)
    return logger


def seconds_of(log: Log, logger: logging.Logger) -> float:
    started = perf_counter()
    for _ in range(CALLS):
        log(logger)
    return perf_counter() - started


def main() -> int:
    within = True
    with TracerProvider().get_tracer("bench").start_as_current_span("request") as span:
        assert span is trace.get_current_span()
        for row in rows():
            found = ratio(row)
            is_over = row.limit is not None and found > row.limit
            limit = f"  (limit {row.limit:.2f})" if row.limit is not None else ""
            print(f"{row.title:52} {found:6.2f}{limit}{'  OVER' if is_over else ''}")
            within = within and not is_over
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main())
