"""What the disk and SQLite say, as a SpoolError; and whether it is the content of a file that is at fault."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from otel_vendor_exporters.delivery.lifetime import no_fork
from otel_vendor_exporters.errors import SpoolError

# https://www.sqlite.org/rescode.html: SQLITE_CORRUPT and SQLITE_NOTADB, and what SQLite says of them; and
# what sqlite3 says of itself when a text in the file is none.
_DAMAGE_CODES = (11, 26)
_BUSY_CODES = (5, 6)  # SQLITE_BUSY and SQLITE_LOCKED,
_BUSY_WORDS = "is locked"  # and what SQLite says of them
_DAMAGE_WORDS = ("malformed", "not a database", "Could not decode to UTF-8")
OTHER_KIND = (TypeError, ValueError, OverflowError)  # a column of another kind, a text that is not UTF-8


class DamagedError(SpoolError):
    """The file is damaged: trying again is of no use."""


class BusyError(SpoolError):
    """Another process has the file under its lock: it will soon be free."""


def is_damage(error: BaseException) -> bool:
    """Whether the content of the file is at fault, not the disk, a lock or the want of memory."""
    code = getattr(error, "sqlite_errorcode", None)  # from Python 3.11 on
    if code is not None:
        return code & 0xFF in _DAMAGE_CODES
    if isinstance(error, sqlite3.Error):
        return any(words in str(error) for words in _DAMAGE_WORDS)
    return isinstance(error, OTHER_KIND)


@contextmanager
def disk_errors() -> Iterator[None]:
    """Turn what the disk says into SpoolError, in words without paths of the user's; no fork in between."""
    try:
        with no_fork:
            yield
    except (sqlite3.Error, OSError) as error:
        raise disk_error(error) from error


def disk_error(error: sqlite3.Error | OSError) -> SpoolError:
    """What the disk or SQLite said, without paths of the user's."""
    if isinstance(error, OSError):
        return SpoolError(error.strerror or type(error).__name__)
    if is_damage(error):
        return DamagedError(str(error))
    return (BusyError if _is_busy(error) else SpoolError)(str(error))


def _is_busy(error: sqlite3.Error) -> bool:
    code = getattr(error, "sqlite_errorcode", None)  # from Python 3.11 on
    return _BUSY_WORDS in str(error) if code is None else code & 0xFF in _BUSY_CODES
