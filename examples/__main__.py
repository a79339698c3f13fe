"""
Run an example against the sandbox: `python -m examples vendor_down.py`; without a name, all of them.

Starts a sandbox, runs the command that the example's own text gives, and prints what the vendors received.
The exit status is 1 when a vendor would have thrown something away.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from examples.against_sandbox import run, serve
from otel_vendor_exporters.sandbox import MPulseApp, Received, Sandbox

FOLDER = Path(__file__).parent
ORDERS = ("POST /checkout/lamp", "POST /checkout/chair")


def _program(command: str) -> Callable[[Sandbox], int]:
    return lambda sandbox: run(sandbox, command)


def _server(command: str) -> Callable[[Sandbox], int]:
    return lambda sandbox: serve(sandbox, command, ORDERS)


def _vendor_down(sandbox: Sandbox) -> int:
    """mPulse is overloaded when the first beacon comes, and asks for some rest."""
    sandbox.answer_next(503, on="beacon", headers={"Retry-After": "2"})
    return run(sandbox, "python examples/vendor_down.py")


def _gunicorn_spool(sandbox: Sandbox) -> int:
    """mPulse is down from the first visit until gunicorn has ended; then gunicorn starts again."""
    command = "gunicorn --workers 2 --preload examples.gunicorn_spool:app"
    with tempfile.TemporaryDirectory() as spool:
        sandbox.answer_next(503, times=1_000_000)
        # Not at once: gunicorn loses a SIGTERM that comes while one of its workers starts.
        first = serve(sandbox, command, ORDERS, before_end=lambda: time.sleep(1), SPOOL=spool)
        print(f"  while mPulse was down it received {len(sandbox.received.timers)} timings")
        sandbox.reset()
        return first or serve(
            sandbox,
            command,
            ORDERS[:1],
            before_end=lambda: sandbox.received.wait_for(lambda received: len(received.timers) == 6, 15),
            SPOOL=spool,
        )


EXAMPLES: Mapping[str, Callable[[Sandbox], int]] = {
    "direct_clients.py": _program("python examples/direct_clients.py"),
    "metrics_only.py": _program("python examples/metrics_only.py"),
    "dict_config.py": _program("python examples/dict_config.py"),
    "fastapi_visitors.py": _server("uvicorn examples.fastapi_visitors:app"),
    "environment.sh": _server("sh examples/environment.sh"),
    "otel.yaml": _server(
        "OTEL_CONFIG_FILE=examples/otel.yaml opentelemetry-instrument gunicorn examples.plain_app:app"
    ),
    "functions.sh": _server("sh examples/functions.sh"),
    "vendor_down.py": _vendor_down,
    "gunicorn_spool.py": _gunicorn_spool,
}


def main() -> int:
    """Run the examples named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m examples", description="Run examples.")
    parser.add_argument("example", nargs="*", help=", ".join(EXAMPLES))
    names = parser.parse_args().example or list(EXAMPLES)
    unknown = [name for name in names if name not in EXAMPLES]
    if unknown:
        parser.error(f"there is no example {unknown[0]}: choose from {', '.join(EXAMPLES)}")
    return max([show(name) for name in names])


def show(name: str) -> int:
    """Run one example and print what the vendors received of it."""
    print(f"== {name}")
    with Sandbox(mpulse=MPulseApp.from_file(FOLDER / "definitions.json")) as sandbox:
        status = EXAMPLES[name](sandbox)
        report(sandbox.received)
        print()
        return 1 if status or sandbox.received.findings else 0


def report(received: Received) -> None:
    """What the vendors would have counted, and what they would have thrown away."""
    for line in (*_of_mpulse(received), *_of_mparticle(received), *_of_analytics(received)):
        print(line)
    print(f"Findings: {len(received.findings) or 'none'}")
    for finding in received.findings:
        print(f"  {finding.code}: {finding.sentence}")


def _of_mpulse(received: Received) -> Iterator[str]:
    for beacon in received.beacons:
        where = [f"{name}={value}" for name, value in beacon.dimensions]
        where += [f"page group={beacon.page_group}"] if beacon.page_group else []
        of = f" ({', '.join(where)})" if where else ""
        for timer in beacon.timers:
            yield f"mPulse received the timer {timer.name}: {timer.milliseconds} ms{of}"
        for metric in beacon.metrics:
            yield f"mPulse received the metric {metric.name}: {metric.amount:g}{of}"


def _of_mparticle(received: Received) -> Iterator[str]:
    for user in received.mparticle.users:
        who = ", ".join(user.identities.values())
        for event in user.events:
            yield f"mParticle received of {who} the {event.type} {event.name}{_listed(event.attributes)}"


def _of_analytics(received: Received) -> Iterator[str]:
    for event in received.mparticle_analytics.events:
        yield f"Analytics received of {event.user_id} the event {event.name}{_listed(event.properties)}"


def _listed(attributes: Mapping[str, object]) -> str:
    said = ", ".join(f"{name}={value}" for name, value in attributes.items())
    return f" ({said})" if said else ""


if __name__ == "__main__":
    sys.exit(main())
