"""What an operator can say of a DingTalk robot."""

from typing import Annotated

from msgspec import Meta, Struct

from frontrow.config.secret import Secret
from frontrow_connectors.sinks.posting import check_url


class DingTalkOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of one group robot.

    ``token`` is the part behind ``access_token=`` in the robot's address. ``secret`` is what DingTalk shows under
    加签 (it begins with SEC); None where the robot is secured by a keyword or by addresses. ``url`` is changed only where
    a proxy stands between. ``timeout_s`` is the longest wait for the connection and for each part of the answer.
    """

    token: Annotated[Secret, Meta(min_length=1, max_length=256)]
    secret: Annotated[Secret, Meta(min_length=1, max_length=256)] | None = None
    url: str = "https://oapi.dingtalk.com/robot/send"
    timeout_s: Annotated[float, Meta(gt=0, le=60)] = 8.0

    def __post_init__(self) -> None:
        if "access_token=" in self.token or "/" in self.token:
            raise ValueError("give only what stands behind `access_token=` in the robot's address")
        check_url(self.url)
