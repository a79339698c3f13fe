"""Decorated functions whose names have spaces, as people type them into mPulse."""

from __future__ import annotations

import subprocess
import sys

from otel_vendor_exporters.sandbox import MPulseApp, Sandbox

SCRIPT = """
from opentelemetry.metrics import set_meter_provider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

from instrumentation import counted, timed
from otel_vendor_exporters.mpulse import MPulseMetricExporter

provider = MeterProvider([PeriodicExportingMetricReader(MPulseMetricExporter(**{settings!r}))])
set_meter_provider(provider)

@counted("Open carts")
@timed("Price lookup", record="metric")
def look_up():
    pass

for _ in range({calls}):
    look_up()
provider.shutdown()
"""


def test_names_with_spaces_arrive_as_they_are_defined() -> None:
    """`@counted("Open carts")` and `@timed("Price lookup", record="metric")` feed what is called so."""
    app = MPulseApp(timers=("Price lookup",), metrics={"Open carts": "Number"})
    with Sandbox(mpulse=app) as sandbox:
        script = SCRIPT.format(settings=sandbox.mpulse_settings, calls=3)
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", script],
            check=False,
            timeout=30,
            capture_output=True,
            text=True,
        )

        assert (done.returncode, done.stderr) == (0, "")
        assert sandbox.received.metrics == {"Open carts": 3}
        assert [name for name, _ in sandbox.received.timers] == ["Price lookup"]
        assert sandbox.received.findings == ()
