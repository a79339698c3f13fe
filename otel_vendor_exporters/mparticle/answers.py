"""
Answers: what mParticle says of the batches in one request.

Pure. Success is the status, whatever the body holds; a 202 may still carry errors for some batches of a bulk
request, and then the body is all we have. Sources: "HTTP API" and recorded answers of the live server, which
writes Newtonsoft's messages with their quotation marks escaped for HTML.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Sequence
from typing import Any

_BATCH_PATH = re.compile(r"Path '\[(\d{1,9})\]")
_POSITION = re.compile(r"line 1, position (\d{1,9})\b")


def error_messages(body: bytes) -> tuple[str, ...]:
    """
    The messages of an answer, readable; none for an empty body or one that is no error list.

    A message may repeat what was sent: it is for our caller's log, with care.
    """
    try:
        answer: Any = json.loads(body)  # Any: it is whatever the server wrote
    except (ValueError, RecursionError):
        return ()
    errors = answer.get("errors") if isinstance(answer, dict) else None
    if not isinstance(errors, list):
        return ()
    messages = [error.get("message") for error in errors if isinstance(error, dict)]
    return tuple(html.unescape(message) for message in messages if isinstance(message, str))


def batch_index(message: str, bodies: Sequence[bytes]) -> int | None:
    """
    Which of the batches of a bulk request a message is about, if it says so.

    Errors in a batch name its index. Errors in an event name a path within the event, and the position in the
    whole body, counted in characters from 1, that reading had come to.
    """
    named = _BATCH_PATH.findall(message)
    if named:
        index = int(named[-1])  # the last: a value quoted before it may look the same
        return index if index < len(bodies) else None
    position = _POSITION.search(message)
    return _index_at(int(position[1]) - 1, bodies) if position else None


def _index_at(offset: int, bodies: Sequence[bytes]) -> int | None:
    start = len("[")
    for index, body in enumerate(bodies):
        end = start + _length(body)
        if start <= offset < end:
            return index
        start = end + len(",")
    return None


def _length(body: bytes) -> int:
    """In the server's characters: UTF-16 units."""
    return len(body) if body.isascii() else len(body.decode().encode("utf-16-le")) // 2
