"""A sandbox with the app of contract 3.3, a clock that can be set forward, and a client made of sockets."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from otel_vendor_exporters.sandbox import MPulseApp, Sandbox
from tests.sandbox.browser import Browser, Tab, executable, running_browser
from tests.sandbox.wire import MovableTime, Wire


@pytest.fixture
def moment() -> MovableTime:
    """The emulator's time."""
    return MovableTime()


@pytest.fixture
def sandbox(moment: MovableTime) -> Iterator[Sandbox]:
    """Defines MyTimer, Code Timer, MyMetric, Revenue (Currency) and Visibility State."""
    with Sandbox(mpulse=MPulseApp(now=moment)) as running:
        yield running


@pytest.fixture
def wire(sandbox: Sandbox) -> Wire:
    """A client of the sandbox."""
    return Wire(sandbox)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One Chromium for all tests of a file."""
    if executable() is None:
        why = "no chromium on this machine (Debian: apt-get install chromium)"
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)
    with running_browser(tmp_path_factory.mktemp("chromium")) as running:
        yield running


@pytest.fixture
def tab(browser: Browser, sandbox: Sandbox) -> Iterator[Tab]:
    """The open page; whatever a test does, the page reports no error of its own."""
    with browser.tab() as tab:
        tab.size(1280, 860)
        tab.open(f"{sandbox.url}/")
        tab.until("document.querySelector('#state')?.dataset.state === 'live'", 15)
        yield tab
        assert tab.told == []
