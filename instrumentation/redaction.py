"""
Redaction: which values are secrets, and how texts are shown without them.

Pure but for the list of names. Every text is cut before it is searched, and searched once from left to right:
its length bounds the time, whatever it holds.
"""

from __future__ import annotations

import re
from threading import Lock
from typing import Final

REDACTED: Final = "[redacted]"
CUT: Final = "...[cut]"

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
_URL_PASSWORD: Final = re.compile(r"(://[^/\s:@]*:)[^/\s@]+@")

_WORDS: Final = (
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "pwd",
    "secret",
    "token",
    "authorization",
    "credential",
    "cookie",
    "api_key",
    "private_key",
    "access_key",
    "session_key",
    "card",
    "cvv",
    "cvc",
    "iban",
)
_WHOLE_WORDS: Final = frozenset({"pass", "ssn"})  # secrets alone; compass and classname are none


class Secrets:
    """
    The names whose values are never shown, compared without case, as parts of longer names.

    Any thread may add to it; what was decorated before follows.
    """

    def __init__(self, *names: str) -> None:
        self._lock = Lock()
        self._names: tuple[str, ...] = ()
        self.generation = 0  # grows with the names
        self.add(*names)

    def add(self, *names: str) -> None:
        """From now on, values under these names are redacted too."""
        with self._lock:
            self._names += names
            words = [re.escape(name).replace("_", "[ _-]?") for name in self._names]
            self._name = re.compile("|".join(words), re.IGNORECASE)
            stems = {*_WHOLE_WORDS, *(name.split("_")[0].casefold() for name in self._names)}
            self._stems = {stem for stem in stems if not any(other in stem for other in stems - {stem})}
            self.generation += 1

    def named_by(self, name: str) -> bool:
        """Whether a value of this name is a secret."""
        return self._name.search(name[:_LONGEST_KEY]) is not None or name.casefold() in _WHOLE_WORDS

    def told_by(self, text: str) -> bool:
        """Whether the text of some object shows a secret among its fields."""
        return self._hidden(text) is not None

    def hidden_in(self, text: str) -> str:
        """The text with what stands behind a secret's name hidden: "token=[redacted]"."""
        return self._hidden(text) or text

    def _hidden(self, text: str) -> str | None:
        """None when there is nothing to hide."""
        if not ("=" in text or ":" in text or "," in text or "%" in text):
            return None
        folded = text.casefold()
        hidden = None
        for stem in self._stems:  # a tenth of what the search costs
            if stem in folded:
                hidden = self._without_values(text)
                break
        if "://" in text and "@" in text:
            shown = text if hidden is None else hidden
            without = _URL_PASSWORD.sub(rf"\1{REDACTED}@", shown)
            return hidden if without == shown else without
        return hidden

    def _without_values(self, text: str) -> str | None:
        parts: list[str] = []
        done = 0  # all before it is in the parts
        key_start = 0
        for separator in _SEPARATOR.finditer(text):
            start, end = separator.span()
            if start < done:
                continue
            key = self._key_of(text[max(key_start, start - _LONGEST_KEY) : start])
            key_start = end
            if key is None:
                continue
            value_start, value_end = _value_span(text, end, key)
            if value_end > value_start:
                parts += (text[done:value_start], REDACTED)
                key_start = done = value_end
        return "".join((*parts, text[done:])) if parts else None

    def _key_of(self, before: str) -> str | None:
        """The secret's name that a text ends with, with a quote behind it if there is one."""
        stripped = before.rstrip(_AFTER_KEY)
        found = _KEY.match(stripped[::-1])
        start = len(stripped) - (found.end() if found is not None else 0)
        for name in self._name.finditer(stripped, max(0, start - _LONGEST_NAME)):
            if name.end() > start:
                return before[start:]
        return before[start:] if stripped[start:].casefold() in _WHOLE_WORDS else None


def cut(text: str, longest: int) -> str:
    """The text, or its beginning with a mark."""
    return text if len(text) <= longest else text[: longest - len(CUT)] + CUT


def cut_front(text: str, longest: int) -> str:
    """The text, or its last whole lines with a mark: of a traceback, the end tells most."""
    if len(text) <= longest:
        return text
    kept = text[len(CUT) - longest :]
    return CUT + kept[max(kept.find("\n"), 0) :]


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


SECRETS: Final = Secrets(*_WORDS)


def redact(*names: str) -> None:
    """Redact arguments, results and attributes with these names too, in the whole process."""
    SECRETS.add(*names)
