"""
The doctor: why nothing arrives, found out before or after the fact.

    settings ─▶ configuration       environment ─▶ signals        installed packages ─▶ packages
    vendor's answer ─▶ network (way, clock), the vendor's own file (credentials, what it defines)
    sources ─▶ code_names ─▶ definitions                          all ─▶ report

Checks are functions that return findings. It sends nothing that a vendor would count.
A new vendor is a file beside `mpulse.py` and its name in `VENDORS`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from otel_vendor_exporters.settings import found_settings, variables

if TYPE_CHECKING:
    from otel_vendor_exporters.doctor.report import Finding, Report, Section
    from otel_vendor_exporters.doctor.vendor import Tools, Vendor

VENDORS = ("mpulse", "mparticle")
_OTEL = "OTEL_"


def examined(names: Sequence[str] = (), code: Sequence[str] = ()) -> Report:
    """
    Examine the named vendors, or all, by the settings in the environment. Asks those that are configured.

    `code` are files, folders or modules whose names are compared with what mPulse's app defines.
    """
    from otel_vendor_exporters.delivery.clock import Clock
    from otel_vendor_exporters.doctor.code_names import scan
    from otel_vendor_exporters.doctor.network import Network
    from otel_vendor_exporters.doctor.report import Report, Section
    from otel_vendor_exporters.doctor.vendor import Tools

    network = Network(Clock())
    tools = Tools(network, scan(code) if code else None)
    everyone = [_vendor(name) for name in VENDORS]
    prefixes = [vendor.prefix for vendor in everyone]
    try:
        sections = [
            _vendor_section(vendor, tools, prefixes, is_asked_for=vendor.name in names)
            for vendor in everyone
            if not names or vendor.name in names
        ]
    finally:
        network.close()
    return Report((Section("installation", tuple(_installation(sections))), *sections))


def _installation(sections: Sequence[Section]) -> Iterator[Finding]:
    from otel_vendor_exporters.doctor.packages import installed, package_findings
    from otel_vendor_exporters.doctor.report import Finding, Level
    from otel_vendor_exporters.doctor.signals import exporters_installed, signal_findings

    environment = variables(_OTEL)
    yield from package_findings(installed())
    yield from signal_findings(environment, exporters_installed())
    if "OTEL_CONFIG_FILE" in environment:
        sentence = (
            "OTEL_CONFIG_FILE is set: OpenTelemetry takes the settings in that file, and not those examined "
            "here, which are the environment's"
        )
        yield Finding(Level.INFO, "signals", "configuration_file", sentence)
    if not any(section.configured for section in sections):
        sentence = "no vendor is configured: `sandbox` prints settings to begin with"
        yield Finding(Level.WARNING, "settings", "nothing_configured", sentence)


def _vendor_section(vendor: Vendor, tools: Tools, prefixes: Sequence[str], *, is_asked_for: bool) -> Section:
    from otel_vendor_exporters.doctor.configuration import setting_findings, unread_findings
    from otel_vendor_exporters.doctor.report import Finding, Level, Section
    from otel_vendor_exporters.doctor.signals import selected

    found = found_settings(vendor.settings, vendor.prefix)
    findings = list(unread_findings(found, vendor.prefix, variables(vendor.prefix), prefixes))
    is_selected = vendor.name in selected(variables(_OTEL))
    if not (findings or is_selected or any(one.is_set for one in found)):
        level = Level.WARNING if is_asked_for else Level.INFO
        sentence = f"not configured: no {vendor.prefix}… variable is set"
        finding = Finding(level, "settings", "not_configured", sentence)
        return Section(vendor.name, (finding,), configured=False, settings=found)
    findings += setting_findings(found, vendor.settings.read)
    if not any(finding.level is Level.ERROR for finding in findings):
        findings += vendor.examine(vendor.settings.read(), tools)
    return Section(vendor.name, tuple(findings), configured=True, settings=found)


def _vendor(name: str) -> Vendor:
    vendor: Vendor = import_module(f"otel_vendor_exporters.doctor.{name}").VENDOR
    return vendor
