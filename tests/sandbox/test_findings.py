"""Every reason for which mPulse would throw something of a beacon away is provoked and told in words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from otel_vendor_exporters.sandbox import Dimension, Finding, MPulseApp, Sandbox, Session
from tests.sandbox.wire import Changes, Wire, encoded, now_ms

TIMER = {"t_other": "custom0|10"}
SESSION = {"rt.si": "abc", "rt.ss": "1450215932314", "rt.sl": "3"}
# Section 11 of the contract. `<...>` stands for what is named behind the colon.
CONTRACT_CODES = {
    *("no_api", "bad_api_version", "unknown_key", "wrong_domain", "unknown_crumb", "crumb_mismatch"),
    *("crumb_expired", "missing:<>", "bad_int:<>", "rt_start_value", "bad_t_other", "unknown_timer:<>"),
    *("duplicate_timer:<>", "negative_timer", "non_integer_timer", "unknown_metric:<>", "bad_metric"),
    *("currency_without_decimals", "unknown_dimension:<>", "bad_ab", "empty_page_group", "no_data"),
    *("rt_end_future", "rt_end_old", "url_too_long", "wrong_content_type", "both_query_and_body"),
    *("post_json", "session_incomplete", "duplicate_param", "rt_ss_not_epoch"),
}


def required(name: str, value: str | None) -> tuple[str, Changes, str]:
    return f"missing:{name}", {name: value}, f"{name} is required in every beacon and is missing or empty."


# What spoils the whole beacon: code, changes to a good beacon, sentence.
SPOILT: list[tuple[str, Changes, str]] = [
    ("no_api", {"api": None}, "api=1 is missing, so mPulse takes this for a page view: always send it."),
    ("no_api", {"api": "2"}, "api=1 is missing, so mPulse takes this for a page view: always send it."),
    ("bad_api_version", {"api.v": "3"}, "api.v=`3` does not exist: send 1 (or 2)."),
    (
        "unknown_key",
        {"h.key": "ZZZZZ"},
        "h.key is not this app's API key: take it from the configuration answer.",
    ),
    (
        "wrong_domain",
        {"h.d": "example.org"},
        "h.d=`example.org` is not this app's domain: take it from the configuration answer.",
    ),
    (
        "unknown_crumb",
        {"h.cr": "0" * 40},
        "h.cr was never given out here: use the one of the last configuration.",
    ),
    (
        "crumb_mismatch",
        {"h.t": "1450215931908"},
        "h.t and h.cr come from different answers: replace them together.",
    ),
    *(required(name, None) for name in ("h.key", "h.d", "h.cr", "h.t", "rt.start", "rt.end")),
    *(required(name, "") for name in ("h.key", "h.d", "h.cr", "h.t", "rt.start", "rt.end")),
    *(
        (
            f"bad_int:{name}",
            {**SESSION, name: value},
            f"{name}=`{value}` must be a whole number, 1 to 18 digits.",
        )
        for name, value in (
            ("rt.end", "1450215932000.5"),
            ("rt.tstart", "-1"),
            ("rt.ss", "yesterday"),
            ("rt.sl", "1.5"),
            ("rt.tt", "0x10"),
            ("rt.obo", "NaN"),
            ("t_done", "1" * 19),
        )
    ),
    (
        "rt_start_value",
        {"rt.start": "navigation"},
        "rt.start=`navigation` is for browsers: beacons of the API send rt.start=manual.",
    ),
    (
        "no_data",
        {"t_other": None, "cdim.Visibility_State": "visible"},
        "There is neither a timer (t_other) nor a metric (cmet.*): nothing to count.",
    ),
]

# What spoils one item: code, changes, sentence. The rest of the beacon counts.
ITEMS: list[tuple[str, Changes, str]] = [
    *(
        (
            "bad_t_other",
            {"t_other": f"custom1|20,{part}"},
            f"`{part}` in t_other is not `label|milliseconds`: use `custom0|10,custom1|20`.",
        )
        for part in ("custom0", "custom0|", "|10", "custom0|ten", "custom0|10|20", "", "custom0|１０")
    ),
    *(
        (
            f"unknown_timer:{label}",
            {"t_other": f"custom1|20,{label}|10"},
            (
                f"No timer of this app has the label `{label}`: define it in mPulse, or use one of: "
                "custom0, custom1 (exact, case counts)."
            ),
        )
        for label in ("custom9", "Custom0", "MyTimer")
    ),
    (
        "duplicate_timer:custom1",
        {"t_other": "custom1|10,custom1|20"},
        (
            "`custom1` is twice in one beacon and only the last value counts: "
            "send the second value in a beacon of its own."
        ),
    ),
    (
        "negative_timer",
        {"t_other": "custom1|20,custom0|-3"},
        "`custom0|-3` is negative: a timer is 0 ms or more; look at how it is measured.",
    ),
    *(
        (
            "non_integer_timer",
            {"t_other": f"custom1|20,custom0|{text}"},
            (
                f"`custom0|{text}` is not a whole number of 1 to 18 digits: "
                "round milliseconds half up before sending."
            ),
        )
        for text in ("222.6", "1e3", "NaN", "Infinity", "1" * 19)
    ),
    (
        "unknown_metric:cmet.Orders",
        {"t_other": "custom1|20", "cmet.Orders": "1"},
        (
            "No metric of this app has the label `cmet.Orders`: define it in mPulse, or use one of: "
            "cmet.MyMetric, cmet.Revenue (exact, case counts)."
        ),
    ),
    *(
        (
            "bad_metric",
            {"t_other": "custom1|20", "cmet.MyMetric": text},
            f"cmet.MyMetric=`{text}` is not a plain number: write digits, no exponent.",
        )
        for text in ("", "many", "1e+21", "NaN", "Infinity", "+1", "1.", ".5", "1,5", "true")
    ),
    (
        "unknown_dimension:cdim.Country",
        {"t_other": "custom1|20", "cdim.Country": "DE"},
        (
            "No dimension of this app has the label `cdim.Country`: define it in mPulse, or use one of: "
            "cdim.Visibility_State (exact, case counts)."
        ),
    ),
    *(
        (
            "bad_ab",
            {"t_other": "custom1|20", "h.ab": bucket},
            f"h.ab=`{bucket}` must be 1 to 25 of letters, digits, space, `_` and `-`.",
        )
        for bucket in ("", "a" * 26, "a/b", "é")
    ),
    *(
        (
            "empty_page_group",
            {"t_other": "custom1|20", "h.pg": group},
            "h.pg is empty: leave it out when there is no page group.",
        )
        for group in ("", "  ")
    ),
    *(
        (
            "session_incomplete",
            {"t_other": "custom1|20", **SESSION, left_out: None},
            "rt.si, rt.ss and rt.sl belong together: send all three, or none.",
        )
        for left_out in SESSION
    ),
]

# What is read, but not as meant: code, changes, sentence.
WARNINGS: list[tuple[str, Changes, str]] = [
    ("missing:api.v", {"api.v": None}, "api.v is missing: send api.v=1, as the API reference asks."),
    (
        "http_initiator_value",
        {"http.initiator": "xhr"},
        "http.initiator=`xhr` is for browsers: send api_custom_timer or api_custom_metric.",
    ),
    (
        "currency_without_decimals",
        {"cmet.Revenue": "100"},
        "cmet.Revenue=100 has no decimals and is read as cents: send `100.00`.",
    ),
    ("rt_ss_not_epoch", {**SESSION, "rt.ss": "127"}, "rt.ss=127 is not milliseconds since 1970."),
    (
        "rt_ss_not_epoch",
        {**SESSION, "rt.ss": "127.40000000596046"},
        "rt.ss=127.40000000596046 is not milliseconds since 1970.",
    ),
]


@pytest.mark.parametrize(("code", "changes", "sentence"), SPOILT)
def test_a_spoilt_beacon_counts_nothing(wire: Wire, code: str, changes: Changes, sentence: str) -> None:
    """A mistake in the frame loses the whole beacon, and is told once."""
    beacon = wire.beacon({**TIMER, **changes})

    assert beacon.findings == (Finding(code, "error", sentence),)
    assert (beacon.timers, beacon.dimensions, beacon.accepted) == ((), (), False)


@pytest.mark.parametrize(("code", "changes", "sentence"), ITEMS)
def test_a_spoilt_item_costs_only_itself(wire: Wire, code: str, changes: Changes, sentence: str) -> None:
    """A mistake in one item loses that item; the good timer beside it counts."""
    beacon = wire.beacon(changes)

    assert beacon.findings == (Finding(code, "error", sentence),)
    assert beacon.timers == (("Code Timer", 20),)
    assert not beacon.metrics
    assert not beacon.dimensions
    assert (beacon.ab_test, beacon.page_group, beacon.session, beacon.accepted) == (None, None, None, False)


@pytest.mark.parametrize(("code", "changes", "sentence"), WARNINGS)
def test_a_warning_costs_nothing(wire: Wire, code: str, changes: Changes, sentence: str) -> None:
    """What mPulse reads otherwise than meant is said, and counts."""
    beacon = wire.beacon({**TIMER, **changes})

    assert beacon.findings == (Finding(code, "warning", sentence),)
    assert beacon.timers == (("MyTimer", 10),)
    assert beacon.accepted


def test_every_code_of_the_contract_is_provoked() -> None:
    """The tests of this folder name every code that section 11 of the contract lists."""
    texts = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    provoked = {code for table in (SPOILT, ITEMS, WARNINGS) for code, _, _ in table}
    alone = set(re.findall(r'Finding\(\s*"([^"]+)"', texts))
    names = {re.sub(":.*", ":<>", code) for code in provoked | alone}

    assert not CONTRACT_CODES - names


def test_currency_without_decimals_is_cents(wire: Wire) -> None:
    """100 is one unit of money, 100.00 is a hundred (contract 6.5)."""
    assert wire.beacon({"cmet.Revenue": "100"}).metrics == (("Revenue", 1.0),)
    assert wire.beacon({"cmet.Revenue": "100.00"}).metrics == (("Revenue", 100.0),)


def test_bad_h_t_is_told_as_a_number_and_as_a_pair(wire: Wire) -> None:
    """An h.t that is no number cannot be the one that was given out either."""
    beacon = wire.beacon({**TIMER, "h.t": "soon"})

    assert beacon.findings == (
        Finding("bad_int:h.t", "error", "h.t=`soon` must be a whole number, 1 to 18 digits."),
        Finding(
            "crumb_mismatch", "error", "h.t and h.cr come from different answers: replace them together."
        ),
    )


def test_a_full_good_beacon_is_read_whole(wire: Wire) -> None:
    """W10: page group, A/B, dimension, metric, timer and session of one beacon, and no finding."""
    beacon = wire.beacon(
        {
            **SESSION,
            "t_other": "custom0|10,custom1|0",
            "cmet.MyMetric": "-2.5",
            "cmet.Revenue": "12.30",
            "cdim.Visibility_State": "a&b=c|d,e é✓",
            "h.pg": "My Page Group",
            "h.ab": "AB Test 1",
            "rt.end": (end := now_ms()),
            "rt.tstart": end,
            "http.initiator": "api_custom_timer",
        }
    )

    assert beacon.findings == ()
    assert beacon.timers == (("MyTimer", 10), ("Code Timer", 0))
    assert beacon.metrics == (("MyMetric", -2.5), ("Revenue", 12.3))
    assert beacon.dimensions == (Dimension("Visibility State", "a&b=c|d,e é✓"),)
    assert (beacon.page_group, beacon.ab_test) == ("My Page Group", "AB Test 1")
    assert beacon.session == Session("abc", 1450215932314, 3)
    assert beacon.start_unix_ms == beacon.end_unix_ms == int(end)


def test_raw_bars_and_commas_are_read(wire: Wire) -> None:
    """EdgeWorkers send `|` and `,` unescaped, and a space may be `+`."""
    query = encoded(wire.always())
    beacon = wire.sent("GET", f"{wire.beacon_path}?{query}&t_other=custom0|10,custom1|20&h.pg=My+Page")

    assert beacon.findings == ()
    assert beacon.timers == (("MyTimer", 10), ("Code Timer", 20))
    assert beacon.page_group == "My Page"


def test_several_mistakes_are_all_told(wire: Wire) -> None:
    """One beacon with mistakes of every layer tells each of them, up to a hundred."""
    beacon = wire.beacon(
        {"api": None, "h.cr": None, "t_other": "custom9|1,custom0|-1", "cmet.X": "1", "h.ab": "!"}
    )
    many = wire.post({"t_other": ",".join(f"nope{i}|1" for i in range(500))})

    assert beacon.codes == (
        *(
            "no_api",
            "missing:h.cr",
            "unknown_timer:custom9",
            "negative_timer",
            "unknown_metric:cmet.X",
            "bad_ab",
        ),
    )
    assert len(many.findings) == 100


def test_learning_counts_what_is_not_defined() -> None:
    """With learn=True an undefined label is a warning, counts under its own name, and is listed."""
    with Sandbox(mpulse=MPulseApp(timers=("MyTimer",), learn=True)) as sandbox:
        wire = Wire(sandbox)
        beacon = wire.beacon({"t_other": "custom7|10", "cmet.Orders": "2", "cdim.Country": "DE"})

        assert [(finding.code, finding.severity) for finding in beacon.findings] == [
            ("unknown_timer:custom7", "warning"),
            ("unknown_metric:cmet.Orders", "warning"),
            ("unknown_dimension:cdim.Country", "warning"),
        ]
        assert beacon.timers == (("custom7", 10),)
        assert beacon.metrics == (("Orders", 2.0),)
        assert beacon.dimensions == (("Country", "DE"),)
        assert sandbox.mpulse.undefined == ("custom7", "cmet.Orders", "cdim.Country")
        assert sandbox.mpulse.learned == (("custom7",), ("Orders",), ("Country",))


def test_a_page_load_time_is_data(wire: Wire) -> None:
    """The official Julia sender puts t_done on API beacons; it needs no timer or metric beside it."""
    beacon = wire.beacon({"t_done": "1200", "rt.tt": "1200", "rt.obo": "0", "u": "https://www.example.com/"})

    assert beacon.findings == ()
    assert beacon.accepted
