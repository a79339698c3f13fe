"""The sandbox's page for keyboards, screen readers, eyes and phones, in a real headless Chromium."""

from __future__ import annotations

import time

import pytest

from tests.sandbox.browser import ROWS, Tab, reads, show
from tests.sandbox.wire import Wire, eventually

PHONE = (360, 740)


def test_the_keyboard_is_enough(tab: Tab, wire: Wire) -> None:
    """Tab, arrows, Enter and Escape reach tabs, switches, lists and details; focus comes back."""
    for number in range(40):
        wire.beacon({"t_other": f"custom0|{number}"})
    focused = "document.activeElement.id"
    seen = []
    for _ in range(6):
        tab.press("Tab")
        seen.append(tab.run(focused))
    assert seen[1:5] == ["search", "pause", "clear", "tab-mpulse"]
    assert tab.run("document.activeElement.name") == "condition-mpulse"

    tab.press("ArrowRight")
    assert eventually(lambda: wire.config().status == 429)
    tab.run("document.querySelector('#tab-mpulse').focus()")
    tab.press("End")
    assert tab.run(focused) == "tab-names"
    tab.press("ArrowLeft")
    assert tab.run(focused) == "tab-requests"
    tab.until(f"{ROWS} > 10")
    while tab.run(focused) != "list-requests":
        tab.press("Tab")
    tab.press("ArrowDown", times=2)
    tab.press("Enter")
    reads(tab, "#detail-title", "Request")
    assert tab.run("document.querySelector('#detail').contains(document.activeElement)")
    tab.press("Escape")
    assert tab.run(focused) == "list-requests"
    tab.press("End")
    active = "document.getElementById(document.activeElement.getAttribute('aria-activedescendant'))"
    tab.until(f"{active}?.getAttribute('aria-posinset') === {active}?.getAttribute('aria-setsize')")


def test_everything_has_a_name_and_news_are_announced(tab: Tab, wire: Wire) -> None:
    """Every control has an accessible name; what arrives is said politely."""
    wire.beacon({"t_other": "custom0|1"})
    tab.call("Accessibility.enable")
    for name in ("mpulse", "findings", "requests", "names"):
        show(tab, name)
        nodes = tab.call("Accessibility.getFullAXTree")["nodes"]
        roles = ("button", "tab", "radio", "searchbox", "combobox", "listbox", "tabpanel", "dialog")
        for node in nodes:
            if node.get("role", {}).get("value") in roles and not node["ignored"]:
                assert node.get("name", {}).get("value"), node
    live = "document.querySelector('#announcer')"
    assert tab.run(f"{live}.getAttribute('aria-live')") == "polite"
    tab.until(f"{live}.textContent.includes('2 requests')", 10)


CONTRASTS = """
(() => {
  const paint = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgb = (c) => { paint.clearRect(0, 0, 1, 1); paint.fillStyle = c; paint.fillRect(0, 0, 1, 1);
    return [...paint.getImageData(0, 0, 1, 1).data]; };
  const light = (c) => { const [r, g, b] = c.map((v) => v / 255).map((v) => v <= .03928 ? v / 12.92 :
    ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b; };
  const behind = (e) => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor);
    if (c[3] === 255) return c; } return [255, 255, 255]; };
  const bad = [];
  for (const e of document.querySelectorAll('body *')) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.checkVisibility() || e.closest('.hidden, .skip, option')) continue;
    const [a, b] = [light(rgb(getComputedStyle(e).color)), light(behind(e))];
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) bad.push([e.className, e.textContent.slice(0, 40), ratio]);
  }
  return bad;
})()
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_are_readable(tab: Tab, wire: Wire, scheme: str) -> None:
    """It follows the system; every text stands out from what is behind it by 4.5 at least (WCAG AA)."""
    wire.beacon({"t_other": "custom0|1,Chekout|2", "cmet.Revenue": "1", "cdim.Visibility_State": "visible"})
    tab.click("#panel-mpulse input[value='503']")
    tab.scheme(scheme)
    reads(tab, "#panel-mpulse .strip.soft", "Playing")

    dark = tab.run("getComputedStyle(document.body).backgroundColor") == "rgb(14, 17, 22)"
    assert dark == (scheme == "dark")
    for name in ("mpulse", "mparticle", "findings", "requests", "names"):
        show(tab, name)
        time.sleep(0.2)  # what fades in has come
        assert tab.run(CONTRASTS) == [], name


# Buttons whose words do not stand in one line, or are cut.
BROKEN_BUTTONS = """
[...document.querySelectorAll('button')]
  .filter((b) => b.offsetHeight > 48 || b.scrollWidth > b.clientWidth + 1)
  .map((b) => b.textContent)
"""


def test_a_phone_shows_it_all(tab: Tab, wire: Wire) -> None:
    """On a narrow screen nothing sticks out to the side, long names included, and a finger can hit."""
    tab.size(*PHONE, mobile=True)
    wire.beacon({"t_other": f"custom0|1,{'x' * 90}|2", "h.pg": "y" * 200, "cmet.Revenue": "1"})
    reads(tab, "#panel-mpulse", "MyTimer")

    tops = set()
    for name in ("mpulse", "mparticle", "mparticle_analytics", "findings", "requests", "names"):
        show(tab, name)
        time.sleep(0.1)
        assert tab.run("document.documentElement.scrollWidth") == PHONE[0], name
        assert tab.run(BROKEN_BUTTONS) == [], name
        tops.add(tab.run("document.querySelector('.top').offsetHeight"))
    assert len(tops) == 1, "the page jumps when a tab is chosen"
    show(tab, "requests")
    tab.click("#list-requests .row")
    reads(tab, "#detail", "GET /17de4c15/")
    assert tab.run("document.documentElement.scrollWidth") == PHONE[0]
    small = (
        "[...document.querySelectorAll('button')].filter((b) => b.offsetHeight && b.offsetHeight < 24).length"
    )
    assert tab.run(small) == 0
    tab.press("Escape")
    tab.run("document.querySelectorAll('.tabs .count').forEach((one) => { one.textContent = '50,000' })")
    assert tab.run("document.documentElement.scrollWidth") == PHONE[0], "large counts"
