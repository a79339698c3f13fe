"""Settings: keyword, else environment, else default; every wrong one named with its source."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from otel_vendor_exporters import settings as module
from otel_vendor_exporters.errors import ConfigurationError, VendorExportError
from otel_vendor_exporters.settings import (
    Secret,
    found_settings,
    internal_metrics_enabled,
    read_settings,
    setting,
    table,
)

PREFIX = "OTEL_EXPORTER_SHOP_"


@dataclass(frozen=True)
class Settings:
    """One setting of each kind."""

    account: str = setting("Whose.")
    secret: Secret | None = setting("The key.", default=None)
    timeout: float = setting("Seconds.", default=10.0, minimum=0.5, maximum=60)
    connections: int = setting("At once.", default=4, minimum=1)
    gzip: bool = setting("Packed.", default=False)
    mode: str = setting("Which way.", default="auto", choices=("auto", "get", "post"))
    names: Mapping[str, str] = setting("What is called what.", default=MappingProxyType({}))
    folder: str | None = setting("Where to.", default=None, is_path=True)


@dataclass(frozen=True)
class Answers:
    """A setting of words that YAML has its own for."""

    answers: Mapping[str, str | bool] = setting("What is so.", default=MappingProxyType({}))


def read(environ: Mapping[str, str] | None = None, /, **keywords: object) -> Settings:
    return read_settings(Settings, PREFIX, {"account": "A", **keywords}, environ or {})


def error_of(environ: Mapping[str, str] | None = None, /, **keywords: object) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as raised:
        read(environ, **keywords)
    return raised.value


def test_a_keyword_wins_over_the_environment_and_that_over_the_default() -> None:
    """Each setting is taken from the first place that gives it."""
    environ = {PREFIX + "TIMEOUT": "20", PREFIX + "CONNECTIONS": "8"}

    found = read(environ, timeout=30)

    assert (found.timeout, found.connections, found.mode) == (30.0, 8, "auto")


@pytest.mark.parametrize("text", ["", "  ", "\t"])
def test_an_empty_variable_counts_as_unset(text: str) -> None:
    """OpenTelemetry's rule for environment variables."""
    assert read({PREFIX + "TIMEOUT": text}).timeout == 10.0


@pytest.mark.parametrize(
    "given",
    [{"a": True, "b": "false"}, {"a": "true", "b": False}, '{"a": true, "b": false}', "a=true,b=false"],
)
def test_an_answer_is_a_word_or_yamls_own(given: object) -> None:
    """YAML, JSON and code have true and false for it."""
    assert read_settings(Answers, PREFIX, {"answers": given}, {}).answers == {"a": "true", "b": "false"}


def test_a_name_is_a_text() -> None:
    """True is no name of anything, and a number no answer."""
    assert error_of(names={"a": True}).setting == "names"
    with pytest.raises(ConfigurationError, match="answers is"):
        read_settings(Answers, PREFIX, {"answers": {"a": 1}}, {})


def test_a_keyword_of_none_counts_as_not_given() -> None:
    """YAML writes null for what is left to the environment."""
    assert read({PREFIX + "TIMEOUT": "20"}, timeout=None).timeout == 20.0


