"""Sends one message of a WeCom application to one member, and renews the access token when WeCom wants another.

A token lives 7,200 s and may be taken back earlier; asking for one too often is itself refused, so it is kept and
renewed only shortly before its end or when a message is answered with a code that says so, once for each message.
What a member gets beyond 30 messages a minute WeCom drops and says "ok": so the worker keeps that limit
(``PER_MEMBER``). See developer.work.weixin.qq.com/document/path/91039 (token), /90236 (messages), /90313 (codes).
"""

from collections.abc import Sequence

import httpx
import msgspec

from frontrow.core.alerts import Addressee
from frontrow.core.errors import SinkBusy, SinkRefused
from frontrow_connectors.sinks.cards import Dialect, markdown_card
from frontrow_connectors.sinks.codes import Codes
from frontrow_connectors.sinks.contract import Delivery, SinkContext
from frontrow_connectors.sinks.posting import Answer, check_status, get, post
from frontrow_connectors.sinks.wecom_app.options import WeComAppOptions

PER_MEMBER = 30  # messages a minute
MAX_CONTENT_BYTES = 2_048  # of an application's markdown message, in UTF-8; a robot's takes twice as much
TOO_OFTEN_WAIT_S = 60.0
DUPLICATES_S = 1_800  # within which WeCom shows the same message once
RENEW_BEFORE_S = 300.0  # the end of a token

_TOKEN_GONE = frozenset({40001, 40014, 42001})  # not valid, not valid, expired
CODES = Codes(
    receiver="WeCom",
    too_often={45009: TOO_OFTEN_WAIT_S, 45033: TOO_OFTEN_WAIT_S},
    busy=frozenset({-1}),
    reasons={
        40001: "the application's secret is not that of this company",
        40013: "corp_id is not known to WeCom",
        40056: "agent_id is not known to WeCom",
        41004: "the application's secret is missing",
        60020: "this machine's address is not among the application's trusted addresses (企业可信IP)",
        81013: "the member is not known or may not see the application (可见范围)",
    },
)
_WECOM = Dialect(grade='<font color="warning">{}</font>')


class WeComAppSink:
    """Fits :class:`frontrow.core.ports.Sink`. Called by one worker, so nobody else renews the token meanwhile."""

    def __init__(self, options: WeComAppOptions, context: SinkContext) -> None:
        self._options = options
        self._context = context
        self._base = options.url.rstrip("/")
        self._token = ""
        self._token_until = 0.0  # monotonic

    async def deliver(self, deliveries: Sequence[Delivery]) -> str | None:
        if len(deliveries) != 1:
            raise SinkRefused(f"a member is told of one lead, not of {len(deliveries)}")
        to = deliveries[0].alert.to
        if to is None:
            raise SinkRefused("this is meant for nobody in particular; a group's sink tells it")
        if not to.wecom:
            raise SinkRefused(f"seller {to.seller} has no WeCom userid in the organisation")
        body = self._message(deliveries[0], to, to.wecom)
        answer = await self._send(body)
        code, _ = CODES.read(answer)
        if code in _TOKEN_GONE:
            self._token = ""
            answer = await self._send(body)
        said = CODES.check(answer)
        self._check_reached(said, to.wecom)
        receipt = said.get("msgid")
        return receipt if isinstance(receipt, str) else None

    async def close(self) -> None:
        """Nothing is held: the HTTP client is shared and closed by who made it."""

    def _message(self, delivery: Delivery, to: Addressee, userid: str) -> bytes:
        content = markdown_card(
            delivery.alert,
            language=self._context.language,
            base_url=self._context.base_url,
            now=self._context.clock.now(),
            max_bytes=MAX_CONTENT_BYTES,
            dialect=_WECOM,
        )
        return msgspec.json.encode(
            {
                "touser": userid,
                "msgtype": "markdown",
                "agentid": self._options.agent_id,
                "markdown": {"content": content},
                "enable_duplicate_check": 1,
                "duplicate_check_interval": DUPLICATES_S,
            }
        )

    async def _send(self, body: bytes) -> Answer:
        url = self._address("message/send", access_token=await self._access_token())
        headers = {"content-type": "application/json"}
        answer = await post(self._context.http, url, body, headers, timeout_s=self._options.timeout_s)
        check_status(answer, now=self._context.clock.now())
        return answer

    async def _access_token(self) -> str:
        clock = self._context.clock
        if self._token and clock.monotonic() < self._token_until:
            return self._token
        url = self._address("gettoken", corpid=self._options.corp_id, corpsecret=self._options.secret)
        answer = await get(self._context.http, url, timeout_s=self._options.timeout_s)
        check_status(answer, now=clock.now())
        said = CODES.check(answer)
        token, lives_s = said.get("access_token"), said.get("expires_in")
        if not isinstance(token, str) or not token or not isinstance(lives_s, int):
            raise SinkBusy("the answer is not WeCom's")
        self._token = token
        self._token_until = clock.monotonic() + max(60.0, lives_s - RENEW_BEFORE_S)
        return token

    def _address(self, call: str, **query: str) -> str:
        return str(httpx.URL(f"{self._base}/cgi-bin/{call}").copy_merge_params({**query}))

    def _check_reached(self, said: dict[str, object], userid: str) -> None:
        """Raise SinkRefused if WeCom took the message and says that the member will not get it."""
        if said.get(
            "invaliduser"
        ):  # of one receiver this is answered by 81013; kept for what the codes do not tell
            raise SinkRefused(CODES.reasons[81013])
        if said.get("unlicenseduser"):
            raise SinkRefused("the member has no licence for WeCom's interfaces (基础接口许可)")
