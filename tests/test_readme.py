"""README is true: its tables come from the declarations, and its blocks run."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from platform import python_version
from typing import TypeAlias

import pytest

from otel_vendor_exporters import attributes, cli
from otel_vendor_exporters.attributes import PERSONAL_ATTRIBUTES
from otel_vendor_exporters.entries import InstrumentorSettings
from otel_vendor_exporters.mparticle import MParticleSettings
from otel_vendor_exporters.mparticle_analytics import AnalyticsSettings
from otel_vendor_exporters.mparticle_analytics.settings import NOT_SENT
from otel_vendor_exporters.mpulse.settings import ENVIRONMENT_PREFIX, MPulseSettings
from otel_vendor_exporters.sandbox import MParticleApp, MPulseApp, Sandbox
from otel_vendor_exporters.send import KINDS
from otel_vendor_exporters.settings import table
from tests import test_both_vendors, test_what_becomes_what
from tests.command import sandbox_started

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
SETTINGS: dict[str, tuple[type, str]] = {
    "mpulse": (MPulseSettings, ENVIRONMENT_PREFIX),
    "mparticle": (MParticleSettings, "OTEL_EXPORTER_MPARTICLE_"),
    "mparticle_analytics": (AnalyticsSettings, "OTEL_EXPORTER_MPARTICLE_ANALYTICS_"),
    "instrumentor": (InstrumentorSettings, "OTEL_VENDOR_"),
}

PUBLIC = (
    "instrumentation",
    "otel_vendor_exporters.mpulse",
    "otel_vendor_exporters.mparticle",
    "otel_vendor_exporters.mparticle_analytics",
    "otel_vendor_exporters.sandbox",
    "otel_vendor_exporters.visitor",
    "otel_vendor_exporters.errors",
)


def settings_table(vendor: str) -> str:
    """The settings of a vendor as README shows them."""
    settings, prefix = SETTINGS[vendor]
    rows = []
    for row in table(settings, prefix):
        default = row.default if row.default in ("required", "none") else f"`{row.default}`"
        default = default.replace(python_version(), "3.x.y")
        rows.append(f"| `{row.name}` | {default} | {row.sentence} |")
    return "\n".join(["| setting | default | |", "|---|---|---|", *rows])


def blocks(language: str) -> list[str]:
    """README's code blocks in a language, unindented where they stand in a list."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", README, re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", text, flags=re.MULTILINE) for indent, text in found]


@pytest.mark.parametrize("vendor", SETTINGS)
def test_the_settings_tables_are_the_declarations(vendor: str) -> None:
    """Every setting stands in README, with its default and its sentence."""
    shown = README.split(f"<!-- settings {vendor} -->\n")[1].split("<!-- end -->")[0].strip()
    assert shown == settings_table(vendor)


@pytest.mark.parametrize("block", blocks("python"), ids=range(len(blocks("python"))))
def test_python_blocks_run(block: str, tmp_path: Path) -> None:
    """Each Python block runs as it stands, prints what it shows, and a vendor receives what it sends."""
    mpulse = MPulseApp(timers=("Checkout", "My function"), dimensions=("Country",))
    mparticle = MParticleApp(api_key="us1-0123456789abcdef0123456789abcdef", api_secret="secret")
    script = tmp_path / "block.py"
    script.write_text(block)
    with Sandbox(mpulse=mpulse, mparticle=mparticle) as sandbox:
        given = {
            "MPULSE": sandbox.mpulse_settings,
            "MPARTICLE": sandbox.mparticle_settings,
            "MPARTICLE_ANALYTICS": sandbox.mparticle_analytics_settings,
        }
        environment = {
            f"OTEL_EXPORTER_{vendor}_{name.upper()}": str(value)
            for vendor, settings in given.items()
            for name, value in settings.items()
        }
        command = [sys.executable, "-W", "error", str(script)]
        printed = subprocess.check_output(command, env=environment, cwd=ROOT, timeout=60, text=True)
        received = sandbox.received
    names = [event.data["event_name"] for event in received.mparticle.events]
    tracked = [event.name for event in received.mparticle_analytics.events]
    found = [name for name, _ in received.timers], names, tracked
    assert found in (SENT if re.search("xporter|Client", block) else [([], [], [])])
    assert not received.findings
    assert printed.splitlines() == re.findall(r"^ *print\(.*\)  # (.*)$", block, re.MULTILINE)


