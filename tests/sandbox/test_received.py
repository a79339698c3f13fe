"""What arrived, in the words a test uses; and the journal under it, which is bounded."""

from __future__ import annotations

import json
import threading
import time

import pytest

from otel_vendor_exporters.sandbox import Beacon, Counts, Finding, Inbox, MPulseApp, Received, Record, Sandbox
from tests.sandbox.wire import Wire


def record(path: str = "/", findings: tuple[Finding, ...] = ()) -> Record:
    return Record(
        vendor="v", kind="k", method="GET", path=path, arrived_unix_ms=0, status=200, findings=findings
    )


def test_the_views_of_one_story(sandbox: Sandbox, wire: Wire) -> None:
    """Records, beacons, timers, metrics and findings of a configuration, two good beacons and a bad one."""
    wire.learn()
    wire.beacon({"t_other": "custom0|10,custom1|20", "cmet.MyMetric": "0.1"})
    wire.beacon({"t_other": "custom0|30", "cmet.MyMetric": "0.2", "cmet.Revenue": "5"})
    wire.beacon({"t_other": "custom0|99", "h.cr": None})
    received = sandbox.received

    assert [(r.vendor, r.kind) for r in received.records] == [
        ("mpulse", "config"),
        *[("mpulse", "beacon")] * 3,
    ]
    assert received.timers == [("MyTimer", 10), ("Code Timer", 20), ("MyTimer", 30)]
    assert received.metrics == {"MyMetric": 0.30000000000000004, "Revenue": 0.05}
    assert received.codes == ("currency_without_decimals", "missing:h.cr")
    assert [finding.code for finding in received.errors] == ["missing:h.cr"]
    assert received.findings == tuple(f for beacon in received.beacons for f in beacon.findings)
    assert [beacon.accepted for beacon in received.beacons] == [True, True, False]
    assert received.of(Beacon) == received.beacons
    assert len(received.of(Record)) == 4


def test_a_view_looks_anew(sandbox: Sandbox, wire: Wire) -> None:
    """A kept `received` shows what came later."""
    received = sandbox.received
    assert received.timers == []
    wire.beacon({"t_other": "custom0|1"})

    assert received.timers == [("MyTimer", 1)]


def test_what_was_received_stays_readable_after_the_end(wire: Wire, sandbox: Sandbox) -> None:
    """stop() keeps the journal."""
    wire.beacon({"t_other": "custom0|1"})
    sandbox.stop()

    assert sandbox.received.timers == [("MyTimer", 1)]


@pytest.mark.flaky(reruns=2)
def test_wait_for_returns_as_soon_as_it_is_true(sandbox: Sandbox, wire: Wire) -> None:
    """Woken by the beacon, not by the clock."""
    wire.learn()
    later = threading.Timer(0.05, lambda: wire.beacon({"t_other": "custom0|1"}))
    later.start()
    begun = time.monotonic()

    assert sandbox.received.wait_for(lambda received: received.timers == [("MyTimer", 1)], timeout=5)
    assert 0.05 <= time.monotonic() - begun < 2
    later.join()


@pytest.mark.flaky(reruns=2)
def test_wait_for_gives_up(sandbox: Sandbox) -> None:
    """False after the timeout; with no timeout at once."""
    begun = time.monotonic()

    assert not sandbox.received.wait_for(lambda received: bool(received.timers), timeout=0.05)
    assert 0.05 <= time.monotonic() - begun < 1
    assert not sandbox.received.wait_for(lambda received: False, timeout=0)
    assert sandbox.received.wait_for(lambda received: True, timeout=0)


def test_the_journal_forgets_the_oldest_and_keeps_the_counts() -> None:
    """By number of records, and by their size."""
    few, small = Inbox(capacity=3), Inbox(max_characters=100)
    for number in range(10):
        few.add(record(f"/{number}", (Finding("late", "error", "x"),)))
        small.add(record("/" + str(number) * 39))

    assert [r.path for r in few.records] == ["/7", "/8", "/9"]
    assert few.counts.requests == (("v", "k", 10),)
    assert few.counts.findings == ((Finding("late", "error", "x"), 10),)
    assert few.counts.forgotten == 7
    assert [r.path[1] for r in small.records] == ["8", "9"]
    few.clear()
    assert few.counts == Counts((), (), 0)


