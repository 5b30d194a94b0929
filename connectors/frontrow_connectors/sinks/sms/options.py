"""What an operator can say of text messages."""

import re
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from frontrow.config.secret import Secret
from frontrow_connectors.sinks.outward import check_fields
from frontrow_connectors.sinks.posting import check_url

PURPOSES = ("todo", "nudge", "escalation", "approval")
Variable = Annotated[str, Meta(pattern=r"\A[A-Za-z][A-Za-z0-9_]{0,24}\Z")]
_TOUCH = re.compile(r"touch_[a-z][a-z0-9_]{0,63}")
_TEMPLATE = re.compile(r"SMS_\d{1,16}")


class SmsOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of one provider's account.

    ``sign_name`` is the approved signature (签名) that stands in 【】. ``templates`` has the approved template of each
    purpose: ``todo``, ``nudge``, ``escalation``, ``approval``, and for customers of each text of
    ``[[centre.touch_rules]]`` as ``touch_`` and its name (``touch_welcome``); what has none is not sent.
    ``variables`` says what stands in each variable of the templates: the name of a field of ours. ``longest`` is how
    many characters a variable may have. ``url`` is changed only where a proxy stands between. ``timeout_s`` is the
    longest wait for the connection and for each part of the answer.
    """

    access_key_id: Annotated[str, Meta(min_length=1, max_length=128)]
    access_key_secret: Annotated[Secret, Meta(min_length=1, max_length=256)]
    sign_name: Annotated[str, Meta(min_length=1, max_length=64)]
    templates: dict[str, str]
    variables: dict[Variable, str] = msgspec.field(
        default_factory=lambda: {"name": "name", "product": "product", "minutes": "minutes_left"}
    )
    longest: Annotated[int, Meta(ge=1, le=100)] = 20
    provider: Literal["aliyun"] = "aliyun"
    url: str = "https://dysmsapi.aliyuncs.com"
    timeout_s: Annotated[float, Meta(gt=0, le=60)] = 8.0

    def __post_init__(self) -> None:
        check_url(self.url)
        if not self.templates:
            raise ValueError("no templates: nothing would ever be sent")
        for purpose, template in self.templates.items():
            if purpose not in PURPOSES and not _TOUCH.fullmatch(purpose):
                raise ValueError(f"templates: {purpose!r} is none of {', '.join(PURPOSES)}, touch_…")
            if not _TEMPLATE.fullmatch(template):
                raise ValueError(f"templates: {purpose} should look like SMS_123456789")
        check_fields(self.variables.values(), "variables")
