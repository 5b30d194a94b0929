"""Tells one seller, or writes to one customer, by text message: chooses the template and fills its variables; a provider sends it.

Mainland operators let through approved templates only, without links in variables: so a message says little, and the
seller opens the page.
"""

from collections.abc import Callable, Sequence
from types import MappingProxyType

from frontrow.core.errors import SinkRefused
from frontrow_connectors.sinks.cards import harmless
from frontrow_connectors.sinks.contract import Delivery, SinkContext
from frontrow_connectors.sinks.outward import fields
from frontrow_connectors.sinks.sms.aliyun import Aliyun
from frontrow_connectors.sinks.sms.options import SmsOptions
from frontrow_connectors.sinks.sms.provider import SmsMessage, SmsProvider

PER_MEMBER = 5  # a minute: more is a mistake of somebody's, and each costs money
UNKNOWN = "–"  # in an empty variable's place: providers refuse an empty one

PROVIDERS = MappingProxyType[str, Callable[[SmsOptions, SinkContext], SmsProvider]]({"aliyun": Aliyun})


class SmsSink:
    """Fits :class:`frontrow.core.ports.Sink`."""

    def __init__(self, options: SmsOptions, context: SinkContext) -> None:
        self._options = options
        self._context = context
        self._provider = PROVIDERS[options.provider](options, context)

    async def deliver(self, deliveries: Sequence[Delivery]) -> str | None:
        if len(deliveries) != 1:
            raise SinkRefused(f"a text message tells of one lead, not of {len(deliveries)}")
        delivery = deliveries[0]
        to = delivery.alert.to
        if to is None:
            raise SinkRefused("this is meant for nobody in particular; a group's sink tells it")
        if not to.mobile:
            raise SinkRefused(f"seller {to.seller} has no mobile number in the organisation")
        touch = delivery.alert.touch
        purpose = delivery.alert.purpose if touch is None else f"touch_{touch.text}"
        template = self._options.templates.get(purpose)
        if template is None:
            raise SinkRefused(f"no template is configured for {purpose}")
        return await self._provider.send(
            SmsMessage(
                mobile=to.mobile,
                template=template,
                variables=self._variables(delivery),
                key=delivery.key,
                attempt=delivery.attempt,
            )
        )

    async def close(self) -> None:
        """Nothing is held: the HTTP client is shared and closed by who made it."""

    def _variables(self, delivery: Delivery) -> dict[str, str]:
        ours = fields(
            delivery.alert,
            key=delivery.key,
            base_url="",
            now=self._context.clock.now(),
            language=self._context.language,
        )
        return {
            name: shortened("" if ours[field] is None else str(ours[field]), self._options.longest)
            for name, field in self._options.variables.items()
        }


def shortened(text: str, longest: int) -> str:
    """Return a variable's value: on one line, harmless, and of at most so many characters."""
    line = harmless(text, hide_numbers=False)
    return (line if len(line) <= longest else line[: longest - 1] + "…") or UNKNOWN
