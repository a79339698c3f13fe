"""What README shows of doctor is what doctor prints."""

from __future__ import annotations

import re
from pathlib import Path

from otel_vendor_exporters.sandbox import MPulseApp, Sandbox
from tests.command import call, mpulse_environment
from tests.readme_output import readme_output

CODE = 'from instrumentation import timed\n\n@timed("Chekout")\ndef add(): pass\n'


def findings(text: str) -> list[str]:
    """The vendor's part, a line each, without what differs from machine to machine."""
    part = text[text.index("\nmpulse\n") :]
    part = re.sub(r"\n +by default: .*?(?=\n  \w+ )", "\n  by default", part, flags=re.DOTALL)
    part = re.sub(r"\n {4,}", " ", part)  # what was wrapped
    lines = [re.sub(r"\s+", " ", line).strip() for line in part.splitlines() if "config_url" not in line]
    for pattern, told in (
        (r"127\.0\.0\.1|c\.go-mpulse\.net|\w+\.akstat\.io", "HOST"),
        (r"in [\d.]+ s", "in 0 s"),
        (r"settings: (\d+) are set, (\d+) by default", lambda found: str(int(found[1]) + int(found[2]))),
    ):
        lines = [re.sub(pattern, told, line) for line in lines]
    return [line for line in lines if line]


def test_doctor_prints_what_is_shown(tmp_path: Path) -> None:
    """With the shown command, against an app with the shown definitions."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "cart.py").write_text(CODE)
    with Sandbox(mpulse=MPulseApp(timers=("Checkout", "Search"), metrics={"Orders": "Number"})) as sandbox:
        ended = call("doctor", "mpulse", "--code", str(tmp_path / "shop"), **mpulse_environment(sandbox))

    shown = findings(readme_output("0 errors, 1 warning"))
    # config_url is set here beside the two that README shows
    assert findings(ended.out.replace(f"{tmp_path}/", "")) == shown
