"""
The last resort: warnings of this package on stderr, where nobody else would show them.

Python does that for loggers without handlers. OpenTelemetry's logging instrumentation, which comes with
opentelemetry-instrument, gives all loggers one that shows nothing, and what is wrong would not be seen.
"""

from __future__ import annotations

import logging
import sys
from typing import Final

OUR_LOGGERS: Final = ("instrumentation", "otel_vendor_exporters")

_logger = logging.getLogger(__name__)
_told: set[str] = set()


class LastResort(logging.Handler):
    """Shows our warnings on stderr, unless the application has a handler for them."""

    def emit(self, record: logging.LogRecord) -> None:
        """Show it, unless the application has a handler for it."""
        if logging.lastResort is not None and not _is_shown(record.name, but_by=self):
            logging.lastResort.handle(record)


LAST_RESORT: Final = LastResort(logging.WARNING)


def tell_if_shadowed() -> None:
    """
    Say once that another module stands in the place of the package `instrumentation`.

    An application's own instrumentation.py does, where its folder is searched first, as it is under
    opentelemetry-instrument; that takes the failed import for a library that is not installed, and is silent.
    """
    found = sys.modules.get("instrumentation")
    path = getattr(found, "__file__", None)
    if found is None or hasattr(found, "VisitorMiddleware") or "shadowed" in _told:
        return
    _told.add("shadowed")
    _logger.addHandler(LAST_RESORT)
    try:
        _logger.warning(
            "nothing is instrumented: %s stands in front of the package 'instrumentation' of "
            "otel-vendor-exporters; rename it, or put it into a package",
            path,
        )
    finally:
        _logger.removeHandler(LAST_RESORT)


def _is_shown(logger_name: str, but_by: logging.Handler) -> bool:
    logger: logging.Logger | None = logging.getLogger(logger_name)
    while logger is not None:
        for handler in logger.handlers:
            if handler is not but_by and not type(handler).__module__.startswith("opentelemetry."):
                return True
        logger = logger.parent if logger.propagate else None
    return False
