"""Files that settings name: what TLS can make nothing of is refused at construction, by every vendor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trustme

from otel_vendor_exporters.errors import ConfigurationError
from otel_vendor_exporters.mparticle import MParticleLogExporter
from otel_vendor_exporters.mparticle_analytics import MParticleAnalyticsLogExporter
from otel_vendor_exporters.mpulse import MPulseSpanExporter

EXPORTERS: dict[str, tuple[type, dict[str, str]]] = {
    "mpulse": (MPulseSpanExporter, {"api_key": "K", "domain": "d.example"}),
    "mparticle": (MParticleLogExporter, {"api_key": "key", "api_secret": "secret"}),
    "mparticle_analytics": (MParticleAnalyticsLogExporter, {"api_key": "key"}),
}


def made(vendor: str, **settings: Any) -> Any:
    exporter, needed = EXPORTERS[vendor]
    return exporter(**needed, **settings)


@pytest.mark.parametrize("vendor", EXPORTERS)
@pytest.mark.parametrize("content", ["root:x:0:0:root:/root:/bin/bash\n", "", "key"])
def test_a_file_without_a_certificate_is_no_authority(vendor: str, content: str, tmp_path: Path) -> None:
    """Any other file, an empty one, a key alone: named with what is expected, before anything is sent."""
    file = tmp_path / "ca.pem"
    file.write_text(content)
    if content == "key":
        trustme.CA().private_key_pem.write_to_path(str(file))

    with pytest.raises(ConfigurationError) as caught:
        made(vendor, ca_file=str(file))

    assert caught.value.setting == "ca_file"
    assert str(caught.value) == (
        f"ca_file is {str(file)!r} (NO_CERTIFICATE_OR_CRL_FOUND): "
        "expected a PEM file with the certificates of authorities"
    )


@pytest.mark.parametrize("vendor", EXPORTERS)
def test_authorities_are_a_file_or_a_folder(vendor: str, tmp_path: Path) -> None:
    """As requests takes them."""
    file = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(file))

    (tmp_path / "authorities").mkdir()
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "authorities" / "0a1b2c3d.0"))

    for path in (file, tmp_path / "authorities"):
        made(vendor, ca_file=str(path)).shutdown()


@pytest.mark.parametrize("vendor", EXPORTERS)
def test_a_folder_in_which_no_authority_can_be_found_is_refused(vendor: str, tmp_path: Path) -> None:
    """OpenSSL looks for names of hashes; a certificate of any other name is not seen."""
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.pem"))

    with pytest.raises(ConfigurationError) as caught:
        made(vendor, ca_file=str(tmp_path))

    assert caught.value.setting == "ca_file"
    assert str(caught.value) == (
        f"ca_file is the folder {str(tmp_path)!r}: "
        "expected a PEM file, or a folder in which files are named by their hash, as c_rehash does"
    )


@pytest.mark.parametrize("vendor", EXPORTERS)
def test_what_is_no_meter_provider_is_refused_and_holds_nothing(vendor: str) -> None:
    """Said before a destination is taken, which would never be left: other settings are free to follow."""
    with pytest.raises(ConfigurationError) as caught:
        made(vendor, meter_provider="x")
    made(vendor, timeout=3).shutdown()
    made(vendor, timeout=4).shutdown()

    assert caught.value.setting == "meter_provider"
    assert str(caught.value) == "meter_provider is a str: expected OpenTelemetry's MeterProvider"


@pytest.mark.parametrize("vendor", EXPORTERS)
def test_files_and_folders_may_be_paths(vendor: str, tmp_path: Path) -> None:
    """As code has them; the same in text is the same, so that both share a destination."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    pem = authority.issue_cert("shop.test").private_key_and_cert_chain_pem
    pem.write_to_path(str(tmp_path / "own.pem"))
    paths = {"ca_file": tmp_path / "ca.pem", "client_certificate": tmp_path / "own.pem"}
    paths["spool_dir"] = tmp_path / "spool"

    first = made(vendor, **paths)
    second = made(vendor, **{name: f"{path.parent}//{path.name}" for name, path in paths.items()})

    assert first.ledger() == second.ledger()
    first.shutdown()
    second.shutdown()


@pytest.mark.parametrize("vendor", EXPORTERS)
@pytest.mark.parametrize("name", ["ca_file", "client_certificate", "spool_dir"])
@pytest.mark.parametrize("path", ["/tmp/a\0b", Path("/tmp/a\0b")], ids=["text", "path"])
def test_no_path_has_a_nul(vendor: str, name: str, path: object) -> None:
    """It is refused by its setting's name when the exporter is made, and not felt at every call."""
    with pytest.raises(ConfigurationError) as caught:
        made(vendor, **{name: path})

    assert caught.value.setting == name
    assert (
        str(caught.value)
        == f"{name} is {path!r} (from keyword {name}): expected a path without NUL characters"
    )
