"""
People: from resource and attributes to whose an event is: user, device, application, address, consent.

Pure. Section 8.2 of the wire contract, as tables. Attributes that say whose an event is go here and nowhere
else: they are not repeated among its custom attributes. What does not fit its field is left out and counted,
by the attribute's name; the event goes all the same.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from otel_vendor_exporters import attributes as names
from otel_vendor_exporters.errors import EncodingError
from otel_vendor_exporters.mparticle.batching import owner_of
from otel_vendor_exporters.mparticle.ids import is_uuid
from otel_vendor_exporters.mparticle.permits import Permits
from otel_vendor_exporters.mparticle.settings import (
    NO_IDENTITY,
    MParticleSettings,
    anonymous_identity,
    consents_of,
)
from otel_vendor_exporters.mparticle.texts import text_of
from otel_vendor_exporters.mparticle.units import Owner
from otel_vendor_exporters.mparticle.values import form_of, int64, ip_text
from otel_vendor_exporters.mparticle.vocabulary import IdentityType, closed_set
from otel_vendor_exporters.mparticle.wire import Batch

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource

_MOST_REMEMBERED = 5_000
_MOST_RESOURCES = 1_000
_LONGEST_REMEMBERED = 4_000  # characters: of what a record said, and of what a batch says for it

_IDENTITIES: Mapping[str, str] = {
    "user.id": "customer_id",
    "enduser.id": "customer_id",
    "user.email": "email",
}
_ADDRESSES = ("client.address", "http.client_ip")
# Of a record, or of its resource: the consumer's browser and network, also when this runs on a server.
_CONNECTION: Mapping[str, str] = {
    "http.user_agent": "http_header_user_agent",
    "user_agent.original": "http_header_user_agent",
    "network.carrier.name": "network_carrier",
    "network.carrier.mcc": "network_mobile_country_code",
    "network.carrier.mnc": "network_code",
    "network.carrier.icc": "network_country",
}
# Of a resource that is the consumer's device; a later one of two names for the same goes first.
_DEVICE: Mapping[str, str] = {
    "device.manufacturer": "device_manufacturer",
    "device.model.name": "device_model",
    "device.model.identifier": "device_model",
    "os.version": "os_version",
    "os.build_id": "build_identifier",
    "host.arch": "cpu_architecture",
}
_APPLICATION: Mapping[str, str] = {
    "service.name": "application_name",
    "service.version": "application_version",
    "app.build_id": "application_build_number",
}
_PLATFORMS: Mapping[str, str] = {"ios": "iOS", "ipados": "iOS", "android": "Android", "tvos": "tvOS"}
_PRODUCTION = frozenset({"production", "prod", "live"})
_ENVIRONMENTS = ("deployment.environment.name", "deployment.environment")
_IDENTITY_TYPES = closed_set(IdentityType)
_DEVICE_INFO = "device_info"
# The names these leave under: key and object.
_LEAVES_AS: Mapping[str, tuple[str, ...]] = {
    **{name: (key, "application_info") for name, key in _APPLICATION.items()},
    **{name: (key, _DEVICE_INFO) for name, key in (*_CONNECTION.items(), *_DEVICE.items())},
    **dict.fromkeys(_ADDRESSES, ("ip",)),
    **dict.fromkeys(_ENVIRONMENTS, ("environment",)),
    "os.name": ("platform", _DEVICE_INFO),
    "app.installation.id": ("ios_idfv", _DEVICE_INFO),
    "browser.language": ("locale_language", "locale_country", _DEVICE_INFO),
    names.MPARTICLE_MPID: ("mpid",),
}
_PREFIXES_LEAVE_AS: Mapping[str, str] = {
    names.MPARTICLE_IDENTITY_PREFIX: "user_identities",
    names.MPARTICLE_USER_ATTRIBUTE_PREFIX: "user_attributes",
    names.MPARTICLE_CONSENT_PREFIX: "consent_state",
}
# What an allow list need not name, beside identities: which application it is, and what the user said.
_NEEDED = frozenset({*_APPLICATION, *_ENVIRONMENTS, names.MPARTICLE_MPID})
_NEEDED_PREFIXES = (names.MPARTICLE_IDENTITY_PREFIX, names.MPARTICLE_CONSENT_PREFIX)

# Name, value, and the value's type unless it is text: 1 and True are equal, and two users.
Attribute: TypeAlias = "tuple[str, object] | tuple[str, object, type]"


_WHOLE_NUMBER = re.compile("-?[0-9]{1,19}")  # int() would also take 1_0, and digits of other scripts
# The time of a consent that names none, until it is known which record says it. No record can say this.
_NO_TIME = -1
_UNDATED = f'"timestamp_unixtime_ms":{_NO_TIME}'


class _Known(NamedTuple):
    """The owner, or None where there is none, and the attributes that did not fit."""

    owner: Owner | None
    left_out: tuple[str, ...]
    is_dated: bool = True


class _Memory(NamedTuple):
    """
    What was found, by id of the resource and what a record said.

    The resources are kept with it: another one at the same address would have the same id.
    """

    resources: dict[int, tuple[Resource, Mapping[str, object]]]
    owners: dict[tuple[object, ...], _Known]


class People:
    """
    Owners, remembered: most records come from few resources and from users who just did something else.

    Any thread may call; two that meet a user at once make equal owners.
    """

    def __init__(self, settings: MParticleSettings, permits: Permits, started_unix_ms: int) -> None:
        self._permits = permits
        self._environment = settings.environment
        self._anonymous = settings.anonymous
        self._identities = _identity_types(settings.identities)
        self._own = frozenset({*self._identities, *_ADDRESSES, *_CONNECTION, names.MPARTICLE_MPID})
        self._fixed = _fixed_parts(settings, started_unix_ms)
        self._memory = _Memory({}, {})

    def speaks_of(self, name: str) -> bool:
        """Whether an attribute of that name says whose an event is."""
        return name in self._own or name.startswith(tuple(_PREFIXES_LEAVE_AS))

    def needs(self, name: str) -> bool:
        """Whether nobody could tell whose the event is without it: an allow list need not name it."""
        return name in _NEEDED or name in self._identities or name.startswith(_NEEDED_PREFIXES)

    def leaves_as(self, name: str) -> tuple[str, ...]:
        """The names on the wire of an attribute that says whose an event is."""
        if name in self._identities:
            return self._identities[name], "user_identities"
        if name in _LEAVES_AS:
            return _LEAVES_AS[name]
        prefixes = _PREFIXES_LEAVE_AS.items()
        return next(((name.removeprefix(one), to) for one, to in prefixes if name.startswith(one)), ())

    def owner(
        self, resource: Resource, said: Iterable[Attribute], unix_ms: int, left_out: Counter[str]
    ) -> Owner | None:
        """Whose an event of that time is that said this of its user. None: nobody's; those are not sent."""
        memory = self._memory
        key = (id(resource), *said)
        try:
            known = memory.owners.get(key)
        except TypeError:  # a list or a map, which no dictionary finds again
            key = (id(resource), *[(one[0], text_of(one[1]), *one[2:]) for one in said])
            known = memory.owners.get(key)
        if known is None:
            if len(memory.owners) >= _MOST_REMEMBERED or len(memory.resources) >= _MOST_RESOURCES:
                memory = self._memory = _Memory({}, {})
            parts = self._of_resource(resource, memory)
            known = self._find(parts, {one[0]: one[1] for one in said})
            if _is_short(said, known.owner):
                memory.owners[key] = known
        if known.left_out:
            left_out.update(known.left_out)
        return known.owner if known.is_dated or known.owner is None else _at(unix_ms, known.owner)

    def _find(self, of_resource: Mapping[str, object], said: Mapping[str, object]) -> _Known:
        reading = _Reading(said)
        contents = {**of_resource, **self._fixed}
        device = {**_dict(of_resource.get("device_info")), **reading.texts(_CONNECTION)}
        consent = reading.consent()
        identities = reading.identities(self._identities)
        mpid = reading.mpid()
        if not identities and mpid is None and "ios_idfv" not in device:
            if self._anonymous == "drop":
                return _Known(None, ())
            identities = dict([found] if (found := anonymous_identity(self._anonymous)) else [])
        contents.update(
            user_identities=identities or None,
            mpid=mpid,
            ip=reading.ip(),
            device_info=device or None,
            user_attributes=reading.under(names.MPARTICLE_USER_ATTRIBUTE_PREFIX),
        )
        if consent:
            fixed = _dict(self._fixed.get("consent_state"))
            contents["consent_state"] = {
                law: {**_dict(fixed.get(law)), **consent.get(law, {})} for law in {*fixed, *consent}
            }
        owner = owner_of(form_of(Batch, contents))
        return _Known(owner, tuple(reading.left_out), _UNDATED not in owner.undated)

    def _of_resource(self, resource: Resource, memory: _Memory) -> Mapping[str, object]:
        known = memory.resources.get(id(resource))
        if known is None:
            known = memory.resources[id(resource)] = (resource, self._read_resource(resource))
        return known[1]

    def _read_resource(self, resource: Resource) -> dict[str, object]:
        lets = self._lets_of_resource
        reading = _Reading({name: value for name, value in resource.attributes.items() if lets(name)})
        application = reading.texts(_APPLICATION)
        if application.get("application_name", "").startswith("unknown_service"):  # the SDK's word for none
            del application["application_name"]
        named = next((reading.said[one] for one in _ENVIRONMENTS if reading.said.get(one)), None)
        environment = self._environment
        if named is not None:
            environment = "production" if text_of(named).lower() in _PRODUCTION else "development"
        return {
            "environment": environment,
            "application_info": application or None,
            "device_info": {**_device(reading), **reading.texts(_CONNECTION)},
        }

    def _lets_of_resource(self, name: str) -> bool:
        known_as = (name, *self.leaves_as(name))
        return self._permits.lets(*known_as) or (self.needs(name) and not self._permits.denies(*known_as))


