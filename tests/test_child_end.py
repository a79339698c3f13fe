"""What a child process of multiprocessing records just before it ends, without any shutdown."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from otel_vendor_exporters.sandbox import MPulseApp, Sandbox

ROOT = Path(__file__).parents[1]
SCRIPT = '''
"""python script.py METHOD parent|child SETTINGS: a child of this kind; who sets telemetry up."""
import json, logging, multiprocessing, sys
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from instrumentation import EventHandler, counted, timed
from otel_vendor_exporters.mpulse import MPulseMetricExporter, MPulseSpanExporter

log = logging.getLogger("shop")
log.setLevel(logging.INFO)

def set_up(mpulse, mparticle):
    tracing = TracerProvider()
    tracing.add_span_processor(BatchSpanProcessor(MPulseSpanExporter(**mpulse)))
    trace.set_tracer_provider(tracing)
    metrics.set_meter_provider(MeterProvider([PeriodicExportingMetricReader(MPulseMetricExporter(**mpulse))]))
    log.addHandler(EventHandler(exporters={"mparticle": mparticle}, code=False))

@timed("Checkout")
@counted("Orders")
def order(who):
    log.info("x", extra={"event": who, "user.id": "u-1"})

def child(settings):
    if settings:
        set_up(*settings)
    order("child")

if __name__ == "__main__":
    method, where, settings = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    if where == "parent":
        set_up(*settings)
        order("parent")
    arguments = [settings] if where == "child" else [None]
    process = multiprocessing.get_context(method).Process(target=child, args=arguments)
    process.start()
    process.join()
    sys.exit(process.exitcode)
'''


def run(tmp_path: Path, method: str, where: str, sandbox: Sandbox, **settings: object) -> float:
    """Run the script to its end; how long that took."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    known = [{**sandbox.mpulse_settings, **settings}, {**sandbox.mparticle_settings, **settings}]
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, str(script), method, where, json.dumps(known)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=60,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return time.monotonic() - began


def received(sandbox: Sandbox) -> tuple[list[str], object, list[str]]:
    """Timers, metrics and events by name."""
    timers = [name for name, _ in sandbox.received.timers]
    events = sorted(event.name for event in sandbox.received.mparticle.events)
    return timers, sandbox.received.metrics, events


@pytest.fixture
def shop() -> MPulseApp:
    return MPulseApp(timers=("Checkout",), metrics={"Orders": "Number"})


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_child_sends_what_it_recorded_before_it_ends(tmp_path: Path, shop: MPulseApp, method: str) -> None:
    """Spans, counts and log calls of a child that sets telemetry up and ends at once arrive."""
    with Sandbox(mpulse=shop) as sandbox:
        run(tmp_path, method, "child", sandbox)

        assert received(sandbox) == (["Checkout"], {"Orders": 1}, ["child"])


def test_a_forked_child_sends_by_what_its_parent_set_up(tmp_path: Path, shop: MPulseApp) -> None:
    """Spans and log calls of it arrive; counts of a parent are not sent by both."""
    with Sandbox(mpulse=shop) as sandbox:
        run(tmp_path, "fork", "parent", sandbox)

        timers, metrics, events = received(sandbox)
        assert (timers, events) == (["Checkout"] * 2, ["child", "parent"])
        assert metrics == {"Orders": 1}


@pytest.mark.parametrize("condition", ["down", "slow"])
def test_a_child_is_not_held_up(tmp_path: Path, shop: MPulseApp, condition: str) -> None:
    """Vendors that are down or slow delay its end by their timeouts and no longer."""
    with Sandbox(mpulse=shop) as sandbox:
        sandbox.become("mpulse", condition)
        sandbox.become("mparticle", condition)

        assert run(tmp_path, "fork", "child", sandbox, timeout=0.5) < 10
