"""The leads of WeChat Channels made into events. Pure.

Source: developers.weixin.qq.com/doc/channels/API/leads (get_leads_info_by_request_id). A lead has no id, no viewer and no
time: what it is known by is made from all of it.
"""

import hashlib
import hmac
from dataclasses import dataclass
from typing import Any

import msgspec

from frontrow.core.contact import find_phone
from frontrow.core.errors import EventInvalid
from frontrow.core.events import EARLIEST_MS, MAX_NAME, Batch, Event, Rejected, RoomRef, convert_event

LONGEST_BROADCAST_MS = 12 * 3_600_000
_PHONE_TITLES = ("手机", "电话", "手機", "電話", "phone", "mobile")
_NAME_TITLES = ("姓名", "名字", "称呼", "稱呼")


@dataclass(frozen=True, slots=True)
class Broadcast:
    """One broadcast of one form (a *request* in WeChat's words). ``start_s`` 0: not known."""

    component: str
    request: str
    description: str
    start_s: int

    @property
    def key(self) -> str:
        return f"{self.component}/{self.request}"


@dataclass(frozen=True, slots=True)
class Source:
    """What every lead of a feed has in common. ``secret`` keys what leads are known by."""

    room: RoomRef
    form: str
    consent_text: str
    channel: str
    secret: str


def lead_key(lead: Any, broadcast: Broadcast, secret: str) -> str:
    """Return what a lead is known by: equal for an equal answer, wherever in a page it stands.

    A keyed hash: of a plain one the number in it could be found by trying all there are.

    Raises:
        EventInvalid: It is no lead.
    """
    if not isinstance(lead, dict) or not isinstance(lead.get("leads_data"), list):
        raise EventInvalid("a lead without leads_data")
    known_by = [broadcast.component, broadcast.request, lead.get("live_start_time"), lead["leads_data"]]
    message = msgspec.json.encode(known_by, order="sorted")
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()[:32]


def decode_leads(leads: list[Any], broadcast: Broadcast, source: Source, now: int) -> Batch:
    """Return the ``form_submit`` of each lead of a page; a bad one is rejected by position."""
    events: list[Event] = []
    rejected: list[Rejected] = []
    for index, lead in enumerate(leads):
        try:
            key = lead_key(lead, broadcast, source.secret)
            events.append(_decode(lead, key, broadcast, source, now))
        except EventInvalid as error:
            rejected.append(Rejected(index, str(error)))
    return Batch(events, rejected)


def _decode(lead: dict[str, Any], key: str, broadcast: Broadcast, source: Source, now: int) -> Event:
    name = f"leads:{key}"
    extra = {
        label: value
        for label, value in {
            "leads_component_id": broadcast.component,
            "request_id": broadcast.request,
            "leads_description": broadcast.description,
            **{label: value for label, value in lead.items() if label != "leads_data"},
            "channel": source.channel,
        }.items()
        if value not in (None, "", [], {})
    }
    event: dict[str, Any] = {
        "id": name, "platform": source.room.platform, "room": source.room.room, "kind": "form_submit",
        "at": _at(lead, broadcast, now), "viewer": name, "form": source.form, "fields": _fields(lead["leads_data"]),
        "extra": extra,
    }  # fmt: skip
    host = lead.get("anchor_nickname")
    if isinstance(host, str) and host:
        event["host"] = host[:MAX_NAME]
    if source.consent_text:
        event["consent"] = True
        extra["consent_text"] = source.consent_text
    return convert_event(event)


def _at(lead: dict[str, Any], broadcast: Broadcast, now: int) -> int:
    """Return when a lead was left, as nearly as can be told: now, but within the broadcast's length.

    So what is found of a broadcast of last week does not count to the one that is on the air.
    """
    start_s = lead.get("live_start_time")
    if not isinstance(start_s, int) or isinstance(start_s, bool) or start_s <= 0:
        start_s = broadcast.start_s
    start = start_s * 1_000
    return min(now, start + LONGEST_BROADCAST_MS) if EARLIEST_MS <= start <= now else now


def _fields(answers: list[Any]) -> dict[str, Any]:
    """Return a form's answers by their titles, the number as ``phone`` and the name as ``name``.

    The number is found by its title, else by its pattern.
    """
    fields: dict[str, Any] = {}
    for answer in answers:
        if not isinstance(answer, dict):
            continue
        title, value = answer.get("title"), answer.get("value")
        if not isinstance(title, str) or value in (None, "", [], {}):
            continue
        fields[_free(_called(title), fields)] = value
    if "phone" not in fields:
        for title, value in fields.items():
            found = find_phone(value) if isinstance(value, str) else None
            if found is not None and found.valid:
                fields["phone"] = value
                del fields[title]
                break
    return fields


def _called(title: str) -> str:
    lower = title.lower()
    if any(word in lower for word in _PHONE_TITLES):
        return "phone"
    return "name" if any(word in lower for word in _NAME_TITLES) else title


def _free(name: str, taken: dict[str, Any]) -> str:
    """Return the name, with a number behind it where two questions have the same."""
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name} {number}"
    return free
