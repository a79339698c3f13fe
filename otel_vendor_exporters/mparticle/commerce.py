"""
Commerce: products, and what happens to them.

Sources: Node SDK guide ("CommerceEvent"), JSON Reference, S26. The event itself is in events.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from otel_vendor_exporters.mparticle.values import Attributes, Filled, Int32, Int64, Number, WireValue
from otel_vendor_exporters.mparticle.vocabulary import ProductActionType, PromotionActionType


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Product(WireValue):
    """One product, or so many of it."""

    WHERE: ClassVar[str] = "product"

    id: str | None = None
    name: str | None = None
    brand: str | None = None
    category: str | None = None
    variant: str | None = None
    position: Int32 | None = None
    price: Number | None = None
    quantity: Number | None = None
    coupon_code: str | None = None
    added_to_cart_time_ms: Int64 | None = None
    total_product_amount: Number | None = None
    custom_attributes: Attributes | None = None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ProductAction(WireValue):
    """A purchase, or another thing that is done with products."""

    WHERE: ClassVar[str] = "product_action"

    action: ProductActionType
    checkout_step: Int32 | None = None
    checkout_options: str | None = None
    product_action_list: str | None = None
    product_list_source: str | None = None
    transaction_id: str | None = None
    affiliation: str | None = None
    total_amount: Number | None = None
    tax_amount: Number | None = None
    shipping_amount: Number | None = None
    coupon_code: str | None = None
    products: Sequence[Product] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Promotion(WireValue):
    """One promotion. Its position is a text, unlike a product's."""

    WHERE: ClassVar[str] = "promotion"

    id: str | None = None
    name: str | None = None
    creative: str | None = None
    position: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PromotionAction(WireValue):
    """Promotions that were seen or clicked."""

    WHERE: ClassVar[str] = "promotion_action"

    action: PromotionActionType
    promotions: Sequence[Promotion] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Impression(WireValue):
    """Products that were seen in a list."""

    WHERE: ClassVar[str] = "product_impression"

    product_impression_list: Filled
    products: Sequence[Product]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ShoppingCart(WireValue):
    """What is in the cart."""

    WHERE: ClassVar[str] = "shopping_cart"

    products: Sequence[Product]
