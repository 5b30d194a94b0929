"""What an operator can say of a WeCom robot."""

from typing import Annotated

from msgspec import Meta, Struct

from frontrow.config.secret import Secret
from frontrow_connectors.sinks.posting import check_url


class WeComOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of one group robot.

    ``key`` is the part behind ``key=`` in the address that WeCom shows when the robot is made; who has it can write
    to the group. ``url`` is changed only where a proxy stands between. ``timeout_s`` is the longest wait for the
    connection and for each part of the answer.
    """

    key: Annotated[Secret, Meta(min_length=1, max_length=256)]
    url: str = "https://qyapi.weixin.qq.com/cgi-bin/webhook/send"
    timeout_s: Annotated[float, Meta(gt=0, le=60)] = 8.0

    def __post_init__(self) -> None:
        if "key=" in self.key or "/" in self.key:
            raise ValueError("give only what stands behind `key=` in the robot's address")
        check_url(self.url)
