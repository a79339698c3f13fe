"""
The house's import rules, read off the sources (design, "Five rules").

Change this table only together with the reasons: a new arrow is a decision, not a convenience.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = "otel_vendor_exporters"
VENDORS = ("mpulse", "mparticle", "mparticle_analytics")

# Who may import which room of ours. A room is the first name behind the package: a folder or a file.
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "interrupts": set(),
    "attributes": set(),
    "nearest": set(),
    "secret": set(),
    "readers": {"secret"},
    "settings": {"errors", "nearest", "readers", "secret"},
    "addresses": {"errors", "settings"},
    "delivery": {"errors", "interrupts"},
    "mpulse": {"addresses", "attributes", "delivery", "errors", "interrupts", "nearest", "settings"},
    "mparticle": {"addresses", "attributes", "delivery", "errors", "interrupts", "settings"},
    "mparticle_analytics": {"addresses", "attributes", "delivery", "errors", "interrupts", "settings"},
    "sandbox": set(),
    "cli": {"sandbox", "doctor", "errors", "send", "settings", *VENDORS},
    "doctor": {"addresses", "attributes", "delivery", "entries", "errors", "nearest", "settings", *VENDORS},
    "send": {"attributes", "delivery", "errors", "settings", *VENDORS},
    "visitor": {"attributes", "interrupts"},
    "log_setup": {"delivery", "errors", "nearest"},  # a child process flushes its providers, too
    "entries": {"settings"},
    "instrumentor": {"attributes", "entries", "errors", "last_resort", "settings", "visitor"},
    "last_resort": set(),
    "__main__": {"cli"},
    "__init__": set(),
}

# Inside the sandbox: what a vendor's side may take, and who may take it.
IN_SANDBOX: dict[str, set[str]] = {
    **{vendor: {"document", "exchange", "inbox"} for vendor in VENDORS},
    "page": {"conditions", "exchange", "inbox", "json_text", "masking", "remedies", *VENDORS},
    "masking": {"secret_places"},
    "received": {"inbox", *VENDORS},
    "conditions": {"exchange"},
    "faults": {"exchange"},
    "listener": {"exchange"},
    "exchange": {"inbox"},
    **{name: set() for name in ("document", "inbox", "json_text", "remedies", "secret_places")},
}

# Inside a vendor: decide, shape, address, hand over; nobody looks upward.
LAYERS = (
    {"answers", "ids", "increments", "outside", "texts", "told_once", "vocabulary"},
    {"values"},
    {"commerce", "device", "user"},
    {"events"},
    {"definitions", "settings", "units"},
    {"app_config", "budget", "codec", "permits", "wire"},
    {"batching", "carried", "contexts", "kinds", "undefined", "unfit"},
    {"people", "pixel"},
    {"sorting"},
    {"composing"},
    {"lasting", "mapping", "packing", "points"},
    {"metrics"},
    {"app", "feed"},
    {"client"},
    {"exporters"},
)

# Where the same words mean other things: a vendor with layers of its own.
OWN_LAYERS: dict[str, tuple[set[str], ...]] = {
    "mparticle_analytics": (
        {"texts", "units"},
        {"profiles", "settings"},
        {"lists", "users", "wire"},
        {"answers", "codec", "context", "merges", "properties"},
        {"mapping", "packing"},
        {"project"},
        {"client"},
        {"exporters"},
    )
}

PURE = {
    "mparticle": {
        *("answers", "batching", "commerce", "composing", "device", "events", "ids", "kinds", "mapping"),
        *("people", "permits", "pixel", "sorting", "texts", "units", "user", "values", "vocabulary", "wire"),
    },
    "delivery": {"request", "policy", "pace", "rate"},
    "mpulse": {
        *("app_config", "budget", "codec", "contexts", "definitions", "increments", "mapping", "metrics"),
        *("outside", "packing", "points", "units", "wire"),
    },
    "mparticle_analytics": {
        *("answers", "codec", "context", "lists", "mapping", "packing", "profiles", "properties"),
        *("settings", "texts", "units", "users", "wire"),
    },
}
IMPURE_MODULES = {
    *("asyncio", "http", "io", "logging", "multiprocessing", "os", "pathlib", "random", "requests"),
    *("selectors", "shutil", "socket", "sqlite3", "ssl", "subprocess", "sys", "tempfile", "time", "uuid"),
    "urllib3",
}

# One door for each outside thing.
DOORS = {
    "requests": {
        "otel_vendor_exporters/delivery/callers_line.py",
        "otel_vendor_exporters/delivery/transport.py",
    },
    "urllib3": {
        "otel_vendor_exporters/delivery/answers.py",
        "otel_vendor_exporters/delivery/callers_line.py",
        "otel_vendor_exporters/delivery/connection.py",
        "otel_vendor_exporters/delivery/transport.py",
    },
    "sqlite3": {
        "otel_vendor_exporters/delivery/disk_errors.py",
        "otel_vendor_exporters/delivery/journal.py",
        "otel_vendor_exporters/delivery/spool_files.py",
    },
    "fcntl": {"otel_vendor_exporters/delivery/file_lock.py"},
    "argparse": {"otel_vendor_exporters/cli.py"},
}


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Absolute names of the modules a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            module = node.module or ""
            if module in (OURS, *(f"{OURS}.{room}" for room in (*VENDORS, "delivery"))):
                yield from (f"{module}.{alias.name}" for alias in node.names)
            else:
                yield module


def room_of(path: Path) -> str:
    parts = path.relative_to(ROOT / OURS).parts
    return parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", sources(OURS), ids=lambda path: str(path.relative_to(ROOT)))
def test_rooms_import_only_what_they_may(path: Path) -> None:
    """No room imports one that its row of the table does not name."""
    room = room_of(path)
    names = (name.split(".") for name in imports(path) if name.startswith(OURS + "."))
    used = {name[1] for name in names} - {room, "__version__"}
    assert used <= ALLOWED[room]


@pytest.mark.parametrize(
    "vendor", [vendor for vendor in VENDORS if (ROOT / OURS / vendor / "client.py").exists()]
)
def test_a_vendors_files_look_downward(vendor: str) -> None:
    """Inside a vendor's folder imports go from exporters to client to mapping to wire, never back."""
    rank = {name: index for index, layer in enumerate(OWN_LAYERS.get(vendor, LAYERS)) for name in layer}
    prefix = f"{OURS}.{vendor}."
    for path in sources(f"{OURS}/{vendor}"):
        if path.stem == "__init__":
            continue
        used = {name.removeprefix(prefix).split(".")[0] for name in imports(path) if name.startswith(prefix)}
        upward = {name for name in used & rank.keys() if rank[name] >= rank[path.stem]}
        assert not upward, f"{path.name} imports {upward}"


