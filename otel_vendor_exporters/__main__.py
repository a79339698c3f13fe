"""`python -m otel_vendor_exporters`: see cli.py."""

from __future__ import annotations

import sys

from otel_vendor_exporters.cli import main

if __name__ == "__main__":
    sys.exit(main())
