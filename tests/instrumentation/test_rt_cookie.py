"""The RT cookie (contract mpulse.md, section 15): what it says, and how little it is trusted."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from instrumentation.rt_cookie import BrowserSession, base36, browser_session

SI = "e2668d61-3a2b-4f7c-9d0e-5b6a7c8d9e0f"
SS = 1_599_593_643_000
NOW = SS + 60_000
SESSION = BrowserSession(f"{SI}-qgcucr", SS, 3, limited=False)
PLAIN = f"si={SI}&ss={SS}&sl=3"


def cookie(value: str) -> str:
    return f'a=1; RT="{value}"; b=2'


def test_section_15_vector() -> None:
    """The documented start, 1599593643000, gives the suffix qgcucr."""
    assert base36(round(SS / 1000)) == "qgcucr"
    assert base36(0) == "0"
    assert base36(35) == "z"


@pytest.mark.parametrize(
    "value",
    [
        PLAIN,
        f"z=0&{PLAIN}",
        f"z=2&{PLAIN}",
        f"z=1&dm=example.com&si={SI}&ss={base36(SS)}&sl=3&tt=2kj&obo=0&bcn=%2F%2F17de4c15.akstat.io%2F",
        f"z=3&si={SI}&ss={base36(SS)}&sl=3",
        f"{PLAIN}&ld=1000&ul=2000&hd=59000&cl=10",
        f"{PLAIN}&se=3600",
        f"%73%69={SI.replace('-', '%2D')}&ss={SS}&sl=3",
        f"{PLAIN}&sl=9&si=other-id",
        f"&&=&x&{PLAIN}&",
        f"rl=0&{PLAIN}",
    ],
)
def test_section_15_a_session_is_read(value: str) -> None:
    """Base 36 or 10 by bit 0x1 of z, percent-encoded or not, with and without the other pairs."""
    assert browser_session(cookie(value), NOW) == SESSION


def test_section_15_a_limited_session_is_told() -> None:
    """rl=1: mPulse wants nothing of this session."""
    assert browser_session(cookie(f"{PLAIN}&rl=1"), NOW) == SESSION._replace(limited=True)


@pytest.mark.parametrize(
    "header",
    [
        f"RT={PLAIN}",
        f'RT="{PLAIN}"',
        f'RT="{PLAIN}',
        f'a=1;RT="{PLAIN}";b=2',
        f'  RT = "{PLAIN}" ',
        f'RT="z=1&si=cut; RT="{PLAIN}"',
        f'RT="{PLAIN}"; RT="si=other-1&ss={SS}&sl=9"',
        f'XRT="si=other-1&ss={SS}"; RT="{PLAIN}"',
        f'RT; =; RT="{PLAIN}"',
    ],
)
def test_section_15_quoted_doubled_or_crowded(header: str) -> None:
    """Quotes may be missing, cookies may be doubled (the first that parses is taken), others stand beside."""
    assert browser_session(header, NOW) == SESSION


def test_the_name_may_be_another() -> None:
    """The cookie's name is configurable in the browser, so it is here."""
    assert browser_session(f'RTX="{PLAIN}"', NOW, "RTX") == SESSION
    assert browser_session(f'RTX="{PLAIN}"', NOW) is None


@pytest.mark.parametrize(
    "value",
    [
        "",
        "RT",
        "z=1",
        f"si={SI}",
        f"ss={SS}&sl=3",
        f"si=nodash&ss={SS}",
        f"si=a-{'b' * 200}&ss={SS}",
        f"si=a-%00%0d%0ab&ss={SS}",
        f"si=ä-b&ss={SS}",
        f"si={SI}&ss=-1",
        f"si={SI}&ss=+{SS}",
        f"si={SI}&ss=1_599_593_643_000",
        f"si={SI}&ss=١٢٣",
        f"si={SI}&ss={'9' * 5000}",
        f"si={SI}&ss=0",
        f"si={SI}&ss={NOW + 3_600_000}",
        f"si={SI}&ss={NOW - 8 * 24 * 3_600_000}",
        f"z=1&si={SI}&ss={SS}",
        f"si={SI}&ss={base36(SS)}",
        f"{PLAIN}&pad={'x' * 5000}",
        f"x{PLAIN}",
    ],
)
def test_section_15_what_does_not_parse_is_no_session(value: str) -> None:
    """Missing, cut, foreign bytes, too long, or a start that cannot be: no session, no error."""
    assert browser_session(cookie(value), NOW) is None


