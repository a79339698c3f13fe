"""
Remedies: for each kind of finding, which setting or attribute of ours to look at.

A finding's own sentence says what the vendor would do and why; this table says where to turn. The sandbox
knows our settings by name alone: it imports nothing of the exporters.
"""

from __future__ import annotations

_ANY = (
    "The value given for what is named here; if the exporter made it up itself, report it with the request."
)

_MPULSE = {
    "unknown_timer": "Define the timer in mPulse, or map to a defined one: setting `timers`, "
    "attribute `mpulse.timer`.",
    "unknown_metric": "Define the metric in mPulse, or map to a defined one: setting `metrics`.",
    "unknown_dimension": "Define the dimension in mPulse, or map to a defined one: setting `dimensions`, "
    "attribute `mpulse.dimension.<name>`.",
    "crumb_expired": "Setting `config_refresh` (below 600), and the machine's clock.",
    "unknown_crumb": "Setting `config_url`: one process must not mix configurations of two places.",
    "rt_end_old": "Setting `max_age`, and the machine's clock.",
    "rt_end_future": "The machine's clock.",
    "bot_user_agent": "Setting `user_agent`, or Include Bot Beacons in mPulse.",
    "missing:User-Agent": "Setting `user_agent`.",
    "url_too_long": "Settings `max_url_length` and `method`.",
    "body_too_large": "Setting `max_body_bytes`.",
    "bad_ab": "Setting `ab_test`, attribute `mpulse.ab_test`.",
    "empty_page_group": "Setting `page_group`, attribute `mpulse.page_group`.",
    "session_incomplete": "Attributes `session.id`, `mpulse.session.start_unix_ms`, `mpulse.session.length`.",
    "rt_ss_not_epoch": "Attribute `mpulse.session.start_unix_ms`: milliseconds since 1970.",
    "negative_timer": "How the duration is measured: use a monotonic clock.",
    "unknown_key": "Setting `api_key`.",
    "missing:key": "Setting `api_key`.",
    "wrong_domain": "Setting `domain`.",
    "missing:d": "Setting `domain`, or `rest_secret`.",
    "bad_signature": "Setting `rest_secret`.",
    "signature_time": "The machine's clock.",
    "followed_redirect": "Setting `config_url`: name the address it leads to.",
    "rt_start_value": "Setting `rt_start`.",
    "bad_api_version": "Setting `api_version`.",
    "http_initiator_value": "Setting `http_initiator`.",
}
_MPARTICLE = {
    "no_authorization": "Settings `api_key` and `api_secret`.",
    "wrong_credentials": "Settings `api_key` and `api_secret`: those of a server platform.",
    "wrong_web_api_key": "Setting `web_api_key`.",
    "rate_limited": "Settings `batches_per_second` and `processes`.",
    "no_identity": "Attribute `user.id` or the setting `identities`; setting `anonymous` for the rest.",
    "no_environment": "Setting `environment`.",
    "old_event": "Setting `max_age`.",
    "future_event": "The machine's clock.",
    "comma_in_list": "Setting `pixel_commas`.",
    "reserved_attribute": "Attribute `mparticle.user_attributes.<name>`: names with $ have a meaning.",
    "attribute_changed_kind": "Attribute `mparticle.user_attributes.<name>`: one kind of value for each.",
    "too_long": "The attribute named here: shorten it, or leave it out with the setting `deny_attributes`.",
    "too_many": "Settings `allow_attributes` and `deny_attributes`.",
    "not_in_list": "The value of the field named here; for custom_event_type the setting `event_types`.",
    "request_id_reused": "Nothing, if it was sent again after an error: the repetition was recognised.",
    "too_many_event_names": "Setting `event_types`, and names without ids in them.",
    "not_an_address": "Attribute `client.address`.",
    "user_agent_leak": "Attribute `user_agent.original`: the visitor's, not the sender's.",
    "historical_not_processed": "Setting `max_age`.",
}
_ANALYTICS = {
    "missing_key": "Setting `api_key`.",
    "wrong_key": "Setting `api_key`.",
    "key_twice": "Setting `key_in`.",
    "over_rate": "Settings `events_per_second` and `processes`.",
    "batch_size": "Setting `max_batch_events`.",
    "body_too_large": "Setting `max_body_bytes`.",
    "missing:eventUniqueId": "Attribute `user.id`, settings `user_id_from` and `anonymous`.",
    "alias_of_known_user": "Attribute `enduser.pseudo.id`, setting `alias`: join anonymous ids only.",
    "alias_of_two_users": "Attribute `enduser.pseudo.id`, setting `alias`; and `spool_dir`, without which "
    "each process remembers for itself what was merged.",
    "alias_of_identified_users": "Attribute `enduser.pseudo.id`, setting `anonymous_id_from`: "
    "join anonymous ids only.",
    "alias_repeated": "Setting `spool_dir`: without it a process does not know what others merged.",
    "alias_to_itself": "Settings `user_id_from` and `anonymous_id_from` name the same id.",
    "suppressed_user": "Stop sending for this user; deletion cannot be undone.",
    "property_cut": "The property named here: shorten it, or setting `deny_attributes`.",
    "property_nested": "The attribute named here: write it flat, or setting `deny_attributes`.",
    "future_event": "The machine's clock.",
}
REMEDIES = {"mpulse": _MPULSE, "mparticle": _MPARTICLE, "mparticle_analytics": _ANALYTICS}


def remedy(vendor: str, code: str) -> str:
    """What to change so that a finding goes away: by the whole code, else by what stands before its colon."""
    if vendor not in REMEDIES:
        return "Settings `config_url` and `base_url`: paths as the sandbox printed them."
    table = REMEDIES[vendor]
    return table.get(code) or table.get(code.partition(":")[0]) or _ANY
