"""Every reason for which mPulse would throw something of a beacon away is provoked and told in words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from otel_vendor_exporters.sandbox import Dimension, Finding, MPulseApp, Sandbox, Session, Switches
from tests.sandbox.wire import FORM, Changes, MovableTime, Wire, encoded, now_ms

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
    """The tests of this file name every code that section 11 of the contract lists."""
    provoked = {code for table in (SPOILT, ITEMS, WARNINGS) for code, _, _ in table}
    alone = set(re.findall(r'Finding\(\s*"([^"]+)"', Path(__file__).read_text()))
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


def test_crumb_pairs_are_not_mixed(wire: Wire, moment: MovableTime) -> None:
    """h.t of one answer with h.cr of another is no pair, though both were given out."""
    first = wire.learn()
    moment.forward_seconds = 2
    second = wire.config().json

    assert wire.beacon({**TIMER, "h.t": str(second["h.t"])}).codes == ("crumb_mismatch",)
    assert wire.beacon({**TIMER, "h.cr": second["h.cr"]}).codes == ("crumb_mismatch",)
    assert wire.beacon({**TIMER, "h.t": str(first["h.t"])}).codes == ()


def test_a_crumb_lives_ten_minutes(wire: Wire, moment: MovableTime) -> None:
    """At 599 s it is good; at 601 s the beacon is lost."""
    wire.learn()

    moment.forward_seconds = 599
    assert wire.beacon({**TIMER, "rt.end": now_ms(599)}).findings == ()
    moment.forward_seconds = 601
    beacon = wire.beacon({**TIMER, "rt.end": now_ms(601)})

    sentence = "The crumb is 601 s old and lives 600 s: refresh it every 5 minutes."
    assert beacon.findings == (Finding("crumb_expired", "error", sentence),)
    assert beacon.timers == ()


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (60, "rt.end is 60 s in the future: it is milliseconds since 1970; check unit and clock."),
        (3600, "rt.end is 3600 s in the future: it is milliseconds since 1970; check unit and clock."),
    ],
)
def test_an_event_of_tomorrow_is_lost(wire: Wire, seconds: int, said: str) -> None:
    """rt.end may be ahead by two seconds of clock difference, no more."""
    assert wire.beacon({**TIMER, "rt.end": now_ms(1)}).findings == ()
    assert wire.beacon({**TIMER, "rt.end": now_ms(seconds + 0.3)}).findings == (
        Finding("rt_end_future", "error", said),
    )


def test_an_event_of_yesterday_is_lost(wire: Wire) -> None:
    """rt.end may be a quarter of an hour ago, not more; seconds in place of ms are in 1970."""
    said = "rt.end is 86400 s ago: drop what waited too long; it is milliseconds, not seconds."

    assert wire.beacon({**TIMER, "rt.end": now_ms(-890)}).findings == ()
    assert wire.beacon({**TIMER, "rt.end": now_ms(-86_400)}).findings == (
        Finding("rt_end_old", "error", said),
    )
    assert wire.beacon({**TIMER, "rt.end": now_ms()[:-3]}).codes == ("rt_end_old",)


def test_nanoseconds_are_told_in_place_of_milliseconds(wire: Wire) -> None:
    """OpenTelemetry's nanoseconds have 19 digits."""
    assert wire.beacon({**TIMER, "rt.end": now_ms() + "000000"}).codes == ("bad_int:rt.end",)


def test_a_url_of_2000_characters_is_the_longest(wire: Wire) -> None:
    """W12: 2000 characters are a GET, with 2001 it must be a POST."""
    pairs = {**wire.always(), **TIMER, "var": ""}
    whole = len(f"https://{':'.join(map(str, wire.address))}{wire.beacon_path}?{encoded(pairs)}")

    assert wire.beacon({**pairs, "var": "x" * (2000 - whole)}).findings == ()
    beacon = wire.beacon({**pairs, "var": "x" * (2001 - whole)})

    sentence = "The URL has 2001 characters: above 2000 send the pairs as a POST form."
    assert beacon.findings == (Finding("url_too_long", "error", sentence),)
    assert wire.post({**pairs, "var": "x" * 3000}).findings == ()


