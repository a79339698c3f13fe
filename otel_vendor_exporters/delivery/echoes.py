"""
Echoes: log records that sending itself makes, which would be sent, and make more, for ever.

urllib3 logs a line for each request, and we log what becomes of them. Where OpenTelemetry's handler sees
these, each delivery would leave a record for the next.
Nothing in a record that comes out of a batch says that it was made while sending: the SDK takes its context
away. So what these loggers say is never sent, also of an application's own requests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.sdk._logs import ReadableLogRecord

IS_ECHO = "echo"  # why such a record is ignored
_LOGGERS = frozenset({"otel_vendor_exporters", "requests", "urllib3"})  # and those below them


def is_echo(record: ReadableLogRecord) -> bool:
    """Whether a record without an event's name comes from what sends, as far as its logger says."""
    scope = record.instrumentation_scope
    return scope is not None and scope.name.partition(".")[0] in _LOGGERS
