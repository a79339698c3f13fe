"""What the page's board does with records that are odd or too many, over real HTTP."""

from __future__ import annotations

import json
import logging
from typing import Any, NoReturn

import pytest

from otel_vendor_exporters.sandbox import MParticleBatch, MParticleUpload, Sandbox
from otel_vendor_exporters.sandbox.page import panels, sections
from tests.sandbox.mparticle_http import batch, event, post
from tests.sandbox.page_wire import ANALYTICS, JSON, asked, stream
from tests.sandbox.wire import Wire

GIVEN_OUT = (
    "received.json",
    "received.json?secrets=1",
    "requests",
    "request?position=1",
    "request?position=2",
    "listing?name=mparticle_analytics.users",
    "entry?name=mparticle_analytics.users&key=u-1",
)
ODD_TIMES = ('"abc"', "1e400", "-1e400", '"' + "9" * 5000 + '"', "9" * 400, "NaN", "[1]", "null")


def last_change(wire: Wire) -> Any:
    """What the page knows once it has read everything."""
    with stream(wire) as events:
        next(events)
        while (change := next(events))["behind"]:
            pass
    return change


@pytest.mark.parametrize("time", ODD_TIMES)
def test_a_refused_batch_with_an_odd_time_is_shown(sandbox: Sandbox, wire: Wire, time: str) -> None:
    """The page goes on, lists the request, and counts what comes after it."""
    content = json.dumps(batch(event(timestamp_unixtime_ms="TIME"))).replace('"TIME"', time)
    post(sandbox, content.encode())
    wire.beacon({"t_other": "custom0|250"})

    change = last_change(wire)

    assert change["unreadable"] == 0
    assert change["requests"] == {"mparticle": 1, "mpulse": 2}
    assert asked(wire, "requests")["total"] == 3
    for refused in sandbox.received.mparticle.refused:
        assert [one.timestamp_unix_ms for one in refused.events] == [refused.arrived_unix_ms]


BEYOND_JSON = ("1e999", "-1e999")


@pytest.mark.parametrize("number", BEYOND_JSON)
def test_a_number_beyond_json_is_shown_as_text(sandbox: Sandbox, wire: Wire, number: str) -> None:
    """Everything the sandbox gives out is strict JSON, which a browser reads, whatever number arrived."""
    content = json.dumps({"apiKey": sandbox.mparticle_analytics.api_key, **ANALYTICS})
    wire.ask("POST", "/service/event", content.replace('"pro"', number).encode(), JSON)
    late = json.dumps(batch(event(timestamp_unixtime_ms="TIME"))).replace('"TIME"', number)
    post(sandbox, late.encode())
    last_change(wire)

    told = {path: wire.ask("GET", f"/sandbox/{path}").body.decode() for path in GIVEN_OUT}

    for text in told.values():
        json.loads(text, parse_constant=refuse)
    assert {path for path, text in told.items() if "Infinity" in text} == {
        *("received.json", "received.json?secrets=1", "entry?name=mparticle_analytics.users&key=u-1")
    }


def refuse(name: str) -> NoReturn:
    raise AssertionError(f"{name} is not JSON")


