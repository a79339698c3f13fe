"""Processes are killed under load: what `export()` had accepted reaches the sandbox all the same."""

from __future__ import annotations

import multiprocessing
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult

from otel_vendor_exporters.delivery import disk_spool
from otel_vendor_exporters.delivery.ledger import Counts
from otel_vendor_exporters.mpulse import MPulseSpanExporter
from otel_vendor_exporters.sandbox import MPulseApp, Sandbox

KILLS = 20
BATCH = 40
CONNECTIONS = 4
MAX_TIMERS = 10
IN_FLIGHT = CONNECTIONS * MAX_TIMERS  # timings that may be under way when a process dies
NOT_YET_FORGOTTEN = 64 + IN_FLIGHT  # and those whose arrival may not be written down yet
GUARD_SECONDS = 30.0

# Children of a server process that has no threads: forking this one, with its sandbox, would be another test.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload([__name__])


@dataclass(frozen=True)
class Place:
    """What a child process needs to know."""

    settings: dict[str, Any]
    log: Path

    def accepted(self) -> list[int]:
        """Every number whose `export()` had returned SUCCESS."""
        lines = self.log.read_bytes().decode().split("\n") if self.log.exists() else []
        whole = [line.split() for line in lines[:-1]]
        return [number for start, stop in whole for number in range(int(start), int(stop))]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(mpulse=MPulseApp(timers=("Checkout",))) as running:
        yield running


@pytest.fixture
def place(sandbox: Sandbox, tmp_path: Path) -> Callable[[str], Place]:
    def make(duplicates: str) -> Place:
        settings = {**sandbox.mpulse_settings, "spool_dir": str(tmp_path / "spool"), "duplicates": duplicates}
        more = {"connections": CONNECTIONS, "max_timers": MAX_TIMERS, "session": "none", "timeout": 20.0}
        return Place({**settings, **more}, tmp_path / "accepted")

    return make


def span(number: int) -> ReadableSpan:
    """A span that takes so many milliseconds: the sandbox can tell each from every other."""
    end = time.time_ns()
    return ReadableSpan(name="Checkout", start_time=end - number * 1_000_000, end_time=end)


def load(place: Place, start: int, batches: int, pause_seconds: float) -> None:
    """A process under load: exports numbers from `start`, and notes each batch that was accepted."""
    log = os.open(place.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    exporter = MPulseSpanExporter(**place.settings)
    for batch in range(start, start + batches * BATCH, BATCH):
        if (
            exporter.export([span(number) for number in range(batch, batch + BATCH)])
            is SpanExportResult.SUCCESS
        ):
            os.write(log, b"%d %d\n" % (batch, batch + BATCH))
        time.sleep(pause_seconds)
    exporter.shutdown()


def finish(place: Place, counts: Any) -> None:
    """The last process: sends what all the others left."""
    exporter = MPulseSpanExporter(**place.settings)
    exporter.export([])
    exporter._destination.delivery.nudge()
    deadline = time.monotonic() + GUARD_SECONDS
    while _left_by_others(place) and time.monotonic() < deadline:
        time.sleep(0.02)
    exporter.shutdown()
    counts.send(_plain(exporter.ledger()))


def _left_by_others(place: Place) -> list[Path]:
    files = Path(place.settings["spool_dir"]).glob("*.spool")
    return [path for path in files if f"-{os.getpid()}-" not in path.name]


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


def numbers(sandbox: Sandbox) -> Counter[int]:
    return Counter(milliseconds for _, milliseconds in sandbox.received.timers)


def wait_for_more(place: Place) -> None:
    """Until one more batch is accepted: how long a process takes to start depends on the machine."""
    before, deadline = len(place.accepted()), time.monotonic() + GUARD_SECONDS
    while len(place.accepted()) == before:
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize("duplicates", ["allow", "avoid"])
def test_killed_at_random_moments(duplicates: str, sandbox: Sandbox, place: Callable[[str], Place]) -> None:
    """
    Twenty kills under load, each process going on with what the one before left: nothing accepted is lost.

    With duplicates=allow everything arrives, and what was under way may come twice. With avoid nothing comes
    twice, and what was under way may be missing.
    """
    chance = random.Random(6)
    here = place(duplicates)

    for turn in range(KILLS):
        args = (here, 1 + turn * 50_000, 10_000, 0.002)
        process = PROCESSES.Process(target=load, args=args)
        process.start()
        wait_for_more(here)
        time.sleep(chance.uniform(0.0, 0.3))
        process.kill()
        process.join(GUARD_SECONDS)
        assert process.exitcode == -9
    counts = finished(here)

    accepted, arrived = here.accepted(), numbers(sandbox)
    missing = [number for number in accepted if number not in arrived]
    twice = [number for number, times in arrived.items() if times > 1]
    assert len(accepted) > KILLS * BATCH
    assert (counts["balanced"], counts["waiting"]) == (True, 0)
    assert list(Path(here.settings["spool_dir"]).iterdir()) == []
    assert sandbox.received.findings == ()
    if duplicates == "allow":
        assert missing == []
        assert len(twice) <= KILLS * NOT_YET_FORGOTTEN
    else:
        assert twice == []
        assert len(missing) <= KILLS * IN_FLIGHT


def eager(place: Place, start: int, batches: int, pause_seconds: float) -> None:
    """As `load`, but looks for files of dead processes all the time."""
    disk_spool.SCAN_SECONDS = 0.1
    load(place, start, batches, pause_seconds)


def test_eight_processes_in_one_folder(sandbox: Sandbox, place: Callable[[str], Place]) -> None:
    """Two of eight are killed: the living adopt their files, and everything arrives."""
    here = place("allow")
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
    folder = Path(here.settings["spool_dir"])
    adopted_by_the_living = list(folder.iterdir()) == []
    finished(here)

    accepted, arrived = here.accepted(), numbers(sandbox)
    assert exit_codes == [-9, -9, 0, 0, 0, 0, 0, 0]
    assert adopted_by_the_living
    assert [number for number in accepted if number not in arrived] == []
    assert sum(times - 1 for times in arrived.values()) <= 2 * NOT_YET_FORGOTTEN
