"""
Secret texts: how a secret's name and its value stand in a text.

Pure. A text is searched once from left to right: its length bounds the time, whatever it holds.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Collection
from typing import Final

_LONGEST_KEY: Final = 256
_LONGEST_NAME: Final = 64
# What may stand between a name and its value: `=`, `:`, `=>`, `%3D`, or the comma in ("name", "value").
_SEPARATOR: Final = re.compile(r"[=:]+>?|%3[ad]|(?<=[\"']),(?=\s{0,8}b?\\{0,8}[\"'])", re.IGNORECASE)
_AFTER_KEY: Final = " \t\r\n\\\"'"
_KEY: Final = re.compile(r"[\w-]*")
_HEADER: Final = re.compile(r"authorization|cookie", re.IGNORECASE)  # their values hold blanks and commas
_LEAD: Final = re.compile(r"(\s{0,64})[bfru]{0,2}(\\{0,8}[\"'])", re.IGNORECASE)  # of a value in quotes
_AFTER_QUOTE: Final = frozenset(" \t\r\n,;&)}]>.:\\\"'")
_BLANKS: Final = re.compile(r"\s{0,64}")
_NESTED: Final = re.compile(r"\"(?:[^\"\\]|\\.)*\"?|'(?:[^'\\]|\\.)*'?|[\[({]|[\])}]", re.DOTALL)
_REST_OF_LINE: Final = re.compile(r"[^\S\r\n]*([^\r\n]*)")
_BARE: Final = re.compile(
    r"(?:\d[\d-]*(?: \d[\d-]*)+|(?:bearer|basic|digest|token)\s{1,8})?[^\s,;&)}\]]*", re.IGNORECASE
)
_USER_INFO: Final = re.compile(r"://[^\s/?#\"'<>]*@")  # of an address, to the last @ of its host
_BEARER: Final = re.compile(r"\b(bearer\s{1,8})([\w.~+/-]{8,}={0,2})", re.IGNORECASE)
_BASIC: Final = re.compile(r"\b(basic\s{1,8})([a-z0-9+/]{4,}={0,2})", re.IGNORECASE)
_LONGEST_WORD: Final = 20  # a longer one is a token


def without_values(text: str, names: re.Pattern[str], whole_words: Collection[str], mark: str) -> str | None:
    """
    The text with what stands behind a secret's name hidden; None when there is nothing to hide.

    `names` finds the names, wherever in a word they stand; `whole_words` are secrets' names only alone.
    `mark` stands where something was.
    """
    parts: list[str] = []
    done = 0  # all before it is in the parts
    key_start = 0
    for separator in _SEPARATOR.finditer(text):
        start, end = separator.span()
        if start < done:
            continue
        key = _key_of(text[max(key_start, start - _LONGEST_KEY) : start], names, whole_words)
        key_start = end
        if key is None:
            continue
        value_start, value_end = _value_span(text, end, key)
        if value_end > value_start:
            parts += (text[done:value_start], mark)
            key_start = done = value_end
    hidden = _without_credentials("".join((*parts, text[done:])), mark)
    return None if hidden == text else hidden


def _without_credentials(text: str, mark: str) -> str:
    """The text without what needs no name: user and password of an address, Bearer and Basic tokens."""
    if "://" in text and "@" in text:
        text = _USER_INFO.sub(f"://{mark}@", text)
    text = _BEARER.sub(lambda found: found[1] + (mark if _is_token(found[2]) else found[2]), text)
    return _BASIC.sub(lambda found: found[1] + (mark if _is_basic(found[2]) else found[2]), text)


def _is_token(text: str) -> bool:
    """Whether it is no word: "bearer certificates", "Bearer Certificates." are prose."""
    word = text.rstrip("./-")
    is_prose = word.isalpha() and (word.islower() or word.isupper() or word.istitle())
    return not is_prose or len(word) > _LONGEST_WORD


def _is_basic(text: str) -> bool:
    """Whether it says `user:password` in base64: "basic knowledge" does not."""
    try:
        return b":" in b64decode(text[: len(text) // 4 * 4])
    except ValueError:
        return False


def _key_of(before: str, names: re.Pattern[str], whole_words: Collection[str]) -> str | None:
    """The secret's name that a text ends with, with a quote behind it if there is one."""
    stripped = before.rstrip(_AFTER_KEY)
    found = _KEY.match(stripped[::-1])
    start = len(stripped) - (found.end() if found is not None else 0)
    for name in names.finditer(stripped, max(0, start - _LONGEST_NAME)):
        if name.end() > start:
            return before[start:]
    return before[start:] if stripped[start:].casefold() in whole_words else None


def _value_span(text: str, start: int, key: str) -> tuple[int, int]:
    """Where the value begins and ends that stands behind a name and a separator."""
    lead = _LEAD.match(text, start)
    if lead is not None:
        return lead.end(1), _end_of_quoted(text, lead.end(), lead[2])
    if _HEADER.search(key) and not key.endswith(('"', "'")):
        line = _REST_OF_LINE.match(text, start)
        return (start, start) if line is None else line.span(1)
    blanks = _BLANKS.match(text, start)
    begin = start if blanks is None else blanks.end()
    if text.startswith(("{", "[", "("), begin):
        return begin, _end_of_nested(text, begin)
    bare = _BARE.match(text, begin)
    return begin, begin if bare is None else bare.end()


def _end_of_quoted(text: str, start: int, quote: str) -> int:
    """Behind the quote that ends a value; a quote within a word does not. Without one, the text's end."""
    found = text.find(quote, start)
    while found >= 0:
        end = found + len(quote)
        is_escaped = text[found - 1] == "\\" and found > start
        if not is_escaped and (end == len(text) or text[end] in _AFTER_QUOTE):
            return end
        found = text.find(quote, end)
    return len(text)


def _end_of_nested(text: str, start: int) -> int:
    """Behind the bracket that closes the one at the start. Without one, the text's end."""
    depth = 0
    for step in _NESTED.finditer(text, start):
        if step[0] in "[({":
            depth += 1
        elif step[0] in "])}":
            depth -= 1
        if depth == 0:
            return step.end()
    return len(text)
