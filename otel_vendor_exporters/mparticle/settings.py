"""
The settings of the mParticle exporters and of the direct clients.

Sources: "HTTP API", "Data Hosting Locations", "Default Service Limits", "Pixel Service" and the mapping
section of the wire contract; what those leave open is a setting here, with the safe choice as its default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import urlsplit

from otel_vendor_exporters.addresses import check_certificates, check_proxy, is_sendable
from otel_vendor_exporters.errors import ConfigurationError, EncodingError
from otel_vendor_exporters.mparticle.user import Consent
from otel_vendor_exporters.mparticle.values import form_of
from otel_vendor_exporters.mparticle.vocabulary import CustomEventType, IdentityType, closed_set
from otel_vendor_exporters.settings import Secret, first_conflict, read_settings, setting

ENVIRONMENT_PREFIX = "OTEL_EXPORTER_MPARTICLE_"
PODS: Mapping[str, str] = MappingProxyType(
    {
        "US1": "https://s2s.mparticle.com",
        "US2": "https://s2s.us2.mparticle.com",
        "EU1": "https://s2s.eu1.mparticle.com",
        "AU1": "https://s2s.au1.mparticle.com",
    }
)
PIXEL_URL = "https://pixels.mparticle.com"
NOTHING: Mapping[str, str] = MappingProxyType({})
NO_IDENTITY = "none"
_YES_OR_NO = {"true": True, "false": False}

# Semantic conventions name none of these; they are what browsers' and apps' instrumentations send.
SCREENS = ("browser.page_view", "page_view", "screen_view", "app.screen.view")


@dataclass(frozen=True)
class MParticleSettings:
    """Every choice a user of mParticle has. Times are in seconds."""

    api_key: str | None = setting("The input's key; required unless transport is pixel.", default=None)
    api_secret: Secret | None = setting(
        "The input's secret; required unless transport is pixel.", default=None
    )
    web_api_key: str | None = setting("A Web input's key; required if transport is pixel.", default=None)
    environment: str = setting(
        "Of records whose resource has no deployment.environment.name; mParticle keeps the two apart.",
        default="production",
        choices=("production", "development"),
    )
    transport: str = setting(
        "events: the Events API; pixel: the Pixel Service, for custom events and screen views only.",
        default="events",
        choices=("events", "pixel"),
    )
    pod: str = setting("Where the account's data lives.", default="US1", choices=tuple(PODS))
    base_url: str | None = setting("Where to send instead of the pod's address.", default=None)
    user_agent: str | None = setting(
        "Sent with every request. mParticle takes it for the user's device when an event names none, so no "
        "User-Agent is sent unless this is set.",
        default=None,
    )
    anonymous: str = setting(
        "Records without any user: drop, send, or an identity for all of them such as customer_id=batch.",
        default="drop",
    )
    plain_logs: str = setting(
        "Log records without event name or exception: drop, or send as breadcrumb.",
        default="drop",
        choices=("drop", "breadcrumb"),
    )
    identities: Mapping[str, str] = setting(
        "Attribute to identity type, beside user.id=customer_id, enduser.id=customer_id, user.email=email; "
        "none as a type takes one away.",
        default=NOTHING,
    )
    event_types: Mapping[str, str] = setting(
        "Event name (a glob) to custom event type; first match wins, other if there is none.", default=NOTHING
    )
    screens: tuple[str, ...] = setting("Event names that are screen views.", default=SCREENS)
    span_events: str = setting(
        "Which span events are events: all, only exceptions, or none.",
        default="all",
        choices=("all", "exceptions", "none"),
    )
    network_performance: bool = setting(
        "Whether spans of HTTP calls the application makes are network performance events.", default=False
    )
    spans: Mapping[str, str] = setting(
        "Span name (a glob) to custom event type: spans that are custom events.", default=NOTHING
    )
    url_query: str = setting(
        "Whether the URLs of network performance keep their query; those of other events lose it anyway.",
        default="keep",
        choices=("keep", "drop"),
    )
    data_plan: str | None = setting("The id of the data plan the events follow.", default=None)
    data_plan_version: int | None = setting(
        "Its version; the latest unless set.", default=None, minimum=1, maximum=1000
    )
    consent: Mapping[str, str | bool] = setting(
        "What every user consented to: gdpr.<purpose> or ccpa.data_sale_opt_out to true or false, which "
        "`;document:`, `;location:`, `;hardware_id:`, `;regulation:`, `;timestamp_unixtime_ms:` may follow.",
        default=NOTHING,
    )
    allow_attributes: tuple[str, ...] = setting(
        "What may leave beside ids (globs of attributes' names, or of those on the wire); all but personal "
        "attributes unless set.",
        default=(),
    )
    deny_attributes: tuple[str, ...] = setting(
        "What never leaves (globs of attributes' names, or of those on the wire).", default=()
    )
    pixel_commas: str = setting(
        "Commas inside a value sent to the pixel: encode, replace by a space, or reject the event.",
        default="encode",
        choices=("encode", "space", "reject"),
    )
    duplicates: str = setting(
        "allow: a pixel whose answer never came is sent again; avoid: it is not. The Events API removes "
        "duplicates itself.",
        default="avoid",
        choices=("avoid", "allow"),
    )
    timeout: float = setting(
        "Seconds one request may take, and force_flush and shutdown at most.",
        default=10.0,
        minimum=0.01,
        maximum=3600,
    )
    connections: int = setting("Requests under way at once, at most.", default=4, minimum=1, maximum=64)
    batches_per_second: float = setting(
        "Batches sent per second, at most; 0 is no limit. mParticle's own default limit is 270.",
        default=270.0,
        minimum=0,
    )
    processes: int = setting("Processes that share that limit; each takes its part.", default=1, minimum=1)
    max_age: float = setting(
        "Seconds after which a batch is too old to be sent.", default=172_800.0, minimum=1
    )
    max_queue_items: int = setting(
        "Batches kept while mParticle cannot be reached; beyond it the oldest go.", default=20_000, minimum=1
    )
    max_queue_bytes: int = setting("The same bound in bytes.", default=64 * 1024 * 1024, minimum=200_000)
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
        needed = ("web_api_key",) if self.transport == "pixel" else ("api_key", "api_secret")
        for name in needed:
            if getattr(self, name) is None:
                message = f"{name} is missing: pass {name}= or set {ENVIRONMENT_PREFIX}{name.upper()}"
                if self.web_api_key:
                    message += "; a web_api_key alone needs transport=pixel"
                raise ConfigurationError(message, setting=name)
        _check_credentials(self)
        _check_base_url(self.resolved_base_url)
        check_proxy(self.proxy)
        check_certificates(self.ca_file, self.client_certificate)
        _check_words("identities", self.identities, closed_set(IdentityType) | {NO_IDENTITY})
        _check_words("event_types", self.event_types, closed_set(CustomEventType))
        _check_words("spans", self.spans, closed_set(CustomEventType))
        _check_anonymous(self.anonymous)
        _check_consent(self.consent)

    @classmethod
    def read(cls, **keywords: object) -> MParticleSettings:
        """Settings from keywords, else from OTEL_EXPORTER_MPARTICLE_* variables, else defaults."""
        return read_settings(cls, ENVIRONMENT_PREFIX, keywords)

    @property
    def resolved_base_url(self) -> str:
        """The address in force, without a path."""
        standard = PIXEL_URL if self.transport == "pixel" else PODS[self.pod]
        return (self.base_url or standard).rstrip("/")

    @property
    def batches_per_second_here(self) -> float | None:
        """This process's part of the rate; None for no limit."""
        return self.batches_per_second / self.processes or None

    @property
    def loopback(self) -> bool:
        """Whether it goes to this machine over plain http, as with the sandbox."""
        return urlsplit(self.resolved_base_url).scheme == "http"

    def conflict_with(self, other: MParticleSettings) -> str | None:
        """The first setting in which two users of one input in one process must not differ."""
        return first_conflict(self, other, _PER_EXPORTER)


