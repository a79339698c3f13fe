"""The logging handler's options: which records and attributes, which secrets, and how it is set up."""

from __future__ import annotations

import logging
import logging.config
from collections.abc import Iterator
from typing import Any

import pytest

from instrumentation import EventHandler, redact, visitor
from instrumentation.captures import Site
from instrumentation.log_records import Extras
from instrumentation.redaction import SECRETS
from tests.instrumentation.conftest import Telemetry
from tests.instrumentation.log_sink import CODE, Sink, logger_to, raised

# What is chosen


def test_chosen_loggers(sink: Sink) -> None:
    """Only the loggers that are named, and their children."""
    handler = EventHandler(logger_provider=sink.provider, loggers=["shop", "billing.cards"])
    for name in ("shop", "shop.cart", "shopping", "billing", "billing.cards.visa"):
        logger = logging.Logger(name)
        logger.addHandler(handler)
        logger.info(name)
    assert sink.messages() == ["shop", "shop.cart", "billing.cards.visa"]


def test_events_only(sink: Sink) -> None:
    """Records with an event name or an exception; no others."""
    logger = logger_to(sink, records="events")
    logger.info("plain")
    logger.info("event", extra={"event": "A"})
    logger.info("exception", exc_info=ValueError("x"))
    logger.info("no exception", exc_info=True)
    assert sink.messages() == ["event", "exception"]


def test_levels_are_chosen(sink: Sink) -> None:
    """By number or by name, as with any handler."""
    logger = logger_to(sink, level="WARNING")
    logger.info("low")
    logger.warning("high")
    assert sink.messages() == ["high"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"allow": ["order.*"]}, {"order.id", "order.total"}),
        ({"deny": ["order.*"]}, {"country"}),
        ({"allow": ["order.*"], "deny": ["*.total"]}, {"order.id"}),
        ({"allow": "country"}, {"country"}),
        ({"allow": []}, set()),
        ({"deny": []}, {"order.id", "order.total", "country"}),
    ],
    ids=lambda each: str(sorted(each)),
)
def test_allow_and_deny(sink: Sink, options: dict[str, Any], expected: set[str]) -> None:
    """Globs choose among the application's attributes; what denies is stronger."""
    logger = logger_to(sink, **options)
    for _ in range(2):
        logger.info("x", extra={"order.id": 1, "order.total": 2.0, "country": "AT"})
    for record in sink.told():
        assert set(record.log_record.attributes or {}) - CODE == expected


SECRET_TEXTS = [
    ("password=hunter2", "password=[redacted]"),
    ("login: password=hunter2, user=me", "login: password=[redacted], user=me"),
    ("Authorization: Bearer abc.def.ghi", "Authorization: [redacted]"),
    ('{"api_key": "k-1", "id": 1}', '{"api_key": [redacted], "id": 1}'),
    ("url?token=abc&id=1", "url?token=[redacted]&id=1"),
    ("x-api-key: k-1", "x-api-key: [redacted]"),
    ("the password is wrong", "the password is wrong"),
    ("total: 7", "total: 7"),
]


@pytest.mark.parametrize(("text", "shown"), SECRET_TEXTS)
def test_secrets_in_messages_are_hidden(sink: Sink, text: str, shown: str) -> None:
    """What stands behind a secret's name is not told; the rest of the message is."""
    logger_to(sink).info(text)
    assert sink.only().body == shown


def test_secrets_in_extras_and_exceptions_are_hidden(sink: Sink) -> None:
    """Attributes with a secret's name, nested ones, and what an exception says."""
    extra = {"password": "p-1", "order": {"card_number": "4111"}, "pin_code": "1234", "Cookie": ["c-1"]}
    logger_to(sink, redact=["pin"]).info("pin: 1234", extra=extra, exc_info=raised(ValueError("token=t-1")))

    found = sink.attributes()
    stack = found.pop("exception.stacktrace")
    assert found == {
        "password": "[redacted]",
        "order": {"card_number": "[redacted]"},
        "pin_code": "[redacted]",
        "Cookie": "[redacted]",
        "exception.type": "ValueError",
        "exception.message": "token=[redacted]",
    }
    assert "t-1" not in stack
    assert sink.only().body == "pin: [redacted]"


def test_secrets_are_hidden_in_records_like_those_before(sink: Sink) -> None:
    """A place, and names of attributes, that had nothing to hide a hundred times, have so the next time."""
    logger = logger_to(sink)
    texts = [
        *("gold", "of two words") * 50,
        "token=t-1",
        "x" * 2000,
        "of token=t-2",
        5,
        ["token=t-3"],
        "gold",
    ]
    for text in texts:
        logger.info("order", extra={"plan": text}, exc_info=raised(ValueError(text)))

    shown = [dict(record.attributes or {}) for record in (each.log_record for each in sink.told())]
    plans = [
        "token=[redacted]",
        "x" * 1016 + "...[cut]",
        "of token=[redacted]",
        5,
        ("token=[redacted]",),
        "gold",
    ]
    assert [each["plan"] for each in shown] == [*("gold", "of two words") * 50, *plans]
    assert [str(each["exception.stacktrace"]).rpartition("ValueError: ")[2] for each in shown[-6:]] == [
        "token=[redacted]\n",
        "x" * 2000 + "\n",
        "of token=[redacted]\n",
        "5\n",
        "['token=[redacted]']\n",
        "gold\n",
    ]


