"""mPulse's configuration answers: plain, signed, refreshed, refused, and bad in every way there is."""

from __future__ import annotations

import re

import pytest

from otel_vendor_exporters.sandbox import Finding, MPulseApp, Sandbox, Switches
from otel_vendor_exporters.sandbox.mpulse.config import signature
from tests.sandbox.wire import Changes, Reply, Wire, changed, encoded, now_ms

KEY = "AAAAA-BBBBB-CCCCC-DDDDD-EEEEE"
SECRET = "V5PD3-63D9W-TP9FP-F7V9T-5VP72"
WRONG_DOMAIN = {"message": "Domain is not a subdomain registered with this API Key"}
TIMER = {"t_other": "custom0|10"}
INVALID = {"message": "Invalid signature"}


def crumb_of(reply: Reply) -> dict[str, object]:
    return {name: reply.json[name] for name in ("h.t", "h.cr")}


def ask_signed(wire: Wire, changes: Changes = {}, *, t: str = "") -> Reply:  # noqa: B006 - a Mapping
    t = t or now_ms()
    query = {"key": KEY, "t": t, "s": signature(SECRET, KEY, t)}
    return wire.ask("GET", f"/api/v2/config.json?{encoded(changed(query, changes))}")


def test_the_whole_answer_is_that_of_the_contract(sandbox: Sandbox, wire: Wire) -> None:
    """Contract 3.3, field by field."""
    reply = wire.config()

    host, port = wire.address
    content = dict(reply.json)
    assert isinstance(content.pop("h.t"), int)
    assert re.fullmatch("[0-9a-f]{40}", content.pop("h.cr"))
    assert re.fullmatch("[0-9a-f-]{36}", content.pop("session_id"))
    assert content == {
        "h.key": KEY,
        "h.d": "www.example.com",
        "site_domain": "www.example.com",
        "beacon_url": f"//{host}:{port}/17de4c15/",
        "beacon_interval": 5,
        "autorun": True,
        "BW": {"enabled": False},
        "RT": {"session_exp": 1800},
        "ResourceTiming": {"enabled": False},
        "Angular": {"enabled": False},
        "PageParams": {
            "pageGroups": [],
            "abTests": [],
            "customMetrics": [
                {
                    "name": "MyMetric",
                    "index": 0,
                    "type": "Programmatic",
                    "label": "cmet.MyMetric",
                    "dataType": "Number",
                },
                {
                    "name": "Revenue",
                    "index": 1,
                    "type": "Programmatic",
                    "label": "cmet.Revenue",
                    "dataType": "Currency",
                },
            ],
            "customTimers": [
                {"name": "MyTimer", "index": 0, "type": "Programmatic", "label": "custom0"},
                {"name": "Code Timer", "index": 1, "type": "Programmatic", "label": "custom1"},
            ],
            "customDimensions": [
                {
                    "name": "Visibility State",
                    "index": 0,
                    "type": "Programmatic",
                    "label": "cdim.Visibility_State",
                    "dataType": "Text",
                },
            ],
            "urlPatterns": [],
            "params": True,
        },
        "user_ip": "127.0.0.1",
    }
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"
    assert (
        reply.headers["cache-control"]
        == "private, max-age=300, stale-while-revalidate=60, stale-if-error=120"
    )
    assert sandbox.received.findings == ()


@pytest.mark.parametrize("path", ["/api/config.json", "/config.json", "/config", "/concerto/api/config.json"])
def test_every_plain_path_answers(wire: Wire, path: str) -> None:
    """The documented path and those of on-premise and test installations (contract 2.1)."""
    assert wire.config(path=path).json["h.key"] == KEY
    assert wire.last.findings == ()


@pytest.mark.parametrize("path", ["/api/v2/config.json", "/concerto/api/v2/config.json"])
def test_a_signed_request_needs_no_domain(wire: Wire, path: str) -> None:
    """The signed form has key, t and s."""
    t = now_ms()
    reply = wire.ask("GET", f"{path}?{encoded({'key': KEY, 't': t, 's': signature(SECRET, KEY, t)})}")

    assert reply.json["h.d"] == "www.example.com"
    assert wire.last.findings == ()


