"""`python -m otel_vendor_exporters` as people run it: a process with pipes, signals and an exit status."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from otel_vendor_exporters import cli

ROOT = Path(__file__).parent.parent
MODULE = (sys.executable, "-W", "error", "-m", "otel_vendor_exporters")
WAIT_SECONDS = 10
ENVIRONMENT = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"}


@contextmanager
def running(*arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A sandbox in a process of its own; ends with the test whatever happens."""
    command = [*MODULE, "sandbox", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(  # type: ignore[call-overload]  # the pipes are in a dictionary
        command, cwd=ROOT, env={**ENVIRONMENT, **environment}, text=True, **pipes
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def run(*arguments: str, command: tuple[str, ...] = MODULE) -> subprocess.CompletedProcess[str]:
    """A call that ends by itself."""
    return subprocess.run(
        [*command, *arguments],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )


def greeting(process: subprocess.Popen[str]) -> list[str]:
    """The lines up to the one that says how to end it."""
    assert process.stdout is not None
    lines = [process.stdout.readline().rstrip("\n")]
    while lines[-1] and not lines[-1].endswith("Ctrl-C ends it."):
        lines.append(process.stdout.readline().rstrip("\n"))
    return lines


def exports(lines: list[str]) -> dict[str, str]:
    """What the printed `export` lines set, as a shell reads them."""
    words = (shlex.split(line) for line in lines if line.strip().startswith("export "))
    return dict(word.split("=", 1) for _, word in words)


def ended(process: subprocess.Popen[str], signal_number: int) -> tuple[int, str, str]:
    """Send a signal; the exit status and what was still said."""
    process.send_signal(signal_number)
    rest, errors = process.communicate(timeout=WAIT_SECONDS)
    return process.returncode, rest, errors


def get(url: str) -> bytes:
    with urlopen(url, timeout=WAIT_SECONDS) as reply:
        body: bytes = reply.read()
        return body


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_the_sandbox_says_how_to_use_it_and_ends_cleanly(signal_number: int) -> None:
    """It prints its address and the settings, serves, and ends with 0 and no word on SIGINT and SIGTERM."""
    with running("--port", "0") as process:
        lines = greeting(process)
        settings = exports(lines)
        url = lines[0].rpartition(" ")[2]
        query = f"key={settings['OTEL_EXPORTER_MPULSE_API_KEY']}&d={settings['OTEL_EXPORTER_MPULSE_DOMAIN']}"
        config = json.loads(get(f"{settings['OTEL_EXPORTER_MPULSE_CONFIG_URL']}?{query}"))

        assert re.fullmatch(r"The sandbox listens on http://127\.0\.0\.1:\d+", lines[0])
        assert lines[-2] == f"See it live: {url}/"
        assert lines[-1] == f"What arrived: {url}/sandbox/received.json. Ctrl-C ends it."
        assert config["h.key"] == settings["OTEL_EXPORTER_MPULSE_API_KEY"]
        assert ended(process, signal_number) == (0, "", "")


def test_the_printed_settings_make_an_exporter_work() -> None:
    """A stranger pastes the lines; a timer of the default app arrives."""
    script = (
        "from otel_vendor_exporters.mpulse import MPulseClient as C; print(C().send_timer('MyTimer', 10))"
    )
    with running("--port", "0") as process:
        lines = greeting(process)
        sender = subprocess.run(
            [sys.executable, "-c", script],
            env={**ENVIRONMENT, **exports(lines)},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        received = json.loads(get(f"{lines[0].rpartition(' ')[2]}/sandbox/received.json"))

    assert "delivered=1" in sender.stdout
    assert received["vendors"]["mpulse"]["timers"] == {"MyTimer": {"count": 1, "total_ms": 10}}
    assert received["findings"] == []


def test_findings_are_printed_as_they_come() -> None:
    """One line for each: how bad, whose, what, and what to change."""
    with running("--port", "0") as process:
        url = greeting(process)[0].rpartition(" ")[2]
        get(f"{url}/17de4c15/?api=1&h.ab=%C3%A4")
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        while "bad_ab" not in lines[-1]:
            lines.append(process.stdout.readline())

    assert lines[-1] == (
        "error: mpulse beacon: bad_ab: h.ab=`ä` must be 1 to 25 of letters, digits, space, `_` and `-`. "
        "Change: Setting `ab_test`, attribute `mpulse.ab_test`.\n"
    )


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_no_text_from_outside_ends_it(encoding: str) -> None:
    """A label that the terminal cannot show is shown escaped."""
    with running("--port", "0", PYTHONIOENCODING=encoding) as process:
        url = greeting(process)[0].rpartition(" ")[2]
        get(f"{url}/17de4c15/?api=1&t_other=%E6%94%AF%E6%89%95%E2%9C%93|1")
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        while "unknown_timer" not in lines[-1]:
            assert lines[-1], process.communicate()
            lines.append(process.stdout.readline())
        assert ended(process, signal.SIGINT)[::2] == (0, "")


def test_a_taken_port_is_told() -> None:
    """Status 1 and one line that names the port and the way out."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended_one = run("sandbox", "--port", port)

    assert ended_one.returncode == 1
    assert ended_one.stdout == ""
    assert ended_one.stderr == (
        f"sandbox: port {port} of 127.0.0.1 is in use, perhaps by another sandbox: "
        "choose one with --port, or a free one with --port 0\n"
    )


def test_a_reader_that_leaves_ends_it() -> None:
    """`sandbox | head -1`: with nobody to tell, it ends without a traceback."""
    with running("--port", "0") as process:
        url = greeting(process)[0].rpartition(" ")[2]
        assert process.stdout is not None
        process.stdout.close()
        get(f"{url}/17de4c15/?api.v=1")
        assert process.wait(WAIT_SECONDS) == 1
        assert process.stderr is not None
        assert process.stderr.read() == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "the following arguments are required: command"),
        (("sandpit",), "invalid choice: 'sandpit'"),
        (("sandbox", "--port", "http"), "'http' is not a port: use 0 to 65535"),
        (("sandbox", "--port", "65536"), "'65536' is not a port: use 0 to 65535"),
        (("sandbox", "--port", "-1"), "'-1' is not a port: use 0 to 65535"),
        (("sandbox", "--port", "1" * 5_000), "is not a port: use 0 to 65535"),
        (("sandbox", "--metric", "Tax:Curency"), "'Tax:Curency': write NAME or NAME:TYPE, TYPE of Number,"),
        (("sandbox", "--port"), "--port: expected one argument"),
        (("sandbox", "--listen", "0.0.0.0"), "unrecognized arguments: --listen 0.0.0.0"),
    ],
)
def test_bad_arguments_are_told(arguments: tuple[str, ...], said: str) -> None:
    """Status 2, how to call it, and what was wrong; no traceback."""
    call = run(*arguments)

    assert (call.returncode, call.stdout) == (2, "")
    assert call.stderr.startswith("usage: ")
    assert said in call.stderr
    assert "Traceback" not in call.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "No such file or directory"),
        ("{", "app.json is not JSON"),
        ("[]", "app.json must hold a JSON object"),
        ('{"timers": "Checkout"}', "timers must be a list"),
    ],
)
def test_a_wrong_definitions_file_is_told(tmp_path: Path, text: str | None, said: str) -> None:
    """Status 1 and one line."""
    path = tmp_path / "app.json"
    if text is not None:
        path.write_text(text)
    call = run("sandbox", "--port", "0", "--definitions", str(path))

    assert (call.returncode, call.stdout) == (1, "")
    assert call.stderr.startswith("sandbox: ")
    assert said in call.stderr
    assert call.stderr.count("\n") == 1


@pytest.mark.parametrize("kind", ["timer", "metric", "dimension"])
def test_an_empty_name_is_told_wherever_it_stands(tmp_path: Path, kind: str) -> None:
    """As an option in the words that a definitions file gets, before anything listens."""
    path = tmp_path / "app.json"
    path.write_text(json.dumps({f"{kind}s": [""]}))
    as_option = run("sandbox", "--port", "0", f"--{kind}", "")
    in_file = run("sandbox", "--port", "0", "--definitions", str(path))

    words = f"{kind}s must be a list of names, and entry 0 is empty\n"
    assert (as_option.returncode, as_option.stdout, as_option.stderr) == (1, "", f"sandbox: {words}")
    assert (in_file.returncode, in_file.stdout, in_file.stderr) == (1, "", f"sandbox: {path}: {words}")


def test_definitions_and_learning(tmp_path: Path) -> None:
    """--definitions names the app, --learn accepts what it does not name."""
    path = tmp_path / "app.json"
    path.write_text('{"key": "K", "domain": "d.example", "timers": ["Checkout"]}')
    with running("--port", "0", "--definitions", str(path), "--learn") as process:
        settings = exports(greeting(process))
        config = json.loads(get(f"{settings['OTEL_EXPORTER_MPULSE_CONFIG_URL']}?key=K&d=d.example"))
        pairs = {name: config[name] for name in ("h.key", "h.d", "h.t", "h.cr")}
        pairs |= {"api": 1, "api.v": 1, "t_other": "custom5|1", "rt.start": "manual", "rt.end": config["h.t"]}
        get(f"http:{config['beacon_url']}?{urlencode(pairs)}")
        assert process.stdout is not None
        line = process.stdout.readline()

    assert settings["OTEL_EXPORTER_MPULSE_DOMAIN"] == "d.example"
    assert [timer["name"] for timer in config["PageParams"]["customTimers"]] == ["Checkout"]
    assert line.startswith("warning: mpulse beacon: unknown_timer:custom5: No timer of this app")


def config_of(settings: dict[str, str]) -> dict[str, Any]:
    """The configuration that the printed settings lead to."""
    query = {"key": settings["OTEL_EXPORTER_MPULSE_API_KEY"], "d": settings["OTEL_EXPORTER_MPULSE_DOMAIN"]}
    answer: dict[str, Any] = json.loads(
        get(f"{settings['OTEL_EXPORTER_MPULSE_CONFIG_URL']}?{urlencode(query)}")
    )
    return answer


def names(config: dict[str, Any], kind: str) -> list[str]:
    return [entry["name"] for entry in config["PageParams"][kind]]


def test_the_default_app_has_what_the_first_steps_send() -> None:
    """Without a file the app defines README's timer Checkout, metric Orders and dimension Country."""
    with running("--port", "0") as process:
        config = config_of(exports(greeting(process)))

    assert "Checkout" in names(config, "customTimers")
    assert "Orders" in names(config, "customMetrics")
    assert "Country" in names(config, "customDimensions")
    labels = [entry["label"] for entry in config["PageParams"]["customTimers"]]
    assert len(set(labels)) == len(labels)


def test_options_define_more(tmp_path: Path) -> None:
    """--timer, --metric and --dimension add to the file, with labels of their own, and may be repeated."""
    path = tmp_path / "app.json"
    path.write_text('{"timers": ["Old"], "metrics": {"Revenue": "Currency"}}')
    options = "--timer Search --timer=Pay --metric Orders --metric Tax:Currency --dimension Plan --timer Old"
    with running("--port", "0", "--definitions", str(path), *options.split()) as process:
        config = config_of(exports(greeting(process)))
    params = config["PageParams"]

    assert [(one["name"], one["label"]) for one in params["customTimers"]] == [
        ("Old", "custom0"),
        ("Search", "custom1"),
        ("Pay", "custom2"),
    ]
    assert [(one["name"], one["dataType"]) for one in params["customMetrics"]] == [
        ("Revenue", "Currency"),
        ("Orders", "Number"),
        ("Tax", "Currency"),
    ]
    assert [one["label"] for one in params["customDimensions"]] == ["cdim.Plan"]


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_learning_ends_with_what_to_define(signal_number: int) -> None:
    """The exporter set as printed sends every name; the sandbox lists them at the end, ready to be used."""
    script = (
        "from otel_vendor_exporters.mpulse import MPulseClient as C; c = C(); "
        "c.send_timer('Checkout', 1); c.send_timer(\"Bob's page\", 1, dimensions={'Plan': 'pro'}); "
        "c.send_metric('Sales', 2)"
    )
    with running("--port", "0", "--learn") as process:
        environment = {**ENVIRONMENT, **exports(greeting(process))}
        subprocess.run([sys.executable, "-c", script], env=environment, cwd=ROOT, timeout=30, check=True)
        status, rest, errors = ended(process, signal_number)

    told = rest.split("Arrived without definition; define these in mPulse (Configure Web App), ")[1]
    assert (status, errors) == (0, "")
    assert told.splitlines() == [
        "names exactly as here:",
        "  custom timers:",
        "    Bob's page",
        "  custom metrics:",
        "    Sales",
        "  custom dimensions:",
        "    Plan",
        "or start the sandbox with --timer 'Bob'\"'\"'s page' --metric Sales --dimension Plan",
    ]


ODD_NAMES = ("-7 days", "a:b", 'say "hi"; $HOME', "x" * 300, "ä ö")


def test_the_last_line_of_learning_can_be_pasted_whatever_the_names() -> None:
    """Names are whole and quoted: the next sandbox, started as printed, defines exactly these."""
    script = (
        "import sys; from otel_vendor_exporters.mpulse import MPulseClient as C; c = C()\n"
        "for name in sys.argv[1:]: c.send_timer(name, 1); c.send_metric(name, 2)"
    )
    with running("--port", "0", "--learn") as process:
        environment = {**ENVIRONMENT, **exports(greeting(process))}
        command = [sys.executable, "-c", script, *ODD_NAMES]
        subprocess.run(command, env=environment, cwd=ROOT, timeout=30, check=True)
        _, rest, _ = ended(process, signal.SIGINT)
    options = shlex.split(rest.rpartition("or start the sandbox with ")[2])

    with running("--port", "0", *options) as process:
        config = config_of(exports(greeting(process)))

    assert set(ODD_NAMES) <= set(names(config, "customTimers"))
    assert set(ODD_NAMES) <= set(names(config, "customMetrics"))


def test_a_key_with_odd_characters_can_be_pasted(tmp_path: Path) -> None:
    """The export lines are quoted for the shell."""
    path = tmp_path / "app.json"
    path.write_text('{"key": "a $HOME; b", "domain": "d.example"}')
    with running("--port", "0", "--definitions", str(path)) as process:
        assert exports(greeting(process))["OTEL_EXPORTER_MPULSE_API_KEY"] == "a $HOME; b"


def test_help() -> None:
    """Both helps name what there is; every option says what it does."""
    whole, sandbox = run("--help"), run("sandbox", "--help")

    assert (whole.returncode, sandbox.returncode, whole.stderr + sandbox.stderr) == (0, 0, "")
    assert "sandbox" in whole.stdout
    assert "stand in for the vendors on this machine" in whole.stdout
    for option in ("--port", "--definitions FILE", "--learn", "--metric NAME[:TYPE]", "--timer NAME"):
        assert option in sandbox.stdout
    assert "default 8700; 0 takes a free one" in " ".join(sandbox.stdout.split())


def test_the_installed_script_is_the_same_command() -> None:
    """`otel-vendor-exporters` calls cli.main, and its exit status is main's."""
    (entry,) = entry_points(group="console_scripts", name="otel-vendor-exporters")
    script = Path(sysconfig.get_path("scripts")) / "otel-vendor-exporters"

    assert entry.load() is cli.main
    assert run("--help", command=(str(script),)).stdout == run("--help").stdout
    assert run("sandbox", "--port", "x", command=(str(script),)).returncode == 2


def test_importing_the_command_line_is_cheap() -> None:
    """`sandbox` needs neither OpenTelemetry nor requests."""
    code = "import sys, otel_vendor_exporters.cli, otel_vendor_exporters.sandbox; print(*sys.modules)"
    modules = {name.split(".")[0] for name in run(command=(sys.executable, "-c", code)).stdout.split()}

    assert not modules & {"opentelemetry", "requests", "urllib3", "wrapt"}
