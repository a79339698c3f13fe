"""
Secret names: which names are secrets'.

Pure. Names are compared by their words, however they are joined: DB_PASS, db-pass, db.pass and dbPass are
one.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import groupby
from typing import Final, Literal, TypeAlias

# A secret's name may stand beside its value: {"name": "password", "value": "..."}.
NAME_KEYS: Final = frozenset({"name", "key", "field", "header", "variable", "Name", "Key"})
VALUE_KEYS: Final = frozenset({"value", "values", "val", "input", "content", "default"})

Meaning: TypeAlias = Literal["secret", "count"]

_LONGEST_KEY: Final = 256
_MOST_REMEMBERED: Final = 4096
# Words of names; `*` lets more letters stand there, `$` no more words: `*token` is in accesstoken and not in
# tokenizer, `card` in card_number and not in wildcard, `pass$` in db_pass and not in pass_rate.
USUAL: Final = (
    *("*password*", "*passwd*", "*passphrase*", "*passcode*", "*pwd*", "pw", "pass$", "pin", "otp"),
    *("*authorization*", "auth", "*bearer*", "*credential*", "creds", "jwt", "signature"),
    *("*token", "*secret", "*cookie", "cookiejar", "csrf", "xsrf"),
    *("sessionid", "jsessionid", "phpsessid"),  # and not session_id, by which telemetry is joined
    *("*api_key*", "*private_key*", "*access_key*", "*session_key*", "*secret_key*"),
    *("*account_key*", "*subscription_key*"),
    *("card", "creditcard", "debitcard", "card_number", "cardno", "ccnum", "cc_number"),
    *("cvv", "cvc", "iban", "ssn"),
)
_COUNTED: Final = frozenset({"cards", "cookies", "credentials", "passwords", "secrets", "tokens"})
_HUMP: Final = re.compile("(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z]{2})(?=[A-Z][a-z])")
_JOINT: Final = re.compile(r"[\W_]+")


@lru_cache(_MOST_REMEMBERED)
def words_of(name: str) -> str:
    """The name's words in small letters, joined by "_"."""
    return _JOINT.sub("_", _HUMP.sub("_", name)).strip("_").casefold()


class Names:
    """Secrets' names at a time, and what they make of other names. Any thread may ask."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        # Compiled when first used, not when this is imported: that costs an application's start.
        self._pattern: re.Pattern[str] | None = None
        self._stems: re.Pattern[str] | None = None
        self._meanings: dict[str, Meaning | None] = {}

    def may_be_in(self, folded: str) -> bool:
        """Whether a name may be in a text in small letters: for a tenth of a search's cost."""
        if self._stems is None:
            self._stems = re.compile(_stems_of(self.names) or "(?!)")
        return self._stems.search(folded) is not None

    def meaning(self, name: str) -> Meaning | None:
        """What a value of this name is."""
        try:
            return self._meanings[name]
        except KeyError:
            if len(self._meanings) >= _MOST_REMEMBERED:
                self._meanings.clear()
            found = self._meanings[name] = self.meaning_behind("", name[:_LONGEST_KEY])
            return found

    def meaning_behind(self, before: str, name: str) -> Meaning | None:
        """What the name is behind these words: "key" alone is no secret, and behind "api" it is."""
        ahead = words_of(before) + "_" if before else ""
        steps = self._compiled().finditer(ahead + words_of(name))
        found = [step[0].rstrip("0123456789") for step in steps if step.end() > len(ahead)]
        if not found:
            return None
        return "count" if _COUNTED.issuperset(found) else "secret"

    def _compiled(self) -> re.Pattern[str]:
        if self._pattern is None:
            self._pattern = re.compile("|".join(filter(None, map(_pattern_of, self.names))) or "(?!)")
        return self._pattern


def _stems_of(names: tuple[str, ...]) -> str:
    """A pattern of the names however joined, by their first letters, which makes it twice as fast."""
    stems = {words_of(name) for name in names} - {""}
    shortest = sorted(stem for stem in stems if not any(other in stem for other in stems - {stem}))
    by_letter = groupby(shortest, lambda stem: stem[0])
    return "|".join(
        f"{re.escape(letter)}(?:{'|'.join(_joined(stem[1:]) for stem in group)})"
        for letter, group in by_letter
    )


def _joined(words: str) -> str:
    return r"[\W_]*".join(map(re.escape, words.split("_")))


def _pattern_of(name: str) -> str:
    """What finds the name among words; see the table."""
    words = re.escape(words_of(name)).replace("_", "_?")
    if not words:
        return ""
    begin = "" if name.startswith("*") else "(?<![^_])"
    end = "s?" if name.endswith("*") else r"s?[0-9]*$" if name.endswith("$") else "s?[0-9]*(?![^_])"
    return f"{begin}{words}{end}"
