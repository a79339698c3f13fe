"""What the page's board does with records that are odd or too many, over real HTTP."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from otel_vendor_exporters.sandbox import MParticleBatch, MParticleUpload, Sandbox
from tests.sandbox.mparticle_http import batch, event, post
from tests.sandbox.test_page import asked, stream
from tests.sandbox.wire import Wire

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
