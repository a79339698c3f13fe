"""
JSON as the sandbox gives it out: strict, whatever numbers arrived.

Pure. A vendor's server reads 1e999 as infinity, which JSON cannot say (RFC 8259, section 6).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping


def json_text(content: object) -> str:
    """The content in JSON; a number that is none in JSON becomes a text, `Infinity` or `NaN`."""
    try:
        return json.dumps(content, default=str, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(content), default=str, allow_nan=False)


def _finite(content: object) -> object:
    if isinstance(content, float) and not math.isfinite(content):
        return json.dumps(content)
    if isinstance(content, Mapping):
        return {name: _finite(value) for name, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_finite(item) for item in content]
    return content
