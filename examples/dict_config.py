"""
How do log calls become events? By a handler in dictConfig; nothing else is set up.

    $ python examples/dict_config.py
"""

import logging.config

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {
        "console": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout"},
        "events": {
            "class": "instrumentation.EventHandler",
            "exporters": {"mparticle": {"event_types": {"Order *": "transaction"}}},
            "records": "events",  # only calls that carry an event's name or an exception
            "deny": ["card_*"],
            "code": False,  # no file names and line numbers
        },
    },
    "loggers": {"shop": {"level": "INFO", "handlers": ["console", "events"]}},
}

logging.config.dictConfig(LOGGING)
log = logging.getLogger("shop")

log.info("a plain line, for the console alone")
order = {"event": "Order placed", "user.id": "u-1", "total": 19.99, "card_number": "4111 1111 1111 1111"}
log.info("order placed", extra=order)
try:
    raise ConnectionError("the bank does not answer")
except ConnectionError:
    log.exception("no payment", extra={"user.id": "u-2"})