class _Reading:
    """Attributes, read field by field; notes the names of those that did not fit."""

    def __init__(self, said: Mapping[str, object]) -> None:
        self.said = said
        self.left_out: list[str] = []

    def texts(self, table: Mapping[str, str]) -> dict[str, str]:
        """What a table of attribute to key finds. A later attribute of the same key goes first."""
        said = self.said
        return {key: text_of(said[name]) for name, key in table.items() if said.get(name) not in (None, "")}

    def under(self, prefix: str) -> dict[str, object]:
        """The attributes with that prefix, without it."""
        return {name[len(prefix) :]: value for name, value in self.said.items() if name.startswith(prefix)}

    def identities(self, types: Mapping[str, str]) -> dict[str, str]:
        """Identities by type; the first attribute of a type wins, explicit ones before all."""
        explicit = self.under(names.MPARTICLE_IDENTITY_PREFIX)
        found: dict[str, str] = {}
        for kind, name, value in (
            *[(kind, names.MPARTICLE_IDENTITY_PREFIX + kind, value) for kind, value in explicit.items()],
            *[(kind, name, self.said[name]) for name, kind in types.items() if name in self.said],
        ):
            if kind not in _IDENTITY_TYPES or isinstance(value, bool) or not isinstance(value, (str, int)):
                self.left_out.append(name if kind in _IDENTITY_TYPES else names.MPARTICLE_IDENTITY_PREFIX)
            elif (text := text_of(value)) and not text.isspace():
                found.setdefault(kind, text)
        return found

    def mpid(self) -> int | None:
        """The id that mParticle itself gave the user."""
        value = self.said.get(names.MPARTICLE_MPID)
        if value is None:
            return None
        try:
            is_number = isinstance(value, str) and _WHOLE_NUMBER.fullmatch(value)
            return int64(int(value) if is_number else value, names.MPARTICLE_MPID)  # type: ignore[return-value,call-overload]
        except EncodingError:
            self.left_out.append(names.MPARTICLE_MPID)
            return None

    def ip(self) -> str | None:
        """The consumer's address, if it is one: proxies may have put a host's name there."""
        for name in _ADDRESSES:
            if name in self.said:
                try:
                    return ip_text(self.said[name], name)
                except EncodingError:
                    self.left_out.append(name)
        return None

    def consent(self) -> Mapping[str, Mapping[str, object]]:
        """Consents by law and purpose, undated unless they name a time."""
        laws: dict[str, dict[str, Mapping[str, object]]] = {}
        for name, value in self.under(names.MPARTICLE_CONSENT_PREFIX).items():
            for law, purposes in self._one_consent(name, value).items():
                laws.setdefault(law, {}).update(purposes)
        return laws

    def _one_consent(self, name: str, value: object) -> Mapping[str, Mapping[str, Mapping[str, object]]]:
        try:
            return consents_of({name: value}, _NO_TIME)
        except EncodingError:
            self.left_out.append(names.MPARTICLE_CONSENT_PREFIX)
            return {}