# What each exporter may decide for itself: which of its records are which events of whom.
_PER_EXPORTER = frozenset(
    {
        *("environment", "anonymous", "plain_logs", "identities", "event_types", "screens", "span_events"),
        *("network_performance", "spans", "url_query", "data_plan", "data_plan_version", "consent"),
        *("allow_attributes", "deny_attributes", "pixel_commas"),
    }
)


def anonymous_identity(anonymous: str) -> tuple[str, str] | None:
    """The identity that the setting gives to records without a user, if it gives one."""
    kind, equals, value = anonymous.partition("=")
    return (kind.strip(), value.strip()) if equals else None


def consents_of(
    consent: Mapping[str, object], now_unix_ms: int
) -> dict[str, dict[str, Mapping[str, object]]]:
    """
    The forms of consents by law and purpose.

    Names are `gdpr.<purpose>` or `ccpa.data_sale_opt_out`; values are True or False, or their text with
    details behind it. Without a time of its own, a consent is as old as `now_unix_ms`. Raises EncodingError.
    """
    laws: dict[str, dict[str, Mapping[str, object]]] = {}
    for name, value in consent.items():
        law, _, purpose = name.partition(".")
        if not purpose or law not in ("gdpr", "ccpa") or (law == "ccpa" and purpose != "data_sale_opt_out"):
            expected = "gdpr.<purpose> or ccpa.data_sale_opt_out"
            raise EncodingError(f"consent names {name!r}: expected {expected}", field="consent")
        laws.setdefault(law, {})[purpose] = _consent(value, now_unix_ms)
    return laws


