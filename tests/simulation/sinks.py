"""Receivers of alerts outside, and the two sinks of the daemon that reach them.

One sink is the real webhook with its HTTP client, on a transport that crosses the simulated network; the other knows
digests and a budget, as the robots of chat programs do. A receiver remembers every message that it has taken, and
whether its answer got back: only then may the same alert not come again.
"""

import asyncio
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import httpx

from frontrow.config.secret import Secret
from frontrow.core.alerts import Delivery
from frontrow.core.errors import SinkBusy, SinkRefused
from frontrow.core.ports import Clock, Sink
from frontrow_connectors.sinks.contract import SinkContext
from frontrow_connectors.sinks.webhook import SINK as WEBHOOK
from frontrow_connectors.sinks.webhook.options import WebhookOptions
from tests.simulation.feeds import Outside
from tests.simulation.network import Broken
from tests.simulation.plan import Fault

HOOK, ROBOT = "hook", "robot"
ROBOT_DIGEST = 4
ROBOT_PER_MINUTE = 20
TIMEOUT_S = 3.0


@dataclass(slots=True)
class Taken:
    """One alert that a receiver took: from which process, and whether the daemon was told so."""

    key: str
    lead: str
    process: int
    order: int  # of its message among all that were sent to any receiver
    answered: bool = False


@dataclass
class Receiver:
    """One receiver of alerts, outside. ``taken`` is everything it ever took, in order."""

    name: str
    outside: Outside
    rng: random.Random
    taken: list[Taken] = field(default_factory=list)

    async def post(self, process: int, alerts: Sequence[tuple[str, str]]) -> tuple[int, dict[str, str]]:
        """Send (key, lead) pairs from a process of the daemon; return status and headers. Raises Broken."""
        self.outside.posts += 1
        taken = [Taken(key, lead, process, self.outside.posts) for key, lead in alerts]
        status: tuple[int, dict[str, str]] = await self.outside.network.request(
            self.outside.network.outside, lambda: self._serve(process, taken), timeout_s=TIMEOUT_S
        )
        if status[0] == 200:
            for each in taken:
                each.answered = True
        return status

    async def _serve(self, process: int, taken: list[Taken]) -> tuple[int, dict[str, str]]:
        def strikes(fault: Fault, chance: float) -> bool:
            # Of a slow network a message arrives when its sender may be dead, and another process run.
            return self.outside.strikes(fault, self.rng, chance, process)

        if strikes(Fault.SINK_BUSY, 0.4):
            if self.rng.random() < 0.3:
                return 429, {"retry-after": str(self.rng.randint(1, 20))}
            return self.rng.choice((500, 502, 503)), {}
        if strikes(Fault.SINK_REFUSES, 0.2):
            return self.rng.choice((400, 404, 410)), {}
        if strikes(Fault.SINK_HANGS, 0.3):
            await asyncio.Event().wait()
        self.taken += taken
        if strikes(Fault.SINK_LOSES, 0.3):
            await asyncio.Event().wait()
        return 200, {}


class Robot:
    """A sink that tells of several leads in one message."""

    def __init__(self, receiver: Receiver, process: int) -> None:
        self._receiver = receiver
        self._process = process

    async def deliver(self, deliveries: Sequence[Delivery]) -> None:
        alerts = [(delivery.key, delivery.alert.lead) for delivery in deliveries]
        try:
            status, _ = await self._receiver.post(self._process, alerts)
        except Broken as error:
            raise SinkBusy(str(error)) from error
        if status in (429, 500, 502, 503):
            raise SinkBusy(f"HTTP {status}")
        if status != 200:
            raise SinkRefused(f"HTTP {status}")

    async def close(self) -> None: ...


class Transport(httpx.AsyncBaseTransport):
    """What the webhook's HTTP client sends through."""

    def __init__(self, receiver: Receiver, process: int) -> None:
        self._receiver = receiver
        self._process = process

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        lead = json.loads(await request.aread())["data"]["lead"]
        try:
            status, headers = await self._receiver.post(
                self._process, [(request.headers["webhook-id"], lead)]
            )
        except Broken as error:
            raise httpx.ReadTimeout(str(error)) from error
        return httpx.Response(status, headers=headers, stream=httpx.ByteStream(b""))


def open_webhook(receiver: Receiver, process: int, clock: Clock) -> Sink:
    """Return the real webhook sink, for one process."""
    context = SinkContext(
        sink=HOOK,
        clock=clock,
        http=httpx.AsyncClient(transport=Transport(receiver, process), trust_env=False),
        base_url="",
        language="en",
    )
    options = WebhookOptions(
        url="http://receiver.test/hook", secret=Secret("whsec_" + "QUJD" * 8), timeout_s=TIMEOUT_S
    )
    return WEBHOOK.open(options, context)


Open = Callable[[Receiver, int, Clock], Sink]

OPENERS: dict[str, Open] = {
    HOOK: open_webhook,
    ROBOT: lambda receiver, process, _clock: Robot(receiver, process),
}
