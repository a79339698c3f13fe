"""Whose an event is: users, devices, environments, and nobody."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.sdk.resources import Resource

from tests.mparticle.records import MS, SHOP, USER, batches, log, mapping

MS_NS = MS * 1_000_000


def batch_of(attributes: dict[str, Any], resource: Any = SHOP, **settings: Any) -> dict[str, Any]:
    """The one batch of an event with these attributes, without its events."""
    mapped = mapping(**settings).from_logs([log("x", attributes, resource=resource)])
    (batch,) = batches(mapped)
    return {key: one for key, one in batch.items() if key not in ("events", "application_info")}


@pytest.mark.parametrize(
    ("named", "environment"),
    [
        ({"deployment.environment.name": "production"}, "production"),
        ({"deployment.environment.name": "Prod"}, "production"),
        ({"deployment.environment": "live"}, "production"),
        ({"deployment.environment.name": "qa"}, "development"),
        ({"deployment.environment.name": "prod", "deployment.environment": "qa"}, "production"),
    ],
)
def test_the_resource_says_the_environment(named: dict[str, str], environment: str) -> None:
    """Production by any of its names; everything else is development."""
    assert batch_of(USER, named)["environment"] == environment


@pytest.mark.parametrize("environment", ["production", "development"])
def test_the_setting_says_it_where_the_resource_does_not(environment: str) -> None:
    """mParticle's own default, production, is not relied upon."""
    assert batch_of(USER, {}, environment=environment)["environment"] == environment


def test_a_service_without_a_name_has_none() -> None:
    """The SDK's word for an unnamed service does not become an application's name."""
    (batch,) = batches(mapping().from_logs([log("x", resource={"service.name": "unknown_service:python"})]))
    assert "application_info" not in batch


def test_identities_are_mapped_by_settings() -> None:
    """More attributes, other types, and types taken away."""
    batch = batch_of(
        {**USER, "enduser.pseudo.id": "p-1", "account": 42},
        identities={"enduser.pseudo.id": "other", "account": "other_id_10", "user.email": "none"},
    )
    assert batch["user_identities"] == {"customer_id": "u-1", "other": "p-1", "other_id_10": "42"}


def test_identities_can_be_said_outright() -> None:
    """`mparticle.identity.<type>` goes before what is mapped; `user.id` before `enduser.id`."""
    said = {"mparticle.identity.google": "g", "mparticle.identity.email": "b@c.d", "enduser.id": "old"}
    assert batch_of({**USER, **said})["user_identities"] == {
        "google": "g",
        "email": "b@c.d",
        "customer_id": "u-1",
    }


def test_user_attributes_mpid_and_address() -> None:
    """What is said under mParticle's prefixes becomes the user's, and is nowhere else."""
    said = {
        **USER,
        "mparticle.mpid": "7346244611012968789",
        "mparticle.user_attributes.$age": 18,
        "mparticle.user_attributes.tags": ("a", "b"),
        "client.address": "172.217.12.142",
    }
    batch = batch_of(said)
    assert batch["mpid"] == 7346244611012968789
    assert batch["user_attributes"] == {"$age": "18", "tags": ["a", "b"]}
    assert batch["ip"] == "172.217.12.142"
    (event,) = mapping().from_logs([log("x", said)]).events
    assert "custom_attributes" not in event.form["data"]


def test_consent_of_a_user_is_beside_that_of_settings() -> None:
    """Attributes say it of one user, settings of all; the user's own word goes first."""
    said = {**USER, "mparticle.consent.gdpr.ads": False, "mparticle.consent.gdpr.mail": True}
    consent = batch_of(said, consent={"gdpr.ads": "true", "ccpa.data_sale_opt_out": "true"})["consent_state"]
    yes, no = ({"consented": word, "timestamp_unixtime_ms": MS} for word in (True, False))
    assert consent == {"gdpr": {"ads": no, "mail": yes}, "ccpa": {"data_sale_opt_out": yes}}


def answers(*said: tuple[int, bool], text_length: int = 0) -> list[tuple[bool, int, int]]:
    """What records of one user at these milliseconds say of a consent: answer, time, events; per batch."""
    resource = Resource(SHOP)
    more = {"mparticle.user_attributes.text": "x" * text_length} if text_length else {}
    records = [
        log(
            "x",
            {**USER, **more, "mparticle.consent.gdpr.ads": answer},
            timestamp=MS_NS + unix_ms * 1_000_000,
            resource=resource,
        )
        for unix_ms, answer in said
    ]
    sent = batches(mapping().from_logs(records))
    consents = [batch["consent_state"]["gdpr"]["ads"] for batch in sent]
    return [
        (one["consented"], one["timestamp_unixtime_ms"] - MS, len(batch["events"]))
        for one, batch in zip(consents, sent, strict=True)
    ]


@pytest.mark.parametrize("text_length", [0, 4096])
def test_records_that_say_the_same_share_a_batch(text_length: int) -> None:
    """A consent's time is that of the first of them, however much else is said of the user."""
    assert answers((0, True), (5000, True), (9000, True), text_length=text_length) == [(True, 0, 3)]


def test_a_withdrawn_consent_is_withdrawn() -> None:
    """The last answer is the last to arrive, with its own time, and not with that of an equal one before."""
    told = answers((0, False), (1000, True), (1500, True), (2000, False))
    assert told == [(False, 0, 1), (True, 1000, 2), (False, 2000, 1)]


