"""One timer or metric to mPulse: asks for the app's configuration, then sends one beacon."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from otel_vendor_exporters import attributes as names
from otel_vendor_exporters.delivery.clock import Clock
from otel_vendor_exporters.delivery.notices import Notices
from otel_vendor_exporters.delivery.request import Item, Outcome
from otel_vendor_exporters.errors import EncodingError
from otel_vendor_exporters.mpulse.app import App
from otel_vendor_exporters.mpulse.contexts import Contexts
from otel_vendor_exporters.mpulse.settings import MPulseSettings
from otel_vendor_exporters.mpulse.units import Context, How, Reading, Timing, Unit
from otel_vendor_exporters.mpulse.wire import metric_text, timer_milliseconds
from otel_vendor_exporters.send.passage import Recorder, Sent, passed

_OF_ANSWERS = "mPulse answers 204 to anything, also to what it throws away"
_logger = logging.getLogger(__name__)


def timer(given: Mapping[str, Any]) -> Sent:  # Any: arguments of the command line
    """One value of a custom timer. Raises ConfigurationError or EncodingError."""
    milliseconds = timer_milliseconds(given["milliseconds"])
    return _sent(given, lambda now, context: Timing(given["name"], milliseconds, now, context))


def metric(given: Mapping[str, Any]) -> Sent:  # Any: arguments of the command line
    """One increment of a custom metric. Raises ConfigurationError or EncodingError."""
    metric_text(given["value"])  # refuses what has no place
    settings = MPulseSettings.read()
    if given["value"] < 0 and not settings.negative_metrics:
        raise EncodingError("a metric takes values below 0 only with negative_metrics", field="value")
    if given["value"] == 0 and not settings.zero_metrics:
        raise EncodingError("a metric takes an increment of 0 only with zero_metrics", field="value")
    return _sent(given, lambda now, context: Reading(given["name"], How.ADD, given["value"], 1, now, context))


def _sent(given: Mapping[str, Any], unit: Callable[[int, Context], Unit]) -> Sent:
    settings, clock, recorder = MPulseSettings.read(), Clock(), Recorder()
    app = App(settings, recorder, clock, Notices(_logger, clock))

    def item() -> Item[Unit]:
        return Item(unit(clock.unix_ms(), _context(given, app, settings, clock)), 0)

    secret = settings.rest_secret.reveal() if settings.rest_secret else ""
    sent = passed(app, item, recorder, settings.timeout, [secret])
    return replace(sent, words=(*sent.words, _OF_ANSWERS)) if sent.outcome is Outcome.DELIVERED else sent


def _context(given: Mapping[str, Any], app: App, settings: MPulseSettings, clock: Clock) -> Context:
    """As `MPulseClient` makes it; what has no place is told."""
    left_out: Counter[str] = Counter()
    dimensions = dict(given["dimension"])
    defined = app.definitions.dimensions if app.definitions else {}
    for name in dimensions.keys() - defined.keys():
        _logger.warning("left out: the app defines no custom dimension %r", name)
    context = Contexts(settings).context(
        {
            **{f"{names.MPULSE_DIMENSION_PREFIX}{name}": value for name, value in dimensions.items()},
            names.MPULSE_PAGE_GROUP: given["page_group"],
            names.MPULSE_AB_TEST: given["ab_test"],
        },
        None,
        app.definitions,
        app.process_session(),
        clock.unix_ms(),
        left_out,
        route=False,
    )
    for what in left_out:
        _logger.warning("left out: %s, which mPulse would not take", what)
    return context
