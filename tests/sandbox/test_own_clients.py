"""
What mPulse's own clients send is accepted: rows J (mpulse.js) and B (mPulse Boomerang) of contract 12.

The rows say what a client does; here stands what of it reaches the vendor, pair by pair as contract 6.2 and
9.1 list it. Where a row says "no beacon", the beacon that must not be sent is shown to be lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from otel_vendor_exporters.sandbox import Beacon, MPulseApp, Sandbox, Session
from tests.sandbox.wire import Changes, Wire, now_ms

Send = Callable[..., Beacon]
DIMENSIONS = ("Visibility State", "CD1")
SESSION_START = 1450215932314


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """The names of mpulse.js's and Boomerang's own tests."""
    app = MPulseApp(
        timers=("MyTimer", "CT1", "CT2"),
        metrics={"MyMetric": "Number", "CM1": "Number", "CM2": "Number"},
        dimensions=DIMENSIONS,
    )
    with Sandbox(mpulse=app) as running:
        yield running


@pytest.fixture
def js(wire: Wire) -> Send:
    """One beacon as mpulse.js 1.3.8 sends it: its pairs in its order."""

    def send(data: Changes, *, si: str = "6ad5f44a-466f", ss: str = "", sl: str = "0") -> Beacon:
        config = wire.always()
        when = now_ms()
        pairs = {"rt.tstart": when, "rt.end": when, **data, "d": wire.sandbox.mpulse.domain}
        pairs |= {name: config[name] for name in ("h.key", "h.d", "h.cr", "h.t")}
        pairs |= {"http.initiator": "api", "rt.start": "api"}
        pairs |= {"rt.si": si, "rt.ss": ss or str(SESSION_START), "rt.sl": sl}
        pairs |= {"api": "1", "api.v": "2", "api.l": "js", "api.lv": "1.3.8"}
        return wire.beacon(pairs)

    return send


@pytest.fixture
def boomerang(wire: Wire) -> Send:
    """One beacon as mPulse's Boomerang sends it for sendMetric, sendTimer and sendAll."""

    def send(data: Changes, post: bool = False) -> Beacon:
        kind = "api_custom_timer" if "t_other" in data else "api_custom_metric"
        when = now_ms()
        pairs: dict[str, str | None] = {
            "rt.tstart": when,
            "rt.end": when,
            "http.initiator": kind,
            "h.pg": "PG",
            "h.ab": "A",
            "cdim.CD1": "Dimension1",
            "n": "2",
            "d": wire.sandbox.mpulse.domain,
            "pid": "ab12cd34",
            "rt.start": "manual",
            "rt.si": "sid-qgcucr",
            "rt.ss": "1599593643000",
            "rt.sl": "1",
            "api": "1",
            "api.v": "2",
            "api.l": "boomr",
            "v": "1.792.0",
            **data,
        }
        return wire.post(pairs) if post else wire.beacon(pairs)

    return send


def test_J1_starting_a_timer_sends_nothing(sandbox: Sandbox, wire: Wire) -> None:
    """startTimer needs the configuration only: no beacon, no finding."""
    assert wire.learn()["PageParams"]["customTimers"][0] == {
        "name": "MyTimer",
        "index": 0,
        "type": "Programmatic",
        "label": "custom0",
    }
    assert sandbox.received.beacons == ()
    assert sandbox.received.findings == ()


def test_J2_stopping_a_timer_sends_it_once(js: Send, sandbox: Sandbox) -> None:
    """stopTimer's one beacon holds the measured milliseconds."""
    assert js({"t_other": "custom0|57"}).findings == ()
    assert sandbox.received.timers == [("MyTimer", 57)]


def test_J3_an_undefined_timer_would_be_lost(js: Send) -> None:
    """mpulse.js sends nothing for a name that is not defined; rightly so."""
    beacon = js({"t_other": "custom7|57"})

    assert beacon.codes == ("unknown_timer:custom7",)
    assert beacon.timers == ()


