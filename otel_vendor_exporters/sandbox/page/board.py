"""
The board: everything that arrived, summed up for people to look at while it arrives.

Reads the journal in steps, only when somebody looks; holds sums and one short row for each request, never the
request itself. Bounded like the journal: rows leave when their records do.
"""

from __future__ import annotations

import logging
from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from threading import Lock
from typing import NamedTuple

from otel_vendor_exporters.sandbox.inbox import OTHER_FINDING, Finding, Inbox, Record
from otel_vendor_exporters.sandbox.masking import masked_pairs, masked_path, masked_values
from otel_vendor_exporters.sandbox.page.looks import Secrets, masked_findings, secrets_of_record
from otel_vendor_exporters.sandbox.page.panels import Panel, Said, panels
from otel_vendor_exporters.sandbox.page.sections import Json, Listing, Section
from otel_vendor_exporters.sandbox.remedies import remedy

_logger = logging.getLogger(__name__)

STEP = 1_000
MAX_KINDS_OF_FINDING = 1_000
MAX_WINDOW = 500
MAX_TEXT = 1_000
MAX_FILTERS = 8


class Filter(NamedTuple):
    """Which requests are wanted: every word in its text, of a vendor, with a finding."""

    words: tuple[str, ...] = ()
    vendor: str = ""
    severity: str = ""
    code: str = ""


class Row(NamedTuple):
    """One request in short, and the text it is found by: not cut, for a request is bounded."""

    position: int
    vendor: str
    severity: str
    codes: tuple[str, ...]
    shown: tuple[object, ...]
    text: str


@dataclass(slots=True)
class _FoundOften:
    finding: Finding
    vendor: str
    count: int = 0
    last_unix_ms: int = 0
    stamp: int = 0


@dataclass(slots=True)
class _Matches:
    """Which rows a filter wants, as far as it has looked."""

    looked_at: int = 0
    positions: deque[int] = field(default_factory=deque)


