"""
Reading one mPulse beacon: what the real vendor would count of it, and every reason why it would not.

Pure: the time, the crumb and the definitions come in with the beacon. The codes are those of section 11 of
the contract; `checks` holds what spoils a whole beacon, this file what spoils one item of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from otel_vendor_exporters.sandbox.exchange import Pairs, Request, shown
from otel_vendor_exporters.sandbox.inbox import Finding, Record, Severity
from otel_vendor_exporters.sandbox.mpulse.definitions import Definition, Definitions

MAX_FINDINGS = 100
MAX_TIMERS = 1_000
MAX_NAME = 1_000  # of what is learned: whole, since it is to be typed into mPulse, and bounded all the same
AB_TEST = re.compile(r"[a-zA-Z0-9_ -]{1,25}")
WHOLE_NUMBER = re.compile(r"[0-9]{1,18}")
_PREFIXES = {"metric": "cmet.", "dimension": "cdim."}
_DECIMAL = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?")
_ANY_NUMBER = re.compile(r"[+-]?([0-9]*\.?[0-9]+([eE][+-]?[0-9]+)?|NaN|Infinity)")


class Timer(NamedTuple):
    """A timing mPulse would have counted."""

    name: str
    milliseconds: int


class Metric(NamedTuple):
    """An increment mPulse would have counted, as it would have read it (a Currency without `.` is cents)."""

    name: str
    amount: float


class Dimension(NamedTuple):
    """A dimension value mPulse would have kept."""

    name: str
    value: str


class Undefined(NamedTuple):
    """A label that no definition has: of a `timer`, `metric` or `dimension`."""

    kind: str
    label: str

    @property
    def name(self) -> str:
        """What to call it in mPulse, whose labels are `cmet.` or `cdim.` and the name (contract 3.2)."""
        return self.label.removeprefix(_PREFIXES.get(self.kind, ""))


@dataclass(frozen=True, slots=True)
class Session:
    """rt.si, rt.ss and rt.sl, which belong together."""

    id: str
    start_unix_ms: int
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Beacon(Record):
    """One beacon; what it holds here is what mPulse would have counted, `pairs` is what was sent."""

    timers: tuple[Timer, ...] = ()
    metrics: tuple[Metric, ...] = ()
    dimensions: tuple[Dimension, ...] = ()
    page_group: str | None = None
    ab_test: str | None = None
    session: Session | None = None
    start_unix_ms: int | None = None
    end_unix_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Crumb:
    """One pair h.t, h.cr as it was issued."""

    timestamp: int
    token: str
    issued_at: float


@dataclass(frozen=True, slots=True)
class Book:
    """What the collector knows of the app: its identity, its definitions by label, and its patience."""

    key: str
    domain: str
    definitions: Definitions
    learn: bool
    oldest_seconds: float
    future_seconds: float
    timers: Mapping[str, Definition] = field(init=False)
    metrics: Mapping[str, Definition] = field(init=False)
    dimensions: Mapping[str, Definition] = field(init=False)

    def __post_init__(self) -> None:
        for kind in ("timers", "metrics", "dimensions"):
            by_label = {definition.label: definition for definition in getattr(self.definitions, kind)}
            object.__setattr__(self, kind, by_label)


@dataclass(frozen=True, slots=True)
class Arrival:
    """One beacon under examination."""

    request: Request
    sent: Pairs
    book: Book
    crumb: Crumb | None
    now: float

    def value(self, name: str) -> str:
        """A parameter's text; empty when it is absent."""
        return self.sent.first.get(name, "")


@dataclass(slots=True)
class Reading:
    """What has been read of one beacon so far. Lives inside one call only."""

    findings: list[Finding] = field(default_factory=list)
    undefined: list[Undefined] = field(default_factory=list)
    timers: dict[str, Timer] = field(default_factory=dict)
    metrics: list[Metric] = field(default_factory=list)
    dimensions: list[Dimension] = field(default_factory=list)
    page_group: str | None = None
    ab_test: str | None = None
    session: Session | None = None

    def say(self, code: str, sentence: str, severity: Severity = "error") -> None:
        """Note a finding, up to a bound: a beacon of a thousand mistakes is told by its first hundred."""
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(Finding(code, severity, sentence))


def read_items(arrival: Arrival) -> Reading:
    """Everything the beacon holds, read by each reader in turn."""
    reading = Reading()
    for reader in _READERS:
        reader(arrival, reading)
    return reading


def _read_timers(arrival: Arrival, reading: Reading) -> None:
    if "t_other" not in arrival.sent.first:
        return
    for part in arrival.value("t_other").split(",", MAX_TIMERS):
        label, bar, text = part.partition("|")
        wrong = _wrong_timer(label, bar, text)
        if wrong:
            reading.say(*wrong)
        else:
            _keep_timer(arrival, reading, label, int(text))


