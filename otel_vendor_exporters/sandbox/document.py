"""
JSON as a vendor's server reads it: strictly, and able to say where in the body something stands.

Pure. mParticle names the place of an error as `Path '...', line 1, position N` (contract, section 1.4).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

JsonPath = tuple[str | int, ...]

MAX_REPEATED_KEYS = 100
# The default of the reader mParticle uses (Newtonsoft.Json 13).
MAX_DEPTH = 64
_SPACE = " \t\n\r"
_PLAIN_NAME = re.compile(r"[^\s.'\"/\\\[\](){}]+")
_decoder = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class Document:
    """A body that could be read; `repeated_keys` stood twice in one object, and the last value counted."""

    text: str
    content: object
    repeated_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands: line from 1; position is the number of characters read of that line by then."""

    line: int
    position: int


def parse(body: bytes) -> Document:
    """
    The content of a body.

    Raises ValueError or RecursionError for what is no JSON (NaN is none), or nested too deeply.
    """
    text = body.decode()
    repeated: list[str] = []

    def as_object(pairs: list[tuple[str, object]]) -> dict[str, object]:
        content = dict(pairs)
        if len(content) < len(pairs) and len(repeated) < MAX_REPEATED_KEYS:
            names = Counter(name for name, _ in pairs)
            repeated.extend([name for name, count in names.items() if count > 1][:MAX_REPEATED_KEYS])
        return content

    content = json.loads(text, object_pairs_hook=as_object, parse_constant=_refuse_constant)
    if _is_deeper_than(content, MAX_DEPTH):
        raise ValueError(f"nested more than {MAX_DEPTH} deep")
    return Document(text, content, tuple(repeated))


def spans(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each item of a body whose root is an array."""
    start = _skip(text, _skip(text, 0) + 1)
    while text[start] != "]":
        end = _decoder.raw_decode(text, start)[1]
        yield start, end
        start = _next_item(text, end)


def place_of(text: str, path: JsonPath) -> Place:
    """The place at which a reader stumbles over the value at a path: after its `{` or `[`, or after it."""
    start = _skip(text, 0)
    for step in path:
        start = _item(text, start, step) if isinstance(step, int) else _member(text, start, step)
    end = start + 1 if text[start] in "{[" else _decoder.raw_decode(text, start)[1]
    line_start = text.rfind("\n", 0, end) + 1
    return Place(text.count("\n", 0, end) + 1, end - line_start)


def written(path: JsonPath) -> str:
    """A path as the server writes it: `[0].device_info.ios_idfv`, `data.custom_attributes['a b']`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _PLAIN_NAME.fullmatch(step):
            text += f".{step}" if text else step
        else:
            text += f"['{step}']"
    return text


def _is_deeper_than(content: object, depth: int) -> bool:
    level = [content]
    for _ in range(depth + 1):
        containers = [value for value in level if isinstance(value, (dict, list))]
        level = [item for c in containers for item in (c.values() if isinstance(c, dict) else c)]
    return bool(level)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _item(text: str, start: int, index: int) -> int:
    position = _skip(text, start + 1)
    for _ in range(index):
        position = _next_item(text, _decoder.raw_decode(text, position)[1])
    return position


def _member(text: str, start: int, name: str) -> int:
    """The last value under a name, since the last one counts."""
    found = start
    position = _skip(text, start + 1)
    while text[position] != "}":
        key, position = _decoder.raw_decode(text, position)
        value = _skip(text, _skip(text, position) + 1)
        if key == name:
            found = value
        position = _next_item(text, _decoder.raw_decode(text, value)[1])
    return found


def _next_item(text: str, position: int) -> int:
    position = _skip(text, position)
    return _skip(text, position + 1) if text[position] == "," else position


def _skip(text: str, position: int) -> int:
    while text[position] in _SPACE:
        position += 1
    return position
