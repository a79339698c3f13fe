"""The sandbox's Events API over real HTTP: answers, deduplication, limits, users, and hostile input."""

from __future__ import annotations

import http.client
import json
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from otel_vendor_exporters.sandbox import MParticleApp, MParticleSwitches, Sandbox
from tests.sandbox.mparticle_http import (
    BULK,
    HISTORICAL,
    MESSAGE_ID,
    NOW_MS,
    SINGLE,
    TIME_MS,
    Json,
    app,
    batch,
    event,
    last_upload,
    messages,
    numbered,
    post,
)

CASES: list[Json] = json.loads(
    (Path(__file__).parents[1] / "conformance" / "mparticle_cases.json").read_text()
)
# As the live server's recorded test suite sends it (contract, section 9.2).
NESTED_CURRENCY = (
    b'[{"schema_version":2,"environment":"production","user_identities":{"customerid":"synthetic-customer-2"},'
    b'"events":[{"event_type":"custom_event","data":{"event_name":"conversion","custom_event_type":'
    b'"transaction","timestamp_unixtime_ms":1790640000000,"source_message_id":"message-2",'
    b'"custom_attributes":{"currency":{"code":"USD"},"conversiontype":"purchase"}}}]}]'
)


@pytest.fixture(scope="module")
def strict_server() -> Iterator[Sandbox]:
    with Sandbox(mparticle=app()) as running:
        yield running


@pytest.fixture
def sandbox(strict_server: Sandbox) -> Sandbox:
    """One server for all tests, which knows nothing of the one before."""
    strict_server.reset()
    return strict_server


@pytest.fixture(scope="module")
def live_server() -> Iterator[Sandbox]:
    with Sandbox(mparticle=app(mode="live")) as running:
        yield running


@pytest.fixture
def live(live_server: Sandbox) -> Sandbox:
    """One server for all tests, which knows nothing of the one before."""
    live_server.reset()
    return live_server


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_C01_to_C17_are_taken_without_a_finding(sandbox: Sandbox, case: Json) -> None:
    """Each of the contract's batches is stored as it was sent, and nothing is said about it."""
    content = {"source_request_id": str(uuid.uuid4()), **case["batch"]}

    response = post(sandbox, content)

    assert (response.status_code, response.content) == (202, b"")
    (stored,) = sandbox.received.mparticle.batches
    assert stored.content == content
    assert sandbox.received.findings == ()


def test_the_settings_point_here(sandbox: Sandbox) -> None:
    """`mparticle_settings` and the pixel's hold everything a client needs."""
    own = sandbox.mparticle
    assert sandbox.mparticle_settings == {
        "api_key": own.api_key,
        "api_secret": own.api_secret,
        "base_url": sandbox.url,
    }
    assert sandbox.mparticle_pixel_settings == {"web_api_key": own.web_api_key, "base_url": sandbox.url}


def test_T08_the_error_of_the_live_server_is_given_to_the_character(live: Sandbox) -> None:
    """The recorded vector is refused with the recorded words and position 314."""
    response = post(live, NESTED_CURRENCY, BULK)

    assert response.status_code == 400
    (message,) = messages(response)
    assert message == (
        "Error reading string. Unexpected token: StartObject. "
        "Path 'data.custom_attributes.currency', line 1, position 314."
    )


def test_a_place_outside_an_event_is_named_from_the_root(sandbox: Sandbox) -> None:
    """In a bulk request the path carries the index; the position is behind the text; quotes are escaped."""
    body = json.dumps([batch(device_info={"ios_advertising_id": "not-a-guid"})], separators=(",", ":"))

    (message,) = messages(post(sandbox, body.encode(), BULK))

    position = body.index('"not-a-guid"') + len('"not-a-guid"')
    assert message == (
        "Error converting value &quot;not-a-guid&quot; to type 'System.Guid'. "
        f"Path '[0].device_info.ios_advertising_id', line 1, position {position}."
    )


def test_a_place_is_told_by_line_in_a_body_with_lines(sandbox: Sandbox) -> None:
    """The position counts from the beginning of its line."""
    body = b'{\n "mp_deviceid":\n   5,\n "environment": "production"}'
    (message,) = messages(post(sandbox, body))
    assert message.endswith("Path 'mp_deviceid', line 3, position 4.")


