"""`doctor --json` for one vendor, as people run it, against the sandbox."""

from __future__ import annotations

from otel_vendor_exporters.sandbox import Sandbox
from tests.command import Call, call, mparticle_environment, mpulse_environment


def mpulse(sandbox: Sandbox, *arguments: str, **changes: str) -> Call:
    return call("doctor", "mpulse", "--json", *arguments, **mpulse_environment(sandbox, **changes))


def mparticle(sandbox: Sandbox, **changes: str) -> Call:
    return call("doctor", "mparticle", "--json", **mparticle_environment(sandbox, **changes))
