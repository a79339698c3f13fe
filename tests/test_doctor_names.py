"""`doctor` as people run it, against the real sandbox: names that the mPulse app does not define."""

from __future__ import annotations

from pathlib import Path

from otel_vendor_exporters.sandbox import MPulseApp, Sandbox
from tests.command import call, mpulse_environment
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
