"""
Ids that follow from names, so that the same thing has the same id wherever and how often it is made.

Pure: UUIDs of version 5 in the URL namespace (RFC 4122, 4.3). Random ids come from outside as a `NewId`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import sha1
from itertools import count

_URL_NAMESPACE = bytes.fromhex("6ba7b8119dad11d180b400c04fd430c8")
_NODE = 2**48 - 1
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def is_uuid(text: object) -> bool:
    """Whether it is a UUID's text, in the one spelling that every version of the schema takes."""
    return isinstance(text, str) and _UUID.fullmatch(text) is not None


def session_uuid(session_id: str) -> str:
    """The session's UUID; its own id, if that is one. The server hashes the spelling, so it is kept."""
    return session_id if is_uuid(session_id) else named_uuid(f"session:{session_id}")


def span_uuid(trace_id: int, span_id: int, event: int | None = None) -> str:
    """The message id of a span, or of its so many'th event: exported twice, it is the same message."""
    span = f"span:{trace_id:032x}:{span_id:016x}"
    return named_uuid(span if event is None else f"{span}:event:{event}")


def part_ids(request_id: str, way: str) -> Iterator[str]:
    """
    The ids of a batch's parts, in order: divided again in the same way, they are the same batches.

    `way` tells apart the ways one batch may be divided in, as no id may ever stand for two contents.
    """
    return (named_uuid(f"{way}:{number}:{request_id}") for number in count(1))


def named_uuid(name: str) -> str:
    """The UUID of one of our names."""
    name_bytes = f"mparticle-otel:{name}".encode("utf-8", "replace")
    return uuid_text(sha1(_URL_NAMESPACE + name_bytes, usedforsecurity=False).digest()[:16], version=5)


def uuids_from(random_uuid: str) -> Iterator[str]:
    """
    As many UUIDs as one likes from a random one: its last 48 bits are counted up.

    For one export: fresh random bits for each of its records would take longer than all the rest of an id.
    """
    beginning, node = random_uuid[:24], int(random_uuid[24:], 16)
    for number in count(node):
        yield f"{beginning}{number & _NODE:012x}"


def uuid_text(content: bytes, version: int = 4) -> str:
    """Sixteen bytes as a UUID of this version. Random bytes make a random one, in a third of uuid4's time."""
    digits = content.hex()
    variant = "89ab"[content[8] >> 4 & 3]
    return f"{digits[:8]}-{digits[8:12]}-{version}{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"
