"""
Entries: where a configuration names the functions to decorate, read for the instrumentor and for the doctor.

Leaves what an entry means to `instrumentation.targets`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from otel_vendor_exporters.settings import setting

if TYPE_CHECKING:
    from instrumentation.targets import Entry

ENVIRONMENT_PREFIX = "OTEL_VENDOR_"


@dataclass(frozen=True, slots=True)
class InstrumentorSettings:
    """What `instrument()`, the YAML file and the environment may say."""

    instrument: str | None = setting(
        "Functions to decorate: module:function=timed(Name), separated by semicolons; in YAML also a list.",
        default=None,
    )
    instrument_file: str | None = setting(
        "A TOML, YAML or JSON file whose `instrument` is a list of such entries.", default=None, is_path=True
    )
    visitor_attributes: str = setting(
        "What of a visitor is stamped: default, all, none, or names of fields separated by commas.",
        default="default",
    )


def entries_of_file(path: Path) -> list[Entry]:
    """The list that the file has as `instrument`, or is. Raises what its reader raises."""
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise ValueError(f"{path} is none of {', '.join(_READERS)}")
    content = reader(path.read_text(encoding="utf-8"))
    entries = content.get("instrument") if isinstance(content, Mapping) else content
    if not isinstance(entries, list):
        raise ValueError(f"{path} has no list named instrument")
    return entries


def _toml(text: str) -> Any:  # Any: what is in a file
    if sys.version_info >= (3, 11):
        import tomllib

        return tomllib.loads(text)
    raise ValueError("TOML needs Python 3.11: write the file as YAML or JSON")


def _yaml(text: str) -> Any:  # Any: as above
    import yaml  # type: ignore[import-untyped]  # only here: it comes with opentelemetry-configuration

    return yaml.safe_load(text)


_READERS: Mapping[str, Callable[[str], Any]] = {
    ".toml": _toml,
    ".yaml": _yaml,
    ".yml": _yaml,
    ".json": json.loads,
}
