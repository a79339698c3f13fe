"""
The published decorators that `timed` is compared with, each recording a span and handing it over.

They are found when they are installed: the extra `peers`. Missing ones are told and
left out, since none of them is needed for anything else here.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from opentelemetry import trace

Function = Callable[[], object]


@dataclass(frozen=True)
class Peer:
    """An empty function under somebody's decorator."""

    title: str
    decorated: Function


def peers() -> Iterator[Peer]:
    """Those that are installed, set up so that every call is recorded and nothing leaves this machine."""
    for title, decorate in _PEERS.items():
        try:
            yield Peer(title, decorate())
        except ImportError as missing:  # noqa: PERF203 - three of them
            print(f"{f'timed / {title}':52} not compared: {missing.name} is not installed")


def empty() -> None:
    pass


def _opentelemetry() -> Function:
    return trace.get_tracer("bench").start_as_current_span("empty")(empty)


def _logfire() -> Function:
    import logfire  # type: ignore[import-not-found,unused-ignore]  # is not needed elsewhere
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    from tests.benchmarks.bench_decorators import Discard

    instance = logfire.configure(
        local=True,  # its providers are its own: the global ones are those that `timed` uses
        send_to_logfire=False,
        console=False,
        metrics=False,
        additional_span_processors=[BatchSpanProcessor(Discard())],
    )
    decorated: Function = instance.instrument("empty", extract_args=False)(empty)
    return decorated


def _ddtrace() -> Function:
    # What a call costs includes handing its span over, so there is an agent, on this machine, that takes it.
    os.environ["DD_TRACE_AGENT_URL"] = f"http://127.0.0.1:{_sink_port()}"
    os.environ["DD_INSTRUMENTATION_TELEMETRY_ENABLED"] = "false"
    os.environ["DD_REMOTE_CONFIGURATION_ENABLED"] = "false"
    from ddtrace.trace import tracer  # type: ignore[import-not-found,unused-ignore]  # is not needed elsewhere

    decorated: Function = tracer.wrap("empty")(empty)
    return decorated


def _sink_port() -> int:
    """The port of a sink that takes everything, and ends with this process."""
    command = [sys.executable, str(Path(__file__).with_name("sink.py"))]
    sink = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert sink.stdout is not None
    return int(sink.stdout.readline())


_PEERS: dict[str, Callable[[], Function]] = {
    "OpenTelemetry's own decorator": _opentelemetry,
    "logfire's": _logfire,
    "ddtrace's": _ddtrace,
}
