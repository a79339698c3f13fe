"""
The same records to mParticle and to Analytics, by the environment alone: what is an event for whom.

What differs stands in README as a table, which is made of this one.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Any

import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor

from otel_vendor_exporters.sandbox import Sandbox
from tests.command import analytics_environment, mparticle_environment

NAMES = "mparticle,mparticle_analytics"  # as in OTEL_LOGS_EXPORTER
EVENT = "an event"
USER = {"user.id": "u1"}
SESSION = {**USER, "session.id": "s1"}


@dataclass(frozen=True)
class Record:
    """What an application emits."""

    title: str
    name: object = "Order placed"
    attributes: Mapping[str, Any] = field(default_factory=lambda: USER)
    timestamp: int | None = None


@dataclass(frozen=True)
class Difference:
    """Records that one vendor takes and the other cannot, with the ledger's word for why."""

    row: str
    mparticle: str
    analytics: str
    records: tuple[Record, ...]


EVENTS_FOR_BOTH = (
    Record("a user"),
    Record("a user by number", attributes={"user.id": 5}),
    Record("a user by the older name", attributes={"enduser.id": "u1"}),
    Record("a user as mParticle's identity", attributes={"mparticle.identity.customer_id": "u1"}),
    Record("a user in a session", attributes=SESSION),
    Record("a name of 255 characters", "n" * 255),
    Record("a name by the older attribute", None, {**USER, "event.name": "Order placed"}),
    Record("a name by the SDK's own handler", None, {**USER, "otel.event.name": "Order placed"}),
    Record("the start of a session", "session.start", SESSION),
    Record("the end of a session", "session.end", SESSION),
    Record("a screen", "page_view"),
    Record("an application's state", "device.app.lifecycle", {**USER, "ios.app.state": "active"}),
    Record("a crash", "app.crash"),
    Record("an exception by name", "exception"),
    Record("an exception by type", None, {**USER, "exception.type": "ValueError"}),
    Record("an exception by message", None, {**USER, "exception.message": "no"}),
    Record("an exception by stack trace", None, {**USER, "exception.stacktrace": "at 1"}),
    Record("a name of blanks and an exception", " ", {**USER, "exception.type": "ValueError"}),
    Record("nested attributes", attributes={**USER, "cart": {"items": [1, {"sku": "a"}]}}),
    Record("a user id of 255 characters", attributes={"user.id": "u" * 255}),
)
FOR_NEITHER = (
    Record("a plain log", None),
    Record("an empty name", ""),
    Record("a name of blanks", " \t"),
    Record("a name that is no text", None, {**USER, "event.name": 5}),
    Record("nobody", attributes={}),
    Record("a user that is no id", attributes={"user.id": True}),
    Record("an empty user", attributes={"user.id": ""}),
    Record("a user of blanks", attributes={"user.id": " "}),
    Record("a time before 1970", timestamp=-5_000_000),
)
DIFFERENCES = (
    Difference(
        "known by `user.email`, `mparticle.mpid` or an identity other than `customer_id` alone",
        EVENT,
        "anonymous",
        (
            Record("e-mail", attributes={"user.email": "a@b.example"}),
            Record("MPID", attributes={"mparticle.mpid": 7}),
            Record("e-mail as identity", attributes={"mparticle.identity.email": "a@b.example"}),
            Record("e-mail and an empty user", attributes={"user.id": "", "user.email": "a@b.example"}),
        ),
    ),
    Difference(
        "known by `session.id` or `enduser.pseudo.id` alone",
        "anonymous",
        EVENT,
        (
            Record("session", attributes={"session.id": "s1"}),
            Record("pseudonym", attributes={"enduser.pseudo.id": "p1"}),
        ),
    ),
    Difference(
        "event name of more than 255 characters",
        f"{EVENT}, its name cut at 256",
        "bad_event_name",
        (Record("256", "n" * 256), Record("300", "n" * 300)),
    ),
    Difference(
        "user id of more than 255 characters, or with half a character",
        EVENT,
        "bad_user_id",
        (
            Record("256", attributes={"user.id": "u" * 256}),
            Record("half", attributes={"user.id": "u\ud800"}),
        ),
    ),
    Difference(
        "user id that is neither a text nor an integer",
        "anonymous",
        "unusable_user_id",
        (Record("float", attributes={"user.id": 42.0}), Record("bytes", attributes={"user.id": b"u"})),
    ),
    Difference(
        "time before March 1973, which Analytics would take for seconds",
        EVENT,
        "bad_time",
        (Record("1970", timestamp=5_000_000), Record("1972", timestamp=90_000_000 * 10**9)),
    ),
    Difference(
        "`session.start` or `session.end` without `session.id`",
        "unfit:session.id",
        EVENT,
        (Record("start", "session.start"), Record("end", "session.end")),
    ),
    Difference(
        "`device.app.lifecycle` without a state",
        "unfit:app.state",
        EVENT,
        (Record("s", "device.app.lifecycle"),),
    ),
    Difference(
        "`mparticle.commerce_event` without a body in mParticle's shape",
        "unfit:commerce_event",
        EVENT,
        (Record("commerce", "mparticle.commerce_event"),),
    ),
)


