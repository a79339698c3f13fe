"""
Codec: how timings and readings are written to a spool file. JSON, without key, crumb or domain.

Pure. Rule: what was written is read again as the very same unit, or refused with ValueError.
"""

from __future__ import annotations

import json
from collections.abc import Hashable
from functools import lru_cache
from typing import Any

from otel_vendor_exporters.mpulse.units import Context, How, Reading, Session, Timing, Unit

_write = json.JSONEncoder(separators=(",", ":")).encode
_SHORT = 200  # characters; longer names are not remembered
_MOST_REMEMBERED = 256


class UnitCodec:
    """Implements delivery's `Codec`."""

    units = "mpulse/1"

    def __init__(self) -> None:
        # The last context and its text, replaced together: any thread may encode.
        self._last: tuple[Context | None, str] = (None, "")
        self._names: dict[str, str] = {}  # as they are written; many units share one

    def encode(self, unit: Unit) -> bytes:
        """The unit as one JSON list."""
        name = self._names.get(unit.name) or self._written_name(unit.name)
        known, context = self._last
        if known is not unit.context:
            context = _written(unit.context)
            self._last = (unit.context, context)
        if isinstance(unit, Timing):
            return f'["timing",{name},{unit.milliseconds},{unit.end_unix_ms},{context}]'.encode()
        values = [unit.how.value, unit.value, unit.samples]
        value = _write([*values, unit.other] if unit.other else values)
        return f'["reading",{name},{value},{unit.end_unix_ms},{context}]'.encode()

    def _written_name(self, name: str) -> str:
        written = _write(name)
        if len(name) < _SHORT:
            if len(self._names) >= _MOST_REMEMBERED:
                self._names = {}
            self._names[name] = written
        return written

    def decode(self, body: bytes) -> Unit:
        """The unit that `encode` wrote. Raises ValueError for anything else."""
        try:
            kind, name, value, end_unix_ms, context = json.loads(body)
            if kind == "timing":
                return Timing(_text(name), _whole(value), _whole(end_unix_ms), _read(context))
            if kind == "reading":
                how, number, samples, *other = value
                return Reading(
                    _text(name),
                    How(how),
                    _number(number),
                    _whole(samples),
                    _whole(end_unix_ms),
                    _read(context),
                    *map(_text, other[:1]),
                )
        except (TypeError, LookupError, RecursionError) as error:
            raise ValueError("no unit of mpulse") from error
        raise ValueError("no unit of mpulse")

    def merge_key(self, unit: Unit) -> Hashable | None:
        """Readings of one metric and context become one; timings stay apart."""
        return None if isinstance(unit, Timing) else (unit.name, unit.how, unit.context)

    def subjects(self, unit: Unit) -> tuple[str, ...]:  # noqa: ARG002
        """Nobody's: mPulse knows sessions, not people."""
        return ()


@lru_cache(maxsize=_MOST_REMEMBERED)  # many units share their context
def _written(context: Context) -> str:
    return _write(context)


def _read(given: Any) -> Context:  # whatever stands in the file
    page_group, ab_test, session, dimensions, resolved = given
    return Context(
        None if page_group is None else _text(page_group),
        None if ab_test is None else _text(ab_test),
        None if session is None else Session(_text(session[0]), _whole(session[1]), _whole(session[2])),
        tuple((_text(name), _text(value)) for name, value in dimensions),
        bool(resolved),
    )


def _text(given: Any) -> str:
    if not isinstance(given, str):
        raise TypeError("no text")
    return given


def _number(given: Any) -> float:
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        raise TypeError("no number")
    return given


def _whole(given: Any) -> int:
    if isinstance(given, bool) or not isinstance(given, int):
        raise TypeError("no whole number")
    return given
