"""What the sink asks of a provider of text messages. To add one, fit :class:`SmsProvider` and name it in ``sink.py``."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class SmsMessage:
    """One message: in mainland China only an approved template's variables are ours to fill.

    ``mobile`` is an E.164 number. ``key`` is stable over retries; ``attempt`` counts from 1.
    """

    mobile: str
    template: str
    variables: Mapping[str, str]
    key: str
    attempt: int


class SmsProvider(Protocol):
    """One provider of text messages."""

    async def send(self, message: SmsMessage) -> str | None:
        """Send it and return the provider's receipt.

        Raises:
            SinkBusy: Not now (a limit, no answer, its own trouble).
            SinkRefused: Never as it is (number, template, account).
        """
