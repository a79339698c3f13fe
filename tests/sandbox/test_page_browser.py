"""The sandbox's page as a person meets it, in a real headless Chromium."""

from __future__ import annotations

import json
import time

import pytest

from otel_vendor_exporters.sandbox import Beacon, Finding, Sandbox, Timer
from tests.sandbox.browser import ROWS, Browser, Tab, reads, show
from tests.sandbox.wire import Wire, eventually

MANY = 50_000


@pytest.mark.flaky(reruns=2)
def test_it_shows_what_arrives_as_it_arrives(tab: Tab, wire: Wire) -> None:
    """Timers with their percentiles, metrics, dimensions, page groups and sessions, without a reload."""
    reads(tab, "#panel-mpulse .empty", "Nothing has arrived yet", "OTEL_EXPORTER_MPULSE_CONFIG_URL=http://")
    session = {"rt.si": "s-1", "rt.ss": str(int(time.time() * 1000)), "rt.sl": "3"}
    wire.beacon({"t_other": "custom0|250", "cmet.Revenue": "19.90", "h.pg": "Cart", **session})
    began = time.monotonic()
    wire.beacon({"t_other": "custom0|750", "cdim.Visibility_State": "hidden"})

    reads(tab, "[data-section='mpulse.timers']", "MyTimer", "2 values", "median\n250 ms", "p95\n750 ms")
    assert time.monotonic() - began < 2
    reads(tab, "[data-section='mpulse.metrics']", "Revenue", "19.9")
    reads(tab, "[data-section='mpulse.dimensions']", "Visibility State", "hidden")
    reads(tab, "[data-section='mpulse.places']", "Page group", "Cart")
    reads(tab, "[data-section='mpulse.sessions']", "s-1", "page views: 3")
    label = tab.run(
        "document.querySelector('[data-section=\"mpulse.timers\"] svg').getAttribute('aria-label')"
    )
    assert label == "Distribution of MyTimer: half within 250 ms, 95 of 100 within 750 ms"


def test_users_open_with_identities_attributes_and_events(tab: Tab, wire: Wire) -> None:
    """A click on a user shows everything known of it; a name of HTML stays text."""
    key = wire.sandbox.mparticle_analytics.api_key
    event = {"apiKey": key, "eventName": "<b>Paid</b>", "eventUniqueId": "u-1", "properties": {"plan": "pro"}}
    wire.ask("POST", "/service/event", json.dumps(event).encode(), {"Content-Type": "application/json"})
    show(tab, "mparticle_analytics")
    tab.until("document.querySelectorAll('#list-mparticle_analytics-users .row').length === 1")

    tab.click("#list-mparticle_analytics-users .row")

    reads(tab, "#detail", "u-1", "<b>Paid</b>", "plan", "pro")
    assert tab.run("document.querySelectorAll('#detail b').length") == 0


def test_findings_lead_to_their_requests(tab: Tab, wire: Wire) -> None:
    """Each says what is lost, why and what to change; its button shows the requests, masked."""
    wire.beacon({"t_other": "custom0|1"})
    wire.beacon({"t_other": "Chekout|10"})
    reads(tab, "#panel-mpulse .strip", "would have thrown away something 1 time, for 1 reason")
    reads(tab, "#tab-findings", "1")

    tab.click("#panel-mpulse .strip button")
    reads(
        tab, ".finding", "unknown_timer:Chekout", "define it in mPulse", "Change:", "timers", "mpulse.timer"
    )
    tab.click(".finding button")
    tab.until(f"{ROWS} === 1")
    tab.click("#list-requests .row")
    reads(tab, "#detail", "Chekout|10", "h.cr=****", "GET /17de4c15/?")

    crumb = wire.learn()["h.cr"]
    assert crumb not in tab.run("document.documentElement.outerHTML")
    assert wire.sandbox.mpulse.key not in tab.text("#detail")


def test_search_narrows_everything(tab: Tab, wire: Wire) -> None:
    """One box for cards, findings and requests; emptied, all is back."""
    wire.beacon({"t_other": "custom0|10"})
    wire.beacon({"t_other": "custom1|10,Chekout|1"})
    reads(tab, "[data-section='mpulse.timers']", "MyTimer", "Code Timer")
    tab.run("document.querySelector('#search').focus()")

    tab.type("code")

    tab.until("document.querySelectorAll('[data-section=\"mpulse.timers\"] .card').length === 1")
    show(tab, "requests")
    tab.until(f"{ROWS} === 1")
    show(tab, "findings")
    reads(tab, "#panel-findings", "None that fits the search")
    tab.run("document.querySelector('#search').value = ''")
    tab.run("document.querySelector('#search').dispatchEvent(new Event('input'))")
    show(tab, "requests")
    tab.until(f"{ROWS} === 3")


