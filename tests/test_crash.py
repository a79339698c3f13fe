"""Processes are killed under load: what `export()` had accepted reaches the sandbox all the same."""

from __future__ import annotations

import multiprocessing
import os
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult

from otel_vendor_exporters.delivery import disk_spool, journal
from otel_vendor_exporters.delivery.ledger import Counts
from otel_vendor_exporters.delivery.segments import entries_of
from otel_vendor_exporters.delivery.sender import MOST_PACKED_AT_ONCE
from otel_vendor_exporters.delivery.spool_writing import Disk
from otel_vendor_exporters.mparticle_analytics import AnalyticsClient, AnalyticsEvent
from otel_vendor_exporters.mparticle_analytics.client import disk_for as analytics_disk
from otel_vendor_exporters.mparticle_analytics.settings import AnalyticsSettings
from otel_vendor_exporters.mpulse import MPulseSpanExporter
from otel_vendor_exporters.mpulse.client import disk_for as mpulse_disk
from otel_vendor_exporters.mpulse.settings import MPulseSettings
from otel_vendor_exporters.sandbox import MPulseApp, Sandbox

KILLS = 20
BATCH = 40
CONNECTIONS = 4
MAX_TIMERS = 10
IN_FLIGHT = CONNECTIONS * MAX_TIMERS  # timings that may be under way when a process dies
GUARD_SECONDS = 30.0

# Children of a server process that has no threads: forking this one, with its sandbox, would be another test.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload([__name__])


@dataclass(frozen=True)
class Place:
    """What a child process needs to know."""

    vendor: str
    settings: dict[str, Any]
    log: Path

    def accepted(self) -> list[int]:
        """Every number whose `export()` had returned SUCCESS."""
        lines = self.log.read_bytes().decode().split("\n") if self.log.exists() else []
        whole = [line.split() for line in lines[:-1]]
        return [number for start, stop in whole for number in range(int(start), int(stop))]

    def process(self) -> MPulse | Analytics:
        """What a child process sends with."""
        return KINDS[self.vendor](self.settings)

    def in_flight(self) -> set[int]:
        """What a process that has just been killed had marked as under way."""
        return {
            self.number_in(entry.body)
            for path in self.folder.glob("*.spool")
            if isinstance(content := journal.read(path, self.disk().label), journal.Content)
            for segment, marks in content.segments
            for entry, mark in zip(entries_of(segment.body), marks, strict=False)
            if mark == journal.Mark.IN_FLIGHT
        }

    @property
    def folder(self) -> Path:
        return Path(self.settings["spool_dir"])

    def disk(self) -> Disk[Any]:
        found: Disk[Any] | None = KINDS[self.vendor].disk(self.settings)
        assert found is not None
        return found

    def number_in(self, body: bytes) -> int:
        found = re.search(KINDS[self.vendor].written, body)
        assert found is not None
        return int(found[1])


class MPulse:
    """Numbers as the milliseconds of spans: the sandbox can tell each from every other."""

    written = rb'^\["timing","Checkout",(\d+)'

    def __init__(self, settings: dict[str, Any]) -> None:
        self._exporter = MPulseSpanExporter(**settings)
        self.ledger, self.close = self._exporter.ledger, self._exporter.shutdown
        self.nudge = self._exporter._destination.delivery.nudge

    def keep(self, numbers: range) -> bool:
        return self._exporter.export([span(number) for number in numbers]) is SpanExportResult.SUCCESS

    @staticmethod
    def disk(settings: dict[str, Any]) -> Disk[Any] | None:
        return mpulse_disk(MPulseSettings.read(**settings))

    @staticmethod
    def arrived(sandbox: Sandbox) -> Counter[int]:
        return Counter(milliseconds for _, milliseconds in sandbox.received.timers)


class Analytics:
    """Numbers as a property of events, of fifty users."""

    written = rb'"n":"(\d+)"'

    def __init__(self, settings: dict[str, Any]) -> None:
        self._client = AnalyticsClient(**settings)
        self.ledger, self.close = self._client.ledger, self._client.close
        self.nudge = self._client._destination.delivery.nudge

    def keep(self, numbers: range) -> bool:
        events = [AnalyticsEvent("Checkout", f"u{number % 50}", {"n": number}) for number in numbers]
        self._client.track_many(events, timeout_seconds=0)
        return True

    @staticmethod
    def disk(settings: dict[str, Any]) -> Disk[Any] | None:
        return analytics_disk(AnalyticsSettings.read(**settings))

    @staticmethod
    def arrived(sandbox: Sandbox) -> Counter[int]:
        users = sandbox.received.mparticle_analytics.users
        return Counter(int(str(event.properties["n"])) for user in users for event in user.events)


KINDS: dict[str, type[MPulse] | type[Analytics]] = {"mpulse": MPulse, "analytics": Analytics}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(mpulse=MPulseApp(timers=("Checkout",))) as running:
        yield running


@pytest.fixture
def place(sandbox: Sandbox, tmp_path: Path) -> Callable[..., Place]:
    def make(duplicates: str, vendor: str = "mpulse") -> Place:
        own = {
            "mpulse": {**sandbox.mpulse_settings, "max_timers": MAX_TIMERS, "session": "none"},
            "analytics": {**sandbox.mparticle_analytics_settings, "events_per_second": 0},
        }[vendor]
        both = {"spool_dir": str(tmp_path / "spool"), "duplicates": duplicates, "timeout": 20.0}
        return Place(vendor, {**own, **both, "connections": CONNECTIONS}, tmp_path / "accepted")

    return make


