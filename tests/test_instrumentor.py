"""Instrumentation without touching code: opentelemetry-instrument on a real Flask application."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from otel_vendor_exporters.sandbox import Sandbox

INSTRUMENT = str(Path(sysconfig.get_path("scripts")) / "opentelemetry-instrument")

CHECKOUT = """
class Order:
    total = 12.5

def place_order(sku):
    return Order()

class Cart:
    async def add(self, sku):
        return sku
"""
VIEWS = """
import asyncio
from flask import Flask
from shop.checkout import Cart, place_order

app = Flask("shop")

@app.post("/order/<sku>")
def order(sku):
    asyncio.run(Cart().add(sku))
    return str(place_order(sku).total)
"""
# Serves a few real requests on loopback and ends; knows nothing of telemetry.
MAIN = """
import sys, threading, urllib.request
from werkzeug.serving import make_server
from shop.views import app

server = make_server("127.0.0.1", 0, app, threaded=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
for sku in ("lamp", "chair", "table"):
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}/order/{sku}", method="POST")
    sys.stdout.write(urllib.request.urlopen(request, timeout=10).read().decode() + "\\n")
server.shutdown()
server.server_close()
"""
ENTRIES = (
    "shop.checkout:place_order=timed(Checkout)",
    "shop.checkout:place_order=counted(Revenue, value=result.total)",
    "shop.checkout:Cart.*=timed(Search)",
)
# Without a propagator, OpenTelemetry 0.66b1's Flask instrumentation fails every request of the application.
YAML = """
file_format: "1.0"
tracer_provider:
  processors:
    - batch:
        exporter:
          mpulse:
            {api_key: "${KEY}", domain: "${DOMAIN}", config_url: "${URL}", timers: {Search.add: Search}}
meter_provider:
  readers:
    - periodic:
        exporter:
          mpulse: {api_key: "${KEY}", domain: "${DOMAIN}", config_url: "${URL}"}
propagator: {composite: [{tracecontext: }, {baggage: }]}
instrumentation/development:
  python:
    otel_vendor_exporters:
      instrument:
        - shop.checkout:place_order=timed(Checkout)
        - {target: "shop.checkout:place_order", use: counted, name: Revenue, value: result.total}
        - {target: "shop.checkout:Cart.*", use: timed, name: Search}
