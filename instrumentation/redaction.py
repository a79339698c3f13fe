"""
Redaction: which values are secrets, and how texts are shown without them.

Which names are secrets' stands in `secret_names`, how texts are searched in `secret_texts`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from instrumentation.secret_names import USUAL, Names

REDACTED: Final = "[redacted]"
CUT: Final = "...[cut]"


class Secrets:
    """
    The names whose values are never shown, written as in the table of `secret_names`.

    Any thread may add to it, and nothing is locked; what was decorated before follows.
    """

    def __init__(self, *names: str) -> None:
        self._all: dict[str, None] = {}
        self._names = Names(())
        self.generation = 0  # grows with the names
        self.add(*names)

    def add(self, *names: str) -> None:
        """From now on, values under these names are redacted too."""
        self._all.update(dict.fromkeys(names))
        while self.generation != len(self._all):  # another thread may add, and be faster or slower
            now = tuple(self._all.copy())
            self._names, self.generation = Names(now), len(now)

    def named_by(self, name: str) -> bool:
        """Whether a value of this name is a secret."""
        return self._names.meaning(name) is not None

    def counted_by(self, name: str) -> bool:
        """Whether a number of this name is how many secrets there are: max_tokens."""
        return self._names.meaning(name) == "count"

    def hidden_in(self, text: str) -> str:
        """The text with what stands behind a secret's name hidden: "token=[redacted]"."""
        return (self._searched(text) or text) if self.may_be_in(text) else text

    def may_be_in(self, text: str) -> bool:
        """Whether something in the text may have to be hidden, or in what is put behind it."""
        folded = text.casefold()
        return (
            ("://" in text and "@" in text)
            or "basic" in folded
            or (" -u" in text and "curl" in folded)
            or self._names.may_be_in(folded)
        )

    def _searched(self, text: str) -> str | None:
        from instrumentation.secret_texts import without_values  # only here: most texts hold no secret

        return without_values(text, self._names.meaning_behind, REDACTED)


def has_scheme(text: str) -> bool:
    """Whether a Bearer or Basic token may stand in the text, which needs no name in front of it."""
    return "earer " in text or "asic " in text or "EARER " in text or "ASIC " in text


def cut(text: str, longest: int) -> str:
    """The text, or its beginning with a mark."""
    return text if len(text) <= longest else text[: longest - len(CUT)] + CUT


def cut_front(text: str, longest: int) -> str:
    """The text, or its last whole lines with a mark: of a traceback, the end tells most."""
    return text if len(text) <= longest else last_lines(text, longest)


def last_lines(text: str, longest: int) -> str:
    """The last whole lines of a text, behind a mark."""
    kept = text[len(CUT) - longest :]
    return CUT + kept[max(kept.find("\n"), 0) :]


SECRETS: Final = Secrets(*USUAL)


def redact(*names: str) -> None:
    """Redact what has these names, or longer ones with them in it, too: in the whole process."""
    SECRETS.add(*anywhere(names))


def anywhere(names: Iterable[str]) -> tuple[str, ...]:
    """The names as they are found in longer ones as well."""
    return tuple(f"*{name}*" for name in names)
