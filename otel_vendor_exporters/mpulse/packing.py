"""
Packing: many units into few beacons.

Pure. Knows the size limits of a beacon, not how a beacon is sent.
Rule: every unit that comes in goes out, exactly once: in one beacon, or discarded with a reason.

A beacon can say everything but timers and metrics only once, and each of those only once, too. So units share
a beacon when page group, A/B bucket, session, dimensions and time bucket are equal and their labels differ.
For n timings of one such group the fewest beacons are max(largest number of one label, n / max_timers).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import NamedTuple

from otel_vendor_exporters.errors import EncodingError
from otel_vendor_exporters.mpulse.app_config import Definitions
from otel_vendor_exporters.mpulse.contexts import resolved
from otel_vendor_exporters.mpulse.units import Context, How, Reading, Timing, Unit, side_by_side
from otel_vendor_exporters.mpulse.wire import Beacon, context_text, metric_text, quoted, timer_milliseconds

_LONGEST_FIXED_PART = 80  # rt.end, rt.tstart, http.initiator and t_other with two times of 13 digits
_LONGEST_MILLISECONDS = 10


@dataclass(frozen=True, slots=True)
class Limits:
    """
    The bounds of one beacon. `max_bytes` is what its variable part may take, encoded.

    `max_age_ms`: metrics never get too old to be sent, but no beacon is dated earlier than so long ago.
    """

    max_timers: int = 10
    max_metrics: int = 10
    max_bytes: int = 16384
    time_bucket_ms: int = 5000
    max_age_ms: int = 600_000


@dataclass(frozen=True, slots=True)
class Load:
    """A beacon and which units it carries, by their index in what was packed."""

    beacon: Beacon
    units: Sequence[int]


@dataclass(frozen=True, slots=True)
class Discard:
    """A unit no beacon can carry. `name` is set where nobody defined it."""

    reason: str
    unit: int
    name: str = ""


class _Entry(NamedTuple):
    """One label with its value, made of one or more units."""

    label: str
    value: int | str  # milliseconds of a timer, text of a metric
    end_unix_ms: int
    units: tuple[int, ...]


_LABEL = itemgetter(0)


@dataclass(slots=True)
class _Group:
    """What may share beacons."""

    context: Context
    timers: list[_Entry] = field(default_factory=list)
    readings: dict[tuple[str, How], tuple[Reading, list[int]]] = field(default_factory=dict)


def pack(
    units: Sequence[Unit], definitions: Definitions, limits: Limits, now_unix_ms: int
) -> tuple[list[Load], list[Discard]]:
    """As few beacons as the limits allow. No beacon is dated later than `now_unix_ms`."""
    discards: list[Discard] = []
    loads: list[Load] = []
    for group in _grouped(units, definitions, limits.time_bucket_ms, discards):
        metrics = _entries_of_readings(group, definitions, discards)
        loads.extend(_loads_of(group, metrics, definitions, limits, now_unix_ms, discards))
    return loads, discards


def _grouped(
    units: Sequence[Unit], definitions: Definitions, bucket_ms: int, discards: list[Discard]
) -> Iterable[_Group]:
    groups: dict[tuple[int, int], _Group] = {}
    contexts: dict[int, Context] = {}  # by id of the context as it came: most units share few objects
    same: dict[Context, Context] = {}
    timers = definitions.timers
    for index, unit in enumerate(units):
        context = contexts.get(id(unit.context))
        if context is None:
            context = resolved(unit.context, definitions)
            context = contexts[id(unit.context)] = same.setdefault(context, context)
        key = (id(context), unit.end_unix_ms // bucket_ms if bucket_ms else unit.end_unix_ms)
        group = groups.get(key)
        if group is None:
            group = groups[key] = _Group(context)
        if isinstance(unit, Timing):
            label = timers.get(unit.name)
            if label is None:
                discards.append(Discard("undefined", index, unit.name))
            else:
                group.timers.append(_Entry(label, unit.milliseconds, unit.end_unix_ms, (index,)))
        else:
            _add_reading(group, unit, index)
    return groups.values()


def _add_reading(group: _Group, reading: Reading, index: int) -> None:
    known = group.readings.get((reading.name, reading.how))
    if known is None:
        group.readings[reading.name, reading.how] = (reading, [index])
    else:
        known[1].append(index)
        group.readings[reading.name, reading.how] = (side_by_side(known[0], reading), known[1])


def _entries_of_readings(group: _Group, definitions: Definitions, discards: list[Discard]) -> list[_Entry]:
    """Metric entries; means join the group's timers."""
    metrics: dict[str, _Entry] = {}
    for (name, how), (reading, units) in group.readings.items():
        try:
            entry = _entry(reading, tuple(units), definitions)
        except EncodingError:
            discards.extend(Discard("no_number", unit) for unit in units)
            continue
        if entry is None:
            discards.extend(Discard("undefined", unit, name) for unit in units)
        elif how is How.MEAN:
            group.timers.append(entry)
        elif entry.label in metrics:  # an instrument of another kind feeds the same metric
            discards.extend(Discard("two_kinds_for_one_metric", unit) for unit in units)
        else:
            metrics[entry.label] = entry
    return list(metrics.values())


