"""What an answer says, and of which batch: messages as the live server writes them (contract, 1.4)."""

from __future__ import annotations

import json

import pytest

from otel_vendor_exporters.mparticle.answers import batch_index, error_messages

BAD_ID = (
    "Error converting value &quot;not-a-guid&quot; to type 'System.Guid'. "
    "Path '[0].device_info.ios_advertising_id', line 1, position 153."
)
NESTED = (
    "Error reading string. Unexpected token: StartObject. "
    "Path 'data.custom_attributes.currency', line 1, position {}."
)


def answer(*messages: str) -> bytes:
    return json.dumps({"errors": [{"code": "BAD_REQUEST", "message": one} for one in messages]}).encode()


def test_messages_are_readable() -> None:
    """Quotation marks that the server escapes for HTML are quotation marks again."""
    assert error_messages(answer(BAD_ID))[0].startswith('Error converting value "not-a-guid" to type')


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"<html>",
        b"\xff\xfe",
        b"[]",
        b'{"errors":null}',
        b'{"errors":[1,{"message":2}]}',
        b"[" * 9,
    ],
)
def test_T09_anything_else_has_no_messages(body: bytes) -> None:
    """An empty body, one that is no JSON, and one that is no error list say nothing."""
    assert error_messages(body) == ()


def test_T08_a_position_names_the_batch_around_it() -> None:
    """The batch whose bytes hold the position, counted in the whole body, is the one at fault."""
    bodies = [b"{" + b"a" * 331 + b"}", b"{" + b"b" * 331 + b"}", b"{" + b"c" * 331 + b"}"]
    assert batch_index(NESTED.format(648), bodies) == 1
    assert batch_index(NESTED.format(2), bodies) == 0
    assert batch_index(NESTED.format(1000), bodies) == 2
    assert batch_index(NESTED.format(5000), bodies) is None


def test_a_path_names_its_batch() -> None:
    """An index in the path is taken at its word, if there is such a batch."""
    assert batch_index(BAD_ID, [b"{}", b"{}"]) == 0
    assert batch_index(BAD_ID.replace("[0]", "[2]"), [b"{}", b"{}"]) is None
    assert batch_index('Required event field "event_type" is missing or empty.', [b"{}"]) is None


def test_positions_count_characters_as_the_server_does() -> None:
    """UTF-16 units, not bytes: an emoji is two, an é is one."""
    bodies = ['{"a":"é😀"}'.encode(), b'{"b":{}}']  # 11 units and 8
    assert batch_index(NESTED.format(12), bodies) == 0
    assert batch_index(NESTED.format(14), bodies) == 1


def test_the_contracts_vector_is_found() -> None:
    """Position 314 of the documented body is the brace of its nested attribute."""
    body = (
        b'{"schema_version":2,"environment":"production","user_identities":{"customerid":"synthetic-customer-2"}'
        b',"events":[{"event_type":"custom_event","data":{"event_name":"conversion","custom_event_type":'
        b'"transaction","timestamp_unixtime_ms":1790640000000,"source_message_id":"message-2",'
        b'"custom_attributes":{"currency":{"code":"USD"},"conversiontype":"purchase"}}}]}'
    )
    assert (b"[" + body + b"]")[:314].endswith(b'"currency":{')
    assert batch_index(NESTED.format(314), [body]) == 0
