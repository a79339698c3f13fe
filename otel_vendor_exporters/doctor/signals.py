"""
Signals: which exporters the environment selects for `opentelemetry-instrument`, and whether they are there.

Pure but for `exporters_installed`. Source: the contract's "Selection without code": one exporter that cannot
be found stops all telemetry, and the distribution's default for a signal that nobody set is otlp.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points

from otel_vendor_exporters.doctor import VENDORS
from otel_vendor_exporters.doctor.report import Finding, Level

SIGNALS = ("traces", "metrics", "logs")
_BUILT_IN = frozenset({"none", ""})
_DEFAULT = "otlp"


def variable_of(signal: str) -> str:
    """The variable that selects the exporters of a signal."""
    return f"OTEL_{signal.upper()}_EXPORTER"


def exporters_installed() -> dict[str, frozenset[str]]:
    """By signal, the names of exporters that some package brings."""
    return {
        signal: frozenset(one.name for one in entry_points(group=f"opentelemetry_{signal}_exporter"))
        for signal in SIGNALS
    }


def selected(environment: Mapping[str, str]) -> frozenset[str]:
    """The exporters of ours that the environment selects."""
    names = {name for signal in SIGNALS for name in _names(environment.get(variable_of(signal), ""))}
    return frozenset(names & set(VENDORS))


def signal_findings(
    environment: Mapping[str, str], available: Mapping[str, frozenset[str]]
) -> Iterator[Finding]:
    """What is wrong with the selection; nothing when the environment selects none of ours."""
    ours = selected(environment)
    if not ours:
        return
    well = True
    for signal in SIGNALS:
        variable = variable_of(signal)
        text = environment.get(variable, "")
        for name in _names(text) if text.strip() else [_DEFAULT]:
            if name in _BUILT_IN or name in available[signal]:
                continue
            well = False
            yield _missing(signal, name, is_set=bool(text.strip()), elsewhere=_where(name, available))
    if well:
        told = ", ".join(f"{signal} {environment.get(variable_of(signal), _DEFAULT)}" for signal in SIGNALS)
        yield Finding(Level.OK, "signals", "selected", f"every selected exporter is installed: {told}")


def _missing(signal: str, name: str, *, is_set: bool, elsewhere: list[str]) -> Finding:
    variable = variable_of(signal)
    follows = "opentelemetry-instrument then starts no telemetry at all"
    if not is_set:
        sentence = f"{variable} is not set, its default {name} is missing, and {follows}: set it to none"
        return Finding(Level.ERROR, "signals", "default_is_missing", sentence)
    way = f"it exports {' and '.join(elsewhere)}" if elsewhere else "check its name, or install it"
    sentence = f"{variable} selects {name}, no exporter of {signal} that is installed, and {follows}: {way}"
    return Finding(Level.ERROR, "signals", "not_installed", sentence)


def _where(name: str, available: Mapping[str, frozenset[str]]) -> list[str]:
    return [signal for signal, names in available.items() if name in names]


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]
