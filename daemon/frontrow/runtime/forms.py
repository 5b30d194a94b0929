"""The hosted form's address: ``GET /form/{form}`` shows it, ``POST /form/{form}`` takes what it sends.

No token is asked for, and nothing is kept of a visitor: a form is for everybody. What keeps programs away are a field
that people do not see, limits by form and address, and small bounds. A submission is answered after it is durable.
"""

import asyncio
import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlencode

from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from frontrow.core.centre.channels import Refusal
from frontrow.core.centre.forms import (
    Answers,
    Form,
    Language,
    Limits,
    Link,
    View,
    language_of,
    mistakes_in,
    read_answers,
    read_link,
    submission,
)
from frontrow.core.errors import EventInvalid
from frontrow.core.events import Event, RoomRef
from frontrow.core.ports import Clock, Receipt
from frontrow.runtime.intake import NotStored, QueueFull

FEED = "form"  # the name under which submissions are counted
ROUTE = "form"  # and refusals
MAX_BODY = 16_384  # bytes; all fields at their bounds, of the widest characters, are 12,000
MAX_PAIRS = 32
BUSY_S, OFTEN_S = 5, 60
SENT = "&sent=1"  # behind an address that has a query

Http = Request[Any, Any, Any]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Shown(Protocol):
    """A page as it goes out."""

    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def body(self) -> bytes: ...


class Taking(Protocol):
    """The intake, as far as a form needs it."""

    def put_nowait(self, events: Sequence[Event], *, feed: str) -> "asyncio.Future[Receipt]": ...


@dataclass(frozen=True, kw_only=True)
class Hosting:
    """What the form's routes need. ``nonce`` draws a text of 16 to 64 of A-Z a-z 0-9 - _ that nobody guesses.

    ``admit`` is the channels' word on an event: as it is to be taken, or why it is not. ``trusted`` are the
    proxies whose ``X-Forwarded-For`` is believed. ``refused`` counts by route and reason.
    """

    forms: Mapping[str, Form]
    rooms: Mapping[str, RoomRef]
    clock: Clock
    intake: Taking
    admit: Callable[[Event, str], Event | Refusal]
    render: Callable[[View], Shown]
    nonce: Callable[[], str]
    refused: Callable[[str, str], None]
    trusted: Sequence[Network]
    region: str
    language: Language


def form_routes(hosting: Hosting) -> list[HTTPRouteHandler]:
    """Return the handlers of the form's address."""
    limits = Limits()

    def page(view: View, status: int, reason: str = "", retry_after_s: int | None = None) -> Response[bytes]:
        if reason:
            hosting.refused(ROUTE, reason)
        shown = hosting.render(view)
        headers = dict(shown.headers)
        if retry_after_s is not None:
            headers["retry-after"] = str(retry_after_s)
        media_type = headers.pop("content-type")
        return Response(shown.body, status_code=status, headers=headers, media_type=media_type)

    def begin(request: Http, name: str) -> tuple[View, tuple[Form, Link] | None]:
        """Return the page of an address, its form and what it says of it; None where there is no such form."""
        asked = {key: str(value) for key, value in request.query_params.items()}
        language = language_of(
            asked.get("lang"), request.headers.get("accept-language", ""), hosting.language
        )
        form = hosting.forms.get(name)
        if form is None:
            return View("unknown", language), None
        link, forged = read_link(form, asked)
        if forged:
            hosting.refused(ROUTE, "link")  # the form is still open to whoever has it
        other: Language = "en" if language == "zh-CN" else "zh-CN"
        done = asked.get("sent") == "1"
        view = View(
            "sent" if done else "open",
            language,
            form,
            Answers({"product": link.product} if link.product and link.product in form.products else {}),
            action=_address(form, link, language),
            other=_address(form, link, other) + (SENT if done else ""),
            nonce=hosting.nonce(),
        )
        return view, (form, link)

    @get("/form/{form:str}", include_in_schema=False)
    async def shown(request: Http, form: FromPath[str]) -> Response[bytes]:
        view, found = begin(request, form)
        return page(view, 200) if found is not None else page(view, 404, "unknown")

    @post("/form/{form:str}", include_in_schema=False)
    async def sent(request: Http, form: FromPath[str]) -> Response[bytes]:
        view, found = begin(request, form)
        if found is None:
            return page(view, 404, "unknown")
        asked, link = found
        view = replace(view, state="open")
        answers = await _answers(request)
        if answers is None:
            return page(view, 413, "not a form")
        # With the nonce that it came with: who presses again sends the same submission.
        view = replace(view, answers=answers, nonce=answers.nonce or view.nonce)
        if answers.trapped:
            hosting.refused(ROUTE, "trap")
            return _sent(view)  # a program is not told how it was known
        mistakes = mistakes_in(asked, answers, hosting.region)
        if mistakes:
            return page(replace(view, mistakes=mistakes), 422, "mistakes")
        now = hosting.clock.now()
        if not limits.allow(asked, _network_of(_client(request, hosting.trusted)), now):
            return page(replace(view, state="often"), 429, "too often", OFTEN_S)
        room = hosting.rooms[link.room]
        try:
            event = submission(asked, answers, link, room=room, language=view.language, at=now)
        except EventInvalid:
            return page(replace(view, nonce=hosting.nonce()), 422, "nonce")
        admitted = hosting.admit(event, FEED)
        if isinstance(admitted, Refusal):
            return page(replace(view, state="closed"), 404, admitted.reason)
        try:
            await asyncio.shield(_stored(hosting.intake, admitted))
        except (QueueFull, NotStored):
            return page(replace(view, state="busy"), 503, "not stored", BUSY_S)
        return _sent(view)

    return [shown, sent]


async def _stored(intake: Taking, event: Event) -> Receipt:
    return await intake.put_nowait([event], feed=FEED)


def _sent(view: View) -> Response[bytes]:
    """Send the browser to the thanks, so that to load that again sends nothing."""
    headers = {
        "location": view.action + SENT,
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
    }
    return Response(b"", status_code=303, headers=headers, media_type="text/plain")


async def _answers(request: Http) -> Answers | None:
    """Return what the body holds, or None if it is nothing that the page sends."""
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > MAX_BODY:
        return None
    body = await request.body()
    if len(body) > MAX_BODY:
        return None
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_PAIRS, errors="strict")
    except (UnicodeDecodeError, ValueError):
        return None
    return read_answers(pairs)


def _address(form: Form, link: Link, language: Language) -> str:
    return f"/form/{form.id}?{urlencode([*link.query, ('lang', language)])}"


def _client(request: Http, trusted: Sequence[Network]) -> str:
    """Return the address that a request comes from: the nearest one that is not a trusted proxy's."""
    client = request.scope.get("client")
    hops = [part.strip() for part in request.headers.get("x-forwarded-for", "").split(",") if part.strip()]
    hops.append(client[0] if client else "")
    while len(hops) > 1 and _is_among(hops[-1], trusted):
        hops.pop()
    return hops[-1]


def _is_among(address: str, networks: Sequence[Network]) -> bool:
    found = _parsed(address)
    return found is not None and any(
        found.version == network.version and found in network for network in networks
    )


def _network_of(address: str) -> str:
    """Return what is counted as one address: of IPv6 the network of a household, which has as many as it likes."""
    found = _parsed(address)
    if isinstance(found, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)  # "None": all that are none together


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
