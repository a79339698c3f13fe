"""A million events through a server that fails one request in ten: exact counts, bounded memory."""

from __future__ import annotations

import json
import logging
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from otel_vendor_exporters.delivery.codec import BytesCodec
from otel_vendor_exporters.delivery.disk_spool import DiskSpool
from otel_vendor_exporters.delivery.journal import Label
from otel_vendor_exporters.delivery.notices import Notices
from otel_vendor_exporters.delivery.policy import outcome_of
from otel_vendor_exporters.delivery.request import Item, Parcel, Reply, Request, Verdict
from otel_vendor_exporters.delivery.sender import Delivery, Packed
from otel_vendor_exporters.delivery.spool import MemorySpool, Spool
from otel_vendor_exporters.delivery.spool_writing import Disk
from otel_vendor_exporters.delivery.transport import Transport
from tests.delivery.fakes import FastClock
from tests.delivery.loopback import RESET, Answer, Loopback, Received, http

EVENTS = 1_000_000
PER_EXPORT = 512
PER_REQUEST = 1000
MOST_WAITING = 20_000
MOST_MEGABYTES = 150
MOST_ITEMS = 50_000
EVENTS_IN_OUTAGE = 600 * PER_EXPORT
MOST_GROWTH_MEGABYTES = 10
FAULTS = (Answer(503), RESET, Answer(429, {"Retry-After": "1"}), Answer(500), Answer(413))


class EventsVendor:
    """Sends events, which are bytes, a line for each."""

    name = "events"

    def __init__(self, url: str) -> None:
        self._url = url

    def prepare(self, timeout_seconds: float, *, hurry: bool) -> float:
        return 0.0

    def pack(self, items: Sequence[Item[bytes]]) -> Packed[bytes]:
        groups = [items[at : at + PER_REQUEST] for at in range(0, len(items), PER_REQUEST)]
        return Packed([Parcel(group, None) for group in groups])

    def request(self, parcel: Parcel[bytes]) -> Request:
        return Request("POST", self._url + "/events", body=b"\n".join(item.unit for item in parcel.items))

    def judge(self, parcel: Parcel[bytes], reply: Reply) -> Sequence[Verdict[bytes]]:
        return [Verdict(parcel.items, outcome_of(reply, send_again_when_ambiguous=True))]

    def renew_after_fork(self) -> None:
        """Nothing is the parent's."""


def delivery_to(url: str, folder: str) -> Delivery[bytes]:
    clock = FastClock()
    notices = Notices(logging.getLogger("otel_vendor_exporters.events"), clock)

    def spool() -> Spool[bytes]:
        memory: MemorySpool[bytes] = MemorySpool(
            max_items=MOST_ITEMS, max_bytes=10**8, merge=lambda _, newer: newer
        )
        if not folder:
            return memory
        disk = Disk(Path(folder), Label("events", "bytes/1", url, ()), BytesCodec(), again=True)
        return DiskSpool(disk, memory, clock, notices)

    return Delivery(
        EventsVendor(url),
        spool=spool,
        transport=Transport(),
        clock=clock,
        notices=notices,
        timeout_seconds=5 * FastClock.SPEED,
        connections=4,
    )


def main(url: str, folder: str) -> None:
    """The process under load; prints its ledger and the most memory it ever had."""
    delivery = delivery_to(url, folder)
    balanced = True
    for start in range(0, EVENTS, PER_EXPORT):
        numbers = range(start, min(start + PER_EXPORT, EVENTS))
        delivery.keep([Item(b"%d" % number, 100) for number in numbers])
        counts = delivery.ledger.counts()
        balanced = balanced and counts.balanced
        if counts.waiting + counts.in_flight > MOST_WAITING:
            while not delivery.flush(60 * FastClock.SPEED):
                pass
    delivery.shutdown(60 * FastClock.SPEED)
    counts = delivery.ledger.counts()
    found = {
        "accepted": counts.accepted,
        "delivered": counts.delivered,
        "lost": counts.lost,
        "balanced": balanced and counts.balanced,
        "megabytes": _most_megabytes(),
    }
    sys.stdout.write(json.dumps(found))


def outage(url: str, folder: str) -> None:
    """A process whose vendor is down for hours; prints its ledger, and its memory and disk at two moments."""
    delivery = delivery_to(url, folder)
    found: dict[str, Any] = {}
    for start in range(0, EVENTS_IN_OUTAGE, PER_EXPORT):
        delivery.keep([Item(b"%d" % number, 100) for number in range(start, start + PER_EXPORT)])
        if start + PER_EXPORT in (EVENTS_IN_OUTAGE // 3, EVENTS_IN_OUTAGE):
            megabytes = sum(path.stat().st_size for path in Path(folder or "/none").glob("*")) / 2**20
            found.setdefault("at", []).append([_most_megabytes(), megabytes])
    counts = delivery.ledger.counts()
    delivery.shutdown(0.0)
    found |= {"balanced": counts.balanced, "delivered": counts.delivered, "dropped": dict(counts.dropped)}
    sys.stdout.write(json.dumps({**found, "left": counts.waiting + counts.in_flight}))


def _most_megabytes() -> float:
    """The most memory this process ever had; where the system tells it, without what its parent had."""
    status = Path("/proc/self/status")
    if status.exists():
        return (
            next(int(line.split()[1]) for line in status.read_text().splitlines() if "VmHWM" in line) / 1024
        )
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@pytest.mark.parametrize("where", ["memory", "disk"])
def test_a_million_events(where: str, tmp_path: Path) -> None:
    """Every event arrives exactly once, the ledger says so, and memory stays flat."""
    arrived = bytearray(EVENTS)
    asked = iter(range(10**9))

    def answer(request: Received) -> Answer:
        turn = next(asked)
        if turn % 10 == 0:
            return FAULTS[turn // 10 % len(FAULTS)]
        for number in map(int, request.body.split(b"\n")):
            arrived[number] += 1
        return Answer(204)

    folder = str(tmp_path) if where == "disk" else ""
    with Loopback(http(answer)) as server:
        found = output_of("main", server.url, folder)
    megabytes = found.pop("megabytes")

    assert found == {"accepted": EVENTS, "delivered": EVENTS, "lost": 0, "balanced": True}
    assert arrived == b"\1" * EVENTS
    assert megabytes < MOST_MEGABYTES
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("where", ["memory", "disk"])
def test_memory_is_flat_during_an_outage(where: str, tmp_path: Path) -> None:
    """Once the queue is full, what comes in pushes out as much: in memory, on the disk and in the ledger."""
    with Loopback(http(lambda request: Answer(503))) as server:
        found = output_of("outage", server.url, str(tmp_path) if where == "disk" else "")
    (memory_before, disk_before), (memory_after, disk_after) = found.pop("at")

    dropped = EVENTS_IN_OUTAGE - MOST_ITEMS
    assert found == {
        "balanced": True,
        "delivered": 0,
        "dropped": {"queue_full": dropped},
        "left": MOST_ITEMS,
    }
    assert memory_after - memory_before < MOST_GROWTH_MEGABYTES
    assert disk_after - disk_before < MOST_GROWTH_MEGABYTES


def output_of(function: str, url: str, folder: str) -> dict[str, Any]:
    """What a function of this module prints in a process of its own."""
    root = str(Path(__file__).parent.parent.parent)
    script = f"import sys; sys.path.insert(0, {root!r}); from {__name__} import {function}"
    script += f"; {function}(*sys.argv[1:])"
    command = [sys.executable, "-W", "error", "-c", script, url, folder]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found
