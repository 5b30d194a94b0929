"""What an operator can say of a Feishu robot."""

from typing import Annotated

from msgspec import Meta, Struct

from frontrow.config.secret import Secret
from frontrow_connectors.sinks.posting import check_url


class FeishuOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of one group robot.

    ``token`` is the last part of the robot's address. ``secret`` is what Feishu shows under 签名校验; None where the
    robot is secured by a keyword or by addresses. ``url`` is the address without the token; Lark's is
    ``https://open.larksuite.com/open-apis/bot/v2/hook``. ``timeout_s`` is the longest wait for the connection and for
    each part of the answer.
    """

    token: Annotated[Secret, Meta(min_length=1, max_length=256)]
    secret: Annotated[Secret, Meta(min_length=1, max_length=256)] | None = None
    url: str = "https://open.feishu.cn/open-apis/bot/v2/hook"
    timeout_s: Annotated[float, Meta(gt=0, le=60)] = 8.0

    def __post_init__(self) -> None:
        if "/" in self.token:
            raise ValueError("give only the last part of the robot's address, behind `/hook/`")
        check_url(self.url)