def test_the_kinds_of_findings_are_bounded() -> None:
    """After a thousand codes the rest is counted together."""
    inbox = Inbox()
    for number in range(1_500):
        inbox.add(record(findings=(Finding(f"unknown_timer:{number}", "error", "x"),)))
    counts = {finding.code: count for finding, count in inbox.counts.findings}

    assert len(counts) == 1_001
    assert counts["others"] == 500
    assert sum(counts.values()) == 1_500


def test_after_reads_on_where_one_stopped() -> None:
    """Each record once, also across forgetting and reset."""
    inbox = Inbox(capacity=2)
    first, position = inbox.after(0)
    for number in range(3):
        inbox.add(record(f"/{number}"))
    second, position = inbox.after(position)
    nothing, position = inbox.after(position)
    inbox.clear()
    inbox.add(record("/new"))
    third, position = inbox.after(position)

    assert first == ()
    assert [r.path for r in second] == ["/1", "/2"]
    assert nothing == ()
    assert [r.path for r in third] == ["/new"]


def test_an_inbox_of_ones_own() -> None:
    """A small journal can be given."""
    with Sandbox(inbox=Inbox(capacity=1)) as sandbox:
        wire = Wire(sandbox)
        wire.beacon({"t_other": "custom0|1"})

        assert len(sandbox.received.records) == 1
        assert Received(sandbox.inbox).timers == [("MyTimer", 1)]


def test_received_json_is_the_same_story(sandbox: Sandbox, wire: Wire) -> None:
    """Another process reads counts, timers, metrics, undefined labels and findings."""
    wire.beacon({"t_other": "custom0|10,custom9|1", "cmet.Revenue": "2.50"})
    wire.beacon({"t_other": "custom0|20,custom9|1"})
    reply = wire.ask("GET", "/sandbox/received.json")
    content = reply.json

    assert reply.headers["content-type"] == "application/json"
    assert content["requests"]["mpulse"] == {"config": 1, "beacon": 2}
    assert content["vendors"]["mpulse"] == {
        "timers": {"MyTimer": {"count": 2, "total_ms": 30}},
        "metrics": {"Revenue": 2.5},
        "undefined": ["custom9"],
        "unlisted": 0,
    }
    (finding,) = content["findings"]
    assert (finding["code"], finding["severity"], finding["count"]) == ("unknown_timer:custom9", "error", 2)
    assert content["forgotten"] == 0
    assert [entry["kind"] for entry in content["recent"]] == ["config", "beacon", "beacon"]
    assert content["recent"][1]["timers"] == [["MyTimer", 10]]
    whole = wire.ask("GET", "/sandbox/received.json?secrets=1").json
    assert whole == json.loads(json.dumps(sandbox.as_wire()))
    assert content == {**whole, "recent": content["recent"]}


def test_the_first_page_is_for_people(wire: Wire) -> None:
    """`/` shows the summary as text and where there is more."""
    wire.beacon({"t_other": "custom0|10"})
    reply = wire.ask("GET", "/")

    assert reply.headers["content-type"] == "text/plain; charset=utf-8"
    assert '"MyTimer"' in reply.body.decode()
    assert "more: /sandbox/received.json" in reply.body.decode()


def test_looking_is_not_receiving(sandbox: Sandbox, wire: Wire) -> None:
    """The side API stays out of the journal."""
    for target in ("/", "/sandbox/received.json", "/sandbox/nothing"):
        wire.ask("GET", target)

    assert sandbox.received.records == ()


def test_the_side_api_names_its_doors(wire: Wire) -> None:
    """A wrong path or method is 404 and lists what there is."""
    for method, target in (
        ("GET", "/sandbox/nothing"),
        ("POST", "/sandbox/received.json"),
        ("GET", "/sandbox/reset"),
    ):
        reply = wire.ask(method, target)
        assert reply.status == 404
        assert b"there is GET /, GET /sandbox/received.json, POST /sandbox/reset" in reply.body


def test_learning_lists_what_to_define() -> None:
    """received.json names every undefined label once, in the order it came."""
    with Sandbox(mpulse=MPulseApp(timers=("A",), learn=True)) as sandbox:
        wire = Wire(sandbox)
        for labels in ("custom5|1,custom4|1", "custom4|2", "custom3|1"):
            wire.beacon({"t_other": labels})

        assert sandbox.mpulse.undefined == ("custom5", "custom4", "custom3")
        assert sandbox.received.timers == [("custom5", 1), ("custom4", 1), ("custom4", 2), ("custom3", 1)]