def table() -> str:
    """The differences as README shows them."""
    rows = [f"| {one.row} | {_shown(one.mparticle)} | {_shown(one.analytics)} |" for one in DIFFERENCES]
    return "\n".join(["| record | mParticle | mParticle Analytics |", "|---|---|---|", *rows])


def _shown(outcome: str) -> str:
    return outcome if outcome.startswith(EVENT) else f"nothing: `{outcome}`"


@dataclass(frozen=True)
class Outcome:
    """Of one record for one vendor: the events that arrived, and what its exporter counted as ignored."""

    events: int
    ignored: Mapping[str, int]


class Application:
    """Both exporters, from what the environment says alone."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._provider = LoggerProvider()
        found = {one.name: one for one in entry_points(group="opentelemetry_logs_exporter")}
        self._exporters = [found[name].load()() for name in NAMES.split(",")]
        for exporter in self._exporters:
            self._provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))

    def emit(self, record: Record) -> list[Outcome]:
        """What became of a record at mParticle and at Analytics."""
        self._sandbox.reset()
        before = [Counter(exporter.ledger().ignored) for exporter in self._exporters]
        name: Any = record.name
        self._provider.get_logger("shop").emit(
            event_name=name, attributes=record.attributes, timestamp=record.timestamp, body="words"
        )
        assert all(exporter.force_flush() for exporter in self._exporters)
        received = self._sandbox.received
        arrived = len(received.mparticle.events), len(received.mparticle_analytics.events)
        after = [Counter(exporter.ledger().ignored) for exporter in self._exporters]
        return [
            Outcome(count, dict(now - then)) for count, now, then in zip(arrived, after, before, strict=True)
        ]

    def close(self) -> None:
        self._provider.shutdown()


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def application(running: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Application]:
    yield from _application(running, monkeypatch)


@pytest.fixture
def sends_all(running: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Application]:
    """Set to send what is nobody's, and what is no event."""
    monkeypatch.setenv("OTEL_EXPORTER_MPARTICLE_PLAIN_LOGS", "breadcrumb")
    monkeypatch.setenv("OTEL_EXPORTER_MPARTICLE_ANALYTICS_PLAIN_LOGS", "send")
    monkeypatch.setenv("OTEL_EXPORTER_MPARTICLE_ANONYMOUS", "send")
    monkeypatch.setenv("OTEL_EXPORTER_MPARTICLE_ANALYTICS_ANONYMOUS", "send")
    yield from _application(running, monkeypatch)


def _application(running: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Application]:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    for name, value in {**mparticle_environment(running), **analytics_environment(running)}.items():
        monkeypatch.setenv(name, value)
    made = Application(running)
    yield made
    made.close()


def test_what_is_an_event_for_both(application: Application) -> None:
    """Each arrives once at both."""
    outcomes = {record.title: application.emit(record) for record in EVENTS_FOR_BOTH}
    assert outcomes == {record.title: [Outcome(1, {})] * 2 for record in EVENTS_FOR_BOTH}


def test_what_is_an_event_for_neither(application: Application) -> None:
    """Nothing arrives, and both count one record with a reason."""
    outcomes = {record.title: application.emit(record) for record in FOR_NEITHER}
    assert {title: [one.events for one in both] for title, both in outcomes.items()} == {
        record.title: [0, 0] for record in FOR_NEITHER
    }
    assert all(sum(one.ignored.values()) == 1 for both in outcomes.values() for one in both), outcomes


@pytest.mark.parametrize("difference", DIFFERENCES, ids=[one.row for one in DIFFERENCES])
def test_where_the_vendors_differ_it_is_counted(application: Application, difference: Difference) -> None:
    """As README's table says: an event for the one, and a reason in the ledger of the other."""
    expected = [_expected(difference.mparticle), _expected(difference.analytics)]
    assert [application.emit(record) for record in difference.records] == [expected] * len(difference.records)


def _expected(outcome: str) -> Outcome:
    return Outcome(1, {}) if outcome.startswith(EVENT) else Outcome(0, {outcome: 1})


def test_whoever_sends_all_sends_it_to_both(sends_all: Application) -> None:
    """With `anonymous` and `plain_logs` set alike, what is nobody's and what is no event arrives at both."""
    unfit = ("a name that is no text", "a user that is no id", "a time before 1970")
    records = [record for record in FOR_NEITHER if record.title not in unfit]
    records += [record for difference in DIFFERENCES[:2] for record in difference.records]
    outcomes = {record.title: sends_all.emit(record) for record in records}
    assert outcomes == {record.title: [Outcome(1, {})] * 2 for record in records}
