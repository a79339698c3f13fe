"""What the instrumentation says reaches nobody's caller, whatever the application's logging does with it."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from instrumentation import counted, instrument_functions, timed, visitor
from instrumentation.guarded_logger import GuardedLogger
from tests.instrumentation.conftest import Telemetry
from tests.instrumentation.shop import Application


class Demanding(logging.Filter):
    """As applications have it whose log format names the request."""

    def filter(self, record: logging.LogRecord) -> bool:
        return bool(record.request_id)  # type: ignore[attr-defined]  # that is the fault


@pytest.fixture(autouse=True)
def demanding() -> Iterator[None]:
    handler = logging.StreamHandler()
    handler.addFilter(Demanding())
    logging.getLogger().addHandler(handler)
    yield
    logging.getLogger().removeHandler(handler)


def test_a_filter_that_raises_fails_no_decorated_call(telemetry: Telemetry) -> None:
    """Faults that are to be said leave calls and blocks as they are, and are counted."""

    @timed("Checkout {nope}")
    @counted("paid", value=lambda result: result.nope)
    def pay() -> str:
        return "paid"

    with visitor(user_id=object()):  # type: ignore[arg-type]  # that is the fault
        assert pay() == "paid"

    faults = {
        each.attributes["instrumentation.part"]: each.value
        for each in telemetry.points()
        if each.name == "instrumentation.faults"
    }
    assert faults == {"user_id": 1, "value": 1, "name": 1}


def test_a_filter_that_raises_fails_no_import(shop: Application) -> None:
    """A name that is not there, said while its module is imported, leaves the import as it is."""
    instrument_functions(["shop.cart:nope=timed", "shop.nowhere:f=timed"])
    assert shop.load().total(1) == 1


def test_a_logger_that_cannot_log_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    """The application hears of it on stderr, as of its other logging errors."""
    logger = GuardedLogger("shop.guarded")

    for _ in range(3):
        logger.warning("said to %s", "nobody")

    assert capsys.readouterr().err == (
        "--- Logging error ---\nshop.guarded could not log: a filter or handler failed with AttributeError; "
        "this is said once\n"
    )


def test_logging_that_is_to_be_silent_stays_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`logging.raiseExceptions = False` asks for no word about logging's own faults."""
    monkeypatch.setattr(logging, "raiseExceptions", False)
    GuardedLogger("shop.guarded").warning("said to nobody")
    assert capsys.readouterr().err == ""


def test_records_tell_the_line_that_said_it(caplog: pytest.LogCaptureFixture) -> None:
    """Where a record comes from is the caller's line, and an exception goes along."""
    logger = logging.getLogger("shop.guarded")
    logger.propagate = False
    logger.addHandler(caplog.handler)
    try:
        1 / 0  # noqa: B018 - it is to fail
    except ZeroDivisionError:
        GuardedLogger("shop.guarded").exception("failed at %s", "one")
    logger.removeHandler(caplog.handler)

    (record,) = caplog.records
    found = (record.getMessage(), record.funcName, record.exc_info is not None)
    assert found == ("failed at one", "test_records_tell_the_line_that_said_it", True)
