"""How old the crumb of an answer is, and whose clock is wrong: what Date and Age of the answer tell (C10)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from otel_vendor_exporters.mpulse.app_config import AppConfig, Problem, read_answer
from tests.mpulse.example import ANSWER, NOW_UNIX_MS, answer, reply, settings


@pytest.mark.parametrize(
    ("date", "expires"),
    [
        (None, 1600.0),
        ("Tue, 15 Dec 2015 21:45:31 GMT", 1600.0),
        ("Tue, 15 Dec 2015 21:47:12 GMT", 1499.908),
        ("Tue, 15 Dec 2015 20:00:00 GMT", 1600.0),
        ("Tue, 15 Dec 2015 21:47:12 -0000", 1499.908),
        ("soon", 1600.0),
        ("", 1600.0),
        ("Tue, 15 Dec 99999 21:47:12 GMT", 1600.0),
    ],
)
def test_C10_a_crumb_that_a_cache_kept_is_already_old(date: str | None, expires: float) -> None:
    """A crumb lives ten minutes from its own time, by the server's clock where the answer tells it."""
    found = read_answer(
        replace(reply(ANSWER), headers={} if date is None else {"date": date}),
        settings(),
        None,
        asked_at=1000.0,
        now_unix_ms=NOW_UNIX_MS,
    )

    assert isinstance(found, AppConfig)
    assert found.crumb_expires_at == pytest.approx(expires)
    assert found.is_usable(expires - 0.01, NOW_UNIX_MS)
    assert not found.is_usable(expires + 0.01, NOW_UNIX_MS)


@pytest.mark.parametrize(
    ("headers", "minutes"),
    [
        ({"date": "Tue, 15 Dec 2015 21:55:32 GMT"}, 10),
        ({"date": "Tue, 15 Dec 2015 23:00:00 GMT"}, 74),
        ({"date": "Tue, 15 Dec 2015 21:45:32 GMT", "age": "3600"}, 60),
        ({"date": "Tue, 15 Dec 2015 21:50:32 GMT", "age": "301"}, 10),
    ],
)
def test_C10_a_crumb_that_is_too_old_is_no_configuration(headers: dict[str, str], minutes: int) -> None:
    """An answer that a cache kept too long is named as such, and asked for again."""
    found = read_answer(
        replace(reply(ANSWER), headers=headers), settings(), None, asked_at=1000.0, now_unix_ms=NOW_UNIX_MS
    )

    words = f"the crumb is {minutes} minutes old already: a cache between here and mPulse?"
    assert found == Problem(words)


@pytest.mark.parametrize(
    ("headers", "h_t", "now_unix_ms", "minutes"),
    [
        ({"date": "Tue, 15 Dec 2015 21:45:32 GMT"}, NOW_UNIX_MS, NOW_UNIX_MS + 3_600_000, 60),
        ({"date": "Tue, 15 Dec 2015 21:45:32 GMT"}, NOW_UNIX_MS, NOW_UNIX_MS - 3_600_000, 60),
        ({"date": "Tue, 15 Dec 2015 21:45:32 GMT", "age": "x"}, NOW_UNIX_MS, NOW_UNIX_MS + 299_000, None),
        ({"date": "Tue, 15 Dec 2015 21:45:32 GMT", "age": "400"}, NOW_UNIX_MS, NOW_UNIX_MS + 400_000, None),
        ({"date": "Tue, 15 Dec 2015 21:45:32 GMT"}, NOW_UNIX_MS + 3_600_000, NOW_UNIX_MS, None),
        ({}, NOW_UNIX_MS - 3_600_000, NOW_UNIX_MS, None),
    ],
)
def test_a_wrong_clock_is_told_by_the_date_of_the_answer(
    headers: dict[str, str], h_t: int, now_unix_ms: int, minutes: int | None
) -> None:
    """Only the answer's Date tells whose clock is wrong; h.t may be as old as a cache makes it."""
    found = read_answer(
        replace(reply(answer(h_t=h_t)), headers=headers),
        settings(),
        None,
        asked_at=1000.0,
        now_unix_ms=now_unix_ms,
    )

    assert isinstance(found, AppConfig)
    words = f"this machine's clock and mPulse's are {minutes} minutes apart"
    assert found.warnings == (() if minutes is None else (words,))
