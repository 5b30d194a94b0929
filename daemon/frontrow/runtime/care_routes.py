"""Care for customers over HTTP: consents, identities, the cleaning queue and nurture."""

import asyncio
from collections.abc import Awaitable
from typing import Annotated, Any, TypeVar

from litestar import get, post
from litestar.params import FromPath, FromQuery, QueryParameter

from frontrow.core.centre.book import LeadRow
from frontrow.core.centre.callbacks import CallbackRules, check_signed
from frontrow.core.centre.cleaning import State
from frontrow.core.errors import SignatureInvalid
from frontrow.core.ports import Clock
from frontrow.runtime.access import Access, Grant, Right, Role
from frontrow.runtime.answers import Http, problem
from frontrow.runtime.applying import NotApplied
from frontrow.runtime.care import (
    Care,
    ConsentWish,
    Decided,
    LinkWish,
    NumbersWish,
    OccasionWish,
    ReportWish,
    TouchWish,
    UnlinkWish,
    Unreadable,
    reader_sees,
)
from frontrow.runtime.desk import Desk, NotAllowed, NotThere, Reader
from frontrow.runtime.door import Door, Refused
from frontrow.runtime.repeating import KeyReused

MAX_PAGE = 500

Answer = TypeVar("Answer")


def care_routes(
    care: Care,
    desk: Desk,
    access: Access,
    clock: Clock,
    refused: Refused,
    callback: CallbackRules,
) -> list[Any]:
    """Return the handlers. ``refused`` counts refusals by route and reason; ``callback`` says what tokens of the role cleaning must sign."""
    door = Door("care", access, clock, refused)

    async def grant_of(request: Http, *rights: Right) -> Grant:
        grant = await door.grant(request)
        if not any(grant.allows(right, "") for right in rights):
            raise door.refusal(
                "forbidden",
                403,
                f"This token's role is {grant.role}; it does not give {rights[0]} of all rooms.",
            )
        return grant

    async def signed(request: Http, grant: Grant, task: str) -> None:
        """Return if a call about a task is signed, where it must be."""
        if grant.role is Role.CLEANING:
            try:
                check_signed(callback, request.headers, task, await request.body(), now=clock.now())
            except SignatureInvalid as error:
                raise door.refusal("signature", 401, f"{str(error)[0].upper()}{str(error)[1:]}.") from error

    def reader_of(grant: Grant) -> Reader | None:
        """Return who asks, None for a program of the owner's, which sees all leads."""
        if grant.role is Role.CRM:
            return None
        try:
            return desk.reader(grant)
        except NotAllowed as error:
            raise door.forbidden(error) from error

    async def seen(grant: Grant, lead: str) -> LeadRow:
        reader = reader_of(grant)
        if reader is not None:
            return await answered(desk.seen(reader, lead))
        return await answered(care.row(lead))

    async def answered(doing: Awaitable[Answer]) -> Answer:
        try:
            # Shielded: who hangs up does not take back what is on its way into the journal.
            return await asyncio.shield(asyncio.ensure_future(doing))
        except NotThere:
            raise door.refusal("not there", 404, "There is no such thing, or not for this token.") from None
        except NotAllowed as error:
            raise door.forbidden(error) from error
        except Unreadable as error:
            raise door.refusal("not understood", 422, f"{str(error)[0].upper()}{str(error)[1:]}.") from error
        except Decided as error:
            text = "This task was decided otherwise."
            raise door.refusal("conflict", 409, text, task=error.task) from error
        except KeyReused:
            raise door.key_reused() from None
        except NotApplied:
            raise door.not_applied() from None

    # ------------------------------------------------------------------ consents

    @post(
        "/api/v1/leads/{lead:str}/consent",
        status_code=200,
        summary="What a customer has agreed to",
        tags=["customers"],
    )
    async def consent(request: Http, lead: FromPath[str]) -> dict[str, Any]:
        """Keeps a consent, or that it was withdrawn, at every name of the lead's customer; ``contact`` withdrawn suppresses everything.
        With an ``Idempotency-Key`` it is kept once, and the same key with another body is refused (422)."""
        grant = await grant_of(request, Right.LEADS, Right.CUSTOMERS)
        row = await seen(grant, lead)
        reader = reader_of(grant)
        if reader is not None and not reader.manages and row.owner != reader.sight.seller:
            raise door.refusal(
                "forbidden",
                403,
                "Only who follows the lead or manages its team tells of its customer's consent.",
            )
        wish = await door.wish(request, ConsentWish)
        key = request.headers.get("idempotency-key") or None
        return await answered(care.consent(row, wish, by=_by(grant), key=key))

    @get("/api/v1/leads/{lead:str}/consent", summary="What a customer has agreed to", tags=["customers"])
    async def consents(request: Http, lead: FromPath[str]) -> dict[str, Any]:
        """The last word on each purpose and channel, and whether the customer wants no contact."""
        row = await seen(await grant_of(request, Right.LEADS, Right.CUSTOMERS), lead)
        return await answered(care.consents(row))

    # ------------------------------------------------------------------ identities

    @get("/api/v1/customers/{customer:str}", summary="One customer, with all names", tags=["customers"])
    async def customer(request: Http, customer: FromPath[str]) -> dict[str, Any]:
        """404 also where this token sees none of the customer's leads."""
        grant = await grant_of(request, Right.CUSTOMERS, Right.LEADS)
        return await answered(care.customer(customer, reader_sees(reader_of(grant))))

    @get(
        "/api/v1/identities/suggestions", summary="Links that are not sure enough to join", tags=["customers"]
    )
    async def suggestions(
        request: Http, limit: Annotated[int, QueryParameter(ge=1, le=MAX_PAGE)] = 100
    ) -> dict[str, Any]:
        """The surest first. To confirm one is to link the same two with more confidence."""
        await grant_of(request, Right.CUSTOMERS)
        return {"links": await answered(care.suggestions(limit))}

    @post(
        "/api/v1/identities/link",
        status_code=200,
        summary="Two identities are one person",
        tags=["customers"],
    )
    async def link(request: Http) -> dict[str, Any]:
        """Customers and their leads are merged where the confidence reaches the configured threshold. A phone may be given as
        ``{"kind": "phone", "number": "138…"}``; only its keyed hash is kept."""
        grant = await grant_of(request, Right.CUSTOMERS)
        wish = await door.wish(request, LinkWish)
        key = request.headers.get("idempotency-key") or None
        return await answered(care.link(wish, by=_by(grant), key=key))

    @post("/api/v1/identities/unlink", status_code=200, summary="A link was a mistake", tags=["customers"])
    async def unlink(request: Http) -> dict[str, Any]:
        """Parts what the link had joined, exactly as it was. A reason is needed."""
        grant = await grant_of(request, Right.CUSTOMERS)
        return await answered(care.unlink(await door.wish(request, UnlinkWish), by=_by(grant)))

    @post("/api/v1/numbers", status_code=200, summary="Numbers that are no customers'", tags=["customers"])
    async def numbers(request: Http) -> dict[str, Any]:
        """Puts numbers on a list (blacklist, staff, test), or takes them off it; only keyed hashes are kept."""
        grant = await grant_of(request, Right.CUSTOMERS)
        return await answered(care.list_numbers(await door.wish(request, NumbersWish), by=_by(grant)))

    # ------------------------------------------------------------------ cleaning

    @get("/api/v1/cleaning", summary="The cleaning queue", tags=["cleaning"])
    async def cleaning(
        request: Http,
        of_state: Annotated[str, QueryParameter(name="state")] = "queued",
        cursor: FromQuery[str | None] = None,
        limit: Annotated[int, QueryParameter(ge=1, le=MAX_PAGE)] = 50,
    ) -> dict[str, Any]:
        """Tasks of a state (queued, dialing, answered, decided, timeout; several with commas), the oldest first."""
        await grant_of(request, Right.CLEANING)
        states = of_state.split(",")
        unknown = sorted(set(states) - {str(each) for each in State})
        if unknown:
            raise problem(400, f"A state is one of {', '.join(State)}.")
        found = await answered(care.tasks(states, after=_cursor(cursor), limit=limit + 1))
        more, found = len(found) > limit, found[:limit]
        return {"tasks": found, "next": f"{found[-1]['created_at']}.{found[-1]['task']}" if more else None}

    @post("/api/v1/cleaning/{task:str}", status_code=200, summary="What became of a task", tags=["cleaning"])
    async def report(request: Http, task: FromPath[str]) -> dict[str, Any]:
        """For a person or a cleaning service: the same report again changes nothing, and one that comes late neither. 409 where the task was
        decided otherwise."""
        grant = await grant_of(request, Right.CLEANING)
        await signed(request, grant, task)
        return await answered(care.report(task, await door.wish(request, ReportWish), by=_by(grant)))

    @post(
        "/api/v1/cleaning/{task:str}/reveal", status_code=200, summary="The number to call", tags=["cleaning"]
    )
    async def reveal(request: Http, task: FromPath[str]) -> dict[str, Any]:
        """Of an open task, and of nobody who wants no contact; who asked is kept."""
        grant = await grant_of(request, Right.CLEANING)
        await signed(request, grant, task)
        return dict(await answered(care.number(task, by=_by(grant))))

    # ------------------------------------------------------------------ nurture

    @get("/api/v1/touches/preview", summary="Who would get what", tags=["nurture"])
    async def preview(
        request: Http,
        at: FromQuery[int | None] = None,
        cursor: Annotated[int, QueryParameter(ge=0)] = 0,
        limit: Annotated[int, QueryParameter(ge=1, le=MAX_PAGE)] = 100,
    ) -> dict[str, Any]:
        """By the rules in force, at ``at`` (UTC ms) or now: messages, and for everybody else the reason why not. ``limit`` bounds the leads
        that are looked at; ``next`` is the cursor of the following page, or null. Nothing is sent."""
        await grant_of(request, Right.NURTURE)
        return await answered(care.preview(at, after=cursor, limit=limit))

    @post("/api/v1/touches", status_code=200, summary="A message that another program sent", tags=["nurture"])
    async def touched(request: Http) -> dict[str, Any]:
        """It counts like one of ours, so that a customer is not written to more often than the limits allow."""
        grant = await grant_of(request, Right.NURTURE)
        wish = await door.wish(request, TouchWish)
        await answered(care.sent(await seen(grant, wish.lead), wish, by=_by(grant)))
        return {"lead": wish.lead}

    @get("/api/v1/occasions", summary="Planned broadcasts and campaigns", tags=["nurture"])
    async def occasions(request: Http) -> dict[str, Any]:
        """Those of the configuration, and those that were told here."""
        await grant_of(request, Right.NURTURE)
        return {"occasions": await answered(care.occasions())}

    @post("/api/v1/occasions", status_code=200, summary="Plan a broadcast or a campaign", tags=["nurture"])
    async def plan(request: Http) -> dict[str, Any]:
        """The last word on one of a name holds."""
        grant = await grant_of(request, Right.NURTURE)
        return {"occasions": await answered(care.plan(await door.wish(request, OccasionWish), by=_by(grant)))}

    return [
        consent, consents, customer, suggestions, link, unlink, numbers, cleaning, report, reveal, preview, touched, occasions, plan,
    ]  # fmt: skip


def _by(grant: Grant) -> str:
    return grant.seller or f"token {grant.id}"


def _cursor(text: str | None) -> tuple[int, str] | None:
    if text is None:
        return None
    at, dot, task = text.partition(".")
    if not (at.isascii() and at.isdigit() and dot and task and len(text) < 120):
        raise problem(400, "The cursor is not one that this API gave.")
    return int(at), task
