"""
Where keys, secrets and crumbs stand in a request, and which values stood there.

Pure. Knows headers, paths, queries, forms, JSON and multipart; a value is also found where one of these is
packed into another. Rule: linear in the length of what came, whatever came.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple
from urllib.parse import unquote, unquote_plus

STARS = "****"
# Shorter values are masked under their names alone: elsewhere they may be any number or word.
MIN_CHARACTERS = 6
MAX_PACKED = 3
MAX_PART_HEADERS = 1_000
# Of mPulse's contract 2 and 6.2 (h.key, h.cr, key, s), Analytics' 1 (apiKey), and other usual names.
# Without _ and -, in lower case.
_SECRET_NAMES = frozenset(
    (
        *("h.key", "h.cr", "key", "s", "apikey", "apisecret", "secret", "password", "token", "authorization"),
        *("accesstoken", "refreshtoken", "idtoken", "clientsecret", "restsecret", "webapikey", "privatekey"),
    )
)
_OF_FORMS_ALONE = frozenset(("key", "s"))  # too usual in JSON
_SECRET_HEADER = re.compile(r"auth|cookie|crumb|token|secret|key|signature", re.IGNORECASE)
_MAY_HOLD = ("key", "secret", "password", "token", "authorization", "h.cr", "s=", "%", "\\")
_SCHEMES = frozenset(
    (
        *("basic", "bearer", "digest", "negotiate", "ntlm", "hoba", "mutual", "oauth", "dpop", "vapid"),
        *("token", "apikey", "aws4-hmac-sha256", "scram-sha-1", "scram-sha-256"),
    )
)
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)\\?(?:"|\Z)', re.DOTALL)
_CUT_ESCAPE = re.compile(r"(?<!\\)\\u[0-9a-fA-F]{0,3}\Z")
_COLON = re.compile(r"\s*:\s*")
_JSON_PART = re.compile(rf"{_STRING.pattern}|[\[{{\]}}]|[\s,:]+|[^\s\"\[\]{{}},:]+", re.DOTALL)
_NAME = re.compile(r"(?<![\w.%+-])([\w.%+-]{1,60})[\]\"']{0,2}=")
_TO_AMPERSAND = re.compile(r"[^&]*")
_IN_JSON = re.compile(r"[^\s\"'<>&,;\\]*")
_FORM_PART = re.compile(r"form-data([^\r\n]{0,300})", re.IGNORECASE)
_PART_NAME = re.compile(r"\bname=\"?([^\";]+)", re.IGNORECASE)
_BLANK_LINE = re.compile(r"\r?\n\r?\n")
_PATH_PART = re.compile(r"(?:(?!%2[fF])[^/?#;&=\s])+")
# Of Analytics', mPulse's and the pixel's paths: behind the first and before the second a part may be a key,
# unless it is one of the words.
_BEFORE_KEYS = frozenset(
    ("event", "events", "track", "batch", "identify", "alias", "suppress", "delete", "js", "v1", "boomerang")
)
_AFTER_KEYS = frozenset(("pixel", "config.json"))
_WORDS = _BEFORE_KEYS.union(
    _AFTER_KEYS,
    ("service", "v2", "v3", "api", "config", "bulkevents", "historical", "s2s"),
    ("traces", "metrics", "logs"),  # of OTLP, by mistake
)


class Span(NamedTuple):
    """From where to where a value stands, and what is shown instead."""

    start: int
    end: int
    stars: str = STARS


def is_secret(name: str) -> bool:
    """Whether a parameter of this name opens something."""
    return _plain(name) in _SECRET_NAMES


def is_secret_header(name: str) -> bool:
    """Whether a header of this name opens something."""
    return _SECRET_HEADER.search(name) is not None


def scheme_of(authorization: str) -> str:
    """The scheme of an Authorization; empty when its first word is none that is known."""
    scheme, _, rest = authorization.partition(" ")
    return scheme if rest.strip() and scheme.lower() in _SCHEMES else ""


def path_spans(path: str, known: Collection[str] = ()) -> Iterator[Span]:
    """Where keys stand in a path or URL, also one that nobody serves; `known` ones are found anywhere."""
    parts = [(part.span(), unquote(part[0])) for part in _PATH_PART.finditer(path)]
    may_be_key = any(text.lower() in _AFTER_KEYS for _, text in parts)
    for (start, end), text in parts:
        word = text.lower()
        may_be_key = may_be_key or word in _BEFORE_KEYS
        if text in known or (may_be_key and word not in _WORDS):
            yield Span(start, end)


def secret_spans(text: str) -> list[Span]:
    """Where values stand under a secret's name in a query, a form, multipart or JSON, also cut or broken."""
    if not _may_hold(text):
        return []
    return sorted((*_json_spans(text), *_assigned_spans(text), *_form_part_spans(text)))