def test_a_consent_that_names_its_time_keeps_it() -> None:
    """Whoever knows better than the record when the user answered is believed."""
    said = {**USER, "mparticle.consent.gdpr.ads": "true;timestamp_unixtime_ms:1;document:v4"}
    assert batch_of(said)["consent_state"]["gdpr"]["ads"] == {
        "consented": True,
        "timestamp_unixtime_ms": 1,
        "document": "v4",
    }


@pytest.mark.parametrize(
    ("said", "counted"),
    [
        ({"mparticle.mpid": "no number"}, "mparticle.mpid"),
        ({"mparticle.mpid": 2**63}, "mparticle.mpid"),
        ({"mparticle.mpid": "9" * 19}, "mparticle.mpid"),
        ({"mparticle.mpid": "1_0"}, "mparticle.mpid"),
        ({"mparticle.mpid": "\u0661"}, "mparticle.mpid"),
        ({"mparticle.identity.customerid": "x"}, "mparticle.identity."),
        ({"enduser.id": ("a", "b")}, "enduser.id"),
        ({"mparticle.consent.gdpr.ads": "perhaps"}, "mparticle.consent."),
        ({"mparticle.consent.hipaa.ads": True}, "mparticle.consent."),
        ({"client.address": "proxy.example"}, "client.address"),
    ],
)
def test_what_does_not_fit_is_left_out_and_counted(said: dict[str, Any], counted: str) -> None:
    """The event goes all the same, each time, and each time it is counted."""
    mapped = mapping().from_logs([log("x", {**USER, **said})] * 2)
    (batch,) = batches(mapped)
    assert batch["user_identities"] == {"customer_id": "u-1", "email": "a@example.com"}
    assert mapped.left_out == {counted: 2}
    assert len(batch["events"]) == 2


def test_nobodys_events_are_dropped_and_counted() -> None:
    """Without any identity nobody would ever find the event again."""
    nobodys = [log("x", {}), log("x", {"user.id": ""}), log("x", {"user.id": " "})]
    mapped = mapping().from_logs([*nobodys, log("x")])
    assert (len(mapped.events), mapped.records, mapped.ignored) == (1, 1, {"anonymous": 3})


def test_nobodys_events_can_be_sent() -> None:
    """As they are, or under one identity that the setting names."""
    assert "user_identities" not in batch_of({}, anonymous="send")
    assert batch_of({}, anonymous="other=server")["user_identities"] == {"other": "server"}
    assert batch_of(USER, anonymous="other=server")["user_identities"] == {
        "customer_id": "u-1",
        "email": "a@example.com",
    }


def test_an_mpid_or_a_device_is_somebody() -> None:
    """Both are enough for mParticle to know whose it is."""
    assert batch_of({"mparticle.mpid": 5})["mpid"] == 5
    phone = {"os.name": "iOS", "app.installation.id": "8c61383f-2216-4713-8c1c-1cb0a5d7a4cc"}
    device = batch_of({}, phone)["device_info"]
    assert device == {"platform": "iOS", "ios_idfv": "8c61383f-2216-4713-8c1c-1cb0a5d7a4cc"}


@pytest.mark.parametrize(
    ("resource", "device"),
    [
        ({"os.name": "linux", "os.version": "6.1", "host.arch": "amd64"}, None),
        ({"os.name": "Android", "os.version": "14"}, {"platform": "Android", "os_version": "14"}),
        ({"os.name": "iPadOS", "app.installation.id": "no uuid"}, {"platform": "iOS"}),
        ({"os.name": "tvOS"}, {"platform": "tvOS"}),
        ({"browser.language": "de"}, {"platform": "web", "locale_language": "de"}),
        (
            {"telemetry.sdk.language": "webjs", "user_agent.original": "Mozilla/5.0"},
            {"platform": "web", "http_header_user_agent": "Mozilla/5.0"},
        ),
    ],
)
def test_only_what_a_user_holds_is_a_device(resource: dict[str, str], device: object) -> None:
    """A server's operating system is nobody's device."""
    assert batch_of(USER, resource).get("device_info") == device


def test_people_are_told_apart_by_everything_a_batch_says() -> None:
    """A new batch whenever a record says something else of its user; the order of records is kept."""
    many = mapping()
    differing: list[dict[str, Any]] = [
        {"user.id": "1"},
        {"user.id": 1},
        {"user.id": "1", "client.address": "10.0.0.1"},
        {"user.id": "1", "mparticle.user_attributes.vip": True},
        {"user.id": "1", "mparticle.user_attributes.vip": 1},
        {"user.id": "1", "mparticle.user_attributes.list": [{"a": 1}]},
        {"user.id": "1", "mparticle.user_attributes.list": '[{"a":1}]'},
        {"user.id": "1", "mparticle.user_attributes.map": {"a": 1}},
    ]
    records = [log("x", one) for one in differing] * 2
    mapped = many.from_logs([*records, log("x", {"user.id": "1"}, resource={"service.name": "other"})])
    sent = batches(mapped)
    # "1" and 1 are the same customer, and so one batch
    assert [len(batch["events"]) for batch in sent] == [2, *[1] * 6, 2, *[1] * 6, 1]


def test_more_users_than_are_remembered() -> None:
    """Memory is bounded, and nobody's events go to somebody else for it."""
    resource = Resource(SHOP)
    many = mapping()
    for round_ in range(3):
        mapped = many.from_logs([log("x", {"user.id": f"u{n}"}, resource=resource) for n in range(6000)])
        assert [event.owner.subject for event in mapped.events] == [f"u{n}" for n in range(6000)], round_
