"""Messages of nurture on their last yards: who they are for is looked up when they are sent, and whether they still may be.

What the outbox keeps names nobody. Between the decision and the sending a customer may have taken their consent back,
or been erased, or quiet hours may have begun; then nothing goes out. Text messages go through the provider's
interface; on other channels a program of the owner's is told that a message is due. Frontrow itself writes to nobody
on any platform. What became of a message is an event again, so that the lead centre knows what a customer has really
had.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from frontrow.config import Config, SinkConfig
from frontrow.core.alerts import Addressee, CustomerTouch, Delivery, LeadAlert
from frontrow.core.centre.book import Contact
from frontrow.core.centre.clock import quiet_until
from frontrow.core.centre.nursing import REFUSED, SENT
from frontrow.core.centre.nurture import TOUCH_CHANNELS, CustomerFacts, TouchChannel, TouchLimits
from frontrow.core.contact import form_facts
from frontrow.core.errors import SinkBusy, SinkRefused
from frontrow.core.events import Event
from frontrow.core.ports import Clock, Intake, Sink
from frontrow.runtime.intake import NotStored, QueueFull
from frontrow.runtime.outbox import OutboxRow, OutboxStore
from frontrow_connectors.sinks.registry import SINKS
from frontrow_connectors.sinks.sms.options import SmsOptions

FEED = "outbox"
JOURNALLED_WITHIN_S = 5.0  # what became of a message
AGAIN_MS = 60_000  # until a message is looked at again whose end could not be journalled
TOLD_AS = "touch."  # and the message's name: what the outbox keeps it by
CUSTOMER = "customer"  # stands for the seller's id where a message has a customer for its addressee


def touch_sinks(config: Config) -> dict[TouchChannel, list[str]]:
    """Return by channel the sinks through which customers are written to.

    Text messages go through the first account that has any template for customers: one telephone rings once. On the
    other channels all programs are told that hear what becomes of leads (``lifecycle``). A sink of some rooms only
    takes no part: a customer is of none.
    """
    sinks = [sink for sink in config.sinks if sink.enabled and not sink.rooms]
    sms = [sink.id for sink in sinks if templates_of(sink)]
    programs = [sink.id for sink in sinks if SINKS[sink.kind].audience == "program" and sink.lifecycle]
    return {channel: sms[:1] if channel == "sms" else programs for channel in TOUCH_CHANNELS}


def templates_of(sink: SinkConfig) -> set[str]:
    """Return the texts for customers that a sink has templates for."""
    options = sink.options
    names = options.templates if isinstance(options, SmsOptions) else ()
    return {name.removeprefix("touch_") for name in names if name.startswith("touch_")}


def texts_without_template(config: Config) -> list[str]:
    """Return the texts of rules that would be sent by text message and for which there is no template, for a warning."""
    known = {text for sink in config.sinks if sink.enabled for text in templates_of(sink)}
    wanted = {rule.text for rule in config.centre.touch_rules if rule.channel == "sms"}
    return sorted(wanted - known) if config.centre.touch.send else []


class Reached(msgspec.Struct, frozen=True):
    """What is known of a customer at the moment of sending. ``fields`` are what they entered, None: destroyed, or never given."""

    facts: CustomerFacts
    limits: TouchLimits
    ids: Mapping[str, list[str]]
    contact: Contact | None
    fields: Mapping[str, Any] | None


class CustomerSink:
    """A sink through which customers are written to as well. Fits :class:`frontrow.core.ports.Sink`."""

    def __init__(
        self,
        sink: Sink,
        reach: Callable[[str], Awaitable[Reached | None]],
        *,
        clock: Clock,
        phone_region: str,
    ) -> None:
        """``reach`` looks a customer up by one of their leads, None: there is no such lead any more."""
        self._sink = sink
        self._reach = reach
        self._clock = clock
        self._phone_region = phone_region

    async def deliver(self, deliveries: Sequence[Delivery]) -> str | None:
        if not any(each.alert.purpose == "touch" for each in deliveries):
            return await self._sink.deliver(deliveries)
        if len(deliveries) != 1:
            raise SinkRefused("what is for a customer goes alone")
        delivery = deliveries[0]
        alert = await self._addressed(delivery.alert)
        return await self._sink.deliver([replace(delivery, alert=alert)])

    async def close(self) -> None:
        await self._sink.close()

    async def _addressed(self, alert: LeadAlert) -> LeadAlert:
        touch = alert.touch
        assert touch is not None
        try:
            found = await self._reach(alert.lead)
        except Exception as error:
            raise SinkBusy(f"the customer cannot be looked up now ({type(error).__name__})") from error
        refusal = None if found is None else _forbidden(found, touch, self._clock.now())
        if found is None or refusal is not None:
            raise SinkRefused(refusal or "there is no such lead any more")
        touch = msgspec.structs.replace(
            touch, reach={kind: list(ids) for kind, ids in found.ids.items() if ids}
        )
        to = None
        if touch.channel == "sms":
            number = None if found.fields is None else form_facts(found.fields, self._phone_region).phone
            if number is None or number.e164 is None:
                raise SinkRefused("the customer's number is not there any more")
            to = Addressee(seller=CUSTOMER, mobile=number.e164)
        return msgspec.structs.replace(alert, touch=touch, to=to)


class TouchOutbox:
    """An outbox that tells the journal what became of messages to customers. Fits :class:`frontrow.runtime.outbox.OutboxStore`."""

    def __init__(self, outbox: OutboxStore, intake: Intake) -> None:
        self._outbox = outbox
        self._intake = intake
        self._touches: dict[int, OutboxRow] = {}  # that wait, of those that were looked at

    async def due(self, sink: str, now: int, limit: int) -> list[OutboxRow]:
        rows = await self._outbox.due(sink, now, limit)
        self._touches.update((row.id, row) for row in rows if row.alert.touch is not None)
        return rows

    async def next_due(self, sink: str) -> int | None:
        return await self._outbox.next_due(sink)

    async def begun(self, sink: str, ids: Sequence[int], at: int) -> None:
        await self._outbox.begun(sink, ids, at)

    async def begun_since(self, sink: str, since: int) -> list[int]:
        return await self._outbox.begun_since(sink, since)

    async def told_since(self, sink: str, since: int) -> list[tuple[str, int]]:
        return await self._outbox.told_since(sink, since)

    async def delivered(self, ids: Sequence[int], at: int, receipt: str) -> None:
        # First the receipt: a message that waits counts as sent anyhow, and one that was sent must not go out again.
        await self._outbox.delivered(ids, at, receipt)
        await self._told(ids, SENT, at)

    async def postpone(self, ids: Sequence[int], due_at: int, error: str) -> None:
        await self._outbox.postpone(ids, due_at, error)

    async def dead(self, ids: Sequence[int], at: int, error: str) -> None:
        # First the journal: what is not known there waits in the outbox, also over a crash, and is refused again.
        if await self._told(ids, REFUSED, at):
            await self._outbox.dead(ids, at, error)
        else:
            await self._outbox.postpone(ids, at + AGAIN_MS, error)

    async def _told(self, ids: Sequence[int], result: str, at: int) -> bool:
        """Journal what became of messages, and return whether it is durable."""
        rows = [self._touches[id] for id in ids if id in self._touches]
        if rows:
            try:
                async with asyncio.timeout(JOURNALLED_WITHIN_S):
                    for row in rows:
                        await (await self._intake.put([_result(row, result, at)], feed=FEED))
            except (QueueFull, NotStored, TimeoutError):
                return False
        for row in rows:
            del self._touches[row.id]
        return True


def _result(row: OutboxRow, result: str, at: int) -> Event:
    alert, touch = row.alert, row.alert.touch
    assert touch is not None
    name = touch.name.removeprefix(TOLD_AS)
    return Event(
        id=f"touch_result-{name}-{row.sink}-{result}",
        platform=alert.platform,
        room=alert.room,
        kind="touch_result",
        at=at,
        lead=alert.lead,
        data={"touch": name, "result": result},
    )


def _forbidden(found: Reached, touch: CustomerTouch, now: int) -> str | None:
    facts = found.facts
    if facts.do_not_contact:
        return "the customer wants no contact"
    if touch.channel in facts.opted_out:
        return "the customer has stopped this channel"
    if quiet_until(now, found.limits) > now:
        return "quiet hours have begun"
    return None