@pytest.mark.parametrize("milliseconds", [0, 1, 10, 11, 2_147_483_647])
def test_J4_a_timer_of_any_whole_length_counts(js: Send, milliseconds: int) -> None:
    """0, 1, 10 and the rounded 10.5 are timers."""
    beacon = js({"t_other": f"custom0|{milliseconds}"})

    assert beacon.findings == ()
    assert beacon.timers == (("MyTimer", milliseconds),)


@pytest.mark.parametrize("text", ["-1", "-10", "1.1", "undefined", "null", "true", ""])
def test_J4_what_sendTimer_refuses_would_be_lost(js: Send, text: str) -> None:
    """Negative, fractional and textual values, which mpulse.js keeps back, are told."""
    beacon = js({"t_other": f"custom0|{text}"})

    assert beacon.timers == ()
    assert len(beacon.errors) == 1


def test_J5_two_sends_are_two_timings_in_order(js: Send, sandbox: Sandbox) -> None:
    """100, then 200."""
    assert [js({"t_other": f"custom0|{ms}"}).findings for ms in (100, 200)] == [(), ()]
    assert sandbox.received.timers == [("MyTimer", 100), ("MyTimer", 200)]


def test_J6_start_and_end_are_the_moment_of_the_call(js: Send) -> None:
    """rt.tstart equals rt.end and both are read."""
    beacon = js({"t_other": "custom0|1"})

    assert beacon.start_unix_ms == beacon.end_unix_ms
    assert beacon.end_unix_ms is not None
    assert abs(beacon.arrived_unix_ms - beacon.end_unix_ms) < 5_000


def test_J7_metrics_of_any_plain_number_count(js: Send, sandbox: Sandbox) -> None:
    """1 when omitted, 100, 0, then 1 and 2 in order; also fractions and negatives."""
    amounts = ["1", "100", "0", "1", "2", "2.5", "-3"]
    beacons = [js({"cmet.MyMetric": amount}) for amount in amounts]

    assert [beacon.findings for beacon in beacons] == [()] * len(amounts)
    assert [beacon.metrics[0].amount for beacon in beacons] == [1, 100, 0, 1, 2, 2.5, -3]
    assert sandbox.received.metrics == {"MyMetric": 103.5}


def test_J8_a_page_group_stays_until_reset(js: Send, sandbox: Sandbox) -> None:
    """Without, with, with again, without."""
    for pairs in ({}, {"h.pg": "My Page Group"}, {"h.pg": "My Page Group"}, {}):
        assert js({"t_other": "custom0|1", **pairs}).findings == ()

    groups = [beacon.page_group for beacon in sandbox.received.beacons]
    assert groups == [None, "My Page Group", "My Page Group", None]


@pytest.mark.parametrize("bucket", ["ab", "a_b", "a-b", "a b", "a1b", "aAb", "a" * 25])
def test_J9_ab_buckets_that_setABTest_takes_are_kept(js: Send, bucket: str) -> None:
    """Letters, digits, space, underscore and dash, up to 25."""
    beacon = js({"t_other": "custom0|1", "h.ab": bucket})

    assert beacon.findings == ()
    assert beacon.ab_test == bucket


@pytest.mark.parametrize("bucket", ["", "a" * 26, *(f"a{c}b" for c in "!`@#$%^&*()+=<,>./?{}[]|\\:;\"'")])
def test_J9_ab_buckets_that_setABTest_refuses_are_told(js: Send, bucket: str) -> None:
    """Every character that mpulse.js refuses is refused, and the timer beside it counts."""
    beacon = js({"t_other": "custom0|1", "h.ab": bucket})

    assert beacon.codes == ("bad_ab",)
    assert beacon.ab_test is None
    assert beacon.timers == (("MyTimer", 1),)


