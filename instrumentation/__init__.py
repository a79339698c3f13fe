"""
Instrumentation for application code: decorators that time, count and report, who is acting, and log calls.

Needs the OpenTelemetry API and wrapt, nothing else: a decorated application runs unchanged with any
exporter or with none.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from instrumentation.captures import Call
from instrumentation.decorators import counted, event, timed
from instrumentation.redaction import redact
from instrumentation.visitor import current_visitor, set_visitor, visitor
from instrumentation.visitor_details import VisitorDetails

if TYPE_CHECKING:
    from instrumentation.auto import instrument_functions, uninstrument
    from instrumentation.log_handler import ContextFilter, EventHandler
    from instrumentation.middleware import VisitorMiddleware

__all__ = [
    "Call",
    "ContextFilter",
    "EventHandler",
    "VisitorDetails",
    "VisitorMiddleware",
    "counted",
    "current_visitor",
    "event",
    "instrument_functions",
    "redact",
    "set_visitor",
    "timed",
    "uninstrument",
    "visitor",
]

# Imported when first asked for: most applications use one or the other, and every import costs their start.
_LATER = {
    "ContextFilter": "instrumentation.log_handler",
    "EventHandler": "instrumentation.log_handler",
    "VisitorMiddleware": "instrumentation.middleware",
    "instrument_functions": "instrumentation.auto",
    "uninstrument": "instrumentation.auto",
}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(_LATER[name]), name)
    globals()[name] = found
    return found
