"""Secret: a text that nobody prints by mistake."""

from __future__ import annotations


class Secret:
    """A text that prints as stars. `reveal()` gives it to the code that needs it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself."""
        return self._text

    def __repr__(self) -> str:
        return "Secret('*****')"

    def __str__(self) -> str:
        return "*****"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)
