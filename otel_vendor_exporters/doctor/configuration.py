"""Configuration: whether a vendor's settings are right, and which variables nobody reads. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from otel_vendor_exporters.doctor.report import Finding, Level
from otel_vendor_exporters.errors import ConfigurationError
from otel_vendor_exporters.nearest import nearest
from otel_vendor_exporters.settings import Found


def setting_findings(settings: Sequence[Found], read: Callable[[], object]) -> Iterator[Finding]:
    """What is wrong with each setting, and, if nothing is, with all of them together: `read` may raise."""
    problems = [(one.name, one.problem) for one in settings if one.problem]
    if not problems:
        try:
            read()
        except ConfigurationError as error:
            problems = [(error.setting, str(error))]
    for name, problem in problems:
        yield Finding(Level.ERROR, "settings", "wrong_setting", problem, {"setting": name})
    if not problems:
        count = sum(one.is_set for one in settings)
        yield Finding(Level.OK, "settings", "right", f"{count} are set, {len(settings) - count} by default")


def unread_findings(
    settings: Sequence[Found], prefix: str, present: Iterable[str], prefixes: Collection[str]
) -> Iterator[Finding]:
    """Variables that look like this vendor's and are none of its settings; `present` are set."""
    known = [one.variable for one in settings]
    names = [one.removeprefix(prefix) for one in known]
    longer = tuple(one for one in prefixes if one != prefix and one.startswith(prefix))
    for variable in present:
        if not variable.startswith(prefix) or (longer and variable.startswith(longer)) or variable in known:
            continue
        near = nearest(variable.removeprefix(prefix), names)
        hint = f"did you mean {prefix}{near}?" if near else "no setting has this name"
        sentence = f"{variable} is set, and nobody reads it: {hint}"
        yield Finding(Level.WARNING, "settings", "unread_variable", sentence, {"variable": variable})
