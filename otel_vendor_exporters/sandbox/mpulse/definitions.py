"""
What an mPulse app has defined: its timers, metrics and dimensions, by name and by label.

From mPulse's documents: a timer's label is `custom<index>`, a metric's `cmet.<name>`, a dimension's
`cdim.<name with spaces as _>` (contract 3.2, from "mPulse Beacon API (Version 2) Reference").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

METRIC_TYPES = ("Number", "Currency", "Percentage")

DEFAULT_KEY = "AAAAA-BBBBB-CCCCC-DDDDD-EEEEE"
DEFAULT_DOMAIN = "www.example.com"
DEFAULT_TIMERS = ("MyTimer", "Code Timer")
DEFAULT_METRICS = {"MyMetric": "Number", "Revenue": "Currency"}
DEFAULT_DIMENSIONS = ("Visibility State",)


@dataclass(frozen=True, slots=True)
class Definition:
    """One timer, metric or dimension: the name people use, and the label on the wire."""

    name: str
    label: str
    index: int
    data_type: str = ""

    def as_wire(self) -> dict[str, object]:
        """The entry of PageParams."""
        entry: dict[str, object] = {"name": self.name, "index": self.index, "type": "Programmatic"}
        entry["label"] = self.label
        if self.data_type:
            entry["dataType"] = self.data_type
        return entry


@dataclass(frozen=True, slots=True)
class Definitions:
    """Everything one app has defined."""

    timers: tuple[Definition, ...] = ()
    metrics: tuple[Definition, ...] = ()
    dimensions: tuple[Definition, ...] = ()

    def without(self, name: str) -> Definitions:
        """The same app after somebody removed this name in mPulse."""
        return Definitions(*(tuple(d for d in kind if d.name != name) for kind in self._kinds))

    def plus(self, other: Definitions) -> Definitions:
        """The same app after somebody defined more; what is there already by name stays as it is."""
        own, more = self._kinds, other._kinds
        return Definitions(*(_joined(old, new) for old, new in zip(own, more, strict=True)))

    def as_wire(self) -> dict[str, object]:
        """PageParams of the configuration answer (contract 3.3)."""
        return {
            "pageGroups": [],
            "abTests": [],
            "customMetrics": [definition.as_wire() for definition in self.metrics],
            "customTimers": [definition.as_wire() for definition in self.timers],
            "customDimensions": [definition.as_wire() for definition in self.dimensions],
            "urlPatterns": [],
            "params": True,
        }

    @property
    def _kinds(self) -> tuple[tuple[Definition, ...], ...]:
        return (self.timers, self.metrics, self.dimensions)


def _joined(old: tuple[Definition, ...], new: tuple[Definition, ...]) -> tuple[Definition, ...]:
    """Old and new; a timer's label is made of its index, so a new one takes the next that is free."""
    names = {definition.name for definition in old}
    free = max((definition.index for definition in old), default=-1) + 1
    fresh = [definition for definition in new if definition.name not in names]
    return (*old, *(_numbered(definition, index) for index, definition in enumerate(fresh, free)))


def _numbered(definition: Definition, index: int) -> Definition:
    of_timer = definition.label == f"custom{definition.index}"
    return replace(definition, index=index, label=f"custom{index}" if of_timer else definition.label)


class Learned(NamedTuple):
    """Names that arrived and are not defined, each kind in the order first seen."""

    timers: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    dimensions: tuple[str, ...] = ()


def defined(
    timers: Iterable[str], metrics: Mapping[str, str] | Iterable[str], dimensions: Iterable[str]
) -> Definitions:
    """Definitions with the labels mPulse would give these names. Raises ValueError for an empty one."""
    if any(isinstance(names, str) for names in (timers, metrics, dimensions)):
        raise ValueError('names must come in a tuple or list: timers=("Checkout",)')
    types = dict(metrics) if isinstance(metrics, Mapping) else dict.fromkeys(metrics, "Number")
    timers, dimensions = tuple(timers), tuple(dimensions)
    for kind, names in (("timers", timers), ("metrics", tuple(types)), ("dimensions", dimensions)):
        if "" in names:
            raise ValueError(f"{kind} must be a list of names, and entry {names.index('')} is empty")
    return Definitions(
        tuple(Definition(name, f"custom{i}", i) for i, name in enumerate(timers)),
        tuple(Definition(name, f"cmet.{name}", i, kind) for i, (name, kind) in enumerate(types.items())),
        tuple(Definition(n, f"cdim.{n.replace(' ', '_')}", i, "Text") for i, n in enumerate(dimensions)),
    )


def defaults() -> Definitions:
    """The app of contract 3.3."""
    return defined(DEFAULT_TIMERS, DEFAULT_METRICS, DEFAULT_DIMENSIONS)
