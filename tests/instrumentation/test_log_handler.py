"""The logging handler: what is told of a log call, what is not, and that no log call ever fails."""

from __future__ import annotations

import asyncio
import contextvars
import datetime
import decimal
import enum
import logging
import logging.config
import logging.handlers
import os
import pickle
import queue
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import context, trace
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import (
    InMemoryLogRecordExporter,
    LogRecordExportResult,
    SimpleLogRecordProcessor,
)

from instrumentation import ContextFilter, EventHandler, redact, visitor
from instrumentation.captures import Site
from instrumentation.log_records import Extras
from instrumentation.redaction import SECRETS
from otel_vendor_exporters.visitor import VisitorLogProcessor
from tests.instrumentation.conftest import Telemetry

CODE = {"code.function.name", "code.file.path", "code.line.number"}


class Color(enum.Enum):
    RED = 1


class Unshowable:
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class Sink:
    """A provider of its own, and what reached its exporter."""

    def __init__(self, exporter: InMemoryLogRecordExporter | None = None) -> None:
        self.exporter = exporter or InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]  # the SDK's
        self.provider = LoggerProvider(shutdown_on_exit=False)
        self.provider.add_log_record_processor(SimpleLogRecordProcessor(self.exporter))

    def told(self) -> list[ReadableLogRecord]:
        return list(self.exporter.get_finished_logs())

    def only(self) -> Any:  # Any: the API's record, whose optional parts a test knows to be there
        (record,) = self.told()
        return record.log_record

    def attributes(self) -> dict[str, Any]:
        """The attributes of the only record, without those of the code."""
        return {name: value for name, value in self.only().attributes.items() if name not in CODE}

    def messages(self) -> list[Any]:
        return [each.log_record.body for each in self.told()]


@pytest.fixture
def sink() -> Sink:
    return Sink()


def logger_to(sink: Sink, name: str = "shop.cart", **options: Any) -> logging.Logger:
    """A logger that is nobody's child, with an EventHandler."""
    logger = logging.Logger(name, logging.DEBUG)
    logger.addHandler(EventHandler(logger_provider=sink.provider, **options))
    return logger


# What is told


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


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except type(error) as caught:
        return caught


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


# What is chosen


def test_chosen_loggers(sink: Sink) -> None:
    """Only the loggers that are named, and their children."""
    handler = EventHandler(logger_provider=sink.provider, loggers=["shop", "billing.cards"])
    for name in ("shop", "shop.cart", "shopping", "billing", "billing.cards.visa"):
        logger = logging.Logger(name)
        logger.addHandler(handler)
        logger.info(name)
    assert sink.messages() == ["shop", "shop.cart", "billing.cards.visa"]


def test_events_only(sink: Sink) -> None:
    """Records with an event name or an exception; no others."""
    logger = logger_to(sink, records="events")
    logger.info("plain")
    logger.info("event", extra={"event": "A"})
    logger.info("exception", exc_info=ValueError("x"))
    logger.info("no exception", exc_info=True)
    assert sink.messages() == ["event", "exception"]


def test_levels_are_chosen(sink: Sink) -> None:
    """By number or by name, as with any handler."""
    logger = logger_to(sink, level="WARNING")
    logger.info("low")
    logger.warning("high")
    assert sink.messages() == ["high"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"allow": ["order.*"]}, {"order.id", "order.total"}),
        ({"deny": ["order.*"]}, {"country"}),
        ({"allow": ["order.*"], "deny": ["*.total"]}, {"order.id"}),
        ({"allow": "country"}, {"country"}),
        ({"allow": []}, set()),
        ({"deny": []}, {"order.id", "order.total", "country"}),
    ],
    ids=str,
)
def test_allow_and_deny(sink: Sink, options: dict[str, Any], expected: set[str]) -> None:
    """Globs choose among the application's attributes; what denies is stronger."""
    logger = logger_to(sink, **options)
    for _ in range(2):
        logger.info("x", extra={"order.id": 1, "order.total": 2.0, "country": "AT"})
    for record in sink.told():
        assert set(record.log_record.attributes or {}) - CODE == expected


