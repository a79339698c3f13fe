"""
Walking an mParticle batch along its shapes: every value that is not what the documents say it is.

Pure. Yields problems; whether one refuses the batch is a matter of its rank and of the mode.
The server's words are those seen from the live server where there are any (contract, section 1.4).
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

from otel_vendor_exporters.sandbox.document import JsonPath, written
from otel_vendor_exporters.sandbox.exchange import shown
from otel_vendor_exporters.sandbox.mparticle.event_shapes import (
    CLOSED_EVENTS,
    EVENT_TYPES_WITHOUT_SCHEMA,
    EVENTS,
)
from otel_vendor_exporters.sandbox.mparticle.shapes import (
    BATCH,
    Fields,
    Kind,
    ListOf,
    MapOf,
    Plain,
    Shape,
    Word,
)

# Null is a value of its own here; elsewhere it should be left out.
MAY_BE_NULL = frozenset(("events", "old", "new", "severity", "message"))
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_WHOLE = re.compile(r"-?[0-9]{1,20}")
_DECIMAL = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?")
_LIMITS: dict[str, range] = {
    "integer32": range(-(2**31), 2**31),
    "integer64": range(-(2**63), 2**63),
    "unsigned64": range(2**64),
}


class Rank(Enum):
    """What a problem leads to."""

    FATAL = "the batch is refused"
    SCHEMA = "the published schema refuses the batch, the live server takes it"
    UNPROCESSED = "the batch is answered with 202 and thrown away"
    LOSS = "a part is thrown away or cut"
    ADVICE = "it is taken, and may be misread"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, where it stands, and what the server would say if it refuses for it."""

    rank: Rank
    code: str
    path: JsonPath
    sentence: str
    message: str = ""
    has_place: bool = True


def shape_problems(batch: dict[str, object]) -> Iterator[Problem]:
    """Problems of the batch itself, then of each event, in the order in which they stand."""
    yield from problems_in(BATCH, batch, ())
    events = batch.get("events")
    for index, event in enumerate(events if isinstance(events, list) else ()):
        yield from _event_problems(event, ("events", index))


def problems_in(shape: Shape, value: object, path: JsonPath) -> Iterator[Problem]:
    """Everything about one value that its shape does not allow."""
    if value is None:
        yield from _null(shape, path)
    elif isinstance(shape, Plain):
        yield from _CHECKS[shape.kind](value, path)
    elif isinstance(shape, Word):
        yield from _word(shape, value, path)
    elif isinstance(shape, ListOf):
        yield from _list(shape, value, path)
    elif isinstance(shape, MapOf):
        yield from _map(shape, value, path)
    else:
        yield from _object(shape, value, path)


def missing(name: str, path: JsonPath, rank: Rank = Rank.FATAL) -> Problem:
    """A required key that is missing or empty, in the words of the JSON reference's example."""
    return Problem(
        rank,
        f"missing:{_subject((*path, name))}",
        path,
        f"`{_subject((*path, name))}` is required and is missing or empty.",
        f'Required event field "{name}" is missing or empty.',
        has_place=False,
    )


def _subject(path: JsonPath) -> str:
    """A path without indexes, for codes: `data.event_name`."""
    names = [step for step in path if isinstance(step, str)]
    return shown(written(tuple(names[1:] if names[:1] == ["events"] and len(names) > 1 else names)))


def _event_problems(event: object, path: JsonPath) -> Iterator[Problem]:
    if not isinstance(event, dict):
        yield _wrong_type(event, path, "object")
        return
    kind = event.get("event_type")
    if kind in (None, ""):
        yield missing("event_type", path)
        return
    if not isinstance(kind, str) or kind not in EVENTS:
        yield _unknown_event_type(kind, path)
        return
    shape = Fields(
        {"event_type": Plain("text"), "data": EVENTS[kind]}, ("data",), closed=kind in CLOSED_EVENTS
    )
    yield from problems_in(shape, event, path)


def _unknown_event_type(kind: object, path: JsonPath) -> Problem:
    known = kind in EVENT_TYPES_WITHOUT_SCHEMA if isinstance(kind, str) else False
    sentence = f"event_type=`{shown(str(kind))}` has no schema: use one of {', '.join(EVENTS)}."
    rank = Rank.SCHEMA if known else Rank.FATAL
    return Problem(
        rank,
        "unknown_event_type",
        (*path, "event_type"),
        sentence,
        _converting(kind, "event_type"),
    )


def _null(shape: Shape, path: JsonPath) -> Iterator[Problem]:
    if path and path[-1] in MAY_BE_NULL:
        return
    strict = isinstance(shape, Word) or (
        isinstance(shape, Plain) and shape.kind not in ("text", "scalar", "attribute", "anything", "boolean")
    )
    if path[-1:] == ("transaction_id",):
        strict = True
    subject = _subject(path)
    yield Problem(
        Rank.SCHEMA if strict else Rank.ADVICE,
        f"null_value:{subject}",
        path,
        f"`{subject}` is null: leave the key out instead.",
        _converting(None, "value"),
    )


