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
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from operator import itemgetter
from typing import NamedTuple

from otel_vendor_exporters.errors import EncodingError
from otel_vendor_exporters.mpulse.carried import NO_REMAINDERS, NOTHING_CARRIED, Key, Remainders, Rounding
from otel_vendor_exporters.mpulse.contexts import resolved
from otel_vendor_exporters.mpulse.definitions import Definitions
from otel_vendor_exporters.mpulse.settings import MPulseSettings
from otel_vendor_exporters.mpulse.units import Context, How, Reading, Timing, Unit, side_by_side
from otel_vendor_exporters.mpulse.wire import (
    MOST_MILLISECONDS,
    Beacon,
    Envelope,
    context_text,
    exact,
    exact_sum,
    metric_text,
    money_text,
    quoted,
    timer_milliseconds,
)

# Characters besides envelope, context and entries; times have 13 digits until the year 2286.
_FIXED_PART = len("&rt.end=&rt.tstart=&http.initiator=api_custom_metric") + 2 * 13
_LONGEST_TIMER = len("%7C%2C") + len(str(MOST_MILLISECONDS))  # besides its label
_TIMERS_PART = len("&t_other=timer") - len("metric%2C")  # the last timer has no comma behind it


@dataclass(frozen=True, slots=True)
class Limits:
    """
    The bounds of one beacon. `max_bytes` is what may be between its envelope's start and end, encoded.

    `max_age_ms`: metrics never get too old to be sent, but no beacon is dated earlier than so long ago.
    """

    max_timers: int = 10
    max_metrics: int = 10
    max_bytes: int = 16384
    time_bucket_ms: int = 5000
    max_age_ms: int = 600_000


def limits_for(settings: MPulseSettings, envelope: Envelope) -> Limits:
    """The bounds that settings set, for beacons in this envelope."""
    around = len(envelope.start) + len(envelope.end)
    if settings.method == "get":
        max_bytes = settings.max_url_length - len(envelope.url_start) - around
    else:
        max_bytes = settings.max_body_bytes - around
    return Limits(
        max_timers=settings.max_timers,
        max_metrics=settings.max_metrics,
        max_bytes=max_bytes,
        time_bucket_ms=int(settings.time_bucket * 1000),
        max_age_ms=int(settings.max_age * 1000),
    )


@dataclass(frozen=True, slots=True)
class Load:
    """
    A beacon and which units it carries, by their index in what was packed.

    `remainders` is what the units come to beyond what the beacon says, of money that was rounded.
    """

    beacon: Beacon
    units: Sequence[int]
    remainders: Remainders = NO_REMAINDERS


@dataclass(frozen=True, slots=True)
class Discard:
    """
    A unit no beacon can carry. `name` is set where nobody defined it.

    `amount` is set where it is too little money for a beacon of its own, and must go along with others.
    """

    reason: str
    unit: int
    name: str = ""
    amount: tuple[Key, Decimal] | None = None


class _Entry(NamedTuple):
    """One label with its value, made of one or more units."""

    label: str
    value: int | str  # milliseconds of a timer, text of a metric
    end_unix_ms: int
    units: tuple[int, ...]
    remainder: Decimal | None = None


_LABEL = itemgetter(0)
_tuple = tuple.__new__  # makes an entry as _Entry(…) does, without its call in between


@dataclass(slots=True)
class _Group:
    """What may share beacons."""

    context: Context
    timers: list[_Entry] = field(default_factory=list)
    readings: dict[tuple[str, How], tuple[Reading, list[int]]] = field(default_factory=dict)


def pack(
    units: Sequence[Unit],
    definitions: Definitions,
    limits: Limits,
    now_unix_ms: int,
    carried: Mapping[Key, Decimal] = NOTHING_CARRIED,
) -> tuple[list[Load], list[Discard]]:
    """
    As few beacons as the limits allow. No beacon is dated later than `now_unix_ms`.

    `carried` is what earlier beacons have left of money: it is sent with what is here.
    """
    discards: list[Discard] = []
    loads: list[Load] = []
    rounding = Rounding(carried)
    for group in _grouped(units, definitions, limits.time_bucket_ms, discards):
        metrics = _entries_of_readings(group, units, definitions, rounding, discards)
        loads.extend(_loads_of(group, metrics, definitions, limits, now_unix_ms, discards))
    return loads, discards


