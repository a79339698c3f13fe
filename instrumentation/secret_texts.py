"""
Secret texts: how a secret's name and its value stand in a text.

Pure. A text is searched once from left to right: its length bounds the time, whatever it holds.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

from instrumentation.secret_names import NAME_KEYS, VALUE_KEYS, Meaning

MeaningBehind: TypeAlias = Callable[[str, str], "Meaning | None"]

_LONGEST_KEY: Final = 256
_LONGEST_NAME: Final = 64
_NEAR: Final = 64  # how far a secret's value may stand behind what names it
# What may stand between a name and its value: `=`, `:`, `=>`, `%3D`, or the comma in ("name", "value").
_SEPARATOR: Final = re.compile(r"[=:]+>?|%3[ad]|(?<=[\"']),(?=\s{0,8}b?\\{0,8}[\"'])", re.IGNORECASE)
_AFTER_KEY: Final = " \t\r\n\\\"'\u00a0"
_KEY: Final = re.compile(r"[\w-]*")
_PHRASE: Final = re.compile(r"[\w -]*")
_NAME: Final = re.compile(r"\s{0,64}[bfru]{0,2}\\{0,8}[\"']?([\w.-]{1,64})")  # of a secret, as a value
_COUNT: Final = re.compile(r"\s{0,64}\d[\d_]{0,11}(?:\.\d{1,6})?(?![\w-])")
_HEADER: Final = re.compile(r"authorization|cookie", re.IGNORECASE)  # their values hold blanks and commas
_LEAD: Final = re.compile(r"(\s{0,64})[bfru]{0,2}(\\{0,8}[\"'])", re.IGNORECASE)  # of a value in quotes
_AFTER_QUOTE: Final = frozenset(" \t\r\n,;&)}]>.:\\\"'")
_BLANKS: Final = re.compile(r"\s{0,64}")
_NESTED: Final = re.compile(r"\"(?:[^\"\\]|\\.)*\"?|'(?:[^'\\]|\\.)*'?|[\[({]|[\])}]", re.DOTALL)
_REST_OF_LINE: Final = re.compile(r"[^\S\r\n]*([^\r\n]*)")
# Of a value without quotes, what ends it but a blank: what closes something before a blank or the text's end,
# a comma or semicolon before the next name, or before the next text in quotes, `&name=`, `</`.
_END: Final = r"""
    [,;)}\]>"'\\]{1,16} [.:]? (?:\s|\Z)
    | [)}\]>"'\\]{0,8} [,;] [\[({"'\\]{0,8} [\w.-]{1,64} (?: = | ["'\\]{1,4} [:=] )
    | ["'] [)}\]]{0,8} [,;] [\[({\\]{0,8} ["']
    | & (?:amp;)? [\w.%\[\]-]{1,64} =
    | </
"""
_BARE: Final = re.compile(
    rf"""
    (?: \d[\d-]* (?:\ \d[\d-]*)+ | (?:bearer|basic|digest|token)\s{{1,8}} )?
    (?: [^\s,;&)}}\]>"'\\<]+ | (?!{_END})\S )*
    """,
    re.IGNORECASE | re.VERBOSE,
)
# Of an address, to the last @ of its host; and beyond, should the password hold a slash.
_USER_INFO: Final = re.compile(r"://([^\s/?#\"'<>]*@)([^\s?#\"'<>:,;]{0,256}[^\s?#\"'<>:,;/]@)?")
# A password that is not quoted as it should be, to its first @: with a / ? # in it, or a quote within a word.
# Digits behind the colon are a port.
_RAW_PASSWORD: Final = re.compile(
    r"://[^\s/?#\"'<>:@\[]*:(?!\d{0,5}(?:[/?\"'<>]|$))(?:(?!://)[^\s\"'<>@]|[\"'<>](?=\w)){1,1024}@"
)
_CURL_USER: Final = re.compile(r"((?<!\S)(?:-u|--user)[ =]{0,4}[\"']?[^\s:\"']{1,64}:)[^\s\"']+")
_OPTION: Final = re.compile(r"(?<!\S)--(?!no-)([a-z][\w-]{0,63})[ \t]{1,8}(?=[^\s-])", re.IGNORECASE)
_ELEMENT: Final = re.compile(r"(<([\w:.-]{1,64})(?:\s[^<>]{0,256})?>)([^<>]+)(?=</)")
_BEARER: Final = re.compile(r"\b(bearer\s{1,8})([\w.~+/-]{8,}={0,2})", re.IGNORECASE)
_BASIC: Final = re.compile(r"\b(basic\s{1,8})([a-z0-9+/]{4,}={0,2})", re.IGNORECASE)
_PRIVATE_KEY: Final = re.compile(
    r"(-----BEGIN [A-Z0-9 ]{0,32}PRIVATE KEY[A-Z ]{0,8}-----).*?(-----END [A-Z0-9 ]{0,32}PRIVATE KEY|\Z)",
    re.DOTALL,
)
_LONGEST_QUOTE: Final = 9  # with its escapes
_LONGEST_WORD: Final = 20  # a longer one is a token


class _Pair(NamedTuple):
    """Where something named a secret whose value may follow: {"name": "password", "value": ...}."""

    name_end: int
    value_before: int


_NO_PAIR: Final = _Pair(-1_000, -1)


def without_values(text: str, meaning_behind: MeaningBehind, mark: str) -> str | None:
    """
    The text with what stands behind a secret's name hidden; None when there is nothing to hide.

    `meaning_behind` tells secrets' names, given the words in front of them and the name.
    `mark` stands where something was.
    """
    whole = text
    if "PRIVATE KEY" in text:
        text = _PRIVATE_KEY.sub(lambda found: f"{found[1]}{mark}{found[2]}", text)
    parts: list[str] = []
    done = 0  # all before it is in the parts
    key_start = 0
    pair = _NO_PAIR
    for separator in _SEPARATOR.finditer(text):
        start, end = separator.span()
        if start < done or (separator[0] == "," and 0 <= start - pair.name_end <= _LONGEST_QUOTE):
            continue
        phrase, key = _key_of(text[max(key_start, start - _LONGEST_KEY) : start])
        key_start = end
        plain = key.rstrip(_AFTER_KEY)
        if start <= pair.value_before and plain.casefold() in VALUE_KEYS:
            pair = _NO_PAIR
        else:
            meaning = meaning_behind(phrase, plain)
            if meaning is None and plain in NAME_KEYS:
                pair = _pair_at(text, end, meaning_behind)
            if meaning is None or (meaning == "count" and _COUNT.match(text, end)):
                continue
        value_start, value_end = _value_span(text, end, key)
        if value_end > value_start:
            parts += (text[done:value_start], mark)
            key_start = done = value_end
    hidden = "".join((*parts, text[done:]))
    hidden = _without_options(hidden, meaning_behind, mark)
    hidden = _without_elements(hidden, meaning_behind, mark)
    hidden = _without_credentials(hidden, mark)
    return None if hidden == whole else hidden


def _pair_at(text: str, start: int, meaning_behind: MeaningBehind) -> _Pair:
    name = _NAME.match(text, start)
    if name is None or meaning_behind("", name[1]) is None:
        return _NO_PAIR
    return _Pair(name.end(), name.end() + _NEAR)


def _without_options(text: str, meaning_behind: MeaningBehind, mark: str) -> str:
    """The text without values of a command's options: --password hunter2."""
    if "--" not in text:
        return text
    parts: list[str] = []
    done = 0
    for option in _OPTION.finditer(text):
        if option.start() >= done and meaning_behind("", option[1]) is not None:
            value_start, value_end = _value_span(text, option.end(), "")
            parts += (text[done:value_start], mark)
            done = value_end
    return "".join((*parts, text[done:]))


