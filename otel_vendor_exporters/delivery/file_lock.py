"""
File lock: says that the process which owns a spool file is alive.

The lock ends with its process, however that ends. A forked child inherits the descriptor, and must close
it without unlocking: the lock is the parent's. In the lock's own file its owner can leave a note to the next.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from otel_vendor_exporters.delivery import lifetime
from otel_vendor_exporters.errors import SpoolError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]  # checked before use

SUFFIX = ".lock"
_LONGEST_NOTE = 200
_NO_LOCKS = "this system has no file locks that end with their process"


class FileLock:
    """A lock on the file beside a spool file. Held until `release` or the end of the process."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor
        lifetime.register(self)

    @classmethod
    def take(cls, spool: Path, *, create: bool = False) -> FileLock | None:
        """The lock of a spool file; None when a living process has it. Raises OSError, SpoolError."""
        if fcntl is None:
            raise SpoolError(_NO_LOCKS)
        path = spool.with_name(spool.name + SUFFIX)
        flags = os.O_RDWR | os.O_NOFOLLOW | (os.O_CREAT if create else 0)
        descriptor = -1
        try:
            descriptor = os.open(path, flags, 0o600)
            if _is_taken(descriptor, path):
                return cls(path, descriptor)
        except BaseException:
            if create and descriptor >= 0:
                with suppress(OSError):  # it is not there, or the folder is not ours to change
                    path.unlink()
            _close(descriptor)
            raise
        os.close(descriptor)
        return None

    def leave_note(self, words: str) -> None:
        """Let whoever has the lock next find one line, whenever our process ends. Raises OSError."""
        if words:
            os.pwrite(self._descriptor, f"{words}\n".encode(), 0)
        else:
            os.ftruncate(self._descriptor, 0)

    def is_there(self) -> bool:
        """Whether its file still stands in the folder. Raises OSError."""
        return os.path.samestat(os.fstat(self._descriptor), self._path.stat())

    def release(self, *, unlink: bool = False) -> None:
        """End the lock, and its file if the spool file is gone. Never raises."""
        if unlink:
            with suppress(OSError):  # the folder is not ours to change
                self._path.unlink()
        self.abandon()

    def abandon(self) -> None:
        """In a forked child: close our descriptor; the parent's lock stays. Idempotent."""
        descriptor, self._descriptor = self._descriptor, -1
        _close(descriptor)

    def renew_after_fork(self) -> None:
        """The lock is the parent's, whoever was about to take or hand over what it stands for."""
        self.abandon()

    def end_at_exit(self) -> None:
        """The system ends it."""


def _close(descriptor: int) -> None:
    with suppress(OSError):  # it is closed
        os.close(descriptor)


def note_of(spool: Path) -> str:
    """What the last who had the lock of a spool file left there. Raises OSError."""
    try:
        with spool.with_name(spool.name + SUFFIX).open("rb") as file:
            return file.read(_LONGEST_NOTE).partition(b"\n")[0].decode(errors="replace")
    except FileNotFoundError:
        return ""


def _is_taken(descriptor: int, path: Path) -> bool:
    """Whether the lock is now ours, and the file is the one that stands there."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except (BlockingIOError, FileNotFoundError):  # somebody lives, or was faster and has removed it
        return False


def lock_for_a_moment(descriptor: int, most_wait_seconds: float) -> None:
    """Lock an open file that others lock for moments only. Closing ends it. Raises OSError, SpoolError."""
    if fcntl is None:
        raise SpoolError(_NO_LOCKS)
    deadline = time.monotonic() + most_wait_seconds
    while not _is_locked_now(descriptor):
        if time.monotonic() > deadline:
            raise SpoolError("another process holds it")
        time.sleep(0.002)


def _is_locked_now(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
