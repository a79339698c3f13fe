"""
The RT cookie: the session that mPulse's agent in the visitor's browser keeps.

Pure. Facts from contract mpulse.md section 15 (Boomerang 1.815.0, plugin RT). A cookie is input from
outside: it may be cut, doubled, not quoted, huge, or lie. Rule: what does not parse is no session, never
an error; and nothing but the session is read from it, least of all where beacons go (`bcn`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple
from urllib.parse import unquote

COOKIE: Final = "RT"
_LONGEST_HEADER: Final = 65_536  # characters looked at; servers refuse longer headers themselves
_LONGEST_COOKIE: Final = 4_096  # what a browser keeps at most; an RT cookie stays under 500
_MOST_COOKIES: Final = 8  # of one name
_LIFE_MS: Final = 7 * 24 * 3600 * 1000  # of the cookie
_SKEW_MS: Final = 5 * 60 * 1000  # a visitor's clock may be ahead of ours
_DEFAULT_EXPIRY_SECONDS: Final = 1800
_LONGEST_EXPIRY_SECONDS: Final = 24 * 3600
_MOST_PAGES: Final = 10**6
_COMPRESSED: Final = 0x1
_ID: Final = re.compile(r"(?=[^-]*-)[A-Za-z0-9-]{3,100}")
_NUMBER: Final = {10: re.compile("[0-9]{1,16}"), 36: re.compile("[0-9a-z]{1,10}")}
_LAST_SIGNS: Final = ("ld", "ul", "hd", "cl")  # last load, beforeunload, unload, click: ms after the start
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"


class BrowserSession(NamedTuple):
    """A session as the browser sends it: rt.si, rt.ss (ms since the epoch), rt.sl; `limited`: rl=1."""

    id: str
    start_unix_ms: int
    length: int
    limited: bool


def browser_session(header: str, now_unix_ms: int, cookie: str = COOKIE) -> BrowserSession | None:
    """
    The session in a request's Cookie header, if it holds one that is still going on.

    Of several cookies of the name, the first one that parses: browsers send the most specific path first.
    """
    if cookie not in header:
        return None
    found = (_session(value, now_unix_ms) for value in _values(header[:_LONGEST_HEADER], cookie))
    return next((session for session in found if session is not None), None)


def _values(header: str, cookie: str) -> Iterator[str]:
    left = _MOST_COOKIES
    for part in header.split(";"):
        name, equals, value = part.partition("=")
        if equals and name.strip() == cookie:
            yield value.strip().strip('"')
            left -= 1
            if not left:
                return


def _session(value: str, now_unix_ms: int) -> BrowserSession | None:
    if len(value) > _LONGEST_COOKIE:
        return None
    pairs = _pairs(value)
    base = 36 if (_number(pairs.get("z"), 10) or 0) & _COMPRESSED else 10
    session_id, start_unix_ms = pairs.get("si", ""), _number(pairs.get("ss"), base)
    if start_unix_ms is None or _ID.fullmatch(session_id) is None:
        return None
    if not now_unix_ms - _LIFE_MS <= start_unix_ms <= now_unix_ms + _SKEW_MS:
        return None
    if _is_over(pairs, base, start_unix_ms, now_unix_ms):
        return None
    length = _number(pairs.get("sl"), base) or 0
    return BrowserSession(
        id=f"{session_id}-{base36((start_unix_ms + 500) // 1000)}",  # JavaScript rounds halves up
        start_unix_ms=start_unix_ms,
        length=min(length, _MOST_PAGES),
        limited=pairs.get("rl") == "1",
    )


def _is_over(pairs: dict[str, str], base: int, start_unix_ms: int, now_unix_ms: int) -> bool:
    """
    Whether the session expired: the browser will begin another, though the cookie lives on for days.

    Without any later sign the session's start is the last one: no page of it has been loaded yet.
    """
    signs = [offset for name in _LAST_SIGNS if (offset := _number(pairs.get(name), base)) is not None]
    expiry_seconds = _number(pairs.get("se"), base) or _DEFAULT_EXPIRY_SECONDS
    idle_ms = now_unix_ms - (start_unix_ms + max(signs, default=0))
    return idle_ms > min(expiry_seconds, _LONGEST_EXPIRY_SECONDS) * 1000


def _pairs(value: str) -> dict[str, str]:
    """The pairs by name; of a name that comes twice, the first."""
    found: dict[str, str] = {}
    for pair in value.split("&"):
        name, equals, text = pair.partition("=")
        if equals:
            found.setdefault(unquote(name), unquote(text))
    return found


def _number(text: str | None, base: int) -> int | None:
    """A number in digits alone: int() would take signs, spaces, underscores and other scripts as well."""
    if text is None or _NUMBER[base].fullmatch(text) is None:
        return None
    return int(text, base)


def base36(number: int) -> str:
    """A number that is not negative, in base 36."""
    digits = ""
    while True:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
        if not number:
            return digits
