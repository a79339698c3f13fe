"""README is true: its tables come from the declarations, and its blocks run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from platform import python_version

import pytest

from otel_vendor_exporters.mpulse.settings import ENVIRONMENT_PREFIX, MPulseSettings
from otel_vendor_exporters.sandbox import MPulseApp, Sandbox
from otel_vendor_exporters.settings import table

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def settings_table() -> str:
    """The settings of mPulse as README shows them."""
    rows = []
    for row in table(MPulseSettings, ENVIRONMENT_PREFIX):
        default = row.default if row.default in ("required", "none") else f"`{row.default}`"
        default = default.replace(python_version(), "3.x.y")
        rows.append(f"| `{row.name}` | {default} | {row.sentence} |")
    return "\n".join(["| setting | default | |", "|---|---|---|", *rows])


def blocks(language: str) -> list[str]:
    """README's code blocks in a language, unindented where they stand in a list."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", README, re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", text, flags=re.MULTILINE) for indent, text in found]


def test_the_settings_table_is_the_declarations() -> None:
    """Every setting stands in README, with its default and its sentence."""
    shown = README.split("<!-- settings mpulse -->\n")[1].split("<!-- end -->")[0].strip()
    assert shown == settings_table()


@pytest.mark.parametrize("block", blocks("python"), ids=range(len(blocks("python"))))
def test_python_blocks_run(block: str, tmp_path: Path) -> None:
    """Each Python block of README runs as it stands, and the sandbox receives its timing without findings."""
    app = MPulseApp(timers=("Checkout",), dimensions=("Country",))
    script = tmp_path / "block.py"
    script.write_text(block)
    with Sandbox(mpulse=app) as sandbox:
        environment = {
            f"{ENVIRONMENT_PREFIX}{name.upper()}": str(value)
            for name, value in sandbox.mpulse_settings.items()
        }
        command = [sys.executable, "-W", "error", str(script)]
        subprocess.run(command, env=environment, cwd=ROOT, check=True, timeout=60)
        received = sandbox.received
    assert [name for name, _ in received.timers] == ["Checkout"]
    assert not received.findings


if __name__ == "__main__":  # prints the table, to be put into README
    print(settings_table())
