"""The sandbox's Pixel Service over real HTTP: its picture, its reading of a query, its reason codes."""

from __future__ import annotations

import http.client
from collections.abc import Iterator

import pytest
import requests

from otel_vendor_exporters.sandbox import MParticlePixel, Sandbox
from tests.sandbox.mparticle_http import TIME_MS, Json, app, batch, event, post

WEB_KEY = "web-key"
GOOD = f"dt=AppEvent&et=Navigation&ct={TIME_MS}&n=tap&ui_t=email&ui_v=a%40example.com&dbg=false"
SCREEN = f"dt=ScreenView&ct={TIME_MS}&n=Home&ui_t=email&ui_v=a%40example.com&dbg=false"


@pytest.fixture(scope="module")
def strict_server() -> Iterator[Sandbox]:
    with Sandbox(mparticle=app(web_api_key=WEB_KEY)) as running:
        yield running


@pytest.fixture
def sandbox(strict_server: Sandbox) -> Sandbox:
    """One server for all tests, which knows nothing of the one before."""
    strict_server.reset()
    return strict_server


def get(
    sandbox: Sandbox, query: str, key: str = WEB_KEY, headers: dict[str, str] | None = None
) -> tuple[int, bytes, dict[str, str]]:
    """Fetch a pixel by exactly this query: status, body, headers."""
    connection = http.client.HTTPConnection(sandbox.url.removeprefix("http://"), timeout=5)
    connection.request("GET", f"/v1/{key}/Pixel?{query}", headers=headers or {})
    response = connection.getresponse()
    answer = response.status, response.read(), dict(response.getheaders())
    connection.close()
    return answer


def only(sandbox: Sandbox) -> MParticlePixel:
    (pixel,) = sandbox.received.mparticle.pixels
    return pixel


def stored(sandbox: Sandbox) -> Json:
    """What the only pixel amounts to."""
    kept = only(sandbox).batch
    assert kept is not None
    return dict(kept.content)


def test_P01_an_event_with_attributes_and_identities(sandbox: Sandbox) -> None:
    """Every element is decoded after the list is divided; commas inside are warned of."""
    status, body, headers = get(
        sandbox,
        f"dt=AppEvent&et=Navigation&ct={TIME_MS}&n=My%20Event&attrs_k=a%2Cb,c%26d,%C3%A9"
        "&attrs_v=1%2C2,x%3Dy,%25&ui_t=email,customerid&ui_v=test%40email.com,1234567&dbg=true",
    )

    assert (status, headers["Content-Type"], headers["Cache-Control"]) == (200, "image/gif", "no-store")
    assert (body[:6], len(body)) == (b"GIF89a", 43)
    assert stored(sandbox) == {
        "environment": "development",
        "user_identities": {"email": "test@email.com", "customer_id": "1234567"},
        "events": [
            {
                "event_type": "custom_event",
                "data": {
                    "event_name": "My Event",
                    "custom_event_type": "navigation",
                    "timestamp_unixtime_ms": TIME_MS,
                    "custom_attributes": {"a,b": "1,2", "c&d": "x=y", "é": "%"},
                },
            }
        ],
    }
    assert only(sandbox).codes == ("comma_in_list",)


def test_P02_a_screen_view(sandbox: Sandbox) -> None:
    """Host, title and place arrive; nobody is named, which is said."""
    query = f"dt=ScreenView&ct={TIME_MS}&n=Home&hn=shop.example&ttl=A%20B&lc=40.7142,-74.0064&dbg=false"
    assert get(sandbox, query)[0] == 200
    (kept,) = sandbox.received.mparticle.events
    assert (kept.type, kept.name, kept.timestamp_unix_ms) == ("screen_view", "Home", TIME_MS)
    assert (kept.data["hostname"], kept.data["title"]) == ("shop.example", "A B")
    assert kept.data["location"] == {"latitude": 40.7142, "longitude": -74.0064}
    assert only(sandbox).codes == ("no_identity",)


def test_the_documents_lists_are_read(sandbox: Sandbox) -> None:
    """User attributes, flags and version too; parameters of the AMP client and empty ones are taken."""
    query = "&ua_k=plan,age&ua_v=pro,18&flags_k=F&flags_v=1&av=2.0&amp_id=x&hn=&path=%2F"
    get(sandbox, GOOD + query)
    assert stored(sandbox)["user_attributes"] == {"plan": "pro", "age": "18"}
    assert stored(sandbox)["application_info"] == {"application_version": "2.0"}
    (kept,) = sandbox.received.mparticle.events
    assert kept.data["custom_flags"] == {"F": "1"}
    assert sandbox.received.findings == ()


def test_pixels_and_batches_are_of_one_user(sandbox: Sandbox) -> None:
    """Who is known by address in a pixel is the same user in a batch."""
    get(sandbox, GOOD)
    post(sandbox, batch(event(event_name="paid"), user_identities={"email": "a@example.com"}))
    (user,) = sandbox.received.mparticle.users
    assert [one.name for one in user.events] == ["tap", "paid"]