def span(number: int) -> ReadableSpan:
    """A span that takes so many milliseconds: the sandbox can tell each from every other."""
    end = time.time_ns()
    return ReadableSpan(name="Checkout", start_time=end - number * 1_000_000, end_time=end)


def load(place: Place, start: int, batches: int, pause_seconds: float) -> None:
    """A process under load: keeps numbers from `start`, and notes each batch that was accepted."""
    log = os.open(place.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    process = place.process()
    for batch in range(start, start + batches * BATCH, BATCH):
        if process.keep(range(batch, batch + BATCH)):
            os.write(log, b"%d %d\n" % (batch, batch + BATCH))
        time.sleep(pause_seconds)
    process.close()


def finish(place: Place, counts: Any) -> None:
    """The last process: sends what all the others left."""
    process = place.process()
    process.nudge()
    deadline = time.monotonic() + GUARD_SECONDS
    while _left_by_others(place) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.close()
    counts.send(_plain(process.ledger()))


def _left_by_others(place: Place) -> list[Path]:
    return [path for path in place.folder.glob("*.spool") if f"-{os.getpid()}-" not in path.name]


def _plain(counts: Counts) -> dict[str, Any]:
    return {"balanced": counts.balanced, "waiting": counts.waiting, "dropped": dict(counts.dropped)}


def finished(place: Place) -> dict[str, Any]:
    receiver, sender = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=finish, args=(place, sender))
    process.start()
    assert receiver.poll(GUARD_SECONDS)
    found: dict[str, Any] = receiver.recv()
    process.join(GUARD_SECONDS)
    assert process.exitcode == 0
    return found


def wait_for_more(place: Place) -> None:
    """Until one more batch is accepted: how long a process takes to start depends on the machine."""
    before, deadline = len(place.accepted()), time.monotonic() + GUARD_SECONDS
    while len(place.accepted()) == before:
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize("duplicates", ["allow", "avoid"])
@pytest.mark.parametrize("vendor", KINDS)
def test_killed_at_random_moments(
    vendor: str, duplicates: str, sandbox: Sandbox, place: Callable[..., Place]
) -> None:
    """
    Twenty kills under load, each process going on with what the one before left: nothing accepted is lost.

    With duplicates=allow everything arrives, and what was under way may come twice. With avoid nothing comes
    twice, and what is missing was under way at a kill; the last process counts it as ambiguous, exactly.
    """
    chance = random.Random(6)
    here = place(duplicates, vendor)
    in_flight: list[set[int]] = []

    for turn in range(KILLS):
        args = (here, 1 + turn * 50_000, 10_000, 0.002)
        process = PROCESSES.Process(target=load, args=args)
        process.start()
        wait_for_more(here)
        time.sleep(chance.uniform(0.0, 0.3))
        process.kill()
        process.join(GUARD_SECONDS)
        assert process.exitcode == -9
        in_flight.append(here.in_flight())
    counts = finished(here)

    accepted, arrived = here.accepted(), KINDS[vendor].arrived(sandbox)
    missing = {number for number in accepted if number not in arrived}
    twice = [number for number, times in arrived.items() if times > 1]
    assert len(accepted) > KILLS * BATCH
    assert (counts["balanced"], counts["waiting"]) == (True, 0)
    assert list(here.folder.iterdir()) == []
    assert {finding.code for finding in sandbox.received.findings} <= {"over_rate"}  # of Analytics, unlimited
    if duplicates == "allow":
        assert (missing, counts["dropped"]) == (set(), {})
        assert len(twice) <= KILLS * (IN_FLIGHT if vendor == "mpulse" else MOST_PACKED_AT_ONCE)
    else:
        assert twice == []
        assert missing <= set().union(*in_flight)
        assert counts["dropped"].get("ambiguous", 0) == len(in_flight[-1])


def eager(place: Place, start: int, batches: int, pause_seconds: float) -> None:
    """As `load`, but looks for files of dead processes all the time."""
    disk_spool.SCAN_SECONDS = 0.1
    load(place, start, batches, pause_seconds)


@pytest.mark.parametrize("duplicates", ["allow", "avoid"])
def test_eight_processes_in_one_folder(
    duplicates: str, sandbox: Sandbox, place: Callable[..., Place]
) -> None:
    """Two of eight are killed: the living adopt their files, and all arrives, once where that is asked."""
    here = place(duplicates)
    processes = [
        PROCESSES.Process(target=eager, args=(here, 1 + index * 10_000, 50, 0.03)) for index in range(8)
    ]
    for process in processes:
        process.start()
    time.sleep(1.0)
    for process in processes[:2]:
        process.kill()
    for process in processes:
        process.join(GUARD_SECONDS)
    exit_codes = [process.exitcode for process in processes]
    adopted_by_the_living = list(here.folder.iterdir()) == []
    finished(here)

    accepted, arrived = here.accepted(), MPulse.arrived(sandbox)
    missing = [number for number in accepted if number not in arrived]
    twice = [number for number, times in arrived.items() for _ in range(1, times)]
    assert exit_codes == [-9, -9, 0, 0, 0, 0, 0, 0]
    assert adopted_by_the_living
    assert [number for number in (*missing, *twice) if number > 20_000] == []  # of the living, each once
    if duplicates == "allow":
        assert (missing, len(twice) <= 2 * IN_FLIGHT) == ([], True)
    else:
        assert (twice, len(missing) <= 2 * IN_FLIGHT) == ([], True)
