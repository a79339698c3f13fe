"""
Definitions: the names people typed into mPulse, their labels, and which of them an instrument feeds.

Pure. Source: PageParams of the configuration, as the official clients read them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

from otel_vendor_exporters.mpulse.outside import one_line, text_of

_SEPARATORS = frozenset(",|")  # of t_other
_JOINTS = re.compile(r"[\s_.-]+")  # between the words of a name


@dataclass(frozen=True, slots=True)
class Metric:
    """A custom metric's name on the wire and how its number is written: Number, Currency or Percentage."""

    label: str
    data_type: str = "Number"


@dataclass(frozen=True, slots=True)
class _Folded:
    """Names by what is left of them without case, and without what joins their words; only unique ones."""

    by_case: Mapping[str, str]
    by_words: Mapping[str, str]

    @classmethod
    def of(cls, names: Iterable[str]) -> _Folded:
        folded = {name: name.casefold() for name in names}
        return cls(_unique(folded), _unique({name: _JOINTS.sub(" ", one) for name, one in folded.items()}))

    def name_for(self, instrument: str) -> str | None:
        folded = instrument.casefold()
        return self.by_case.get(folded) or self.by_words.get(_JOINTS.sub(" ", folded))


def _unique(folded: Mapping[str, str]) -> Mapping[str, str]:
    """The names of what only one has."""
    counts = Counter(folded.values())
    return {fold: name for name, fold in folded.items() if counts[fold] == 1}


@dataclass(frozen=True)
class Definitions:
    """What the app defines: by the names people typed into mPulse. Anything else is not sent."""

    timers: Mapping[str, str] = field(default_factory=dict)  # name → label
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    dimensions: Mapping[str, str] = field(default_factory=dict)  # name → label
    sends_undefined: bool = False  # a name without definition is its own label, for a learning sandbox

    def metric_for(self, instrument: str) -> str | None:
        """
        The custom metric an instrument feeds: the one of its name, else the only one of nearly its name.

        The SDK writes instrument names in lower case and takes no spaces, so case does not matter, nor
        whether words are joined by spaces, `_`, `-` or `.`: "open_carts" feeds "Open carts". Where two
        definitions are equal but for that, none is fed.
        """
        known = instrument if instrument in self.metrics else self._metrics_folded.name_for(instrument)
        return known or (instrument if self.sends_undefined else None)

    def timer_for(self, instrument: str) -> str | None:
        """The custom timer a histogram feeds, likewise."""
        known = instrument if instrument in self.timers else self._timers_folded.name_for(instrument)
        return known or (instrument if self.sends_undefined else None)

    def timer_label(self, name: str) -> str | None:
        """What stands for a timer in t_other; None when nothing can."""
        own = name if self.sends_undefined and not set(name) & _SEPARATORS else None
        return self.timers.get(name, own)

    def metric(self, name: str) -> Metric:
        """A metric that `metric_for` named. mPulse's own labels are `cmet.` and the name."""
        return self.metrics.get(name) or Metric(f"cmet.{name}")

    def dimension_label(self, name: str) -> str | None:
        """The parameter that carries a dimension. mPulse's own labels are `cdim.` and the name."""
        return self.dimensions.get(name, f"cdim.{name}" if self.sends_undefined else None)

    @cached_property
    def _metrics_folded(self) -> _Folded:
        return _Folded.of(self.metrics)

    @cached_property
    def _timers_folded(self) -> _Folded:
        return _Folded.of(self.timers)


def read_definitions(page_params: Mapping[str, object]) -> tuple[Definitions, list[str]]:
    """The definitions in PageParams, and what is odd about them. A list that is absent defines nothing."""
    doubts: list[str] = []
    timers = dict(_entries(page_params, "customTimers", doubts))
    metrics = dict(_entries(page_params, "customMetrics", doubts))
    dimensions = dict(_entries(page_params, "customDimensions", doubts))
    definitions = Definitions(
        timers=MappingProxyType({name: str(entry["label"]) for name, entry in timers.items()}),
        metrics=MappingProxyType(
            {
                name: Metric(str(entry["label"]), str(entry.get("dataType") or "Number"))
                for name, entry in metrics.items()
            }
        ),
        dimensions=MappingProxyType({name: str(entry["label"]) for name, entry in dimensions.items()}),
    )
    return definitions, doubts


def _entries(
    page_params: Mapping[str, object], kind: str, doubts: list[str]
) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Name and entry of each usable definition; entries may be empty objects (iOS tests)."""
    entries = page_params.get(kind)
    names: set[str] = set()
    labels: set[str] = set()
    for entry in entries if isinstance(entries, list) else ():
        name, label = text_of(entry, "name"), text_of(entry, "label")
        if name is None or label is None:
            continue
        if name in names or label in labels:
            doubts.append(f"{kind} defines {one_line(name)} twice, or two with one label; the first is used")
        elif kind == "customTimers" and set(label) & _SEPARATORS:
            doubts.append(f"{kind}: the label of {one_line(name)} cannot be sent")
        else:
            names.add(name)
            labels.add(label)
            yield name, entry
