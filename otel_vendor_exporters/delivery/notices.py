"""
Notices: what the operator is told, at most once per problem and interval.

A problem is named by a key. While it lasts it is counted; the next notice tells how often it came since
the last; when it is over that is said once. Never a secret and never user data in a notice.
Rule: nothing is logged under a lock. A logging handler may be ours and call back; so what happens under a
lock is noted, and told when the lock is free.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from contextlib import suppress
from dataclasses import dataclass

from otel_vendor_exporters.delivery.clock import Clock

INTERVAL_SECONDS = 60.0
_MOST_KEYS = 1000  # bounded memory: past it the oldest problem is forgotten
_MOST_LINES = 1000  # noted and not yet told


@dataclass(slots=True)
class _Problem:
    said_at: float
    unsaid: int = 0
    lasts: bool = True  # told, and its end is not


@dataclass(frozen=True, slots=True)
class _Line:
    level: int
    message: str
    args: tuple[object, ...]
    error: BaseException | None = None


class Notices:
    """Says things through one logger. Any thread may call."""

    def __init__(self, logger: logging.Logger, clock: Clock) -> None:
        self._logger = logger
        self.clock = clock
        self.renew_after_fork()

    def renew_after_fork(self) -> None:
        """Start from nothing, with a lock that no thread of the parent holds."""
        self._lock = threading.RLock()  # a finalizer may ask while it is held
        self._problems: dict[str, _Problem] = {}
        self._lines: deque[_Line] = deque(maxlen=_MOST_LINES)

    def say(
        self, key: str, level: int, message: str, *args: object, error: BaseException | None = None
    ) -> None:
        """
        Log `message` unless the same problem was told less than an interval ago; then count it.

        With `error`, its traceback is logged too.
        """
        self.note(key, level, message, *args, error=error)
        self.tell()

    def over(self, key: str, message: str, *args: object) -> None:
        """Say that a problem is over, if it had been told."""
        self.note_over(key, message, *args)
        self.tell()

    def note(
        self, key: str, level: int, message: str, *args: object, error: BaseException | None = None
    ) -> None:
        """As `say`, but logged by the next `tell`: for those who hold a lock."""
        with self._lock:
            now = self.clock.monotonic()
            problem = self._problems.get(key)
            if problem is not None and now - problem.said_at < INTERVAL_SECONDS:
                problem.unsaid += 1
                return
            if problem is not None and problem.unsaid:
                message += " (%d more times since the last message)"
                args = (*args, problem.unsaid)
            if problem is None and len(self._problems) >= _MOST_KEYS:
                self._problems.pop(next(iter(self._problems)))
            self._problems[key] = _Problem(now)
            self._lines.append(_Line(level, message, args, error))

    def note_line(self, level: int, message: str, *args: object) -> None:
        """Whatever was told before: who calls this counts by itself."""
        self._lines.append(_Line(level, message, args))

    def note_over(self, key: str, message: str, *args: object) -> None:
        """As `over`, but logged by the next `tell`."""
        with self._lock:
            problem = self._problems.get(key)
            if problem is not None and problem.lasts:
                problem.lasts = False
                self._lines.append(_Line(logging.WARNING, message, args))

    def tell(self) -> None:
        """Log what was noted. Never raises; the caller holds no lock."""
        while self._lines:
            with suppress(
                Exception
            ):  # another thread told it, or a logging handler failed: no place to say so
                line = self._lines.popleft()
                self._logger.log(line.level, line.message, *line.args, exc_info=line.error)
