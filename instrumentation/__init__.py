"""
Instrumentation for application code: decorators that time, count and report, who is acting, and log calls.

Needs the OpenTelemetry API and wrapt, nothing else: a decorated application runs unchanged with any
exporter or with none.
"""

from instrumentation.captures import Call, redact
from instrumentation.decorators import counted, event, timed
from instrumentation.log_handler import ContextFilter, EventHandler
from instrumentation.middleware import VisitorMiddleware
from instrumentation.visitor import VisitorDetails, current_visitor, set_visitor, visitor

__all__ = [
    "Call",
    "ContextFilter",
    "EventHandler",
    "VisitorDetails",
    "VisitorMiddleware",
    "counted",
    "current_visitor",
    "event",
    "redact",
    "set_visitor",
    "timed",
    "visitor",
]