def test_the_frames_of_a_traceback_may_name_what_its_message_tells(sink: Sink) -> None:
    """The name stands in the class of the exception, and the value alone in its message."""

    class Password(Exception):  # noqa: N818 - so named by an application
        pass

    for value in ("p-1", "p-2"):
        logger_to(sink).info("order", exc_info=raised(Password(value)))

    assert [
        str(record.attributes).count(".Password: [redacted]")
        for record in (each.log_record for each in sink.told())
    ] == [1, 1]


def test_secrets_in_names_and_visitors_are_hidden(sink: Sink) -> None:
    """The event's name, names of attributes, and what the application makes of addresses for the visitor."""
    logger = logger_to(sink)
    with visitor(page_group="/reset?token=t-1", dimensions={"Plan": "gold"}, user_id="token=u-1"):
        for _ in range(2):
            logger.info("x", extra={"event": "Login token=t-1", "password=p-1": 1, "to": ["--token", "t-1"]})

    for record in sink.told():
        told = record.log_record
        assert told.event_name == "Login token=[redacted]"
        assert {name: value for name, value in (told.attributes or {}).items() if name not in CODE} == {
            "password=[redacted]": "[redacted]",
            "to": ("--token", "[redacted]"),
            "mpulse.page_group": "/reset?token=[redacted]",
            "mpulse.dimension.Plan": "gold",
            "user.id": "token=u-1",  # an id is what it is
        }


@pytest.mark.parametrize("value", [7, "", None, ["A"], {"A": 1}], ids=str)
def test_what_is_no_events_name_is_an_attribute(sink: Sink, value: object) -> None:
    """Only a text that is not empty names an event; the first name counts."""
    logger = logger_to(sink)
    logger.info("x", extra={"event": value})
    logger.info("x", extra={"event.name": "B", "event": "A"})

    first, second = (each.log_record for each in sink.told())
    assert (first.event_name, set(first.attributes or {}) - CODE) == (None, {"event"})
    assert (second.event_name, set(second.attributes or {}) - CODE) == ("B", set())


def test_what_a_call_says_is_bounded(sink: Sink) -> None:
    """Of long messages, names, texts and of many attributes, the beginning is told."""
    logger_to(sink).info("x" * 100_000, extra={"event": "E" * 1000})
    many = {f"a{number}": number for number in range(5000)}

    record = sink.only()
    assert record.event_name == "E" * 248 + "...[cut]"
    assert record.body == "x" * 8184 + "...[cut]"
    assert len(Extras(Site("x"), None, (), ()).shown(many)) == 1000


def test_names_that_become_secrets_later_are_hidden(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    """redact(...) holds for handlers that exist."""
    monkeypatch.setattr(SECRETS, "_names", SECRETS._names)
    logger = logger_to(sink)
    logger.info("x", extra={"shoe_size": 44, "event": "Bought shoe=44"})
    try:
        redact("shoe")
        logger.info("x", extra={"shoe_size": 44, "event": "Bought shoe=44"})
    finally:
        monkeypatch.undo()
        SECRETS.add()
    assert [(each.log_record.attributes or {})["shoe_size"] for each in sink.told()] == [44, "[redacted]"]
    assert [each.log_record.event_name for each in sink.told()] == [
        "Bought shoe=44",
        "Bought shoe=[redacted]",
    ]


# How it is set up


def test_basic_config(sink: Sink, root: logging.Logger) -> None:
    """As one of basicConfig's handlers; the format, which is meant for the console, is not its own."""
    handlers = [EventHandler(logger_provider=sink.provider)]
    logging.basicConfig(handlers=handlers, level="INFO", format="%(asctime)s %(message)s", force=True)
    logging.getLogger("shop").info("x")
    assert sink.messages() == ["x"]


def test_dict_config(telemetry: Telemetry, root: logging.Logger) -> None:
    """By its name alone, with level, filters and options; it tells the global provider."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {
                "events": {
                    "class": "instrumentation.EventHandler",
                    "level": "INFO",
                    "records": "events",
                    "loggers": ["shop"],
                    "deny": ["internal.*"],
                }
            },
            "root": {"level": "DEBUG", "handlers": ["events"]},
        }
    )
    logger = logging.getLogger("shop.cart")
    logger.debug("low", extra={"event": "A"})
    logger.info("plain")
    logger.info("told", extra={"event": "B", "internal.id": 1})
    logging.getLogger("other").info("other", extra={"event": "C"})
    assert [event.name for event in telemetry.events()] == ["B"]


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, put back as it was afterwards."""
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    yield logger
    for handler in logger.handlers[:]:
        if handler not in handlers:
            logger.removeHandler(handler)
            handler.close()
    for handler in handlers:
        if handler not in logger.handlers:
            logger.addHandler(handler)
    logger.setLevel(level)


def test_the_sdk_may_be_set_up_later(telemetry_later: Telemetry) -> None:
    """Without an SDK nothing happens; from its set-up on, records are told."""
    logger = logging.Logger("shop")
    logger.addHandler(EventHandler())
    logger.info("early")
    telemetry_later.install()
    logger.info("late")
    assert [each.log_record.body for each in telemetry_later.logs.get_finished_logs()] == ["late"]


def test_wrong_options_say_what_would_be_right(sink: Sink) -> None:
    """A handler that cannot work is not made."""
    with pytest.raises(ValueError, match="records='event' is not known: use one of all, events"):
        EventHandler(records="event")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="exporters and logger_provider are both given"):
        EventHandler(exporters=["console"], logger_provider=sink.provider)
    with pytest.raises(ValueError, match="'email' is no field of a visitor"):
        EventHandler(visitor_attributes="email")
