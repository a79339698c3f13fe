"""
Notices: what the operator is told, at most once per problem and interval.

A problem is named by a key. While it lasts it is counted; the next notice tells how often it came since
the last; when it is over that is said once. Never a secret and never user data in a notice.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass

from otel_vendor_exporters.delivery.clock import Clock

INTERVAL_SECONDS = 60.0
_MOST_KEYS = 1000  # bounded memory: past it the oldest problem is forgotten


@dataclass(slots=True)
class _Problem:
    said_at: float
    unsaid: int = 0


class Notices:
    """Says things through one logger. Any thread may call."""

    def __init__(self, logger: logging.Logger, clock: Clock) -> None:
        self._logger = logger
        self._clock = clock
        self._lock = threading.Lock()
        self._problems: dict[str, _Problem] = {}

    def say(self, key: str, level: int, message: str, *args: object) -> None:
        """Log `message` unless the same problem was told less than an interval ago; then count it."""
        with self._lock:
            now = self._clock.monotonic()
            problem = self._problems.get(key)
            if problem is not None and now - problem.said_at < INTERVAL_SECONDS:
                problem.unsaid += 1
                return
            unsaid = problem.unsaid if problem else 0
            if len(self._problems) >= _MOST_KEYS:
                self._problems.pop(next(iter(self._problems)))
            self._problems[key] = _Problem(now)
        if unsaid:
            message, args = message + " (%d more times since the last message)", (*args, unsaid)
        self._logger.log(level, message, *args)

    def renew_after_fork(self) -> None:
        """Start from nothing, with a lock that no thread of the parent holds."""
        self._lock = threading.Lock()
        self._problems = {}

    def over(self, key: str, message: str, *args: object) -> None:
        """Say that a problem is over, if it had been told."""
        with self._lock:
            told = self._problems.pop(key, None) is not None
        if told:
            self._logger.warning(message, *args)
