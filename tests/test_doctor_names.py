"""`doctor` as people run it, against the real sandbox: names that the mPulse app does not define."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from otel_vendor_exporters.sandbox import MPulseApp, Sandbox
from tests.command import Call, call, mparticle_environment, mpulse_environment
from tests.doctor_calls import mpulse

SHOP = """
import instrumentation
from instrumentation import counted as tally, timed
from instrumentation.decorators import timed as stopwatch


@timed("Checkout")
@tally("orders")
def checkout(): ...


@timed("Chekout")
@tally("revenu")
def misspelt(): ...


class Basket:
    @instrumentation.timed
    async def add(self):
        with stopwatch("search"):
            ...


@timed(name="Lookup", record="metric")
@timed(f"{1}")
def lookup(): ...
"""


def test_names_in_code(sandbox: Sandbox, tmp_path: Path) -> None:
    """Names of @timed and @counted that mPulse does not define are told with place and nearest name."""
    (tmp_path / "shop.py").write_text(SHOP)
    ended = mpulse(sandbox, "--code", str(tmp_path))

    names = {
        one["details"]["name"]: one["sentence"]
        for one in ended.form["sections"][1]["findings"]
        if one["code"] == "undefined"
    }
    assert ended.status == 1
    assert names.keys() == {"Chekout", "revenu", "Basket.add", "search", "Lookup"}
    assert "shop.py:12) is no custom timer of the app" in names["Chekout"]
    assert names["Chekout"].endswith("did you mean 'Checkout'?")
    assert names["revenu"].endswith(
        "is no custom metric of the app, so it is not sent: did you mean 'Revenue'?"
    )
    assert names["search"].endswith("did you mean 'Search'? Upper and lower case differ")
    assert ended.findings("mpulse")["scanned"] == (
        "ok",
        "1 file read; 2 names that code uses defined",
    )
    assert ended.levels("mpulse")["made_at_run_time"] == "info"


def test_names_in_a_module_that_is_not_imported(sandbox: Sandbox, tmp_path: Path) -> None:
    """A module is named as in an import, and is read, not run."""
    package = tmp_path / "shop"
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit('imported')")
    (package / "tills.py").write_text("from instrumentation import timed\n@timed('Chekout')\ndef f(): ...\n")
    environment = {**mpulse_environment(sandbox), "PYTHONPATH": f"{Path(__file__).parent.parent}:{tmp_path}"}
    ended = call("doctor", "mpulse", "--json", "--code", "shop.tills", "--code", "shop.no", **environment)

    assert ended.status == 1
    assert "tills.py:2) is no custom timer" in ended.findings("mpulse")["undefined"][1]
    assert ended.findings("mpulse")["no_such_code"][1].startswith("shop.no is neither a file")


def test_names_in_the_environment(sandbox: Sandbox) -> None:
    """Functions that the environment decorates are compared, too."""
    environment = {**mpulse_environment(sandbox), "OTEL_VENDOR_INSTRUMENT": "a:b=timed(Serch)"}
    ended = call("doctor", "mpulse", "--json", **environment)

    assert ended.status == 1
    assert "'Serch' (OTEL_VENDOR_INSTRUMENT) is no" in ended.findings("mpulse")["undefined"][1]


INSTRUMENT = ["a:b=timed(Serch)", {"target": "a:c", "use": "counted", "name": "revenu"}, "nonsense"]


@pytest.mark.parametrize("suffix", [".toml", ".yaml", ".json"])
def test_names_in_the_file_of_the_environment(sandbox: Sandbox, tmp_path: Path, suffix: str) -> None:
    """Each entry, with the variable and the file it comes from; what is not understood is told."""
    if suffix == ".toml" and sys.version_info < (3, 11):
        pytest.skip("TOML needs Python 3.11")
    file = tmp_path / f"functions{suffix}"
    table = '{target = "a:c", use = "counted", name = "revenu"}'
    toml = f'instrument = ["a:b=timed(Serch)", {table}, "nonsense"]'
    file.write_text(toml if suffix == ".toml" else json.dumps({"instrument": INSTRUMENT}))
    environment = {**mpulse_environment(sandbox), "OTEL_VENDOR_INSTRUMENT_FILE": str(file)}
    ended = call("doctor", "mpulse", "--json", **environment)

    place = f"OTEL_VENDOR_INSTRUMENT_FILE: {file}"
    assert (ended.status, told_undefined(ended)) == (1, {"Serch": place, "revenu": place})
    unread = ended.findings("mpulse")["unreadable_code"][1]
    assert unread.startswith(f"not read: {place}: 'nonsense' is not understood: write module:function")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("gone.json", None, "No such file or directory"),
        ("x.ini", "", "x.ini is none of .toml, .yaml, .yml, .json"),
        ("x.yaml", "a: [", "while parsing"),
        ("x.json", "{}", "x.json has no list named instrument"),
    ],
)
def test_a_file_of_functions_that_cannot_be_read(
    sandbox: Sandbox, tmp_path: Path, name: str, text: str | None, said: str
) -> None:
    """It is named with the reason, as the instrumentor would take nothing of it."""
    if text is not None:
        (tmp_path / name).write_text(text)
    environment = {**mpulse_environment(sandbox), "OTEL_VENDOR_INSTRUMENT_FILE": str(tmp_path / name)}
    ended = call("doctor", "mpulse", "--json", **environment)

    level, sentence = ended.findings("mpulse")["unreadable_code"]
    assert (ended.status, ended.err, level) == (1, "", "warning")
    assert sentence.startswith("not read: OTEL_VENDOR_INSTRUMENT_FILE: ")
    assert said in sentence


def test_names_in_the_configuration_file(sandbox: Sandbox, tmp_path: Path) -> None:
    """The list that OpenTelemetry's file has for the instrumentor, and the file it names."""
    (tmp_path / "more.json").write_text('["a:d=timed(Chekout)"]')
    (tmp_path / "otel.yaml").write_text(f"""
file_format: "1.0"
tracer_provider:
  processors: [{{batch: {{exporter: {{mpulse: }}}}}}]
instrumentation/development:
  python:
    otel_vendor_exporters:
      instrument: {json.dumps(INSTRUMENT[:2])}
      instrument_file: {tmp_path / "more.json"}
""")
    environment = {**mpulse_environment(sandbox), "OTEL_CONFIG_FILE": str(tmp_path / "otel.yaml")}
    ended = call("doctor", "mpulse", "--json", **environment)

    assert (ended.status, told_undefined(ended)) == (
        1,
        {
            "Serch": "OTEL_CONFIG_FILE",
            "revenu": "OTEL_CONFIG_FILE",
            "Chekout": f"OTEL_CONFIG_FILE, instrument_file: {tmp_path / 'more.json'}",
        },
    )


