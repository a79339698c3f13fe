"""
Masking: a request as a person may look at it, without what opens something.

Pure. Twice: by name, where a key, secret or crumb stands, whoever's it is (somebody may point a sandbox at
real credentials by mistake); and by value: what stood there becomes stars wherever else it occurs.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache

from otel_vendor_exporters.sandbox.secret_places import (
    MIN_CHARACTERS,
    STARS,
    Span,
    as_read,
    is_secret,
    is_secret_header,
    path_spans,
    scheme_of,
    secret_spans,
    secrets_in,
    secrets_in_headers,
    secrets_in_path,
)

Headers = tuple[tuple[str, str], ...]


def secrets_of(path: str, headers: Headers, *texts: str) -> frozenset[str]:
    """What stood in a request where keys, secrets and crumbs stand."""
    return _of_headers(headers).union(secrets_in_path(path), *map(secrets_in, (path, *texts)))


def masked_headers(headers: Headers, secrets: Collection[str] = ()) -> Headers:
    """Headers in their order; of an Authorization only its scheme stays."""
    return tuple((name, _masked_header(name, value, secrets)) for name, value in headers)


def masked_pairs(pairs: Iterable[tuple[str, str]], secrets: Collection[str] = ()) -> list[tuple[str, str]]:
    """Names and values of a query or a form."""
    return [
        (
            masked_values(name, secrets),
            STARS if is_secret(name) and value else masked_values(value, secrets),
        )
        for name, value in pairs
    ]


def masked_text(text: str, secrets: Collection[str] = ()) -> str:
    """A query, a form, a body of JSON, or what else was sent, also cut or broken."""
    return masked_values(_starred(text, secret_spans(text)), secrets)


def masked_path(path: str, secrets: Collection[str] = ()) -> str:
    """A path, of which a part may be a key: where a vendor has one, and what is one of `secrets`."""
    return masked_text(_starred(path, path_spans(path, secrets)), secrets)


def masked_values(text: str, secrets: Collection[str]) -> str:
    """A text without any of `secrets`, in whatever encoding they stand in it; short ones may be any word."""
    if not secrets:
        return text
    read = as_read(text)
    long = (secret for secret in secrets if len(secret) >= MIN_CHARACTERS)
    there = frozenset(
        secret for secret in long if as_read(secret) in read or secret.replace("+", " ") in read
    )
    return _any_spelling(there).sub(STARS, text) if there else text


def masked_content(content: object, secrets: Collection[str]) -> object:
    """Lists and mappings with every text in them masked by value."""
    if isinstance(content, str):
        return masked_values(content, secrets)
    if isinstance(content, Mapping):
        return {
            masked_values(str(name), secrets): masked_content(value, secrets)
            for name, value in content.items()
        }
    if isinstance(content, (list, tuple)):
        return [masked_content(item, secrets) for item in content]
    return content


@lru_cache(maxsize=256)
def _of_headers(headers: Headers) -> frozenset[str]:
    """Those of one client are the same with each request."""
    return frozenset(secrets_in_headers(headers))


def _masked_header(name: str, value: str, secrets: Collection[str]) -> str:
    if is_secret_header(name):
        scheme = scheme_of(value) if name.lower().endswith("authorization") else ""
        return f"{scheme} {STARS}" if scheme else STARS
    return masked_path(value, secrets) if "://" in value else masked_text(value, secrets)


def _starred(text: str, spans: Iterable[Span]) -> str:
    """The text with stars in place of each span, in their order."""
    parts, at = [], 0
    for start, end, stars in spans:
        if start < end and end > at:
            parts += [text[at : max(start, at)], stars if start >= at else ""]
            at = end
    return "".join(parts) + text[at:]


@lru_cache(maxsize=256)
def _any_spelling(secrets: frozenset[str]) -> re.Pattern[str]:
    longest_first = sorted(secrets, key=len, reverse=True)
    return re.compile("|".join("".join(map(_spelled, secret)) for secret in longest_first))


def _spelled(character: str) -> str:
    """One character as it is, percent-encoded (also twice), or as JSON escapes it (also twice)."""
    if character in " +":
        return "(?: |[+]|%(?:25)*(?i:20|2b))"  # in a form one may be the other
    percents = "".join(f"%(?:25)*(?i:{byte:02x})" for byte in character.encode("utf-8", "surrogatepass"))
    units = character.encode("utf-16-be", "surrogatepass").hex()
    escapes = "".join(rf"\\{{1,8}}u(?i:{units[i : i + 4]})" for i in range(0, len(units), 4))
    plain = rf"\\{{0,8}}{re.escape(character)}" if character in '"\\/' else re.escape(character)
    return f"(?:{plain}|{percents}|{escapes})"
