"""Sends one message through Apprise, which is not of asyncio: in a thread, with a deadline.

Apprise says only whether a message was taken, not why it was not; so what was not taken is tried again until it is too
old. It looks at the HTTP status alone: for WeCom, DingTalk and Feishu, who say 200 to everything, use their own sinks.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

from frontrow.core.errors import ConfigError, Mistake, SinkBusy
from frontrow_connectors.sinks.apprise.options import AppriseOptions
from frontrow_connectors.sinks.cards import PLAIN, digest_title, markdown_card, markdown_digest, title
from frontrow_connectors.sinks.contract import Delivery, SinkContext, check_group

DIGEST_SIZE = 10
MAX_CONTENT_BYTES = (
    2_000  # many services take no more; Apprise itself cuts or splits what is too long for one
)


class AppriseSink:
    """Fits :class:`frontrow.core.ports.Sink`.

    Raises:
        ConfigError: Apprise knows no such service, or misses a part of its address.
    """

    def __init__(self, options: AppriseOptions, context: SinkContext) -> None:
        import apprise  # here, since it takes long and most have no such sink

        # What it logs may hold the service's address and the message.
        logging.getLogger("apprise").setLevel(logging.CRITICAL)
        self._options = options
        self._context = context
        self._service: Any = apprise.Apprise.instantiate(options.url, suppress_exceptions=True)
        self._ended = threading.Event()  # of the last message, sent or not
        self._ended.set()
        if self._service is None:
            reason = "Apprise knows no such service, or a part of its address is missing"
            raise ConfigError([Mistake("configuration", 0, 0, f"sinks.{context.sink}.url", reason)])

    async def deliver(self, deliveries: Sequence[Delivery]) -> str | None:
        check_group(deliveries)
        if not self._ended.is_set():
            raise SinkBusy("the message before is still on its way")
        heading, body = self._text(deliveries)
        if not await self._in_thread(lambda: bool(self._service.notify(body=body, title=heading))):
            raise SinkBusy("the service did not take it")
        return None  # Apprise tells no id

    async def close(self) -> None:
        """Nothing is held. A thread that still sends ends by Apprise's own timeouts, or with the process."""

    def _text(self, deliveries: Sequence[Delivery]) -> tuple[str, str]:
        language, base_url, now = self._context.language, self._context.base_url, self._context.clock.now()
        alerts = [delivery.alert for delivery in deliveries]
        if len(alerts) == 1:
            body = markdown_card(
                alerts[0],
                language=language,
                base_url=base_url,
                now=now,
                max_bytes=MAX_CONTENT_BYTES,
                dialect=PLAIN,
            )
            return title(alerts[0], language), body
        body = markdown_digest(
            alerts,
            language=language,
            base_url=base_url,
            now=now,
            max_bytes=MAX_CONTENT_BYTES,
            dialect=PLAIN,
        )
        return digest_title(len(alerts), language), body

    async def _in_thread(self, work: Callable[[], bool]) -> bool:
        """Return what ``work`` returns, run in a thread that nobody waits for at the end.

        Raises:
            SinkBusy: It failed, or took longer than the deadline.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[bool] = loop.create_future()

        def settle(result: bool | None) -> None:
            if done.done():
                return
            if result is None:
                done.set_exception(SinkBusy("Apprise failed"))
            else:
                done.set_result(result)

        self._ended = ended = threading.Event()

        def run() -> None:
            result: bool | None = None
            try:
                result = work()
            except Exception:  # noqa: BLE001  # of any plugin; its text may hold the address
                result = None
            ended.set()
            if not loop.is_closed():
                loop.call_soon_threadsafe(settle, result)

        threading.Thread(target=run, name=f"apprise:{self._context.sink}", daemon=True).start()
        deadline = asyncio.ensure_future(self._context.clock.sleep(self._options.timeout_s))
        try:
            either: set[asyncio.Future[Any]] = {done, deadline}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not done.done():
                raise SinkBusy(f"no answer within {self._options.timeout_s:g} s")
            return done.result()
        finally:
            done.cancel()
            deadline.cancel()
