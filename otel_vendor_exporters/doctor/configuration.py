"""Configuration: whether a vendor's settings are right, and which variables nobody reads. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from otel_vendor_exporters.doctor.report import Finding, Level
from otel_vendor_exporters.errors import ConfigurationError
from otel_vendor_exporters.nearest import nearest
from otel_vendor_exporters.settings import Found

_WORDS = ("MPULSE", "MPARTICLE")
_INSTRUMENTOR = "VENDOR"
_LIKE_WORD = 0.75  # MPLUSE is; OTLP, ZIPKIN and PROMETHEUS are far from it
_LIKE = 0.88  # of a whole name, half of which is its prefix


def setting_findings(settings: Sequence[Found], read: Callable[[], object]) -> Iterator[Finding]:
    """What is wrong with each setting, and, if nothing is, with all of them together: `read` may raise."""
    problems = [(one.name, one.problem) for one in settings if one.problem]
    if not problems:
        try:
            read()
        except ConfigurationError as error:
            problems = [(error.setting, str(error))]
    for name, problem in problems:
        yield Finding(Level.ERROR, "settings", "wrong_setting", problem, {"setting": name})
    if not problems:
        count = sum(one.is_set for one in settings)
        yield Finding(Level.OK, "settings", "right", f"{count} are set, {len(settings) - count} by default")


def unread_findings(
    settings: Sequence[Found], prefix: str, present: Iterable[str], known: Collection[str]
) -> Iterator[Finding]:
    """
    Variables that look like this vendor's and are none of its settings; `present` are set.

    `known` are those of all vendors: one's prefix may begin another's.
    """
    own = {one.variable for one in settings}
    others = [one for one in known if one.startswith(prefix) and one not in own]
    longer = {prefix + one.removeprefix(prefix).partition("_")[0] + "_" for one in others}
    names = [one.removeprefix(prefix) for one in (*own, *others)]
    for variable in present:
        if not variable.startswith(prefix) or variable.startswith(tuple(longer)) or variable in own:
            continue
        near = nearest(variable.removeprefix(prefix), names)
        yield _unread(variable, f"did you mean {prefix}{near}?" if near else "no setting has this name")


def misspelt_findings(
    present: Iterable[str], known: Collection[str], prefixes: tuple[str, ...]
) -> Iterator[Finding]:
    """
    Variables of nobody, in whose prefix one of ours is misspelt, with the one that was meant.

    What begins with one of `prefixes` is its vendor's to tell. A name of somebody else's has no word of ours.
    """
    for variable in present:
        if variable in known or variable.startswith(prefixes) or not _is_like_ours(variable):
            continue
        near = nearest(variable, known, _LIKE)
        yield _unread(variable, f"did you mean {near}?" if near else "no setting has this name")


def _unread(variable: str, hint: str) -> Finding:
    sentence = f"{variable} is set, and nobody reads it: {hint}"
    return Finding(Level.WARNING, "settings", "unread_variable", sentence, {"variable": variable})


def _is_like_ours(variable: str) -> bool:
    """Whether a name holds a vendor's word, or begins as our instrumentor's do, or nearly so."""
    if any(word in variable for word in _WORDS):
        return True
    words = variable.split("_")[1:]
    is_instrumentors = bool(words) and (
        words[0].startswith(_INSTRUMENTOR) or nearest(words[0], [_INSTRUMENTOR], _LIKE_WORD) is not None
    )
    return is_instrumentors or any(nearest(word, _WORDS, _LIKE_WORD) for word in words)
