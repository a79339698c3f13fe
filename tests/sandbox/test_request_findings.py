"""What is wrong with a beacon before its pairs are looked at: age, address, size, encoding, method."""

from __future__ import annotations

import pytest

from otel_vendor_exporters.sandbox import Finding, Sandbox, Switches
from tests.sandbox.wire import FORM, MovableTime, Wire, encoded, now_ms

TIMER = {"t_other": "custom0|10"}


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
