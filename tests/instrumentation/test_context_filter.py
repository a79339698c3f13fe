"""What a ContextFilter keeps with a record, and who sees it."""

from __future__ import annotations

import copy
import json
import logging
import pickle
from typing import Any

import pytest

from instrumentation import ContextFilter, EventHandler, visitor
from tests.instrumentation.conftest import Telemetry


def kept(**options: Any) -> logging.LogRecord:
    """A record made under a visitor, with what the filter keeps."""
    record = logging.makeLogRecord({"name": "shop", "msg": "x"})
    with visitor(user_id="u-1", identities={"email": "a@b.example"}, client_address="192.0.2.1"):
        ContextFilter(**options).filter(record)
    return record


@pytest.mark.parametrize(
    "show",
    [
        lambda record: json.dumps(vars(record)),
        lambda record: json.dumps(vars(record), default=repr),
        lambda record: repr(vars(record)),
        lambda record: [str(value) for value in vars(record).values()],
        lambda record: f"{vars(record)}",
    ],
    ids=range(5),
)
def test_others_see_a_word_only(show: Any) -> None:
    """A formatter or an exporter that shows all of a record shows nothing of the visitor."""
    shown = str(show(kept(visitor_attributes="all")))

    assert not [each for each in ("u-1", "a@b.example", "192.0.2.1") if each in shown]
    assert "[captured]" in shown


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"user.id": "u-1"}),
        (
            {"visitor_attributes": "all"},
            {"user.id": "u-1", "user.email": "a@b.example", "client.address": "192.0.2.1"},
        ),
        ({"visitor_attributes": ["client"]}, {"client.address": "192.0.2.1"}),
    ],
    ids=str,
)
@pytest.mark.parametrize("sent", [lambda r: r, copy.deepcopy, lambda r: pickle.loads(pickle.dumps(r))])
def test_what_is_kept(options: Any, expected: Any, sent: Any, telemetry: Telemetry) -> None:
    """The default fields of the visitor, or those chosen; copied and pickled, too."""
    handler = EventHandler(logger_provider=telemetry.logger_provider, visitor_attributes="all", code=False)
    handler.handle(sent(kept(**options)))

    assert telemetry.attributes() == [expected]


def test_a_record_that_went_through_json(telemetry: Telemetry) -> None:
    """Where only the word arrives, the record is told without a context."""
    record = logging.makeLogRecord(json.loads(json.dumps(vars(kept()))))
    EventHandler(logger_provider=telemetry.logger_provider, code=False).handle(record)

    assert telemetry.attributes() == [{}]