@pytest.mark.parametrize(
    ("code", "query"),
    [
        ("pixel_dt", GOOD.replace("dt=AppEvent", "dt=Event")),
        ("pixel_dt", GOOD.replace("dt=AppEvent&", "")),
        ("pixel_ct", GOOD.replace(f"ct={TIME_MS}", "ct=now")),
        ("pixel_lists:attrs_k", GOOD + "&attrs_k=a,b&attrs_v=1"),
        ("pixel_lists:ua_k", GOOD + "&ua_k=a"),
        ("pixel_lists:flags_k", GOOD + "&flags_v=a"),
        ("pixel_lists:ui_t", GOOD.replace("ui_t=email", "ui_t=email,customerid")),
    ],
)
def test_what_cannot_be_read_is_refused(sandbox: Sandbox, code: str, query: str) -> None:
    """Required values and lists of one length; nothing is kept."""
    assert get(sandbox, query)[0] == 400
    assert sandbox.received.codes == (code,)
    assert sandbox.received.mparticle.batches == ()


@pytest.mark.parametrize(
    ("code", "severity", "query"),
    [
        ("pixel_et", "error", GOOD.replace("Navigation", "navigation")),
        ("pixel_no_et", "warning", GOOD.replace("et=Navigation&", "")),
        ("pixel_no_name", "warning", GOOD.replace("&n=tap", "")),
        ("pixel_identity:phone_number", "error", GOOD.replace("ui_t=email", "ui_t=phone_number")),
        ("pixel_identity:customer_id", "error", GOOD.replace("ui_t=email", "ui_t=customer_id")),
        ("no_identity", "warning", GOOD.replace("&ui_t=email&ui_v=a%40example.com", "")),
        ("no_environment", "warning", GOOD.replace("&dbg=false", "")),
        ("pixel_dbg", "error", GOOD.replace("dbg=false", "dbg=1")),
        ("pixel_lc", "error", GOOD + "&lc=north"),
        ("pixel_lc", "error", GOOD + "&lc=1,nan"),
        ("pixel_screen_only:hn", "error", GOOD + "&hn=shop.example"),
        ("pixel_unknown:colour", "error", GOOD + "&colour=red"),
        ("pixel_repeated:attrs_k", "error", GOOD + "&attrs_k=a,a&attrs_v=1,2"),
        ("duplicate_param", "error", GOOD + "&n=again"),
        ("bad_percent_encoding", "error", GOOD.replace("n=tap", "n=%zz")),
        ("bad_percent_encoding", "error", GOOD.replace("n=tap", "n=%ff")),
        ("plus_sign", "warning", GOOD.replace("n=tap", "n=a+b")),
        ("comma_in_list", "warning", GOOD + "&attrs_k=a&attrs_v=1%2C2"),
        ("url_too_long", "warning", GOOD + "&av=" + "1" * 2_000),
        ("too_long:event_name", "error", GOOD.replace("n=tap", "n=" + "e" * 257)),
        ("old_event", "warning", GOOD.replace(f"ct={TIME_MS}", "ct=1700000000")),
    ],
)
def test_what_is_lost_or_misread_is_told(sandbox: Sandbox, code: str, severity: str, query: str) -> None:
    """The picture is given all the same, and the finding says what to change."""
    assert get(sandbox, query)[0] == 200
    (found,) = sandbox.received.findings
    assert (found.code, found.severity) == (code, severity)


def test_the_first_of_two_values_counts_and_a_plus_stays(sandbox: Sandbox) -> None:
    """As the documents do not say otherwise."""
    get(sandbox, GOOD.replace("n=tap", "n=a+b") + "&n=second")
    (kept,) = sandbox.received.mparticle.events
    assert kept.name == "a+b"


def test_the_key_in_the_path_is_the_webs(sandbox: Sandbox) -> None:
    """The key for servers does not open the pixel."""
    assert get(sandbox, GOOD, key=sandbox.mparticle.api_key)[0] == 403
    assert sandbox.received.codes == ("wrong_web_api_key",)


def test_the_secret_has_no_place_in_a_pixel(sandbox: Sandbox) -> None:
    """An Authorization header is warned of; a POST carries no pixel."""
    get(sandbox, GOOD, headers={"Authorization": "Basic x"})
    url = f"{sandbox.url}/v1/{WEB_KEY}/Pixel?{SCREEN}"
    assert requests.post(url, timeout=5).status_code == 405
    assert sandbox.received.codes == ("credentials_sent", "bad_method")


@pytest.mark.parametrize(
    "query", ["", "&&&", "=", "%", "dt", "dt=%ff", "attrs_k=,,,&attrs_v=,,,", "&".join(["a=b"] * 1_500)]
)
def test_hostile_queries_are_answered(sandbox: Sandbox, query: str) -> None:
    """Whatever comes is a 400, and the next pixel is taken."""
    assert get(sandbox, query)[0] == 400
    assert get(sandbox, GOOD)[0] == 200
    assert len(only_good(sandbox)) == 1


def only_good(sandbox: Sandbox) -> tuple[MParticlePixel, ...]:
    return tuple(pixel for pixel in sandbox.received.mparticle.pixels if pixel.batch is not None)