SECRET_TEXTS = [
    ("password=hunter2", "password=[redacted]"),
    ("login: password=hunter2, user=me", "login: password=[redacted], user=me"),
    ("Authorization: Bearer abc.def.ghi", "Authorization: [redacted]"),
    ('{"api_key": "k-1", "id": 1}', '{"api_key": [redacted], "id": 1}'),
    ("url?token=abc&id=1", "url?token=[redacted]&id=1"),
    ("x-api-key: k-1", "x-api-key: [redacted]"),
    ("the password is wrong", "the password is wrong"),
    ("total: 7", "total: 7"),
]


@pytest.mark.parametrize(("text", "shown"), SECRET_TEXTS)
def test_secrets_in_messages_are_hidden(sink: Sink, text: str, shown: str) -> None:
    """What stands behind a secret's name is not told; the rest of the message is."""
    logger_to(sink).info(text)
    assert sink.only().body == shown


def test_secrets_in_extras_and_exceptions_are_hidden(sink: Sink) -> None:
    """Attributes with a secret's name, nested ones, and what an exception says."""
    extra = {"password": "p-1", "order": {"card_number": "4111"}, "pin_code": "1234", "Cookie": ["c-1"]}
    logger_to(sink, redact=["pin"]).info("pin: 1234", extra=extra, exc_info=raised(ValueError("token=t-1")))

    found = sink.attributes()
    stack = found.pop("exception.stacktrace")
    assert found == {
        "password": "[redacted]",
        "order": {"card_number": "[redacted]"},
        "pin_code": "[redacted]",
        "Cookie": "[redacted]",
        "exception.type": "ValueError",
        "exception.message": "token=[redacted]",
    }
    assert "t-1" not in stack
    assert sink.only().body == "pin: [redacted]"


def test_what_a_call_says_is_bounded(sink: Sink) -> None:
    """Of long messages, names, texts and of many attributes, the beginning is told."""
    logger_to(sink).info("x" * 100_000, extra={"event": "E" * 1000})
    many = {f"a{number}": number for number in range(5000)}

    record = sink.only()
    assert record.event_name == "E" * 248 + "...[cut]"
    assert record.body == "x" * 8184 + "...[cut]"
    assert len(Extras(Site("x"), None, (), ()).shown(many)) == 1000


def test_names_that_become_secrets_later_are_hidden(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    """redact(...) holds for handlers that exist."""
    monkeypatch.setattr(SECRETS, "_names", SECRETS._names)
    logger = logger_to(sink)
    logger.info("x", extra={"shoe_size": 44})
    try:
        redact("shoe")
        logger.info("x", extra={"shoe_size": 44})
    finally:
        monkeypatch.undo()
        SECRETS.add()
    assert [(each.log_record.attributes or {})["shoe_size"] for each in sink.told()] == [44, "[redacted]"]


# How it is set up


def test_basic_config(sink: Sink, root: logging.Logger) -> None:
    """As one of basicConfig's handlers; the format, which is meant for the console, is not its own."""
    handlers = [EventHandler(logger_provider=sink.provider)]
    logging.basicConfig(handlers=handlers, level="INFO", format="%(asctime)s %(message)s", force=True)
    logging.getLogger("shop").info("x")
    assert sink.messages() == ["x"]


def test_dict_config(telemetry: Telemetry, root: logging.Logger) -> None:
    """By its name alone, with level, filters and options; it tells the global provider."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {
                "events": {
                    "class": "instrumentation.EventHandler",
                    "level": "INFO",
                    "records": "events",
                    "loggers": ["shop"],
                    "deny": ["internal.*"],
                }
            },
            "root": {"level": "DEBUG", "handlers": ["events"]},
        }
    )
    logger = logging.getLogger("shop.cart")
    logger.debug("low", extra={"event": "A"})
    logger.info("plain")
    logger.info("told", extra={"event": "B", "internal.id": 1})
    logging.getLogger("other").info("other", extra={"event": "C"})
    assert [event.name for event in telemetry.events()] == ["B"]


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, put back as it was afterwards."""
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    yield logger
    for handler in logger.handlers[:]:
        if handler not in handlers:
            logger.removeHandler(handler)
            handler.close()
    for handler in handlers:
        if handler not in logger.handlers:
            logger.addHandler(handler)
    logger.setLevel(level)


def test_the_sdk_may_be_set_up_later(telemetry_later: Telemetry) -> None:
    """Without an SDK nothing happens; from its set-up on, records are told."""
    logger = logging.Logger("shop")
    logger.addHandler(EventHandler())
    logger.info("early")
    telemetry_later.install()
    logger.info("late")
    assert [each.log_record.body for each in telemetry_later.logs.get_finished_logs()] == ["late"]


def test_wrong_options_say_what_would_be_right(sink: Sink) -> None:
    """A handler that cannot work is not made."""
    with pytest.raises(ValueError, match="records='event' is not known: use one of all, events"):
        EventHandler(records="event")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="exporters and logger_provider are both given"):
        EventHandler(exporters=["console"], logger_provider=sink.provider)
    with pytest.raises(ValueError, match="'email' is no field of a visitor"):
        EventHandler(visitor_attributes="email")


