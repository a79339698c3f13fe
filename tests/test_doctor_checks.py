"""The doctor's checks of what a test cannot install or break for real: versions, signals, clocks, ways."""

from __future__ import annotations

import re
import socket
import threading
from base64 import b64encode
from email.utils import formatdate
from pathlib import Path

import pytest

from otel_vendor_exporters.delivery.request import Failure, Reply, Request
from otel_vendor_exporters.doctor.declared import declared_in
from otel_vendor_exporters.doctor.network import Exchange, skew_seconds, unreachable, way_findings
from otel_vendor_exporters.doctor.packages import NEEDED, Package, installed, package_findings
from otel_vendor_exporters.doctor.signals import signal_findings
from otel_vendor_exporters.mpulse.settings import MPulseSettings

FITTING = {
    "opentelemetry-api": "1.45.2",
    "opentelemetry-sdk": "1.45.2",
    "opentelemetry-semantic-conventions": "0.66b2",
    "opentelemetry-instrumentation": "0.66b2",
    "opentelemetry-distro": "0.66b1",
    "requests": "2.34.2",
    "urllib3": "2.8.0",
    "wrapt": "2.5.2",
}


def packages(**pins: dict[str, str]) -> dict[str, Package]:
    """FITTING with the pins of `opentelemetry-<name>`."""
    return {
        name: Package(version, pins.get(name.removeprefix("opentelemetry-").replace("-", "_"), {}))
        for name, version in FITTING.items()
    }


def codes(found: dict[str, Package]) -> list[tuple[str, str]]:
    return [(one.level.name, one.code) for one in package_findings(found)]


def test_packages_that_fit() -> None:
    """The set that the contract proved is well, betas of another patch included."""
    assert codes(packages()) == [("OK", "fit"), ("INFO", "versions")]


def test_the_packages_that_are_installed() -> None:
    """What the tests run with is read from the packages' metadata, pins included, and fits."""
    found = installed()

    assert found["opentelemetry-sdk"].pins["opentelemetry-api"] == found["opentelemetry-api"].version
    assert "wrapt" in found
    assert all(level in ("OK", "INFO") for level, _ in codes(found))


@pytest.mark.parametrize(
    ("name", "version", "expected"),
    [
        ("opentelemetry-instrumentation", "0.48b0", ("ERROR", "left_behind")),
        ("opentelemetry-distro", "0.48b0", ("ERROR", "left_behind")),
        ("opentelemetry-api", "1.44.0", ("ERROR", "api_is_not_sdk")),
        ("opentelemetry-sdk", "1.38.0", ("ERROR", "unsupported")),
        ("opentelemetry-api", "2.0.0", ("ERROR", "unsupported")),
        ("urllib3", "1.26.20", ("ERROR", "unsupported")),
        ("wrapt", "1.15.0", ("ERROR", "unsupported")),
        ("wrapt", "3.0", ("ERROR", "unsupported")),
        ("requests", "2.31.0", ("ERROR", "unsupported")),
        ("requests", "of ours", ("ERROR", "unsupported")),
    ],
)
def test_packages_that_do_not_fit(name: str, version: str, expected: tuple[str, str]) -> None:
    """Each way in which versions fail is told."""
    assert expected in codes({**packages(), name: Package(version, {})})


def test_a_package_that_wants_another_version() -> None:
    """An exact requirement that is not met is told with both versions; extras do not count."""
    found = packages(instrumentation={"opentelemetry-semantic-conventions": "0.66b1", "not-there": "1"})
    (finding, _) = package_findings(found)

    assert finding.code == "broken_pin"
    assert finding.sentence.startswith(
        "opentelemetry-instrumentation 0.66b2 needs opentelemetry-semantic-conventions 0.66b1, "
        "and 0.66b2 is installed: pip install"
    )


def test_instrumentation_without_a_distribution() -> None:
    """opentelemetry-instrument then does nothing, which is worth knowing and no fault."""
    found = {name: one for name, one in packages().items() if name != "opentelemetry-distro"}

    assert codes(found) == [("OK", "fit"), ("INFO", "no_distro"), ("INFO", "versions")]


def test_what_is_needed_is_what_is_declared() -> None:
    """The versions that the doctor expects are those of pyproject.toml."""
    text = (Path(__file__).parent.parent / "pyproject.toml").read_text()
    declared = re.findall(r'"([a-z0-9-]+)>=([\d.]+)(?:,<([\d.]+))?"', text.partition("dependencies = [")[2])[
        :5
    ]
    needed = {
        name: (least, below) if below[0] < 99 else (least, ()) for name, (least, below) in NEEDED.items()
    }

    def numbers(version: str) -> tuple[int, ...]:
        return tuple(map(int, f"{version}.0".split(".")[:2])) if version else ()

    assert {name: (numbers(least), numbers(below)) for name, least, below in declared} == needed


AVAILABLE = {
    "traces": frozenset({"mpulse", "mparticle"}),
    "metrics": frozenset({"mpulse"}),
    "logs": frozenset({"mparticle", "otlp"}),
}