@pytest.mark.parametrize("sl", ["", "-1", "x", "1e3", "9" * 17])
def test_a_length_that_does_not_parse_is_none(sl: str) -> None:
    """The session stands without its length."""
    assert browser_session(cookie(f"si={SI}&ss={SS}&sl={sl}"), NOW) == SESSION._replace(length=0)


def test_a_length_that_lies_is_bounded() -> None:
    """No session has more than a million pages."""
    header = cookie(f"si={SI}&ss={SS}&sl=999999999999")
    assert browser_session(header, NOW) == SESSION._replace(length=10**6)


@pytest.mark.parametrize(
    ("value", "idle_seconds", "is_joined"),
    [
        (f"{PLAIN}&ld=5000", 1800, True),
        (f"{PLAIN}&ld=5000", 1801, False),
        (f"{PLAIN}&ld=1&ul=4000&cl=5000&hd=2", 1800, True),
        (f"{PLAIN}&ld=5000&se=60", 61, False),
        (f"{PLAIN}&ld=5000&se=3600", 3600, True),
        (f"{PLAIN}&ld=5000&se=99999999", 24 * 3600 + 1, False),
        (PLAIN, 1795, True),
        (PLAIN, 1796, False),
        (f"{PLAIN}&se=7200", 7195, True),
        (f"{PLAIN}&ld=x.y&se=7200", 7196, False),
        (PLAIN, 6 * 24 * 3600, False),
    ],
)
def test_section_15_a_session_that_expired_is_not_prolonged(
    value: str, idle_seconds: int, is_joined: bool
) -> None:
    """The cookie lives for days, the session for `se` seconds after its last sign, or its start."""
    found = browser_session(cookie(value), SS + 5000 + idle_seconds * 1000)
    assert (found is not None) is is_joined


@given(st.text(), st.integers(0, 10**14))
@example('RT="z=1&si=%', 0)
@example('RT="si=a-b&ss=%E0%A4%A&sl=%', 10)
def test_any_text_is_no_error(value: str, now_unix_ms: int) -> None:
    """Whatever stands in the header, the parser answers."""
    for header in (value, f"RT={value}", f'RT="si={value}&ss={now_unix_ms}&sl={value}"; {value}'):
        found = browser_session(header, now_unix_ms)
        assert found is None or 0 <= found.start_unix_ms <= now_unix_ms + 300_000


@given(st.binary())
def test_any_bytes_are_no_error(value: bytes) -> None:
    """Servers hand headers over as latin-1."""
    browser_session(f'RT="{value.decode("latin-1")}"', NOW)


@given(
    si=st.from_regex(r"[a-z0-9]{1,20}-[a-z0-9]{1,20}", fullmatch=True),
    age_ms=st.integers(0, 1_800_000),
    sl=st.integers(0, 10**6),
    compressed=st.booleans(),
    limited=st.booleans(),
)
def test_every_sound_cookie_is_read_back(
    si: str, age_ms: int, sl: int, compressed: bool, limited: bool
) -> None:
    """What a browser wrote is what is read, and rt.si ends in the start in base 36."""
    ss = NOW - age_ms
    number = base36 if compressed else str
    value = f"z={int(compressed)}&si={si}&ss={number(ss)}&sl={number(sl)}&rl={int(limited)}"

    found = browser_session(cookie(value), NOW)

    assert found == BrowserSession(f"{si}-{base36((ss + 500) // 1000)}", ss, sl, limited)


@pytest.mark.parametrize("filler", ["x" * 5_000_000, "RT=;" * 1_000_000, "&" * 5_000_000, ";" * 5_000_000])
@pytest.mark.flaky(reruns=2)
def test_megabytes_are_soon_done_with(filler: str) -> None:
    """A huge cookie costs milliseconds, not seconds."""
    started = time.perf_counter()
    browser_session(f"RT={filler}; RT={PLAIN}", NOW)
    assert time.perf_counter() - started < 0.5