def test_T08_one_bad_batch_of_three_is_told_in_the_202(sandbox: Sandbox) -> None:
    """The others are stored, and the error names the place in the whole body."""
    bad = numbered(2, event(custom_attributes={"currency": {"code": "USD"}}))
    content = [numbered(1), bad, numbered(3)]

    response = post(sandbox, content, BULK)

    position = json.dumps(content, separators=(",", ":")).index('{"code"') + 1
    assert response.status_code == 202
    assert messages(response)[0].endswith(f"line 1, position {position}.")
    assert [stored.source_request_id for stored in sandbox.received.mparticle.batches] == [
        "request-1",
        "request-3",
    ]
    assert [one.status for one in last_upload(sandbox).batches] == ["stored", "refused", "stored"]


def test_a_bulk_of_bad_batches_alone_is_a_400(sandbox: Sandbox) -> None:
    """One error for each."""
    bad = event(custom_attributes={"a": []})
    response = post(sandbox, [numbered(1, bad), numbered(2, bad)], BULK)
    assert response.status_code == 400
    assert len(messages(response)) == 2
    assert sandbox.received.mparticle.batches == ()


def test_T11_a_repeated_request_is_stored_once(sandbox: Sandbox) -> None:
    """The retry of a batch is answered like the first, and is no mistake."""
    statuses = [post(sandbox, batch()).status_code for _ in range(3)]

    assert statuses == [202, 202, 202]
    assert len(sandbox.received.mparticle.batches) == 1
    assert [one.status for one in sandbox.received.mparticle.refused] == ["duplicate", "duplicate"]
    assert sandbox.received.findings == ()


def test_a_request_id_of_another_batch_throws_the_batch_away(sandbox: Sandbox) -> None:
    """Reusing an id is told as a loss, since mParticle drops what comes second."""
    post(sandbox, batch())
    response = post(sandbox, batch(event(event_name="other")))
    assert response.status_code == 202
    assert sandbox.received.codes == ("request_id_reused",)
    assert len(sandbox.received.errors) == 1
    assert [one.name for one in sandbox.received.mparticle.events] == ["tap"]


def test_a_refused_batch_may_come_again_with_its_id(sandbox: Sandbox) -> None:
    """Only what was stored is remembered."""
    post(sandbox, batch(event(custom_attributes={"a": {}})))
    post(sandbox, batch())
    assert len(sandbox.received.mparticle.batches) == 1


def test_a_message_id_in_two_batches_is_warned_of(sandbox: Sandbox) -> None:
    """The contract promises no deduplication by event: both are kept, and it is said."""
    for number in range(2):
        post(sandbox, numbered(number, event(source_message_id=MESSAGE_ID)))
    assert sandbox.received.codes == ("message_id_reused",)
    assert len(sandbox.received.mparticle.events) == 2


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 401, "no_authorization"),
        ({"Authorization": "Bearer abc"}, 403, "wrong_credentials"),
        ({"Authorization": "Basic %%%"}, 403, "wrong_credentials"),
        ({"Authorization": "Basic a2V5OnNlY3JldA=="}, 403, "wrong_credentials"),
    ],
)
def test_T12_credentials_are_checked_first(
    sandbox: Sandbox, headers: dict[str, str], status: int, code: str
) -> None:
    """An empty 401 without, an empty 403 with wrong ones, before the body is looked at."""
    connection = http.client.HTTPConnection(sandbox.url.removeprefix("http://"), timeout=5)
    connection.request("POST", SINGLE, b"no json", headers)
    response = connection.getresponse()
    assert (response.status, response.read()) == (status, b"")
    connection.close()
    assert sandbox.received.codes == (code,)


@pytest.mark.parametrize("secret", [False, True])
def test_a_finding_names_the_setting_that_is_wrong(sandbox: Sandbox, secret: bool) -> None:
    """A wrong secret is told apart from a wrong key, and from the web key."""
    own = sandbox.mparticle
    given = (own.api_key, "wrong") if secret else (own.web_api_key, own.api_secret)
    assert post(sandbox, batch(), auth=given).status_code == 403
    (finding,) = sandbox.received.findings
    assert ("api_secret does not belong" if secret else "key of the web platform") in finding.sentence


def test_T13_a_missing_event_type_is_told_in_the_documents_words(sandbox: Sandbox) -> None:
    """The example of the HTTP API page, with its quotes escaped."""
    response = post(sandbox, {"events": [{"data": {}}], "environment": "development"})
    assert response.status_code == 400
    assert messages(response) == ["Required event field &quot;event_type&quot; is missing or empty."]


