"""
Overdue: requests on a session that is not ours, ended a moment after their deadline.

`requests` and urllib3 give each silence of a server a time, but not the whole: one that sends a byte now and
then would hold a thread of ours for ever. So one more thread looks which socket such a request waits for,
and shuts it down; the request then fails by itself, and where it failed tells what had left.
"""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from time import monotonic, sleep
from types import FrameType

GRACE_SECONDS = 0.2  # after the deadline: for what the session itself gives up in time
LOOK_EVERY_SECONDS = 0.25
_LIBRARIES = ("socket", "ssl", "http.client", "urllib3.")
_OURS = __name__.partition(".")[0] + "."


class Wait:
    """A request of the calling thread. `is_cut` once its socket was shut down."""

    __slots__ = ("is_cut", "over_at", "thread_id")

    def __init__(self, deadline: float) -> None:
        self.thread_id = threading.get_ident()
        self.over_at = deadline + GRACE_SECONDS  # monotonic seconds
        self.is_cut = False


class Overdue:
    """The requests of one session. Any thread may call; the look-out is there while there are any."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waits: set[Wait] = set()
        self._look_out: threading.Thread | None = None

    def begin(self, wait: Wait) -> None:
        """From now on. `end` must follow, also when this raises."""
        with self._lock:
            self._waits.add(wait)
            is_watched = self._look_out is not None and self._look_out.is_alive()
            if not is_watched:
                self._look_out = look_out = threading.Thread(
                    target=self._look, name="overdue-requests", daemon=True
                )
        if not is_watched:
            with suppress(RuntimeError):  # the interpreter is going down: without it, then
                look_out.start()

    def end(self, wait: Wait) -> None:
        """It waits no more."""
        with self._lock:
            self._waits.discard(wait)

    def _look(self) -> None:
        while self._cut_overdue():
            sleep(LOOK_EVERY_SECONDS)

    def _cut_overdue(self) -> bool:
        """Whether anybody waits at all. Under the lock: who has ended is never cut."""
        with self._lock:
            for wait in self._waits:
                if wait.over_at <= monotonic():
                    _cut(wait)
            if not self._waits:
                self._look_out = None
            return bool(self._waits)


def _cut(wait: Wait) -> None:
    """Shut down what its thread waits for, if that is a socket."""
    found = (_socket_of(frame) for frame in _frames(wait.thread_id))
    sock = next((one for one in found if one is not None), None)
    if sock is not None:
        wait.is_cut = True  # before its thread can see the end
        with suppress(OSError):  # it is not connected any more
            socket.socket.shutdown(sock, socket.SHUT_RDWR)  # of TLS, too, what is below it


def _frames(thread_id: int) -> Iterator[FrameType]:
    """Of a thread, the innermost first, up to ours: what is beyond is the application's."""
    frame = sys._current_frames().get(thread_id)
    while frame is not None and not _module(frame).startswith(_OURS):
        yield frame
        frame = frame.f_back


def _socket_of(frame: FrameType) -> socket.socket | None:
    """Of the connection that a function of the libraries below works on."""
    if not _module(frame).startswith(_LIBRARIES):
        return None
    known = frame.f_locals  # `create_connection` has one that is nobody's yet
    owner = known.get("self")
    with suppress(Exception):  # anybody's properties
        found = (
            owner,
            known.get("sock"),
            *(getattr(owner, name, None) for name in ("sock", "_sock", "socket")),
        )
        return next((one for one in found if isinstance(one, socket.socket)), None)
    return None


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__"))
