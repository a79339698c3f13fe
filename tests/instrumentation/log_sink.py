"""A logger with an EventHandler, what reached its exporter, and things that are hard to log."""

from __future__ import annotations

import logging
from typing import Any

from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor

from instrumentation import EventHandler

CODE = {"code.function.name", "code.file.path", "code.line.number"}


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


def logger_to(sink: Sink, name: str = "shop.cart", **options: Any) -> logging.Logger:
    """A logger that is nobody's child, with an EventHandler."""
    logger = logging.Logger(name, logging.DEBUG)
    logger.addHandler(EventHandler(logger_provider=sink.provider, **options))
    return logger


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except type(error) as caught:
        return caught
