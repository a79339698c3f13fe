"""
Redaction: which values are secrets, and how texts are shown without them.

How texts are searched stands in `secret_texts`.
"""

from __future__ import annotations

import re
from threading import Lock
from typing import Final

REDACTED: Final = "[redacted]"
CUT: Final = "...[cut]"

_LONGEST_KEY: Final = 256
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
    "bearer",
    "cvv",
    "cvc",
    "iban",
)
WHOLE_WORDS: Final = frozenset({"pass", "ssn"})  # secrets alone; compass and classname are none


class Secrets:
    """
    The names whose values are never shown, compared without case, as parts of longer names.

    Any thread may add to it; what was decorated before follows.
    """

    def __init__(self, *names: str) -> None:
        self._lock = Lock()
        self._names: tuple[str, ...] = ()
        self._source: tuple[str, re.Pattern[str] | None] = ("", None)
        self.generation = 0  # grows with the names
        self.add(*names)

    def add(self, *names: str) -> None:
        """From now on, values under these names are redacted too."""
        with self._lock:
            self._names += names
            words = [re.escape(name).replace("_", "[ _-]?") for name in self._names]
            self._source = ("|".join(words), None)
            stems = {*WHOLE_WORDS, *(name.split("_")[0].casefold() for name in self._names)}
            self._stems = {stem for stem in stems if not any(other in stem for other in stems - {stem})}
            self.generation += 1

    def named_by(self, name: str) -> bool:
        """Whether a value of this name is a secret."""
        return self._pattern().search(name[:_LONGEST_KEY]) is not None or name.casefold() in WHOLE_WORDS

    def told_by(self, text: str) -> bool:
        """Whether the text of some object shows a secret among its fields."""
        return self._hidden(text) is not None

    def hidden_in(self, text: str) -> str:
        """The text with what stands behind a secret's name hidden: "token=[redacted]"."""
        return self._hidden(text) or text

    def _hidden(self, text: str) -> str | None:
        """None when there is nothing to hide."""
        folded = text.casefold()
        if ("://" in text and "@" in text) or "basic " in folded:
            return self._searched(text)
        for stem in self._stems:  # a tenth of what the search costs
            if stem in folded:
                return self._searched(text)
        return None

    def _searched(self, text: str) -> str | None:
        from instrumentation.secret_texts import without_values  # only here: most texts hold no secret

        return without_values(text, self._pattern(), WHOLE_WORDS, REDACTED)

    def _pattern(self) -> re.Pattern[str]:
        words, pattern = self._source
        if pattern is None:  # not when this is imported, for that costs an application's start
            pattern = re.compile(words, re.IGNORECASE)
            with self._lock:
                if self._source[0] is words:  # else more were added meanwhile
                    self._source = (words, pattern)
        return pattern


def has_scheme(text: str) -> bool:
    """Whether a Bearer or Basic token may stand in the text, which needs no name in front of it."""
    return "earer " in text or "asic " in text or "EARER " in text or "ASIC " in text


def cut(text: str, longest: int) -> str:
    """The text, or its beginning with a mark."""
    return text if len(text) <= longest else text[: longest - len(CUT)] + CUT


def cut_front(text: str, longest: int) -> str:
    """The text, or its last whole lines with a mark: of a traceback, the end tells most."""
    if len(text) <= longest:
        return text
    kept = text[len(CUT) - longest :]
    return CUT + kept[max(kept.find("\n"), 0) :]


SECRETS: Final = Secrets(*_WORDS)


def redact(*names: str) -> None:
    """Redact arguments, results and attributes with these names too, in the whole process."""
    SECRETS.add(*names)
