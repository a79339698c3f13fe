"""The rows of README's three tables, by vendor, and what proves each of them."""

import pytest

# A proof that fails shows both sides, as a test does.
pytest.register_assert_rewrite(
    *(f"{__name__}.{name}" for name in ("row", "mpulse", "mparticle", "mparticle_analytics"))
)
