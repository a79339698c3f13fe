"""
Crew: the threads of one sender, started when there is work.

Rule: a thread is started while the sender's lock is free. Starting waits for the new thread, in which a
finalizer may run before its first line, and call the sender.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from otel_vendor_exporters.delivery import reentry


class Crew:
    """The owner holds `lock` when it calls anything here."""

    def __init__(self, lock: threading.Lock, work: Callable[[], None], name: str) -> None:
        self._lock = lock
        self._work = work
        self._name = name
        self._threads: list[threading.Thread] = []
        self._begun: set[threading.Thread] = set()

    def __len__(self) -> int:
        return len(self._threads)

    def grow_to(self, size: int) -> bool:
        """Start the threads that are missing. True when the lock was free meanwhile, so look again."""
        before = len(self._threads)
        while len(self._threads) < size:
            if not self._start():
                break
        return len(self._threads) > before

    def running(self) -> tuple[threading.Thread, ...]:
        """Those that can be waited for."""
        return tuple(thread for thread in self._threads if thread.is_alive())

    def _start(self) -> bool:
        """Whether one more could be started."""
        thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._threads.append(thread)
        is_starting = False
        self._lock.release()
        try:
            thread.start()
            is_starting = True
        except RuntimeError:  # the interpreter is going down
            return False
        finally:
            self._lock.acquire()
            if not is_starting and thread not in self._begun:
                self._threads.remove(thread)
        return True

    def _run(self) -> None:
        """
        The work of one thread, which is of the crew in any case now.

        A signal handler that raises while `threading` starts a thread may leave one that never gets here.
        """
        thread = threading.current_thread()
        with reentry.scope, self._lock:
            self._begun.add(thread)
            if thread not in self._threads:
                self._threads.append(thread)
        self._work()
