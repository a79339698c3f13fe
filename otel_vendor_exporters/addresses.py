"""
Addresses: which URLs and files a setting may name, and what of a URL may leave.

Never a password in an error.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from otel_vendor_exporters.errors import ConfigurationError
from otel_vendor_exporters.settings import Secret

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})

# As semantic conventions name what is a URL, or the path of one that people put a query behind.
_URLS = frozenset({"url", "url.full", "url.original", "url.path", "http.url", "http.target"})
_URL_ENDINGS = (".url", ".url.full", ".url.original", ".url.path")  # browser.document.url.full, ...
_USER = re.compile(r"([/\\]{2})[^/?#\\]*@")
_QUERY = re.compile(r"[?#]")
_HASHED = re.compile(r"[0-9a-f]{8}\.[0-9]+")  # how OpenSSL looks for an authority in a folder


_INDEX = ".0123456789"  # what a list adds to its name for each entry: redirect.url.0


def is_url(name: str) -> bool:
    """Whether an attribute of that name holds a URL, or a list of that name's."""
    name = name.rstrip(_INDEX)
    return name in _URLS or name.endswith(_URL_ENDINGS)


def bare_url(text: str, *, keeps_query: bool = False) -> str:
    """The URL without user and password, and without query and fragment unless they are kept."""
    if not keeps_query and ("?" in text or "#" in text):
        text = _QUERY.split(text, maxsplit=1)[0]
    return _USER.sub(r"\1", text) if "@" in text else text


def bare_url_bytes(content: bytes | bytearray, *, keeps_query: bool = False) -> bytes:
    """The same of a URL that is not decoded."""
    return bare_url(content.decode("latin-1"), keeps_query=keeps_query).encode("latin-1")


def is_sendable(url: str) -> bool:
    """Whether it is an https URL (http only on this machine) without user, query and blanks."""
    try:
        parts = urlsplit(url)
        right = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK_HOSTS)
        right = right and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return right and url.isascii() and url.isprintable() and not any(one in url for one in "@?# \\")


def check_url(name: str, url: str) -> None:
    """Refuse an address that is not https (http only on this machine), or has a user, query or last slash."""
    if not is_sendable(url) or url.endswith("/"):
        shown = f"…@{url.rpartition('@')[2]}" if "@" in url else url  # without what may be a password
        expected = "an https URL without user, query and slash at the end (http only on this machine)"
        raise ConfigurationError(f"{name} is {shown!r}: expected {expected}", setting=name)


def check_proxy(proxy: Secret | None) -> None:
    """Refuse what is no proxy's URL."""
    if proxy is not None and not is_proxy(proxy.reveal(), ("http", "https")):
        raise ConfigurationError(
            f"proxy is {proxy}: expected a URL such as http://host:8080", setting="proxy"
        )


def is_proxy(url: str, schemes: Collection[str]) -> bool:
    """Whether a URL names a proxy. With an @ behind its host, it is a password with / ? or # in it."""
    try:
        parts = urlsplit(url)
        has_place = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    whole = "@" not in parts.path + parts.query + parts.fragment
    return has_place and whole and parts.scheme in schemes and url.isprintable()


def check_certificates(ca_file: str | None, client_certificate: str | None) -> None:
    """Refuse files that are not there, or of which TLS can make nothing. Authorities may also be a folder."""
    for name, path in (("ca_file", ca_file), ("client_certificate", client_certificate)):
        if path is not None and not Path(path).exists():
            message = f"{name} is {path!r}: expected a PEM file, and there is none"
            raise ConfigurationError(message, setting=name)
    if ca_file is not None and Path(ca_file).is_dir():
        _check_folder(ca_file)
    elif ca_file is not None:
        expected = "a PEM file with the certificates of authorities"
        _load("ca_file", ca_file, expected, lambda context: context.load_verify_locations(ca_file))
    if client_certificate is not None:
        expected = "a PEM file with a certificate and its key, which is not encrypted"
        # Without a password OpenSSL asks for one on the application's terminal.
        load = partial(ssl.SSLContext.load_cert_chain, certfile=client_certificate, password="")
        _load("client_certificate", client_certificate, expected, load)


def _check_folder(ca_file: str) -> None:
    try:
        names = [path.name for path in Path(ca_file).iterdir()]
    except OSError:
        return  # it cannot be read now: what waits is kept until it can
    if not any(map(_HASHED.fullmatch, names)):
        expected = "a PEM file, or a folder in which files are named by their hash, as c_rehash does"
        raise ConfigurationError(f"ca_file is the folder {ca_file!r}: expected {expected}", setting="ca_file")


def _load(name: str, path: str, expected: str, load: Callable[[ssl.SSLContext], None]) -> None:
    try:
        load(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    except ssl.SSLError as error:
        message = f"{name} is {path!r} ({error.reason}): expected {expected}"
        raise ConfigurationError(message, setting=name) from error
    except OSError:
        return  # it cannot be read now: what waits is kept until it can