class Board:
    """Sums and rows of one sandbox. Any thread may call anything."""

    def __init__(self, inbox: Inbox, keys: frozenset[str] = frozenset()) -> None:
        """`keys` are masked wherever they stand."""
        self._inbox = inbox
        self._keys = keys
        self._lock = Lock()
        self._told = False
        self._begin(inbox.clearings)

    def _begin(self, clearings: int) -> None:
        self._clearings = clearings
        self._position = 0
        self._stamp = 0
        self._rows: deque[Row] = deque()
        self._findings: dict[tuple[str, str], _FoundOften] = {}
        self._requests: dict[str, int] = {}
        self._unreadable = 0
        self._missed = 0
        self._panels: tuple[Panel, ...] = panels()
        self._sections: dict[str, Section] = {
            section.name: section for panel in self._panels for section in panel.sections
        }
        self._by_vendor = {panel.name: panel for panel in self._panels}
        self._matches: OrderedDict[Filter, _Matches] = OrderedDict()

    @property
    def layout(self) -> list[Json]:
        """The panels and their sections, for the page to draw."""
        return [
            {
                "name": panel.name,
                "title": panel.title,
                "sections": [{"name": s.name, "kind": s.kind, "title": s.title} for s in panel.sections],
            }
            for panel in self._panels
        ]

    def wait(self, seconds: float) -> None:
        """Wait until something arrives, at most so long."""
        self._inbox.wait_beyond(self._position, seconds)

    def read_on(self) -> int:
        """Read at most STEP more records; how many are still unread."""
        with self._lock:
            if self._inbox.clearings != self._clearings:
                self._begin(self._inbox.clearings)
                self._position = self._inbox.span.start - 1
            records, position = self._inbox.some_after(self._position, STEP)
            if records:
                self._stamp += 1
                first = position - len(records) + 1
                self._missed += first - 1 - self._position
                for number, record in enumerate(records, first):
                    self._take(number, record)
            self._position = position
            span = self._inbox.span
            while self._rows and self._rows[0].position < span.start:
                self._rows.popleft()
            return span.stop - 1 - position

    def changes(self, stamp: int, clearings: int) -> Json:
        """What changed since a stamp; everything when the board has been cleared since."""
        with self._lock:
            cleared = clearings != self._clearings
            since = 0 if cleared else stamp
            changed = {name: section.changed_since(since) for name, section in self._sections.items()}
            return {
                "cleared": cleared,
                "clearings": self._clearings,
                "stamp": self._stamp,
                "position": self._position,
                "rows": len(self._rows),
                "unreadable": self._unreadable,
                "missed": self._missed,
                "requests": dict(self._requests),
                "sections": {name: rows for name, rows in changed.items() if rows},
                "findings": [_shown_finding(f) for f in self._findings.values() if f.stamp > since],
            }

    def window(self, wanted: Filter, offset: int, count: int, until: int) -> Json:
        """Some of the requests up to a position that a filter wants, newest first, and how many there are."""
        count = min(count, MAX_WINDOW)
        with self._lock:
            if wanted == Filter():
                newer = sum(1 for _ in self._newer_than(until))
                total = len(self._rows) - newer
                rows = islice(reversed(self._rows), newer + offset, newer + offset + count)
                return {"total": total, "rows": [row.shown for row in rows]}
            positions = self._positions_for(wanted)
            newer = sum(1 for _ in _above(positions, until))
            chosen = islice(reversed(positions), newer + offset, newer + offset + count)
            first = self._rows[0].position if self._rows else 0
            return {
                "total": len(positions) - newer,
                "rows": [self._rows[position - first].shown for position in chosen],
            }

    def listing(
        self, name: str, words: Iterable[str], offset: int, count: int, until: int | None = None
    ) -> Json | None:
        """Some of a listing's entries, of those known by a stamp; None when there is no such listing."""
        with self._lock:
            section = self._sections.get(name)
            if not isinstance(section, Listing):
                return None
            return section.window(words, offset, min(count, MAX_WINDOW), until)

    def entry(self, name: str, key: str) -> Json | None:
        """Everything about one entry of a listing."""
        with self._lock:
            section = self._sections.get(name)
            return section.detail(key) if isinstance(section, Listing) else None

    def _take(self, position: int, record: Record) -> None:
        panel = self._by_vendor.get(record.vendor)
        said = self._read(panel, record) if panel else Said("")
        self._requests[record.vendor] = self._requests.get(record.vendor, 0) + 1
        secrets = secrets_of_record(record, self._keys)
        findings = masked_findings(record.findings, secrets)
        for finding in findings:
            self._count(finding, record)
        self._rows.append(_row(position, record, findings, said, secrets))

    def _read(self, panel: Panel, record: Record) -> Said:
        """What a panel says of a record; one that it cannot read is counted, and the board goes on."""
        try:
            return panel.take(record, self._stamp)
        except Exception:  # the last line of defence: a defect costs one record, not the page
            self._unreadable += 1
            if not self._told:
                self._told = True
                _logger.exception(
                    "the sandbox's page cannot sum up a %s %s; this is a defect of the sandbox. Such "
                    "requests are counted on the page and listed under Requests; others are not told here",
                    record.vendor,
                    record.kind,
                )
            return Said("")

    def _count(self, finding: Finding, record: Record) -> None:
        is_new = (record.vendor, finding.code) not in self._findings
        if is_new and len(self._findings) >= MAX_KINDS_OF_FINDING:
            finding = OTHER_FINDING
        key = (record.vendor, finding.code)
        found = self._findings.setdefault(key, _FoundOften(finding, record.vendor))
        found.count += 1
        found.last_unix_ms = record.arrived_unix_ms
        found.stamp = self._stamp

    def _newer_than(self, until: int) -> Iterable[Row]:
        for row in reversed(self._rows):
            if row.position <= until:
                return
            yield row

    def _positions_for(self, wanted: Filter) -> deque[int]:
        """The positions a filter wants; what was looked at before is not looked at again."""
        matches = self._matches.setdefault(wanted, _Matches())
        self._matches.move_to_end(wanted)
        if len(self._matches) > MAX_FILTERS:
            self._matches.popitem(last=False)
        unseen = [row for row in self._newer_than(matches.looked_at) if _is_wanted(row, wanted)]
        matches.positions.extend(row.position for row in reversed(unseen))
        matches.looked_at = self._position
        first = self._rows[0].position if self._rows else self._position + 1
        while matches.positions and matches.positions[0] < first:
            matches.positions.popleft()
        return matches.positions


def _above(positions: deque[int], until: int) -> Iterable[int]:
    for position in reversed(positions):
        if position <= until:
            return
        yield position


def _is_wanted(row: Row, wanted: Filter) -> bool:
    return (
        (not wanted.vendor or row.vendor == wanted.vendor)
        and (not wanted.severity or row.severity == wanted.severity)
        and (not wanted.code or wanted.code in row.codes)
        and all(word in row.text for word in wanted.words)
    )


def _row(position: int, record: Record, findings: tuple[Finding, ...], said: Said, secrets: Secrets) -> Row:
    severity = "error" if record.errors else "warning" if record.findings else ""
    path = masked_path(record.path, secrets)[:MAX_TEXT]
    codes = tuple(finding.code for finding in findings)
    words = masked_values(said.words, secrets)
    shown = (
        *(position, record.arrived_unix_ms, record.vendor, record.kind, record.method, path),
        *(record.status, severity, len(codes), words),
    )
    pairs = " ".join(f"{name}={value}" for name, value in masked_pairs(record.pairs, secrets))
    text = f"{record.vendor} {record.kind} {record.method} {path} {record.status} {words}"
    named = masked_values(" ".join(said.found_by), secrets)
    found_by = " ".join((text, *dict.fromkeys(codes), pairs, named))
    return Row(position, record.vendor, severity, codes, shown, found_by.lower())


def _shown_finding(found: _FoundOften) -> Json:
    return {
        "vendor": found.vendor,
        "code": found.finding.code,
        "severity": found.finding.severity,
        "sentence": found.finding.sentence,
        "remedy": remedy(found.vendor, found.finding.code),
        "count": found.count,
        "t": found.last_unix_ms,
    }