def test_a_record_that_cannot_be_read_is_counted_and_told_once(
    sandbox: Sandbox, wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    """It stands among the requests; the stream and all other sums go on."""
    unreadable = MParticleUpload(
        vendor="mparticle",
        kind="events",
        method="POST",
        path="/v2/events",
        arrived_unix_ms=1,
        status=202,
        batches=(MParticleBatch("stored", {"mpid": 10**5000}, 1),),  # more digits than Python writes
    )
    sandbox.inbox.add(unreadable)
    sandbox.inbox.add(unreadable)
    wire.beacon({"t_other": "custom0|250"})

    with caplog.at_level(logging.ERROR):
        change = last_change(wire)

    assert change["unreadable"] == 2
    assert [row["name"] for row in change["sections"]["mpulse.timers"]] == ["MyTimer"]
    assert asked(wire, "requests")["total"] == 4
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "cannot sum up a mparticle events" in caplog.text


def test_known_users_go_on_when_there_are_too_many(
    sandbox: Sandbox, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the limit those who are listed still get their events; what came of others is counted."""
    monkeypatch.setattr(panels, "MAX_USERS", 2)
    monkeypatch.setattr(sections, "MAX_ENTRIES", 2)
    for number in (1, 2, 3, 1):
        post(sandbox, batch(event(), user_identities={"customer_id": f"u-{number}"}, source_request_id=None))
        track(wire, f"a-{number}")
        alias(wire, f"a-{number}", f"b-{number}")
        session = {"rt.si": f"s-{number}", "rt.ss": "1700000000000", "rt.sl": "1"}
        wire.beacon({"t_other": "custom0|1", **session})

    change = last_change(wire)

    assert change["unreadable"] == 0
    users = {"count": 2, "unit": "event"}
    assert change["sections"]["mparticle.users"] == [{**users, "left_out": 1}]
    assert change["sections"]["mparticle_analytics.users"] == [{**users, "left_out": 2}]
    assert change["sections"]["mpulse.sessions"] == [{"count": 2, "unit": "beacon", "left_out": 1}]
    for name, titles in (
        ("mparticle.users", ["customer_id: u-2", "customer_id: u-1"]),
        ("mpulse.sessions", ["s-2", "s-1"]),
    ):
        rows = asked(wire, "listing", name=name)["rows"]
        assert [(row["title"], row["count"]) for row in rows] == list(zip(titles, (1, 2), strict=True))
    rows = asked(wire, "listing", name="mparticle_analytics.users")["rows"]
    assert {row["title"]: row["count"] for row in rows} == {"a-1": 2, "a-2": 1}


def test_requests_are_found_by_the_ids_of_their_users(sandbox: Sandbox, wire: Wire) -> None:
    """As a person looks for one user in all that arrived."""
    post(sandbox, batch(event(), user_identities={"customer_id": "Ada-1", "email": "ada@example.com"}))
    track(wire, "ada-2")
    alias(wire, "ada-3", "ada-4")
    last_change(wire)

    words = ("ada-1", "ada@example", "ada-2", "ada-3", "nobody")
    found = {word: asked(wire, "requests", q=word)["total"] for word in words}

    assert found == {"ada-1": 1, "ada@example": 1, "ada-2": 1, "ada-3": 1, "nobody": 0}


def test_requests_are_found_by_each_of_their_names(sandbox: Sandbox, wire: Wire) -> None:
    """However many there are: timers, metrics, dimensions, events of either vendor, and their users."""
    sandbox.mpulse.define([f"T{n}" for n in range(100)], {"Orders": "Number"}, ["Colour of it"])
    timers = ",".join(f"custom{n}|{n}" for n in range(100))
    wire.beacon({"t_other": timers, "cmet.Orders": "1", "cdim.Colour_of_it": "green"})
    post(sandbox, batch(*(event(event_name=f"Viewed-{n}") for n in range(100))))
    track_many(wire, 100)
    last_change(wire)

    words = (
        "T99",
        "custom99|99",
        "Orders",
        "colour of",
        "green",
        "viewed-99",
        "paid-99",
        "many-99",
        "T200",
    )
    found = {word: asked(wire, "requests", q=word)["total"] for word in words}

    assert found == {**dict.fromkeys(words, 1), "T200": 0}


def test_clear_forgets_learned_names_and_keeps_conditions(sandbox: Sandbox, wire: Wire) -> None:
    """The page begins anew; a fault that is played goes on."""
    wire.beacon({"t_other": "Unheard|1"})
    sandbox.become("mpulse", "crumb_expired")
    assert "Unheard" in sandbox.mpulse.learned.timers

    wire.ask("POST", "/sandbox/clear")

    assert not sandbox.mpulse.learned.timers
    assert sandbox.received.records == ()
    assert sandbox.mpulse.switches.expire_crumbs


def track(wire: Wire, user: str) -> None:
    key = wire.sandbox.mparticle_analytics.api_key
    content = {"apiKey": key, "eventName": "Paid", "eventUniqueId": user}
    wire.ask("POST", "/service/event", json.dumps(content).encode(), JSON)


def track_many(wire: Wire, number: int) -> None:
    key = wire.sandbox.mparticle_analytics.api_key
    events = [{"eventName": f"Paid-{n}", "eventUniqueId": f"many-{n}"} for n in range(number)]
    wire.ask("POST", "/service/event/batch", json.dumps({"apiKey": key, "events": events}).encode(), JSON)


def alias(wire: Wire, previous: str, new: str) -> None:
    key = wire.sandbox.mparticle_analytics.api_key
    content = {"apiKey": key, "previousId": previous, "newId": new}
    wire.ask("POST", "/service/alias", json.dumps(content).encode(), JSON)


def test_no_percentile_is_above_the_greatest_value() -> None:
    """Values are kept to three digits; what is shown stays within what came."""
    timings = sections.Timings("t", "T")
    timings.add("Checkout", 1_996, 1)

    (shown,) = timings.changed_since(0)

    assert shown["max"] == 1_996
    assert shown["percentiles"] == [[50, 1_996], [75, 1_996], [95, 1_996], [99, 1_996]]