def _grouped(
    units: Sequence[Unit], definitions: Definitions, bucket_ms: int, discards: list[Discard]
) -> Iterable[_Group]:
    groups: dict[tuple[int, int], _Group] = {}
    contexts: dict[int, Context] = {}  # by id of the context as it came: most units share few objects
    same: dict[Context, Context] = {}
    label_of = definitions.timer_label if definitions.sends_undefined else definitions.timers.get
    bucket_ms = bucket_ms or 1
    for index, unit in enumerate(units):
        end_unix_ms = unit.end_unix_ms
        as_it_came = unit.context
        context = contexts.get(id(as_it_came))
        if context is None:
            context = resolved(as_it_came, definitions)
            context = contexts[id(as_it_came)] = same.setdefault(context, context)
        key = (id(context), end_unix_ms // bucket_ms)
        group = groups.get(key)
        if group is None:
            group = groups[key] = _Group(context)
        if isinstance(unit, Timing):
            label = label_of(unit.name)
            if label is None:
                discards.append(Discard("undefined", index, unit.name))
            else:
                values = (label, unit.milliseconds, end_unix_ms, (index,), None)
                group.timers.append(_tuple(_Entry, values))
        else:
            name = _defined(unit, definitions)
            if name is None:
                reason = "other_kind" if _is_defined_otherwise(unit, definitions) else "undefined"
                discards.append(Discard(reason, index, unit.name))
            else:
                _add_reading(group, name, unit, index)
    return groups.values()


def _defined(reading: Reading, definitions: Definitions) -> str | None:
    """The definition's name: a reading made before there were definitions has the instrument's."""
    of_kind = definitions.timer_for if reading.how is How.MEAN else definitions.metric_for
    return of_kind(reading.name)


def _is_defined_otherwise(reading: Reading, definitions: Definitions) -> bool:
    """Whether the other reading of the same duration is sent."""
    of_other_kind = definitions.metric_for if reading.how is How.MEAN else definitions.timer_for
    return bool(reading.other) and of_other_kind(reading.other) is not None


def _add_reading(group: _Group, name: str, reading: Reading, index: int) -> None:
    known = group.readings.get((name, reading.how))
    if known is None:
        group.readings[name, reading.how] = (reading, [index])
    else:
        known[1].append(index)
        group.readings[name, reading.how] = (side_by_side(known[0], reading), known[1])


def _entries_of_readings(
    group: _Group,
    units: Sequence[Unit],
    definitions: Definitions,
    rounding: Rounding,
    discards: list[Discard],
) -> list[_Entry]:
    """Metric entries; means join the group's timers."""
    metrics: list[_Entry] = []
    for (name, how), (reading, indices) in group.readings.items():
        try:
            if how is How.ADD and definitions.metric(name).data_type == "Currency":
                amounts = [(index, exact(units[index].value)) for index in indices]  # type: ignore[union-attr]  # readings
                key = (definitions.metric(name).label, group.context)
                metrics.extend(_money(key, reading, amounts, rounding, discards))
                continue
            entry = _entry(name, reading, tuple(indices), definitions)
        except EncodingError:
            discards.extend(Discard("no_number", index) for index in indices)
            continue
        (group.timers if how is How.MEAN else metrics).append(entry)
    return metrics


def _entry(name: str, reading: Reading, units: tuple[int, ...], definitions: Definitions) -> _Entry:
    if reading.how is How.MEAN:
        milliseconds = timer_milliseconds(reading.value / reading.samples)
        label = definitions.timer_label(name)
        if label is None:
            raise EncodingError("a timer's name may hold no separator of t_other", field="name")
        return _Entry(label, milliseconds, reading.end_unix_ms, units)
    metric = definitions.metric(name)
    return _Entry(metric.label, metric_text(reading.value, metric.data_type), reading.end_unix_ms, units)


def _money(
    key: Key,
    reading: Reading,
    amounts: Sequence[tuple[int, Decimal]],
    rounding: Rounding,
    discards: list[Discard],
) -> list[_Entry]:
    """The entry of increments of money, each with its unit's index; none while they come to no cent."""
    exact(reading.value)  # all together are a number, too
    amount = exact_sum(amount for _, amount in amounts)
    sent = rounding.round(key, amount)
    if sent is None:
        discards.extend(Discard("carried", index, amount=(key, amount)) for index, amount in amounts)
        return []
    units = tuple(index for index, _ in amounts)
    return [_Entry(key[0], money_text(sent), reading.end_unix_ms, units, exact_sum((amount, -sent)))]


def _loads_of(
    group: _Group,
    metrics: list[_Entry],
    definitions: Definitions,
    limits: Limits,
    now_unix_ms: int,
    discards: list[Discard],
) -> list[Load]:
    timers = sorted(group.timers, key=_LABEL)
    metrics = sorted(metrics, key=_LABEL)
    place = _place(group.context, definitions, limits)
    labels = Counter(map(_LABEL, timers))
    slices = _dealt(timers, metrics, max(labels.values(), default=0), limits)
    if not place.is_ample(labels, slices, metrics) and not all(place.fits(*one) for one in slices):
        slices = _first_fit(timers, metrics, limits, place, discards)
    return [place.load(*one, now_unix_ms - limits.max_age_ms, now_unix_ms) for one in slices]


def _dealt(
    timers: list[_Entry], metrics: list[_Entry], most_of_one_timer: int, limits: Limits
) -> list[tuple[list[_Entry], list[_Entry]]]:
    """
    Deal the entries to the fewest beacons, like cards.

    They stand sorted by label, so that equal labels are neighbours and fall to different beacons: two timings
    of one timer, or two kinds of reading of one metric.
    """
    count = max(
        most_of_one_timer,
        max(Counter(map(_LABEL, metrics)).values(), default=0),
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
    slices: list[_Slice] = []
    for kind, entries, most in ((0, timers, limits.max_timers), (1, metrics, limits.max_metrics)):
        opening = place.fixed_bytes + (0 if kind else _TIMERS_PART)
        for entry in entries:
            size = _length_of_metric(entry) if kind else _length_of_timer(entry)
            if opening + size > place.max_bytes:
                discards.extend(Discard("too_large", unit) for unit in entry.units)
                continue
            room = place.max_bytes - size
            fitting = (one for one in slices if one.bytes <= room and one.takes(kind, entry.label, most))
            target = next(fitting, None)
            if target is None:
                target = _Slice(opening)
                slices.append(target)
            target.add(kind, entry, size)
    return [one.entries for one in slices]


@dataclass(slots=True)
class _Slice:
    """The entries of one beacon to be, timers and metrics, and what they take with all else, encoded."""

    bytes: int
    entries: tuple[list[_Entry], list[_Entry]] = field(default_factory=lambda: ([], []))
    labels: tuple[set[str], set[str]] = field(default_factory=lambda: (set(), set()))

    def takes(self, kind: int, label: str, most: int) -> bool:
        return len(self.entries[kind]) < most and label not in self.labels[kind]

    def add(self, kind: int, entry: _Entry, size: int) -> None:
        self.entries[kind].append(entry)
        self.labels[kind].add(entry.label)
        self.bytes += size


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a group's beacons stand: their context, and the bytes they have."""

    context: Context
    dimensions: tuple[tuple[str, str], ...]  # label and value
    fixed_bytes: int
    max_bytes: int

    def is_ample(
        self,
        labels: Iterable[str],
        slices: Sequence[tuple[Sequence[_Entry], Sequence[_Entry]]],
        metrics: Sequence[_Entry],
    ) -> bool:
        """Whether the longest timers and all metrics would fit into each: asked once, it saves `fits`."""
        longest = max([len(quoted(label)) for label in labels], default=0) + _LONGEST_TIMER
        most = max([len(timers) for timers, _ in slices], default=0)
        length = self.fixed_bytes + _TIMERS_PART + most * longest + sum(map(_length_of_metric, metrics))
        return length <= self.max_bytes

    def fits(self, timers: Sequence[_Entry], metrics: Sequence[_Entry]) -> bool:
        """Whether one beacon carries these, exactly."""
        length = self.fixed_bytes + sum(map(_length_of_metric, metrics))
        if timers:
            length += _TIMERS_PART + sum(map(_length_of_timer, timers))
        return length <= self.max_bytes

    def load(
        self, timers: Sequence[_Entry], metrics: Sequence[_Entry], earliest_unix_ms: int, latest_unix_ms: int
    ) -> Load:
        context = self.context
        entries = [*timers, *metrics] if metrics else timers
        end_unix_ms = max([entry.end_unix_ms for entry in entries])
        beacon = Beacon(
            end_unix_ms=min(max(end_unix_ms, earliest_unix_ms), latest_unix_ms),
            timers=tuple([entry[:2] for entry in timers]),  # type: ignore[misc]  # a timer's value is an int
            metrics=tuple([entry[:2] for entry in metrics]),  # type: ignore[misc]  # a metric's is text
            page_group=context.page_group,
            ab_test=context.ab_test,
            session=context.session,
            dimensions=self.dimensions,
        )
        units = [unit for entry in entries for unit in entry.units]
        if not metrics:
            return Load(beacon, units)
        remainders = [((entry.label, context), entry.remainder) for entry in metrics if entry.remainder]
        return Load(beacon, units, Remainders(remainders))


def _place(context: Context, definitions: Definitions, limits: Limits) -> _Place:
    labels = [(definitions.dimension_label(name), value) for name, value in context.dimensions]
    dimensions = tuple([(label, value) for label, value in labels if label is not None])
    text = context_text(context.page_group, context.ab_test, context.session, dimensions)
    return _Place(context, dimensions, _FIXED_PART + len(text), limits.max_bytes)


def _length_of_timer(entry: _Entry) -> int:
    return len(quoted(entry.label)) + len(str(entry.value)) + len("%7C%2C")


def _length_of_metric(entry: _Entry) -> int:
    return len(quoted(entry.label)) + len(str(entry.value)) + len("&=")
