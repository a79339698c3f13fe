"""
Runs a command with the sandbox in the vendors' place: its settings in the environment, as they would be set.

Servers are visited over HTTP and then ended by SIGTERM, as their operators end them.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sysconfig
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import requests

from otel_vendor_exporters.sandbox import Sandbox

ROOT = Path(__file__).parent.parent
VISITORS = (("u-1", "DE"), ("u-2", "FR"))
START_SECONDS = 30
END_SECONDS = 30
GUNICORN_OPTIONS = "--graceful-timeout 10 --log-level warning"


def run(sandbox: Sandbox, command: str, **environment: str) -> int:
    """Run a program that ends by itself; its exit status."""
    with _started(sandbox, command, environment) as process:
        return process.wait(END_SECONDS)


def serve(
    sandbox: Sandbox,
    command: str,
    visits: Sequence[str],
    *,
    before_end: Callable[[], object] | None = None,
    **environment: str,
) -> int:
    """
    Run a server until every visitor has made the visits ("POST /path"); its exit status.

    `before_end` is called before it is told to end.
    """
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    where = {
        "UVICORN_PORT": str(port),
        "UVICORN_LOG_LEVEL": "warning",
        "GUNICORN_CMD_ARGS": f"--bind 127.0.0.1:{port} {GUNICORN_OPTIONS}",
    }
    with _started(sandbox, command, {**where, **environment}) as process:
        _wait_for(port, process)
        for user, country in VISITORS:
            for visit in visits:
                status = _visit(port, visit, {"X-User": user, "X-Country": country})
                print(f"  {user}: {visit}: {status}", flush=True)
        if before_end is not None:
            before_end()
        process.send_signal(signal.SIGTERM)
        ended = process.wait(END_SECONDS)
    return 0 if ended == -signal.SIGTERM else ended


def _visit(port: int, visit: str, headers: Mapping[str, str]) -> int:
    method, path = visit.split()
    return requests.request(method, f"http://127.0.0.1:{port}{path}", headers=headers, timeout=10).status_code


@contextmanager
def _started(
    sandbox: Sandbox, command: str, environment: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """The command in a shell of its own process group, which ends with the block whatever happens."""
    print(f"$ {command}", flush=True)
    with subprocess.Popen(
        ["/bin/sh", "-c", f"exec env {command}"],
        cwd=ROOT,
        env=_environment(sandbox) | environment,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def _environment(sandbox: Sandbox) -> dict[str, str]:
    """What an operator would set, and nothing of this machine's own telemetry."""
    given = (
        ("MPULSE", sandbox.mpulse_settings),
        ("MPARTICLE", sandbox.mparticle_settings),
        ("MPARTICLE", sandbox.mparticle_pixel_settings),
        ("MPARTICLE_ANALYTICS", sandbox.mparticle_analytics_settings),
    )
    settings = {
        f"OTEL_EXPORTER_{vendor}_{name.upper()}": str(value)
        for vendor, values in given
        for name, value in values.items()
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])
    return {**inherited, "PATH": path, "PYTHONPATH": str(ROOT), **settings}


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _listens(port):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the server did not start within {START_SECONDS} s")
        time.sleep(0.05)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
