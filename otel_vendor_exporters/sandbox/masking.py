"""
Masking: a request as a person may look at it, without what opens something.

Pure. Headers, parameters, JSON fields and parts of the path that carry a key, secret or crumb become stars,
whoever's they are: somebody may point a sandbox at real credentials by mistake.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import unquote_plus

STARS = "****"
_SECRET_HEADER = re.compile(r"authorization|cookie|token|secret|key|signature", re.IGNORECASE)
# Of mPulse's contract 2 and 6.2 (h.key, h.cr, key, s), Analytics' 1 (apiKey), and other usual names.
_SECRET_NAMES = frozenset(
    (
        "h.key",
        "h.cr",
        "key",
        "s",
        "apikey",
        "api_key",
        "apisecret",
        "api_secret",
        "secret",
        "password",
        "token",
    )
)
_JSON_FIELD = re.compile(
    r'("(?:h\.key|h\.cr|api_?key|api_?secret|secret|password|token)"\s*:\s*)("(?:[^"\\]|\\.)*"?|[^\s,}\]]+)',
    re.IGNORECASE,
)
_KEY_IN_PATH = re.compile(
    r"(/v1/)[^/]+(/pixel)|(/service/(?:event|identify|alias|suppress|delete)/)(?!batch$)[^/]+",
    re.IGNORECASE,
)


def masked_headers(headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Headers in their order; of an Authorization only its scheme stays."""
    return tuple((name, _masked_header(name, value)) for name, value in headers.items())


def masked_pairs(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Names and values of a query or a form."""
    return [(name, STARS if is_secret(name) and value else value) for name, value in pairs]


def masked_query(encoded: str) -> str:
    """A query or form as it was sent."""
    return "&".join(_masked_part(part) for part in encoded.split("&"))


def masked_json(text: str) -> str:
    """A body of JSON, also one that is cut or broken."""
    return _JSON_FIELD.sub(rf'\1"{STARS}"', text)


def masked_path(path: str) -> str:
    """A path, of which a part may be a key."""
    return _KEY_IN_PATH.sub(_masked_path_part, path)


def is_secret(name: str) -> bool:
    """Whether a parameter of this name opens something."""
    return name.lower() in _SECRET_NAMES


def _masked_header(name: str, value: str) -> str:
    if not _SECRET_HEADER.search(name):
        return value
    scheme, space, _ = value.partition(" ")
    return f"{scheme} {STARS}" if space and name.lower().endswith("authorization") else STARS


def _masked_part(part: str) -> str:
    name, equals, value = part.partition("=")
    return f"{name}={STARS}" if equals and value and is_secret(unquote_plus(name)) else part


def _masked_path_part(found: re.Match[str]) -> str:
    return f"{found[1]}{STARS}{found[2]}" if found[1] else f"{found[3]}{STARS}"
