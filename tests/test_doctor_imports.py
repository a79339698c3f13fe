"""How names of decorators and constants reach a file, as `doctor --code` follows them."""

from __future__ import annotations

from pathlib import Path

import pytest

from otel_vendor_exporters.doctor.code_names import Scan, scan
from otel_vendor_exporters.sandbox import Sandbox
from tests.doctor_calls import mpulse


def scanned(folder: Path, **files: str) -> Scan:
    """What is found in files of these texts; two underscores stand for a slash, `package` for __init__."""
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/').replace('package', '__init__')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return scan([str(folder)])


def names(found: Scan) -> list[str]:
    return [one.name for one in found.names]


def places(told: list[str]) -> list[str]:
    """With the file's name alone."""
    return [f"{place.rpartition(', ')[0]} {place.rpartition('/')[2]}".strip() for place in told]


def test_a_re_export_is_compared(sandbox: Sandbox, tmp_path: Path) -> None:
    """As people have it: one module of the application brings the decorators to all others."""
    (tmp_path / "shop").mkdir()
    ours = "from instrumentation import *\nt = timed\nNAME = 'Chekout'\n"
    (tmp_path / "shop" / "telemetry.py").write_text(ours)
    (tmp_path / "shop" / "search.py").write_text(
        "from .telemetry import NAME, t, timed\n@timed('Serch')\n@t(NAME)\ndef search(): ...\n"
    )
    ended = mpulse(sandbox, "--code", str(tmp_path / "shop"))

    findings = ended.form["sections"][1]["findings"]
    undefined = [one["details"] for one in findings if one["code"] == "undefined"]
    near = {one["name"]: one["nearest"] for one in undefined}
    assert (ended.status, near) == (1, {"Serch": "Search", "Chekout": "Checkout"})
    assert "made_at_run_time" not in ended.findings("mpulse")


TELEMETRY = "from instrumentation import counted, timed\nNAME = 'X'\n"


