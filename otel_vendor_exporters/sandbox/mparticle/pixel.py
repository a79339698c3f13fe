"""
The Pixel Service: one event in the query of a GET, answered with a picture of one pixel.

Pure. Written from contract/mparticle.md section 10 ("Pixel Service"); what the service answers to a bad
request is not documented and our choice.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from otel_vendor_exporters.sandbox.exchange import Request, shown
from otel_vendor_exporters.sandbox.mparticle.checks import Problem, Rank
from otel_vendor_exporters.sandbox.mparticle.rules import Circumstances, Json, time_problem
from otel_vendor_exporters.sandbox.mparticle.shapes import IDENTITY_NAMES, IDENTITY_SPELLINGS

MAX_URL_LENGTH = 2_000
MAX_PARTS = 1_000
# A transparent GIF of one pixel.
GIF = bytes.fromhex("47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b")
EVENT_TYPES = {
    "Unknown": "unknown",
    "Navigation": "navigation",
    "Location": "location",
    "Search": "search",
    "Transaction": "transaction",
    "UserContent": "user_content",
    "UserPreference": "user_preference",
    "Social": "social",
    "Other": "other",
    "Media": "media",
}
LISTS = (("attrs_k", "attrs_v"), ("ua_k", "ua_v"), ("ui_t", "ui_v"), ("flags_k", "flags_v"))
KNOWN = ("dt", "ct", "n", "et", "lc", "av", "dbg", "hn", "ttl", *(name for pair in LISTS for name in pair))
# What the AMP client sends besides.
OF_AMP = ("amp_id", "path", "consent_state")
SCREEN_ONLY = ("hn", "ttl")
_NEVER_IDENTITIES = ("customer_id", "facebook_custom_audience_id", "alias")
IDENTITIES = {
    **{name: name for name in IDENTITY_NAMES if "other_id" not in name and name not in _NEVER_IDENTITIES},
    **IDENTITY_SPELLINGS,
}
_TIME = re.compile(r"[0-9]{1,18}")
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class Pixel:
    """The query of one pixel: decoded values, and the elements of each list, split before decoding."""

    values: dict[str, str]
    lists: dict[str, list[str]]
    pairs: tuple[tuple[str, str], ...]
    clean: bool = True
    plus: bool = False
    commas_inside: bool = False

    def value(self, name: str) -> str:
        """A parameter's text; empty when it is absent."""
        return self.values.get(name, "")

    def map_of(self, keys: str, values: str) -> Json:
        """The names and values of two lists."""
        return dict(zip(self.lists.get(keys, []), self.lists.get(values, []), strict=False))


def pixel_from(query: bytes) -> Pixel:
    """A query as the first-party client writes it: a raw comma divides, `%2C` does not, `+` is a plus."""
    raw = [part.partition(b"=")[::2] for part in query.split(b"&", MAX_PARTS)[:MAX_PARTS] if part]
    pairs = tuple((_decoded(name), _decoded(value)) for name, value in raw)
    list_names = {name for pair in LISTS for name in pair}
    named = {_decoded(name): value for name, value in reversed(raw)}
    elements = {
        name: [_decoded(element) for element in value.split(b",")] if value else []
        for name, value in named.items()
        if name in list_names
    }
    return Pixel(
        values=dict(reversed(pairs)),
        lists=elements,
        pairs=pairs,
        clean=not _BAD_ESCAPE.search(query) and "�" not in "".join(name + value for name, value in pairs),
        plus=b"+" in query,
        commas_inside=any("," in element for elements_ in elements.values() for element in elements_),
    )


def pixel_problems(pixel: Pixel, request: Request, came: Circumstances) -> Iterator[Problem]:
    """Everything about one pixel that the service would refuse, ignore or misread."""
    yield from _required(pixel, came)
    yield from _lists(pixel)
    yield from _event_type(pixel)
    yield from _identities(pixel)
    yield from _details(pixel)
    yield from _writing(pixel, request)


def batch_of(pixel: Pixel, now_unix_ms: int) -> Json:
    """The batch a pixel amounts to, in the Events API's form."""
    screen = pixel.value("dt") == "ScreenView"
    text_time = pixel.value("ct")
    time = int(text_time) if _TIME.fullmatch(text_time) else now_unix_ms
    data: Json = {"timestamp_unixtime_ms": time}
    if screen:
        data |= _present(
            {"screen_name": pixel.value("n"), "hostname": pixel.value("hn"), "title": pixel.value("ttl")}
        )
    else:
        kind = EVENT_TYPES.get(pixel.value("et"), "unknown")
        data |= {"event_name": pixel.value("n"), "custom_event_type": kind}
    data |= _present(
        {
            "custom_attributes": pixel.map_of("attrs_k", "attrs_v"),
            "custom_flags": pixel.map_of("flags_k", "flags_v"),
            "location": _location(pixel.value("lc")),
        }
    )
    identities = pixel.map_of("ui_t", "ui_v").items()
    return {
        "environment": "development" if pixel.value("dbg") == "true" else "production",
        **_present(
            {
                "user_identities": {IDENTITIES[name]: v for name, v in identities if name in IDENTITIES},
                "user_attributes": pixel.map_of("ua_k", "ua_v"),
                "application_info": _present({"application_version": pixel.value("av")}),
            }
        ),
        "events": [{"event_type": "screen_view" if screen else "custom_event", "data": data}],
    }


