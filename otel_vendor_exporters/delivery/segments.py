"""
Segments: how what was kept together is written down as one row.

Pure. What stands here is read by later versions too: it changes with the schema version alone.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable
from typing import NamedTuple

MOST_IN_A_SEGMENT = 512
_ENTRY = struct.Struct("<dII")  # expires_at_unix_ms or NaN, size_bytes, length of the body that follows


class Entry(NamedTuple):
    """One item as it stands in a segment."""

    expires_at_unix_ms: float | None
    size_bytes: int
    body: bytes

    @property
    def is_blot(self) -> bool:
        """Whether it only keeps the place of an item that is no more."""
        return self.size_bytes == 0 and not self.body


BLOT = Entry(None, 0, b"")


class Segment(NamedTuple):
    """One row: items that were kept together, in the order of age among the others."""

    block: int
    age: int
    first: int
    origin: str | None
    body: bytes


def joined(entries: Iterable[tuple[float | None, int, bytes]]) -> bytes:
    """The body of a segment, of the columns of `Entry`."""
    pieces: list[bytes] = []
    add, pack = pieces.append, _ENTRY.pack
    for expires, size_bytes, body in entries:
        add(pack(math.nan if expires is None else expires, size_bytes, len(body)))
        add(body)
    return b"".join(pieces)


def entries_of(body: bytes) -> list[Entry]:
    """The items of a segment. Raises ValueError for what `joined` did not make."""
    found: list[Entry] = []
    at = 0
    while at < len(body):
        if len(body) - at < _ENTRY.size:
            raise ValueError("a segment that breaks off")
        expires, size_bytes, length = _ENTRY.unpack_from(body, at)
        at += _ENTRY.size
        if len(body) - at < length:
            raise ValueError("a segment that breaks off")
        found.append(Entry(None if math.isnan(expires) else expires, size_bytes, body[at : at + length]))
        at += length
    return found


def origin_of(file: str, block: int, stop: int) -> str:
    """What a segment says that was copied from a block of another file, up to the place `stop`."""
    return f"{file} {block}" if stop == MOST_IN_A_SEGMENT else f"{file} {block}:{stop}"


def origins_of(segments: Iterable[Segment]) -> dict[str, dict[int, int]]:
    """The blocks that were copied, and up to which place, by the name of their file."""
    found: dict[str, dict[int, int]] = {}
    for segment in segments:
        file, _, place = (segment.origin or "").rpartition(" ")
        block, _, stop = place.partition(":")
        if file and block.isdecimal() and (stop.isdecimal() or not stop):
            blocks = found.setdefault(file, {})
            most = min(int(stop or MOST_IN_A_SEGMENT), MOST_IN_A_SEGMENT)
            blocks[int(block)] = max(blocks.get(int(block), 0), most)
    return found