def test_one_batch_or_an_array_by_path(sandbox: Sandbox) -> None:
    """The single path takes an object, the bulk paths an array, a trailing slash is taken and told."""
    assert post(sandbox, [batch()]).status_code == 400
    assert post(sandbox, batch(), BULK).status_code == 400
    assert post(sandbox, [numbered(1)], "/v2/bulkevents/").status_code == 202
    assert post(sandbox, [numbered(2)], "/s2s/v2/bulkevents").status_code == 202
    assert sandbox.received.codes == ("root_not_object", "root_not_array", "trailing_slash")


def test_T02_a_hundred_batches_are_taken_and_one_more_is_not(sandbox: Sandbox) -> None:
    """More than 100 in one request refuse the request."""
    assert post(sandbox, [numbered(n) for n in range(101)], BULK).status_code == 400
    assert sandbox.received.codes == ("too_many_batches",)
    assert post(sandbox, [numbered(n) for n in range(100)], BULK).status_code == 202
    assert len(sandbox.received.mparticle.events) == 100


def test_T04_a_large_request_is_a_413(sandbox: Sandbox) -> None:
    """Over 256 000 bytes nothing is read; at it everything is."""
    small = [numbered(n, event(custom_attributes={"a": "x" * 3_000})) for n in range(70)]
    body = json.dumps(small).encode()
    assert post(sandbox, body.ljust(256_001), BULK).status_code == 413
    assert post(sandbox, body.ljust(256_000), BULK).status_code == 202
    assert sandbox.received.codes == ("request_too_large",)


def test_T04_a_large_batch_is_told_by_itself(sandbox: Sandbox, live: Sandbox) -> None:
    """Of two batches in one request the one over 128 000 bytes is refused; live, it is warned of."""
    attributes = {f"k{n}": "x" * 4_000 for n in range(33)}
    content = [numbered(1), numbered(2, event(custom_attributes=attributes))]

    statuses = [[one.status for one in _sent(where, content)] for where in (sandbox, live)]

    assert statuses == [["stored", "refused"], ["stored", "stored"]]
    assert sandbox.received.codes == live.received.codes == ("batch_too_large",)


def _sent(sandbox: Sandbox, content: list[Json]) -> Any:
    post(sandbox, content, BULK)
    return last_upload(sandbox).batches


def test_T05_T10_a_rate_is_kept_and_told(sandbox: Sandbox) -> None:
    """Above the rate 429 says how long and whose limit it is; below it, how much is used."""
    sandbox.mparticle.switches = MParticleSwitches(batches_per_second=100, retry_after_seconds=2)

    taken = post(sandbox, [numbered(n) for n in range(92)], BULK)
    refused = post(sandbox, [numbered(n) for n in range(92, 192)], BULK)

    assert (taken.status_code, taken.headers["X-mp-rate-limit-percentage-used"]) == (202, "92")
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "2")
    assert refused.headers["X-mp-rate-limit-exceeded"] == '"app"'
    assert len(sandbox.received.mparticle.batches) == 92
    assert sandbox.received.codes == ("rate_limited",)


def test_faults_may_be_ordered_for_either_service(sandbox: Sandbox) -> None:
    """A 503 for events leaves the pixel alone; a counted one is stored although its answer is lost."""
    sandbox.answer_next(503, on="events", headers={"Retry-After": "1"})
    pixel = f"{sandbox.url}/v1/{sandbox.mparticle.web_api_key}/Pixel?dt=ScreenView&ct={TIME_MS}"
    assert requests.get(pixel, timeout=5).status_code == 200
    assert post(sandbox, batch()).status_code == 503
    assert sandbox.received.mparticle.uploads == ()

    sandbox.answer_next(close=True, counted=True, on="events")
    with pytest.raises(requests.ConnectionError):
        post(sandbox, batch())
    assert post(sandbox, batch()).status_code == 202
    assert len([one for one in sandbox.received.mparticle.batches if one.source_request_id]) == 1


