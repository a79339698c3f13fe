"""
The settings of the mParticle Analytics exporters and of `AnalyticsClient`.

Sources: "REST API" of mParticle Analytics, as collected in the wire contract; what it leaves open is a
setting here, with the safe choice as its default.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from otel_vendor_exporters import __version__
from otel_vendor_exporters import attributes as names
from otel_vendor_exporters.addresses import check_certificates, check_proxy, check_url
from otel_vendor_exporters.errors import ConfigurationError
from otel_vendor_exporters.mparticle_analytics.texts import fits
from otel_vendor_exporters.settings import Secret, first_conflict, read_settings, setting

ENVIRONMENT_PREFIX = "OTEL_EXPORTER_MPARTICLE_ANALYTICS_"
BASE_URL = "https://api.indicative.com/service"
USER_AGENT = f"otel-vendor-exporters/{__version__} (python/{platform.python_version()})"
NOTHING: Mapping[str, str] = MappingProxyType({})
ANONYMOUS_ID_FROM = (names.ENDUSER_PSEUDO_ID, names.SESSION_ID)
# Neither personal data nor what is of no use there: where in the source and the process it was made.
NOT_SENT = (*names.PERSONAL_ATTRIBUTES, "exception.stacktrace", "code.*", "thread.*")


@dataclass(frozen=True)
class AnalyticsSettings:
    """Every choice a user of mParticle Analytics has. Times are in seconds."""

    api_key: Secret = setting("The project's API key: Analytics, Settings, Data Sources.")
    base_url: str = setting("Where the REST API is.", default=BASE_URL)
    key_in: str = setting(
        "Where the API key travels; with batches and GET it is never in the path.",
        default="body",
        choices=("body", "path"),
    )
    user_id_from: tuple[str, ...] = setting(
        "Attributes that may hold the user's id; the first that is set counts.",
        default=(names.USER_ID, names.ENDUSER_ID, names.MPARTICLE_CUSTOMER_ID, *ANONYMOUS_ID_FROM),
    )
    anonymous_id_from: tuple[str, ...] = setting(
        "Those of them that name a visitor nobody knows yet.",
        default=ANONYMOUS_ID_FROM,
    )
    anonymous: str = setting(
        "drop: what carries no id at all is not sent; send: it is, as anonymous_user.",
        default="drop",
        choices=("drop", "send"),
    )
    anonymous_user: str | None = setting(
        "The id of what carries none; one made for this process unless set.", default=None
    )
    alias: str = setting(
        "When an anonymous id is merged into a user's, which cannot be undone: seen: if this process sent"
        " events under it; always: whenever a record carries both; never.",
        default="seen",
        choices=("seen", "always", "never"),
    )
    plain_logs: str = setting(
        "drop: log records without event name and exception are not sent; send: as events named log.",
        default="drop",
        choices=("drop", "send"),
    )
    event_names: Mapping[str, str] = setting(
        "Event name (a glob) to the name to send; first match wins; {name} stands for the original.",
        default=NOTHING,
    )
    allow_attributes: tuple[str, ...] = setting(
        "Attributes (globs) that are sent as properties, of events and of users; all but personal and"
        " technical ones unless set.",
        default=(),
    )
    deny_attributes: tuple[str, ...] = setting(
        "Attributes, context and user properties (globs) that are never sent, nor what is in them.",
        default=(),
    )
    context_properties: tuple[str, ...] = setting(
        "What else each event tells: resource attributes, otel.scope.name, otel.scope.version, log.body,"
        " log.severity_text, span.name, trace_id, span_id.",
        default=(names.SERVICE_NAME, names.DEPLOYMENT_ENVIRONMENT_NAME, "log.severity_text", "log.body"),
    )
    events_per_second: int = setting(
        "Events and calls a second at most, as the vendor allows; 0 = no limit.", default=250, minimum=0
    )
    processes: int = setting(
        "Processes that share events_per_second; each takes its part.", default=1, minimum=1
    )
    max_batch_events: int = setting("Events in one request.", default=100, minimum=1, maximum=100)
    max_body_bytes: int = setting(
        "Bytes of one request's body.", default=900_000, minimum=2_000, maximum=1_000_000
    )
    timeout: float = setting(
        "Seconds one request may take, and force_flush and shutdown at most.",
        default=10.0,
        minimum=0.01,
        maximum=3600,
    )
    connections: int = setting("Requests under way at once, at most.", default=8, minimum=1, maximum=64)
    duplicates: str = setting(
        "allow: events whose answer never came are sent again; avoid: they are not.",
        default="allow",
        choices=("allow", "avoid"),
    )
    max_age: float = setting(
        "Seconds after which an event or call is too old to be sent.", default=48 * 3600.0, minimum=1
    )
    max_queue_items: int = setting(
        "Events and calls kept while Analytics cannot be reached; beyond it the oldest go.",
        default=50_000,
        minimum=1,
    )
    max_queue_bytes: int = setting("The same bound in bytes.", default=64 * 1024 * 1024, minimum=10_000)
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
    user_agent: str = setting("Sent with every request.", default=USER_AGENT)

    def __post_init__(self) -> None:
        """Check what no single field can: raises ConfigurationError."""
        if not self.api_key.reveal().isprintable():
            raise ConfigurationError("api_key holds characters that cannot be sent", setting="api_key")
        check_url("base_url", self.base_url)
        check_proxy(self.proxy)
        check_certificates(self.ca_file, self.client_certificate)
        if not self.user_agent.isascii() or not self.user_agent.isprintable():
            message = f"user_agent is {self.user_agent!r}: expected printable ASCII"
            raise ConfigurationError(message, setting="user_agent")
        if self.anonymous_user is not None and not fits(self.anonymous_user):
            message = f"anonymous_user has {len(self.anonymous_user)} characters: expected 1 to 255"
            raise ConfigurationError(message, setting="anonymous_user")
        self._check_ids()
        self._check_event_names()
        if 0 < self.events_per_second < self.processes:
            message = (
                f"processes is {self.processes}: expected at most events_per_second, {self.events_per_second}"
            )
            raise ConfigurationError(message, setting="processes")

    def _check_ids(self) -> None:
        if not self.user_id_from:
            message = "user_id_from is empty: expected attributes that hold the user's id"
            raise ConfigurationError(message, setting="user_id_from")
        unknown = [name for name in self.anonymous_id_from if name not in self.user_id_from]
        # The default lists go together; who names another user_id_from need not empty this one.
        if unknown and self.anonymous_id_from != ANONYMOUS_ID_FROM:
            message = f"anonymous_id_from names {', '.join(unknown)}, which user_id_from does not"
            raise ConfigurationError(message, setting="anonymous_id_from")

    def _check_event_names(self) -> None:
        for glob, name in self.event_names.items():
            if not fits(name.replace("{name}", "x")):
                message = f"event_names maps {glob!r} to a name that has not 1 to 255 characters"
                raise ConfigurationError(message, setting="event_names")

    @classmethod
    def read(cls, **keywords: object) -> AnalyticsSettings:
        """Settings from keywords, else from OTEL_EXPORTER_MPARTICLE_ANALYTICS_*, else defaults."""
        return read_settings(cls, ENVIRONMENT_PREFIX, keywords)

    @property
    def most_per_second(self) -> int | None:
        """This process's part of the rate; None without a limit."""
        return self.events_per_second // self.processes or None

    def conflict_with(self, other: AnalyticsSettings) -> str | None:
        """The first setting in which two users of one project in one process must not differ."""
        return first_conflict(self, other, _PER_EXPORTER)


# What each exporter may decide for itself: what its own records become.
_PER_EXPORTER = frozenset(
    {
        *("user_id_from", "anonymous_id_from", "anonymous", "anonymous_user", "alias", "plain_logs"),
        *("event_names", "allow_attributes", "deny_attributes", "context_properties"),
    }
)
