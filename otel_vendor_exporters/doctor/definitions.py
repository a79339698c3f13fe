"""
Definitions: the names that code and settings use, against those the mPulse app defines.

Pure. Names go the way they go in the exporters: through the globs of `timers` and `metrics`, then exactly for
spans, and whatever their case for instruments, which the SDK writes in lower case.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from otel_vendor_exporters.doctor.code_names import CodeName, Kind, Scan
from otel_vendor_exporters.doctor.report import Finding, Level, counted
from otel_vendor_exporters.mpulse.definitions import Definitions
from otel_vendor_exporters.mpulse.mapping import Names
from otel_vendor_exporters.mpulse.settings import MPulseSettings
from otel_vendor_exporters.nearest import nearest

_MOST_SHOWN = 30
_MOST_PLACES = 3
OF_CODE = frozenset({"no_such_code", "unreadable_code", "made_at_run_time", "not_followed", "scanned"})
_ARGUMENT = re.compile(r"\{[^{}]*\}")


@dataclass(frozen=True, slots=True)
class _Use:
    """A definition that something counts on: a timer, metric or dimension, by whom."""

    what: str
    name: str
    by: str


def list_finding(definitions: Definitions) -> Finding:
    """What the app defines."""
    lists = {
        "timers": list(definitions.timers),
        "metrics": {name: metric.data_type for name, metric in definitions.metrics.items()},
        "dimensions": list(definitions.dimensions),
    }
    told = "; ".join(
        f"{counted(len(names), what[:-1])}: {_first(names)}" for what, names in lists.items() if names
    )
    if not told:
        sentence = (
            "the app defines no custom timer, metric or dimension, so nothing is sent: define some in mPulse"
        )
        return Finding(Level.WARNING, "definitions", "none_defined", sentence, lists)
    return Finding(Level.OK, "definitions", "defined", f"the app defines {told}", lists)


def setting_findings(settings: MPulseSettings, definitions: Definitions) -> Iterator[Finding]:
    """What the settings `timers`, `metrics` and `dimensions` name and the app does not define."""
    uses = [
        *(_Use("timer", name, f"timers: {glob}") for glob, name in settings.timers.items()),
        *(_Use("metric", name, f"metrics: {glob}") for glob, name in settings.metrics.items()),
        *(_Use("dimension", name, f"dimensions: {one}") for one, name in settings.dimensions.items()),
    ]
    for use in uses:
        defined = (
            use.name in definitions.dimensions
            if use.what == "dimension"
            else _is_defined(use.what, use.name, definitions)
        )
        if not defined:
            yield _undefined(use, definitions, "mapped_to_undefined")


def code_findings(scan: Scan, settings: MPulseSettings, definitions: Definitions) -> Iterator[Finding]:
    """What `@timed` and `@counted` name and the app does not define."""
    names = _Ways(settings)
    undefined: dict[_Use, list[str]] = {}
    sent = set()
    for one in scan.names:
        what = "metric" if one.kind is Kind.COUNTER else "timer"
        name = names.of(one)
        if _matches(one, name, definitions):
            sent.add((what, name))
        else:
            undefined.setdefault(_Use(what, name, ""), []).append(one.place)
    for use, places in undefined.items():
        more = f" and {len(places) - _MOST_PLACES} more places" if len(places) > _MOST_PLACES else ""
        told = _Use(use.what, use.name, ", ".join(places[:_MOST_PLACES]) + more)
        yield _undefined(told, definitions, "undefined", {"places": places})
    yield from _scan_findings(scan)
    if scan.files or scan.names:
        sentence = f"{counted(scan.files, 'file')} read; {counted(len(sent), 'name')} that code uses defined"
        yield Finding(Level.OK, "names", "scanned", sentence, {"files": scan.files, "defined": len(sent)})


def uncompared_findings(scan: Scan, *, is_asked: bool) -> Iterator[Finding]:
    """What there is to tell of code without definitions of an app to compare its names with."""
    why = "has not come: see mpulse" if is_asked else "is not asked for here: examine mpulse, configured, too"
    sentence = (
        f"--code is not compared ({counted(scan.files, 'file')} read, {counted(len(scan.names), 'name')}): "
        f"that takes the configuration of an mPulse app, which {why}"
    )
    yield Finding(Level.WARNING, "names", "not_compared", sentence, {"files": scan.files})
    yield from _scan_findings(scan)


class _Ways:
    """How a name in code becomes the name of a definition."""

    def __init__(self, settings: MPulseSettings) -> None:
        self._spans = Names(settings.timers)
        self._durations = Names(_folded(settings.timers))
        self._counters = Names(_folded(settings.metrics))

    def of(self, one: CodeName) -> str:
        """The definition's name, as far as code tells it."""
        if one.kind is Kind.SPAN:
            return self._spans.of(one.name)
        mapped = (self._durations if one.kind is Kind.DURATION else self._counters).of(one.name.casefold())
        return one.name if mapped == one.name.casefold() else mapped


