"""Under uWSGI itself: an exporter built before its workers fork, or in each of them, loses nothing."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from otel_vendor_exporters.sandbox import Sandbox
from tests.sandbox.wire import eventually

ROOT = Path(__file__).parent.parent
REQUESTS = 30
# A worker that is still busy with its last answer ends without what is registered with atexit; and now and
# then the interpreter of one that is idle, past all of that, does not end by itself.
IDLE_SECONDS = 0.3
MERCY_SECONDS = 5
APPLICATION = """
import os, sys
sys.path.insert(0, {root!r})
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from instrumentation import timed
from otel_vendor_exporters.mpulse import MPulseSpanExporter

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(MPulseSpanExporter(), schedule_delay_millis={delay_ms}))
trace.set_tracer_provider(provider)

@timed("Checkout")
def application(_, start_response):
    start_response("200 OK", [])
    return [b"%d" % os.getpid()]
"""
UWSGI = shutil.which("uwsgi", path=str(Path(sys.executable).parent))

pytestmark = pytest.mark.skipif(
    UWSGI is None, reason="pyuwsgi, which the development packages have on Linux, is not installed"
)


@contextmanager
def served(folder: Path, sandbox: Sandbox, *options: str, delay_ms: int) -> Iterator[str]:
    """The application under two workers, until a deploy ends them; its URL."""
    script = folder / "application.py"
    script.write_text(APPLICATION.format(root=str(ROOT), delay_ms=delay_ms))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    settings = {
        f"OTEL_EXPORTER_MPULSE_{name.upper()}": str(value) for name, value in sandbox.mpulse_settings.items()
    }
    command = [str(UWSGI), "--http-socket", f"127.0.0.1:{port}", "--master", "--processes", "2"]
    command += ["--worker-reload-mercy", str(MERCY_SECONDS), "--enable-threads", "--die-on-term"]
    command += ["--need-app", "--wsgi-file", str(script), *options]
    log = folder / "log"
    with (
        log.open("wb") as output,
        subprocess.Popen(command, env={**os.environ, **settings}, stdout=output, stderr=output) as process,
    ):
        try:
            until_ready(log, 2 if "--lazy-apps" in options else 1)
            yield f"http://127.0.0.1:{port}/"
            time.sleep(IDLE_SECONDS)
            process.send_signal(signal.SIGTERM)
            process.wait(20)
        finally:
            process.kill()
    assert "Traceback" not in log.read_text()


def until_ready(log: Path, applications: int) -> None:
    """Wait until the application is loaded so many times."""
    deadline = time.monotonic() + 20
    while log.read_text().count("WSGI app 0 (mountpoint='') ready") < applications:
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


@pytest.mark.parametrize("options", [(), ("--lazy-apps",)], ids=["built before the fork", "in each worker"])
@pytest.mark.parametrize("delay_ms", [50, 60_000], ids=["while they run", "when they end"])
def test_under_uwsgi_every_span_arrives(
    sandbox: Sandbox, tmp_path: Path, options: tuple[str, ...], delay_ms: int
) -> None:
    """Each worker's threads start late, in the worker; what they have not sent goes when the worker ends."""
    with served(tmp_path, sandbox, *options, delay_ms=delay_ms) as url:
        answers = [requests.get(url, timeout=5).status_code for _ in range(REQUESTS)]
        arrived = delay_ms > 1000 or eventually(lambda: len(sandbox.received.timers) == REQUESTS)

    assert (arrived, answers) == (True, [200] * REQUESTS)
    assert [name for name, _ in sandbox.received.timers] == ["Checkout"] * REQUESTS
    assert sandbox.received.findings == ()
