"""What is hidden in texts, and how long it takes."""

from __future__ import annotations

from time import perf_counter

import pytest

from instrumentation.captures import Site
from instrumentation.log_records import Extras
from instrumentation.redaction import SECRETS, cut, cut_front

HOSTILE = {
    "one long word": "pwd" * 34_000,
    "a long word before its colon": "token" * 20_000 + ":",
    "a path": "GET /" + "pwd" * 34_000 + " status=404",
    "only separators": "token" + "=:" * 50_000,
    "names without values": "token= " * 15_000,
    "quotes that never end": 'token="x\n' * 11_000,
    "escaped quotes": "token=" + '"\\' * 50_000,
    "brackets that never end": "token=(" * 14_000,
    "escaped quotes in brackets": "token=[" + '"\\' * 50_000,
    "blanks": "token" + " " * 100_000 + "=1",
    "digits": "card=" + "1 " * 50_000,
    "addresses": "token://:" * 11_000 + "@",
    "pairs": "'token','" * 11_000,
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_time_is_bounded_whatever_a_text_holds(kind: str) -> None:
    """100 KB made to keep a search busy are done within 50 ms, as a message and as a traceback."""
    extras = Extras(Site("test"), None, (), ("pin",))

    started = perf_counter()
    extras.text(HOSTILE[kind])
    extras.stack(HOSTILE[kind])

    assert perf_counter() - started < 0.05


@pytest.mark.parametrize("kind", HOSTILE)
def test_time_grows_with_the_length_and_no_faster(kind: str) -> None:
    """Ten times the text takes about ten times as long, even uncut."""
    text = HOSTILE[kind]

    started = perf_counter()
    SECRETS.hidden_in(text)

    assert perf_counter() - started < 1


def test_long_texts_are_cut_with_a_mark() -> None:
    """The beginning of a message stays, of a traceback the last whole lines."""
    assert cut("x" * 20, 20) == "x" * 20
    assert cut("x" * 21, 20) == "x" * 12 + "...[cut]"
    assert cut_front("first line\nsecond\nthird", 20) == "...[cut]\nthird"
    assert cut_front("one\ntwo", 20) == "one\ntwo"
