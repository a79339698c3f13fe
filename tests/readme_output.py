"""What README shows as the output of a command."""

from __future__ import annotations

import re
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"


def readme_output(words: str) -> str:
    """The one block of output that holds these words."""
    blocks = re.findall(r"^ *```(\w*)\n(.*?)^ *```$", README.read_text(), re.MULTILINE | re.DOTALL)
    (found,) = [block for language, block in blocks if not language and words in block]
    return str(found)
