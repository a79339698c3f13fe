"""
Packages: versions of OpenTelemetry's that do not fit together.

Pure but for `installed`. Sources: the contract's "Version resolution" and the packages' own metadata. The two
families count side by side: 1.45.2 of API and SDK belongs to 0.66b2 of everything else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import distributions

from otel_vendor_exporters.doctor.report import Finding, Level

PREFIX = "opentelemetry-"
BETA_OFFSET = 21  # 0.66b2 came with 1.45.2
FIRST_WITH_PRESENT_WRAPT = 62  # 0.62b0: earlier ones want wrapt below 2
# What this library works with: pyproject.toml.
NEEDED: Mapping[str, tuple[tuple[int, int], tuple[int, int]]] = {
    "opentelemetry-api": ((1, 39), (2, 0)),
    "opentelemetry-sdk": ((1, 39), (2, 0)),
    "requests": ((2, 32), (99, 0)),
    "urllib3": ((2, 0), (3, 0)),
    "wrapt": ((1, 16), (3, 0)),
}
SET_THAT_FITS = "pip install --upgrade opentelemetry-sdk opentelemetry-distro opentelemetry-instrumentation"
_VERSION = re.compile(r"(\d+)\.(\d+)(?:\.(\d+)|b(\d+))?")
_PIN = re.compile(r"\s*([A-Za-z0-9._-]+)\s*\(?\s*==\s*([0-9][\w.]*)\s*\)?\s*$")


@dataclass(frozen=True, slots=True)
class Package:
    """An installed package: its version, and the versions it wants exactly of others."""

    version: str
    pins: Mapping[str, str]


def installed() -> dict[str, Package]:
    """The packages of this Python that matter here, by their usual names."""
    found: dict[str, Package] = {}
    for one in distributions():
        name = (one.metadata["Name"] or "").lower().replace("_", "-")
        if (name.startswith(PREFIX) or name in NEEDED) and name not in found:  # the first one is imported
            found[name] = Package(one.version, _pins(one.requires or ()))
    return found


def package_findings(packages: Mapping[str, Package]) -> Iterator[Finding]:
    """What does not fit; one sentence that all is well when everything does; and all versions."""
    findings = [finding for check in _CHECKS for finding in check(packages)]
    if all(finding.level < Level.WARNING for finding in findings):
        told = ", ".join(
            f"{name} {packages[name].version}"
            for name in ("opentelemetry-sdk", *_betas(packages)[:1])
            if name in packages
        )
        count = sum(name.startswith(PREFIX) for name in packages)
        sentence = f"{count} packages of OpenTelemetry fit together ({told})"
        findings.insert(0, Finding(Level.OK, "packages", "fit", sentence))
    versions = {name: package.version for name, package in sorted(packages.items())}
    yield from findings
    yield Finding(
        Level.INFO,
        "packages",
        "versions",
        ", ".join(f"{name.removeprefix(PREFIX)} {version}" for name, version in versions.items()),
        versions,
    )


def _needed(packages: Mapping[str, Package]) -> Iterator[Finding]:
    for name, (least, below) in NEEDED.items():
        package = packages.get(name)
        numbers = _numbers(package.version) if package else None
        if package is None or numbers is None or not least <= numbers[:2] < below:
            is_there = f"is {package.version}" if package else "is not installed"
            expected = f"at least {_dotted(least)}" + (f", below {_dotted(below)}" if below[0] < 99 else "")
            yield Finding(Level.ERROR, "packages", "unsupported", f"{name} {is_there}: expected {expected}")


def _siblings(packages: Mapping[str, Package]) -> Iterator[Finding]:
    """API and SDK are released as one."""
    api, sdk = packages.get("opentelemetry-api"), packages.get("opentelemetry-sdk")
    if api and sdk and api.version != sdk.version:
        sentence = f"opentelemetry-api is {api.version} and opentelemetry-sdk {sdk.version}: take one version"
        yield Finding(Level.ERROR, "packages", "api_is_not_sdk", sentence)


def _left_behind(packages: Mapping[str, Package]) -> Iterator[Finding]:
    """
    Betas that are older than the SDK by more than a release.

    When opentelemetry-distro has no release for the newest SDK, pip goes back to 0.48b0, the last that did
    not pin its siblings; it installs, and fails in strange ways.
    """
    sdk = packages.get("opentelemetry-sdk")
    numbers = _numbers(sdk.version) if sdk else None
    if sdk is None or numbers is None:
        return
    fitting = numbers[1] + BETA_OFFSET
    for name in _betas(packages):
        beta = _numbers(packages[name].version)
        if beta is not None and beta[1] < min(FIRST_WITH_PRESENT_WRAPT, fitting - 1):
            sentence = (
                f"{name} is {packages[name].version} beside opentelemetry-sdk {sdk.version}, which belongs "
                f"to 0.{fitting}b: pip went back to it because some package had no newer release that fits; "
                f"let it choose all together: {SET_THAT_FITS}"
            )
            yield Finding(Level.ERROR, "packages", "left_behind", sentence, {"package": name})


def _broken_pins(packages: Mapping[str, Package]) -> Iterator[Finding]:
    """What a package wants exactly, and is there in another version."""
    for name, package in sorted(packages.items()):
        for wanted, version in package.pins.items():
            there = packages.get(wanted)
            if there is not None and there.version != version:
                sentence = (
                    f"{name} {package.version} needs {wanted} {version}, and {there.version} is installed: "
                    f"{SET_THAT_FITS}"
                )
                yield Finding(Level.WARNING, "packages", "broken_pin", sentence, {"package": name})


def _no_configurator(packages: Mapping[str, Package]) -> Iterator[Finding]:
    if "opentelemetry-instrumentation" in packages and "opentelemetry-distro" not in packages:
        sentence = (
            "opentelemetry-distro is not installed: opentelemetry-instrument then sets nothing up, unless "
            "another distribution is there"
        )
        yield Finding(Level.INFO, "packages", "no_distro", sentence)


_CHECKS: tuple[Callable[[Mapping[str, Package]], Iterator[Finding]], ...] = (
    _needed,
    _siblings,
    _left_behind,
    _broken_pins,
    _no_configurator,
)


def _betas(packages: Mapping[str, Package]) -> list[str]:
    return [
        name
        for name in sorted(packages)
        if name.startswith(PREFIX) and packages[name].version.startswith("0.")
    ]


def _pins(requirements: list[str] | tuple[str, ...]) -> dict[str, str]:
    """The `==` among requirements that hold always: those of extras and markers are left out."""
    matches = (_PIN.match(one) for one in requirements if ";" not in one)
    return {match[1].lower().replace("_", "-"): match[2] for match in matches if match}


def _numbers(version: str) -> tuple[int, int, int] | None:
    match = _VERSION.match(version)
    return (int(match[1]), int(match[2]), int(match[3] or match[4] or 0)) if match else None


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