def test_reads_the_process_environment_unless_given_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables of the process are the default, read at each call."""
    monkeypatch.setenv(PREFIX + "ACCOUNT", "from outside")

    assert read_settings(Settings, PREFIX, {}).account == "from outside"


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("account", " shop ", "shop"),
        ("timeout", "2.5", 2.5),
        ("timeout", "6e1", 60.0),
        ("connections", "3", 3),
        ("connections", "3.0", 3),
        ("gzip", "TRUE", True),
        ("gzip", "false", False),
        ("mode", "get", "get"),
        ("names", "a=b, c d = e ,", {"a": "b", "c d": "e"}),
        ("names", "GET /x?a=b=C", {"GET /x?a=b": "C"}),
        ("names", '{"a": "b", "c,d": "e=f"}', {"a": "b", "c,d": "e=f"}),
        ("names", " ", {}),
    ],
)
def test_reads_text_of_every_kind(name: str, text: str, value: object) -> None:
    """What stands in a variable becomes the type that was declared."""
    environ = {PREFIX + name.upper(): text}

    found = read_settings(Settings, PREFIX, {} if name == "account" else {"account": "A"}, environ)

    assert getattr(found, name) == value


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("timeout", 5, 5.0),
        ("connections", 5.0, 5),
        ("gzip", True, True),
        ("gzip", "true", True),
        ("names", {"a": "b"}, {"a": "b"}),
        ("secret", "s3cret", Secret("s3cret")),
        ("secret", Secret("s3cret"), Secret("s3cret")),
    ],
)
def test_reads_values_of_every_kind(name: str, given: object, value: object) -> None:
    """Keywords and YAML values may have the declared type already."""
    assert getattr(read(**{name: given}), name) == value


BAD = [
    ("account", "", "a text that is not empty"),
    ("account", 5, "a text that is not empty"),
    ("account", b"A", "a text that is not empty"),
    ("timeout", "soon", "a number"),
    ("timeout", "nan", "a number"),
    ("timeout", "inf", "a number"),
    ("timeout", True, "a number"),
    ("timeout", [], "a number"),
    ("timeout", 0.4, "at least 0.5"),
    ("timeout", 61.0, "at most 60"),
    ("connections", 0, "at least 1"),
    ("connections", "1.5", "a whole number"),
    ("connections", "many", "a number"),
    ("gzip", "yes", "true or false"),
    ("gzip", 1, "true or false"),
    ("mode", "put", "one of auto, get, post"),
    ("names", "a", "a mapping"),
    ("names", "a=", "a mapping"),
    ("names", "=b", "a mapping"),
    ("names", "{", "a mapping"),
    ("names", '{"a": 1}', "a mapping"),
    ("names", ["a"], "a mapping"),
    ("names", {"a": 1}, "a mapping"),
    ("names", {1: "a"}, "a mapping"),
]


@pytest.mark.parametrize(("name", "given", "expected"), BAD)
def test_a_bad_keyword_is_named(name: str, given: object, expected: str) -> None:
    """The error says which setting, what it is, that a keyword gave it, and what would be right."""
    error = error_of(**{name: given})

    assert str(error).startswith(f"{name} is {given!r} (from keyword {name}): expected {expected}")
    assert error.setting == name
    assert isinstance(error, ValueError)
    assert isinstance(error, VendorExportError)


@pytest.mark.parametrize(
    ("name", "given", "expected"), [row for row in BAD if isinstance(row[1], str) and row[1]]
)
def test_a_bad_variable_is_named(name: str, given: str, expected: str) -> None:
    """The same for environment variables, which are named in full."""
    error = error_of({PREFIX + name.upper(): given})

    variable = PREFIX + name.upper()
    assert f"{name} is {given!r} (from environment variable {variable}): expected {expected}" in str(error)


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("timeout", 10**5000, "a number"),
        ("connections", -(10**5000), "a number"),
        ("gzip", 10**5000, "true or false"),
        ("account", [10**5000], "a text that is not empty"),
        ("folder", 10**5000, "a path"),
    ],
    ids=("timeout", "connections", "gzip", "account", "folder"),
)
def test_what_cannot_be_shown_is_a_bad_value(name: str, given: object, expected: str) -> None:
    """Python writes no integer of more than 4300 digits: the error is of the setting all the same."""
    error = error_of(**{name: given})
    (found,) = (one for one in found_settings(Settings, PREFIX, {name: given}, {}) if one.name == name)

    assert str(error) == f"{name} is too long to show (from keyword {name}): expected {expected}"
    assert error.setting == name
    assert (found.shown, found.problem) == ("too long to show", str(error))


def test_a_missing_setting_says_where_it_may_stand() -> None:
    """Both ways to give a required setting are in the message."""
    with pytest.raises(ConfigurationError) as raised:
        read_settings(Settings, PREFIX, {}, {})

    assert str(raised.value) == "account is missing: pass account= or set OTEL_EXPORTER_SHOP_ACCOUNT"


@pytest.mark.parametrize(
    ("keyword", "words"),
    [
        ("time_out", "shop has no setting 'time_out': did you mean timeout?"),
        ("conections", "shop has no setting 'conections': did you mean connections?"),
        (
            "zzz",
            (
                "shop has no setting 'zzz': known: account, secret, timeout, connections, gzip, mode, names,"
                " folder"
            ),
        ),
    ],
)
def test_an_unknown_keyword_names_the_nearest(keyword: str, words: str) -> None:
    """A slip of the keyboard is met with the right name; something else with all of them."""
    error = error_of(**{keyword: 1})

    assert (str(error), error.setting) == (words, keyword)


def test_an_unknown_variable_is_not_ours() -> None:
    """Other programs may have variables that look like ours."""
    assert read({PREFIX + "TIMEOUTS": "5"}).timeout == 10.0


# Secrets


@pytest.mark.parametrize("given", [5, b"s3cret", ["s3cret"], {"s3cret": 1}])
def test_a_bad_secret_is_not_shown(given: object) -> None:
    """Also what is no secret at all is stars in the message."""
    error = error_of(secret=given)

    assert str(error) == "secret is ***** (from keyword secret): expected a text that is not empty"
    assert error.__cause__ is None
    assert error.__suppress_context__


def test_secrets_print_as_stars() -> None:
    """No way to print settings shows a secret; who needs it asks."""
    found = read(secret="s3cret")

    shown = [
        *(repr(found), str(found), f"{found.secret}", f"{found.secret!r}", "".join(map(str, [found.secret]))),
        *(str(vars(found)), str(table(Settings, PREFIX))),
    ]
    assert not [text for text in shown if "s3cret" in text]
    assert found.secret is not None
    assert found.secret.reveal() == "s3cret"


def test_secrets_compare_by_what_they_hide() -> None:
    """Equal secrets are one setting, also as a key; a text is no secret."""
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2


# Paths


class Entry(os.PathLike[Any]):
    """A path as other libraries have them."""

    def __init__(self, path: str | bytes) -> None:
        self._path = path

    def __fspath__(self) -> str | bytes:
        return self._path

    def __repr__(self) -> str:
        return f"Entry({self._path!r})"


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("/var/spool/shop", "/var/spool/shop"),
        (" /var//spool/shop/ ", "/var/spool/shop"),
        (Path("/var/spool/shop"), "/var/spool/shop"),
        (Path("/var/spool/shop "), "/var/spool/shop "),
        (Entry("/var/spool/shop/"), "/var/spool/shop"),
        ("spool", "spool"),
        (Path("spool"), "spool"),
        ("~/spool", "/home/ann/spool"),
        (Path("~/spool"), "/home/ann/spool"),
        ("/tmp/\udce9", "/tmp/\udce9"),  # bytes that are no UTF-8
    ],
)
def test_a_path_is_a_text_or_like_a_path(given: object, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However it is written, the same path is the same value."""
    monkeypatch.setenv("HOME", "/home/ann")

    assert read(folder=given).folder == path


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", "a path"),
        (5, "a path"),
        (b"/tmp", "a path"),
        (Entry(b"/tmp"), "a path"),
        ([Path("/tmp")], "a path"),
        ("/tmp/a\0b", "a path without NUL characters"),
        (Path("/tmp/a\0b"), "a path without NUL characters"),
        ("~\0/spool", "a path without NUL characters"),
        ("/tmp/\ud800", "a path that this system can write"),
        ("~nobody-of-that-name/spool", "a path whose ~ is the home of somebody"),
    ],
)
def test_what_is_no_path_is_refused(given: object, expected: str) -> None:
    """Here, with the setting's name, and not when the file is wanted."""
    error = error_of(folder=given)

    assert str(error) == f"folder is {given!r} (from keyword folder): expected {expected}"
    assert error.setting == "folder"


