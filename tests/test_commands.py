"""What all commands owe those who call them: terminals of any kind, readers that leave, a quick start."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.command import ROOT, WAIT_SECONDS, call


def test_every_command_is_in_the_help() -> None:
    """With a sentence each."""
    told = " ".join(call("--help").out.split())

    assert "sandbox stand in for the vendors on this machine" in told
    assert "doctor find out why nothing arrives" in told
    assert "send send one thing to a vendor, and show what goes and what comes back" in told


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_that_cannot_show_everything(encoding: str) -> None:
    """What it cannot show is shown escaped; the exit status is the same."""
    ended = call("doctor", PYTHONIOENCODING=encoding)

    assert (ended.status, ended.err) == (1, "")
    assert "no OTEL_EXPORTER_MPULSE_\\u2026 variable is set" in ended.out


def test_a_reader_that_leaves() -> None:
    """`doctor | head -1` ends with the doctor's status and no word."""
    command = [sys.executable, "-m", "otel_vendor_exporters", "doctor"]
    environment = {"PYTHONPATH": str(ROOT), "OTEL_EXPORTER_MPULSE_TIMEOUT": "soon"}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.wait(WAIT_SECONDS) == 2
        assert process.stderr.read() == ""


def test_commands_import_what_they_need() -> None:
    """To read the command line neither OpenTelemetry nor requests is needed, and no vendor."""
    code = (
        "import sys; from otel_vendor_exporters import cli\n"
        "try: cli.main(['sandbox', '--help'])\n"
        "except SystemExit: print('modules', *sys.modules)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=True,
    )
    modules = ended.stdout.partition("modules ")[2].split()

    assert not {name.split(".")[0] for name in modules} & {"opentelemetry", "requests", "urllib3", "wrapt"}
    assert "otel_vendor_exporters.mpulse" not in modules
