"""
Faults: a check that fails by a mistake of ours is told as that, and takes no other check with it.

Neither the message of the error nor a value is told, which may be a secret: its type, and the line in here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from traceback import walk_tb
from types import TracebackType

from otel_vendor_exporters.doctor.report import Finding, Level

_OURS = Path(__file__).parent.parent


def guarded(check: str, findings: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """The findings of a check; if it raises, those until then, and that it did."""
    try:
        yield from findings()
    except Exception as error:  # noqa: BLE001  whatever it is, the other checks go on
        yield fault(check, error)


def fault(check: str, error: Exception) -> Finding:
    """That a check could not be done, by a mistake of ours."""
    place = _place(error.__traceback__)
    sentence = (
        f"this check has failed by a fault in this library ({type(error).__name__} in {place}), and says "
        "nothing of your settings: please report it; the other checks go on"
    )
    return Finding(Level.ERROR, check, "fault", sentence, {"error": type(error).__name__, "place": place})


def _place(traceback: TracebackType | None) -> str:
    """The last line of ours on the way to the error, as `doctor/network.py:230`."""
    for frame, line in reversed([*walk_tb(traceback)]):
        file = Path(frame.f_code.co_filename)
        if _OURS in file.parents and file != Path(__file__):
            return f"{file.relative_to(_OURS)}:{line}"
    return "an unknown place"