@pytest.mark.parametrize(
    ("secret", "key", "t", "hexadecimal"),
    [
        (
            "secret-key",
            "abc",
            "1450215931908",
            "f1e9059a7fa7df2482eec8f354374e6cacc7851c6570401c1bf64a168bbe0704",
        ),
        (SECRET, KEY, "1795225846329", "998321d50d5d280c6b790cf14132fe07a1dae1854f8d82870c8430a71dfb20f0"),
    ],
)
def test_W15_the_signature_vectors_are_accepted(secret: str, key: str, t: str, hexadecimal: str) -> None:
    """Contract 2.1's two signatures pass, at their own time."""
    app = MPulseApp(key=key, rest_secret=secret, now=lambda: int(t) / 1000)
    with Sandbox(mpulse=app) as sandbox:
        reply = Wire(sandbox).ask("GET", f"/api/v2/config.json?key={key}&t={t}&s={hexadecimal}")

    assert reply.json["h.key"] == key
    assert sandbox.received.findings == ()


SIGNED_MISTAKES: list[tuple[Changes, list[Finding], int, object]] = [
    (
        {"s": "0" * 64},
        [
            Finding(
                "bad_signature",
                "error",
                "s is not the HMAC-SHA256 of `key=K&t=T` with the REST API secret in lower hex.",
            )
        ],
        403,
        INVALID,
    ),
    (
        {"s": None},
        [Finding("missing:s", "error", "The query needs s, and it is missing or empty.")],
        400,
        {"message": "s is required"},
    ),
    (
        {"t": ""},
        [Finding("missing:t", "error", "The query needs t, and it is missing or empty.")],
        400,
        {"message": "t is required"},
    ),
]


@pytest.mark.parametrize(("changes", "findings", "status", "answer"), SIGNED_MISTAKES)
def test_a_badly_signed_request_is_refused(
    wire: Wire, changes: Changes, findings: list[Finding], status: int, answer: object
) -> None:
    """What is missing or does not fit is named; no crumb is given out."""
    reply = ask_signed(wire, changes)

    assert (reply.status, reply.json) == (status, answer)
    assert list(wire.last.findings) == findings


def test_an_uppercase_signature_is_not_the_signature(wire: Wire) -> None:
    """Lower hex, as mpulse.js writes it."""
    t = now_ms()
    assert ask_signed(wire, {"s": signature(SECRET, KEY, t).upper()}, t=t).status == 403
    assert wire.last.codes == ("bad_signature",)


@pytest.mark.parametrize("offset_seconds", [-301, 301])
def test_a_signature_of_another_time_is_refused(wire: Wire, offset_seconds: int) -> None:
    """t may be five minutes off."""
    reply = ask_signed(wire, t=now_ms(offset_seconds))

    sentence = "t is too far from now: check the clock, and that it is in ms."
    assert (reply.status, reply.json) == (403, INVALID)
    assert wire.last.findings == (Finding("signature_time", "error", sentence),)
    assert ask_signed(wire, t=now_ms(offset_seconds * 0.98)).status == 200


def test_a_signature_over_no_number_is_refused(wire: Wire) -> None:
    """A t that is no number is told, though it is signed well."""
    assert ask_signed(wire, t="now").status == 403
    sentence = "t=`now` must be milliseconds since 1970, 1 to 18 digits."
    assert wire.last.findings == (Finding("bad_int:t", "error", sentence),)


PLAIN_MISTAKES: list[tuple[str, Changes, str, int, object]] = [
    (
        "missing:key",
        {"key": None},
        "The query needs key, and it is missing or empty.",
        400,
        {"message": "key is required"},
    ),
    (
        "missing:d",
        {"d": ""},
        "The query needs d, and it is missing or empty.",
        400,
        {"message": "d is required"},
    ),
    ("unknown_key", {"key": "abc"}, f"key is not an app of this sandbox: use {KEY}.", 404, None),
    (
        "wrong_domain",
        {"d": "a.org"},
        "d=`a.org` is not registered with this key: use www.example.com.",
        200,
        WRONG_DOMAIN,
    ),
]


@pytest.mark.parametrize(("code", "changes", "sentence", "status", "answer"), PLAIN_MISTAKES)
def test_a_wrong_question_is_told_and_answered_as_mpulse_does(
    wire: Wire, code: str, changes: Changes, sentence: str, status: int, answer: object
) -> None:
    """A missing or strange key or domain gets no crumb."""
    reply = wire.config(changes)

    assert reply.status == status
    assert reply.json == answer if answer else reply.body == b"Not found"
    assert wire.last.findings == (Finding(code, "error", sentence),)


