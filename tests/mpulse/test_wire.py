"""The beacon's bytes: the contract's rows W and B, and sections 6.2 to 6.6."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from otel_vendor_exporters.delivery.request import Request
from otel_vendor_exporters.errors import EncodingError
from otel_vendor_exporters.mpulse.app_config import config_request, sign
from otel_vendor_exporters.mpulse.units import Session
from otel_vendor_exporters.mpulse.wire import (
    Beacon,
    beacon_request,
    browser_session_id,
    encoded,
    metric_text,
    timer_milliseconds,
)
from tests.mpulse.example import (
    CRUMB,
    CRUMB_UNIX_MS,
    DOMAIN,
    KEY,
    MAXIMUM_INT32,
    NOW_UNIX_MS,
    config,
    envelope,
    settings,
)

URL = "https://17de4c15.akstat.io/"
HEAD = (
    "h.d=www.example.com&h.key=K9MSB-TL87R-NA6PR-XZPBL-5SLU5&h.t=1450215931908&api=1&api.v=1&rt.start=manual"
)
TIMES = "&rt.end=1450215932000&rt.tstart=1450215932000"
OF_TIMER = "&http.initiator=api_custom_timer"
OF_METRIC = "&http.initiator=api_custom_metric"
TAIL = "&h.cr=ad73390de5ba3bdff928806651a4f528dfa98983"
TIMER = (("custom0", 10),)
VISIBILITY = "cdim.Visibility_State"
FORM = "application/x-www-form-urlencoded"


def beacon(**parts: Any) -> Beacon:
    return Beacon(**{"end_unix_ms": NOW_UNIX_MS, **parts})


def query_or_body(request: Request) -> str:
    """The beacon in a request of either method."""
    if request.body is not None:
        return request.body.decode("ascii")
    return request.url.partition("?")[2]


# What a beacon holds, and what exactly stands between the envelope's start and its end.
ROWS = {
    "W1": (beacon(timers=TIMER), OF_TIMER + "&t_other=custom0%7C10"),
    "W2": (
        beacon(timers=(*TIMER, ("custom1", 20))),
        OF_TIMER + "&t_other=custom0%7C10%2Ccustom1%7C20",
    ),
    "W3": (beacon(metrics=(("cmet.MyMetric", "1"),)), OF_METRIC + "&cmet.MyMetric=1"),
    "W4": (beacon(metrics=(("cmet.MyMetric", "0"),)), OF_METRIC + "&cmet.MyMetric=0"),
    "W5 fraction": (beacon(metrics=(("cmet.MyMetric", metric_text(2.5)),)), OF_METRIC + "&cmet.MyMetric=2.5"),
    "W5 whole": (beacon(metrics=(("cmet.MyMetric", metric_text(100.0)),)), OF_METRIC + "&cmet.MyMetric=100"),
    "W5 money": (
        beacon(metrics=(("cmet.Revenue", metric_text(100.0, "Currency")),)),
        OF_METRIC + "&cmet.Revenue=100.00",
    ),
    "W6": (
        beacon(timers=TIMER, page_group="My Page Group"),
        OF_TIMER + "&h.pg=My%20Page%20Group&t_other=custom0%7C10",
    ),
    "W7": (beacon(timers=TIMER, ab_test="AB Test 1"), OF_TIMER + "&h.ab=AB%20Test%201&t_other=custom0%7C10"),
    "W8": (
        beacon(timers=TIMER, dimensions=((VISIBILITY, "visible"),)),
        OF_TIMER + "&cdim.Visibility_State=visible&t_other=custom0%7C10",
    ),
    "W9": (
        beacon(timers=TIMER, dimensions=((VISIBILITY, "a&b=c|d,e é✓"),)),
        OF_TIMER + "&cdim.Visibility_State=a%26b%3Dc%7Cd%2Ce%20%C3%A9%E2%9C%93&t_other=custom0%7C10",
    ),
    "W10": (
        beacon(
            timers=TIMER,
            metrics=(("cmet.MyMetric", "1"),),
            page_group="My Page Group",
            ab_test="AB Test 1",
            dimensions=((VISIBILITY, "visible"),),
        ),
        OF_TIMER + "&h.pg=My%20Page%20Group&h.ab=AB%20Test%201&cdim.Visibility_State=visible"
        "&cmet.MyMetric=1&t_other=custom0%7C10",
    ),
    "B1": (
        beacon(
            metrics=(("cmet.CM1", "10"),),
            page_group="PG",
            ab_test="A",
            dimensions=(("cdim.CD1", "Dimension1"),),
        ),
        OF_METRIC + "&h.pg=PG&h.ab=A&cdim.CD1=Dimension1&cmet.CM1=10",
    ),
    "B2": (
        beacon(metrics=(("cmet.CM1", "10"), ("cmet.CM2", "100"))),
        OF_METRIC + "&cmet.CM1=10&cmet.CM2=100",
    ),
    "B3": (beacon(timers=(("custom1", 111),)), OF_TIMER + "&t_other=custom1%7C111"),
    "B4": (
        beacon(timers=(("custom1", 111), ("custom2", 222))),
        OF_TIMER + "&t_other=custom1%7C111%2Ccustom2%7C222",
    ),
    "B5": (
        beacon(timers=(("custom1", 111),), metrics=(("cmet.CM1", "10"),)),
        OF_TIMER + "&cmet.CM1=10&t_other=custom1%7C111",
    ),
    "session (8)": (
        beacon(timers=TIMER, session=Session("abc-123", 1450215932314, 3)),
        OF_TIMER + "&rt.si=abc-123&rt.ss=1450215932314&rt.sl=3&t_other=custom0%7C10",
    ),
    "J4 zero": (beacon(timers=(("custom0", 0),)), OF_TIMER + "&t_other=custom0%7C0"),
    "6.6 left alone": (
        beacon(timers=TIMER, page_group="-_.!~*'()/+%"),
        OF_TIMER + "&h.pg=-_.!~*'()%2F%2B%25&t_other=custom0%7C10",
    ),
    "lone surrogate": (
        beacon(timers=TIMER, page_group="a\ud800b"),
        OF_TIMER + "&h.pg=a%3Fb&t_other=custom0%7C10",
    ),
    "empty page group": (beacon(timers=TIMER, page_group=""), OF_TIMER + "&h.pg=&t_other=custom0%7C10"),
}


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize(("one", "between"), ROWS.values(), ids=ROWS.keys())
def test_every_row_byte_for_byte(one: Beacon, between: str, method: str) -> None:
    """A beacon is exactly these bytes: as the query of a GET, or as the body of a POST to the bare URL."""
    request = beacon_request(one, envelope(method=method))

    text = HEAD + TIMES + between + TAIL
    agent = {"User-Agent": "test"}
    assert request == (
        Request("GET", f"{URL}?{text}", agent)
        if method == "get"
        else Request("POST", URL, {**agent, "Content-Type": FORM}, text.encode("ascii"))
    )


@pytest.mark.parametrize("one", [row[0] for row in ROWS.values()], ids=ROWS.keys())
def test_no_parameter_comes_twice_and_all_can_be_read_back(one: Beacon) -> None:
    """A form decoder finds each name once, with the value that was meant."""
    pairs = parse_qsl(encoded(one, envelope()), keep_blank_values=True, strict_parsing=True)

    meant = dict(pairs)
    assert len(meant) == len(pairs)
    assert meant.get("t_other", "") == ",".join(f"{label}|{value}" for label, value in one.timers)
    assert {name: meant[name] for name, _ in one.metrics} == dict(one.metrics)
    if one.page_group is not None:
        assert meant["h.pg"] == one.page_group.replace("\ud800", "?")


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("//h/", "https://h/?"),
        ("//h/p?x=1", "https://h/p?x=1&"),
        ("//h:3000/blackhole", "https://h:3000/blackhole?"),
        ("https://h/", "https://h/?"),
        ("//h", "https://h/?"),
        ("//h?x=1", "https://h/?x=1&"),
        ("https://h?x=1", "https://h/?x=1&"),
        ("//[2001:db8::1]:8443/b", "https://[2001:db8::1]:8443/b?"),
    ],
)
def test_W11_the_address_of_a_beacon(given: str, address: str) -> None:
    """A beacon_url gets https and a `?`, or an `&` where it has a query; POST goes to it as it is."""
    found = config(beacon_url=given)
    get = beacon_request(beacon(timers=TIMER), envelope(beacon_url=found.beacon_url))
    post = beacon_request(beacon(timers=TIMER), envelope(beacon_url=found.beacon_url, method="post"))

    assert get.url == address + HEAD + TIMES + OF_TIMER + "&t_other=custom0%7C10" + TAIL
    assert post.url == address[:-1]


def test_W12_a_url_of_2000_is_a_get_and_2001_a_post() -> None:
    """The 2001st character makes a POST to the bare URL, with the same pairs and the form's content type."""
    missing = 2000 - len(f"{URL}?{encoded(beacon(timers=TIMER, page_group=''), envelope())}")
    longest = beacon(timers=TIMER, page_group="x" * missing)
    longer = beacon(timers=TIMER, page_group="x" * (missing + 1))

    get, post = beacon_request(longest, envelope()), beacon_request(longer, envelope())

    assert (get.method, len(get.url), get.body) == ("GET", 2000, None)
    assert "Content-Type" not in get.headers
    assert (post.method, post.url, post.headers["Content-Type"]) == ("POST", URL, FORM)
    assert query_or_body(post) == encoded(longer, envelope())
    assert [name for name, _ in parse_qsl(query_or_body(post))] == [
        name for name, _ in parse_qsl(query_or_body(get))
    ]


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("one", [row[0] for row in ROWS.values()], ids=ROWS.keys())
def test_W13_credentials_stand_first_and_the_crumb_last(one: Beacon, method: str) -> None:
    """A beacon that was cut on its way has lost its crumb."""
    names = [name for name, _ in parse_qsl(query_or_body(beacon_request(one, envelope(method=method))))]

    assert (names[:3], names[-1]) == (["h.d", "h.key", "h.t"], "h.cr")