"""


@pytest.fixture
def application(tmp_path: Path) -> Path:
    """A Flask application in a folder of its own."""
    (tmp_path / "shop").mkdir()
    for name, source in (("__init__", ""), ("checkout", CHECKOUT), ("views", VIEWS)):
        (tmp_path / "shop" / f"{name}.py").write_text(source)
    (tmp_path / "main.py").write_text(MAIN)
    return tmp_path


def run(application: Path, *program: str, **environment: str) -> tuple[list[str], str]:
    """Run the application, or another, under opentelemetry-instrument; its output's lines, and its stderr."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    signals = {f"OTEL_{name}_EXPORTER": "none" for name in ("TRACES", "METRICS", "LOGS")}
    done = subprocess.run(
        [INSTRUMENT, sys.executable, *(program or ["main.py"])],
        env={**inherited, **signals, **environment},
        cwd=application,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout.splitlines(), done.stderr


def of_mpulse(sandbox: Sandbox) -> dict[str, str]:
    return {
        "OTEL_TRACES_EXPORTER": "mpulse",
        "OTEL_METRICS_EXPORTER": "mpulse",
        "OTEL_EXPORTER_MPULSE_TIMERS": "Search.add=Search",
        **{f"OTEL_EXPORTER_MPULSE_{k.upper()}": str(v) for k, v in sandbox.mpulse_settings.items()},
    }


def check_received(sandbox: Sandbox) -> None:
    """Three orders: their timers and their revenue, and nothing that mPulse would have thrown away."""
    received = sandbox.received
    assert sorted(name for name, _ in received.timers) == ["Checkout"] * 3 + ["Search"] * 3
    assert received.metrics == {"Revenue": 37.5}
    assert received.findings == ()


def test_environment_alone(sandbox: Sandbox, application: Path) -> None:
    """One variable names functions of an unchanged application; mPulse receives their timers and revenue."""
    output, told = run(application, OTEL_VENDOR_INSTRUMENT="; ".join(ENTRIES), **of_mpulse(sandbox))
    assert output == ["12.5"] * 3, told
    check_received(sandbox)
    assert "instrument" not in told


@pytest.mark.parametrize("suffix", [".toml", ".yaml", ".json"])
def test_a_file_of_entries(suffix: str, sandbox: Sandbox, application: Path) -> None:
    """The same entries in a TOML, YAML or JSON file."""
    if suffix == ".toml" and sys.version_info < (3, 11):
        pytest.skip("TOML needs Python 3.11")
    file = application / f"instrument{suffix}"
    file.write_text(
        f"instrument = {json.dumps(ENTRIES)}" if suffix == ".toml" else json.dumps({"instrument": ENTRIES})
    )
    run(application, OTEL_VENDOR_INSTRUMENT_FILE=str(file), **of_mpulse(sandbox))
    check_received(sandbox)


def test_the_declarative_file(sandbox: Sandbox, application: Path) -> None:
    """OTEL_CONFIG_FILE configures exporters and functions alike, once, though asked twice."""
    (application / "otel.yaml").write_text(YAML)
    settings = sandbox.mpulse_settings
    _, told = run(
        application,
        OTEL_CONFIG_FILE="otel.yaml",
        KEY=settings["api_key"],
        DOMAIN=settings["domain"],
        URL=settings["config_url"],
    )
    check_received(sandbox)
    assert "already instrumented" not in told


@pytest.mark.parametrize("disabled", ["otel_vendor_exporters", "requests , otel_vendor_exporters", "*"])
@pytest.mark.parametrize("way", ["environment", "file"])
def test_it_can_be_disabled(way: str, disabled: str, application: Path) -> None:
    """OTEL_PYTHON_DISABLED_INSTRUMENTATIONS switches it off, by YAML as well."""
    (application / "main.py").write_text(
        "from shop import checkout\nprint(type(checkout.Cart.add).__name__)\n"
    )
    (application / "otel.yaml").write_text(
        'file_format: "1.0"\ninstrumentation/development: {python: {otel_vendor_exporters: '
        '{instrument: ["shop.checkout:Cart.*=timed"]}}}\n'
    )
    by_file = {"OTEL_CONFIG_FILE": "otel.yaml"}
    given = {"OTEL_VENDOR_INSTRUMENT": ENTRIES[2]} if way == "environment" else by_file

    enabled, _ = run(application, **given)
    output, told = run(application, OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=disabled, **given)

    assert (enabled, output) == (["Instrumented"], ["function"]), told


def test_a_module_in_front_of_the_package_is_told(application: Path) -> None:
    """An application's own instrumentation.py keeps ours from being imported; it is named, once."""
    (application / "instrumentation.py").write_text("X = 1\n")
    (application / "main.py").write_text("import instrumentation\nprint(instrumentation.X)\n")

    output, told = run(application, OTEL_VENDOR_INSTRUMENT=ENTRIES[0])

    assert output == ["1"]
    assert told.count("stands in front of the package 'instrumentation'") == 1
    assert f"{application / 'instrumentation.py'}" in told


def test_mistakes_are_told_on_stderr_and_the_application_runs(application: Path) -> None:
    """Wrong entries, functions, modules and the main program: each is told once, and all else works."""
    entries = (
        "shop.checkout:place_order=tiemd",
        "shop.checkout:place_ordr=timed",
        "shop.chekout:f=timed",
        "main:f=timed",
        "shpo:f=timed",
        "nowhere_at_all:f=timed",
    )
    output, told = run(application, OTEL_VENDOR_INSTRUMENT=";".join(entries))
    assert output == ["12.5"] * 3
    for expected in (
        "no decorator 'tiemd' (nearest: 'timed')",
        "module 'shop.checkout' has no 'place_ordr' (nearest: 'place_order')",
        "'shop.chekout': there is no such module (nearest: 'shop.checkout')",
        "the functions of main.py are not instrumented",
        "'shpo': there is no such module (nearest: 'shop')",
        "'nowhere_at_all': there is no such module",
    ):
        assert told.count(expected) == 1, told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("program", "entry", "module"),
    [
        (["-m", "shop.main", "x"], "shop.main:work=timed", "shop.main"),
        (["-mshop.main"], "shop.main:work=timed", "shop.main"),
        (["-m", "shop"], "shop.__main__:work=timed", "shop.__main__"),
        (["-m", "shop.by_itself"], "", "shop.by_itself"),
    ],
)
def test_a_module_that_runs_as_the_main_program_is_told(
    program: list[str], entry: str, module: str, application: Path
) -> None:
    """`python -m` runs a module under another name: that its functions stay as they are is said, once."""
    work = "def work(): print('worked')\n"
    code = "from instrumentation import *\ninstrument_functions([__spec__.name + ':work=timed'])\n"
    for name, source in (("main", work), ("__main__", work), ("by_itself", work + code)):
        (application / "shop" / f"{name}.py").write_text(f"{source}work()\n")

    output, told = run(application, *program, OTEL_VENDOR_INSTRUMENT=entry)

    assert output == ["worked"]
    (line,) = told.splitlines()
    assert line.startswith(f"the functions of {module} are not instrumented: the main program runs without")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("OTEL_VENDOR_INSTRUMENT_FILE", "absent.yaml", "nothing is taken from instrument_file absent.yaml: "),
        ("OTEL_VENDOR_INSTRUMENT_FILE", "main.py", "main.py is none of .toml, .yaml, .yml, .json"),
        ("OTEL_VENDOR_VISITOR_ATTRIBUTES", "emial", "no visitor is stamped: 'emial' is no field"),
    ],
)
def test_wrong_settings_are_told_and_the_rest_holds(
    name: str, value: str, expected: str, sandbox: Sandbox, application: Path
) -> None:
    """A setting that is wrong takes nothing else with it."""
    _, told = run(
        application, OTEL_VENDOR_INSTRUMENT=";".join(ENTRIES), **{name: value}, **of_mpulse(sandbox)
    )
    assert expected in told
    check_received(sandbox)


