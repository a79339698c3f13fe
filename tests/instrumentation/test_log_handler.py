"""The logging handler: what is told of a log call."""

from __future__ import annotations

import asyncio
import datetime
import decimal
import enum
import logging
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor

from instrumentation import EventHandler, visitor
from otel_vendor_exporters.visitor import VisitorLogProcessor
from tests.instrumentation.conftest import Telemetry
from tests.instrumentation.log_sink import CODE, Sink, Unshowable, logger_to, raised


class Color(enum.Enum):
    RED = 1


def test_a_log_call_becomes_an_event(sink: Sink) -> None:
    """Event name, message, level, attributes, logger, and where the call stands."""
    logger_to(sink).info("order %s", "o-1", extra={"event": "Order Placed", "total": 19.99, "items": 3})

    record = sink.only()
    assert (record.event_name, record.body) == ("Order Placed", "order o-1")
    assert (record.severity_number.name, record.severity_text) == ("INFO", "INFO")
    assert sink.attributes() == {"total": 19.99, "items": 3}
    assert record.attributes["code.function.name"] == "test_a_log_call_becomes_an_event"
    assert record.attributes["code.file.path"] == __file__
    assert record.attributes["code.line.number"] > 0
    assert getattr(sink.told()[0].instrumentation_scope, "name", None) == "shop.cart"
    assert abs(record.timestamp - record.observed_timestamp) < 10**9


@pytest.mark.parametrize(
    ("extra", "name", "attributes"),
    [
        ({"event": "A"}, "A", {}),
        ({"otel.event.name": "A"}, "A", {}),
        ({"event.name": "A"}, "A", {}),
        ({"otel.event.name": "A", "event": "B"}, "A", {}),
        ({"event": 7}, None, {"event": 7}),
        ({"event": ""}, None, {"event": ""}),
        ({}, None, {}),
        (None, None, {}),
    ],
    ids=str,
)
def test_event_names(sink: Sink, extra: Any, name: str | None, attributes: dict[str, object]) -> None:
    """The event's name may stand under OpenTelemetry's key or a short one; what is no name stays as it is."""
    logger_to(sink).info("x", extra=extra)
    assert (sink.only().event_name, sink.attributes()) == (name, attributes)


@pytest.mark.parametrize(
    ("level", "number", "text"),
    [
        (1, "TRACE", "Level 1"),
        (4, "TRACE", "Level 4"),
        (logging.DEBUG, "DEBUG", "DEBUG"),
        (logging.INFO, "INFO", "INFO"),
        (21, "INFO2", "Level 21"),
        (25, "INFO4", "Level 25"),
        (logging.WARNING, "WARN", "WARN"),
        (logging.ERROR, "ERROR", "ERROR"),
        (logging.CRITICAL, "FATAL", "FATAL"),
        (53, "FATAL4", "Level 53"),
        (1000, "FATAL4", "Level 1000"),
    ],
)
def test_levels(sink: Sink, level: int, number: str, text: str) -> None:
    """Levels are OpenTelemetry's severities, custom levels the steps between."""
    logger = logger_to(sink)
    logger.setLevel(1)
    logger.log(level, "x")
    assert (sink.only().severity_number.name, sink.only().severity_text) == (number, text)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("text", "text"),
        (True, True),
        (7, 7),
        (1.5, 1.5),
        (b"\x00\xff", b"\x00\xff"),
        (None, None),
        (["a", "b"], ("a", "b")),
        ((1, 2), (1, 2)),
        ({"id": 1, "lines": [{"sku": "lamp"}]}, {"id": 1, "lines": ({"sku": "lamp"},)}),
        ({7: "seven"}, {"7": "seven"}),
        (decimal.Decimal("1.50"), "1.50"),
        (datetime.date(2026, 11, 21), "2026-11-21"),
        (Color.RED, "Color.RED"),
        (ValueError("x"), "x"),
        ({"token": "t-1", "id": 1}, {"token": "[redacted]", "id": 1}),
    ],
    ids=str,
)
def test_extras_of_every_type(sink: Sink, value: object, shown: object) -> None:
    """Text, numbers, lists and mappings are told as they are, everything else as its text."""
    logger_to(sink).info("x", extra={"it": value})
    assert sink.attributes() == {"it": shown}


def test_extras_that_cannot_be_shown_are_left_out(sink: Sink, caplog: pytest.LogCaptureFixture) -> None:
    """A value without a text costs itself only; one that holds itself is cut off."""
    endless: list[object] = []
    endless.append(endless)
    extra: dict[Any, object] = {"good": 1, "bad": Unshowable(), "endless": endless, 7: "no name", None: 1}
    logger_to(sink).info("x", extra=extra)
    assert sink.attributes()["good"] == 1
    assert set(sink.attributes()) == {"good", "endless"}


