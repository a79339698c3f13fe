"""Decorated functions whose names have spaces, as people type them into mPulse."""

from __future__ import annotations

import subprocess
import sys

import pytest

from otel_vendor_exporters.sandbox import MPulseApp, Sandbox

SCRIPT = """
from opentelemetry.metrics import set_meter_provider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

from instrumentation import counted, timed
from otel_vendor_exporters.mpulse import MPulseMetricExporter

provider = MeterProvider([PeriodicExportingMetricReader(MPulseMetricExporter(**{settings!r}))])
set_meter_provider(provider)

@timed({timer!r}, record="metric")
def look_up():
    pass

for name in {counters!r}:
    look_up = counted(name)(look_up)
for _ in range({calls}):
    look_up()
provider.shutdown()
"""


def sent(
    sandbox: Sandbox, counters: tuple[str, ...], timer: str, **settings: object
) -> tuple[object, list[str]]:
    """What mPulse received of three calls of a function decorated so: metrics, and names of timers."""
    known = {**sandbox.mpulse_settings, **settings}
    script = SCRIPT.format(settings=known, calls=3, counters=counters, timer=timer)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        check=False,
        timeout=30,
        capture_output=True,
        text=True,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert sandbox.received.findings == ()
    return sandbox.received.metrics, [name for name, _ in sandbox.received.timers]


NAMES = [
    ("Open carts", "Price lookup"),
    ("Order Ørsted (new)", "Zeit für Größe"),
    ("注文", "価格"),
    ("Open carts & more", "Open carts + more"),  # as instruments, both are open_carts___more
]


@pytest.mark.parametrize(("counter", "timer"), NAMES)
def test_names_arrive_as_they_are_defined(counter: str, timer: str) -> None:
    """Names that an instrument may not have feed what is called so in mPulse."""
    app = MPulseApp(timers=(timer,), metrics={counter: "Number"})
    with Sandbox(mpulse=app) as sandbox:
        assert sent(sandbox, (counter,), timer) == ({counter: 3}, [timer])


SETTINGS: list[dict[str, object]] = [
    {"metrics": {"Order Ørsted*": "Orders"}, "timers": {"zeit für*": "Wait"}},  # as given, in any case
    {"metrics": {"order__rsted__new_": "Orders"}, "timers": {"zeit_*": "Wait"}},  # as the instrument is named
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_names_go_through_the_settings(settings: dict[str, object]) -> None:
    """The `metrics` and `timers` settings match names as they were given, and as instruments have them."""
    app = MPulseApp(timers=("Wait",), metrics={"Orders": "Number"})
    with Sandbox(mpulse=app) as sandbox:
        assert sent(sandbox, ("Order Ørsted (new)",), "Zeit für Größe", **settings) == (
            {"Orders": 3},
            ["Wait"],
        )


def test_names_that_instruments_have_in_common_stay_apart() -> None:
    """Two counters whose instruments have one name feed two metrics."""
    app = MPulseApp(timers=("Wait",), metrics={"注文": "Number", "返品": "Number"})
    with Sandbox(mpulse=app) as sandbox:
        assert sent(sandbox, ("注文", "返品"), "Wait") == ({"注文": 3, "返品": 3}, ["Wait"])
