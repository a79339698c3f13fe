"""The values of delivery."""

from __future__ import annotations

import dataclasses

import pytest

from otel_vendor_exporters.delivery.request import (
    Item,
    Outcome,
    Parcel,
    Receipt,
    Reply,
    Request,
    Ticket,
    Verdict,
)
from otel_vendor_exporters.errors import DeliveryError, RefusedError, TransportError

VALUES = [
    Request("GET", "https://vendor.invalid/"),
    Reply(status=204),
    Parcel([Item("unit", 1)], "content"),
    Verdict([Item("unit", 1)], Outcome.DELIVERED),
    Receipt(delivered=1),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_do_not_change(value: object) -> None:
    """What delivery hands around is frozen, and so are its defaults."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        value.__setattr__(dataclasses.fields(value)[0].name, None)  # type: ignore[arg-type]  # all are dataclasses


@pytest.mark.parametrize("mapping", [Request("GET", "u").headers, Reply().headers, Receipt().refused])
def test_default_mappings_cannot_be_filled(mapping: dict[str, object]) -> None:
    """A default that is shared by all values cannot be written to."""
    with pytest.raises(TypeError):
        mapping["name"] = "value"


def test_an_item_asks_for_nothing_special() -> None:
    """An item without more said never expires, never merges and has no caller waiting."""
    item = Item("unit", 7)

    said = {name: getattr(item, name) for name in Item.__slots__}

    assert said == {
        "unit": "unit",
        "size_bytes": 7,
        "expires_at_unix_ms": None,
        "first": False,
        "merge_key": None,
        "subjects": (),
        "ticket": None,
        "on_loss": None,
        "row": 0,
        "inherited": False,
    }


def test_a_ticket_becomes_a_receipt() -> None:
    """A receipt says what became of each item; what has no outcome yet is waiting."""
    ticket = Ticket(expected=10, delivered=3, refused={"http_400": 2}, dropped={"expired": 1})

    receipt = ticket.receipt()

    assert ticket.settled == 6
    assert receipt == Receipt(delivered=3, refused={"http_400": 2}, dropped={"expired": 1}, waiting=4)


def test_a_receipt_does_not_change_with_its_ticket() -> None:
    """What the caller holds is of the moment it was asked for."""
    ticket = Ticket(expected=2)
    receipt = ticket.receipt()

    ticket.refused["http_400"] = 1

    assert receipt == Receipt(waiting=2)


def test_no_loss_raises_nothing() -> None:
    """Everything delivered is no error, nor is nothing at all."""
    Receipt(delivered=4).raise_for_losses()
    Receipt().raise_for_losses()


@pytest.mark.parametrize(
    ("receipt", "error", "words"),
    [
        (Receipt(1, {"http_400": 2}), RefusedError, "not delivered: 2 http_400"),
        (Receipt(dropped={"expired": 1}, waiting=5), RefusedError, "not delivered: 1 expired"),
        (Receipt(0, {"a": 1}, {"b": 2}), RefusedError, "not delivered: 1 a, 2 b"),
        (Receipt(delivered=1, waiting=3), TransportError, "no answer yet: 3 waiting"),
    ],
)
def test_losses_are_raised_on_demand(receipt: Receipt, error: type[DeliveryError], words: str) -> None:
    """What was lost is an error that names counts and reasons; what waits is another."""
    with pytest.raises(error) as raised:
        receipt.raise_for_losses()

    assert str(raised.value) == words


def test_callers_of_items_that_became_one_hear_the_same() -> None:
    """Those who joined, directly or with another, are told each outcome; who is gone is forgotten."""
    first, second, third = (Ticket(expected=1) for _ in range(3))
    second.join(third)
    first.join(second)
    first.join(Ticket(expected=1))  # nobody waits for it

    first.drop("shutdown", "no time left")

    assert len(list(first.everyone())) == 3
    outcome = Receipt(dropped={"shutdown": 1}, words=("no time left",))
    assert [one.receipt() for one in (first, second, third)] == [outcome] * 3