@pytest.mark.parametrize("end_unix_ms", [1450215932000, 9999999, 1450215932001])
def test_W14_B5_start_and_end_are_the_time_of_the_event(end_unix_ms: int) -> None:
    """rt.tstart and rt.end are both the event's time, whatever the time is now (J6)."""
    pairs = dict(parse_qsl(encoded(beacon(timers=TIMER, end_unix_ms=end_unix_ms), envelope())))

    assert (pairs["rt.tstart"], pairs["rt.end"]) == (str(end_unix_ms), str(end_unix_ms))


def test_B9_every_beacon_has_key_domain_and_one_answers_crumb() -> None:
    """The credentials are those of one configuration, whatever characters they hold."""
    pairs = dict(parse_qsl(encoded(beacon(timers=TIMER), envelope(domain="ä&b", crumb="c=d"))))

    assert {name: pairs[name] for name in ("h.key", "h.d", "h.t", "h.cr", "api", "api.v", "rt.start")} == {
        "h.key": KEY,
        "h.d": "ä&b",
        "h.t": str(CRUMB_UNIX_MS),
        "h.cr": "c=d",
        "api": "1",
        "api.v": "1",
        "rt.start": "manual",
    }


def test_conventions_are_choices() -> None:
    """api.v and rt.start as set; http.initiator can be left out (section 14)."""
    text = encoded(beacon(timers=TIMER), envelope(api_version=2, rt_start="api", http_initiator=False))

    assert "&api.v=2&rt.start=api&" in text
    assert "http.initiator" not in text


