"""Which attributes leave, and as what."""

from __future__ import annotations

from typing import Any

import pytest

from otel_vendor_exporters.attributes import PERSONAL_ATTRIBUTES
from tests.mparticle.records import USER, batches, log, mapping


def data_with(attributes: dict[str, Any], **settings: Any) -> dict[str, Any]:
    """The data of one custom event with these attributes, without what every event has."""
    mapped = mapping(**settings).from_logs([log("x", {**USER, **attributes})])
    data = dict(mapped.events[0].form["data"])
    for key in ("event_name", "custom_event_type", "timestamp_unixtime_ms", "source_message_id"):
        del data[key]
    return data


PERSONAL = {
    "user.full_name": "A B",
    "user.name": "ab",
    "user.hash": "f00",
    "user.roles": ("admin",),
    "enduser.pseudo.id": "p",
    "enduser.role": "r",
    "client.port": 1,
    "client.geo.x": "y",
    "http.request.header.cookie": ("s=1",),
    "http.response.header.set-cookie": ("s=2",),
    "source.address": "10.0.0.1",
    "net.sock.peer.addr": "10.0.0.1",
    "url.query": "token=1",
    "url.fragment": "token=1",
    "db.query.text": "SELECT 1",
    "db.query.parameter.0": "x",
    "db.statement": "s",
    "net.peer.ip": "10.0.0.1",
    "network.peer.address": "10.0.0.1",
}


def test_personal_attributes_never_leave_by_default() -> None:
    """Names, headers, queries and statements stay where they are; this list is the README's."""
    assert data_with({**PERSONAL, "cart.items": 3}) == {"custom_attributes": {"cart.items": "3"}}
    assert {name.split(".")[0] for name in PERSONAL_ATTRIBUTES} == {
        *("user", "enduser", "client", "http", "net", "network", "source", "user_agent", "url", "db")
    }


URL = "https://ann:pw@shop.example/cart?token=1#top"
URLS = (
    *("url.full", "url.original", "http.url", "messaging.url", "browser.document.url.full"),
    "x" * 300 + ".url",
)


@pytest.mark.parametrize("name", URLS)
def test_a_url_leaves_without_user_and_query(name: str) -> None:
    """Whatever convention names it; allowing `url.query` keeps the query, and never the password."""
    bare, with_query = "https://shop.example/cart", "https://shop.example/cart?token=1#top"
    assert data_with({name: URL}) == {"custom_attributes": {name[:256]: bare}}
    allowed = {"allow_attributes": ("*",)}
    assert data_with({name: URL}, **allowed) == {"custom_attributes": {name[:256]: with_query}}
    denied = {**allowed, "deny_attributes": ("url.query",)}
    assert data_with({name: URL}, **denied) == {"custom_attributes": {name[:256]: bare}}


@pytest.mark.parametrize("name", ["http.target", "url.path", "app.url.path"])
def test_a_path_leaves_without_query(name: str) -> None:
    """Where conventions say path, instrumentations write queries, too; an @ in a path is nobody."""
    assert data_with({name: "/@ann/cart?token=1"}) == {"custom_attributes": {name: "/@ann/cart"}}


def test_urls_of_any_type_are_made_bare() -> None:
    """A list of them, bytes, one simply called url, and nothing of None."""
    data = data_with(
        {
            "a.url": ["http://ann:pw@x/a", "http://ben:pw@y/b?c", None, b"http://z/?c"],
            "b.url": None,
            "c.url": 7,
            "d.url": b"http://z/?c",
            "url": URL,
            "redirect.url.0": URL,
        }
    )
    assert data == {
        "custom_attributes": {
            "a.url": '["http://x/a","http://y/b",null,"aHR0cDovL3ov"]',
            "c.url": "7",
            "d.url": "aHR0cDovL3ov",
            **dict.fromkeys(("url", "redirect.url.0"), "https://shop.example/cart"),
        }
    }


