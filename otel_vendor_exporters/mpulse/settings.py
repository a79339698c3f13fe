"""
The settings of the mPulse exporters and of `MPulseClient`.

Sources: "mPulse Beacon API (Version 2) Reference" and "Send a beacon" (techdocs), as collected in the wire
contract; what those leave open is a setting here, with the safe choice as its default.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import urlsplit

from otel_vendor_exporters import __version__
from otel_vendor_exporters.addresses import (
    LOOPBACK_HOSTS,
    check_certificates,
    check_proxy,
    is_sendable,
)
from otel_vendor_exporters.errors import ConfigurationError
from otel_vendor_exporters.settings import Secret, first_conflict, read_settings, setting

ENVIRONMENT_PREFIX = "OTEL_EXPORTER_MPULSE_"
USER_AGENT = f"otel-vendor-exporters/{__version__} (python/{platform.python_version()})"
PLAIN_CONFIG_URL = "https://c.go-mpulse.net/api/config.json"
SIGNED_CONFIG_URL = "https://c.go-mpulse.net/api/v2/config.json"
AB_TEST = re.compile(r"[A-Za-z0-9_ -]{1,25}")
_IN_PAGE_GROUP = re.compile(r"[A-Za-z0-9_-]")
NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class MPulseSettings:
    """Every choice a user of mPulse has. Times are in seconds."""

    api_key: str = setting("The app's API key: mPulse UI, Configure Web App, General.")
    domain: str | None = setting("The app's domain; required unless rest_secret is set.", default=None)
    config_url: str | None = setting(
        f"Where the app's configuration is asked for; {PLAIN_CONFIG_URL} unless set.", default=None
    )
    rest_secret: Secret | None = setting(
        "The app's REST API secret key: configuration requests are then signed.", default=None
    )
    user_agent: str = setting(
        "Sent with every request; apps that do not include bot beacons refuse some agents.",
        default=USER_AGENT,
    )
    timers: Mapping[str, str] = setting(
        "Span or histogram name (a glob) to custom timer name; first match wins.", default=NOTHING
    )
    metrics: Mapping[str, str] = setting(
        "Instrument name (a glob) to custom metric name; first match wins.", default=NOTHING
    )
    dimensions: Mapping[str, str] = setting(
        "Attribute (of the span, metric point or resource) to custom dimension name.", default=NOTHING
    )
    page_group: str | None = setting("Page group of what names none itself.", default=None)
    ab_test: str | None = setting("A/B test bucket of what names none itself.", default=None)
    session: str = setting(
        "process: what carries no session.id belongs to a session of this process; none: to none.",
        default="process",
        choices=("process", "none"),
    )
    timeout: float = setting(
        "Seconds one request may take, and force_flush and shutdown at most.",
        default=10.0,
        minimum=0.01,
        maximum=3600,
    )
    connections: int = setting("Requests under way at once, at most.", default=4, minimum=1, maximum=64)
    max_beacons_per_hour: int | None = setting(
        "Budget of beacons; timers are sampled and metrics merged to keep within it; some stay for the end.",
        default=None,
        minimum=12,
    )
    processes: int = setting(
        "Processes that share the budget, all that start within an hour among them; each takes its part.",
        default=1,
        minimum=1,
    )
    max_age: float = setting("Seconds after which a timing is too old to be sent.", default=600.0, minimum=1)
    time_bucket: float = setting(
        "Timings that ended in the same slice of so many seconds may share a beacon; 0 = same millisecond.",
        default=5.0,
        minimum=0,
    )
    duplicates: str = setting(
        "avoid: a beacon whose answer never came is not sent again; allow: it is.",
        default="avoid",
        choices=("avoid", "allow"),
    )
    undefined: str = setting(
        "drop: names the app does not define are not sent; send: they are, to a sandbox that learns them.",
        default="drop",
        choices=("drop", "send"),
    )
    method: str = setting(
        "auto: GET up to max_url_length, else POST; or always one of them.",
        default="auto",
        choices=("auto", "get", "post"),
    )
    max_url_length: int = setting("Characters of a GET beacon's URL.", default=2000, minimum=500)
    max_body_bytes: int = setting("Bytes of a POST beacon's body.", default=16384, minimum=500)
    max_timers: int = setting("Custom timers in one beacon.", default=10, minimum=1)
    max_metrics: int = setting("Custom metrics in one beacon.", default=10, minimum=1)
    api_version: int = setting("The beacon's api.v.", default=1, choices=(1, 2))
    rt_start: str = setting("The beacon's rt.start.", default="manual", choices=("manual", "api"))
    http_initiator: bool = setting("Whether beacons carry http.initiator.", default=True)
    sanitize: bool = setting(
        "Whether page groups and dimension values lose the characters that mPulse's browser agent removes.",
        default=True,
    )
    zero_metrics: bool = setting("Whether an increment of 0 is sent.", default=False)
    negative_metrics: bool = setting("Whether values below 0 are sent.", default=False)
    config_refresh: float = setting(
        "Seconds between configuration requests; a crumb lives 600.", default=300.0, minimum=1, maximum=590
    )
    config_retry: float = setting(
        "Seconds before the first repeat of a failed configuration request; grows to 600.",
        default=60.0,
        minimum=0.01,
    )
    max_queue_items: int = setting(
        "Timings and increments kept while mPulse cannot be reached; beyond it the oldest go.",
        default=50_000,
        minimum=1,
    )
    max_queue_bytes: int = setting("The same bound in bytes.", default=32 * 1024 * 1024, minimum=10_000)
    spool_dir: str | None = setting(
        "A folder where what waits is also written to disk, so that it outlives the process.",
        default=None,
        is_path=True,
    )
    ca_file: str | None = setting(
        "A PEM file of authorities to trust instead of the usual ones, or a folder of c_rehash.",
        default=None,
        is_path=True,
    )
    client_certificate: str | None = setting(
        "A PEM file with a certificate and its key, which is not encrypted.",
        default=None,
        is_path=True,
    )
    proxy: Secret | None = setting(
        "The proxy's URL; unless set, HTTPS_PROXY and NO_PROXY hold.", default=None
    )
    http_session: object | None = setting(
        "A requests.Session to send with, from code only; its adapters, proxies and certificates then hold.",
        default=None,
    )

    def __post_init__(self) -> None:
        """Check what no single field can: raises ConfigurationError."""
        if self.domain is None and self.rest_secret is None:
            message = f"domain is missing: pass domain= or set {ENVIRONMENT_PREFIX}DOMAIN"
            raise ConfigurationError(message, setting="domain")
        if self.ab_test is not None and not AB_TEST.fullmatch(self.ab_test):
            expected = "1 to 25 of letters, digits, space, '_' and '-'"
            raise ConfigurationError(f"ab_test is {self.ab_test!r}: expected {expected}", setting="ab_test")
        if self.page_group is not None and self.sanitize and not _IN_PAGE_GROUP.search(self.page_group):
            expected = "letters, digits, '_' or '-', since sanitize removes the rest"
            message = f"page_group is {self.page_group!r}: expected {expected}"
            raise ConfigurationError(message, setting="page_group")
        if self.beacons_per_hour == 0:
            message = f"processes is {self.processes}: expected at most max_beacons_per_hour"
            raise ConfigurationError(f"{message} ({self.max_beacons_per_hour})", setting="processes")
        _check_word("api_key", self.api_key, ascii_only=True)
        _check_word("domain", self.domain or "", ascii_only=False)
        _check_printable("rest_secret", self.rest_secret.reveal() if self.rest_secret else "")
        _check_config_url(self.resolved_config_url)
        if self.undefined == "send" and not self.loopback:
            expected = "'drop', since mPulse ignores what it has not defined (send is for the sandbox)"
            raise ConfigurationError(f"undefined is 'send': expected {expected}", setting="undefined")
        _check_user_agent(self.user_agent)
        check_proxy(self.proxy)
        check_certificates(self.ca_file, self.client_certificate)

    @classmethod
    def read(cls, **keywords: object) -> MPulseSettings:
        """Settings from keywords, else from OTEL_EXPORTER_MPULSE_* variables, else defaults."""
        return read_settings(cls, ENVIRONMENT_PREFIX, keywords)

    @property
    def resolved_config_url(self) -> str:
        """The configuration URL in force, without its query."""
        return self.config_url or (SIGNED_CONFIG_URL if self.rest_secret else PLAIN_CONFIG_URL)

    @property
    def domain_in_lower_case(self) -> str:
        """As domains are compared: they are the same in any case."""
        return (self.domain or "").casefold()

    @property
    def beacons_per_hour(self) -> int | None:
        """This process's part of the budget: whole beacons, so that all parts together stay within it."""
        return None if self.max_beacons_per_hour is None else self.max_beacons_per_hour // self.processes

    @property
    def loopback(self) -> bool:
        """Whether the configuration comes from this machine over plain http, as with the sandbox."""
        url = urlsplit(self.resolved_config_url)
        return url.scheme == "http" and url.hostname in LOOPBACK_HOSTS

    def conflict_with(self, other: MPulseSettings) -> str | None:
        """The first setting in which two users of one mPulse app in one process must not differ."""
        same_domain = self.domain_in_lower_case == other.domain_in_lower_case
        return first_conflict(self, other, _PER_EXPORTER | {"domain"} if same_domain else _PER_EXPORTER)


