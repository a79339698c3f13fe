"""
Stamping: the current visitor, put on spans and log records of any library.

A visitor reaches an exporter as attributes of the record, put there when the span starts or the record is
emitted: behind the batch processors nobody knows any more who it was for. So these processors go in front of
the exporting ones:

    tracer_provider.add_span_processor(VisitorSpanProcessor())
    tracer_provider.add_span_processor(BatchSpanProcessor(...))

By default ids, session, page group, A/B bucket and dimensions are stamped; identities such as an e-mail
address, user attributes, consent and the client's address only with `fields="all"`, since every exporter of
the application sees them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from opentelemetry.sdk._logs import LogRecordProcessor
from opentelemetry.sdk.trace import SpanProcessor

from otel_vendor_exporters.attributes import VISITOR, visitor_fields
from otel_vendor_exporters.interrupts import let_through

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk._logs import ReadWriteLogRecord
    from opentelemetry.sdk.trace import ReadableSpan, Span
    from opentelemetry.util.types import AttributeValue

__all__ = ["VisitorLogProcessor", "VisitorSpanProcessor"]

_logger = logging.getLogger(__name__)


class VisitorSpanProcessor(SpanProcessor):
    """
    Stamps the visitor on every span that starts; what a span was given itself goes first.

    Any thread may start spans. `fields`: "default", "all", or names of fields.
    """

    def __init__(self, fields: str | Iterable[str] = "default") -> None:
        self._fields = visitor_fields(fields)
        self._faults = _Faults()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002
        """Stamp the span."""
        visitor = VISITOR.get()
        if visitor is None:
            return
        try:
            stamp = visitor.attributes_beside(_plain(span.attributes), self._fields)
            span.set_attributes(cast("Mapping[str, AttributeValue]", stamp))
            if (span.parent is None or span.parent.is_remote) and visitor.is_of_this_task():
                visitor.span = span
        except Exception as fault:  # noqa: BLE001 - a span must start, whatever is wrong with its visitor
            self._faults.say(fault)

    def on_end(self, span: ReadableSpan) -> None:
        """Nothing is left to be done."""

    def shutdown(self) -> None:
        """Nothing is held."""

    def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002
        """Nothing waits."""
        return True


class VisitorLogProcessor(LogRecordProcessor):
    """
    Stamps the visitor on every log record; what a record says itself goes first.

    Any thread may emit. `fields`: "default", "all", or names of fields.
    """

    def __init__(self, fields: str | Iterable[str] = "default") -> None:
        self._fields = visitor_fields(fields)
        self._faults = _Faults()

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Stamp the record."""
        visitor = VISITOR.get()
        if visitor is None:
            return
        try:
            own = log_record.log_record.attributes
            stamp = visitor.attributes_beside(_plain(own), self._fields)
            cast("dict[str, object]", own).update(stamp)  # the SDK makes them a mapping that can be changed
        except Exception as fault:  # noqa: BLE001 - a record must go on, whatever is wrong with its visitor
            self._faults.say(fault)

    def enabled(self, **_question: Any) -> bool:  # Any: the parameters differ between the SDK's versions
        """This processor emits nothing: it is no reason to make a record."""
        return False

    def shutdown(self) -> None:
        """Nothing is held."""

    def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002
        """Nothing waits."""
        return True


class _Faults:
    """Says once that stamping failed; the message names the type only, since its words may hold user data."""

    def __init__(self) -> None:
        self._said = False

    def say(self, fault: Exception) -> None:
        let_through(fault)
        if not self._said:
            self._said = True
            with suppress(Exception):  # a filter of the application may raise, and has been heard of then
                _logger.warning(
                    "the visitor could not be stamped (%s): telemetry goes on without it; this is said once",
                    type(fault).__name__,
                )


def _plain(attributes: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """A dictionary: the SDK's own mapping takes ten times as long for each question."""
    copy = getattr(attributes, "copy", None)
    return copy() if attributes and copy is not None else attributes
