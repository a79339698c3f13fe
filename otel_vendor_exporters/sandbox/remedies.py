"""
Remedies: for each kind of finding, which setting or attribute of ours to look at.

A finding's own sentence says what the vendor would do and why; these tables say where to turn: by the code,
else by the field of the wire that the code names. Where there is no setting, one of REASONS says so and what
to do instead. The sandbox knows our settings by name alone: it imports nothing of the exporters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

_WIRE = (
    "Nothing to set: the exporters write this part of a request themselves. In a client of your own, write "
    "it as said; if an exporter wrote it, report it with the request."
)
_CLOCK = (
    "Nothing to set: set the clock of the machine that sends (NTP); `doctor` compares it with the vendor's."
)
_DURATION = "Nothing to set: the duration itself is below 0. Measure it with a monotonic clock."
_VALUE = (
    "Nothing to set: give the field that is named here as the sentence says, where your code fills it in."
)
_MANY = "Nothing to set: more kinds of findings than are counted. Mend those above, clear, and look again."
REASONS = (_WIRE, _CLOCK, _DURATION, _VALUE, _MANY)

_WRONG_PATH = "Settings `config_url` and `base_url`: paths as the sandbox printed them."
_EACH_BATCH = "Only a direct client fills this in: the field of this name of `Batch`."
_EACH_EVENT = "Only a direct client fills this in: the field of this name of the event, as `CustomEvent` has."

_MPULSE = {
    "unknown_timer": "Define the timer in mPulse, or map to a defined one: setting `timers`, "
    "attribute `mpulse.timer`.",
    "unknown_metric": "Define the metric in mPulse, or map to a defined one: setting `metrics`.",
    "unknown_dimension": "Define the dimension in mPulse, or map to a defined one: setting `dimensions`, "
    "attribute `mpulse.dimension.<name>`.",
    "negative_timer": _DURATION,
    "crumb_expired": "Setting `config_refresh` (below 600), and the machine's clock.",
    "unknown_crumb": "Setting `config_url`: one process must not mix configurations of two places.",
    "unknown_beacon_url": "Setting `config_url`: beacons go where its answer says, and nowhere else.",
    "unknown_bcn": "Setting `config_url`: one process must not mix configurations of two places.",
    "rt_end_old": "Setting `max_age`, and the machine's clock.",
    "rt_end_future": _CLOCK,
    "signature_time": _CLOCK,
    "bot_user_agent": "Setting `user_agent`, or Include Bot Beacons in mPulse.",
    "url_too_long": "Settings `max_url_length` and `method`.",
    "body_too_large": "Setting `max_body_bytes`.",
    "too_many_params": "Settings `max_timers`, `max_metrics` and `dimensions`.",
    "bad_ab": "Setting `ab_test`, attribute `mpulse.ab_test`.",
    "empty_page_group": "Setting `page_group`, attribute `mpulse.page_group`.",
    "session_incomplete": "Attributes `session.id`, `mpulse.session.start_unix_ms`, `mpulse.session.length`.",
    "rt_ss_not_epoch": "Attribute `mpulse.session.start_unix_ms`: milliseconds since 1970.",
    "currency_without_decimals": "In mPulse its type is Currency: if it is none, map to another metric with "
    "the setting `metrics`, or change the type in mPulse.",
    "unknown_key": "Setting `api_key`.",
    "wrong_domain": "Setting `domain`.",
    "bad_signature": "Setting `rest_secret`.",
    "followed_redirect": "Setting `config_url`: name the address it leads to.",
    "rt_start_value": "Setting `rt_start`.",
    "bad_api_version": "Setting `api_version`.",
    "http_initiator_value": "Setting `http_initiator`.",
    **dict.fromkeys(("no_api", "no_data", "crumb_mismatch", "bad_t_other", "non_integer_timer"), _WIRE),
    **dict.fromkeys(("duplicate_timer", "bad_metric", "duplicate_param", "bad_percent_encoding"), _WIRE),
    **dict.fromkeys(("bad_method", "post_json", "wrong_content_type", "both_query_and_body"), _WIRE),
    "unsupported": _WIRE,
}
_MPULSE_FIELDS = {
    **dict.fromkeys(("key", "h.key"), "Setting `api_key`."),
    **dict.fromkeys(("d", "h.d"), "Setting `domain`, or `rest_secret`."),
    **dict.fromkeys(("t", "s"), "Setting `rest_secret`: a signed configuration request needs it."),
    **dict.fromkeys(("h.cr", "h.t"), "Setting `config_url`: its answer gives both to every beacon."),
    "User-Agent": "Setting `user_agent`.",
    "api.v": "Setting `api_version`.",
    "rt.start": "Setting `rt_start`.",
    "rt.ss": "Attribute `mpulse.session.start_unix_ms`: milliseconds since 1970.",
    "rt.sl": "Attribute `mpulse.session.length`: a whole number.",
    **dict.fromkeys(("rt.end", "rt.tstart", "rt.tt", "rt.obo", "t_done"), _WIRE),
}
_MPARTICLE = {
    "no_authorization": "Settings `api_key` and `api_secret`.",
    "wrong_credentials": "Settings `api_key` and `api_secret`: those of a server platform.",
    "wrong_web_api_key": "Setting `web_api_key`.",
    "credentials_sent": "Setting `transport`: the pixel takes the `web_api_key` alone.",
    "rate_limited": "Settings `batches_per_second` and `processes`.",
    "no_identity": "Attribute `user.id` or the setting `identities`; setting `anonymous` for the rest.",
    "no_environment": "Setting `environment`.",
    "old_event": "Setting `max_age`; older than 72 hours: `historical` of `EventsClient`.",
    "historical_not_processed": "Argument `historical` of `EventsClient`: without it for what is newer.",
    "future_event": _CLOCK,
    "comma_in_list": "Setting `pixel_commas`.",
    "reserved_attribute": "Attribute `mparticle.user_attributes.<name>`: names with $ have a meaning.",
    "attribute_changed_kind": "Attribute `mparticle.user_attributes.<name>`: one kind of value for each.",
    "too_many_event_names": "Setting `event_types`, and names without ids in them.",
    "batch_too_large": "Setting `deny_attributes`: leave out what is large.",
    "request_id_reused": "The field `source_request_id` of `Batch`: leave it out, and each gets one.",
    "message_id_reused": "Attribute `log.record.uid`: one for each record.",
    "message_id_not_uuid": "Attribute `log.record.uid`: a UUID.",
    "partner_identities": _EACH_BATCH,
    "commerce_variants": "The body of `mparticle.commerce_event`: one kind of action.",
    "session_start_fields": "Attributes of the record `session.start`: leave out what is named here.",
    "transition_fields": "Attributes `android.app.state` and `ios.app.state` say which transition it is.",
    "user_agent_leak": "Setting `user_agent`: none; attribute `user_agent.original`: the visitor's.",
    "url_too_long": "Settings `transport` (events has no such limit) and `deny_attributes`.",
    "pixel_et": "Setting `event_types`.",
    "pixel_no_et": "Setting `event_types`.",
    "pixel_no_name": "The name of the event; for screens the setting `screens`.",
    "pixel_identity": "Setting `identities`.",
    "pixel_dbg": "Setting `environment`.",
    "pixel_screen_only": "Fields `hostname` and `title` of `PixelEvent`: for screen views alone.",
    **dict.fromkeys(("pixel_dt", "pixel_ct", "pixel_lists", "pixel_repeated", "pixel_unknown"), _WIRE),
    **dict.fromkeys(("plus_sign", "pixel_lc", "duplicate_param", "bad_percent_encoding"), _WIRE),
    **dict.fromkeys(("bad_method", "request_too_large", "content_encoding", "empty_body", "bad_json"), _WIRE),
    **dict.fromkeys(("root_not_array", "root_not_object", "too_many_batches", "bad_content_type"), _WIRE),
    **dict.fromkeys(
        ("trailing_slash", "repeated_key", "no_batches", "too_many_events", "empty_batch"), _WIRE
    ),
    **dict.fromkeys(("no_source_request_id", "no_timestamp", "server_field", "unknown_event_type"), _WIRE),
    "disputed": _WIRE,
    "wrong_type:batch": _WIRE,
    "missing:event_type": _WIRE,
}
_ATTRIBUTES = (
    "The attribute named here: shorten it, or leave it out: settings `allow_attributes`, `deny_attributes`."
)
_USER_ATTRIBUTES = "Attribute `mparticle.user_attributes.<name>`."
_EXCEPTION = "Attributes `exception.type`, `exception.message`, `exception.stacktrace`."
_NETWORK = "Settings `network_performance` and `url_query`."
_COMMERCE = "The body of `mparticle.commerce_event`, where your code fills it in."
_MPARTICLE_FIELDS = {
    "environment": "Setting `environment`, attribute `deployment.environment.name` of the resource.",
    "user_identities": "Setting `identities`, attributes `user.id`, `mparticle.identity.<type>`.",
    **dict.fromkeys(("user_attributes", "deleted_user_attributes"), _USER_ATTRIBUTES),
    **dict.fromkeys(("entry", "list"), f"{_ATTRIBUTES} For users: `mparticle.user_attributes.<name>`."),
    "device_info": "Attributes `user_agent.original`, `device.model.name`, `os.name` and others like them; "
    "in a direct client `DeviceInformation`.",
    "device_current_state": "Only a direct client fills this in: `DeviceState`.",
    "application_info": "Attributes `service.name` and `service.version` of the resource.",
    "consent_state": "Setting `consent`, attribute `mparticle.consent.<law>.<purpose>`.",
    "data_plan": "Settings `data_plan` and `data_plan_version`.",
    "location": "Attributes `geo.location.lat`, `geo.location.lon` and others of the place.",
    "context": "Settings `data_plan` and `data_plan_version`; in a direct client `BatchContext`.",
    "ip": "Attribute `client.address`: the visitor's, an address and no name.",
    "mpid": "Attribute `mparticle.mpid`.",
    **dict.fromkeys(("source_request_id", "timestamp_unixtime_ms", "events"), _WIRE),
    **dict.fromkeys(("mp_deviceid", "integration_attributes", "partner_identities"), _EACH_BATCH),
    **dict.fromkeys(("partner_identity", "attribution_info"), _EACH_BATCH),
    "event_name": "The event's name: OpenTelemetry's; in a log call that of `otel.event.name`.",
    "custom_event_type": "Setting `event_types`, attribute `mparticle.custom_event_type`.",
    "screen_name": "The event's name, where the setting `screens` names it; attribute `app.screen.name`.",
    "custom_attributes": _ATTRIBUTES,
    "custom_flags": "Attribute `mparticle.custom_flags.<name>`.",
    "session_uuid": "Attribute `session.id`.",
    "source_message_id": "Attribute `log.record.uid`.",
    **dict.fromkeys(
        ("product_action", "promotion_action", "product_impressions", "shopping_cart"), _COMMERCE
    ),
    **dict.fromkeys(("currency_code", "is_non_interactive"), _COMMERCE),
    **dict.fromkeys(("severity", "message", "class_name", "stack_trace", "topmost_context"), _EXCEPTION),
    "exception_handled": _EXCEPTION,
    **dict.fromkeys(("label", "breadcrumbs"), "Setting `plain_logs`."),
    **dict.fromkeys(("url", "http_verb", "response_code", "time_elapsed", "bytes_in", "bytes_out"), _NETWORK),
    "application_transition_type": "Attributes `android.app.state` and `ios.app.state`.",
    "data": _EACH_EVENT,
}
_ANALYTICS = {
    "missing_key": "Setting `api_key`.",
    "wrong_key": "Setting `api_key`.",
    "key_twice": "Setting `key_in`.",
    "over_rate": "Settings `events_per_second` and `processes`.",
    "batch_size": "Setting `max_batch_events`.",
    "body_too_large": "Setting `max_body_bytes`.",
    "alias_of_known_user": "Attribute `enduser.pseudo.id`, setting `alias`: join anonymous ids only.",
    "alias_of_two_users": "Attribute `enduser.pseudo.id`, setting `alias`; and `spool_dir`, without which "
    "each process remembers for itself what was merged.",
    "alias_of_identified_users": "Attribute `enduser.pseudo.id`, setting `anonymous_id_from`: "
    "join anonymous ids only.",
    "alias_to_itself": "Settings `user_id_from` and `anonymous_id_from` name the same id.",
    "alias_repeated": "Setting `spool_dir`: who was joined is then remembered over restarts; else `alias`.",
    "suppressed_user": "Attribute `user.id`: send nothing more for this one, since it cannot be undone.",
    "property_cut": "The property named here: shorten it, or setting `deny_attributes`.",
    "property_nested": "The attribute named here: write it flat, or setting `deny_attributes`.",
    "property_name": "The attribute named here: another name, or setting `deny_attributes`.",
    "property_null": "The attribute named here: leave it out, or setting `deny_attributes`.",
    "property_not_string": "The attribute named here: give it as text, or setting `deny_attributes`.",
    "future_event": _CLOCK,
    **dict.fromkeys(("no_event_time", "bad_time", "negative_time", "time_in_seconds"), _VALUE),
    **dict.fromkeys(("bad_method", "bad_content_type", "bad_json", "repeated_key", "not_an_object"), _WIRE),
    **dict.fromkeys(("bad_events", "bad_percent_encoding", "property_pairs", "property_length"), _WIRE),
    **dict.fromkeys(("duplicate_param", "unknown_field"), _WIRE),
}
_ANALYTICS_FIELDS = {
    "eventName": "The event's name, or what the setting `event_names` makes of it.",
    "eventUniqueId": "Attribute `user.id`, settings `user_id_from` and `anonymous`.",
    "uniqueId": "Attribute `user.id`, setting `user_id_from`.",
    "newId": "Attribute `user.id`, settings `user_id_from` and `alias`.",
    "previousId": "Attribute `enduser.pseudo.id`, settings `anonymous_id_from` and `alias`.",
    "properties": "Settings `allow_attributes` and `deny_attributes`.",
    "eventTime": _VALUE,
}
REMEDIES: Mapping[str, Mapping[str, str]] = {
    "mpulse": _MPULSE,
    "mparticle": _MPARTICLE,
    "mparticle_analytics": _ANALYTICS,
}
FIELDS: Mapping[str, Mapping[str, str]] = {
    "mpulse": _MPULSE_FIELDS,
    "mparticle": _MPARTICLE_FIELDS,
    "mparticle_analytics": _ANALYTICS_FIELDS,
}


def remedy(vendor: str, code: str) -> str:
    """What to change so that a finding goes away: by its code, else by the field that the code names."""
    if code == "others":
        return _MANY
    if vendor not in REMEDIES:
        return _WRONG_PATH
    kind, _, subject = code.partition(":")
    by_code, by_field = REMEDIES[vendor], FIELDS[vendor]
    found = by_code.get(code) or by_code.get(kind)
    return found or next((by_field[name] for name in _names(subject) if name in by_field), _VALUE)


def _names(subject: str) -> Iterator[str]:
    """The whole, then from outside to inside; of an event's `data` its fields first."""
    parts = re.split(r"[.:]", subject)
    yield subject
    yield from (part for part in parts if part != "data")
    yield from parts
