"""What an operator can say of the account of 飞鱼 that is told of outcomes."""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from frontrow.config.secret import Secret
from frontrow_connectors.sinks.posting import check_url


class FeiyuSinkOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of one account; ``signature_key`` and ``access_token`` are those of its feed.

    ``states`` says which state (``clue_convert_state``) an outcome is there, before what the trade's pack says; 0: it
    is not told. ``timeout_s`` is the longest wait for the connection and for each part of the answer.
    """

    signature_key: Annotated[Secret, Meta(min_length=1, max_length=256)]
    access_token: Annotated[Secret, Meta(min_length=1, max_length=256)]
    states: dict[str, Annotated[int, Meta(ge=0, le=1_000_000)]] = msgspec.field(default_factory=dict)
    api_url: str = "https://feiyu.oceanengine.com"
    timeout_s: Annotated[float, Meta(gt=0, le=60)] = 8.0

    def __post_init__(self) -> None:
        check_url(self.api_url)
