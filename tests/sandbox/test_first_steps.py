"""README's five minutes, step by step as they are printed there, before a real Chromium."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

from otel_vendor_exporters.cli import DEFAULT_PORT
from tests.command import sandbox_started
from tests.sandbox.browser import Browser, reads

ROOT = Path(__file__).parent.parent.parent
SECTION = (
    (ROOT / "README.md").read_text().split("## Your first timing, in five minutes\n")[1].split("\n## ")[0]
)
STEPS = [
    (language, textwrap.dedent(text))
    for language, text in re.findall(r"^ *```(\w+)\n(.*?)^ *```$", SECTION, re.MULTILINE | re.DOTALL)
]
README_ADDRESS = f"127.0.0.1:{DEFAULT_PORT}"


def folder_with_venv(folder: Path) -> Path:
    """What README's first step leaves behind: `.venv/bin/python`, with the library of this checkout."""
    python = folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    return folder


def test_the_first_steps_of_readme_are_seen(browser: Browser, tmp_path: Path) -> None:
    """As a new user: README's commands, its file under its name, and on the page what README promises."""
    (sh, install), (_, start), (python, code), (_, run) = STEPS
    assert (sh, python) == ("sh", "python")
    assert install.startswith("python3 -m venv .venv && .venv/bin/pip install ")
    (file,) = re.findall(r"Save this as `(.+?)`", SECTION)
    name, values, milliseconds = re.findall(
        r"The page shows.*: \*(.+)\*, (\d+ values?), .* (\d+) ms", SECTION
    )[0]
    folder = folder_with_venv(tmp_path)
    base = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    (folder / file).write_text(code)

    with sandbox_started(start, folder, base) as (printed, page), browser.tab() as tab:
        address = page.split("/")[2]
        exports = [line for line in run.splitlines() if line.startswith("export ")]
        assert [f"  {line.replace(README_ADDRESS, address)}" for line in exports] == [
            line for line in printed.splitlines() if "OTEL_EXPORTER_MPULSE_" in line
        ]
        tab.open(page)
        tab.until("document.querySelector('#state')?.dataset.state === 'live'", 15)

        command = run.replace(README_ADDRESS, address)
        subprocess.run(["bash", "-ec", command], cwd=folder, env=base, check=True, timeout=30)

        reads(tab, "[data-section='mpulse.timers']", name, values)
        shown = tab.text("[data-section='mpulse.timers']")
        median = re.search(r"median\s+(\d+) ms", shown)
        assert median is not None, shown
        assert int(milliseconds) <= int(median[1]) < int(milliseconds) + 100
        assert tab.text("#tab-findings") == "Findings"
        assert tab.told == []
