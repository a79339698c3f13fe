"""
The attribute names that the instrumentation, the exporters and applications agree on.

OpenTelemetry's names where they exist (semantic conventions 1.44), ours beside them. Anything with the
`mpulse.` prefix may be set on any span or metric point by any code: it speaks to the mPulse exporter and
to nobody else.
"""

from __future__ import annotations

# OpenTelemetry's
SESSION_ID = "session.id"
HTTP_ROUTE = "http.route"

# mPulse
MPULSE_TIMER = "mpulse.timer"
MPULSE_PAGE_GROUP = "mpulse.page_group"
MPULSE_AB_TEST = "mpulse.ab_test"
MPULSE_DIMENSION_PREFIX = "mpulse.dimension."
MPULSE_SESSION_START_UNIX_MS = "mpulse.session.start_unix_ms"
MPULSE_SESSION_LENGTH = "mpulse.session.length"
