"""
Configured: the names of functions that a configuration decorates, in the places the instrumentor reads.

These are the variable OTEL_VENDOR_INSTRUMENT, the file that instrument_file names, and OTEL_CONFIG_FILE.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from instrumentation.targets import Entry, Target, entries_in, is_glob, target_of
from otel_vendor_exporters.doctor.code_names import CodeName, Kind, Scan, instrument_name
from otel_vendor_exporters.entries import ENVIRONMENT_PREFIX, entries_of_file

INSTRUMENT = f"{ENVIRONMENT_PREFIX}INSTRUMENT"
INSTRUMENT_FILE = f"{ENVIRONMENT_PREFIX}INSTRUMENT_FILE"
CONFIG_FILE = "OTEL_CONFIG_FILE"


@dataclass(frozen=True, slots=True)
class Configured:
    """What one place says: entries, or the path of a file that has them."""

    place: str
    entries: tuple[Entry, ...] = ()
    file: str | None = None


def configured_in(environment: Mapping[str, str], options: Mapping[str, Any]) -> Iterator[Configured]:
    """The places that name functions; `options` are the instrumentor's in OTEL_CONFIG_FILE. Reads no file."""
    if INSTRUMENT in environment:
        yield Configured(INSTRUMENT, tuple(entries_in(environment[INSTRUMENT])))
    if INSTRUMENT_FILE in environment:
        yield Configured(INSTRUMENT_FILE, file=environment[INSTRUMENT_FILE].strip())
    listed, file = options.get("instrument"), options.get("instrument_file")
    if listed:
        entries = entries_in(listed) if isinstance(listed, str) else listed
        yield Configured(CONFIG_FILE, tuple(entries) if isinstance(entries, (list, tuple)) else (entries,))
    if isinstance(file, str):
        yield Configured(f"{CONFIG_FILE}, instrument_file", file=file)


def add_configured(found: Scan, one: Configured) -> None:
    """Add the names that a place gives; what is not understood there is told as not read."""
    if one.file is None:
        _add(found, one.entries, one.place)
        return
    try:
        entries = entries_of_file(Path(one.file).expanduser())
    except Exception as error:  # noqa: BLE001  each reader has its own; the instrumentor takes nothing then
        words = " ".join(str(error).split())[:300]
        found.unreadable.append(f"{one.place}: {words}")
    else:
        _add(found, entries, f"{one.place}: {one.file}")


def _add(found: Scan, entries: Iterable[Entry], place: str) -> None:
    for entry in entries:
        _add_one(found, entry, place)


def _add_one(found: Scan, entry: Entry, place: str) -> None:
    try:
        target = target_of(entry)
    except ValueError as error:
        found.unreadable.append(f"{place}: {error}")
    else:
        found.names += _names_of(target, place)


def _names_of(target: Target, place: str) -> Iterator[CodeName]:
    if target.use == "event":
        return
    name, own = target.options.get("name"), target.path
    kind = Kind.COUNTER if target.use == "counted" else Kind.SPAN
    if target.options.get("record") == "metric":
        kind = Kind.DURATION
    if is_glob(own):  # of many functions, each adds its own name
        own, name = "{function}", name and f"{name}.{{function}}"
    if name is None and kind is not Kind.SPAN:
        own = instrument_name(own)
    yield CodeName(name or own, kind, place)
