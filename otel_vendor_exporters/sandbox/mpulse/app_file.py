"""
An mPulse app read from a file: our short form, or a configuration answer saved from the real mPulse.

Rule: what the file says is used or refused, with the key and what would be right; nothing is passed over but
what mPulse itself leaves empty.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from otel_vendor_exporters.sandbox.mpulse.definitions import (
    DEFAULT_DOMAIN,
    DEFAULT_KEY,
    METRIC_TYPES,
    Definition,
    Definitions,
    defined,
)

MAX_DEFINITIONS = 1_000
MAX_FILE_BYTES = 4_000_000
_KEYS = ("key", "domain", "timers", "metrics", "dimensions")
_SAVED_KINDS = ("customTimers", "customMetrics", "customDimensions")
_TYPE_NAMES = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}


@dataclass(frozen=True, slots=True)
class AppFile:
    """What a definitions file says of an app."""

    definitions: Definitions
    key: str
    domain: str


def app_from_file(path: str | Path) -> AppFile:
    """
    An app read from JSON. Raises ValueError, which names file and key, and OSError.

        {"key": "…", "domain": "…", "timers": ["Checkout"], "metrics": {"Revenue": "Currency"},
         "dimensions": ["Country"]}
    """
    content = _content_of(Path(path))
    try:
        return _from_saved_config(content) if "PageParams" in content else _from_short_form(content)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _content_of(path: Path) -> dict[str, object]:
    with path.open("rb") as file:
        text = file.read(MAX_FILE_BYTES + 1)
    try:
        content = json.loads(text) if len(text) <= MAX_FILE_BYTES else None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold a JSON object of at most {MAX_FILE_BYTES} bytes")
    return content


def _from_short_form(content: Mapping[str, object]) -> AppFile:
    for key in content:
        if key not in _KEYS:
            raise ValueError(
                f"{key[:40]!r} is no key of this file{_meant(key, _KEYS)}: use {', '.join(_KEYS)}"
            )
    definitions = defined(
        _names(content, "timers"), _metric_types(content.get("metrics", {})), _names(content, "dimensions")
    )
    return AppFile(definitions, _text(content, "key", DEFAULT_KEY), _text(content, "domain", DEFAULT_DOMAIN))


def _meant(word: str, known: Iterable[str]) -> str:
    near = get_close_matches(word, list(known), 1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _metric_types(metrics: object) -> Mapping[str, str]:
    """Types by name; as a list, each is a Number."""
    if isinstance(metrics, list):
        return dict.fromkeys(_names({"metrics": metrics}, "metrics"), METRIC_TYPES[0])
    if not isinstance(metrics, dict) or len(metrics) > MAX_DEFINITIONS or "" in metrics:
        like = 'must be like {"Revenue": "Currency"} or ["Revenue"]'
        raise ValueError(f"metrics {like}, at most {MAX_DEFINITIONS}, and is {_type_name(metrics)}")
    for name, kind in metrics.items():
        if kind not in METRIC_TYPES:
            told = repr(kind[:40]) + _meant(kind, METRIC_TYPES) if isinstance(kind, str) else _type_name(kind)
            raise ValueError(f"metrics: the type of {name[:40]!r} is {told}: use {', '.join(METRIC_TYPES)}")
    return metrics


def _names(content: Mapping[str, object], key: str) -> list[str]:
    names = []
    for index, name in enumerate(_list(content, key)):
        if not isinstance(name, str) or not name:
            raise ValueError(f"{key} must be a list of names, and entry {index} is {_type_name(name)}")
        names.append(name)
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(f"{key} names {twice[0][:40]!r} twice: once is enough")
    return names


def _from_saved_config(content: Mapping[str, object]) -> AppFile:
    params = content["PageParams"]
    if not isinstance(params, dict):
        raise ValueError(f"PageParams must be an object, and is {_type_name(params)}")
    definitions = Definitions(*(tuple(_saved(params, kind)) for kind in _SAVED_KINDS))
    domain = _text(content, "h.d", DEFAULT_DOMAIN)
    return AppFile(definitions, _text(content, "h.key", DEFAULT_KEY), domain)


def _saved(params: Mapping[str, object], kind: str) -> Iterable[Definition]:
    """Definitions as mPulse gave them; empty entries (`{}`, from the iOS tests) are passed over."""
    number = 0
    for index, entry in enumerate(_list(params, kind)):
        if entry == {}:
            continue
        if not isinstance(entry, dict):
            raise ValueError(
                f"PageParams.{kind}: entry {index} must be an object, and is {_type_name(entry)}"
            )
        for key in ("name", "label"):
            if not isinstance(entry.get(key), str) or not entry[key]:
                found = _type_name(entry[key]) if key in entry else "missing"
                raise ValueError(f"PageParams.{kind}: {key} of entry {index} must be a text, and is {found}")
        yield Definition(entry["name"], entry["label"], number, str(entry.get("dataType", "")))
        number += 1


def _list(content: Mapping[str, object], key: str) -> list[object]:
    entries = content.get(key, [])
    if not isinstance(entries, list):
        raise ValueError(f"{key} must be a list of at most {MAX_DEFINITIONS}, and is {_type_name(entries)}")
    if len(entries) > MAX_DEFINITIONS:
        raise ValueError(f"{key} must be a list of at most {MAX_DEFINITIONS}, and has {len(entries)}")
    return entries


def _text(content: Mapping[str, object], key: str, default: str) -> str:
    value = content.get(key, default)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{key} must be a text, and is {_type_name(value)}")
    return value


def _type_name(value: object) -> str:
    return "empty" if value == "" else _TYPE_NAMES.get(type(value), "a number")
