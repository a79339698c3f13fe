"""The batch's exact bytes, and the credentials' header."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from otel_vendor_exporters.mparticle import (
    ApplicationInformation,
    Attribution,
    Batch,
    BatchContext,
    CustomEvent,
    DataPlan,
    DeviceInformation,
    Location,
    UserIdentities,
)
from otel_vendor_exporters.mparticle.wire import (
    authorization,
    bulk_body,
    encoded,
    event_form,
    event_text,
    json_text,
)

EVENT = CustomEvent(event_name="é", custom_event_type="other")


def test_a_batch_is_compact_json_in_utf8() -> None:
    """No blanks, no escapes of letters, keys in the order of the fields."""
    batch = Batch(
        environment="development", user_identities=UserIdentities(customer_id="u-1"), events=[EVENT]
    )
    assert (
        encoded(batch)
        == (
            '{"environment":"development","user_identities":{"customer_id":"u-1"},'
            '"events":[{"event_type":"custom_event","data":{"event_name":"é","custom_event_type":"other"}}]}'
        ).encode()
    )


def test_a_full_batch_has_every_key_of_the_contract() -> None:
    """Section 2: what a client may send, and nothing that only the server writes."""
    batch = Batch(
        environment="production",
        source_request_id="7fa67be4-f83a-429f-9d73-38b660c50825",
        mpid=7346244611012968789,
        mp_deviceid="a2b901a0-266f-4efc-8e9b-3820d35dc792",
        user_identities=UserIdentities(email="a@b.c"),
        user_attributes={"$age": 18, "list": ["a", "b"], "gone": None},
        deleted_user_attributes=["old"],
        device_info=DeviceInformation(http_header_user_agent="Mozilla/5.0"),
        application_info=ApplicationInformation(
            application_name="shop", apple_search_ads_attributes={"Version3.1": {"iad-x": "y"}}
        ),
        context=BatchContext(
            data_plan=DataPlan(plan_id="plan", plan_version=2), location=Location(latitude=1, longitude=2.5)
        ),
        ip="172.217.12.142",
        integration_attributes={"123": {"k": "v"}},
        partner_identities={"partner": "x"},
        attribution_info=Attribution(service_provider="s", publisher="p", campaign="c"),
        events=[EVENT],
    )
    assert json.loads(encoded(batch)) == {
        "environment": "production",
        "source_request_id": "7fa67be4-f83a-429f-9d73-38b660c50825",
        "mpid": 7346244611012968789,
        "mp_deviceid": "a2b901a0-266f-4efc-8e9b-3820d35dc792",
        "user_identities": {"email": "a@b.c"},
        "user_attributes": {"$age": "18", "list": ["a", "b"]},
        "deleted_user_attributes": ["old"],
        "device_info": {"http_header_user_agent": "Mozilla/5.0"},
        "application_info": {
            "application_name": "shop",
            "apple_search_ads_attributes": {"Version3.1": {"iad-x": "y"}},
        },
        "context": {
            "data_plan": {"plan_id": "plan", "plan_version": 2},
            "location": {"latitude": 1, "longitude": 2.5},
        },
        "ip": "172.217.12.142",
        "integration_attributes": {"123": {"k": "v"}},
        "partner_identities": {"partner": "x"},
        "attribution_info": {"service_provider": "s", "publisher": "p", "campaign": "c"},
        "events": [{"event_type": "custom_event", "data": {"event_name": "é", "custom_event_type": "other"}}],
    }


def test_a_half_character_does_not_stop_a_batch() -> None:
    """A lone surrogate has no bytes in UTF-8; a question mark stands for it."""
    batch = Batch(environment="development", user_attributes={"a": "\ud83d"})
    assert b'"user_attributes":{"a":"?"}' in encoded(batch)


def test_a_bulk_body_is_an_array() -> None:
    """Batches as they were sealed, in order, with nothing between them but commas."""
    assert bulk_body([b'{"a":1}', b'{"b":2}']) == b'[{"a":1},{"b":2}]'
    assert bulk_body([]) == b"[]"


def test_T01_credentials_are_basic_utf8() -> None:
    """The header of the documents' examples; a secret that is no ASCII goes as UTF-8."""
    assert authorization("key", "secret") == "Basic a2V5OnNlY3JldA=="
    assert (
        authorization("example-api-key", "example-api-secret")
        == "Basic ZXhhbXBsZS1hcGkta2V5OmV4YW1wbGUtYXBpLXNlY3JldA=="
    )
    assert authorization("k", "é") == "Basic azrDqQ=="


NAMES = st.text(max_size=12)


@given(
    data=st.dictionaries(
        NAMES.filter(lambda name: name != "custom_attributes"),
        st.text()
        | st.integers()
        | st.booleans()
        | st.lists(st.text(), max_size=2)
        | st.dictionaries(NAMES, st.text()),
        max_size=6,
    ),
    attributes=st.dictionaries(NAMES, st.text(), max_size=6),
)
def test_an_event_is_written_as_any_json(data: dict[str, object], attributes: dict[str, str]) -> None:
    """The quick way writes what the general one does, whatever names and texts hold."""
    data = {**data, "custom_attributes": attributes}
    assert event_text("custom_event", data) == json_text(event_form("custom_event", data))
