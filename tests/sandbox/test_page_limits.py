"""What the sandbox holds at most, and that its page says what is beyond, over HTTP and in a real Chromium."""

from __future__ import annotations

import pytest

from otel_vendor_exporters.sandbox import Inbox, Sandbox
from otel_vendor_exporters.sandbox.mpulse import app
from otel_vendor_exporters.sandbox.page import board, sections
from tests.sandbox.browser import Browser, Tab, reads, show
from tests.sandbox.mparticle_http import batch, event, post
from tests.sandbox.page_wire import stream
from tests.sandbox.wire import Wire


def test_a_request_counts_once_against_the_limit() -> None:
    """What is kept as it was sent and as it was read is one request of one size."""
    with Sandbox(inbox=Inbox(max_characters=25_000)) as sandbox:
        for number in range(10):
            post(sandbox, batch(event(custom_attributes={"text": "x" * 1_600, "n": str(number)})))

        sizes = [len(record.raw.body) for record in sandbox.inbox.records if record.raw]
        assert (len(sizes), sandbox.inbox.forgotten) == (10, 0)
        assert 12_500 < sum(sizes) < 25_000


def test_the_page_says_how_many_were_forgotten(browser: Browser) -> None:
    """How many left the list, what it holds, and how many of them no sum has."""
    with Sandbox(inbox=Inbox(capacity=5)) as sandbox, browser.tab() as tab:
        wire = Wire(sandbox)
        for _ in range(8):
            wire.config()
        with stream(wire) as events:
            next(events)
            early = next(events)
        tab.open(f"{sandbox.url}/")
        reads(tab, "#forgotten", "The oldest 3 requests left the list", "3 of them had left before this page")
        for _ in range(4):
            wire.config()

        reads(tab, "#forgotten", "The oldest 7 requests left the list: it holds 5, of at most 128,000,000")
        wire.ask("POST", "/sandbox/clear")
        tab.until("document.querySelector('#forgotten').hidden")

    assert (early["forgotten"], early["missed"]) == (3, 3)


def test_names_beyond_the_list_are_counted(
    tab: Tab, sandbox: Sandbox, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page lists the first, and says how many different ones there were besides."""
    monkeypatch.setattr(app, "MAX_UNDEFINED", 2)
    wire.beacon({"t_other": "First|1,Second|1,Third|1"})
    wire.beacon({"t_other": "Third|1,Fourth|1"})
    reads(tab, "#tab-names", "4")

    show(tab, "names")

    reads(tab, "#panel-names", "First", "Second", "2 names more arrived than are listed")
    assert sandbox.mpulse.learned.timers == ("First", "Second")
    assert sandbox.mpulse.unlisted == 2
    assert sandbox.as_wire()["vendors"]["mpulse"]["unlisted"] == 2  # type: ignore[index]  # its JSON
    sandbox.reset()
    assert sandbox.mpulse.unlisted == 0


def test_values_beyond_the_cards_are_counted(tab: Tab, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    """Timers, metrics and dimensions without a card of their own are told as a number."""
    monkeypatch.setattr(sections, "MAX_NAMES", 1)
    for number in range(3):
        wire.beacon({"t_other": "custom0|1,custom1|2", "cmet.MyMetric": str(number), "cmet.Revenue": "1.00"})

    for section in ("timers", "metrics"):
        reads(
            tab, f"[data-section='mpulse.{section}'] .beyond", "Cards end at 1 name", "arrived 3 values more"
        )
    wire.ask("POST", "/sandbox/clear")
    tab.until("document.querySelector('[data-section=\"mpulse.timers\"] .beyond').hidden")


def test_kinds_of_findings_beyond_the_list_are_counted(
    tab: Tab, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are one finding, `others`, with a count."""
    monkeypatch.setattr(board, "MAX_KINDS_OF_FINDING", 1)
    wire.beacon({"t_other": "First|1,Second|1,Third|1"})

    show(tab, "findings")

    reads(tab, "#panel-findings", "unknown_timer:First", "others", "mPulse, 2 times")
