"""The logging handler across threads, tasks, queues and processes."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import logging.handlers
import os
import pickle
import queue
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import (
    InMemoryLogRecordExporter,
    LogRecordExportResult,
    SimpleLogRecordProcessor,
)

from instrumentation import ContextFilter, EventHandler, visitor
from otel_vendor_exporters.visitor import VisitorLogProcessor
from tests.instrumentation.conftest import Telemetry
from tests.instrumentation.log_sink import Sink, logger_to, raised


def test_threads_and_visitors(sink: Sink) -> None:
    """Records of many threads all arrive, each with its own visitor."""
    logger = logger_to(sink)

    def work(number: int) -> None:
        with visitor(user_id=number):
            for _ in range(20):
                logger.info("%d", number)

    with ThreadPoolExecutor(8) as pool:
        for number in range(40):
            pool.submit(work, number)

    found = [(each.log_record.body, (each.log_record.attributes or {})["user.id"]) for each in sink.told()]
    assert sorted(found) == sorted((str(number), str(number)) for number in range(40) for _ in range(20))


def test_tasks_and_visitors(sink: Sink) -> None:
    """Records of tasks that interleave each carry their own visitor."""
    logger = logger_to(sink)

    async def work(number: int) -> None:
        async with visitor(user_id=number):
            for _ in range(3):
                await asyncio.sleep(0)
                logger.info("%d", number)

    async def all_of_them() -> None:
        await asyncio.gather(*(work(number) for number in range(50)))

    asyncio.run(all_of_them())
    assert all(each.log_record.body == (each.log_record.attributes or {})["user.id"] for each in sink.told())
    assert len(sink.told()) == 150


def test_a_slow_exporter_holds_up_no_other_thread() -> None:
    """While one thread exports, others log: the handler has no lock."""
    is_exporting, may_end = threading.Event(), threading.Event()

    class Slow(InMemoryLogRecordExporter):
        def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
            if batch[0].log_record.body == "slow":
                is_exporting.set()
                may_end.wait(10)
            return super().export(batch)

    sink = Sink(Slow())  # type: ignore[no-untyped-call]  # the SDK's
    logger = logger_to(sink)
    thread = threading.Thread(target=logger.info, args=("slow",))
    thread.start()
    assert is_exporting.wait(10)
    logger.info("quick")
    assert sink.messages() == ["quick"]
    may_end.set()
    thread.join(10)
    assert sink.messages() == ["quick", "slow"]


def through_a_queue(sink: Sink, log: Callable[[logging.Logger], None], *, keeps_context: bool) -> None:
    """Log through a QueueHandler, whose listener tells an EventHandler on a thread of its own."""
    records: queue.SimpleQueue[Any] = queue.SimpleQueue()
    handler = logging.handlers.QueueHandler(records)
    if keeps_context:
        handler.addFilter(ContextFilter())
    logger = logging.Logger("shop")
    logger.addHandler(handler)
    listener = logging.handlers.QueueListener(
        records,
        EventHandler(logger_provider=sink.provider, code=False),
    )
    listener.start()
    try:
        log(logger)
    finally:
        listener.stop()


def log_as_visitor(logger: logging.Logger) -> None:
    with visitor(user_id="u-1"), trace.get_tracer("app").start_as_current_span("work"):
        logger.info("order %s", "o-1", extra={"event": "Order Placed", "total": 2})


def test_a_queue_keeps_the_context(sink: Sink, telemetry: Telemetry) -> None:
    """With a ContextFilter, the record told behind the queue has trace, span and visitor of the call."""
    through_a_queue(sink, log_as_visitor, keeps_context=True)
    record, span = sink.only(), telemetry.span().context
    assert span is not None
    assert (record.event_name, record.body) == ("Order Placed", "order o-1")
    assert sink.attributes() == {"total": 2, "user.id": "u-1"}
    assert (record.trace_id, record.span_id, record.trace_flags) == (
        span.trace_id,
        span.span_id,
        int(span.trace_flags),
    )


def test_a_memory_handler_keeps_the_context(sink: Sink) -> None:
    """With a ContextFilter, records kept back have the visitor of their own call, whoever flushes them."""
    handler = logging.handlers.MemoryHandler(
        10, target=EventHandler(logger_provider=sink.provider, code=False)
    )
    handler.addFilter(ContextFilter())
    logger = logging.Logger("shop")
    logger.addHandler(handler)

    for user in ("u-1", "u-2"):
        with visitor(user_id=user):
            logger.info("from %s", user)
    with visitor(user_id="u-3"):
        logger.error("from %s", "u-3")  # that flushes

    told = [(each.log_record.body, (each.log_record.attributes or {})["user.id"]) for each in sink.told()]
    assert told == [(f"from {user}", user) for user in ("u-1", "u-2", "u-3")]


def test_a_queue_without_context_tells_no_wrong_one(sink: Sink, telemetry: Telemetry) -> None:
    """Without the filter trace and visitor are unknown, and nobody else's are taken."""
    with visitor(user_id="somebody else"):
        through_a_queue(sink, log_as_visitor, keeps_context=False)
    assert sink.attributes() == {"total": 2}
    assert (sink.only().trace_id, sink.only().event_name) == (0, "Order Placed")


