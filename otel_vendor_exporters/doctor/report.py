"""
The report: findings, what they say together, and their two forms, text and JSON.

Pure. A finding is what one check saw; its level decides the exit status of the command.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from textwrap import wrap
from typing import Any

from otel_vendor_exporters.settings import Found

SCHEMA = 1  # of the JSON form; grows when something in it is taken away or changes its meaning
_WIDTH = 110


class Level(IntEnum):
    """How bad it is. Information and what is well are as good as each other."""

    OK = 0
    INFO = 1
    WARNING = 2
    ERROR = 3


_EXIT_STATUS = {Level.OK: 0, Level.INFO: 0, Level.WARNING: 1, Level.ERROR: 2}


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check saw: `code` is for programs, `sentence` for people, and says what to change."""

    level: Level
    check: str
    code: str
    sentence: str
    details: Mapping[str, Any] = field(default_factory=dict)  # Any: whatever JSON holds


@dataclass(frozen=True, slots=True)
class Section:
    """What belongs together: a vendor, or the installation. `settings` are a vendor's, all of them."""

    name: str
    findings: tuple[Finding, ...]
    configured: bool | None = None  # None for what is no vendor
    settings: tuple[Found, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that was seen."""

    sections: tuple[Section, ...]

    @property
    def exit_status(self) -> int:
        """0 all well, 1 warnings, 2 errors."""
        levels = [finding.level for section in self.sections for finding in section.findings]
        return _EXIT_STATUS[max(levels, default=Level.OK)]

    def count(self, level: Level) -> int:
        """How many findings there are of a level."""
        return sum(finding.level is level for section in self.sections for finding in section.findings)


def text_of(report: Report) -> Iterator[str]:
    """The report for people, line by line."""
    for section in report.sections:
        yield section.name
        yield from _settings_lines(section.settings if section.configured else ())
        for finding in section.findings:
            yield from _finding_lines(finding)
        yield ""
    errors, warnings = report.count(Level.ERROR), report.count(Level.WARNING)
    yield (
        f"{counted(errors, 'error')}, {counted(warnings, 'warning')}" if errors or warnings else "all well"
    )


def json_of(report: Report) -> str:
    """The report for programs."""
    form = {
        "schema": SCHEMA,
        "exit_status": report.exit_status,
        "errors": report.count(Level.ERROR),
        "warnings": report.count(Level.WARNING),
        "sections": [_section_form(section) for section in report.sections],
    }
    return json.dumps(form, indent=2, ensure_ascii=False)


def _section_form(section: Section) -> dict[str, Any]:  # Any: whatever JSON holds
    return {
        "name": section.name,
        "configured": section.configured,
        "settings": [
            {
                "name": one.name,
                "value": one.shown,
                "source": "configuration file" if one.source == "keyword" else one.source,
                "variable": one.variable,
            }
            for one in section.settings
        ],
        "findings": [
            {
                "level": one.level.name.lower(),
                "check": one.check,
                "code": one.code,
                "sentence": one.sentence,
                "details": dict(one.details),
            }
            for one in section.findings
        ],
    }


def _settings_lines(settings: Sequence[Found]) -> Iterator[str]:
    """Those that are set, one a line with its variable; the others together."""
    given = [one for one in settings if one.is_set]
    width = max((len(f"{one.name} = {one.shown}") for one in given), default=0)
    for one in given:
        source = "OTEL_CONFIG_FILE" if one.source == "keyword" else one.variable
        yield f"  {f'{one.name} = {one.shown}':<{min(width, 60)}}  from {source}"
    defaults = ", ".join(f"{one.name}={one.shown}" for one in settings if not one.is_set)
    if defaults:
        yield from _indented(f"by default: {defaults}", first="  ", others="    ")


def _finding_lines(finding: Finding) -> Iterable[str]:
    text = f"{finding.check}: {finding.sentence}"
    return _indented(text, first=f"  {finding.level.name.lower():<8} ", others=" " * 11)


def _indented(text: str, first: str, others: str) -> list[str]:
    return wrap(
        text,
        _WIDTH,
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    )


def counted(number: int, noun: str) -> str:
    """A number and its noun, in the plural unless it is one."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