def test_messages_of_every_type(sink: Sink) -> None:
    """Whatever is logged has a text."""
    logger = logger_to(sink)
    logger.info({"a": 1})
    logger.info(ValueError("wrong"))
    logger.info("%(a)s", {"a": 1})
    logger.info("100%")
    logger.info(None)
    assert sink.messages() == ["{'a': 1}", "wrong", "1", "100%", "None"]


@pytest.mark.parametrize(
    "record",
    [
        logging.makeLogRecord({}),
        logging.makeLogRecord({"name": "shop", "levelno": "high", "levelname": None, "created": 1}),
        logging.LogRecord("shop", 20, "", 0, None, None, None),
        logging.makeLogRecord({"name": "shop", "exc_info": (None, None, None), "exc_text": ""}),
        logging.makeLogRecord({"name": "shop", "exc_text": "no traceback at all"}),
        type("Own", (logging.LogRecord,), {})("shop", 20, "", 0, "x", (), None),
    ],
    ids=range(6),
)
def test_records_of_every_make(sink: Sink, record: logging.LogRecord) -> None:
    """Records that were unpickled, made by hand or half are told with what they have."""
    EventHandler(logger_provider=sink.provider).handle(record)
    assert sink.only().body == str(record.msg)


def test_exceptions(sink: Sink) -> None:
    """Type, words and traceback, from logger.exception as from exc_info= of every kind."""
    logger = logger_to(sink)
    error = raised(LookupError("no order"))
    try:
        raise error
    except LookupError:
        logger.exception("failed")
    logger.info("x", exc_info=error)
    logger.info("x", exc_info=(LookupError, error, error.__traceback__))
    logger.info("x", exc_info=True)
    logger.info("x", exc_info=asyncio.CancelledError())
    logger.info("x", exc_info=raised(RuntimeError()), stack_info=True)

    found = [dict(each.log_record.attributes or {}) for each in sink.told()]
    for each in found[:3]:
        assert (each["exception.type"], each["exception.message"]) == ("LookupError", "no order")
        assert str(each["exception.stacktrace"]).startswith("Traceback (most recent call last):")
        assert "raise error" in str(each["exception.stacktrace"])
    assert found[3].keys() == CODE
    assert found[4]["exception.type"] == "asyncio.exceptions.CancelledError"
    assert "exception.message" not in found[5]
    assert "test_exceptions" in str(found[5]["code.stacktrace"])


def test_an_exception_that_has_no_words(sink: Sink) -> None:
    """An exception whose text fails is told by its type."""

    class BrokenError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    logger_to(sink).error("x", exc_info=raised(BrokenError()))
    assert "exception.message" not in sink.attributes()
    assert sink.attributes()["exception.type"].endswith("BrokenError")


def test_trace_and_visitor(sink: Sink, telemetry: Telemetry) -> None:
    """A record carries the current trace and span, and the visitor's default fields."""
    logger = logger_to(sink)
    with (
        trace.get_tracer("app").start_as_current_span("work") as span,
        visitor(user_id="u-1", session_id="s-1", identities={"email": "a@b.example"}),
    ):
        logger.info("x", extra={"id": 1})

    record = sink.only()
    assert (record.trace_id, record.span_id) == (
        span.get_span_context().trace_id,
        span.get_span_context().span_id,
    )
    assert sink.attributes() == {"id": 1, "user.id": "u-1", "session.id": "s-1"}


def test_the_visitor_as_chosen(sink: Sink) -> None:
    """All fields or some of them; what the call says itself goes first."""
    logger = logger_to(sink, visitor_attributes="all")
    with visitor(user_id="u-1", identities={"email": "a@b.example"}, page_group="Cart"):
        logger.info("x", extra={"mpulse.page_group": "Own"})
    assert sink.attributes() == {"user.id": "u-1", "user.email": "a@b.example", "mpulse.page_group": "Own"}


def test_a_processor_behind_stamps_nothing_twice(sink: Sink) -> None:
    """The visitor's processor in the same pipeline changes nothing."""
    sink.provider = LoggerProvider(shutdown_on_exit=False)
    sink.provider.add_log_record_processor(VisitorLogProcessor())
    sink.provider.add_log_record_processor(SimpleLogRecordProcessor(sink.exporter))
    with visitor(user_id="u-1"):
        logger_to(sink, code=False).info("x")
    assert sink.only().attributes == {"user.id": "u-1"}