def _wrong_timer(label: str, bar: str, text: str) -> tuple[str, str] | None:
    part = f"`{shown(label + bar + text)}`"
    if label and WHOLE_NUMBER.fullmatch(text):
        return None
    if not (label and _ANY_NUMBER.fullmatch(text)):
        return "bad_t_other", f"{part} in t_other is not `label|milliseconds`: use `custom0|10,custom1|20`."
    if text.startswith("-"):
        return "negative_timer", f"{part} is negative: a timer is 0 ms or more; look at how it is measured."
    sentence = f"{part} is not a whole number of 1 to 18 digits: round milliseconds half up before sending."
    return "non_integer_timer", sentence


def _keep_timer(arrival: Arrival, reading: Reading, label: str, milliseconds: int) -> None:
    definition = _defined(arrival, reading, label, "timer", arrival.book.timers)
    if definition is None:
        return
    if label in reading.timers:
        reading.say(
            f"duplicate_timer:{shown(label)}",
            f"`{shown(label)}` is twice in one beacon and only the last value counts: "
            "send the second value in a beacon of its own.",
        )
    reading.timers[label] = Timer(definition.name, milliseconds)


def _read_metrics(arrival: Arrival, reading: Reading) -> None:
    for label, text in _labelled(arrival, _PREFIXES["metric"], arrival.book.metrics):
        definition = _defined(arrival, reading, label, "metric", arrival.book.metrics)
        if definition is not None:
            _keep_metric(reading, definition, text)


def _keep_metric(reading: Reading, definition: Definition, text: str) -> None:
    if not _DECIMAL.fullmatch(text):
        sentence = (
            f"{shown(definition.label)}=`{shown(text)}` is not a plain number: write digits, no exponent."
        )
        reading.say("bad_metric", sentence)
        return
    cents = definition.data_type == "Currency" and "." not in text
    if cents:
        sentence = f"{shown(definition.label)}={text} has no decimals and is read as cents: send `{text}.00`."
        reading.say("currency_without_decimals", sentence, "warning")
    reading.metrics.append(Metric(definition.name, float(text) / 100 if cents else float(text)))


def _read_dimensions(arrival: Arrival, reading: Reading) -> None:
    for label, text in _labelled(arrival, _PREFIXES["dimension"], arrival.book.dimensions):
        definition = _defined(arrival, reading, label, "dimension", arrival.book.dimensions)
        if definition is not None:
            reading.dimensions.append(Dimension(definition.name, text))


def _read_page_group(arrival: Arrival, reading: Reading) -> None:
    page_group = arrival.sent.first.get("h.pg")
    if page_group is not None and not page_group.strip():
        reading.say("empty_page_group", "h.pg is empty: leave it out when there is no page group.")
        return
    reading.page_group = page_group


def _read_ab_test(arrival: Arrival, reading: Reading) -> None:
    bucket = arrival.sent.first.get("h.ab")
    if bucket is not None and not AB_TEST.fullmatch(bucket):
        sentence = f"h.ab=`{shown(bucket)}` must be 1 to 25 of letters, digits, space, `_` and `-`."
        reading.say("bad_ab", sentence)
        return
    reading.ab_test = bucket


def _read_session(arrival: Arrival, reading: Reading) -> None:
    texts = [arrival.value(name) for name in ("rt.si", "rt.ss", "rt.sl")]
    if not any(texts):
        return
    if not all(texts):
        sentence = "rt.si, rt.ss and rt.sl belong together: send all three, or none."
        reading.say("session_incomplete", sentence)
    elif WHOLE_NUMBER.fullmatch(texts[1]) and WHOLE_NUMBER.fullmatch(texts[2]):
        reading.session = Session(texts[0], int(texts[1]), int(texts[2]))


_Reader = Callable[[Arrival, Reading], None]
_READERS: tuple[_Reader, ...] = (
    _read_timers,
    _read_metrics,
    _read_dimensions,
    _read_page_group,
    _read_ab_test,
    _read_session,
)


def _labelled(arrival: Arrival, prefix: str, known: Mapping[str, Definition]) -> Iterator[tuple[str, str]]:
    """The parameters of one kind: by a known label (labels are opaque), or by the usual prefix."""
    for name, text in arrival.sent.first.items():
        if name in known or name.startswith(prefix):
            yield name, text


def _defined(
    arrival: Arrival, reading: Reading, label: str, kind: str, known: Mapping[str, Definition]
) -> Definition | None:
    """The definition behind a label; one made up on the spot while learning."""
    definition = known.get(label)
    if definition is not None:
        return definition
    undefined = Undefined(kind, shown(label, MAX_NAME))
    reading.undefined.append(undefined)
    names = ", ".join(known) or "none"
    severity: Severity = "warning" if arrival.book.learn else "error"
    reading.say(
        f"unknown_{kind}:{shown(label)}",
        f"No {kind} of this app has the label `{shown(label)}`: define it in mPulse, or use one of: "
        f"{shown(names)} (exact, case counts).",
        severity,
    )
    return Definition(undefined.name, label, 0) if arrival.book.learn else None