@pytest.mark.parametrize("content_type", ["text/plain", "multipart/form-data; boundary=x", ""])
def test_a_body_needs_the_type_of_a_form(wire: Wire, content_type: str) -> None:
    """Only application/x-www-form-urlencoded is read, with or without a charset."""
    assert wire.post(TIMER, f"{FORM}; charset=UTF-8").findings == ()
    assert wire.post(TIMER, FORM.upper()).findings == ()
    beacon = wire.post(TIMER, content_type)

    assert beacon.findings == (Finding("wrong_content_type", "error", f"A body needs Content-Type: {FORM}."),)
    assert beacon.timers == ()


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", FORM, ""])
@pytest.mark.parametrize("body", [b'{"t_other": "custom0|10"}', b' [{"api": 1}]'])
def test_json_is_not_read(wire: Wire, content_type: str, body: bytes) -> None:
    """JSON is told as JSON under any Content-Type (`curl -d` calls it a form); nothing else is said of it."""
    beacon = wire.sent("POST", wire.beacon_path, body, {"Content-Type": content_type})

    sentence = f"mPulse does not read JSON: send the pairs as {FORM}."
    assert beacon.findings == (Finding("post_json", "error", sentence),)
    assert beacon.pairs == ()


def test_pairs_stand_in_one_place(wire: Wire) -> None:
    """A query and a body together are told; both are shown in the journal."""
    query, body = encoded(wire.always()), encoded(TIMER).encode()
    beacon = wire.sent("POST", f"{wire.beacon_path}?{query}", body, {"Content-Type": FORM})

    sentence = "Pairs stand in the query and in the body: use one of them."
    assert beacon.findings == (Finding("both_query_and_body", "error", sentence),)
    assert beacon.pairs[-1] == ("t_other", "custom0|10")
    assert beacon.timers == ()


def test_a_name_stands_once(wire: Wire) -> None:
    """A repeated parameter is named, once."""
    query = encoded([*wire.always().items(), *TIMER.items(), ("h.pg", "A"), ("h.pg", "B"), ("h.pg", "C")])
    beacon = wire.sent("GET", f"{wire.beacon_path}?{query}")

    sentence = "`h.pg` stands more than once: which one counts is not defined."
    assert beacon.findings == (Finding("duplicate_param", "error", sentence),)
    assert beacon.timers == ()


@pytest.mark.parametrize(
    "broken", ["h.pg=100%", "h.pg=%zz", "h.pg=%e9", "%ff=1", "h.pg=%C3%28", "h.pg=%u00e9"]
)
def test_what_is_not_percent_encoded_utf8_is_told(wire: Wire, broken: str) -> None:
    """Bad escapes and bytes that are no UTF-8 lose the beacon; the journal shows them replaced."""
    beacon = wire.sent("GET", f"{wire.beacon_path}?{encoded({**wire.always(), **TIMER})}&{broken}")

    sentence = "A name or value is not percent-encoded UTF-8: encode both as encodeURIComponent does."
    assert beacon.findings == (Finding("bad_percent_encoding", "error", sentence),)


def test_a_thousand_parameters_are_enough(wire: Wire) -> None:
    """What comes after the thousandth is not read, and that is said."""
    pairs = [*wire.always().items(), *TIMER.items(), *((f"v{i}", "1") for i in range(1000))]
    body = encoded(pairs).encode()
    beacon = wire.sent("POST", wire.beacon_path, body, {"Content-Type": FORM})

    sentence = "More than 1000 parameters in one beacon: the rest was not read."
    assert beacon.findings == (Finding("too_many_params", "error", sentence),)
    assert len(beacon.pairs) == 1000


