"""
Masking: a request as a person may look at it, without what opens something.

Pure. Headers, parameters, JSON fields and parts of the path that carry a key, secret or crumb become stars,
whoever's they are: somebody may point a sandbox at real credentials by mistake.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from urllib.parse import unquote, unquote_plus

STARS = "****"
_SECRET_HEADER = re.compile(r"auth|cookie|crumb|token|secret|key|signature", re.IGNORECASE)
# Of mPulse's contract 2 and 6.2 (h.key, h.cr, key, s), Analytics' 1 (apiKey), and other usual names.
# Without _ and -, in lower case.
_SECRET_NAMES = frozenset(
    (
        *("h.key", "h.cr", "key", "s", "apikey", "apisecret", "secret", "password", "token", "authorization"),
        *("accesstoken", "refreshtoken", "idtoken", "clientsecret", "restsecret", "webapikey", "privatekey"),
    )
)
_OF_FORMS_ALONE = frozenset(("key", "s"))  # too usual in JSON
_JSON_NAME = re.compile(r'"((?:[^"\\]|\\.)*)"\s*:\s*')
_JSON_VALUE = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[{][^\]}]*[\]}]?|[^\s,}\]]+')
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
    parts, at = [], 0
    while found := _JSON_NAME.search(text, at):
        parts.append(text[at : found.end()])
        at = found.end()
        value = _JSON_VALUE.match(text, at) if _opens_in_json(found[1]) else None
        if value:
            parts.append(f'"{STARS}"')
            at = value.end()
    return "".join(parts) + text[at:]


def masked_path(path: str, keys: Collection[str] = ()) -> str:
    """A path, of which a part may be a key: where a vendor has one, and any part that is one of `keys`."""
    path = _KEY_IN_PATH.sub(_masked_path_part, path)
    return "/".join(STARS if part and unquote(part) in keys else part for part in path.split("/"))


def is_secret(name: str) -> bool:
    """Whether a parameter of this name opens something."""
    return _plain(name) in _SECRET_NAMES


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def _opens_in_json(name: str) -> bool:
    """A field's name as it was written: letters may be escapes."""
    if "\\" in name:
        try:
            name = str(json.loads(f'"{name}"', strict=False))
        except ValueError:
            return True  # no JSON; better a star too many
    return is_secret(name) and _plain(name) not in _OF_FORMS_ALONE


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
