"""
Nearest: the name somebody probably meant, among those there are.

Pure. A name that is not like any is told so: a far-fetched hint sends the reader the wrong way.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import get_close_matches

_MOST_LISTED = 5


def nearest(name: str, known: Iterable[str], likeness: float = 0.6) -> str | None:
    """The known name most like `name`, whatever their case; None when none is as like it as 0 to 1."""
    by_folded = {one.casefold(): one for one in sorted(known)}
    near = get_close_matches(name.casefold(), by_folded, n=1, cutoff=likeness)
    return by_folded[near[0]] if near else None


def listed(names: Collection[str]) -> str:
    """The first few names, and how many there are beyond them: "'A', 'B' and 3 more"."""
    shown = ", ".join(repr(name) for name in sorted(names)[:_MOST_LISTED])
    return shown if len(names) <= _MOST_LISTED else f"{shown} and {len(names) - _MOST_LISTED} more"