def test_a_body_over_a_megabyte_is_not_read(wire: Wire) -> None:
    """A huge body is passed over and told alone."""
    body = encoded({**wire.always(), **TIMER, "v": "x" * 1_000_000}).encode()
    beacon = wire.sent("POST", wire.beacon_path, body, {"Content-Type": FORM})

    sentence = "The body is over 1 MB and was not read: a beacon is at most some kB."
    assert beacon.findings == (Finding("body_too_large", "error", sentence),)
    assert beacon.timers == ()


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
def test_only_get_and_post_carry_a_beacon(wire: Wire, method: str) -> None:
    """Other methods are answered 204 as well, and told."""
    beacon = wire.sent(method, f"{wire.beacon_path}?{encoded({**wire.always(), **TIMER})}")

    sentence = f"{method} carries no beacon: use GET or POST."
    assert beacon.findings == (Finding("bad_method", "error", sentence),)
    assert beacon.timers == ()


def test_a_collector_that_was_never_given_out_is_told(wire: Wire) -> None:
    """Beacons go where the configuration answer says."""
    beacon = wire.sent("GET", f"/0badc0de/?{encoded({**wire.always(), **TIMER})}")

    sentence = "This collector was never given out: send to beacon_url of the configuration answer."
    assert beacon.findings == (Finding("unknown_beacon_url", "error", sentence),)
    assert beacon.timers == ()


def test_a_bots_beacon_is_lost_where_bots_are_refused(sandbox: Sandbox, wire: Wire) -> None:
    """The User-Agent of beacons counts too, once the app refuses bots."""
    assert wire.beacon(TIMER, {"User-Agent": "curl/8.5.0"}).findings == ()
    sandbox.mpulse.switches = Switches(refuse_bots=True)
    beacon = wire.beacon(TIMER, {"User-Agent": "curl/8.5.0"})

    sentence = "This User-Agent counts as a bot: use one User-Agent for configuration and beacons."
    assert beacon.findings == (Finding("bot_user_agent", "error", sentence),)
    assert wire.beacon(TIMER).findings == ()


@pytest.mark.parametrize("slash", ["", "/"])
def test_batches_are_not_for_us(wire: Wire, slash: str) -> None:
    """The mobile libraries' protobuf batch is answered 204 and told as unsupported."""
    headers = {"Content-Type": "application/x-octet-stream", "Content-Encoding": "gzip"}
    reply = wire.ask("POST", f"{wire.beacon_path}batch{slash}", b"\x1f\x8b\x00", headers)

    sentence = "Batches (gzip protobuf) are for mPulse's own mobile libraries: send single beacons."
    assert (reply.status, reply.body) == (204, b"")
    assert wire.last.findings == (Finding("unsupported", "error", sentence),)


def test_a_path_where_nothing_lives_is_told(wire: Wire) -> None:
    """A request that is nobody's is 404 and in the journal."""
    reply = wire.ask("GET", "/api/v3/config.json")

    assert reply.status == 404
    assert wire.last.findings[0].code == "unknown_path"
    assert wire.last.findings[0].sentence.startswith("Nothing lives at this path; the sandbox stands for ")
    assert reply.body.decode() == wire.last.findings[0].sentence


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
    """With learn=True an undefined label is a warning, counts under its label, and is listed."""
    with Sandbox(mpulse=MPulseApp(timers=("MyTimer",), learn=True)) as sandbox:
        wire = Wire(sandbox)
        beacon = wire.beacon({"t_other": "custom7|10", "cmet.Orders": "2", "cdim.Country": "DE"})

        assert [(finding.code, finding.severity) for finding in beacon.findings] == [
            ("unknown_timer:custom7", "warning"),
            ("unknown_metric:cmet.Orders", "warning"),
            ("unknown_dimension:cdim.Country", "warning"),
        ]
        assert beacon.timers == (("custom7", 10),)
        assert beacon.metrics == (("cmet.Orders", 2.0),)
        assert beacon.dimensions == (("cdim.Country", "DE"),)
        assert sandbox.mpulse.undefined == ("custom7", "cmet.Orders", "cdim.Country")
