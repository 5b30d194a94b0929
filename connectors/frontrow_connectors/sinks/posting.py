"""One request to a receiver, and what its status says: taken, not now, or never."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

import httpx

from frontrow.core.errors import SinkBusy, SinkRefused

MAX_ANSWER_BYTES = 65_536  # an answer is a few words of JSON; what is longer is not one
MAX_RETRY_AFTER_S = 3_600.0  # a receiver may ask for patience, not for silence

# 408 Request Timeout, 425 Too Early, 429 Too Many Requests: the 4xx that ask to come again (RFC 9110, 8470, 6585).
_COME_AGAIN = frozenset({408, 425, 429})


def check_url(url: str) -> None:
    """Return if ``url`` is an address that can be posted to.

    Raises:
        ValueError: Not http or https, no host, or not an address at all. The message does not repeat it.
    """
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ValueError("not an address: it should look like https://host/path") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError("not an address: it should begin with https:// (or http://) and name a host")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver answered; ``body`` at most :data:`MAX_ANSWER_BYTES` of it."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def post(
    http: httpx.AsyncClient, url: str, body: bytes, headers: Mapping[str, str], *, timeout_s: float
) -> Answer:
    """Send one POST and return its answer. Redirects are not followed: a signed body goes to one address only.

    Raises:
        SinkBusy: No connection, no answer in time, or an answer that broke off. The reason names no address, since
            addresses of robots are secrets.
    """
    return await _answered(http, "POST", url, body, headers, timeout_s)


async def get(http: httpx.AsyncClient, url: str, *, timeout_s: float) -> Answer:
    """Send one GET and return its answer; otherwise as :func:`post`."""
    return await _answered(http, "GET", url, None, {}, timeout_s)


async def _answered(
    http: httpx.AsyncClient,
    method: str,
    url: str,
    body: bytes | None,
    headers: Mapping[str, str],
    timeout_s: float,
) -> Answer:
    # Unpacked by nobody, so that a small packed answer cannot become a large one.
    asked = {**headers, "accept-encoding": "identity"}
    received = bytearray()
    try:
        async with http.stream(
            method, url, content=body, headers=asked, timeout=timeout_s, follow_redirects=False
        ) as response:
            async for chunk in response.aiter_raw():
                received += chunk
                if len(received) >= MAX_ANSWER_BYTES:
                    break
    except httpx.TimeoutException as error:
        raise SinkBusy(f"no answer in time ({type(error).__name__})") from error
    except httpx.TransportError as error:
        raise SinkBusy(f"the connection failed ({type(error).__name__})") from error
    return Answer(response.status_code, response.headers, bytes(received[:MAX_ANSWER_BYTES]))


def check_status(answer: Answer, *, now: int) -> None:
    """Return if the receiver answered 2xx; ``now`` (UTC milliseconds) is what a date in Retry-After is measured by.

    Raises:
        SinkBusy: 408, 425, 429 or 5xx, with what Retry-After asks for.
        SinkRefused: Anything else; coming again with the same cannot help.
    """
    if 200 <= answer.status < 300:
        return
    if answer.status in _COME_AGAIN or answer.status >= 500:
        wait_s = retry_after_s(answer.headers.get("retry-after"), now=now)
        raise SinkBusy(f"HTTP {answer.status}", retry_after_s=wait_s)
    if answer.status == 410:
        raise SinkRefused("HTTP 410: the receiver is gone for good")
    if 300 <= answer.status < 400:
        raise SinkRefused(f"HTTP {answer.status}: redirects are not followed; configure the final address")
    raise SinkRefused(f"HTTP {answer.status}")


def retry_after_s(value: str | None, *, now: int) -> float | None:
    """Return the seconds that a Retry-After header asks for (RFC 9110, 10.2.3: seconds or a date), or None.

    A date in the past is 0; more than an hour counts as an hour; what cannot be read counts as absent.
    """
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return min(MAX_RETRY_AFTER_S, float(value[:9]))
    try:
        date = parsedate_to_datetime(value)
        at_s = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
    return min(MAX_RETRY_AFTER_S, max(0.0, at_s - now / 1_000))
