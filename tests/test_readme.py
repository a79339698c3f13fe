"""README is true: its tables come from the declarations, and its blocks run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from platform import python_version

import pytest

from otel_vendor_exporters.instrumentor import InstrumentorSettings
from otel_vendor_exporters.mparticle import MParticleSettings
from otel_vendor_exporters.mparticle_analytics import AnalyticsSettings
from otel_vendor_exporters.mpulse.settings import ENVIRONMENT_PREFIX, MPulseSettings
from otel_vendor_exporters.sandbox import MParticleApp, MPulseApp, Sandbox
from otel_vendor_exporters.settings import table

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
SETTINGS: dict[str, tuple[type, str]] = {
    "mpulse": (MPulseSettings, ENVIRONMENT_PREFIX),
    "mparticle": (MParticleSettings, "OTEL_EXPORTER_MPARTICLE_"),
    "mparticle_analytics": (AnalyticsSettings, "OTEL_EXPORTER_MPARTICLE_ANALYTICS_"),
    "instrumentor": (InstrumentorSettings, "OTEL_VENDOR_"),
}


def settings_table(vendor: str) -> str:
    """The settings of a vendor as README shows them."""
    settings, prefix = SETTINGS[vendor]
    rows = []
    for row in table(settings, prefix):
        default = row.default if row.default in ("required", "none") else f"`{row.default}`"
        default = default.replace(python_version(), "3.x.y")
        rows.append(f"| `{row.name}` | {default} | {row.sentence} |")
    return "\n".join(["| setting | default | |", "|---|---|---|", *rows])


def blocks(language: str) -> list[str]:
    """README's code blocks in a language, unindented where they stand in a list."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", README, re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", text, flags=re.MULTILINE) for indent, text in found]


@pytest.mark.parametrize("vendor", SETTINGS)
def test_the_settings_tables_are_the_declarations(vendor: str) -> None:
    """Every setting stands in README, with its default and its sentence."""
    shown = README.split(f"<!-- settings {vendor} -->\n")[1].split("<!-- end -->")[0].strip()
    assert shown == settings_table(vendor)


@pytest.mark.parametrize("block", blocks("python"), ids=range(len(blocks("python"))))
def test_python_blocks_run(block: str, tmp_path: Path) -> None:
    """Each Python block of README runs as it stands, and a vendor receives what it sends without findings."""
    mpulse = MPulseApp(timers=("Checkout",), dimensions=("Country",))
    mparticle = MParticleApp(api_key="us1-0123456789abcdef0123456789abcdef", api_secret="secret")
    script = tmp_path / "block.py"
    script.write_text(block)
    with Sandbox(mpulse=mpulse, mparticle=mparticle) as sandbox:
        given = {
            "MPULSE": sandbox.mpulse_settings,
            "MPARTICLE": sandbox.mparticle_settings,
            "MPARTICLE_ANALYTICS": sandbox.mparticle_analytics_settings,
        }
        environment = {
            f"OTEL_EXPORTER_{vendor}_{name.upper()}": str(value)
            for vendor, settings in given.items()
            for name, value in settings.items()
        }
        command = [sys.executable, "-W", "error", str(script)]
        subprocess.run(command, env=environment, cwd=ROOT, check=True, timeout=60)
        received = sandbox.received
    names = [event.data["event_name"] for event in received.mparticle.events]
    tracked = [event.name for event in received.mparticle_analytics.events]
    assert ([name for name, _ in received.timers], names, tracked) in (
        (["Checkout"], [], []),
        ([], ["Signed up"], []),
        ([], [], ["Registration"]),
    )
    assert not received.findings


if __name__ == "__main__":  # writes the tables into README
    text = README
    for name in SETTINGS:
        before, marker, rest = text.partition(f"<!-- settings {name} -->\n")
        text = before + marker + settings_table(name) + "\n<!-- end -->" + rest.split("<!-- end -->", 1)[1]
    (ROOT / "README.md").write_text(text)