def _at(unix_ms: int, owner: Owner) -> Owner:
    """The owner as a record of that time has it: a consent that names no time is as old as the record."""
    head = owner.undated.replace(_UNDATED, f'"timestamp_unixtime_ms":{unix_ms}')
    return Owner(head, owner.undated, owner.ordering_key, owner.subject)


def _is_short(said: Iterable[Attribute], owner: Owner | None) -> bool:
    """Whether to remember it: users may have attributes of a hundred kilobytes, and there are many users."""
    length = sum([len(one[1]) if isinstance(one[1], str) else 0 for one in said])
    return max(length, len(owner.head) if owner else 0) <= _LONGEST_REMEMBERED


def _identity_types(chosen: Mapping[str, str]) -> dict[str, str]:
    types = {**_IDENTITIES, **chosen}
    return {name: kind for name, kind in types.items() if kind != NO_IDENTITY}


def _fixed_parts(settings: MParticleSettings, started_unix_ms: int) -> dict[str, object]:
    """What settings say of every batch."""
    parts: dict[str, object] = {}
    if settings.consent:
        parts["consent_state"] = consents_of(settings.consent, started_unix_ms)
    if settings.data_plan is not None:
        plan = {"plan_id": settings.data_plan, "plan_version": settings.data_plan_version}
        parts["context"] = {"data_plan": plan}
    return parts


def _device(reading: _Reading) -> dict[str, object]:
    """The resource as the consumer's device; nothing for a server, which nobody holds in hand."""
    said = reading.said
    platform = _PLATFORMS.get(text_of(said.get("os.name", "")).lower())
    if platform is None and (
        said.get("telemetry.sdk.language") == "webjs" or any(name.startswith("browser.") for name in said)
    ):
        platform = "web"
    if platform is None:
        return {}
    device: dict[str, object] = {"platform": platform, **reading.texts(_DEVICE)}
    installation = said.get("app.installation.id")
    if platform == "iOS" and is_uuid(installation):  # there it is the vendor's id of the device
        device["ios_idfv"] = installation
    language, _, country = text_of(said.get("browser.language", "")).partition("-")
    device.update(
        {key: text for key, text in (("locale_language", language), ("locale_country", country)) if text}
    )
    return device


def _dict(form: object) -> dict[str, object]:
    return form if isinstance(form, dict) else {}