def test_J10_dimensions_stay_until_reset(js: Send, sandbox: Sandbox) -> None:
    """Set on all following, a null value is empty, reset is gone."""
    label = "cdim.Visibility_State"
    for pairs in ({}, {label: "visible"}, {label: "visible"}, {label: ""}, {}):
        assert js({"t_other": "custom0|1", **pairs}).findings == ()

    values = [[value for _, value in beacon.dimensions] for beacon in sandbox.received.beacons]
    assert values == [[], ["visible"], ["visible"], [""], []]


@pytest.mark.parametrize("si", ["abc", "100", "6ad5f44a-466f-4373-b3c7-b5cfdd22118d"])
@pytest.mark.parametrize("sl", ["0", "1", "100"])
def test_J11_sessions_of_any_id_and_length_are_kept(js: Send, si: str, sl: str) -> None:
    """An id of one's own, and a length from 0."""
    beacon = js({"t_other": "custom0|1"}, si=si, sl=sl)

    assert beacon.findings == ()
    assert beacon.session == Session(si, SESSION_START, int(sl))


@pytest.mark.parametrize("ss", ["0", "127", "127.40000000596046"])
def test_J11_a_session_start_since_loading_is_a_warning(js: Send, ss: str) -> None:
    """mpulse.js counts its session's start from its own load (contract 9.1, defect 1): told, and accepted."""
    beacon = js({"t_other": "custom0|1"}, ss=ss)

    assert [(finding.code, finding.severity) for finding in beacon.findings] == [
        ("rt_ss_not_epoch", "warning")
    ]
    assert beacon.accepted
    assert beacon.timers == (("MyTimer", 1),)


def test_J12_a_boomerang_session_is_taken_over(js: Send) -> None:
    """ID abc-123, start 123, length 456; a real start has no finding."""
    row = js({"t_other": "custom0|1"}, si="abc-123-0", ss="123", sl="456")
    real = js({"t_other": "custom0|1"}, si="abc-123-qgcucr", ss="1599593643000", sl="456")

    assert row.codes == ("rt_ss_not_epoch",)
    assert row.session == Session("abc-123-0", 123, 456)
    assert real.findings == ()
    assert real.session == Session("abc-123-qgcucr", 1599593643000, 456)


def test_J13_several_apps_are_independent() -> None:
    """Each sandbox has its own key; a beacon of one app is a stranger at the other."""
    apps = (MPulseApp(key="KEY-A", domain="a.example"), MPulseApp(key="KEY-B", domain="b.example"))
    with Sandbox(mpulse=apps[0]) as one, Sandbox(mpulse=apps[1]) as two:
        first, second = Wire(one), Wire(two)
        assert first.beacon({"t_other": "custom0|1"}).findings == ()
        assert second.beacon({"t_other": "custom0|2"}).findings == ()
        stranger = second.beacon({**first.always(), "t_other": "custom0|3"})

        assert stranger.codes == ("unknown_key", "wrong_domain", "unknown_crumb")
        assert one.received.timers == [("MyTimer", 1)]
        assert two.received.timers == [("MyTimer", 2)]


def test_J_sendBeacon_takes_raw_labels(js: Send) -> None:
    """Section 9.1: the public sendBeacon(params) may hold several timers at once."""
    beacon = js({"t_other": "custom0|10,custom1|20"})

    assert beacon.findings == ()
    assert beacon.timers == (("MyTimer", 10), ("CT1", 20))


def test_B1_one_metric_with_everything_around_it(boomerang: Send) -> None:
    """Page group, A/B, dimension, session and the library's own pairs; no timer."""
    beacon = boomerang({"cmet.CM1": "10"})

    assert beacon.findings == ()
    assert beacon.metrics == (("CM1", 10.0),)
    assert (beacon.page_group, beacon.ab_test) == ("PG", "A")
    assert beacon.dimensions == (("CD1", "Dimension1"),)
    assert beacon.session == Session("sid-qgcucr", 1599593643000, 1)
    assert beacon.timers == ()
    assert dict(beacon.pairs)["http.initiator"] == "api_custom_metric"


