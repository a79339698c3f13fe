"""
Instrumentation for application code: decorators that time, count and report.

Needs the OpenTelemetry API and wrapt, nothing else: a decorated application runs unchanged with any
exporter or with none.
"""

from instrumentation.captures import Call, redact
from instrumentation.decorators import counted, event, timed

__all__ = ["Call", "counted", "event", "redact", "timed"]
