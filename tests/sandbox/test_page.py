"""What the sandbox's page is made of, over real HTTP: its files, its stream, and what it is asked for."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from otel_vendor_exporters.sandbox import Beacon, Sandbox, Timer
from otel_vendor_exporters.sandbox.inbox import Inbox
from otel_vendor_exporters.sandbox.page.sections import POINTS, Series, Timings
from tests.sandbox.page_wire import JSON, asked, requests, stream, track
from tests.sandbox.wire import Wire

ROOT = Path(__file__).parent.parent.parent
SOURCES = ROOT / "otel_vendor_exporters" / "sandbox"


def test_browsers_get_the_page_and_the_rest_text(wire: Wire) -> None:
    """At / a browser finds the page and curl a summary; nothing of the page comes from elsewhere."""
    page = wire.ask("GET", "/", headers={"Accept": "text/html,*/*"})
    text = wire.ask("GET", "/")

    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert text.body.startswith(b"otel_vendor_exporters sandbox")
    assert wire.ask("GET", "/sandbox/").body == page.body
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert b"http" not in page.body.replace(b"http://www.w3.org/2000/svg", b"")
    for name in (
        "page.css",
        "page.js",
        "page_detail.js",
        "page_findings.js",
        "page_list.js",
        "page_names.js",
        "page_panels.js",
    ):
        part = wire.ask("GET", f"/sandbox/{name}")
        assert part.status == 200
        assert part.body
        assert b"://" not in part.body.replace(b"http://www.w3.org/2000/svg", b"")


def test_a_page_from_elsewhere_is_kept_out(wire: Wire) -> None:
    """Neither what arrived nor the conditions are for other web pages."""
    for method, path in (("GET", "stream"), ("GET", "requests"), ("POST", "clear"), ("POST", "condition")):
        reply = wire.ask(method, f"/sandbox/{path}", headers={"Origin": "https://elsewhere.example"})
        assert reply.status == 403


def test_the_stream_tells_increments(sandbox: Sandbox, wire: Wire) -> None:
    """First everything, then what changed alone, as it arrives; after a clearing everything anew."""
    wire.beacon({"t_other": "custom0|10", "cmet.MyMetric": "2", "cdim.Visibility_State": "visible"})
    with stream(wire) as events:
        assert [panel["name"] for panel in next(events)["hello"]["panels"]] == [
            "mpulse",
            "mparticle",
            "mparticle_analytics",
        ]
        first = next(events)
        wire.beacon({"t_other": "custom1|20"})
        second = next(one for one in events if one["sections"])
        sandbox.inbox.clear()
        third = next(one for one in events if one["cleared"])

    assert first["requests"] == {"mpulse": 2}
    assert first["sections"]["mpulse.timers"][0]["name"] == "MyTimer"
    assert first["sections"]["mpulse.metrics"][0]["total"] == 2
    assert first["sections"]["mpulse.dimensions"][0]["values"] == [["visible", 1]]
    assert [timer["name"] for timer in second["sections"]["mpulse.timers"]] == ["Code Timer"]
    assert set(second["sections"]) == {"mpulse.timers"}
    assert (third["requests"], third["rows"], third["sections"]) == ({}, 0, {})


@pytest.mark.flaky(reruns=2)
def test_a_sandbox_with_listeners_stops_at_once() -> None:
    """An open page does not hold the sandbox."""
    with Sandbox() as sandbox:
        wire = Wire(sandbox)
        with stream(wire) as events:
            next(events)
            began = time.monotonic()
            sandbox.stop()
            took = time.monotonic() - began

    assert took < 2


def test_findings_say_what_to_change(wire: Wire) -> None:
    """Each kind once, with how often, why, and the setting or attribute."""
    for _ in range(3):
        wire.beacon({"t_other": "Chekout|10"})
    with stream(wire) as events:
        next(events)
        (finding,) = next(events)["findings"]

    assert (finding["vendor"], finding["code"], finding["severity"]) == (
        "mpulse",
        "unknown_timer:Chekout",
        "error",
    )
    assert finding["count"] == 3
    assert "`timers`" in finding["remedy"]
    assert "define it in mPulse" in finding["sentence"]


def test_requests_are_found_and_filtered(wire: Wire) -> None:
    """By words of any of their parts, by vendor, by finding; newest first, in windows."""
    wire.beacon({"t_other": "custom0|10"})
    wire.beacon({"t_other": "Chekout|10", "h.pg": "Cart"})
    track(wire)
    wire.ask("GET", "/nowhere")

    def kinds(**query: object) -> list[str]:
        return [f"{row[2]} {row[3]}" for row in requests(wire, **query)["rows"]]

    assert kinds() == [
        " unknown",
        "mparticle_analytics track",
        "mpulse beacon",
        "mpulse beacon",
        "mpulse config",
    ]
    assert kinds(offset=1, count=2) == ["mparticle_analytics track", "mpulse beacon"]
    assert kinds(q="cart h.pg") == ["mpulse beacon"]
    assert kinds(q="MYTIMER") == ["mpulse beacon"]
    assert kinds(q="paid") == ["mparticle_analytics track"]
    assert kinds(vendor="mpulse", severity="error") == ["mpulse beacon"]
    assert kinds(code="unknown_timer:Chekout") == ["mpulse beacon"]
    assert kinds(until=2) == ["mpulse beacon", "mpulse config"]
    assert kinds(q="nothing of this") == []
    assert requests(wire, vendor="mpulse", count=1)["total"] == 3


def test_users_are_listed_with_all_that_is_known(wire: Wire) -> None:
    """An alias makes two users one; the detail holds properties and events."""
    key = wire.sandbox.mparticle_analytics.api_key
    track(wire, eventUniqueId="anon-1")
    track(wire, eventUniqueId="u-1")
    track(wire, eventUniqueId="u-2", eventName="Left")
    alias = {"apiKey": key, "previousId": "anon-1", "newId": "u-1"}
    wire.ask("POST", "/service/alias", json.dumps(alias).encode(), JSON)
    requests(wire)

    listed = asked(wire, "listing", name="mparticle_analytics.users")
    found = asked(wire, "listing", name="mparticle_analytics.users", q="anon")
    identify = {"apiKey": key, "uniqueId": "u-2", "properties": {"city": "Berlin"}}
    wire.ask("POST", "/service/identify", json.dumps(identify).encode(), JSON)
    requests(wire)
    by_property = asked(wire, "listing", name="mparticle_analytics.users", q="berlin")
    detail = asked(wire, "entry", name="mparticle_analytics.users", key=found["rows"][0]["key"])

    assert listed["total"] == 2
    assert [row["title"] for row in by_property["rows"]] == ["u-2"]
    assert [(row["title"], row["about"], row["count"]) for row in found["rows"]] == [("anon-1", "u-1", 2)]
    assert [event["name"] for event in detail["events"]] == ["Paid", "Paid"]
    assert detail["events"][0]["attributes"] == {"plan": "pro"}
    assert wire.ask("GET", "/sandbox/listing?name=nothing").status == 404
    assert wire.ask("GET", "/sandbox/entry?name=mparticle_analytics.users&key=nobody").status == 404


def test_clearing_keeps_conditions(sandbox: Sandbox, wire: Wire) -> None:
    """Clear forgets what arrived and nothing else."""
    wire.beacon()
    sandbox.become("mparticle", "503")

    assert wire.ask("POST", "/sandbox/clear", b"{}").status == 204

    assert sandbox.received.records == ()
    with stream(wire) as events:
        next(events)
        assert next(events)["conditions"]["mparticle"] == "503"


def test_percentiles_are_those_of_the_values() -> None:
    """Exact below a second, within half a percent above."""
    timings = Timings("t", "T")
    for value in range(1, 101):
        timings.add("A", value, 1)
    timings.add("B", 123_456, 2)

    (a, b) = timings.changed_since(0)

    assert a["percentiles"] == [[50, 50], [75, 75], [95, 95], [99, 99]]
    assert (a["min"], a["max"], a["mean"], sum(a["bars"])) == (1, 100, 50.5, 100)  # type: ignore[call-overload]
    assert b["percentiles"][0][1] == pytest.approx(123_456, rel=0.005)  # type: ignore[index]
    assert [one["name"] for one in timings.changed_since(1)] == ["B"]


def test_hostile_values_do_not_end_the_stream(wire: Wire) -> None:
    """Endless numbers, texts and lone surrogates are shown like any other, cut where they are long."""
    key = wire.sandbox.mparticle_analytics.api_key
    event = f'{{"apiKey": "{key}", "eventName": "\\ud800", "eventUniqueId": "<script>"}}'.encode()
    wire.ask("POST", "/service/event", event, JSON)
    wire.beacon({"t_other": "custom0|" + "9" * 18, "cmet.MyMetric": "9" * 30})
    wire.post({"h.pg": "x" * 500_000, "rt.si": "y" * 100_000, "rt.ss": "1" * 13, "rt.sl": "1"})
    wire.ask("GET", "/" + "z" * 60_000)
    with stream(wire) as events:
        next(events)
        first = next(events)

    assert first["requests"] == {"mpulse": 3, "mparticle_analytics": 1, "": 1}
    assert first["sections"]["mpulse.timers"][0]["bars"] == [1]
    assert len(json.dumps(first)) < 20_000
    assert len(json.dumps(asked(wire, "requests"))) < 20_000


def test_a_series_stays_short() -> None:
    """However long it runs, it has at most POINTS slices, and nothing is lost of the total."""
    series = Series("s", "S")
    for second in range(5_000):
        series.add("A", 1, second * 1_000, 1)

    (shown,) = series.changed_since(0)
    points: Any = shown["points"]

    assert len(points) <= POINTS
    assert (sum(points), shown["total"]) == (5_000, 5_000)


def test_the_board_forgets_with_the_journal() -> None:
    """Rows leave when their requests do; sums stay."""
    with Sandbox(inbox=Inbox(capacity=10)) as sandbox:
        wire = Wire(sandbox)
        for number in range(25):
            sandbox.inbox.add(timing(number))
        first = requests(wire, count=100)
        for number in range(25):
            sandbox.inbox.add(timing(number))
        second = requests(wire, q="beacon", count=100)

    assert [row[0] for row in first["rows"]] == list(range(25, 15, -1))
    assert [row[0] for row in second["rows"]] == list(range(50, 40, -1))


def timing(milliseconds: int) -> Beacon:
    return Beacon(
        vendor="mpulse",
        kind="beacon",
        method="GET",
        path="/17de4c15/",
        arrived_unix_ms=int(time.time() * 1000),
        status=204,
        timers=(Timer("MyTimer", milliseconds),),
    )
