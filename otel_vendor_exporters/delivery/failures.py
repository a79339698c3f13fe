"""
Failures: what the errors that come instead of an answer say.

Pure but for the words of the operating system. Rule: no message is repeated, since messages hold URLs, and
URLs hold keys.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Iterator
from traceback import walk_tb
from types import FrameType


def is_alert(error: BaseException) -> bool:
    """TLS 1.3 says only after the first bytes that a client's certificate is not good enough."""
    return isinstance(error, ssl.SSLError) and "ALERT" in (error.reason or "")


def chain(error: BaseException, *, without: BaseException | None = None) -> Iterator[BaseException]:
    """The error and those that led to it; `without` one, and what led to that."""
    seen = {id(without)}
    waiting: list[object] = [error]
    while waiting:
        one = waiting.pop()
        if isinstance(one, BaseException) and id(one) not in seen:
            seen.add(id(one))
            yield one
            waiting += [*one.args, getattr(one, "reason", None), one.__cause__, one.__context__]


def frames_of(error: BaseException) -> Iterator[FrameType]:
    """Where it was raised: what called what, as far as the error has come."""
    return (frame for frame, _ in walk_tb(error.__traceback__))


_NO_TUNNEL = re.compile(r"Tunnel connection failed: (\d{3})")  # http.client's words for it


def words_of(error: BaseException) -> str:
    """The failure in a few words: only types, since messages hold URLs, and URLs hold keys."""
    names = [type(error).__name__]
    cause = error
    while (inner := _inner(cause)) is not None:
        cause = inner
    if cause is error and error.__cause__ is not None:
        cause = error.__cause__
    if cause is not error:
        names.append(type(cause).__name__)
    if isinstance(cause, ssl.SSLError):
        names.append((cause.reason or "").replace("_", " ").lower() or "no reason given")
    elif isinstance(cause, OSError) and cause.errno is not None and cause.errno > 0:
        names.append(os.strerror(cause.errno))
    elif tunnel := _NO_TUNNEL.match(str(cause)):
        names.append(f"answered {tunnel[1]}")
    return ": ".join(names)


def _inner(error: BaseException) -> BaseException | None:
    """The error that this one was made of, as `requests` and urllib3 do it."""
    inner = error.args[-1] if error.args else None
    if not isinstance(inner, BaseException):
        inner = getattr(error, "reason", None)
    return inner if isinstance(inner, BaseException) and inner is not error else None
