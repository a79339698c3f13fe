"""What a configuration answer is understood as: the contract's sections 3, 4 and 10, rows C and I."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_vendor_exporters.delivery.answers import MAX_BODY_BYTES
from otel_vendor_exporters.delivery.request import Failure, Reply
from otel_vendor_exporters.mpulse.app_config import AppConfig, Problem, read_answer, retry_seconds
from otel_vendor_exporters.mpulse.definitions import Definitions
from tests.mpulse.example import (
    ANSWER,
    CRUMB,
    CRUMB_UNIX_MS,
    DEFINITIONS,
    DOMAIN,
    KEY,
    NOW_UNIX_MS,
    answer,
    config,
    read,
    reply,
    settings,
)


def test_the_contracts_example_is_read_whole() -> None:
    """Every field that matters is in the configuration; unknown ones are ignored."""
    assert read(ANSWER) == AppConfig(
        api_key=KEY,
        domain=DOMAIN,
        beacon_url="https://17de4c15.akstat.io/",
        beacon_url_as_given="//17de4c15.akstat.io/",
        crumb=CRUMB,
        crumb_unix_ms=CRUMB_UNIX_MS,
        crumb_expires_at=1600.0,
        definitions=DEFINITIONS,
        session_seconds=1800.0,
        warnings=(),
    )


# Answers that are no configuration: what is said of them, and whether sending must stop at once.
WRONG: dict[str, tuple[Reply, str, bool]] = {
    "rate_limited C5": (reply({**answer("beacon_url"), "rate_limited": True}), "limits the rate", True),
    "rate_limited with URL": (reply(answer(rate_limited="yes")), "limits the rate", True),
    "420 C7": (reply(b"", 420), "limits the rate", True),
    "message C8": (
        reply({"message": "Domain is not a subdomain registered with this API Key"}),
        "mPulse says: Domain is not a subdomain registered with this API Key: check api_key and domain",
        True,
    ),
    "message with lines": (reply({"message": "a\nb\x1b[31m" + "c" * 999}), "mPulse says: a b", True),
    "message 403": (reply({"message": "no"}, 403), "mPulse says: no", True),
    "404": (reply(b"Not found", 404), "HTTP 404: check api_key, domain, config_url and user_agent", False),
    "401": (reply(b"", 401), "HTTP 401: check api_key", False),
    "503": (reply(b"", 503), "HTTP 503", False),
    "500 with a good body": (reply(ANSWER, 500), "HTTP 500", False),
    "204": (reply(b"", 204), "HTTP 204", False),
    "redirect": (reply(b"", 302, location="https://elsewhere.example/"), "HTTP 302", False),
    "empty": (reply(b""), "not a JSON object", False),
    "html": (reply(b"<!doctype html><html></html>"), "not a JSON object", False),
    "no UTF-8": (reply(b"\xff\xfe\xfd"), "not a JSON object", False),
    "cut": (reply(json.dumps(ANSWER).encode()[:-20]), "not a JSON object", False),
    "deep": (reply(b"[" * 100_000), "not a JSON object", False),
    "huge number": (reply(b'{"h.t": ' + b"1" * 5000 + b"}"), "not a JSON object", False),
    "list": (reply([ANSWER]), "not a JSON object", False),
    "null": (reply(None), "not a JSON object", False),
    "too long": (
        replace(reply(b"{" * MAX_BODY_BYTES), truncated=True),
        "the configuration is longer than this library reads",
        False,
    ),
    "too slow": (
        replace(reply(ANSWER), truncated=True),
        "the configuration took too long, or broke off",
        False,
    ),
    "timeout": (Reply(failure=Failure.NO_ANSWER, words="timed out"), "no answer .*timed out", False),
    "unreachable": (Reply(failure=Failure.NOT_SENT), "no answer .*not sent", False),
    "nothing": (reply({}), "lacks h.key, h.d, beacon_url, h.t, h.cr:", False),
    "no beacon_url": (reply(answer("beacon_url")), "lacks beacon_url: check api_key and domain", False),
    "empty beacon_url": (reply(answer(beacon_url="")), "lacks beacon_url:", False),
    "no h.key": (reply(answer("h.key")), "lacks h.key:", False),
    "no h.d": (reply(answer("h.d")), "lacks h.d:", False),
    "empty h.d": (reply(answer(h_d="")), "lacks h.d:", False),
    "h.d is no text": (reply(answer(h_d=5)), "lacks h.d:", False),
    "no h.t": (reply(answer("h.t")), "lacks h.t:", False),
    "no h.cr": (reply(answer("h.cr")), "lacks h.cr:", False),
    "empty h.cr": (reply(answer(h_cr="")), "lacks h.cr:", False),
    "h.cr is no text": (reply(answer(h_cr=5)), "lacks h.cr:", False),
    "h.cr is endless": (reply(answer(h_cr="a" * 20_000)), "lacks h.cr:", False),
    "h.d is endless": (reply(answer(h_d="a" * 20_000)), "lacks h.d:", False),
    "h.t is yes": (reply(answer(h_t=True)), "lacks h.t:", False),
    "h.t is words": (reply(answer(h_t="soon")), "lacks h.t:", False),
    "h.t is 0": (reply(answer(h_t=0)), "lacks h.t:", False),
    "h.t is negative": (reply(answer(h_t=-5)), "lacks h.t:", False),
    "h.t is in ns": (reply(answer(h_t=CRUMB_UNIX_MS * 1_000_000)), "lacks h.t:", False),
    "h.t is infinite": (
        reply(json.dumps(answer(h_t=0)).replace('"h.t": 0', '"h.t": 1e999').encode()),
        "h.t",
        False,
    ),
    "h.t is NaN": (reply(answer(h_t=float("nan"))), "lacks h.t:", False),
}


@pytest.mark.parametrize(("given", "words", "stop"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_first_answer_is_a_problem(given: Reply, words: str, stop: bool) -> None:
    """Nothing half-read is used; the problem says what is wrong, in one line, without credentials."""
    found = read_answer(given, settings(), None, asked_at=0.0, now_unix_ms=NOW_UNIX_MS)

    assert isinstance(found, Problem)
    assert found.stop is stop
    assert re.search(words, found.words)
    assert found.words.isprintable()
    assert len(found.words) < 400
    assert CRUMB not in found.words


OPTIONAL_ON_REFRESH = {
    *("no beacon_url", "empty beacon_url", "no h.key"),
    *("no h.d", "empty h.d", "h.d is no text", "h.d is endless"),
}


@pytest.mark.parametrize(
    ("given", "stop"),
    [(given, stop) for name, (given, _, stop) in WRONG.items() if name not in OPTIONAL_ON_REFRESH],
    ids=[name for name in WRONG if name not in OPTIONAL_ON_REFRESH],
)
def test_C5_C6_I4_a_wrong_refresh_is_a_problem(given: Reply, stop: bool) -> None:
    """The same answers to a refresh; only mPulse's own word (limit, message) stops a crumb that is good."""
    found = read_answer(given, settings(), config(), asked_at=0.0, now_unix_ms=NOW_UNIX_MS)

    assert (type(found), getattr(found, "stop", None)) == (Problem, stop)