def test_pause_and_clear(tab: Tab, wire: Wire) -> None:
    """Paused, nothing moves and what is new is counted; resumed, it is there; cleared, nothing is."""
    wire.beacon({"t_other": "custom0|10"})
    reads(tab, "[data-section='mpulse.timers']", "1 value")

    tab.click("#pause")
    for _ in range(3):
        wire.beacon({"t_other": "custom0|10"})
    reads(tab, "#state", "Paused, 3 new")
    assert "1 value" in tab.text("[data-section='mpulse.timers']")
    assert tab.run("document.querySelector('#pause').getAttribute('aria-pressed')") == "true"

    tab.click("#pause")
    reads(tab, "[data-section='mpulse.timers']", "4 values")

    tab.click("#clear")
    reads(tab, "#panel-mpulse .empty", "Nothing has arrived yet")
    end = time.monotonic() + 10  # the page is cleared at once, the sandbox when it hears of it
    while wire.sandbox.received.records and time.monotonic() < end:
        time.sleep(0.01)
    assert wire.sandbox.received.records == ()
    wire.beacon({"t_other": "custom1|5"})
    reads(tab, "[data-section='mpulse.timers']", "Code Timer")
    assert "MyTimer" not in tab.text("[data-section='mpulse.timers']")


def test_paused_a_tab_not_seen_before_shows_what_was_there(tab: Tab, wire: Wire) -> None:
    """Lists that were never in sight are asked when they come in sight, as of the pause."""
    session = {"rt.si": "s-1", "rt.ss": str(int(time.time() * 1000)), "rt.sl": "1"}
    show(tab, "names")
    wire.beacon({"t_other": "custom0|10", **session})
    reads(tab, "#tab-requests", "2")

    tab.click("#pause")
    wire.beacon({"t_other": "custom0|20", **session, "rt.si": "s-2"})
    reads(tab, "#state", "Paused, 1 new")
    show(tab, "requests")
    tab.until(f"{ROWS} === 2")
    show(tab, "mpulse")
    reads(tab, "#list-mpulse-sessions", "s-1")

    assert "s-2" not in tab.text("#list-mpulse-sessions")


def test_buttons_stay_while_findings_arrive(tab: Tab, wire: Wire) -> None:
    """What has the focus keeps it, and a row is the same element, whatever else is found."""
    wire.beacon({"t_other": "One|10"})
    show(tab, "findings")
    tab.until("document.querySelectorAll('.finding').length === 1")
    tab.run("(window.first = document.querySelector('.finding button')).focus()")

    for _ in range(3):
        wire.beacon({"t_other": "Two|10"})
    wire.beacon({"t_other": "One|10"})
    reads(tab, ".finding .times", "mPulse, 2 times")
    tab.until("document.querySelectorAll('.finding').length === 2")

    assert tab.run("document.activeElement === window.first && window.first.isConnected")
    tab.press("Enter")
    tab.until(f"{ROWS} === 2")


def test_the_active_request_is_a_record_not_a_place(tab: Tab, wire: Wire) -> None:
    """Newer requests push the active row down; Enter opens the one that was chosen."""
    for number in range(3):
        wire.beacon({"t_other": f"custom0|{number}"})
    show(tab, "requests")
    tab.until(f"{ROWS} === 4")
    tab.run("document.querySelector('#list-requests').focus()")
    tab.press("ArrowDown")
    chosen = "document.querySelector('#list-requests .row.active')"
    reads(tab, "#list-requests .row.active", "MyTimer 1 ms")

    wire.beacon({"t_other": "custom0|99"})
    tab.until(f"{ROWS} === 5")

    tab.until(f"{chosen}?.getAttribute('aria-posinset') === '3'")
    reads(tab, "#list-requests .row.active", "MyTimer 1 ms")
    tab.press("Enter")
    reads(tab, "#detail", "custom0|1")


@pytest.mark.parametrize(("condition", "status"), [("429", 429), ("503", 503)])
def test_switches_play_faults(tab: Tab, wire: Wire, condition: str, status: int) -> None:
    """A click makes the vendor unwell until another makes it well; the page says so all the while."""
    tab.click(f"#panel-mpulse input[value='{condition}']")
    assert eventually(lambda: wire.config().status == status)
    reads(tab, "#panel-mpulse .strip.soft", f"Playing {condition}")

    tab.click("#panel-mpulse input[value='well']")
    assert eventually(lambda: wire.config().status == 200)
    tab.until("!document.querySelector('#panel-mpulse .strip.soft')")


