"""A package `shop` on the path, whose functions are named in configuration."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

CART = """
import asyncio
import functools
from abc import ABC

class Base(ABC):
    def inherited(self): return "inherited"

class Cart(Base):
    limit = 5
    def add(self, sku, amount=1): return {"total": amount * 2}
    async def fetch(self): return "fetched"
    def items(self): yield 1
    @staticmethod
    def count(): return 3
    @classmethod
    def make(cls): return cls()
    @property
    def size(self): return 4
    @functools.cached_property
    def stock(self): return 5
    def _private(self): return 6
    class Row:
        def price(self): return 7

class Other:
    def add(self): return 8

def total(*amounts): return sum(amounts)
def tax(): return 9
alias = tax
def _hidden(): return 10
RATE = 0.2
"""


class Application:
    """A package `shop` of its own on the path, with what the test puts into it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "shop"
        self._folder.mkdir()
        self.write("__init__", "")

    def write(self, name: str, source: str) -> None:
        """Put a module into the package."""
        (self._folder / f"{name}.py").write_text(source)
        importlib.invalidate_caches()

    def load(self, name: str = "shop.cart") -> Any:
        """The module, imported (Any: the test knows what is in it)."""
        return importlib.import_module(name)
