"""
The journal: what arrived at the sandbox, and what the real vendor would have said about it.

Which request gets which finding is decided in each vendor's own file.
Rule: bounded. The oldest records leave first; the counts stay.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from threading import Condition
from typing import Literal

Severity = Literal["error", "warning"]

DEFAULT_CAPACITY = 50_000
DEFAULT_MAX_CHARACTERS = 128_000_000
MAX_DISTINCT_COUNTS = 1_000
# A predicate may use a fifth of the waiting time, so that waiting does not slow what is waited for.
REST_PER_LOOK = 4


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing the real vendor would throw away (error) or misread (warning), and what to change."""

    code: str
    severity: Severity
    sentence: str


OTHER_FINDING = Finding("others", "error", "More kinds of findings than are counted one by one.")


@dataclass(frozen=True, slots=True)
class Raw:
    """A request as it was sent, for people to look at once it is masked. Nothing of it is masked here."""

    headers: tuple[tuple[str, str], ...]
    query: bytes
    body: bytes
    body_bytes: int

    @property
    def characters(self) -> int:
        """What it weighs in the journal; headers are shared by the records of one client."""
        return len(self.query) + len(self.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """
    One request as it arrived. Vendors add what they read from it in a subclass of their own.

    `body_characters` is what such a subclass keeps of the body: the journal is bounded by it.
    """

    vendor: str
    kind: str
    method: str
    path: str
    arrived_unix_ms: int
    status: int
    pairs: tuple[tuple[str, str], ...] = ()
    findings: tuple[Finding, ...] = ()
    body_characters: int = 0
    raw: Raw | None = field(default=None, repr=False, compare=False)

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that mean loss."""
        return tuple(finding for finding in self.findings if finding.severity == "error")

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of all findings, in order."""
        return tuple(finding.code for finding in self.findings)

    @property
    def accepted(self) -> bool:
        """Whether the real vendor would have kept all of it."""
        return 200 <= self.status < 300 and not self.errors


@dataclass(frozen=True, slots=True)
class Counts:
    """Totals since the last reset, of everything, also of what has left the journal."""

    requests: tuple[tuple[str, str, int], ...]
    findings: tuple[tuple[Finding, int], ...]
    forgotten: int


class Inbox:
    """A bounded journal. Any thread may call anything; the lock is never held across a predicate."""

    def __init__(
        self, capacity: int = DEFAULT_CAPACITY, max_characters: int = DEFAULT_MAX_CHARACTERS
    ) -> None:
        self.capacity = capacity
        self.max_characters = max_characters
        self._changed = Condition()
        self._records: deque[Record] = deque()
        self._characters = 0
        self._added = 0
        self._clearings = 0
        self._forgotten = 0
        self._requests: Counter[tuple[str, str]] = Counter()
        self._findings: dict[str, tuple[Finding, int]] = {}

    def add(self, record: Record) -> None:
        """Write one record down and wake everyone who waits."""
        weight = _characters_in(record)
        with self._changed:
            self._records.append(record)
            self._characters += weight
            self._added += 1
            self._count(record)
            self._forget_the_oldest()
            self._changed.notify_all()

    @property
    def records(self) -> tuple[Record, ...]:
        """What is remembered, oldest first."""
        with self._changed:
            return tuple(self._records)

    @property
    def counts(self) -> Counts:
        """The totals since the last reset."""
        with self._changed:
            requests = tuple((vendor, kind, n) for (vendor, kind), n in self._requests.items())
            return Counts(requests, tuple(self._findings.values()), self._forgotten)

    def after(self, position: int, timeout: float = 0.0) -> tuple[tuple[Record, ...], int]:
        """The records added after a position (0 is the beginning), and the position to ask from next time."""
        with self._changed:
            self._changed.wait_for(lambda: self._added > position, timeout)
            known = self._added - len(self._records)
            return tuple(islice(self._records, max(0, position - known), None)), self._added

    def some_after(self, position: int, most: int) -> tuple[tuple[Record, ...], int]:
        """At most `most` of the records after a position, and the position of the last of them."""
        with self._changed:
            first = max(0, position - (self._added - len(self._records)))
            records = tuple(islice(self._records, first, first + most))
            return records, self._added - len(self._records) + first + len(records)

    def wait_beyond(self, position: int, timeout: float) -> None:
        """Wait until something is added after a position, or everything is forgotten."""
        with self._changed:
            clearings = self._clearings
            self._changed.wait_for(lambda: self._added > position or self._clearings != clearings, timeout)

    def at(self, position: int) -> Record | None:
        """The record with a position (1 is the first ever added); None when it has left."""
        with self._changed:
            index = position - 1 - (self._added - len(self._records))
            return self._records[index] if 0 <= index < len(self._records) else None

    @property
    def forgotten(self) -> int:
        """How many have left since the last reset, for there was no more room."""
        return self._forgotten

    @property
    def clearings(self) -> int:
        """How often everything was forgotten."""
        return self._clearings

    @property
    def span(self) -> range:
        """The positions that are remembered."""
        with self._changed:
            return range(self._added - len(self._records) + 1, self._added + 1)

    def wait_for(self, predicate: Callable[[tuple[Record, ...]], bool], timeout: float) -> bool:
        """Whether the predicate came true of the records within the timeout (seconds)."""
        deadline = time.monotonic() + timeout
        while True:
            with self._changed:
                seen, records = self._added, tuple(self._records)
            begun = time.monotonic()
            if predicate(records):
                return True
            looked_at = time.monotonic()
            if looked_at >= deadline:
                return False
            time.sleep(min(REST_PER_LOOK * (looked_at - begun), deadline - looked_at))
            self._wait_for_more_than(seen, deadline)

    def clear(self) -> None:
        """Forget everything, counts too."""
        with self._changed:
            self._records.clear()
            self._requests.clear()
            self._findings.clear()
            self._characters = self._forgotten = 0
            self._clearings += 1
            self._changed.notify_all()

    def _wait_for_more_than(self, seen: int, deadline: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._added > seen, max(0.0, deadline - time.monotonic()))

    def _count(self, record: Record) -> None:
        self._requests[record.vendor, record.kind] += 1
        for finding in record.findings:
            code = finding.code
            if code not in self._findings and len(self._findings) >= MAX_DISTINCT_COUNTS:
                finding = OTHER_FINDING
            first, count = self._findings.get(finding.code, (finding, 0))
            self._findings[finding.code] = (first, count + 1)

    def _forget_the_oldest(self) -> None:
        while len(self._records) > self.capacity or self._characters > self.max_characters:
            self._characters -= _characters_in(self._records.popleft())
            self._forgotten += 1


def _characters_in(record: Record) -> int:
    """What arrived is kept as it was sent and as it was read, and counts once."""
    sent = record.raw.characters if record.raw is not None else 0
    pairs = sum(len(name) + len(value) for name, value in record.pairs)
    said = sum(len(finding.sentence) for finding in record.findings)
    return max(sent, record.body_characters, pairs) + len(record.path) + said
