"""What the sandbox holds at most, and that its page says what is beyond, over HTTP and in a real Chromium."""

from __future__ import annotations

from otel_vendor_exporters.sandbox import Inbox, Sandbox
from tests.sandbox.browser import Browser, reads
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
