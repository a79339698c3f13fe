"""Texts from outside: what mPulse's answers hold, in whatever shape. Pure."""

from __future__ import annotations

from collections.abc import Mapping


def text_of(source: object, name: str) -> str | None:
    """The text under a name, if there is one and it is not empty."""
    value = source.get(name) if isinstance(source, Mapping) else None
    return value if isinstance(value, str) and value else None


def one_line(text: str) -> str:
    """Text from outside, fit for a log."""
    printable = "".join(one if one.isprintable() else " " for one in text[:1000])
    return " ".join(printable.split())[:200]