def _present(content: Json) -> Json:
    return {name: value for name, value in content.items() if value}


def _location(text: str) -> Json:
    try:
        latitude, longitude = (float(part) for part in text.split(","))
    except ValueError:
        return {}
    if not (math.isfinite(latitude) and math.isfinite(longitude)):
        return {}
    return {"latitude": latitude, "longitude": longitude}


def _required(pixel: Pixel, came: Circumstances) -> Iterator[Problem]:
    kind, time = pixel.value("dt"), pixel.value("ct")
    if kind not in ("AppEvent", "ScreenView"):
        sentence = f"dt=`{shown(kind)}` is required and is AppEvent or ScreenView."
        yield _problem(Rank.FATAL, "pixel_dt", sentence)
    if not _TIME.fullmatch(time):
        yield _problem(Rank.FATAL, "pixel_ct", f"ct=`{shown(time)}` is required: milliseconds since 1970.")
    elif problem := time_problem(int(time), came, ("ct",)):
        yield problem


def _lists(pixel: Pixel) -> Iterator[Problem]:
    for keys, values in LISTS:
        names, texts = pixel.lists.get(keys, []), pixel.lists.get(values, [])
        if len(names) != len(texts):
            sentence = (
                f"{keys} has {len(names)} elements and {values} {len(texts)}: as many, and `%2C` for a comma "
                "inside one."
            )
            yield _problem(Rank.FATAL, f"pixel_lists:{keys}", sentence)
        elif len(set(names)) < len(names):
            yield _problem(Rank.LOSS, f"pixel_repeated:{keys}", f"{keys} has a name twice: once each.")


def _event_type(pixel: Pixel) -> Iterator[Problem]:
    kind = pixel.value("et")
    if kind and kind not in EVENT_TYPES:
        sentence = f"et=`{shown(kind)}` is not one of {', '.join(EVENT_TYPES)} (capitals count)."
        yield _problem(Rank.LOSS, "pixel_et", sentence)
    if pixel.value("dt") == "AppEvent":
        if not kind:
            yield _problem(Rank.ADVICE, "pixel_no_et", "et is missing and counts as Unknown: send it.")
        if not pixel.value("n"):
            yield _problem(Rank.ADVICE, "pixel_no_name", "n is missing: name the event.")


def _identities(pixel: Pixel) -> Iterator[Problem]:
    for name in pixel.lists.get("ui_t", []):
        if name not in IDENTITIES:
            right = {"customer_id": "customerid", "phone_number": "mobile_number"}.get(name, "an IDSync name")
            sentence = f"ui_t=`{shown(name)}` is no identity type: use {right}."
            yield _problem(Rank.LOSS, f"pixel_identity:{shown(name)}", sentence)
    if not pixel.lists.get("ui_t"):
        yield _problem(Rank.ADVICE, "no_identity", "No identity (ui_t, ui_v): the event is nobody's.")


def _details(pixel: Pixel) -> Iterator[Problem]:
    debug, location = pixel.value("dbg"), pixel.value("lc")
    if not debug:
        yield _problem(Rank.ADVICE, "no_environment", "dbg is missing and counts as production: send it.")
    elif debug not in ("true", "false"):
        yield _problem(Rank.LOSS, "pixel_dbg", f"dbg=`{shown(debug)}` must be true or false.")
    if location and not _location(location):
        yield _problem(Rank.LOSS, "pixel_lc", f"lc=`{shown(location)}` must be `lat,long`.")
    for name in SCREEN_ONLY:
        if pixel.value(name) and pixel.value("dt") != "ScreenView":
            yield _problem(Rank.LOSS, f"pixel_screen_only:{name}", f"{name} only applies to dt=ScreenView.")
    for name in pixel.values:
        if name not in KNOWN and name not in OF_AMP:
            yield _problem(Rank.LOSS, f"pixel_unknown:{shown(name)}", f"`{shown(name)}` is no parameter.")


def _writing(pixel: Pixel, request: Request) -> Iterator[Problem]:
    if len(pixel.values) < len(pixel.pairs):
        yield _problem(Rank.LOSS, "duplicate_param", "A parameter stands more than once: the first counts.")
    if not pixel.clean:
        yield _problem(Rank.LOSS, "bad_percent_encoding", "A value is not percent-encoded UTF-8.")
    if pixel.plus:
        yield _problem(Rank.ADVICE, "plus_sign", "`+` is a plus here: write a space as %20, a plus as %2B.")
    if pixel.commas_inside:
        sentence = "A comma inside an element (%2C): whether mParticle divides there is not known."
        yield _problem(Rank.ADVICE, "comma_in_list", sentence)
    if request.url_length > MAX_URL_LENGTH:
        sentence = f"The URL has {request.url_length} characters: keep it under {MAX_URL_LENGTH}."
        yield _problem(Rank.ADVICE, "url_too_long", sentence)
    if "authorization" in request.headers:
        sentence = "The pixel takes no Authorization: the web key in the path is all; keep the secret home."
        yield _problem(Rank.ADVICE, "credentials_sent", sentence)


def _problem(rank: Rank, code: str, sentence: str) -> Problem:
    return Problem(rank, code, (), sentence)


def _decoded(encoded: bytes) -> str:
    return unquote_to_bytes(encoded).decode(errors="replace")
