"""
The main job, as README's first command runs it: shop, load and sandbox in one go, no account needed.

Starts the local sandbox in place of mPulse, the shop as a real web server with its telemetry, sends it a
few hundred real requests, shuts telemetry down as a service would, and prints what each vendor received.
"""

from __future__ import annotations

import logging
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from werkzeug.serving import make_server

from examples.shop import app, shipping, telemetry
from otel_vendor_exporters.sandbox import AnalyticsReceived, MParticleReceived, MPulseApp, Received, Sandbox


def main() -> int:
    """Run everything; the exit code is 1 when a vendor would have thrown something away."""
    os.environ["NO_PROXY"] = "127.0.0.1"  # all of this happens on one machine
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # the report is what is to be seen
    mpulse = MPulseApp(timers=telemetry.TIMERS, metrics=telemetry.METRICS, dimensions=telemetry.DIMENSIONS)
    with Sandbox(mpulse=mpulse) as sandbox:
        providers = telemetry.start(
            sandbox.mpulse_settings, sandbox.mparticle_settings, sandbox.mparticle_analytics_settings
        )
        shipping.set_up_log(sandbox.mparticle_settings)
        began = time.monotonic()
        with shop() as url:
            requests = visitors(url)
        shipping.ship(app.orders_to_ship)
        for provider in providers:
            provider.shutdown()
        logging.shutdown()
        seconds = time.monotonic() - began
        print(f"{requests} requests to the shop in {seconds:.1f} s\n")
        return report(sandbox)


def visitors(url: str) -> int:
    """Let the visitors come; how many requests they made."""
    command = [sys.executable, "-m", "examples.shop.load", url]
    return int(subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=120).stdout)


@contextmanager
def shop() -> Iterator[str]:
    """The shop, served on a free port of this machine; its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    server = make_server("127.0.0.1", port, app.create_app(url), threaded=True)
    thread = threading.Thread(target=server.serve_forever, name="shop")
    thread.start()
    try:
        yield url
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def report(sandbox: Sandbox) -> int:
    """Print what each vendor received; 1 if anything of it would have been thrown away."""
    report_mpulse(sandbox.received)
    report_mparticle(sandbox.received.mparticle)
    report_analytics(sandbox.received.mparticle_analytics)
    findings = sandbox.received.findings
    print(f"Findings (what the real vendors would have thrown away): {len(findings) or 'none'}")
    for finding in findings[:20]:
        print(f"  {finding.code}: {finding.sentence}")
    return 1 if findings else 0


def report_mpulse(received: Received) -> None:
    """Timers and metrics."""
    values = defaultdict(list)
    for name, milliseconds in received.timers:
        values[name].append(milliseconds)
    sessions: dict[str, Counter[str]] = defaultdict(Counter)
    for beacon in received.beacons:
        if beacon.session:
            sessions[beacon.session.id].update(name for name, _ in beacon.timers)
    browsers = [session for session in sessions if session.startswith("browser-")]
    print(
        f"mPulse received {len(received.beacons)} beacons of {len(sessions)} sessions, "
        f"{len(browsers)} of them begun by browsers"
    )
    busiest = max(browsers, key=lambda session: sessions[session].total())
    print(f"  in {busiest}: {listed(sessions[busiest])}")
    print(f"  {'custom timer':<16}{'count':>7}{'median ms':>11}{'max ms':>9}")
    for name, times in sorted(values.items()):
        print(f"  {name:<16}{len(times):>7}{statistics.median(times):>11.0f}{max(times):>9}")
    print(f"  {'custom metric':<16}{'total':>7}")
    for name, total in sorted(received.metrics.items()):
        print(f"  {name:<16}{total:>7,.0f}")
    countries = Counter(dict(beacon.dimensions).get("Country", "-") for beacon in received.beacons)
    print(f"  beacons by Country: {listed(countries)}")
    groups = Counter(beacon.page_group or "-" for beacon in received.beacons)
    print(f"  beacons by page group: {listed(groups)}\n")


def report_mparticle(received: MParticleReceived) -> None:
    """Users and their events."""
    users = received.users
    print(f"mParticle received {len(received.events)} events of {len(users)} users")
    for kind, count in sorted(Counter(event.type for event in received.events).items()):
        print(f"  {kind:<16}{count:>7}")
    busiest = max(users, key=lambda user: len(user.events))
    print(f"  one of them, {busiest.identities.get('customer_id')}, in order:")
    print(f"    {', '.join(event.type for event in busiest.events)}\n")


def report_analytics(received: AnalyticsReceived) -> None:
    """Users and their event streams."""
    users = received.users
    merged = sum(len(user.ids) > 1 for user in users)
    print(
        f"mParticle Analytics received {len(received.events)} events of {len(users)} users, {merged} merged"
    )
    for name, count in sorted(Counter(event.name for event in received.events).items()):
        print(f"  {name:<16}{count:>7}")
    calls = Counter(call.kind for call in received.calls)
    print(f"  in so many calls: {listed(calls)}\n")


def listed(counts: Counter[str]) -> str:
    """The counts in one line."""
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))


if __name__ == "__main__":
    sys.exit(main())