# What documentation shows


def test_the_table_has_every_setting() -> None:
    """Name, variable, default and sentence, in the order of declaration."""
    rows = [(row.name, row.environment, row.default, row.sentence) for row in table(Settings, PREFIX)]

    assert rows == [
        ("account", "OTEL_EXPORTER_SHOP_ACCOUNT", "required", "Whose."),
        ("secret", "OTEL_EXPORTER_SHOP_SECRET", "none", "The key."),
        ("timeout", "OTEL_EXPORTER_SHOP_TIMEOUT", "10.0", "Seconds."),
        ("connections", "OTEL_EXPORTER_SHOP_CONNECTIONS", "4", "At once."),
        ("gzip", "OTEL_EXPORTER_SHOP_GZIP", "false", "Packed."),
        ("mode", "OTEL_EXPORTER_SHOP_MODE", "auto", "Which way."),
        ("names", "OTEL_EXPORTER_SHOP_NAMES", "none", "What is called what."),
        ("folder", "OTEL_EXPORTER_SHOP_FOLDER", "none", "Where to."),
    ]


def test_settings_do_not_change() -> None:
    """What was read is frozen, mappings too, and the caller's own mapping is copied."""
    given = {"a": "b"}
    found = read(names=given)
    given["c"] = "d"

    assert found.names == {"a": "b"}
    with pytest.raises(TypeError):
        found.names["x"] = "y"  # type: ignore[index]  # that is the point
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.timeout = 5.0  # type: ignore[misc]  # that is the point


