"""What one entry of a configuration asks for, and what is said when it cannot be understood."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from instrumentation.targets import ResultReader, Target, entries_in, target_of


@pytest.mark.parametrize(
    ("entry", "path", "use", "options"),
    [
        ("shop.cart:add=timed", "add", "timed", {}),
        ("shop.cart:add = timed()", "add", "timed", {}),
        ("shop.cart:add=timed(Add to cart)", "add", "timed", {"name": "Add to cart"}),
        ("shop.cart:add=timed('Add, {sku=}')", "add", "timed", {"name": "Add, {sku=}"}),
        ("shop.cart:Cart.*=timed(record=metric)", "Cart.*", "timed", {"record": "metric"}),
        ("shop.cart:add=counted(Sum, value=amount)", "add", "counted", {"name": "Sum", "value": "amount"}),
        ("shop.cart:add=counted(value=2.5, on=return)", "add", "counted", {"value": 2.5, "on": "return"}),
        ("shop.cart:add=timed(Add (to cart))", "add", "timed", {"name": "Add (to cart)"}),
        ("shop.cart:add=timed('A)(B')", "add", "timed", {"name": "A)(B"}),
        ("shop.cart:add=counted(404)", "add", "counted", {"name": "404"}),
        (
            "shop.cart:add=counted(Revenue, value=result.total)",
            "add",
            "counted",
            {"name": "Revenue", "value": ResultReader(("total",))},
        ),
        (
            "shop.cart:add=event(cart.add, attributes=[sku, tier], on=both)",
            "add",
            "event",
            {"name": "cart.add", "attributes": ["sku", "tier"], "on": "both"},
        ),
        (
            "shop.cart:add=timed(attributes={channel=web, shard=3})",
            "add",
            "timed",
            {"attributes": {"channel": "web", "shard": 3}},
        ),
    ],
)
def test_text(entry: str, path: str, use: str, options: dict[str, Any]) -> None:
    """A text names module, path, decorator and options."""
    assert target_of(entry) == Target("shop.cart", path, use, options)


def test_mapping_says_the_same_as_the_text() -> None:
    """TOML, YAML and Python say it with keys."""
    mapping = {
        "target": "shop.billing:charge",
        "use": "counted",
        "name": "Revenue",
        "value": "result.total",
        "attributes": ["sku"],
    }
    assert target_of(mapping) == target_of(
        "shop.billing:charge=counted(Revenue, value=result.total, attributes=[sku])"
    )


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("shop.cart.add", "write module:function=timed"),
        ("shop.cart:add", "write module:function=timed"),
        ("shop.cart:add=timed(", "write module:function=timed"),
        ("shop.cart:add=tiemd", r"no decorator 'tiemd' \(nearest: 'timed'\)"),
        ("shop.cart:add=sum", "no decorator 'sum': use one of timed, counted, event"),
        ("shop.cart:add=timed(recrod=metric)", r"timed has no option 'recrod' \(nearest: 'record'\)"),
        ("shop.cart:add=timed(value=1)", "timed has no option 'value': it has name, attributes, record"),
        ("shop.cart:add=timed(record=log)", "record='log' is not known: use one of span, metric"),
        ("shop.cart:add=timed(a, b)", "name is given twice"),
        ("shop.cart:add=timed(A)(B)", "more than one pair of brackets: write module:function=timed"),
        ("shop.cart:add=timed(A)B)", "more than one pair of brackets"),
        ("shop.cart:add=counted(Sum, value=)", "value must be a number, the name of an argument"),
        ({"target": "shop.cart:add", "use": "counted", "value": ""}, "value must be .* and '' is none"),
        ("shop.cart:add=counted(value=result, on=both)", "use on='return'"),
        ({"target": "shop.cart", "use": "timed"}, "needs a target="),
        ({"target": "shop.cart:add"}, "needs a target=.* and a use="),
        (3, "3 is no entry"),
        ({"target": "shop.cart:add", "use": None}, "needs a target=.* and a use="),
        ({"target": 5, "use": "timed"}, "needs a target="),
        ({"target": "shop.cart:add", "use": ["timed"]}, r"no decorator \"\['timed'\]\""),
        ({"target": "shop.cart:add", "use": "timed", 5: "x"}, "timed has no option '5'"),
    ],
)
def test_what_is_not_understood_says_what_would_be_right(entry: Any, message: str) -> None:
    """A wrong entry is a ValueError with the nearest right word."""
    with pytest.raises(ValueError, match=message):
        target_of(entry)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("name", 5, r"name must be a text \(a number stands in quotes\), and 5 is none"),
        ("name", True, "name must be a text .* and True is none"),
        ("name", ["Revenue"], "name must be a text"),
        ("name", {"en": "Revenue"}, "name must be a text"),
        ("value", True, "value must be a number, the name of an argument, or a path such as result.total"),
        ("value", ["amount"], "value must be a number"),
        ("value", date(2026, 1, 1), r"value must be .* and datetime.date\(2026, 1, 1\) is none"),
        ("attributes", "sku", r"attributes must be a list of names of arguments, as \[sku\], or a mapping"),
        ("attributes", 5, "attributes must be a list"),
        ("attributes", ["sku", 5], "attributes must be a list"),
        ("attributes", [["sku"]], "attributes must be a list"),
        ("attributes", {"sku": None}, "attributes must be .* a mapping of names to texts, numbers"),
        ("attributes", {"since": date(2026, 1, 1)}, "attributes must be"),
        ("attributes", {5: "sku"}, "attributes must be"),
        ("attributes", {"all": ["a", 1]}, "attributes must be"),
        ("on", ["raise"], r"on=\['raise'\] is not known: use one of return, raise, both"),
        ("on", 5, "on=5 is not known"),
    ],
)
def test_values_of_another_kind_say_what_would_be_right(option: str, value: Any, message: str) -> None:
    """TOML and YAML have values of many kinds: a wrong one is told with its entry, not when it is used."""
    entry = {"target": "shop.cart:add", "use": "counted", option: value}
    with pytest.raises(ValueError, match=message) as told:
        target_of(entry)
    assert str(told.value).startswith(repr(entry))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("shop.cart:add=timed(attributes=sku)", r"as \[sku\]"),
        ("shop.cart:add=counted(value=[a])", "value must be a number"),
        ("shop.cart:add=timed(attributes={a=[x, 1]})", "attributes must be"),
    ],
)
def test_values_of_another_kind_in_a_text(text: str, message: str) -> None:
    """A text says lists and mappings, too, and where they are wrong."""
    with pytest.raises(ValueError, match=message):
        target_of(text)


@pytest.mark.parametrize(
    ("given", "options"),
    [
        ({True: "both"}, {"on": "both"}),
        ({"name": None, "attributes": None}, {}),
        ({"value": 2.5, "attributes": {"a": "x", "b": 1, "c": True, "d": [1, 2]}}, None),
        ({"value": Decimal("2.5"), "attributes": ("sku", "tier")}, None),
        ({"value": len, "attributes": dict}, None),
    ],
)
def test_values_that_are_right(given: dict[Any, Any], options: dict[str, Any] | None) -> None:
    """YAML's `on`, which it reads as true, and its empty values mean what they look like."""
    target = target_of({"target": "shop.cart:add", "use": "counted", **given})
    assert target.options == (given if options is None else options)


def test_entries_of_a_text() -> None:
    """Semicolons and line ends separate, except in quotes and brackets."""
    text = """
        a:f=timed; b:g=timed('x; y');;
        c:h=timed(attributes=[one,
                              two])
    """
    assert [target_of(entry).module for entry in entries_in(text)] == ["a", "b", "c"]
    assert target_of(entries_in(text)[2]).options == {"attributes": ["one", "two"]}


def test_result_reader_follows_attributes_and_keys() -> None:
    """A path into the result goes through keys of mappings and attributes of anything else."""
    assert ResultReader(("order", "real"))({"order": 3}) == 3
    assert ResultReader(())(7) == 7