def test_a_misspelt_key_of_the_file_takes_nothing_with_it(sandbox: Sandbox, application: Path) -> None:
    """It is said with the nearest right one, and the functions of the file are decorated all the same."""
    (application / "otel.yaml").write_text(f"{YAML}      visitor_attribute: all\n")
    settings = sandbox.mpulse_settings
    given = {"KEY": settings["api_key"], "DOMAIN": settings["domain"], "URL": settings["config_url"]}

    _, told = run(application, OTEL_CONFIG_FILE="otel.yaml", **given)

    assert told.count("has no setting 'visitor_attribute': did you mean visitor_attributes?") == 1, told
    check_received(sandbox)


WRONG = (
    {"target": "shop.checkout:place_order", "use": "timed", "name": 3},
    {"target": "shop.checkout:place_order", "use": "counted", "name": "Revenue", "value": [1]},
    {"target": "shop.checkout:place_order", "use": "event", "attributes": "sku"},
    7,
)


@pytest.mark.parametrize("way", ["instrument.toml", "instrument.yaml", "instrument.json", "otel.yaml"])
def test_a_value_of_another_kind_takes_nothing_with_it(way: str, sandbox: Sandbox, application: Path) -> None:
    """A name that is a number, as YAML has them, is refused with file and entry; the others hold."""
    if way == "instrument.toml" and sys.version_info < (3, 11):
        pytest.skip("TOML needs Python 3.11")
    settings = sandbox.mpulse_settings
    given = {"KEY": settings["api_key"], "DOMAIN": settings["domain"], "URL": settings["config_url"]}
    wrong_in_yaml = "".join(f"        - {json.dumps(each)}\n" for each in WRONG)
    listed = json.dumps([*WRONG, *ENTRIES])
    content = {
        "instrument.toml": f"instrument = {listed}".replace('": ', '" = '),
        "instrument.yaml": f"instrument: {listed}",
        "instrument.json": f'{{"instrument": {listed}}}',
        "otel.yaml": f"{YAML}{wrong_in_yaml}",
    }
    (application / way).write_text(content[way])
    by_file = {"OTEL_VENDOR_INSTRUMENT_FILE": way, **of_mpulse(sandbox)}

    _, told = run(application, **({"OTEL_CONFIG_FILE": way, **given} if way == "otel.yaml" else by_file))

    for expected in (
        "'name': 3}: name must be a text (a number stands in quotes), and 3 is none",
        "'value': [1]}: value must be a number, the name of an argument, or a path such as result.total, and",
        "'attributes': 'sku'}: attributes must be a list of names of arguments, as [sku], or a mapping",
        "7 is no entry: write module:function=timed(Name)",
    ):
        assert told.count(expected) == 1, told
    assert told.count(f"not instrumented, of {way}: ") == len(WRONG)
    assert "Traceback" not in told
    assert "is no setting" not in told
    check_received(sandbox)


LOGGING = """
import logging
from instrumentation import visitor

with visitor(user_id="u-1"):
    logging.getLogger("shop").warning("Order placed")
"""


@pytest.mark.parametrize("way", ["environment", "simple", "batch"])
def test_log_calls_carry_the_visitor(way: str, tmp_path: Path) -> None:
    """Ordinary log calls carry the visitor, by environment and by YAML, at once or in batches."""
    (tmp_path / "main.py").write_text(LOGGING)
    (tmp_path / "otel.yaml").write_text(
        f'file_format: "1.0"\nlogger_provider: {{processors: [{{{way}: {{exporter: {{console: }}}}}}]}}\n'
    )
    by_file = {} if way == "environment" else {"OTEL_CONFIG_FILE": "otel.yaml"}
    output, told = run(tmp_path, OTEL_LOGS_EXPORTER="console", **by_file)
    (record,) = [each for each in json_objects("\n".join(output)) if each["body"] == "Order placed"]
    assert record["attributes"]["user.id"] == "u-1", told


def json_objects(text: str) -> Iterator[dict[str, Any]]:
    """The objects that stand one after the other in a text (Any: whatever is in them)."""
    while text := text.strip():
        found, end = json.JSONDecoder().raw_decode(text)
        yield found
        text = text[end:]
