"""`python -m otel_vendor_exporters` in a process of its own, with nothing but the settings it is given."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from otel_vendor_exporters import cli
from otel_vendor_exporters.sandbox import Sandbox

ROOT = Path(__file__).parent.parent
WAIT_SECONDS = 20
PREFIX = "OTEL_EXPORTER_"


@dataclass(frozen=True)
class Call:
    """How it ended, and what it said."""

    status: int
    out: str
    err: str

    @property
    def form(self) -> Any:
        """What it said with --json."""
        return json.loads(self.out)

    def findings(self, section: str) -> dict[str, tuple[str, str]]:
        """Of the doctor, for one section: code to level and sentence. Codes stand once, except names."""
        (found,) = (one for one in self.form["sections"] if one["name"] == section)
        return {one["code"]: (one["level"], one["sentence"]) for one in found["findings"]}

    def levels(self, section: str) -> dict[str, str]:
        """Code to level."""
        return {code: level for code, (level, _) in self.findings(section).items()}


def call(*arguments: str, **environment: str) -> Call:
    """Run the command to its end. Warnings of Python's are errors."""
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-m", "otel_vendor_exporters", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8", **environment},
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )
    return Call(ended.returncode, ended.stdout, ended.stderr)


@contextmanager
def sandbox_started(command: str, folder: Path, environment: dict[str, str]) -> Iterator[tuple[str, str]]:
    """A line of a shell that starts a sandbox, on a free port: what it printed, and where its page is."""
    with subprocess.Popen(
        ["bash", "-c", f"exec {command.strip()} --port 0"],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            lines = [process.stdout.readline()]
            while lines[-1] and not lines[-1].startswith("See it live: "):
                lines.append(process.stdout.readline())
            assert lines[-1], "".join(lines)
            yield "".join(lines), lines[-1].split()[-1]
        finally:
            process.terminate()


def here(*arguments: str) -> int:
    """Run the command in this process: for what ends before anything is asked or sent."""
    try:
        return cli.main(arguments)
    except SystemExit as ended:  # argparse's way
        return int(ended.code or 0)


def mpulse_environment(sandbox: Sandbox, **changes: str) -> dict[str, str]:
    """The variables that point mPulse's exporters at the sandbox."""
    return _variables("MPULSE", {**sandbox.mpulse_settings, **changes})


def mparticle_environment(sandbox: Sandbox, **changes: str) -> dict[str, str]:
    """The variables that point mParticle's exporters at the sandbox."""
    settings = {**sandbox.mparticle_settings, "environment": "development", **changes}
    return _variables("MPARTICLE", settings)


def analytics_environment(sandbox: Sandbox, **changes: str) -> dict[str, str]:
    """The variables that point mParticle Analytics' exporters at the sandbox."""
    return _variables("MPARTICLE_ANALYTICS", {**sandbox.mparticle_analytics_settings, **changes})


def _variables(vendor: str, settings: dict[str, Any]) -> dict[str, str]:
    return {f"{PREFIX}{vendor}_{name.upper()}": str(value) for name, value in settings.items()}
