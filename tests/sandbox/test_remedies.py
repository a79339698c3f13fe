"""Remedies: every finding tells which setting or attribute to change, or why there is none."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from otel_vendor_exporters import attributes, mparticle, mparticle_analytics, mpulse, sandbox
from otel_vendor_exporters.sandbox.mparticle.event_shapes import EVENTS
from otel_vendor_exporters.sandbox.mparticle.shapes import BATCH, IDENTITY_NAMES
from otel_vendor_exporters.sandbox.mpulse.checks import INTEGERS, REQUIRED
from otel_vendor_exporters.sandbox.remedies import FIELDS, REASONS, REMEDIES, remedy

VENDORS: dict[str, tuple[ModuleType, Any]] = {
    "mpulse": (mpulse, mpulse.MPulseSettings),
    "mparticle": (mparticle, mparticle.MParticleSettings),
    "mparticle_analytics": (mparticle_analytics, mparticle_analytics.AnalyticsSettings),
}
SOURCES = Path(str(sandbox.__file__)).parent
INSTRUMENTATION = SOURCES.parent.parent / "instrumentation"
# Where the code of a finding stands in a call that makes or notes one.
PLACES = {"Finding": 0, "_error": 0, "_warning": 0, "say": 0, "refuse": 1, "Problem": 1, "_problem": 1}
PLACES["_about_request"] = 1
# Codes that are arguments or variables: those who call such a function give them in literals, read here too.
HANDED_ON = {"code", "problem.code"}
# Findings about the value of a field of a batch: what to change is told by the field.
OF_FIELDS = {
    "unknown_key",
    "wrong_type",
    "out_of_range",
    "loose_type",
    "null_value",
    "not_in_list",
    "not_uuid",
}
OF_FIELDS |= {"missing", "too_long", "too_many", "not_an_address"}
# What stands for a variable in a code.
VARIABLES = {
    ("mpulse", "missing:{name}"): (*REQUIRED, "key", "d", "t", "s"),
    ("mpulse", "bad_int:{name}"): (*INTEGERS, "rt.ss"),
    ("mparticle", "too_many:{name}"): ("custom_attributes", "user_attributes"),
    **{
        ("mparticle_analytics", f"{kind}:{{name}}"): (
            "eventName",
            "eventUniqueId",
            "uniqueId",
            "newId",
            "previousId",
        )
        for kind in ("missing", "wrong_type", "bad_length")
    },
}
# Events, and parts of them, that no record becomes: only those who call the direct client know of them.
DIRECT_EVENTS = {"opt_out", "push_registration", "push_message", "profile", "user_attribute_change"}
DIRECT_EVENTS |= {"user_identity_change", "uninstall"}


def vendor_of(path: Path) -> str:
    """The vendor whose findings a file makes."""
    folder = path.relative_to(SOURCES).parts[0]
    return folder if folder in VENDORS else ""


def literals(node: ast.expr) -> Iterator[str]:
    """The text of a literal; of a formatted one with the variables in it, as `bad_int:{name}`."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield ast.unparse(node)[2:-1]


def codes_in(path: Path) -> Iterator[str]:
    """The codes of all findings that a file can make."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name in PLACES and len(node.args) > 1:
                given = node.args[PLACES[name]]
                found = list(literals(given))
                assert found or ast.unparse(given) in HANDED_ON, (path.name, ast.unparse(node))
                yield from found
        elif isinstance(node, (ast.Return, ast.Yield)) and isinstance(node.value, ast.Tuple):
            first = list(literals(node.value.elts[0])) if node.value.elts else []
            yield from (code for code in first if re.fullmatch("[a-z_]+", code))


def written(vendor: str, code: str) -> list[str]:
    """A code as it may come, for each value of its variable."""
    if code.startswith("unknown_{kind}"):
        return [f"unknown_{kind}:some" for kind in ("timer", "metric", "dimension")]
    values = VARIABLES.get((vendor, code))
    return [code.replace("{name}", value) for value in values] if values else [code]


CODES = sorted({(vendor_of(path), code) for path in SOURCES.rglob("*.py") for code in codes_in(path)})


@cache
def names_of(vendor: str) -> set[str]:
    """What a remedy may name: settings, the event model's classes and fields, attributes that are read."""
    module, settings = VENDORS[vendor]
    model = [thing for thing in vars(module).values() if isinstance(thing, type) and is_dataclass(thing)]
    folders = (Path(str(module.__file__)).parent, INSTRUMENTATION)
    texts = {
        node.value
        for folder in folders
        for path in folder.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "." in node.value
    }
    return (
        {field.name for kind in (settings, *model) for field in fields(kind)}
        | {value for value in vars(attributes).values() if isinstance(value, str)}
        | {*module.__all__, "doctor", "historical"}
        | texts
    )