def test_C2_a_crumb_alone_renews_the_rest() -> None:
    """A refresh with h.t and h.cr only: new crumb, and the very same definitions, URL and session length."""
    before = config(RT={"session_exp": 60})

    after = read({"h.t": 1450216231908, "h.cr": "b" * 40}, before)

    assert isinstance(after, AppConfig)
    assert after == replace(before, crumb="b" * 40, crumb_unix_ms=1450216231908)
    assert after.definitions is before.definitions


def test_C9_a_refresh_with_definitions_replaces_them() -> None:
    """What is not in the new lists is no longer defined; equal lists leave the object as it was."""
    before = config()

    assert config(before).definitions is before.definitions
    assert config(before, PageParams={}).definitions == Definitions()
    assert config(before, PageParams="odd").definitions is before.definitions


@pytest.mark.parametrize(
    ("session", "seconds"),
    [
        (1, 1.0),
        (86_400, 86_400.0),
        (0, 1800.0),
        (-1, 1800.0),
        (86_401, 1800.0),
        ("60", 1800.0),
        (True, 1800.0),
        (None, 1800.0),
        (float("nan"), 1800.0),
    ],
)
def test_the_idle_time_of_a_session(session: Any, seconds: float) -> None:
    """RT.session_exp where it makes sense, else half an hour."""
    assert config(RT={"session_exp": session}).session_seconds == seconds
    assert config(RT=session).session_seconds == 1800.0


