"""An application of a few lines under opentelemetry-instrument, with nothing but environment variables."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

INSTRUMENT = str(Path(sysconfig.get_path("scripts")) / "opentelemetry-instrument")


def run(folder: Path, program: str, **environment: str) -> str:
    """Run the program, whose file stands in the folder; what it printed."""
    application = folder / "app.py"
    application.write_text(program)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(
        [INSTRUMENT, sys.executable, str(application)],
        env={**inherited, **environment},
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout + done.stderr