# What never happens


@pytest.mark.parametrize(
    "name",
    [
        "otel_vendor_exporters.mpulse",
        "opentelemetry.sdk._logs",
        "urllib3.connectionpool",
    ],
)
def test_records_of_sending_are_not_told(sink: Sink, name: str) -> None:
    """What our own loggers and those of the libraries we send with say never comes back."""
    logger_to(sink, name).error("x", extra={"event": "A"})
    assert sink.told() == []


def test_our_own_faults_are_not_told(sink: Sink) -> None:
    """What this package says of its faults never comes back, though its loggers' names are common words."""
    ours = logging.getLogger("instrumentation.decorators")
    handler = EventHandler(logger_provider=sink.provider)
    ours.addHandler(handler)
    try:
        Site("x").report("value", ValueError())
        logger_to(sink, "instrumentation.decorators").info("the application's")
    finally:
        ours.removeHandler(handler)
    assert sink.messages() == ["the application's"]


@pytest.mark.parametrize("name", ["requests", "requests.adapters"])
def test_records_made_in_requests_are_not_told(sink: Sink, name: str) -> None:
    """What requests itself would say comes not back, whatever it is: its file tells."""
    made_in = str(Path(requests.__file__).with_name("adapters.py"))
    record = logging.LogRecord(name, logging.ERROR, made_in, 1, "retrying", (), None)

    logger_to(sink, name).handle(record)

    assert sink.told() == []


@pytest.mark.parametrize("name", ["requests", "requests.audit", "instrumentation", "instrumentation.setup"])
def test_loggers_of_common_names_are_told(sink: Sink, name: str) -> None:
    """An application may name its loggers as libraries are named."""
    logger_to(sink, name).info("x")
    assert sink.messages() == ["x"]


@pytest.mark.parametrize("key", [_SUPPRESS_INSTRUMENTATION_KEY, "suppress_instrumentation"])
def test_suppressed(sink: Sink, key: str) -> None:
    """Where instrumentation is suppressed, as on the exporters' threads, nothing is told."""
    token = context.attach(context.set_value(key, True))
    try:
        logger_to(sink).info("x")
    finally:
        context.detach(token)
    assert sink.told() == []


class LoggingExporter(InMemoryLogRecordExporter):
    """An exporter that logs through the very logger it exports for."""

    logger: logging.Logger

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        context.detach(context.attach(context.Context()))
        token = context.attach(context.Context())  # even one that does not care for suppression
        self.logger.warning("exporting %d", len(batch))
        context.detach(token)
        return super().export(batch)