def told_undefined(ended: Call) -> dict[str, str]:
    """Names in code that the app does not define, with their place."""
    findings = (one for section in ended.form["sections"] for one in section["findings"])
    undefined = (one["details"] for one in findings if one["code"] == "undefined")
    return {one["name"]: ", ".join(one["places"]) for one in undefined}


@pytest.mark.parametrize("code", ["nope", "here"])
def test_code_without_an_app_to_compare_it_with(sandbox: Sandbox, tmp_path: Path, code: str) -> None:
    """That is told, and what is wrong with the code itself all the same."""
    (tmp_path / "shop.py").write_text(SHOP)
    path = str(tmp_path) if code == "here" else "/nonexist"
    unasked = call("doctor", "mparticle", "--json", "--code", path, **mparticle_environment(sandbox))
    unreached = mpulse(sandbox, "--code", path, config_url="http://127.0.0.1:1/config.json")
    misset = mpulse(sandbox, "--code", path, timeout="soon")

    read = "1 file read, 7 names" if code == "here" else "0 files read, 0 names"
    sentence = f"--code is not compared ({read}): that takes the configuration of an mPulse app, which"
    unset = f"{sentence} is not asked for here: examine mpulse, configured, too"
    failed = f"{sentence} has not come: see mpulse"
    told = [one.findings("installation") for one in (unasked, unreached, misset)]
    assert [one["not_compared"] for one in told] == [("warning", each) for each in (unset, failed, failed)]
    assert (unasked.status, unreached.status, misset.status) == (1, 2, 2)
    assert all(("no_such_code" in one) is (code == "nope") for one in told)


def test_names_in_settings(sandbox: Sandbox) -> None:
    """What the mapping settings name must be defined, as what they say it is."""
    ended = mpulse(sandbox, timers="GET /*=Chekout", metrics="q=Queue,c=Checkout", dimensions="a=plan")

    told = [one["sentence"] for one in ended.form["sections"][1]["findings"] if one["level"] == "warning"]
    assert [sentence.replace(" of the app, so it is not sent", "") for sentence in told] == [
        "'Chekout' (timers: GET /*) is no custom timer: did you mean 'Checkout'?",
        "'Checkout' (metrics: c) is no custom metric: it is a custom timer there, and a metric here",
        "'plan' (dimensions: a) is no custom dimension: did you mean 'Plan'? Upper and lower case differ",
    ]


def test_an_app_that_defines_nothing() -> None:
    """Then nothing could ever arrive."""
    with Sandbox(mpulse=MPulseApp(timers=())) as empty:
        ended = mpulse(empty)

    assert (ended.status, ended.levels("mpulse")["none_defined"]) == (1, "warning")