@pytest.mark.parametrize("method", ["POST", "PUT", "HEAD", "OPTIONS", "DELETE", "PATCH"])
def test_a_configuration_is_asked_for_with_get(wire: Wire, method: str) -> None:
    """Other methods are 405 and say what would be right."""
    reply = wire.ask(method, f"/api/config.json?key={KEY}&d=www.example.com")

    assert reply.status == 405
    assert reply.headers["allow"] == "GET"
    assert wire.last.findings == (Finding("bad_method", "error", "A configuration is asked for with GET."),)


def test_a_question_that_is_badly_written_is_told(wire: Wire) -> None:
    """Repeated names and bad escapes."""
    reply = wire.ask("GET", f"/config?key={KEY}&d=www.example.com&d=a.org")
    assert reply.json["h.d"] == "www.example.com"
    assert wire.last.findings == (
        Finding("duplicate_param", "error", "A parameter of the query stands more than once."),
    )
    wire.ask("GET", f"/config?key={KEY}&d=www.example.com&v=%e9")
    assert wire.last.findings == (
        Finding("bad_percent_encoding", "error", "The query is not percent-encoded UTF-8."),
    )


def test_a_client_says_who_it_is(wire: Wire) -> None:
    """No User-Agent is a warning, and is answered."""
    reply = wire.ask("GET", f"/config?key={KEY}&d=www.example.com", headers={"User-Agent": ""})

    sentence = "mPulse's reference requires a User-Agent: send one."
    assert reply.json["h.key"] == KEY
    assert wire.last.findings == (Finding("missing:User-Agent", "warning", sentence),)


@pytest.mark.parametrize(
    "agent", ["curl/8.5.0", "python-requests/2.32", "Googlebot/2.1", "Go-http-client/1.1"]
)
def test_bots_are_refused_where_they_are_not_wanted(sandbox: Sandbox, wire: Wire, agent: str) -> None:
    """Only with the switch; others pass."""
    headers = {"User-Agent": agent}
    target = f"/config?key={KEY}&d=www.example.com"
    assert wire.ask("GET", target, headers=headers).status == 200
    sandbox.mpulse.switches = Switches(refuse_bots=True)
    reply = wire.ask("GET", target, headers=headers)

    sentence = f"`{agent}` counts as a bot: set another, or tick Include Bot Beacons in mPulse."
    assert (reply.status, reply.body) == (403, b"Forbidden")
    assert wire.last.findings == (Finding("bot_user_agent", "error", sentence),)
    assert wire.config().status == 200


def test_a_refresh_holds_a_crumb_and_nothing_else(wire: Wire) -> None:
    """`r=` and the collector's address get exactly h.t and h.cr; both crumbs are good."""
    first = wire.learn()
    refreshed = wire.config({"r": "", "bcn": first["beacon_url"]})

    assert set(refreshed.json) == {"h.t", "h.cr"}
    assert refreshed.json["h.cr"] != first["h.cr"]
    assert wire.beacon(TIMER).findings == ()
    assert wire.beacon({**TIMER, "h.t": str(refreshed.json["h.t"]), "h.cr": refreshed.json["h.cr"]}).accepted
    assert not [record for record in wire.sandbox.received.records if record.findings]


def test_a_signed_refresh_holds_a_crumb_too(wire: Wire) -> None:
    """mpulse.js appends `&r=` to its signed question."""
    assert set(ask_signed(wire, {"r": ""}).json) == {"h.t", "h.cr"}
    assert wire.last.findings == ()


def test_a_collector_that_was_never_given_out_is_told(wire: Wire) -> None:
    """bcn must be beacon_url as it came; the answer is a crumb all the same."""
    reply = wire.config({"r": "", "bcn": "//17de4c15.akstat.io/"})

    sentence = "bcn=`//17de4c15.akstat.io/` was never given out: send beacon_url back exactly as it came."
    assert set(reply.json) == {"h.t", "h.cr"}
    assert wire.last.findings == (Finding("unknown_bcn", "error", sentence),)


def test_browsers_may_ask(wire: Wire) -> None:
    """`acao` gets Access-Control-Allow-Origin (contract 2.2); without it there is none."""
    assert wire.config({"acao": ""}).headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-origin" not in wire.config().headers


def test_the_address_given_out_is_loopback_whatever_the_host_header_says(wire: Wire) -> None:
    """A client that calls us by another name is not sent there."""
    reply = wire.ask("GET", f"/config?key={KEY}&d=www.example.com", headers={"Host": "evil.example"})

    assert reply.json["beacon_url"] == f"//127.0.0.1:{wire.address[1]}/17de4c15/"