@pytest.mark.parametrize(
    ("traces", "metrics", "logs", "expected"),
    [
        ("mpulse", "none", "none", ["selected"]),
        ("mpulse,mparticle", "mpulse", "", ["selected"]),
        ("mpulse", "", "none", ["default_is_missing"]),
        ("mpulse", "none", "mpulse", ["not_installed"]),
        ("mpulze,mpulse", "", "none", ["not_installed", "default_is_missing"]),
        ("otlp", "otlp", "otlp", []),
        ("", "", "", []),
    ],
)
def test_selected_exporters(traces: str, metrics: str, logs: str, expected: list[str]) -> None:
    """Where one of ours is selected, every selected exporter must be there, defaults included."""
    environment = {
        "OTEL_TRACES_EXPORTER": traces,
        "OTEL_METRICS_EXPORTER": metrics,
        "OTEL_LOGS_EXPORTER": logs,
    }

    assert [one.code for one in signal_findings(environment, AVAILABLE)] == expected


@pytest.mark.parametrize("text", ["file_format: 7", "tracer_provider: [1]", "[]", ""])
def test_configuration_files_that_cannot_be_used(tmp_path: Path, text: str) -> None:
    """Whatever OpenTelemetry's reader raises is an error that says so."""
    (tmp_path / "otel.yaml").write_text(text)
    content = declared_in(str(tmp_path / "otel.yaml"))

    assert (content.finding.level.name, content.finding.code) == ("ERROR", "unusable")
    assert (content.exporters, content.instrumentor) == ((), {})


def exchange(reply: Reply, proxy: str | None = None, *, seconds: float = 0.5) -> Exchange:
    """A question that left at second 1000 and was answered so."""
    request = Request("GET", "https://vendor.example/c?key=k")
    return Exchange(request, reply, proxy, 1_000_000, 1_000_000 + int(seconds * 1000))


@pytest.mark.parametrize(
    ("date_seconds", "age", "expected"),
    [
        (1000, "", 0.0),
        (999, "", 0.0),
        (990, "", 9.0),
        (1100, "", -99.5),
        (700, "300", 0.0),
        (700, "x", 299.0),
    ],
)
def test_how_far_the_clock_is_off(date_seconds: int, age: str, expected: float) -> None:
    """At least so far: a Date is cut to seconds, and as old as its cache says."""
    reply = Reply(200, {"date": formatdate(date_seconds, usegmt=True), "age": age})

    assert skew_seconds(exchange(reply)) == expected


@pytest.mark.parametrize("date", ["", "soon", "Mon, 99 Foo 2026 00:00:00 GMT"])
def test_a_date_that_is_none(date: str) -> None:
    """It is no date, and no error."""
    assert skew_seconds(exchange(Reply(200, {"date": date}))) is None


@pytest.mark.parametrize("error", [socket.gaierror(-2, "unknown"), UnicodeError("label empty")])
def test_a_name_that_nobody_knows(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """The name is told, since most often it is misspelt."""

    def unknown(*_: object) -> None:
        raise error

    monkeypatch.setattr(socket, "create_connection", unknown)  # no test asks a real DNS
    reply = Reply(failure=Failure.NOT_SENT, words="NameResolutionError: gaierror")

    assert [one.code for one in way_findings(exchange(reply), 1.0)] == ["dns"]
    assert unreachable("https://vendor.example/", settings()) == "its name is not known to the DNS"


def test_a_proxy_that_does_not_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that is there and says no is not taken for one that is down."""
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        url = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        reply = Reply(failure=Failure.NOT_SENT, words="ProxyError: OSError")
        (finding,) = way_findings(exchange(reply, url), 1.0)

    assert finding.sentence == f"the proxy {url} does not connect to vendor.example (ProxyError: OSError)"


def settings(**keywords: object) -> MPulseSettings:
    return MPulseSettings.read(api_key="K", domain="d", timeout=5, **keywords)


@pytest.mark.parametrize("how", ["setting", "environment"])
def test_beacons_through_a_proxy(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a proxy connects to mPulse's collector is asked of the proxy, by setting or environment."""
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        port = proxy.getsockname()[1]
    if how == "environment":
        monkeypatch.setenv("HTTPS_PROXY", f"127.0.0.1:{port}")
    given = settings(proxy=f"http://127.0.0.1:{port}") if how == "setting" else settings()

    assert unreachable("https://vendor.example/", given) == "Connection refused"


@pytest.mark.parametrize(
    ("user", "obstacle"),
    [("me:p%40ss@", None), ("", "Tunnel connection failed: 407 Proxy Authentication Required")],
)
def test_a_proxy_that_wants_to_know_who(
    monkeypatch: pytest.MonkeyPatch, user: str, obstacle: str | None
) -> None:
    """User and password of the proxy's URL are said to it, as the exporters do."""

    def answer() -> None:
        connection, _ = proxy.accept()
        with connection:
            said = connection.recv(4096)
            known = b"Proxy-Authorization: Basic " + b64encode(b"me:p@ss") in said
            status = b"200 OK" if known else b"407 Proxy Authentication Required"
            connection.sendall(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as proxy:
        thread = threading.Thread(target=answer)
        thread.start()
        monkeypatch.setenv("HTTPS_PROXY", f"http://{user}127.0.0.1:{proxy.getsockname()[1]}")

        assert unreachable("https://vendor.example/", settings()) == obstacle
        thread.join()