@pytest.mark.parametrize("condition", ["slow", "down", "rate_limited", "crumb_expired"])
def test_every_switch_acts(tab: Tab, wire: Wire, condition: str) -> None:
    """Slow, down, rate-limited app and expired crumb, as the sandbox's own tests know them."""
    tab.click(f"#panel-mpulse input[value='{condition}']")
    reads(tab, "#panel-mpulse .strip.soft", "Playing")

    if condition in ("slow", "down"):
        tab.run(f"fetch('{wire.sandbox.url}/api/config.json', {{mode: 'no-cors'}}).catch(() => 0); 1")
        assert eventually(lambda: bool(wire.sandbox.received.records))
        assert wire.last.status == (0 if condition == "down" else 400)
        tab.told.clear()  # that the browser got no answer is what was wanted
    elif condition == "rate_limited":
        assert wire.config().json["rate_limited"] is True
    else:
        assert "crumb_expired" in wire.beacon({"t_other": "custom0|1"}).codes


def test_names_to_define_are_listed(tab: Tab, wire: Wire) -> None:
    """What arrived undefined is named as it must be typed."""
    wire.beacon({"t_other": "Basket page|1", "cmet.Sales": "1"})
    reads(tab, "#tab-names", "2")

    show(tab, "names")

    reads(tab, "#panel-names", "type these into mPulse", "Basket page", "Sales", "Revenue (Currency)")


def test_it_says_when_the_sandbox_has_gone(browser: Browser) -> None:
    """The page waits for the sandbox, and says so."""
    with Sandbox() as sandbox, browser.tab() as tab:
        tab.open(f"{sandbox.url}/sandbox/")
        tab.until("document.querySelector('#state')?.dataset.state === 'live'", 15)
        sandbox.stop()
        reads(tab, "#state", "The sandbox has stopped")


SCROLL = """
new Promise((done) => {
  const list = document.querySelector('#list-requests');
  const steps = 90, frames = [], whole = list.scrollHeight - list.clientHeight;
  let step = 0, last = performance.now();
  const next = (now) => {
    frames.push(now - last); last = now;
    if (step++ === steps) return done(frames.slice(2).sort((a, b) => a - b));
    list.scrollTop = whole * step / steps;
    requestAnimationFrame(next);
  };
  requestAnimationFrame(next);
})
"""


@pytest.mark.flaky(reruns=2)
def test_fifty_thousand_requests_do_not_slow_it(
    browser: Browser, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    """The page answers at once while it reads, draws few rows, and scrolls from end to end smoothly."""
    fill(sandbox, MANY)
    with browser.tab() as tab:
        tab.size(1280, 860)
        began = time.monotonic()
        tab.open(f"{sandbox.url}/#requests")
        tab.until(f"{ROWS} > 5 && document.querySelector('#list-requests .said')", 15)
        interactive = time.monotonic() - began
        tab.until("document.querySelector('#state').dataset.state === 'live'", 20)
        complete = time.monotonic() - began
        reads(tab, "#requests-total", "50,000 requests")

        frames = tab.run(SCROLL)
        rows = tab.run(ROWS)
        tab.until("document.querySelector('#list-requests .row:last-child .said')")

        searched = time.monotonic()
        tab.run("document.querySelector('#search').focus()")
        tab.type("chekout")
        reads(tab, "#requests-total", "500 requests")
        found = time.monotonic() - searched
        assert tab.told == []

    median, worst = frames[len(frames) // 2], frames[int(len(frames) * 0.95)]
    with capsys.disabled():
        print(
            f"\npage with {MANY} requests: first rows {interactive:.2f} s, all read {complete:.2f} s, "
            f"scroll frame median {median:.0f} ms, p95 {worst:.0f} ms, search {found:.2f} s, {rows} rows"
        )
    assert interactive < 3
    assert complete < 15
    assert rows < 80
    assert median < 34
    assert worst < 150
    assert found < 3


def fill(sandbox: Sandbox, many: int) -> None:
    """Beacons as the sandbox notes them, without sending each."""
    now = int(time.time() * 1000)
    finding = Finding("unknown_timer:Chekout", "error", "No timer of this app has the label `Chekout`.")
    for number in range(many):
        sandbox.inbox.add(
            Beacon(
                vendor="mpulse",
                kind="beacon",
                method="GET",
                path="/17de4c15/",
                arrived_unix_ms=now - (many - number) * 10,
                status=204,
                pairs=(("api", "1"), ("t_other", f"custom{number % 50}|{number % 997}")),
                findings=(finding,) if number % 100 == 0 else (),
                timers=(Timer(f"Timer {number % 50}", number % 997),),
            )
        )
