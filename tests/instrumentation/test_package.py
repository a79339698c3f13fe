"""The package in a process of its own: what it loads, on which wrapt, and SDKs set up late."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def test_works_on_wrapt_in_pure_python() -> None:
    """All these tests hold when wrapt has no C extension."""
    environment = {**os.environ, "WRAPT_DISABLE_EXTENSIONS": "1"}
    itself = f"{Path(__file__).relative_to(REPOSITORY)}::test_works_on_wrapt_in_pure_python"
    command = [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", "--deselect", itself]
    command.append(str(Path(__file__).parent))

    run = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
    )

    assert run.returncode == 0, run.stdout


def test_import_needs_neither_sdk_nor_requests() -> None:
    """Importing and decorating loads the API and wrapt: no SDK, no requests."""
    code = (
        "import sys, instrumentation\n"
        "light = sorted(name for name in ('wrapt', 'asyncio') if name in sys.modules)\n"
        "instrumentation.timed(len)([])\n"
        "heavy = sorted(name for name in ('opentelemetry.sdk', 'requests') if name in sys.modules)\n"
        "print(light, heavy)"
    )

    run = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )

    assert run.stdout == "[] []\n"


def test_global_sdk_set_up_late_in_a_real_process() -> None:
    """With the public set-up functions, called after decoration, calls are recorded."""
    code = """
from instrumentation import counted, event, timed
functions = [decorate("late")(lambda: None) for decorate in (timed, counted, event)]
[function() for function in functions]
from opentelemetry import _logs, metrics, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor, InMemoryLogRecordExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
spans, logs, reader = InMemorySpanExporter(), InMemoryLogRecordExporter(), InMemoryMetricReader()
tracer_provider, logger_provider = TracerProvider(), LoggerProvider()
tracer_provider.add_span_processor(SimpleSpanProcessor(spans))
logger_provider.add_log_record_processor(SimpleLogRecordProcessor(logs))
trace.set_tracer_provider(tracer_provider)
metrics.set_meter_provider(MeterProvider([reader]))
_logs.set_logger_provider(logger_provider)
[function() for function in functions]
points = reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics[0].data.data_points
print(len(spans.get_finished_spans()), points[0].value, len(logs.get_finished_logs()))
"""
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )

    assert run.stdout == "1 1 1\n"


def test_provider_named_by_the_environment_is_loaded() -> None:
    """A tracer provider that the environment names is used without any set-up call."""
    code = (
        "from opentelemetry import trace\n"
        "from instrumentation import timed\n"
        "print(timed(lambda: trace.get_current_span().get_span_context().is_valid)())"
    )
    environment = {**os.environ, "OTEL_PYTHON_TRACER_PROVIDER": "sdk_tracer_provider"}

    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )

    assert run.stdout == "True\n"