def _without_elements(text: str, meaning_behind: MeaningBehind, mark: str) -> str:
    """The text without values of XML's elements: <password>hunter2</password>."""
    if "</" not in text:
        return text

    def shown(element: re.Match[str]) -> str:
        return element[0] if meaning_behind("", element[2]) is None else f"{element[1]}{mark}"

    return _ELEMENT.sub(shown, text)


def _without_credentials(text: str, mark: str) -> str:
    """The text without what needs no name: user and password of an address, Bearer and Basic tokens."""
    if "://" in text and "@" in text:
        text = _USER_INFO.sub(lambda found: f"://{mark}@{_behind_user(found)}", text)
        text = _RAW_PASSWORD.sub(lambda _: f"://{mark}@", text)
    if "curl" in text.casefold():
        text = _CURL_USER.sub(lambda found: f"{found[1]}{mark}", text)
    text = _BEARER.sub(lambda found: found[1] + (mark if _is_token(found[2]) else found[2]), text)
    return _BASIC.sub(lambda found: found[1] + (mark if _is_basic(found[2]) else found[2]), text)


def _behind_user(found: re.Match[str]) -> str:
    """What is to be shown behind user and password: all but the rest of a password with a slash in it."""
    return "" if ":" in found[1] else found[2] or ""


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


def _key_of(before: str) -> tuple[str, str]:
    """The words in front of the name that a text ends with, and the name, with the quotes behind it."""
    stripped = before.rstrip(_AFTER_KEY)
    backwards = stripped[::-1]
    start = len(stripped) - _length(_KEY, backwards, 0)
    words = _length(_PHRASE, backwards[: len(stripped) - start + _LONGEST_NAME], len(stripped) - start)
    return stripped[start - words : start], before[start:]


def _length(kind: re.Pattern[str], text: str, start: int) -> int:
    found = kind.match(text, start)
    return 0 if found is None else found.end() - start


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