def test_a_log_call_while_exporting_is_no_recursion() -> None:
    """Exporting in the same thread may log: that is told to other handlers, and not to ours."""
    exporter = LoggingExporter()  # type: ignore[no-untyped-call]  # the SDK's
    sink = Sink(exporter)
    exporter.logger = logger_to(sink)
    exporter.logger.info("x")
    exporter.logger.info("y")
    assert sink.messages() == ["x", "y"]


def test_a_value_that_logs_is_no_recursion(sink: Sink) -> None:
    """An argument whose text is made by logging is told once."""

    class Chatty:
        def __str__(self) -> str:
            logger.info("somebody wants my text")
            return "chatty"

    logger = logger_to(sink)
    logger.info("%s", Chatty(), extra={"it": Chatty()})
    assert sink.messages() == ["chatty"]


def failing_message(logger: logging.Logger) -> None:
    logger.info("%d", "no number")


def failing_text(logger: logging.Logger) -> None:
    logger.info(Unshowable())


def failing_filter(logger: logging.Logger) -> None:
    logger.handlers[0].addFilter(lambda record: 1 / 0)  # type: ignore[arg-type,return-value]
    logger.info("x")


def endless_recursion(logger: logging.Logger) -> None:
    class Deep:
        def __str__(self) -> str:
            return str(Deep())

    logger.info("%s", Deep())


FAILURES = [failing_message, failing_text, failing_filter, endless_recursion]


@pytest.mark.parametrize("fail", FAILURES, ids=lambda each: each.__name__)
def test_a_failing_log_call_never_reaches_the_application(
    fail: Callable[[logging.Logger], None],
    sink: Sink,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """logging.raiseExceptions decides whether it is printed; nothing is raised, and the next call is told."""
    logger = logger_to(sink)
    monkeypatch.setattr(logging, "raiseExceptions", True)
    fail(logger)
    printed = capsys.readouterr().err
    monkeypatch.setattr(logging, "raiseExceptions", False)
    fail(logger)
    assert capsys.readouterr().err == ""
    assert "--- Logging error ---" in printed
    logger.handlers[0].filters.clear()
    logger.info("next")
    assert sink.messages() == ["next"]


def test_a_failing_provider_never_reaches_the_application(
    telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A provider of any make may fail: said once, counted every time."""

    class Broken(LoggerProvider):
        def get_logger(self, *args: Any, **kwargs: Any) -> Any:
            raise OSError("user data")

        def force_flush(self, timeout_millis: int = 30000) -> bool:
            raise OSError("user data")

    monkeypatch.setattr(logging, "raiseExceptions", False)
    monkeypatch.setattr("instrumentation.log_handler._SITE._reported", {})
    handler = EventHandler(logger_provider=Broken(shutdown_on_exit=False))
    logger = logging.Logger("shop")
    logger.addHandler(handler)
    for _ in range(3):
        logger.info("x")
    handler.flush()
    handler.close()

    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert "user data" not in caplog.text
    faults = {point.attributes["instrumentation.part"]: point.value for point in telemetry.points()}
    assert faults == {"record": 3, "flush": 1}


@settings(max_examples=200)
@given(
    message=st.one_of(st.text(), st.integers(), st.binary(), st.none()),
    args=st.lists(st.one_of(st.text(), st.integers(), st.floats(), st.none()), max_size=3),
    extra=st.dictionaries(
        st.text().filter(
            lambda name: name not in {"message", "asctime"} | set(vars(logging.makeLogRecord({})))
        ),
        st.recursive(
            st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary()),
            lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
            max_leaves=6,
        ),
        max_size=5,
    ),
)
def test_no_log_call_ever_fails(message: Any, args: list[Any], extra: dict[str, Any]) -> None:
    """Whatever is logged, the application goes on."""
    sink = Sink()
    logger = logger_to(sink)
    before, logging.raiseExceptions = logging.raiseExceptions, False
    try:
        logger.info(message, *args, extra=extra)
    finally:
        logging.raiseExceptions = before
    assert len(sink.told()) <= 1


# Threads, queues, processes


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