def _entry(reading: Reading, units: tuple[int, ...], definitions: Definitions) -> _Entry | None:
    if reading.how is How.MEAN:
        timer = definitions.timer_for(reading.name)
        if timer is None:
            return None
        label = definitions.timers[timer]
        return _Entry(label, timer_milliseconds(reading.value / reading.samples), reading.end_unix_ms, units)
    name = definitions.metric_for(reading.name)
    if name is None:
        return None
    metric = definitions.metrics[name]
    return _Entry(metric.label, metric_text(reading.value, metric.data_type), reading.end_unix_ms, units)


def _loads_of(
    group: _Group,
    metrics: list[_Entry],
    definitions: Definitions,
    limits: Limits,
    now_unix_ms: int,
    discards: list[Discard],
) -> list[Load]:
    timers = sorted(group.timers, key=_LABEL)
    place = _place(group.context, definitions, limits)
    slices = _dealt(timers, metrics, limits)
    if not all(place.fits(*one) for one in slices):
        slices = _first_fit(timers, metrics, limits, place, discards)
    return [place.load(*one, now_unix_ms - limits.max_age_ms, now_unix_ms) for one in slices]


def _dealt(
    timers: list[_Entry], metrics: list[_Entry], limits: Limits
) -> list[tuple[list[_Entry], list[_Entry]]]:
    """
    Deal the entries to the fewest beacons, like cards.

    The timers stand sorted by label, so that equal labels are neighbours and fall to different beacons.
    """
    most_of_one = max(Counter(map(_LABEL, timers)).values(), default=0)
    count = max(
        most_of_one,
        -(-len(timers) // limits.max_timers),
        -(-len(metrics) // limits.max_metrics),
    )
    return [(timers[start::count], metrics[start::count]) for start in range(count)]


def _first_fit(
    timers: list[_Entry],
    metrics: list[_Entry],
    limits: Limits,
    place: _Place,
    discards: list[Discard],
) -> list[tuple[list[_Entry], list[_Entry]]]:
    """Where bytes bind: each entry into the first beacon that has room and lacks its label."""
    slices: list[tuple[list[_Entry], list[_Entry]]] = []
    for kind, entries, most in ((0, timers, limits.max_timers), (1, metrics, limits.max_metrics)):
        for entry in entries:
            one: tuple[list[_Entry], list[_Entry]] = ([], [])
            one[kind].append(entry)
            if not place.fits(*one):
                discards.extend(Discard("too_large", unit) for unit in entry.units)
                continue
            for target in slices:
                labels = [other.label for other in target[kind]]
                if len(labels) < most and entry.label not in labels and place.has_room(target, one):
                    target[kind].append(entry)
                    break
            else:
                slices.append(one)
    return slices


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a group's beacons stand: their context, and the bytes they have."""

    context: Context
    dimensions: tuple[tuple[str, str], ...]  # label and value
    fixed_bytes: int
    max_bytes: int

    def fits(self, timers: Sequence[_Entry], metrics: Sequence[_Entry]) -> bool:
        return self.fixed_bytes + _length(timers, metrics) <= self.max_bytes

    def has_room(
        self, one: tuple[list[_Entry], list[_Entry]], other: tuple[list[_Entry], list[_Entry]]
    ) -> bool:
        return self.fixed_bytes + _length(*one) + _length(*other) <= self.max_bytes

    def load(
        self, timers: Sequence[_Entry], metrics: Sequence[_Entry], earliest_unix_ms: int, latest_unix_ms: int
    ) -> Load:
        context = self.context
        end_unix_ms = max([entry.end_unix_ms for entry in (*timers, *metrics)])
        beacon = Beacon(
            end_unix_ms=min(max(end_unix_ms, earliest_unix_ms), latest_unix_ms),
            timers=tuple([(entry.label, entry.value) for entry in timers]),  # type: ignore[misc]  # a timer's is an int
            metrics=tuple([(entry.label, entry.value) for entry in metrics]),  # type: ignore[misc]  # a metric's is text
            page_group=context.page_group,
            ab_test=context.ab_test,
            session=context.session,
            dimensions=self.dimensions,
        )
        return Load(beacon, [unit for entry in (*timers, *metrics) for unit in entry.units])


def _place(context: Context, definitions: Definitions, limits: Limits) -> _Place:
    labels = definitions.dimensions
    dimensions = tuple([(labels[name], value) for name, value in context.dimensions if name in labels])
    text = context_text(context.page_group, context.ab_test, context.session, dimensions)
    return _Place(context, dimensions, _LONGEST_FIXED_PART + len(text), limits.max_bytes)


def _length(timers: Sequence[_Entry], metrics: Sequence[_Entry]) -> int:
    """An upper bound of what entries take, encoded: a timer's separators are three characters each."""
    return sum([len(quoted(entry.label)) + _LONGEST_MILLISECONDS + 6 for entry in timers]) + sum(
        [len(quoted(entry.label)) + len(str(entry.value)) + 2 for entry in metrics]
    )
