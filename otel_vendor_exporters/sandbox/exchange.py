"""
What passes between the listener and a vendor: a request, an answer, and what a vendor must be able to do.

Values only; no sockets.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import unquote_to_bytes

from otel_vendor_exporters.sandbox.inbox import Record

MAX_PAIRS = 1_000
MAX_SHOWN = 80
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class Request:
    """One request as the socket gave it: `headers` by lower-case name, `authority` our own host:port."""

    method: str
    path: str
    query: bytes
    headers: Mapping[str, str]
    body: bytes
    authority: str
    host: str = ""
    body_too_large: bool = False

    @property
    def content_type(self) -> str:
        """The media type without its parameters, in lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def user_agent(self) -> str:
        """What the client calls itself; empty when it does not say."""
        return self.headers.get("user-agent", "").strip()

    @property
    def url_length(self) -> int:
        """Characters of the whole URL as the client wrote it, https counted."""
        return len("https://") + len(self.host) + len(self.path) + (1 + len(self.query) if self.query else 0)


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back. `close` drops the connection without an answer, `reset` does so with a TCP reset."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    delay_seconds: float = 0.0
    close: bool = False
    reset: bool = False
    stream: Callable[[], Iterator[bytes]] | None = None  # instead of a body: parts, as they come


@dataclass(frozen=True, slots=True)
class Pairs:
    """Names and values decoded from a query or a form, and whether that was written cleanly."""

    pairs: tuple[tuple[str, str], ...] = ()
    clean: bool = True
    complete: bool = True
    first: dict[str, str] = field(default_factory=dict)


class Vendor(Protocol):
    """One vendor's emulator. Every method may be called from any thread."""

    name: str
    kinds: tuple[str, ...]

    def kind_of(self, request: Request) -> str | None:
        """Which kind of request this is for this vendor; None when it is not for it."""

    def answer(self, request: Request) -> tuple[Answer, Record]:
        """The vendor's answer, and the truth for the journal."""

    def summary(self, records: Iterable[Record]) -> dict[str, object]:
        """What arrived in short, in the JSON form of received.json."""

    def reset(self) -> None:
        """Back to friendly answers; what clients already hold (crumbs, addresses) stays good."""


def pairs_from(encoded: bytes) -> Pairs:
    """The pairs of a query or a form body; what does not decode is replaced, and said."""
    parts = encoded.split(b"&", MAX_PAIRS) if encoded else []
    complete = len(parts) <= MAX_PAIRS
    decoded = [_pair(part) for part in parts[:MAX_PAIRS] if part]
    pairs = tuple((name, value) for name, value, _ in decoded)
    first: dict[str, str] = {}
    for name, value in pairs:
        first.setdefault(name, value)
    return Pairs(pairs, all(clean for _, _, clean in decoded), complete, first)


def shown(text: str, most: int = MAX_SHOWN) -> str:
    """A text from outside, cut so that it can be named in a code or a sentence."""
    printable = "".join(c if c.isprintable() else "�" for c in text[: most + 1])
    return printable if len(printable) <= most else printable[:most] + "…"


def utf16_length(text: str) -> int:
    """Characters as JavaScript and .NET count them, and so the vendors."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def cut(text: str, characters: int) -> str:
    """The first so many UTF-16 units of a text, never half of a pair."""
    if utf16_length(text) <= characters:
        return text
    units = text.encode("utf-16-le", "surrogatepass")[: characters * 2]
    kept = units.decode("utf-16-le", "surrogatepass")
    return kept[:-1] if "\ud800" <= kept[-1] <= "\udbff" else kept


def _pair(part: bytes) -> tuple[str, str, bool]:
    name, _, value = part.partition(b"=")
    name_text, name_clean = _decoded(name)
    value_text, value_clean = _decoded(value)
    return name_text, value_text, name_clean and value_clean


def _decoded(encoded: bytes) -> tuple[str, bool]:
    raw = encoded.replace(b"+", b" ")
    clean = b"%" not in raw or not _BAD_ESCAPE.search(raw)
    if b"%" in raw:
        raw = unquote_to_bytes(raw)
    try:
        return raw.decode(), clean
    except UnicodeDecodeError:
        return raw.decode(errors="replace"), False
