"""
Readers: what was given for a setting (a YAML value, a keyword, a variable's text), as its declared type.

Pure. A reader raises ValueError or TypeError whose text says what was expected; `settings` says of what.
"""

from __future__ import annotations

import json
import math
import os
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from otel_vendor_exporters.secret import Secret


def reader_of(kind: Any) -> Callable[[object], object]:  # Any: a type, or what typing makes of several
    """The reader of a declared type."""
    return _READERS.get(kind) or _READERS[typing.get_origin(kind) or kind]


def _text(given: object) -> str:
    if not isinstance(given, str) or not given.strip():
        raise ValueError("a text that is not empty")
    return given.strip()


def _path(given: object) -> str:
    text = os.fspath(given) if isinstance(given, os.PathLike) else given
    if not isinstance(text, str) or not text.strip():
        raise ValueError("a path")
    if "\0" in text:
        raise ValueError("a path without NUL characters")
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raise ValueError("a path that this system can write") from None
    try:
        return str(Path(text.strip() if text is given else text).expanduser())
    except RuntimeError:
        raise ValueError("a path whose ~ is the home of somebody") from None


def _secret(given: object) -> Secret:
    return given if isinstance(given, Secret) else Secret(_text(given))


def _number(given: object) -> float:
    try:
        number = math.nan if isinstance(given, bool) else float(given)  # type: ignore[arg-type]  # refused below
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError("a number")
    return number


def _whole_number(given: object) -> int:
    number = _number(given)
    if number != int(number):
        raise ValueError("a whole number")
    return int(number)


def _yes_or_no(given: object) -> bool:
    if isinstance(given, bool):
        return given
    text = "" if isinstance(given, int) else str(given).strip().lower()
    if text not in ("true", "false"):
        raise ValueError("true or false")
    return text == "true"


def _pairs(given: object, kinds: tuple[type, ...] = (str,)) -> Mapping[str, str]:
    expectation = 'a mapping, or a text such as "name=Value,other=Value", or a JSON object'
    if isinstance(given, str):
        given = _pairs_in(given, expectation)
    if not isinstance(given, Mapping) or not all(
        isinstance(key, str) and isinstance(one, kinds) and key and one != "" for key, one in given.items()
    ):
        raise ValueError(f"{expectation}; names and values are texts that are not empty")
    return types.MappingProxyType({key: _word(one) for key, one in given.items()})


def _word(given: str | bool) -> str:
    return str(given).lower() if isinstance(given, bool) else given


def _pairs_in(text: str, expectation: str) -> Mapping[str, str]:
    if text.lstrip().startswith("{"):
        try:
            return typing.cast("Mapping[str, str]", json.loads(text))
        except (json.JSONDecodeError, RecursionError):
            raise ValueError(expectation) from None
    parts = [part.rpartition("=") for part in text.split(",") if part.strip()]
    return {key.strip(): value.strip() for key, _, value in parts}


def _texts(given: object) -> tuple[str, ...]:
    """A list of texts; what is empty in a comma-separated text does not count."""
    if isinstance(given, str):
        given = [part for part in given.split(",") if part.strip()]
    if not isinstance(given, (list, tuple)) or not all(isinstance(one, str) and one.strip() for one in given):
        raise ValueError('a list of texts, or a text such as "one,other"')
    return tuple(one.strip() for one in given)


def _object(given: object) -> object:
    if isinstance(given, (str, bytes, int, float, list, tuple, dict)):  # what a file or variable can hold
        raise ValueError("an object, which only code can give")
    return given


_READERS: dict[Any, Callable[[object], object]] = {
    str: _text,
    os.PathLike: _path,
    Secret: _secret,
    float: _number,
    int: _whole_number,
    bool: _yes_or_no,
    Mapping: _pairs,
    Mapping[str, str | bool]: lambda given: _pairs(given, (str, bool)),
    tuple: _texts,
    object: _object,
}
