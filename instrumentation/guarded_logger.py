"""
The guarded logger: how the instrumentation says something, without harm to the application it runs in.

A filter or a handler of the application may raise, and logging lets a filter's error through to whoever logs:
that would be the caller of a decorated function, or an import.
"""

from __future__ import annotations

import logging
import sys
from contextlib import suppress

from otel_vendor_exporters.interrupts import let_through

_OUR_FRAMES = 3  # between the line that says something and logging itself


class GuardedLogger:
    """A logger of this name that never raises. Any thread may log."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)
        self._is_fault_told = False

    def debug(self, message: str, *arguments: object) -> None:
        """Log at this level."""
        self._log(logging.DEBUG, message, arguments)

    def warning(self, message: str, *arguments: object) -> None:
        """Log at this level."""
        self._log(logging.WARNING, message, arguments)

    def exception(self, message: str, *arguments: object) -> None:
        """Log an error, with the exception that is being handled."""
        self._log(logging.ERROR, message, arguments, with_exception=True)

    def _log(
        self, level: int, message: str, arguments: tuple[object, ...], *, with_exception: bool = False
    ) -> None:
        try:
            self._logger.log(
                level, message, *arguments, exc_info=with_exception or None, stacklevel=_OUR_FRAMES
            )
        except Exception as fault:  # noqa: BLE001 - a filter, a handler: the application's code
            self._tell(fault)

    def _tell(self, fault: Exception) -> None:
        """Say so once, where logging itself tells of its handlers' errors."""
        let_through(fault)
        if self._is_fault_told or not logging.raiseExceptions:
            return
        self._is_fault_told = True
        with suppress(Exception):  # there may be no stderr, or a closed one
            sys.stderr.write(
                f"--- Logging error ---\n{self._logger.name} could not log: a filter or handler failed "
                f"with {type(fault).__qualname__}; this is said once\n"
            )