@pytest.mark.parametrize(("text", "enabled"), [("true", True), (" True ", True), ("", False), ("1", False)])
def test_internal_metrics(text: str, enabled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK's own switch is read as the SDK reads booleans."""
    monkeypatch.setenv("OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED", text)

    assert internal_metrics_enabled() is enabled


def test_exports_what_others_use() -> None:
    """The names of the module's public face exist."""
    assert all(hasattr(module, name) for name in module.__all__)


@pytest.fixture
def _nobody_warned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_warned_of", set())


@pytest.mark.usefixtures("_nobody_warned")
def test_a_misspelt_variable_is_named_once_with_the_nearest(caplog: pytest.LogCaptureFixture) -> None:
    """A variable with our prefix that is no setting is a warning, without its value, and no error."""
    environ = {PREFIX + "TIMOUT": "hidden", PREFIX + "TIMEOUT": "3", "OTHER_TIMOUT": "1"}
    assert read(environ).timeout == read(environ).timeout == 3

    (record,) = caplog.records
    assert (record.levelname, record.name) == ("WARNING", "otel_vendor_exporters.settings")
    assert record.getMessage() == (
        f"environment variable '{PREFIX}TIMOUT' is no setting: did you mean {PREFIX}TIMEOUT?"
    )


@pytest.mark.usefixtures("_nobody_warned")
def test_a_variable_like_no_setting_is_named_without_a_guess(caplog: pytest.LogCaptureFixture) -> None:
    """What all variables begin with does not make one like another."""
    read({PREFIX + "ENDPOINT": "hidden"})

    assert [record.getMessage() for record in caplog.records] == [
        f"environment variable '{PREFIX}ENDPOINT' is no setting"
    ]


@pytest.mark.usefixtures("_nobody_warned")
def test_variables_of_a_vendor_with_a_longer_name_are_not_misspelt(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """mParticle's prefix begins that of mParticle Analytics, whose variables are its own to check."""
    environ = {
        "OTEL_EXPORTER_MPARTICLE_TIMEOUT": "3",
        "OTEL_EXPORTER_MPARTICLE_ANALYTICS_TIMEOUT": "4",
        "OTEL_EXPORTER_MPARTICLE_ANALYTICS_TIMOUT": "5",
    }

    found = read_settings(Settings, "OTEL_EXPORTER_MPARTICLE_", {"account": "A"}, environ)
    assert (found.timeout, caplog.records) == (3, [])

    found = read_settings(Settings, "OTEL_EXPORTER_MPARTICLE_ANALYTICS_", {"account": "A"}, environ)
    assert found.timeout == 4
    (record,) = caplog.records
    assert "'OTEL_EXPORTER_MPARTICLE_ANALYTICS_TIMOUT' is no setting" in record.getMessage()


@pytest.mark.usefixtures("_nobody_warned")
def test_endless_unknown_variables_are_bounded(caplog: pytest.LogCaptureFixture) -> None:
    """A hundred are named, and no more."""
    read({f"{PREFIX}NO_{number}": "x" for number in range(500)})

    assert len(caplog.records) == 100