def test_a_queue_keeps_the_exception(sink: Sink) -> None:
    """A QueueHandler makes exceptions text; the filter keeps them before that."""

    def fail(logger: logging.Logger) -> None:
        logger.error("failed", exc_info=raised(LookupError("no order")))

    through_a_queue(sink, fail, keeps_context=True)
    found = sink.attributes()
    assert (sink.only().body, found["exception.type"], found["exception.message"]) == (
        "failed",
        "LookupError",
        "no order",
    )


def test_a_context_told_behind_a_queue_is_nobody_elses(sink: Sink) -> None:
    """A listener that has a visitor of its own, as in a thread that inherits, does not lend it."""
    record = logging.makeLogRecord({"name": "shop", "msg": "x"})
    contextvars.Context().run(ContextFilter().filter, record)
    sink.provider = LoggerProvider(shutdown_on_exit=False)
    sink.provider.add_log_record_processor(VisitorLogProcessor())
    sink.provider.add_log_record_processor(SimpleLogRecordProcessor(sink.exporter))
    with visitor(user_id="listener"):
        EventHandler(logger_provider=sink.provider, code=False).handle(record)
    assert sink.attributes() == {}


def test_records_from_another_process(sink: Sink) -> None:
    """What was pickled by the standard SocketHandler is told with its event, exception and context."""
    record = logging.LogRecord(
        "shop", 40, __file__, 1, "failed %s", ("o-1",), (LookupError, raised(LookupError("no order")), None)
    )
    record.__dict__["event"] = "Order Failed"
    with visitor(user_id="u-1"):
        ContextFilter().filter(record)
    pickled = logging.handlers.SocketHandler("127.0.0.1", 9).makePickle(record)

    EventHandler(logger_provider=sink.provider, code=False).handle(
        logging.makeLogRecord(pickle.loads(pickled[4:]))
    )

    found = sink.attributes()
    assert (sink.only().body, sink.only().event_name) == ("failed o-1", "Order Failed")
    assert (found["exception.type"], found["exception.message"], found["user.id"]) == (
        "LookupError",
        "no order",
        "u-1",
    )


def test_an_exception_that_is_text_only(sink: Sink) -> None:
    """Without a filter, type and words are read off the traceback's last line."""
    text = "Traceback (most recent call last):\n  File ...\nshop.errors.OrderError: no order: o-1\n"
    record = logging.makeLogRecord({"name": "shop", "msg": "x", "exc_text": text})
    EventHandler(logger_provider=sink.provider, code=False).handle(record)
    assert sink.attributes() == {
        "exception.type": "shop.errors.OrderError",
        "exception.message": "no order: o-1",
        "exception.stacktrace": text,
    }


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_child_of_a_fork_logs(sink: Sink) -> None:
    """A process forked while another thread logs is not held up by anything of the parent's."""
    logger = logger_to(sink)
    stop = threading.Event()

    def chatter() -> None:
        while not stop.is_set():
            logger.info("parent")

    thread = threading.Thread(target=chatter)
    thread.start()
    statuses = []
    try:
        for _ in range(5):
            child = os.fork()
            if not child:
                Sink.__init__(fresh := Sink.__new__(Sink))
                logger_to(fresh).info("child")
                os._exit(0 if fresh.messages() == ["child"] else 1)
            statuses.append(os.waitpid(child, 0)[1])
    finally:
        stop.set()
        thread.join(10)
    assert statuses == [0] * 5
    assert sys.exc_info() == (None, None, None)