def test_historical_data_needs_times_three_days_old(sandbox: Sandbox) -> None:
    """What is younger, untimed or without events is answered with 202 and not processed."""
    old = event(timestamp_unixtime_ms=NOW_MS - 72 * 3_600_000)
    young = event(timestamp_unixtime_ms=NOW_MS - 72 * 3_600_000 + 1)
    untimed = {"event_type": "custom_event", "data": {"event_name": "x", "custom_event_type": "other"}}
    content = [
        numbered(1, old),
        numbered(2, old, young),
        numbered(3, untimed),
        batch(source_request_id="4", events=[]),
    ]

    response = post(sandbox, content, HISTORICAL)

    assert (response.status_code, response.content) == (202, b"")
    assert [one.status for one in last_upload(sandbox).batches] == ["stored", *["not_processed"] * 3]
    assert Counter(sandbox.received.codes)["historical_not_processed"] == 3


def test_event_names_beyond_what_a_workspace_takes_are_dropped() -> None:
    """Known names go on to be taken."""
    with Sandbox(mparticle=app(max_event_names=2)) as sandbox:
        names = ("a", "b", "c", "a")
        post(sandbox, batch(*(event(event_name=name) for name in names)))
        assert [one.name for one in sandbox.received.mparticle.events] == ["a", "b", "a"]
        assert sandbox.received.codes == ("too_many_event_names",)


def test_what_is_too_long_is_cut_as_the_service_cuts(sandbox: Sandbox, live: Sandbox) -> None:
    """C15 before cutting: names 256, values 4096 in UTF-16 units, no half pairs; an error, live a warning."""
    long = event(event_name="e" * 300, custom_attributes={"k" * 300: "v", "a": "x" * 4_095 + "😀"})

    for where in (sandbox, live):
        assert post(where, batch(long)).status_code == 202

    (kept,) = sandbox.received.mparticle.events
    assert kept.name == "e" * 256
    assert kept.attributes == {"k" * 256: "v", "a": "x" * 4_095}
    codes = ("too_long:event_name", "too_long:name:custom_attributes", "too_long:value:custom_attributes")
    assert sandbox.received.codes == live.received.codes == codes
    assert (len(sandbox.received.errors), len(live.received.errors)) == (3, 0)


def test_live_mode_takes_what_live_clients_send(live: Sandbox) -> None:
    """The Python SDK's batch (contract, section 7.1) is stored, and its spellings are understood."""
    content = {
        "events": [event(event_name="click", custom_attributes={"i": 1, "f": 1.5, "t": True, "n": None})],
        "source_request_id": "7fa67be4",
        "environment": "development",
        "ip": "172.217.12.142",
        "schema_version": 2,
        "user_attributes": {"$age": "18", "list": ["a", "b"]},
        "deleted_user_attributes": ["old"],
        "user_identities": {"customerid": "123456", "other2": "o"},
        "mpid": 7346244611012968789,
        "mp_deviceid": "a2b901a0-266f-4efc-8e9b-3820d35dc792",
    }

    assert post(live, content).status_code == 202

    user = live.received.mparticle.user(customer_id="123456")
    assert user.identities["other_id_2"] == "o"
    assert user.identities["mpid"] == "7346244611012968789"
    assert live.received.errors == ()


def test_reset_forgets_ids_and_limits(sandbox: Sandbox) -> None:
    """After a reset the same batch counts again."""
    post(sandbox, batch())
    sandbox.mparticle.switches = MParticleSwitches(batches_per_second=1)
    sandbox.reset()
    for number in range(3):
        assert post(sandbox, numbered(number)).status_code == 202
    assert post(sandbox, batch()).status_code == 202
    assert len(sandbox.received.mparticle.batches) == 4


def test_a_wrong_choice_of_mode_or_limit_is_said() -> None:
    """Settings that cannot be meant raise ValueError and name what can."""
    with pytest.raises(ValueError, match="strict or live"):
        MParticleApp(mode="lenient")  # type: ignore[arg-type]  # what is tested
    with pytest.raises(ValueError, match="at least 1"):
        MParticleSwitches(batches_per_second=0)


def test_other_processes_see_what_arrived(sandbox: Sandbox) -> None:
    """received.json tells batches, events and users."""
    post(sandbox, [numbered(1), numbered(2, event("first_run"))], BULK)
    told = requests.get(f"{sandbox.url}/sandbox/received.json", timeout=5).json()
    assert told["vendors"]["mparticle"] == {
        "batches": {"stored": 2},
        "events": {"custom_event": 1, "first_run": 1},
        "users": 1,
    }