Sent: TypeAlias = tuple[tuple[list[str], list[str], list[str]], ...]  # to mPulse, mParticle and Analytics
SENT: Sent = (
    (["My function"], [], []),
    (["Checkout"], [], []),
    ([], ["Signed up"], []),
    ([], [], ["Registration"]),
)


def environment_of(sandbox: Sandbox) -> dict[str, str]:
    """A shell's environment that points all three vendors' settings at the sandbox."""
    given = {
        "MPULSE": sandbox.mpulse_settings,
        "MPARTICLE": sandbox.mparticle_settings,
        "MPARTICLE_ANALYTICS": sandbox.mparticle_analytics_settings,
    }
    ours = {
        f"OTEL_EXPORTER_{vendor}_{name.upper()}": str(value)
        for vendor, settings in given.items()
        for name, value in settings.items()
    }
    scripts = sysconfig.get_path("scripts")
    return {**os.environ, **ours, "PATH": f"{scripts}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}


def here(command: str) -> str:
    """A line of README with this Python as the python there is."""
    return re.sub(r"(^|\s)(?:\.venv/bin/)?python ", rf"\1{sys.executable} ", command)


def shell(command: str, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a line of README as a reader would."""
    return subprocess.run(
        ["bash", "-c", here(command)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


SHELL_LINES = [line for block in blocks("sh") for line in block.replace("\\\n", " ").splitlines()]
COMMANDS = [line for line in SHELL_LINES if re.search(r"-m otel_vendor_exporters (send|doctor)", line)]


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_do_what_they_are_shown_for(command: str, tmp_path: Path) -> None:
    """Each line with `send` or `doctor` runs against the sandbox; options that do not exist would fail."""
    (tmp_path / "shop").mkdir()
    environment = {**os.environ, "OTEL_EXPORTER_MPARTICLE_WEB_API_KEY": "us1-" + "9" * 32}
    mparticle = MParticleApp(web_api_key=environment["OTEL_EXPORTER_MPARTICLE_WEB_API_KEY"])
    with Sandbox(
        mpulse=MPulseApp(timers=("Checkout",), metrics={"Revenue": "Currency"}), mparticle=mparticle
    ) as sandbox:
        done = shell(command, tmp_path, {**environment, **environment_of(sandbox)})
        assert done.returncode in ((0, 1) if "doctor" in command else (0,)), done.stdout + done.stderr


def send_table() -> str:
    """What can be sent, with all arguments and options."""
    rows = []
    for kind in KINDS:
        given = [
            one.name.upper() if one.default is None else f"[{one.name.upper()}]" for one in kind.arguments
        ]
        options = ", ".join(f"`--{one.name}{' NAME=VALUE' if one.pairs else ''}`" for one in kind.options)
        rows.append(f"| `{' '.join([kind.name, *given])}` | {options}, `--json` | {kind.sentence} |")
    return "\n".join(["| send | options | |", "|---|---|---|", *rows])


def test_everything_that_can_be_sent_is_there() -> None:
    """With its arguments and options in the table, and in a line that runs."""
    shown = "\n".join(SHELL_LINES)
    for kind in KINDS:
        assert f"otel_vendor_exporters send {kind.name} " in shown, kind
    assert README.split("<!-- send -->\n")[1].split("<!-- end -->")[0].strip() == send_table()


def commands(parser: argparse.ArgumentParser, name: str = "") -> Iterator[tuple[str, set[str]]]:
    """Every command that ends in something to do, such as "send timer", with its options."""
    below = [one for one in parser._actions if isinstance(one, argparse._SubParsersAction)]
    for action in below:
        for word, one in action.choices.items():
            yield from commands(one, f"{name} {word}".strip())
    if not below:
        yield name, {option for one in parser._actions for option in one.option_strings} - {"-h", "--help"}


def rows_of(command: str) -> list[str]:
    """README's rows of a command: its own in the table of what can be sent, else those of its options."""
    verb, _, rest = command.partition(" ")
    of_send = README.split("<!-- send -->\n")[1].split("<!-- end -->")[0]
    rows = of_send if verb == "send" else README.split("## See it arrive")[1].split("\n## ")[0]
    if verb == "send":
        return [row for row in rows.splitlines() if row.startswith(f"| `{rest} ")]
    return [row.split("|")[1] for row in rows.splitlines() if row.startswith("| `--") and verb == "sandbox"]


def undocumented(parser: argparse.ArgumentParser) -> list[str]:
    """Commands that stand in no line that runs, and options in neither such a line nor a row."""
    missing = []
    for command, options in commands(parser):
        lines = [line for line in SHELL_LINES if re.search(rf"otel_vendor_exporters {command}( |$)", line)]
        shown = set(re.findall(r"--?[a-z][a-z-]*", " ".join([*lines, *rows_of(command)])))
        missing += [] if lines else [command]
        missing += [f"{command} {option}" for option in sorted(options - shown)]
    return missing


def test_every_command_and_option_is_there() -> None:
    """What the command line takes stands in README: commands in lines that run, options there or in rows."""
    assert undocumented(cli.command_parser()) == []


def test_a_command_that_is_added_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until README shows it, with its options; one of the same name elsewhere is no excuse."""

    def add_purge(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
        subparsers.add_parser("purge").add_argument("--force", "--json", action="store_true")

    monkeypatch.setattr(cli, "_SUBCOMMANDS", (*cli._SUBCOMMANDS, add_purge))

    assert undocumented(cli.command_parser()) == ["purge", "purge --force", "purge --json"]


OURS = sorted(
    value
    for value in vars(attributes).values()
    if isinstance(value, str) and re.fullmatch(r"(mpulse|mparticle)\.[a-z_.]+", value)
)


@pytest.mark.parametrize("name", [name for name in OURS if name.count(".") > 1 or not name.endswith(".")])
def test_every_attribute_of_ours_is_there(name: str) -> None:
    """Attributes that an application may set for a vendor stand in the tables of what becomes what."""
    tables = README.split("## What becomes what")[1].split("## Privacy")[0]
    assert f"`{name}" in tables


NO_CODE = """
from opentelemetry import metrics, trace
with trace.get_tracer("app").start_as_current_span("Checkout"):
    metrics.get_meter("app").create_counter("Orders").add(2)
"""


def test_the_no_code_line_and_the_yaml_file_work(tmp_path: Path) -> None:
    """The line with environment variables, and the YAML block, with an application without our code."""
    (tmp_path / "app.py").write_text(NO_CODE)
    (line,) = [line for line in SHELL_LINES if line.startswith("OTEL_TRACES_EXPORTER=")]
    yaml = next(block for block in blocks("yaml") if "file_format" in block)
    (tmp_path / "otel.yaml").write_text(yaml)
    with Sandbox(mpulse=MPulseApp(timers=("Checkout",), metrics={"Orders": "Number"})) as sandbox:
        environment = environment_of(sandbox)
        for command, more in (
            (line, {}),
            (
                "opentelemetry-instrument python app.py",
                {"OTEL_CONFIG_FILE": "otel.yaml", "MPULSE_KEY": sandbox.mpulse.key},
            ),
        ):
            done = shell(command, tmp_path, {**environment, **more})
            assert done.returncode == 0, done.stderr
            assert [name for name, _ in sandbox.received.timers] == ["Checkout"], done.stderr
            assert sandbox.received.metrics == {"Orders": 2}
            sandbox.reset()


def test_the_lines_that_instrument_without_code_work(tmp_path: Path) -> None:
    """The variable and the YAML block wrap the functions they name."""
    package = tmp_path / "shop"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "checkout.py").write_text("def place_order(): pass\n")
    (package / "cart.py").write_text("class Cart:\n    def add(self): pass\n")
    (package / "billing.py").write_text("class Bill:\n    total = 2.5\n\ndef charge(): return Bill()\n")
    (tmp_path / "run.py").write_text(
        "from shop.billing import charge\nfrom shop.cart import Cart\nfrom shop.checkout import place_order\n"
        "place_order(); Cart().add(); charge()\n"
    )
    (line,) = [line for line in SHELL_LINES if line.startswith("OTEL_VENDOR_INSTRUMENT=")]
    line = line.replace("flask --app shop run", "python run.py")
    definitions = MPulseApp(timers=("Checkout", "Cart.add"), metrics={"Revenue": "Currency"})
    with Sandbox(mpulse=definitions) as sandbox:
        signals = {
            "OTEL_TRACES_EXPORTER": "mpulse",
            "OTEL_METRICS_EXPORTER": "mpulse",
            "OTEL_LOGS_EXPORTER": "none",
        }
        done = shell(line, tmp_path, {**environment_of(sandbox), **signals})
        assert sorted(name for name, _ in sandbox.received.timers) == ["Cart.add", "Checkout"], done.stderr
        assert sandbox.received.metrics == {"Revenue": 2.5}
        sandbox.reset()

        providers, functions = blocks("yaml")
        (tmp_path / "otel.yaml").write_text(providers + functions)
        of_yaml = {"OTEL_CONFIG_FILE": "otel.yaml", "MPULSE_KEY": sandbox.mpulse.key}
        done = shell(
            "opentelemetry-instrument python run.py", tmp_path, {**environment_of(sandbox), **of_yaml}
        )
        assert [name for name, _ in sandbox.received.timers] == ["Checkout"], done.stderr
        assert sandbox.received.metrics == {"Revenue": 2.5}


# Which lines of README are run, and where; a line that fits none would be run by nobody.
RUN_BY = {
    r".*-m otel_vendor_exporters (send|doctor) ?.*": "here",
    r".*-m otel_vendor_exporters sandbox .*": "here; of the first steps tests/sandbox/test_first_steps.py",
    r"OTEL_(TRACES_EXPORTER|VENDOR_INSTRUMENT)=.*": "here",
    r"(export .*|.*python first\.py)": "tests/sandbox/test_first_steps.py",
    r"python3 -m venv .* -m examples\.shop": "the module by tests/test_examples.py",
    r"python3 -m venv .* -m pytest": "the checks before a merge, with a fresh environment",
    r"python3 -m venv \S+ && \S+/pip install --quiet \.": "likewise, as the built wheel",
}


@pytest.mark.parametrize("line", SHELL_LINES)
def test_every_line_is_run_somewhere(line: str) -> None:
    """A block that is added comes with what runs it."""
    assert any(re.fullmatch(pattern, line.strip()) for pattern in RUN_BY), line


SANDBOX_LINES = [line for line in SHELL_LINES if "-m otel_vendor_exporters sandbox" in line]


@pytest.mark.parametrize("line", SANDBOX_LINES)
def test_the_sandbox_starts_as_shown(line: str, tmp_path: Path) -> None:
    """Its options are there, and it says where to look."""
    with sandbox_started(here(line), tmp_path, {**os.environ, "PYTHONPATH": str(ROOT)}) as (_, page):
        assert page.startswith("http://127.0.0.1:")


def names_table() -> str:
    """Everything that may be imported, by module."""
    rows = [
        f"| `{module}` | {', '.join(f'`{name}`' for name in sorted(import_module(module).__all__))} |"
        for module in PUBLIC
    ]
    return "\n".join(["| module | names |", "|---|---|", *rows])


def test_where_mparticle_and_analytics_differ_is_there() -> None:
    """The table is the one that test_both_vendors drives through both."""
    assert README.split("<!-- both -->\n")[1].split("<!-- end -->")[0].strip() == test_both_vendors.table()


@pytest.mark.parametrize("vendor", test_what_becomes_what.TABLES)
def test_what_becomes_what_is_there(vendor: str) -> None:
    """The tables are those that test_what_becomes_what drives through the exporters."""
    shown = README.split(f"<!-- becomes {vendor} -->\n")[1].split("<!-- end -->")[0].strip()
    assert shown == test_what_becomes_what.table(vendor)


def personal_list() -> str:
    """What stays here unless it is allowed, as README shows it."""
    lists = {
        "mParticle": PERSONAL_ATTRIBUTES,
        "mParticle Analytics": NOT_SENT,
    }
    rows = [f"| {vendor} | {', '.join(f'`{glob}`' for glob in globs)} |" for vendor, globs in lists.items()]
    return "\n".join(["| | |", "|---|---|", *rows])


def test_what_stays_here_is_listed() -> None:
    """The attributes in Privacy are those that the exporters keep."""
    assert README.split("<!-- personal -->\n")[1].split("<!-- end -->")[0].strip() == personal_list()


def test_every_link_within_leads_somewhere() -> None:
    """A heading that is renamed takes its links along."""
    headings = {
        re.sub(r"[^a-z0-9 -]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in README.splitlines()
        if line.startswith("#")
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", README)) <= headings


def test_every_public_name_is_there() -> None:
    """What may be imported stands in README, and what stands there may be imported."""
    assert README.split("<!-- names -->\n")[1].split("<!-- end -->")[0].strip() == names_table()


if __name__ == "__main__":  # writes the tables into README
    text = README
    tables = {f"settings {name}": settings_table(name) for name in SETTINGS}
    tables |= {"names": names_table(), "both": test_both_vendors.table()}
    becomes = test_what_becomes_what
    tables |= {f"becomes {name}": becomes.table(name) for name in becomes.TABLES}
    tables |= {"personal": personal_list(), "send": send_table()}
    for marker, content in tables.items():
        before, mark, rest = text.partition(f"<!-- {marker} -->\n")
        text = before + mark + content + "\n<!-- end -->" + rest.split("<!-- end -->", 1)[1]
    (ROOT / "README.md").write_text(text)
