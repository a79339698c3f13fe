"""What a log call never does: tell of our own work, go round in circles, or fail."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import context
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, LogRecordExportResult

from instrumentation import EventHandler
from instrumentation.captures import Site
from tests.instrumentation.conftest import Telemetry
from tests.instrumentation.log_sink import Sink, Unshowable, logger_to


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


@pytest.mark.parametrize(
    "key", [_SUPPRESS_INSTRUMENTATION_KEY, "suppress_instrumentation"], ids=["new", "old"]
)
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


def test_what_a_value_logs_is_told(sink: Sink) -> None:
    """An argument whose text is made by logging loses nothing of that."""

    class Chatty:
        def __str__(self) -> str:
            logger.info("somebody wants my text")
            return "chatty"

    logger = logger_to(sink)
    logger.info("%s", Chatty(), extra={"it": Chatty()})
    assert sink.messages() == ["somebody wants my text", "somebody wants my text", "chatty"]


def test_a_value_that_logs_itself_is_no_recursion(sink: Sink) -> None:
    """An argument whose text logs that argument, twice, is told to a depth that has an end."""

    class Chatty:
        def __str__(self) -> str:
            logger.info("%s %s", self, self)
            return "chatty"

    logger = logger_to(sink)
    logger.info("%s", Chatty())
    assert sink.messages()[-1] == "chatty"
    assert len(sink.messages()) == 1 + sum(2**depth for depth in range(7))


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
