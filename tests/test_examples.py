"""The examples run as they stand, against the sandbox, and lose nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_shop_shows_what_each_vendor_received() -> None:
    """README's first command: real requests, real telemetry, and nothing the vendors would throw away."""
    command = [sys.executable, "-W", "error", "-m", "examples.shop"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "360 requests to the shop" in done.stdout
    assert "mPulse received" in done.stdout
    assert "mParticle received 420 events of 40 users" in done.stdout
    assert "mParticle Analytics received 420 events of 40 users" in done.stdout
    assert "Findings (what the real vendors would have thrown away): none" in done.stdout
    assert done.stderr == ""
