"""The signature and the leads of 飞鱼 CRM. Pure.

Sources: the documentation that 飞鱼 gives to its customers, as community clients follow it (pull-clues, clue/callback).
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from enum import Enum, auto
from typing import Any

from frontrow.core.alerts import CLUE
from frontrow.core.errors import EventInvalid
from frontrow.core.events import EARLIEST_MS, MAX_NAME, Batch, Event, Rejected, RoomRef, convert_event

PULL_PATH = "/crm/v2/openapi/pull-clues/"
CALLBACK_PATH = "/crm/v2/openapi/clue/callback/"

# The field's name there → here; "telphone" is their spelling.
_FIELDS = {
    "name": "name", "telphone": "phone", "weixin": "wechat", "qq": "qq", "email": "email", "address": "address",
    "province_name": "province", "city_name": "city", "county_name": "county", "remark": "remark",
}  # fmt: skip
_CAMPAIGNS = ("promotion_name", "ad_name", "ad_plan_name")  # by the generation of the advertising platform
_IDS = ("clue_id", "id")
# What an answer that is no success says, in lower case, where a person must act.
_KEYS_WORDS = ("sign", "token", "auth", "签名", "密钥", "权限", "令牌")


class Refusal(Enum):
    """Why an answer is no success."""

    KEYS = auto()  # the key or the token is wrong
    OTHER = auto()


def signature(message: str, key: str) -> str:
    """Return HMAC-SHA256 of a message: its hex digest, and of that text the Base64."""
    digest = hmac.new(key.encode(), message.encode(), hashlib.sha256).hexdigest()
    return base64.b64encode(digest.encode()).decode()


def pull_message(start_s: int, end_s: int, now_s: int) -> str:
    """Return what is signed of a question: path, window, a space and the time. The page is not in it."""
    return f"{PULL_PATH}?start_time={start_s}&end_time={end_s} {now_s}"


def callback_message(now_s: int) -> str:
    """Return what is signed of a state that is written back."""
    return f"{CALLBACK_PATH} {now_s}"


def signed_headers(message: str, key: str, token: str, now_s: int) -> dict[str, str]:
    """Return the headers that a request is known by."""
    return {"Signature": signature(message, key), "Timestamp": str(now_s), "Access-Token": token}


def refusal_of(answer: Mapping[str, Any]) -> Refusal | None:
    """Return why an answer is no success; None: it is one."""
    status = answer.get("status")
    if status == "success" or (status == 0 and status is not False):
        return None
    said = str(answer.get("msg", answer.get("message", "")))[:200].lower()
    return Refusal.KEYS if any(word in said for word in _KEYS_WORDS) else Refusal.OTHER


def clue_id(clue: Any) -> str:
    """Return a lead's own id.

    Raises:
        EventInvalid: It has none.
    """
    if isinstance(clue, dict):
        for name in _IDS:
            value = clue.get(name)
            if isinstance(value, int | str) and not isinstance(value, bool) and value not in ("", 0):
                return str(value)
    raise EventInvalid("a lead without an id")


def created_s(clue: Any) -> int | None:
    """Return when a lead was made, in seconds; None where it does not say so in them."""
    value = clue.get("create_time") if isinstance(clue, dict) else None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 12:
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def decode_clues(
    clues: list[Any], *, room: RoomRef, now: int, form: str, consent_text: str, channel: str
) -> Batch:
    """Return the ``form_submit`` of each lead of one answer; a bad one is rejected by position."""
    events: list[Event] = []
    rejected: list[Rejected] = []
    for index, clue in enumerate(clues):
        try:
            events.append(_decode(clue, room, now, form, consent_text, channel))
        except EventInvalid as error:
            rejected.append(Rejected(index, str(error)))
    return Batch(events, rejected)


def _decode(clue: Any, room: RoomRef, now: int, form: str, consent_text: str, channel: str) -> Event:
    key = f"{CLUE}{clue_id(clue)}"
    created = created_s(clue)
    at = now if created is None or created * 1_000 < EARLIEST_MS else min(now, created * 1_000)
    event: dict[str, Any] = {
        "id": key, "platform": room.platform, "room": room.room, "kind": "form_submit", "at": at, "viewer": key,
        "form": form,
        "fields": {ours: clue[theirs] for theirs, ours in _FIELDS.items() if _says(clue.get(theirs))},
    }  # fmt: skip
    campaign = next(
        (clue[name] for name in _CAMPAIGNS if isinstance(clue.get(name), str) and clue[name]), None
    )
    if campaign is not None:
        event["campaign"] = campaign[:MAX_NAME]
    rest = {name: value for name, value in clue.items() if name not in (*_FIELDS, *_IDS) and _says(value)}
    if channel:
        rest["channel"] = channel
    if consent_text:
        event["consent"] = True
        rest["consent_text"] = consent_text
    event["extra"] = rest
    return convert_event(event)


def _says(value: Any) -> bool:
    return value not in (None, "", "-", 0, [], {})
