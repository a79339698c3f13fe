"""
The doctor: why nothing arrives, found out before or after the fact.

    settings ─▶ configuration       environment ─▶ signals, declared       packages ─▶ packages
    vendor's answer ─▶ network (way, clock), the vendor's own file (credentials, what it defines)
    sources ─▶ code_names ─▶ definitions                          all ─▶ report

Checks are functions that return findings. It sends nothing that a vendor would count.
A new vendor is a file beside `mpulse.py` and its name in `VENDORS`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from otel_vendor_exporters.settings import found_settings, table, variables

if TYPE_CHECKING:
    from otel_vendor_exporters.doctor.code_names import Scan
    from otel_vendor_exporters.doctor.declared import Content, Declared
    from otel_vendor_exporters.doctor.report import Finding, Report, Section
    from otel_vendor_exporters.doctor.vendor import Tools, Vendor

VENDORS = ("mpulse", "mparticle", "mparticle_analytics")
_OTEL = "OTEL_"
_PREFIXES = tuple(f"OTEL_EXPORTER_{name.upper()}_" for name in VENDORS)
_CONFIG_FILE = "OTEL_CONFIG_FILE"


def examined(names: Sequence[str] = (), code: Sequence[str] = ()) -> Report:
    """
    Examine the named vendors, or all, by the settings of the environment or of OTEL_CONFIG_FILE.

    `code` are files, folders or modules whose names are compared with what mPulse's app defines.
    Never raises: what goes wrong in here is a finding.
    """
    from otel_vendor_exporters.delivery.clock import Clock
    from otel_vendor_exporters.doctor.network import Network
    from otel_vendor_exporters.doctor.report import Report, Section
    from otel_vendor_exporters.doctor.vendor import Tools

    content = _content()
    scan, faults = _scan(code, content)
    tools = Tools(Network(Clock()), scan)
    vendors = [_vendor(name) for name in VENDORS if not names or name in names]
    declared = content.exporters if content else ()
    sections = [
        _guarded_section(patient, tools, is_asked_for=bool(names)) for patient in patients(vendors, declared)
    ]
    told = (content.finding,) if content else ()
    untold = _not_compared(scan, sections) if code and scan else ()
    installation = (*_installation(is_file_read=bool(told)), *told, *faults, *untold, *_nothing(sections))
    return Report((Section("installation", installation), *sections))


@dataclass(frozen=True, slots=True)
class Patient:
    """A vendor with the settings of one or more of its exporters; `keywords` are those of a file."""

    vendor: Vendor
    title: str
    keywords: Mapping[str, object]
    is_declared: bool = False


def patients(vendors: Iterable[Vendor], declared: Sequence[Declared]) -> Iterator[Patient]:
    """
    Whom to examine: each vendor by the settings of the file, if that names it, else by the environment's.

    Exporters of one vendor with different settings are examined one by one.
    """
    for vendor in vendors:
        ours = [one for one in declared if one.name == vendor.name]
        distinct = [
            one for index, one in enumerate(ours) if one.keywords not in [k.keywords for k in ours[:index]]
        ]
        for one in distinct:
            title = vendor.name if len(distinct) == 1 else f"{vendor.name} ({one.signal})"
            yield Patient(vendor, title, one.keywords, is_declared=True)
        if not ours:
            yield Patient(vendor, vendor.name, {})


def _content() -> Content | None:
    """What the file OTEL_CONFIG_FILE says of us; None without one."""
    from otel_vendor_exporters.doctor.declared import Content, declared_in
    from otel_vendor_exporters.doctor.faults import fault

    file = variables(_CONFIG_FILE).get(_CONFIG_FILE)
    try:
        return None if file is None else declared_in(file)
    except Exception as error:  # noqa: BLE001  whatever it is, the environment is examined
        return Content(fault("configuration file", error))


def _scan(code: Sequence[str], content: Content | None) -> tuple[Scan | None, Sequence[Finding]]:
    """The names in sources and in configuration, None when nobody told of any; and faults of ours."""
    from otel_vendor_exporters.doctor.code_names import scan
    from otel_vendor_exporters.doctor.configured import add_configured, configured_in
    from otel_vendor_exporters.doctor.faults import fault

    try:
        places = list(configured_in(variables(_OTEL), content.instrumentor if content else {}))
        if not code and not places:
            return None, ()
        found = scan(code)
        for place in places:
            add_configured(found, place)
    except Exception as error:  # noqa: BLE001  whatever it is, the vendors are examined
        return None, (fault("names", error),)
    return found, ()


def _not_compared(scan: Scan, sections: Sequence[Section]) -> Iterator[Finding]:
    """What is to be told of code where no mPulse app's definitions came to compare it with."""
    from otel_vendor_exporters.doctor.definitions import OF_CODE, uncompared_findings

    if not any(one.code in OF_CODE for section in sections for one in section.findings):
        asked = any(section.configured and section.name.startswith("mpulse") for section in sections)
        yield from uncompared_findings(scan, is_asked=asked)