# What each exporter may decide for itself: how its own records are named and placed.
_PER_EXPORTER = frozenset({"timers", "metrics", "dimensions", "page_group", "ab_test"})


def _check_config_url(url: str) -> None:
    if not is_sendable(url) or not urlsplit(url).path:
        expected = "an https URL with a path, without user and query (http only on this machine)"
        raise ConfigurationError(f"config_url is {_shown(url)!r}: expected {expected}", setting="config_url")


def _shown(url: str) -> str:
    """The URL without what may be a password."""
    scheme, _, rest = url.rpartition("//")
    return f"{scheme}//…@{rest.rpartition('@')[2]}" if "@" in rest else url


def _check_printable(name: str, text: str) -> None:
    """Refuse what cannot be sent: bytes of the environment that are no UTF-8, line breaks."""
    if not text.isprintable():
        raise ConfigurationError(f"{name} holds characters that cannot be sent", setting=name)


def _check_word(name: str, text: str, *, ascii_only: bool) -> None:
    """Refuse what neither a key nor a domain can be, as it comes of copying more than it."""
    if ascii_only and not text.isascii():
        raise ConfigurationError(f"{name} holds characters other than ASCII: expected a key", setting=name)
    if any(one.isspace() for one in text):
        message = f"{name} is {text!r}: expected it without blanks and line breaks"
        raise ConfigurationError(message, setting=name)
    _check_printable(name, text)


def _check_user_agent(user_agent: str) -> None:
    if not user_agent.isascii() or not user_agent.isprintable():
        message = f"user_agent is {user_agent!r}: expected printable ASCII"
        raise ConfigurationError(message, setting="user_agent")
