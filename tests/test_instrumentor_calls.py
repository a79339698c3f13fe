"""The instrumentor called in this process, with providers of the application's own."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor
from opentelemetry.sdk._logs.export import (
    BatchLogRecordProcessor,
    InMemoryLogRecordExporter,
    SimpleLogRecordProcessor,
)
from opentelemetry.sdk.trace import TracerProvider

from instrumentation import visitor
from otel_vendor_exporters.instrumentor import VendorInstrumentor


@pytest.fixture
def instrumentor() -> Iterator[VendorInstrumentor]:
    """The one of the process, uninstrumented afterwards."""
    one = VendorInstrumentor()
    yield one
    if one.is_instrumented_by_opentelemetry:
        one.uninstrument()


@pytest.mark.parametrize("is_batch", [True, False], ids=["batch", "simple"])
def test_visitor_is_on_records_that_were_exported_in_front(
    is_batch: bool, instrumentor: VendorInstrumentor
) -> None:
    """The exporting processor was there first, and yet its records carry the visitor; afterwards no more."""
    exporter = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]  # the SDK leaves it untyped
    provider = LoggerProvider(shutdown_on_exit=False)
    kind: Any = BatchLogRecordProcessor if is_batch else SimpleLogRecordProcessor
    provider.add_log_record_processor(kind(exporter))
    tracer_provider = TracerProvider(shutdown_on_exit=False)

    instrumentor.instrument(tracer_provider=tracer_provider, logger_provider=provider, meter_provider=None)
    with visitor(user_id="u-1"):
        provider.get_logger("test").emit(body="in")
        span: Any = tracer_provider.get_tracer("test").start_span("in")
    instrumentor.uninstrument()
    with visitor(user_id="u-2"):
        provider.get_logger("test").emit(body="after")
        later: Any = tracer_provider.get_tracer("test").start_span("after")

    provider.shutdown()
    records = [each.log_record for each in exporter.get_finished_logs()]
    assert [dict(each.attributes or {}) for each in records] == [{"user.id": "u-1"}, {}]
    assert [dict(each.attributes) for each in (span, later)] == [{"user.id": "u-1"}, {}]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (None, {"user.id": "u-1"}),
        ("all", {"user.id": "u-1", "user.email": "a@b.example"}),
        ("identities", {"user.email": "a@b.example"}),
        ("ids, identities", {"user.id": "u-1", "user.email": "a@b.example"}),
        ("none", {}),
    ],
)
def test_what_is_stamped_is_a_setting(
    wanted: str | None, expected: dict[str, str], instrumentor: VendorInstrumentor
) -> None:
    """Identities are stamped only when asked for."""
    provider = TracerProvider(shutdown_on_exit=False)
    instrumentor.instrument(tracer_provider=provider, visitor_attributes=wanted)
    with visitor(user_id="u-1", identities={"email": "a@b.example"}):
        span: Any = provider.get_tracer("test").start_span("in")
    assert dict(span.attributes) == expected


def test_an_sdk_that_has_changed_is_told(
    instrumentor: VendorInstrumentor, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the processor cannot be moved in front, it is added behind and that is said."""

    class Own(SimpleLogRecordProcessor):
        def add_log_record_processor(self, processor: LogRecordProcessor) -> None:
            pass

    own: Any = Own(InMemoryLogRecordExporter())  # type: ignore[no-untyped-call]  # the SDK leaves it untyped
    provider = LoggerProvider(shutdown_on_exit=False, multi_log_record_processor=own)
    instrumentor.instrument(logger_provider=provider)
    assert "visitors may be missing on log records" in caplog.text


def test_a_wrong_option_is_told_with_the_nearest(
    instrumentor: VendorInstrumentor, caplog: pytest.LogCaptureFixture
) -> None:
    """A key of the YAML file that is none is told, and nothing is raised."""
    instrumentor.instrument(instrumnt=["json:loads=timed"])
    assert "did you mean instrument?" in caplog.text


def test_warnings_go_to_the_applications_handlers_when_it_has_any(
    instrumentor: VendorInstrumentor, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """stderr is the last resort, not a second place."""
    seen: list[logging.LogRecord] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(record)

    monkeypatch.setattr(logging.getLogger("instrumentation"), "handlers", [Handler()])
    instrumentor.instrument(instrument="json:lods=timed")
    assert [each.getMessage() for each in seen] == [
        "json:lods is not instrumented: module 'json' has no 'lods' (nearest: 'loads')"
    ]
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("wrong", [5, {"target": "json:loads", "use": "timed"}, True])
def test_what_is_no_list_of_entries_is_told(
    wrong: object, instrumentor: VendorInstrumentor, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is raised; what would be right is said."""
    instrumentor.instrument(instrument=wrong)
    (told,) = caplog.messages
    assert told == (
        f"no function is decorated, of the option instrument: {wrong!r} is neither a list of entries nor a "
        "text: write instrument: [shop.cart:Cart.add=timed]"
    )


def test_the_file_of_functions_may_be_a_path(
    instrumentor: VendorInstrumentor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """From code; its functions are decorated as those of a text."""
    (tmp_path / "shop_by_path.py").write_text("def pay(): pass\n")
    (tmp_path / "these.json").write_text('["shop_by_path:pay=timed(Paid)"]')
    monkeypatch.syspath_prepend(tmp_path)

    instrumentor.instrument(instrument_file=tmp_path / "these.json", visitor_attributes="none")
    pay = importlib.import_module("shop_by_path").pay

    assert (hasattr(pay, "__wrapped__"), caplog.messages) == (True, [])


def test_a_file_that_none_can_be_is_said(
    instrumentor: VendorInstrumentor, caplog: pytest.LogCaptureFixture
) -> None:
    """By the setting's name; what else was asked for holds."""
    instrumentor.instrument(instrument_file=Path("a\0b"), visitor_attributes="none")

    what = "instrument_file is PosixPath('a\\x00b') (from keyword instrument_file)"
    words = f"{what}: expected a path without NUL characters"
    assert caplog.messages == [f"left out, and the rest holds: {words}"]