@pytest.mark.parametrize(
    ("secret", "key", "moment", "signature"),
    [
        (
            "secret-key",
            "abc",
            1450215931908,
            "f1e9059a7fa7df2482eec8f354374e6cacc7851c6570401c1bf64a168bbe0704",
        ),
        (
            "V5PD3-63D9W-TP9FP-F7V9T-5VP72",
            "AAAAA-BBBBB-CCCCC-DDDDD-EEEEE",
            1795225846329,
            "998321d50d5d280c6b790cf14132fe07a1dae1854f8d82870c8430a71dfb20f0",
        ),
    ],
)
def test_W15_signature_vectors(secret: str, key: str, moment: int, signature: str) -> None:
    """A signed request has the key, the time and the signature, no domain, and never the secret."""
    signed = settings(api_key=key, rest_secret=secret, domain=None)
    request = config_request(signed, None, moment)

    assert sign(secret, key, moment) == signature
    assert request.url == f"https://c.go-mpulse.net/api/v2/config.json?key={key}&t={moment}&s={signature}"
    assert secret not in repr(request) + repr(signed)


@pytest.mark.parametrize(
    ("start_unix_ms", "suffix"), [(1599593643000, "qgcucr"), (1541453528113, "phqp5k"), (123, "0")]
)
def test_W16_the_browsers_session_id(start_unix_ms: int, suffix: str) -> None:
    """rt.si as the browser writes it: the id and its start in seconds, base 36 (J12)."""
    assert browser_session_id("abc-123", start_unix_ms) == f"abc-123-{suffix}"