def is_of_field(code: str) -> bool:
    return (code.partition(":")[0] in OF_FIELDS and "subject" in code) or code.startswith("missing:{_")


@pytest.mark.parametrize(
    ("vendor", "code"),
    [
        (vendor, code)
        for vendor, of_sources in CODES
        if vendor and not is_of_field(of_sources)
        for code in written(vendor, of_sources)
    ],
)
def test_every_finding_has_a_remedy(vendor: str, code: str) -> None:
    """It names a setting or attribute that there is; or its code stands in the table with a reason."""
    told = remedy(vendor, code)

    named = {name.partition("<")[0] for name in re.findall("`([^`]+)`", told)} - {"doctor"}
    if named and told not in REASONS:
        assert named <= names_of(vendor), told
    else:
        assert told in REASONS
        kind, _, subject = code.partition(":")
        assert {code, kind} & REMEDIES[vendor].keys() or subject in FIELDS[vendor], "no remedy of its own"


@pytest.mark.parametrize("vendor", REMEDIES)
def test_remedies_are_for_what_there_is(vendor: str) -> None:
    """No code in the table is left over from a finding that is made no more, and every name is known."""
    made = {code for of, code in CODES if of == vendor}
    kinds = {one.partition(":")[0] for code in made for one in written(vendor, code)}

    for code, told in REMEDIES[vendor].items():
        assert code.partition(":")[0] in kinds, code
        assert {n.partition("<")[0] for n in re.findall("`([^`]+)`", told)} <= names_of(vendor), code
    for field, told in FIELDS[vendor].items():
        assert {n.partition("<")[0] for n in re.findall("`([^`]+)`", told)} <= names_of(vendor), field


@pytest.mark.parametrize("field", [*BATCH.shapes, *(f"user_identities.{name}" for name in IDENTITY_NAMES)])
def test_every_field_of_a_batch_has_a_remedy(field: str) -> None:
    """What is wrong in a field of mParticle's batch says where that field comes from."""
    if getattr(BATCH.shapes.get(field), "kind", "") == "server_made":
        assert remedy("mparticle", f"server_field:{field}") in REASONS
        return
    assert field.partition(".")[0] in FIELDS["mparticle"]


@pytest.mark.parametrize("kind", sorted(EVENTS.keys() - DIRECT_EVENTS))
def test_every_field_of_an_event_has_a_remedy(kind: str) -> None:
    """Likewise for the fields of the events that records become."""
    for field in EVENTS[kind].shapes:
        told = remedy("mparticle", f"wrong_type:data.{field}")

        assert told != remedy("mparticle", "wrong_type:nowhere"), field


def test_an_attribute_is_told_by_the_map_it_is_in() -> None:
    """Names that applications choose do not mislead, whatever they are called."""
    told = remedy("mparticle", "wrong_type:data.custom_attributes.environment")

    assert "`deny_attributes`" in told
    assert (
        remedy("mparticle", "too_long:value:user_attributes")
        == "Attribute `mparticle.user_attributes.<name>`."
    )


def test_what_is_no_vendors_has_one_too() -> None:
    """A path that nobody serves, and more kinds of findings than are counted."""
    assert "`base_url`" in remedy("", "unknown_path")
    assert remedy("mpulse", "others") in REASONS
