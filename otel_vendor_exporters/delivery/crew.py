"""
Crew: the threads of one sender, started when there is work.

Rule: a thread is started while the sender's lock is free. Starting waits for the new thread, in which a
finalizer may run before its first line, and call the sender.
"""

from __future__ import annotations

import threading
from collections.abc import Callable


class Crew:
    """The owner holds `lock` when it calls anything here."""

    def __init__(self, lock: threading.Lock, work: Callable[[], None], name: str) -> None:
        self._lock = lock
        self._work = work
        self._name = name
        self._threads: list[threading.Thread] = []

    def __len__(self) -> int:
        return len(self._threads)

    def grow_to(self, size: int) -> bool:
        """Start the threads that are missing. True when the lock was free meanwhile, so look again."""
        before = len(self._threads)
        while len(self._threads) < size and self._start():
            pass  # one more
        return len(self._threads) > before

    def running(self) -> tuple[threading.Thread, ...]:
        """Those that can be waited for."""
        return tuple(thread for thread in self._threads if thread.is_alive())

    def _start(self) -> bool:
        """Whether one more could be started."""
        thread = threading.Thread(target=self._work, name=self._name, daemon=True)
        self._threads.append(thread)
        self._lock.release()
        try:
            thread.start()
        except RuntimeError:  # the interpreter is going down
            self._threads.remove(thread)
            return False
        finally:
            self._lock.acquire()
        return True