def _list(shape: ListOf, value: object, path: JsonPath) -> Iterator[Problem]:
    if not isinstance(value, list):
        yield _wrong_type(value, path, "array")
        return
    for index, item in enumerate(value):
        yield from problems_in(shape.item, item, (*path, index))


def _map(shape: MapOf, value: object, path: JsonPath) -> Iterator[Problem]:
    if not isinstance(value, dict):
        yield _wrong_type(value, path, "object")
        return
    for name, item in value.items():
        yield from problems_in(shape.value, item, (*path, name))


def _object(shape: Fields, value: object, path: JsonPath) -> Iterator[Problem]:
    if not isinstance(value, dict):
        yield _wrong_type(value, path, "object")
        return
    for name, item in value.items():
        field = shape.shapes.get(name)
        if field is None:
            yield _unknown_key(shape, (*path, name))
            field = shape.shapes.get(shape.spellings.get(name, ""), Plain("anything"))
        if item is not None or name not in shape.required:
            yield from problems_in(field, item, (*path, name))
    for name in shape.required:
        if value.get(name) in (None, ""):
            yield missing(name, path)
    for name in shape.required_by_schema:
        if name not in value:
            yield missing(name, path, Rank.SCHEMA)


def _unknown_key(shape: Fields, path: JsonPath) -> Problem:
    subject, name = _subject(path), path[-1]
    right = shape.spellings.get(str(name))
    if right:
        advice = f"the schema writes it `{right}`"
    elif shape.closed:
        advice = "the schema allows no further keys here; leave it out"
    else:
        advice = "mParticle ignores it; move it to custom_attributes"
    return Problem(
        Rank.SCHEMA if shape.closed else Rank.LOSS,
        f"unknown_key:{subject}",
        path,
        f"`{subject}` is not known: {advice}.",
        f'Additional property "{name}" is not allowed.',
    )


def _word(shape: Word, value: object, path: JsonPath) -> Iterator[Problem]:
    if isinstance(value, str) and value in shape.words:
        return
    if not shape.enforced:
        rank = Rank.ADVICE
    else:
        rank = Rank.SCHEMA if isinstance(value, str) and value in shape.elsewhere else Rank.FATAL
    subject, words = _subject(path), ", ".join(sorted(shape.words))
    sentence = f"`{subject}`=`{shown(str(value))}` is not one of {words}."
    yield Problem(rank, f"not_in_list:{subject}", path, sentence, _converting(value, str(path[-1])))


def _text(value: object, path: JsonPath) -> Iterator[Problem]:
    if isinstance(value, (dict, list)):
        yield _unexpected("string", value, path)
    elif not isinstance(value, str):
        yield _loose(value, path, "a string")


def _scalar(value: object, path: JsonPath) -> Iterator[Problem]:
    if isinstance(value, (dict, list)):
        yield _unexpected("string", value, path)
    elif isinstance(value, float) and not math.isfinite(value):
        yield _out_of_range(value, path, "Double")


def _attribute(value: object, path: JsonPath) -> Iterator[Problem]:
    if not isinstance(value, list):
        yield from _scalar(value, path)
        return
    for index, item in enumerate(value):
        yield from _scalar(item, (*path, index))


def _integer(kind: Kind) -> Callable[[object, JsonPath], Iterator[Problem]]:
    allowed, type_name = _LIMITS[kind], {"integer32": "Int32", "integer64": "Int64"}.get(kind, "UInt64")

    def check(value: object, path: JsonPath) -> Iterator[Problem]:
        if isinstance(value, (dict, list)):
            yield _unexpected("integer", value, path)
        elif isinstance(value, bool) or (isinstance(value, str) and not _WHOLE.fullmatch(value)):
            message = f"Could not convert string to integer: {value}."
            yield _wrong_type(value, path, "whole number", message)
        elif isinstance(value, float) and not value.is_integer():
            message = f"Input string '{value}' is not a valid integer."
            yield _wrong_type(value, path, "whole number", message)
        elif isinstance(value, (int, float, str)) and int(value) not in allowed:
            yield _out_of_range(value, path, type_name)
        elif not isinstance(value, int):
            yield _loose(value, path, "a whole number")

    return check


def _number(value: object, path: JsonPath) -> Iterator[Problem]:
    if isinstance(value, (dict, list)):
        yield _unexpected("double", value, path)
    elif isinstance(value, bool) or (isinstance(value, str) and not _DECIMAL.fullmatch(value)):
        yield _wrong_type(value, path, "number", f"Could not convert string to double: {value}.")
    elif isinstance(value, str):
        yield _loose(value, path, "a number")
    elif isinstance(value, (int, float)) and not abs(value) <= 1.7976931348623157e308:
        yield _out_of_range(value, path, "Double")