@pytest.mark.parametrize(
    "text",
    [
        "from instrumentation import *\n@timed('X')\ndef f(): ...",
        "from instrumentation.decorators import *\n@timed('X')\ndef f(): ...",
        "from instrumentation import timed\nt = timed\n@t('X')\ndef f(): ...",
        "from instrumentation import timed\nt: object = timed\nu = t\nwith u('X'): ...",
        "import instrumentation as i\nt = i.decorators.timed\nt('X')",
        "from .telemetry import timed\n@timed('X')\ndef f(): ...",
        "from .telemetry import *\n@timed('X')\ndef f(): ...",
        "from .telemetry import timed as t\n@t('X')\ndef f(): ...",
        "from . import telemetry\n@telemetry.timed('X')\ndef f(): ...",
        "from shop.telemetry import timed\n@timed('X')\ndef f(): ...",
        "from shop import telemetry as t\n@t.timed('X')\ndef f(): ...",
        "import shop.telemetry\n@shop.telemetry.timed('X')\ndef f(): ...",
        "from .deep.again import clock\n@clock('X')\ndef f(): ...",
        "from .telemetry import timed, NAME\n@timed(NAME)\ndef f(): ...",
        "from . import telemetry as t\n@t.timed(name=t.NAME)\ndef f(): ...",
        "from instrumentation import timed\nNAME: str = 'X'\ndef f():\n    with timed(NAME): ...",
        "from instrumentation import timed\nNAME = OTHER = 'X'\n@timed(OTHER)\ndef f(): ...",
        "try:\n    from instrumentation import timed\nexcept ImportError: timed = None\nwith timed('X'): ...",
        "from instrumentation import timed\n@other(timed('X'))\ndef f(g=1): ...",
        "from instrumentation import timed\ndef f(g=timed('X')): ...",
        "from instrumentation import timed\ndef X(): ...\nY = timed(X)",
    ],
)
def test_ways_that_are_followed(tmp_path: Path, text: str) -> None:
    """Imports within what is read, star imports, aliases, and constants that are bound once."""
    found = scanned(
        tmp_path,
        shop__package="",
        shop__telemetry=TELEMETRY,
        shop__deep__package="",
        shop__deep__again="from ..telemetry import timed as clock\n",
        shop__page=text,
    )

    assert (names(found), found.made_at_run_time, found.not_followed) == (["X"], [], [])


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("NAME = 'X'\nNAME = 'Y'\ntimed(NAME)", 4),
        ("NAME = 'X'\ndef f(NAME): timed(NAME)", 3),
        ("NAME = 'X'\nNAME += 'Y'\ntimed(NAME)", 4),
        ("for NAME in 'XY': timed(NAME)", 2),
        ("class Names:\n    X = 'X'\ntimed(Names.X)", 4),
        ("from elsewhere import NAME\ntimed(NAME)", 3),
        ("def f(name): return timed(name)", 2),
        ("from functools import partial\nslow = partial(timed, record='metric')", 3),
        ("slow = timed(record='metric')\n@slow\ndef f(): ...", 2),
        ("options = {'name': 'X'}\n@timed(**options)\ndef f(): ...", 3),
        ("@timed(*['X'])\ndef f(): ...", 2),
        ("kinds = [timed]", 2),
        ("class A:\n    def f(self):\n        self.t = timed", 4),
    ],
)
def test_what_is_known_at_run_time_alone_is_named(tmp_path: Path, text: str, line: int) -> None:
    """With its place, since it may be any name."""
    found = scanned(tmp_path, page=f"from instrumentation import timed\n{text}\n")

    assert (names(found), places(found.made_at_run_time)) == ([], [f"page.py:{line}"])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("from company import timed\n@timed('X')\ndef f(): ...", "company.timed page.py:2"),
        ("from company import timed as t\nwith t('X'): ...", "company.timed page.py:2"),
        ("from company import *\n@counted\ndef f(): ...", "company.counted page.py:2"),
        ("import company\n@company.tools.timed('X')\ndef f(): ...", "company.tools.timed page.py:2"),
        ("from .gone import timed\ntimed('X')", ".gone.timed page.py:2"),
        ("from telemetry import timed\ntimed('X')", "company.timed page.py:2"),
    ],
)
def test_what_comes_from_modules_that_were_not_read_is_named(tmp_path: Path, text: str, told: str) -> None:
    """Where it has a decorator's name it may be one."""
    found = scanned(tmp_path, page=text, telemetry="from company import timed\n")

    assert (names(found), places(found.not_followed)) == ([], [told])


def test_decorators_of_others_are_theirs(tmp_path: Path) -> None:
    """A function of one's own by the same name, and circles of imports, are nothing to tell."""
    found = scanned(
        tmp_path,
        own="def timed(name): ...\n@timed('X')\ndef f(): ...\n",
        user="from own import timed\n@timed('X')\ndef f(): ...\n",
        a="from b import *\nfrom b import timed\n@timed('X')\ndef f(): ...\n",
        b="from a import *\nfrom a import timed\n@timed('X')\ndef f(): ...\n",
        method="class A:\n    def f(self):\n        with self.timed('X'): ...\n",
    )

    assert (names(found), found.made_at_run_time, found.not_followed, found.unreadable) == ([], [], [], [])
    assert found.files == 5


def test_the_nearest_module_of_a_name_is_meant(tmp_path: Path) -> None:
    """Two applications in one folder have a module of the same name each."""
    found = scanned(
        tmp_path,
        one__shop__names="NAME = 'One'\n",
        two__shop__names="NAME = 'Two'\n",
        two__shop__page="from shop.names import NAME\nfrom instrumentation import timed\ntimed(NAME)\n",
    )

    assert names(found) == ["Two"]


def test_names_within_names_without_end(tmp_path: Path) -> None:
    """What no person writes ends, too."""
    aliases = "\n".join(f"t{number + 1} = t{number}" for number in range(3000))
    dots = "timed" + ".x" * 200
    found = scanned(
        tmp_path,
        aliases=f"from instrumentation import timed as t0\n{aliases}\nt3000('X')\n",
        dots=f"from instrumentation import timed\n{dots}\n",
    )

    assert [one.rpartition("/")[2] for one in found.unreadable] == ["aliases.py: RecursionError"]
