"""
Register: names that every process which uses one spool folder must know, for as long as the folder exists.

A file of hashes, salted and tied to the account, which is only ever added to. Who holds the file learns no
name from it, but can tell whether a name they guess is in it.
Rule: what was added by this process is known here whatever the disk does; what others added is known from the
next `refresh` on.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path

from otel_vendor_exporters.delivery.disk_errors import disk_errors
from otel_vendor_exporters.delivery.file_lock import lock_for_a_moment
from otel_vendor_exporters.delivery.notices import Notices
from otel_vendor_exporters.errors import SpoolError

MOST_NAMES = 1_000_000
MOST_WAIT_SECONDS = 1.0
_MAGIC = b"otel-register-1\n"
_SIZE = 16  # of the salt and of each hash
_HEAD = len(_MAGIC) + _SIZE


class Register:
    """Names one account has registered. Any thread may call; `in` never touches the disk."""

    def __init__(self, vendor: str, account: tuple[str, ...], path: Path | None, notices: Notices) -> None:
        """Without a `path` it is known to this process only. Does not read the file yet."""
        self._vendor = vendor
        self._account = account
        self._path = path
        self._notices = notices
        self._own_salt = secrets.token_bytes(_SIZE)
        self._own: set[bytes] = set()  # what this process added
        self._salt = b""  # the file's
        self._hashes: set[bytes] = set()
        self._seen = (0, 0)  # the file's identity, and how much of it was read
        self._lock = threading.Lock()

    def __contains__(self, name: str) -> bool:
        """Whether the name is registered."""
        if self._own and self._hash(name, self._own_salt) in self._own:
            return True
        return bool(self._hashes) and self._hash(name, self._salt) in self._hashes

    def add(self, name: str) -> None:
        """Register a name, here and, if there is a file, for all. Never raises."""
        with self._lock:
            if len(self._own) < MOST_NAMES:
                self._own.add(self._hash(name, self._own_salt))
            error = self._try(lambda path: self._append(path, [name]))
        self._tell(error)

    def claim(self, name: str, *others: str) -> bool:
        """
        Register a name and others with it, unless it is registered: True for one caller in all processes.

        False as well when that cannot be written down, or there is no room. Never raises.
        """
        with self._lock:
            if self._path is None:
                return self._claim_here(name, others)
            claimed: list[bool] = []
            error = self._try(
                lambda path: claimed.append(self._append(path, [name, *others], unless_registered=True))
            )
        self._tell(error)
        return claimed == [True]

    def refresh(self) -> None:
        """Learn what other processes have registered. Never raises."""
        with self._lock:
            error = self._try(self._read)
        self._tell(error)

    def renew_after_fork(self) -> None:
        """A lock that no thread of the parent holds; what is known stays known."""
        self._lock = threading.Lock()

    def _hash(self, name: str, salt: bytes) -> bytes:
        text = json.dumps([self._vendor, *self._account, name])
        return blake2b(text.encode(), digest_size=_SIZE, salt=salt).digest()

    def _try(self, act: Callable[[Path], object]) -> SpoolError | None:
        if self._path is None:
            return None
        try:
            with disk_errors():
                act(self._path)
        except SpoolError as error:
            return error
        return None

    def _tell(self, error: SpoolError | None) -> None:
        if error is not None:
            text = "%s: the register of names in the spool folder cannot be used (%s): other processes"
            text += " do not learn what this one registers, nor it what they do"
            self._notices.say("register", logging.ERROR, text, self._vendor, error)

    def _claim_here(self, name: str, others: Sequence[str]) -> bool:
        if name in self or len(self._own) > MOST_NAMES - len(others) - 1:
            return False
        self._own.update(self._hash(one, self._own_salt) for one in (name, *others))
        return True

    def _append(self, path: Path, names: Sequence[str], *, unless_registered: bool = False) -> bool:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(path) as file:
            if os.fstat(file).st_size < _HEAD:  # new, or its maker died over it
                os.ftruncate(file, 0)
                os.pwrite(file, _MAGIC + secrets.token_bytes(_SIZE), 0)
            if unless_registered:
                self._take_in(file)  # nobody adds to it while it is locked
                if names[0] in self:
                    return False
            content = os.pread(file, _HEAD, 0)
            self._check(content)
            whole = (os.fstat(file).st_size - _HEAD) // _SIZE
            if whole + len(names) > MOST_NAMES:
                raise SpoolError(f"it holds {MOST_NAMES} names")
            hashes = b"".join(self._hash(name, content[-_SIZE:]) for name in names)
            os.pwrite(file, hashes, _HEAD + whole * _SIZE)
            os.fsync(file)
            if unless_registered:
                self._take_in(file)
        return True

    def _read(self, path: Path) -> None:
        try:
            status = path.stat()
        except FileNotFoundError:
            return
        if (status.st_ino, status.st_size) == self._seen or status.st_size < _HEAD:
            return
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:  # without a lock: what is there does not change, and half a hash at the end does not count
            self._take_in(file)
        finally:
            os.close(file)

    def _take_in(self, file: int) -> None:
        """Learn what the file holds, from where it was read last if it is still the same one."""
        head = os.pread(file, _HEAD, 0)
        self._check(head)
        inode, read = os.fstat(file).st_ino, _HEAD
        is_longer = os.fstat(file).st_size >= self._seen[1] >= _HEAD
        if is_longer and (inode, head[len(_MAGIC) :]) == (self._seen[0], self._salt):
            read = self._seen[1]
        else:
            self._hashes = set()  # a moment without is better than a moment with the wrong salt
        body = os.pread(file, _HEAD + MOST_NAMES * _SIZE - read, read)
        ends = range(_SIZE, len(body) + 1, _SIZE)
        self._salt = head[len(_MAGIC) :]
        self._hashes.update(body[end - _SIZE : end] for end in ends)
        self._seen = (inode, read + len(ends) * _SIZE)

    @staticmethod
    def _check(content: bytes) -> None:
        if not content.startswith(_MAGIC):
            raise SpoolError("it is no register")


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """The file, under a lock that is held for one write; whoever holds it longer has been stopped."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        lock_for_a_moment(file, MOST_WAIT_SECONDS)
        yield file
    finally:
        os.close(file)