@pytest.mark.parametrize("path", sources(f"{OURS}/sandbox"), ids=lambda path: str(path.relative_to(ROOT)))
def test_sides_of_the_sandbox_know_no_other(path: Path) -> None:
    """A vendor's side takes what is common, and nothing of another vendor's or of the page."""
    prefix = f"{OURS}.sandbox."
    part = path.relative_to(ROOT / OURS / "sandbox").parts[0].removesuffix(".py")
    used = {name.removeprefix(prefix).split(".")[0] for name in imports(path) if name.startswith(prefix)}
    assert part in ("__init__", "server") or used - {part} <= IN_SANDBOX[part]


@pytest.mark.parametrize(("room", "names"), PURE.items())
def test_pure_modules_do_no_io(room: str, names: set[str]) -> None:
    """Modules that decide or shape import nothing that touches the world; time and chance are arguments."""
    for name in names:
        path = ROOT / OURS / room / f"{name}.py"
        used = {module.split(".")[0] for module in imports(path)}
        assert not used & IMPURE_MODULES, path


@pytest.mark.parametrize(("module", "doors"), DOORS.items())
def test_outside_things_have_one_door(module: str, doors: set[str]) -> None:
    """Only the named files import the module."""
    users = {
        str(path.relative_to(ROOT))
        for path in sources(OURS)
        if module in {name.split(".")[0] for name in imports(path)}
    }
    assert users <= doors


def test_the_environment_has_one_door() -> None:
    """Only settings.py reads environment variables, and only the command line prints."""
    for path in [*sources(OURS), *sources("instrumentation")]:
        text = path.read_text()
        if path.name != "settings.py":
            assert "os.environ" not in text, path
            assert "getenv" not in text, path
        if path.name != "cli.py":
            assert not [node for node in ast.walk(ast.parse(text)) if _is_print(node)], path


def _is_print(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"


def test_instrumentation_needs_no_sdk() -> None:
    """Decorated code depends on the OpenTelemetry API, wrapt, and what is shared: names and interrupts."""
    for path in sources("instrumentation"):
        for name in imports(path):
            assert not name.startswith(("opentelemetry.sdk", "requests")), path
            if name.startswith(OURS):
                assert name in (f"{OURS}.attributes", f"{OURS}.interrupts"), path


def test_the_package_itself_imports_nothing_heavy() -> None:
    """`import otel_vendor_exporters` costs nothing."""
    assert list(imports(ROOT / OURS / "__init__.py")) == []


def test_files_are_one_room_each() -> None:
    """No file is longer than 400 lines."""
    long = {
        str(path.relative_to(ROOT)): lines
        for path in [*sources(OURS), *sources("instrumentation")]
        if (lines := len(path.read_text().splitlines())) > 400
    }
    assert not long