def _boolean(value: object, path: JsonPath) -> Iterator[Problem]:
    if isinstance(value, (dict, list)):
        yield _unexpected("boolean", value, path)
    elif isinstance(value, str) and value.lower() not in ("true", "false"):
        yield _wrong_type(value, path, "boolean", f"Could not convert string to boolean: {value}.")
    elif not isinstance(value, bool):
        yield _loose(value, path, "true or false")


def _guid(value: object, path: JsonPath) -> Iterator[Problem]:
    if not (isinstance(value, str) and _UUID.fullmatch(value)):
        subject = _subject(path)
        sentence = f"`{subject}`=`{shown(str(value))}` is no UUID: send a UUID, or leave the key out."
        yield Problem(Rank.FATAL, f"not_uuid:{subject}", path, sentence, _converting(value, "System.Guid"))


def _uuid(value: object, path: JsonPath) -> Iterator[Problem]:
    if isinstance(value, (dict, list)):
        yield _unexpected("string", value, path)
    elif not (isinstance(value, str) and _UUID.fullmatch(value)):
        subject = _subject(path)
        sentence = f"`{subject}`=`{shown(str(value))}` is no UUID: make one of your own id, with uuid5 say."
        message = f'String "{value}" does not match the UUID pattern.'
        yield Problem(Rank.SCHEMA, f"not_uuid:{subject}", path, sentence, message)


def _address(value: object, path: JsonPath) -> Iterator[Problem]:
    try:
        if not isinstance(value, str) or "%" in value:
            raise ValueError
        ipaddress.ip_address(value)
    except ValueError:
        sentence = f"`ip`=`{shown(str(value))}` is no literal address: send the visitor's, or leave it out."
        yield Problem(Rank.SCHEMA, "not_an_address:ip", path, sentence, _converting(value, "ipv4 or ipv6"))


def _anything(value: object, path: JsonPath) -> Iterator[Problem]:  # noqa: ARG001 - one of a table
    return iter(())


def _server_made(value: object, path: JsonPath) -> Iterator[Problem]:  # noqa: ARG001 - one of a table
    subject = _subject(path)
    yield Problem(
        Rank.ADVICE, f"server_field:{subject}", path, f"`{subject}` is made by mParticle: do not send it."
    )


def _disputed(value: object, path: JsonPath) -> Iterator[Problem]:  # noqa: ARG001 - one of a table
    subject = _subject(path)
    sentence = f"mParticle's documents contradict one another about `{subject}`: leave it out."
    yield Problem(Rank.ADVICE, f"disputed:{subject}", path, sentence)


_CHECKS: dict[Kind, Callable[[object, JsonPath], Iterator[Problem]]] = {
    "text": _text,
    "scalar": _scalar,
    "attribute": _attribute,
    "integer32": _integer("integer32"),
    "integer64": _integer("integer64"),
    "unsigned64": _integer("unsigned64"),
    "number": _number,
    "boolean": _boolean,
    "guid": _guid,
    "uuid": _uuid,
    "address": _address,
    "anything": _anything,
    "server_made": _server_made,
    "disputed": _disputed,
}


def _converting(value: object, type_name: str) -> str:
    word = "{null}" if value is None else f'"{value}"' if isinstance(value, str) else str(value)
    return f"Error converting value {word} to type '{type_name}'."


def _unexpected(reader: str, value: object, path: JsonPath) -> Problem:
    token = "StartObject" if isinstance(value, dict) else "StartArray"
    message = f"Error reading {reader}. Unexpected token: {token}."
    return _wrong_type(value, path, reader, message)


def _wrong_type(value: object, path: JsonPath, wanted: str, message: str = "") -> Problem:
    subject = _subject(path)
    sentence = f"`{subject}` must be of type {wanted} and is {_type_name(value)}."
    message = message or _converting(_type_name(value), wanted)
    return Problem(Rank.FATAL, f"wrong_type:{subject}", path, sentence, message)


def _out_of_range(value: object, path: JsonPath, type_name: str) -> Problem:
    subject = _subject(path)
    sentence = f"`{subject}` is out of the range of {type_name}: leave it out or limit it."
    message = f"JSON integer {value} is too large or small for an {type_name}."
    return Problem(Rank.FATAL, f"out_of_range:{subject}", path, sentence, message)


def _loose(value: object, path: JsonPath, wanted: str) -> Problem:
    """A value the live server converts and the schema refuses."""
    subject = _subject(path)
    sentence = f"`{subject}` must be {wanted} and is {_type_name(value)}."
    return Problem(
        Rank.SCHEMA, f"loose_type:{subject}", path, sentence, f"Invalid type: {_type_name(value)}."
    )


def _type_name(value: object) -> str:
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean"}
    return "null" if value is None else names.get(type(value), "a number")
