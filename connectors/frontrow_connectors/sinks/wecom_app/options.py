"""What an operator can say of a WeCom application."""

from typing import Annotated

from msgspec import Meta, Struct

from frontrow.config.secret import Secret
from frontrow_connectors.sinks.posting import check_url


class WeComAppOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of one application of a company.

    ``corp_id`` is the company's (企业ID), ``agent_id`` the application's number and ``secret`` its Secret. ``url`` is
    changed only where a proxy stands between. ``timeout_s`` is the longest wait for the connection and for each part
    of an answer; the worker allows 10 s for a whole message.
    """

    corp_id: Annotated[str, Meta(min_length=1, max_length=64)]
    agent_id: Annotated[int, Meta(ge=1)]
    secret: Annotated[Secret, Meta(min_length=1, max_length=256)]
    url: str = "https://qyapi.weixin.qq.com"
    timeout_s: Annotated[float, Meta(gt=0, le=60)] = 4.0

    def __post_init__(self) -> None:
        check_url(self.url)