def secrets_in_headers(headers: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Values of headers that open something: whole, and word by word; Basic's also decoded."""
    for name, value in headers:
        if is_secret_header(name):
            rest = value[len(scheme_of(value)) :] if name.lower().endswith("authorization") else value
            yield from _long(rest.strip(), *re.split(r'[\s,;="]+', rest), *_basic(rest))
        else:
            yield from secrets_in(value)
            yield from secrets_in_path(value if "://" in value else "")


def secrets_in_path(path: str) -> Iterator[str]:
    """Parts of a path that stand where a key may stand."""
    yield from _long(*(unquote(path[span.start : span.end]) for span in path_spans(path)))


def secrets_in(text: str, packed: int = MAX_PACKED) -> Iterator[str]:
    """Values under a secret's name in a text, and in texts that are packed into it."""
    if not _may_hold(text):
        return
    for span in secret_spans(text):
        yield from _values(text[span.start : span.end])
    if packed:
        for inner in _unpacked(text):
            yield from secrets_in(inner, packed - 1)


def as_read(text: str) -> str:
    """What a text says once everything in it is decoded; every + is a space, for it may be one."""
    for _ in range(MAX_PACKED if "%" in text or "\\" in text else 0):
        text = _unescaped(unquote(text))
    return text.replace("+", " ")


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def _may_hold(text: str) -> bool:
    """A quick look: most texts hold no name of a secret."""
    text = text.lower()
    return any(part in text for part in _MAY_HOLD)


def _json_spans(text: str) -> Iterator[Span]:
    at = 0
    while found := _STRING.search(text, at):
        at = found.end()
        colon = _COLON.match(text, at)
        if colon and _opens_in_json(found[1]):
            at = _end_of_value(text, colon.end())
            yield Span(colon.end(), at, f'"{STARS}"')


def _opens_in_json(name: str) -> bool:
    """A field's name as it was written: letters may be escapes."""
    if "\\" in name:
        try:
            name = str(json.loads(f'"{name}"', strict=False))
        except ValueError:
            return True  # no JSON; better a star too many
    return is_secret(name) and _plain(name) not in _OF_FORMS_ALONE


def _end_of_value(text: str, start: int) -> int:
    """Where a value of JSON ends, whatever its shape; the end of the text when it is cut."""
    depth = 0
    for part in _JSON_PART.finditer(text, start):
        first = part[0][0]
        if depth == 0 and first in "]},":
            return part.start()
        depth += (first in "[{") - (first in "]}")
        if depth == 0 and not (first in ",:" or first.isspace()):
            return part.end()
    return len(text)


def _assigned_spans(text: str) -> Iterator[Span]:
    is_json = _is_json(text)
    value_of, at = (_IN_JSON if is_json else _TO_AMPERSAND), 0
    while found := _NAME.search(text, at):
        at = found.end()
        name = unquote_plus(found[1])
        if is_secret(name) and not (is_json and _plain(name) in _OF_FORMS_ALONE):
            value = value_of.match(text, at)
            at = value.end() if value else at
            yield Span(found.end(), at)


def _form_part_spans(text: str) -> Iterator[Span]:
    for part in _FORM_PART.finditer(text):
        name = _PART_NAME.search(part[1])
        blank = _BLANK_LINE.search(text, part.end(), part.end() + MAX_PART_HEADERS)
        if name and blank and is_secret(name[1].strip()):
            end = text.find("\n--", blank.end())
            yield Span(blank.end(), len(text) if end < 0 else end)


def _is_json(text: str) -> bool:
    """Whether it is JSON; what only begins so may be a form as well."""
    text = text.lstrip("\ufeff \t\r\n")
    if text[:1] not in ("{", "["):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _values(written: str) -> Iterator[str]:
    """The texts and numbers in a value as it was written, decoded."""
    for text in dict.fromkeys((written, unquote(written), unquote_plus(written))):
        if text[:1] in ('"', "[", "{"):
            yield from _leaves(text)
        else:
            yield from _long(text)


def _leaves(text: str) -> Iterator[str]:
    for part in _JSON_PART.finditer(text):
        if part[1] is not None and not _COLON.match(text, part.end()):
            yield from _long(_string(part[1]))
        elif part[1] is None and part[0][0] not in "[]{},:":
            yield from _long(part[0])


def _unpacked(text: str) -> Iterator[str]:
    if "%" in text:
        yield unquote_plus(text)
    if "\\" in text:
        yield from (_string(found[1]) for found in _STRING.finditer(text) if "\\" in found[1])


def _string(written: str) -> str:
    """A text of JSON by what stands between its quotes."""
    try:
        return str(json.loads(f'"{_CUT_ESCAPE.sub("", written)}"', strict=False))
    except ValueError:  # broken
        return _unescaped(written)


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    text = re.sub(r"(?<!\\)\\+u([0-9a-fA-F]{4})", lambda found: chr(int(found[1], 16)), text)
    return re.sub(r'(?<!\\)\\+(["\\/])', r"\1", text)


def _basic(encoded: str) -> tuple[str, ...]:
    try:
        return tuple(base64.b64decode(encoded.strip(), validate=True).decode().split(":", 1))
    except ValueError:
        return ()


def _long(*values: str) -> Iterator[str]:
    return (value for value in values if len(value) >= MIN_CHARACTERS and value.strip("*"))