@pytest.mark.parametrize(
    ("changed", "settings_", "warning"),
    [
        ({"h_key": "OTHER"}, {}, "the configuration is for another API key than api_key"),
        ({"h_d": "b\nc"}, {}, "the configuration is for the domain b c, not www.example.com"),
        ({"h_d": "other"}, {"domain": None, "rest_secret": "s"}, None),
    ],
)
def test_what_is_odd_is_a_warning(
    changed: dict[str, Any], settings_: dict[str, Any], warning: str | None
) -> None:
    """Another key or domain is told, and does not stop anything (section 10: 4)."""
    found = read(answer(**changed), **settings_)

    assert isinstance(found, AppConfig)
    assert found.warnings == (() if warning is None else (warning,))


@pytest.mark.parametrize(
    ("body", "status"), [({"message": "Invalid signature"}, 403), (b"", 401), (b"", 404), (b"{}", 200)]
)
def test_with_a_secret_it_is_the_secret_that_is_named(body: object, status: int) -> None:
    """Signed requests hold no domain: not that is to be checked, but rest_secret, and where it is sent."""
    signed = read(body, status=status, rest_secret="s")
    plain = read(body, status=status, rest_secret="s", config_url="https://mine.example/api/config.json")

    assert isinstance(signed, Problem)
    assert isinstance(plain, Problem)
    assert re.search(r"check api_key(,| and) rest_secret", signed.words)
    assert "domain" not in signed.words
    assert "config_url of" not in signed.words
    assert "rest_secret needs the config_url of signed requests, …/api/v2/config.json" in plain.words


def test_C11_failed_requests_are_repeated_ever_more_slowly() -> None:
    """One minute, doubling to ten, a tenth more or less; also after very many failures."""
    assert [retry_seconds(count, 60.0, 0.5) for count in (1, 2, 3, 4, 5, 6)] == [60, 120, 240, 480, 600, 600]
    assert retry_seconds(10**6, 60.0, 1.0) == pytest.approx(660)
    assert retry_seconds(1, 60.0, 0.0) == pytest.approx(54)
    assert retry_seconds(9, 3600.0, 0.5) == 3600


# Anything at all


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=[]), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
ENTRIES = st.lists(
    JSON | st.fixed_dictionaries({}, optional=dict.fromkeys(("name", "label", "dataType", "index"), JSON)),
    max_size=4,
)
PAGE_PARAMS = JSON | st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("customTimers", "customMetrics", "customDimensions"), JSON | ENTRIES)
)
CHANGES = st.dictionaries(st.sampled_from(sorted(ANSWER)), JSON, max_size=4)
ANSWERS = JSON | st.builds(
    lambda changes, params: {**ANSWER, **changes, **({} if params is None else {"PageParams": params})},
    CHANGES,
    PAGE_PARAMS,
)


@given(ANSWERS, st.sampled_from([200, 200, 200, 204, 302, 404, 420, 500]), st.booleans(), st.text())
def test_any_json_is_a_configuration_or_a_problem(body: Any, status: int, refresh: bool, date: str) -> None:
    """Whatever JSON comes, nothing is raised, and what counts as a configuration is complete and safe."""
    found = read_answer(
        reply(body, status, date=date),
        settings(),
        config() if refresh else None,
        asked_at=0.0,
        now_unix_ms=NOW_UNIX_MS,
    )

    if isinstance(found, Problem):
        assert found.words.isprintable()
        return
    assert found.beacon_url.startswith("https://")
    assert found.crumb
    assert found.domain
    assert 0 < found.crumb_unix_ms < 1e15
    assert found.crumb_expires_at <= 600
    assert all(isinstance(one, str) and one for pair in found.definitions.timers.items() for one in pair)
    assert all(warning.isprintable() for warning in found.warnings)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_configuration_or_a_problem(body: bytes) -> None:
    """The same for what is no JSON."""
    assert isinstance(read_answer(reply(body), settings(), None, asked_at=0.0, now_unix_ms=1), Problem)
