"""All benchmarks, one after the other; exits with 1 when one misses a limit."""

from __future__ import annotations

import sys

from tests.benchmarks import (
    bench_decorators,
    bench_handler,
    bench_mparticle,
    bench_mparticle_analytics,
    bench_mpulse,
    bench_spool,
)

BENCHES = (
    bench_mpulse,
    bench_mparticle,
    bench_mparticle_analytics,
    bench_decorators,
    bench_handler,
    bench_spool,
)

if __name__ == "__main__":
    results = [bench.main() for bench in BENCHES]
    sys.exit(max(results))