def _installation(*, is_file_read: bool) -> Iterator[Finding]:
    from otel_vendor_exporters.doctor.configuration import misspelt_findings
    from otel_vendor_exporters.doctor.faults import guarded
    from otel_vendor_exporters.doctor.packages import installed, package_findings
    from otel_vendor_exporters.doctor.signals import exporters_installed, signal_findings

    yield from guarded("packages", lambda: package_findings(installed()))
    yield from guarded("settings", lambda: misspelt_findings(variables(_OTEL), _known_variables(), _PREFIXES))
    if not is_file_read:
        yield from guarded("signals", lambda: signal_findings(variables(_OTEL), exporters_installed()))


def _known_variables() -> frozenset[str]:
    from otel_vendor_exporters.entries import ENVIRONMENT_PREFIX, InstrumentorSettings

    tables = [table(InstrumentorSettings, ENVIRONMENT_PREFIX)]
    tables += [table(vendor.settings, vendor.prefix) for vendor in map(_vendor, VENDORS)]
    return frozenset(row.environment for rows in tables for row in rows)


def _nothing(sections: Sequence[Section]) -> Iterator[Finding]:
    from otel_vendor_exporters.doctor.report import Finding, Level

    if not any(section.configured for section in sections):
        sentence = "no vendor is configured: `sandbox` prints settings to begin with"
        yield Finding(Level.WARNING, "settings", "nothing_configured", sentence)


def _guarded_section(patient: Patient, tools: Tools, *, is_asked_for: bool) -> Section:
    from otel_vendor_exporters.doctor.faults import fault
    from otel_vendor_exporters.doctor.report import Section

    try:
        return _vendor_section(patient, tools, is_asked_for=is_asked_for)
    except Exception as error:  # noqa: BLE001  whatever it is, the other vendors are examined
        return Section(patient.title, (fault("settings", error),), configured=True)


def _vendor_section(patient: Patient, tools: Tools, *, is_asked_for: bool) -> Section:
    from otel_vendor_exporters.doctor.configuration import setting_findings, unread_findings
    from otel_vendor_exporters.doctor.faults import guarded
    from otel_vendor_exporters.doctor.report import Finding, Level, Section
    from otel_vendor_exporters.doctor.signals import selected

    vendor, keywords = patient.vendor, patient.keywords
    found = found_settings(vendor.settings, vendor.prefix, keywords)
    findings = list(unread_findings(found, vendor.prefix, variables(vendor.prefix), _known_variables()))
    is_wanted = patient.is_declared or vendor.name in selected(variables(_OTEL))
    if not (findings or is_wanted or any(one.is_set for one in found)):
        level = Level.WARNING if is_asked_for else Level.INFO
        sentence = f"not configured: no {vendor.prefix}… variable is set"
        finding = Finding(level, "settings", "not_configured", sentence)
        return Section(patient.title, (finding,), configured=False, settings=found)
    findings += setting_findings(found, lambda: vendor.settings.read(**keywords))
    if not any(finding.level is Level.ERROR for finding in findings):
        settings = vendor.settings.read(**keywords)
        findings += guarded("credentials", lambda: vendor.examine(settings, tools))
    return Section(patient.title, tuple(findings), configured=True, settings=found)


def _vendor(name: str) -> Vendor:
    vendor: Vendor = import_module(f"otel_vendor_exporters.doctor.{name}").VENDOR
    return vendor