def _matches(one: CodeName, name: str, definitions: Definitions) -> bool:
    if "{" in name:  # known at run time: any that fits
        known: Collection[str] = definitions.metrics if one.kind is Kind.COUNTER else definitions.timers
        pattern = _ARGUMENT.sub("*", name)
        if one.kind is not Kind.SPAN:
            known, pattern = [each.casefold() for each in known], pattern.casefold()
        return any(fnmatchcase(each, pattern) for each in known)
    if one.kind is Kind.COUNTER:
        return _is_defined("metric", name, definitions)
    if one.kind is Kind.DURATION:
        return definitions.timer_for(name) is not None or _is_defined("metric", name, definitions)
    return name in definitions.timers


def _is_defined(what: str, name: str, definitions: Definitions) -> bool:
    if what == "metric":
        return definitions.metric_for(name) is not None
    return name in definitions.timers


def _undefined(
    use: _Use, definitions: Definitions, code: str, details: Mapping[str, object] | None = None
) -> Finding:
    known: Mapping[str, Collection[str]] = {
        "timer": definitions.timers.keys(),
        "metric": definitions.metrics.keys(),
        "dimension": definitions.dimensions.keys(),
    }
    near = nearest(use.name, known[use.what])
    elsewhere = [what for what, names in known.items() if what != use.what and use.name in names]
    hint = f"did you mean {near!r}?" if near else "define it in mPulse, or map it to one that is defined"
    if near and near.casefold() == use.name.casefold():
        hint = f"did you mean {near!r}? Upper and lower case differ"
    if elsewhere:
        hint = f"it is a custom {elsewhere[0]} there, and a {use.what} here"
    sentence = f"{use.name!r} ({use.by}) is no custom {use.what} of the app, so it is not sent: {hint}"
    told = {"what": use.what, "name": use.name, "nearest": near, **(details or {})}
    return Finding(Level.WARNING, "names", code, sentence, told)


def _scan_findings(scan: Scan) -> Iterator[Finding]:
    for target in scan.missing:
        sentence = f"{target} is neither a file, nor a folder, nor a module that can be found"
        yield Finding(Level.WARNING, "names", "no_such_code", sentence)
    for file in scan.unreadable[:_MOST_SHOWN]:
        yield Finding(Level.WARNING, "names", "unreadable_code", f"not read: {file}")
    if scan.made_at_run_time:
        places = ", ".join(scan.made_at_run_time[:_MOST_PLACES])
        number = counted(len(scan.made_at_run_time), "name")
        sentence = f"{number} made at run time, and so not known here ({places})"
        yield Finding(Level.INFO, "names", "made_at_run_time", sentence, {"places": scan.made_at_run_time})
    if scan.not_followed:
        places = "; ".join(scan.not_followed[:_MOST_PLACES])
        sentence = (
            f"{counted(len(scan.not_followed), 'use')} of what comes from modules that were not read, "
            f"and may be decorators of ours: name these with --code, too ({places})"
        )
        yield Finding(Level.INFO, "names", "not_followed", sentence, {"places": scan.not_followed})


def _folded(globs: Mapping[str, str]) -> dict[str, str]:
    return {glob.casefold(): name for glob, name in globs.items()}


def _first(names: Collection[str]) -> str:
    shown = ", ".join(list(names)[:_MOST_SHOWN])
    return shown if len(names) <= _MOST_SHOWN else f"{shown} and {len(names) - _MOST_SHOWN} more"