def test_B2_two_metrics_in_one_beacon(boomerang: Send) -> None:
    """Both count."""
    beacon = boomerang({"cmet.CM1": "10", "cmet.CM2": "100"})

    assert beacon.findings == ()
    assert beacon.metrics == (("CM1", 10.0), ("CM2", 100.0))


def test_B3_one_timer(boomerang: Send) -> None:
    """A timer, no metric."""
    beacon = boomerang({"t_other": "custom1|111"})

    assert beacon.findings == ()
    assert beacon.timers == (("CT1", 111),)
    assert beacon.metrics == ()
    assert dict(beacon.pairs)["http.initiator"] == "api_custom_timer"


@pytest.mark.parametrize("post", [False, True])
def test_B4_two_timers_in_one_beacon(boomerang: Send, post: bool) -> None:
    """Both in one t_other, as a query and as a form."""
    beacon = boomerang({"t_other": "custom1|111,custom2|222"}, post=post)

    assert beacon.findings == ()
    assert beacon.timers == (("CT1", 111), ("CT2", 222))


def test_B5_everything_in_one_beacon(boomerang: Send) -> None:
    """Metrics, timers and variables of one's own; a timestamp of 1970 is read, and told as too old."""
    everything = {"cmet.CM1": "10", "cmet.CM2": "100", "t_other": "custom1|111,custom2|222"}
    mine = {"var1": "1", "var2": "2"}
    beacon = boomerang({**everything, **mine})
    old = boomerang({**everything, **mine, "rt.tstart": "9999999", "rt.end": "9999999"})

    assert beacon.findings == ()
    assert (len(beacon.metrics), len(beacon.timers)) == (2, 2)
    assert mine.items() <= dict(beacon.pairs).items()
    assert old.codes == ("rt_end_old",)
    assert old.start_unix_ms == old.end_unix_ms == 9_999_999


def test_B6_the_known_part_of_a_beacon_counts(boomerang: Send) -> None:
    """An unknown name beside a known one costs only itself."""
    beacon = boomerang({"cmet.CM1": "10", "cmet.Nope": "1", "t_other": "custom1|1,custom9|1"})

    assert beacon.metrics == (("CM1", 10.0),)
    assert beacon.timers == (("CT1", 1),)
    assert beacon.codes == ("unknown_timer:custom9", "unknown_metric:cmet.Nope")


def test_B7_what_waited_for_the_configuration_is_taken(boomerang: Send) -> None:
    """A call before the configuration is delivered after it, with its own time and dimensions."""
    called = now_ms(-30)
    beacon = boomerang({"t_other": "custom1|5", "rt.tstart": called, "rt.end": called})

    assert beacon.findings == ()
    assert beacon.end_unix_ms == int(called)
    assert beacon.dimensions == (("CD1", "Dimension1"),)


def test_B8_each_beacon_has_the_dimensions_of_its_call(boomerang: Send, sandbox: Sandbox) -> None:
    """Values changed between two calls stay apart."""
    for value in ("one", "two"):
        assert boomerang({"cmet.CM1": "1", "cdim.CD1": value}).findings == ()

    assert [beacon.dimensions for beacon in sandbox.received.beacons] == [
        (("CD1", "one"),),
        (("CD1", "two"),),
    ]


def test_B9_key_domain_and_crumb_are_those_of_the_answer(boomerang: Send, wire: Wire) -> None:
    """What the configuration gave is what the collector knows."""
    config = wire.learn()
    sent = dict(boomerang({"cmet.CM1": "1"}).pairs)

    assert {name: sent[name] for name in ("h.key", "h.d", "h.t", "h.cr")} == {
        name: str(config[name]) for name in ("h.key", "h.d", "h.t", "h.cr")
    }
    assert 0 <= int(now_ms()) - config["h.t"] < 60_000
    assert len(config["h.cr"]) == 40