def test_C1_the_configuration_is_asked_for_by_key_and_domain() -> None:
    """First key and domain; on refresh an empty r, and bcn as it was given, encoded."""
    first = config_request(settings(), None, NOW_UNIX_MS)
    refresh = config_request(settings(domain="a+b&c"), config(), NOW_UNIX_MS)

    assert first.url == f"https://c.go-mpulse.net/api/config.json?key={KEY}&d={DOMAIN}"
    assert first.headers["User-Agent"].startswith("otel-vendor-exporters/")
    assert urlsplit(refresh.url).query == f"key={KEY}&d=a%2Bb%26c&r=&bcn=%2F%2F17de4c15.akstat.io%2F"


# Values (section 6.5)


@pytest.mark.parametrize(
    ("given", "sent"),
    [(1, 1), (10, 10), (1.1, 1), (10.5, 11), (20.5, 21), (0, 0), (0.49, 0), (0.5, 1), (MAXIMUM_INT32,) * 2],
)
def test_J4_a_timer_is_rounded_half_up(given: float, sent: int) -> None:
    """Halves go up, as in mpulse.js, and not to the even neighbour."""
    assert timer_milliseconds(given) == sent


NO_TIMERS: list[Any] = [
    -1,
    -10,
    -0.1,
    float("nan"),
    float("inf"),
    MAXIMUM_INT32 + 1,
    10**400,
    True,
    None,
    "10",
    b"1",
    [],
    1j,
]


@pytest.mark.parametrize("given", NO_TIMERS, ids=repr)
def test_J4_what_is_no_time_is_refused(given: Any) -> None:
    """Negative, not finite, past 32 bits or no number at all."""
    with pytest.raises(EncodingError, match="0 to 2147483647 milliseconds"):
        timer_milliseconds(given)


@pytest.mark.parametrize(
    ("value", "data_type", "text"),
    [
        (1, "Number", "1"),
        (0, "Number", "0"),
        (-0.0, "Number", "0"),
        (-3, "Number", "-3"),
        (2.5, "Number", "2.5"),
        (100.0, "Number", "100"),
        (0.1 + 0.2, "Number", "0.30000000000000004"),
        (1e21, "Number", "1" + "0" * 21),
        (1e-7, "Number", "0.0000001"),
        (2**70, "Number", "1180591620717411303424"),
        (0.5, "Percentage", "0.5"),
        (7, "of tomorrow", "7"),
        (100, "Currency", "100.00"),
        (100.0, "Currency", "100.00"),
        (19.9, "Currency", "19.90"),
        (0.005, "Currency", "0.01"),
        (-0.001, "Currency", "0.00"),
        (10**29, "Currency", "1" + "0" * 29 + ".00"),
        (10**30 - 1, "Number", "9" * 30),
        (-(10**30 - 1), "Number", "-" + "9" * 30),
        (1.5e-30, "Number", "0." + "0" * 29 + "2"),
        (1e-300, "Number", "0"),
        (1e21, "Currency", "1" + "0" * 21 + ".00"),
    ],
)
def test_W5_J7_the_text_of_a_number(value: float, data_type: str, text: str) -> None:
    """No exponent, no `.0`; Currency always with two decimals, else mPulse reads cents."""
    assert metric_text(value, data_type) == text


@pytest.mark.parametrize("data_type", ["Number", "Currency"])
@pytest.mark.parametrize(
    "given",
    [float("nan"), float("inf"), -float("inf"), 10**30, -(10**30), 1e30, 10**400, True, None, "1", b"1", 1j],
    ids=repr,
)
def test_J7_what_is_no_number_is_refused(given: Any, data_type: str) -> None:
    """What JavaScript would send as NaN or Infinity is never sent."""
    with pytest.raises(EncodingError, match="finite number"):
        metric_text(given, data_type)


def test_the_crumb_is_in_no_repr() -> None:
    """Neither the envelope nor the configuration prints the crumb."""
    assert CRUMB not in repr(envelope()) + repr(config())