def _consent(value: object, now_unix_ms: int) -> Mapping[str, object]:
    word, *details = str(value).split(";")
    consented = _YES_OR_NO.get(word.strip().lower())
    contents: dict[str, object] = {"consented": consented, "timestamp_unixtime_ms": now_unix_ms}
    for detail in details:
        name, _, content = (part.strip() for part in detail.partition(":"))
        is_time = name == "timestamp_unixtime_ms" and content.isdecimal()
        contents[name] = int(content) if is_time else content
    return form_of(Consent, contents)


def _check_consent(consent: Mapping[str, object]) -> None:
    try:
        consents_of(consent, 0)
    except EncodingError as error:
        raise ConfigurationError(f"consent is wrong: {error}", setting="consent") from None


def _check_words(name: str, setting_: Mapping[str, str], words: frozenset[str]) -> None:
    for key, word in setting_.items():
        if word not in words:
            expected = "one of " + ", ".join(sorted(words))
            raise ConfigurationError(
                f"{name} gives {key} the type {word!r}: expected {expected}", setting=name
            )


def _check_anonymous(anonymous: str) -> None:
    identity = anonymous_identity(anonymous)
    if identity is None:
        right = anonymous in ("drop", "send")
    else:
        right = identity[0] in closed_set(IdentityType) and bool(identity[1])
    if not right:
        expected = "drop, send, or an identity such as customer_id=batch"
        raise ConfigurationError(f"anonymous is {anonymous!r}: expected {expected}", setting="anonymous")


def _check_credentials(settings: MParticleSettings) -> None:
    """Refuse what cannot be sent: line breaks, bytes of the environment that are no UTF-8."""
    secret = settings.api_secret.reveal() if settings.api_secret else ""
    for name, text in (
        ("api_key", settings.api_key or ""),
        ("api_secret", secret),
        ("web_api_key", settings.web_api_key or ""),
        ("user_agent", settings.user_agent or ""),
    ):
        if not text.isprintable() or (name == "user_agent" and not text.isascii()):
            raise ConfigurationError(f"{name} holds characters that cannot be sent", setting=name)
    if settings.api_key and ":" in settings.api_key:  # Basic: the first colon ends the key
        raise ConfigurationError("api_key holds a colon: expected the input's key alone", setting="api_key")


def _check_base_url(url: str) -> None:
    if not is_sendable(url):
        expected = "an https URL without user and query (http only on this machine)"
        shown = "…@" + url.rpartition("@")[2] if "@" in url else url
        raise ConfigurationError(f"base_url is {shown!r}: expected {expected}", setting="base_url")
