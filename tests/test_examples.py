"""The examples run as they stand, against the sandbox, and lose nothing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from examples.__main__ import EXAMPLES
from tests.readme_output import readme_output

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "examples"
PLUMBING = {"__init__.py", "__main__.py", "against_sandbox.py", "README.md"}
FILES = sorted(path.name for path in FOLDER.iterdir() if path.is_file() and path.name not in PLUMBING)
ROWS = dict(
    re.findall(r"^\| .+ \| \[(.+?)\]\(\1\) \| `(.+)` \|$", (FOLDER / "README.md").read_text(), re.MULTILINE)
)
MOST_LINES = 40  # and an example has fewer

# gunicorn leaves its listening socket to the garbage collector.
WARNINGS = "error,ignore::ResourceWarning"
NOT_DEFINED = "mpulse: not sent, because the app defines no such custom "
ORDERS = [
    (user, sku, country) for user, country in (("u-1", "DE"), ("u-2", "FR")) for sku in ("lamp", "chair")
]
# What a vendor receives, in any order: each pattern is a whole line or its beginning.
ARRIVES: dict[str, list[str]] = {
    "direct_clients.py": [
        "mPulse received the timer Checkout: 232 ms (Country=DE, page group=Cart)",
        "mPulse received the metric Revenue: 19.99",
        "mParticle received of u-1 the custom_event Signed up",
        "mParticle received of u-1 the custom_event Newsletter opened",
        "Analytics received of u-1 the event Registration (Age=23)",
    ],
    "metrics_only.py": [
        "mPulse received the timer Price lookup: ",
        "mPulse received the metric Revenue: 199.8",
        "mPulse received the metric Orders: 2 (Country=DE)",
    ],
    "dict_config.py": [
        "mParticle received of u-1 the custom_event Order placed (total=19.99, log.",
        "mParticle received of u-2 the crash_report ConnectionError (log.",
    ],
    "fastapi_visitors.py": [
        *(f"mPulse received the timer Checkout: # ms (Country={country})" for _, _, country in ORDERS),
        *(
            f"mParticle received of {user} the custom_event Order placed (sku={sku}"
            for user, sku, _ in ORDERS
        ),
    ],
    "environment.sh": [
        *["mPulse received the timer Checkout: # ms (page group=checkout sku)"] * 4,
        *(
            f"mParticle received of {user} the custom_event Order placed (sku={sku}"
            for user, sku, _ in ORDERS
        ),
    ],
    "otel.yaml": [
        *["mPulse received the timer Checkout: # ms (page group=checkout sku)"] * 4,
        *["mPulse received the timer Price lookup: # ms"] * 4,
        *(
            f"mParticle received of {user} the custom_event Order placed (sku={sku}"
            for user, sku, _ in ORDERS
        ),
    ],
    "functions.sh": [
        "mPulse received the metric Orders: 4",
        "mPulse received the metric Revenue: 319.8",
        *["mPulse received the timer Price lookup: # ms"] * 4,
    ],
    "vendor_down.py": ["mPulse received the timer Checkout: # ms"] * 3,
    "gunicorn_spool.py": ["mPulse received the timer Checkout: # ms"] * 6,
}
# What an example shows beside it.
SHOWS: dict[str, list[str]] = {
    "vendor_down.py": [
        "while mPulse is down: 3 kept, 0 delivered, 0 lost",
        "after shutdown: 0 kept, 3 delivered, 0 lost",
    ],
    "gunicorn_spool.py": ["  while mPulse was down it received 0 timings"],
}
TELLS: dict[str, list[str]] = {  # on stderr, but for names that the app does not define
    "vendor_down.py": ["mpulse: not delivering (HTTP 503)", "mpulse: delivering again"],
    "gunicorn_spool.py": ["mpulse: no configuration: the configuration request was answered HTTP 503"],
    "otel.yaml": ["OTEL_CONFIG_FILE is set; ignoring configurator kwargs"],  # OpenTelemetry's
}


# What each part of the shop's instrumentation brings, as a line of its report.
IN_THE_SHOP = {
    "timed, on a method": r"Checkout +30 +\d+ +\d+",
    "timed, on a coroutine": r"Payment +27 +\d+ +\d+",
    'timed, record="metric"': r"Price lookup +1 +\d+ +\d+",
    "counted": r"Orders +27",
    "counted, by value": r"Revenue +5,662",
    "event: to mParticle beside what is shipped": r"custom_event +57",
    "event: to Analytics": r"Product added +30",
    "functions named in configuration": r"Stock lookup +240 +\d+ +\d+",
    "a visitor's block: timings": r"Shipping +27 +\d+ +\d+",
    "middleware, and a visitor's block: dimensions": r"beacons by Country: .*DE \d+, FR \d+, JP.*",
    "EventHandler on log calls": r"page_view +240",
    "EventHandler on exceptions": r"crash_report +3",
    "the RT cookie: sessions": r"mPulse received \d+ beacons of 61 sessions, 60 of them begun by browsers",
    "the RT cookie: a visitor's timings": (
        r"in browser-\d+-[0-9a-z]{6}: Add to cart 1, Checkout 1, Checkout page 1, Goodbye 1, Payment 1, "
        r"Product page 3, Start page 1, Stock lookup 2, Warehouse call 3"
    ),
}


def run(*arguments: str, warnings: str = "error") -> subprocess.CompletedProcess[str]:
    """Run a module of this repository as README says."""
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": warnings},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def shape(text: str) -> list[str]:
    """The lines without what differs from run to run: numbers, who was busiest, and what that one did."""
    lines = re.sub(r"\d[\d,.]*", "0", text).strip().splitlines()
    told = [re.sub(r"^(  in browser-0)-.*|^    \w.*", r"\1", line) for line in lines]
    return [re.sub(r"\s+", " ", line) for line in told]


def test_the_shop_shows_what_each_vendor_received() -> None:
    """README's first command: real requests, real telemetry, and nothing the vendors would throw away."""
    done = run("examples.shop")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "360 requests to the shop" in done.stdout
    assert "mParticle received 447 events of 40 users" in done.stdout
    assert "mParticle Analytics received 420 events of 40 users, 0 merged" in done.stdout
    assert "Findings (what the real vendors would have thrown away): none" in done.stdout
    assert done.stderr == ""
    assert shape(done.stdout) == shape(readme_output("360 requests to the shop"))
    for what, line in IN_THE_SHOP.items():
        assert re.search(f"^ *{line}$", done.stdout, re.MULTILINE), f"{what}\n{done.stdout}"


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_arrives(name: str) -> None:
    """Each ends by itself and runs the command it names; its data arrives, nothing else, without findings."""
    done = run("examples", name, warnings=WARNINGS)

    everything = done.stdout + done.stderr
    lines = done.stdout.splitlines()
    commands = {line for line in lines if line.startswith("$ ")}
    arrived = [line for line in lines if re.match(r"(mPulse|mParticle|Analytics) received ", line)]
    assert done.returncode == 0, everything
    assert all(f"    {command}\n" in (FOLDER / name).read_text() for command in commands)
    assert ROWS[name] == f"python -m examples {name}"
    assert lines[-2:] == ["Findings: none", ""], everything
    assert set(SHOWS.get(name, [])) <= set(lines), everything
    assert unmatched(ARRIVES[name], arrived) == ([], []), everything
    assert [line for line in done.stderr.splitlines() if not is_expected(line, name)] == []


def unmatched(patterns: list[str], lines: list[str]) -> tuple[list[str], list[str]]:
    """The patterns for which there is no line, and the lines for which there is no pattern."""
    missing, left = [], list(lines)
    for pattern in patterns:
        begins = re.compile(re.escape(pattern).replace(r"\#", r"\d+"))
        found = next((line for line in left if begins.match(line)), None)
        if found is None:
            missing.append(pattern)
        else:
            left.remove(found)
    return missing, left


def is_expected(line: str, name: str) -> bool:
    """Whether an example may say this on stderr."""
    return line.startswith((NOT_DEFINED, *TELLS.get(name, [])))


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_short_and_in_the_table(name: str) -> None:
    """Every file is found by its question, and read in a minute."""
    assert name in ROWS
    assert len((FOLDER / name).read_text().splitlines()) < MOST_LINES


def test_an_example_that_is_not_there_is_told() -> None:
    """A wrong name ends with the right ones."""
    done = run("examples", "dictconfig.py")

    assert done.returncode == 2
    assert "there is no example dictconfig.py: choose from direct_clients.py, " in done.stderr
