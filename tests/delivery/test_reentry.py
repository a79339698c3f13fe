"""Reentry: a signal handler or a finalizer that comes in while its thread is inside us never hangs it."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from otel_vendor_exporters.delivery import reentry
from otel_vendor_exporters.sandbox import Sandbox

ROOT = Path(__file__).parent.parent.parent


def test_what_comes_in_meanwhile_is_done_at_the_end_in_order() -> None:
    done: list[str] = []

    with reentry.scope:
        assert reentry.is_inside()
        reentry.do_later(lambda: done.append("first"))
        reentry.do_later(lambda: done.append("second"))
        assert done == []

    assert done == ["first", "second"]
    assert not reentry.is_inside()


def test_what_comes_in_while_the_end_is_made_is_done_too() -> None:
    done: list[str] = []
    with reentry.scope:
        reentry.do_later(lambda: reentry.do_later(lambda: done.append("nested")))
    assert done == ["nested"]


SETUP = """
    import gc, signal, sys, time
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from otel_vendor_exporters.mpulse import MPulseSpanExporter

    exporter = MPulseSpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    sent = []  # appending is one step, whatever thread does it

    def send(*_):
        sent.append(1)
        tracer.start_span("Checkout").end()

    def loop(seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            send()
"""
SIGNAL = """
    signal.signal(signal.SIGALRM, send)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    loop(1.0)
    signal.setitimer(signal.ITIMER_REAL, 0)
"""
FINALIZER = """
    class Ends:
        def __init__(self):
            self.itself = self
        def __del__(self):
            send()

    gc.set_threshold(40)
    end = time.monotonic() + 1.0
    while time.monotonic() < end:
        Ends()
        send()
    gc.set_threshold(700)
    gc.collect()  # what ends later finds a provider that is shut down
"""
END = """
    provider.shutdown()
    counts = exporter.ledger()
    assert counts.balanced, counts
    assert counts.seen == len(sent), (counts, len(sent))
    assert counts.accepted == len(sent)
"""


@pytest.mark.parametrize("way", [SIGNAL, FINALIZER], ids=["signal handler", "finalizer"])
def test_spans_that_end_inside_an_export_hang_nothing(sandbox: Sandbox, way: str) -> None:
    """Every one of them is seen, and has its column in the ledger."""
    settings = sandbox.mpulse_settings.items()
    environment = {f"OTEL_EXPORTER_MPULSE_{name.upper()}": str(value) for name, value in settings}
    script = "".join(textwrap.dedent(part) for part in (SETUP, way, END))

    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**environment, "OTEL_EXPORTER_MPULSE_TIMEOUT": "5"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=40,
    )

    assert done.returncode == 0, done.stderr