@pytest.mark.parametrize(
    ("value", "left"),
    [(URL, "https://shop.example/cart"), ([URL, "http://x/?y"], ["https://shop.example/cart", "http://x/"])],
)
def test_a_users_urls_are_made_bare(value: Any, left: Any) -> None:
    """An attribute of the user hides what an attribute of an event does."""
    records = [log("x", {**USER, "mparticle.user_attributes.landing.url": value})]

    (batch,) = batches(mapping().from_logs(records))

    assert batch["user_attributes"] == {"landing.url": left}


def test_only_allowed_attributes_leave() -> None:
    """A list of globs, which may name personal ones; what an event is made of is not meant by it."""
    data = data_with(
        {**PERSONAL, "cart.items": 3, "session.id": "s-1", "secret": "x"},
        allow_attributes=("cart.*", "user.roles"),
    )
    assert data["custom_attributes"] == {"cart.items": "3", "user.roles": '["admin"]', "session.id": "s-1"}
    assert "session_uuid" in data


def test_denied_attributes_never_leave_in_any_form() -> None:
    """Not as attributes, and not as what an event or its user is made of."""
    attributes = {"geo.location.lat": 1.0, "geo.location.lon": 2.0, "secret.a": 1, "open": 2}
    data = data_with(attributes, deny_attributes=("secret.*", "geo.*"))
    assert data == {"custom_attributes": {"open": "2"}}
    mapped = mapping(deny_attributes=("user.email",)).from_logs([log("x")])
    assert '"email"' not in mapped.events[0].owner.head


def test_what_speaks_to_mpulse_is_not_repeated() -> None:
    """Page groups and dimensions of mPulse are mPulse's."""
    assert data_with({"mpulse.page_group": "Cart", "mpulse.dimension.Country": "DE"}) == {}


def test_flags_have_their_own_place() -> None:
    """Texts by the name behind the prefix."""
    data = data_with({"mparticle.custom_flags.Google.Category": "pageview", "mparticle.custom_flags.n": 1})
    assert data == {"custom_flags": {"Google.Category": "pageview", "n": "1"}}


@pytest.mark.parametrize(
    ("said", "data"),
    [
        ({"geo.location.lat": 40.7}, {"custom_attributes": {"geo.location.lat": "40.7"}}),
        ({"geo.country.iso_code": "US"}, {"custom_attributes": {"geo.country.iso_code": "US"}}),
        (
            {"geo.location.lat": 1, "geo.location.lon": 2.5, "geo.region.iso_code": "NY"},
            {"location": {"latitude": 1, "longitude": 2.5, "region_code": "NY"}},
        ),
        ({"network.connection.type": "wired"}, {"custom_attributes": {"network.connection.type": "wired"}}),
        (
            {"network.connection.type": "unavailable"},
            {"device_current_state": {"data_connection_type": "offline"}},
        ),
        (
            {"network.connection.subtype": "lte"},
            {"device_current_state": {"data_connection_type_detail": "lte"}},
        ),
    ],
)
def test_places_and_connections_need_what_mparticle_needs(said: dict[str, Any], data: dict[str, Any]) -> None:
    """What makes no whole place or known connection stays an attribute: nothing is lost."""
    assert data_with(said) == data


@pytest.mark.parametrize(("lat", "lon"), [("north", 2), (90.1, 2), (1, -180.5), (float("nan"), 2)])
def test_a_place_that_is_none_is_left_out_and_counted(lat: Any, lon: Any) -> None:
    """Neither without numbers nor beyond the poles; the event goes without it."""
    said = {**USER, "geo.location.lat": lat, "geo.location.lon": lon}
    mapped = mapping().from_logs([log("x", said)])
    assert mapped.left_out == {"location": 1}
    assert "location" not in mapped.events[0].form["data"]


def test_an_event_has_at_most_100_attributes() -> None:
    """The first hundred, as the server would have it."""
    data = data_with({f"a{n}": n for n in range(150)})
    assert list(data["custom_attributes"]) == [f"a{n}" for n in range(100)]


def test_many_names_are_not_remembered_for_ever() -> None:
    """Attribute names may be made of ids; the memory of them is bounded, and stays right."""
    many = mapping()
    for n in range(12_000):
        (event,) = many.from_logs([log("x", {**USER, f"id.{n}": "v", "user.name": "n"})]).events
        assert event.form["data"]["custom_attributes"] == {f"id.{n}": "v"}
