"""What an app has defined: given in code, read from a file, changed while it runs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import quote

import pytest

from otel_vendor_exporters.sandbox import MPulseApp, Sandbox
from tests.sandbox.wire import Wire, encoded


def test_definitions_can_be_replaced(sandbox: Sandbox, wire: Wire) -> None:
    """define() takes names and gives them mPulse's labels."""
    sandbox.mpulse.define(timers=("A", "B"), metrics=("M",), dimensions=("My Dim",))
    params = wire.learn()["PageParams"]

    assert [(t["name"], t["label"]) for t in params["customTimers"]] == [("A", "custom0"), ("B", "custom1")]
    assert [(m["label"], m["dataType"]) for m in params["customMetrics"]] == [("cmet.M", "Number")]
    assert [d["label"] for d in params["customDimensions"]] == ["cdim.My_Dim"]
    with pytest.raises(ValueError, match="names must come in a tuple or list"):
        sandbox.mpulse.define(timers="Checkout")


def test_an_app_from_a_short_file(tmp_path: Path) -> None:
    """Names alone are enough."""
    path = tmp_path / "app.json"
    path.write_text(
        '{"key": "K", "domain": "d.example", "timers": ["Checkout"], "metrics": {"Revenue": "Currency"}, '
        '"dimensions": ["Country"]}'
    )
    with Sandbox(mpulse=MPulseApp.from_file(path)) as sandbox:
        config = Wire(sandbox).learn()

    assert (config["h.key"], config["h.d"]) == ("K", "d.example")
    assert [m["dataType"] for m in config["PageParams"]["customMetrics"]] == ["Currency"]


def test_an_app_from_a_saved_answer(tmp_path: Path, wire: Wire) -> None:
    """What mPulse answered can be saved and given to the sandbox; odd labels stay, empty entries go."""
    saved = wire.learn()
    saved["PageParams"]["customTimers"] = [{}, {"name": "T", "label": "ctim.CT1", "index": "10"}]
    path = tmp_path / "saved.json"
    path.write_text(json.dumps(saved))
    with Sandbox(mpulse=MPulseApp.from_file(path)) as sandbox:
        beacon = Wire(sandbox).beacon({"t_other": "ctim.CT1|5"})

    assert beacon.findings == ()
    assert beacon.timers == (("T", 5),)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "must hold a JSON object"),
        ('{"timers": "Checkout"}', "timers must be a list"),
        (
            '{"timer": ["Checkout"]}',
            "'timer' is no key of this file (did you mean 'timers'?): use key, domain",
        ),
        ('{"customTimers": []}', "'customTimers' is no key of this file"),
        ('{"timers": null}', "timers must be a list of at most 1000, and is null"),
        ('{"timers": false}', "timers must be a list of at most 1000, and is true or false"),
        ('{"timers": {"Checkout": 1}}', "timers must be a list of at most 1000, and is an object"),
        ('{"timers": ["A", 1]}', "timers must be a list of names, and entry 1 is a number"),
        ('{"timers": [""]}', "timers must be a list of names, and entry 0 is empty"),
        ('{"timers": ["A", "B", "A"]}', "timers names 'A' twice"),
        ('{"dimensions": "Country"}', "dimensions must be a list"),
        ('{"metrics": "Revenue"}', "metrics must be like"),
        ('{"metrics": {"Revenue": 1}}', "metrics: the type of 'Revenue' is a number: use Number, Currency"),
        ('{"metrics": {"Tax": "Curency"}}', "the type of 'Tax' is 'Curency' (did you mean 'Currency'?)"),
        ('{"metrics": ["Tax", null]}', "metrics must be a list of names, and entry 1 is null"),
        ('{"key": ""}', "key must be a text, and is empty"),
        ('{"domain": 1}', "domain must be a text, and is a number"),
        ('{"PageParams": []}', "PageParams must be an object, and is a list"),
        ('{"PageParams": {"customTimers": ["A"]}}', "PageParams.customTimers: entry 0 must be an object"),
        (
            '{"PageParams": {"customTimers": [{"name": "A"}]}}',
            "PageParams.customTimers: label of entry 0 must be a text, and is missing",
        ),
        (
            '{"PageParams": {"customMetrics": [{}, {"name": 3, "label": "c"}]}}',
            "PageParams.customMetrics: name of entry 1 must be a text, and is a number",
        ),
        (json.dumps({"timers": [f"T{i}" for i in range(1001)]}), "at most 1000"),
    ],
)
def test_a_wrong_file_is_told(tmp_path: Path, text: str, said: str) -> None:
    """The file, the key, what it is and what would be right, in a ValueError."""
    path = tmp_path / "app.json"
    path.write_text(text)

    with pytest.raises(ValueError, match=re.escape(said)) as raised:
        MPulseApp.from_file(path)
    assert str(raised.value).startswith(str(path))


def test_names_of_any_alphabet_survive(tmp_path: Path) -> None:
    """A definition with spaces, quotes and umlauts is defined, sent and read under its name."""
    name = 'Zeit "für" 支払い'
    with Sandbox(mpulse=MPulseApp(metrics={name: "Number"})) as sandbox:
        wire = Wire(sandbox)
        target = f"{wire.beacon_path}?{encoded(wire.always())}&{quote('cmet.' + name, safe='')}=2"
        beacon = wire.sent("GET", target)

    assert beacon.findings == ()
    assert beacon.metrics == ((name, 2.0),)
