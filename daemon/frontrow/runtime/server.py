"""The daemon's HTTP face: ingest, webhooks, panels, API, health and metrics, as one Litestar application.

It owns no state. What it needs it is given in :class:`Services`; who may do what is asked of :mod:`access` first,
before a body is read.
"""

import asyncio
import ipaddress
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, TypeVar

import msgspec
import structlog
from litestar import Litestar, MediaType, Response, WebSocket, get, post, websocket
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException, InternalServerException, WebSocketDisconnect
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send
from msgspec import Struct

from frontrow import __version__
from frontrow.core.contact import mask_numbers
from frontrow.core.errors import CommitFailed, DatabaseAway, EventInvalid, SignatureInvalid
from frontrow.core.events import MAX_ID, Batch, Event, Rejected, RoomRef
from frontrow.core.frames import Frame
from frontrow.core.leads import Lead
from frontrow.core.letters import LetterRefused, LetterView, State
from frontrow.core.ports import Clock, Receipt
from frontrow.core.promotions import MAX_REASON, Promotion, PromotionRefused
from frontrow.runtime.access import Access, Grant, Right
from frontrow.runtime.answers import Http, Problem, as_problem, bearer, problem, token_of
from frontrow.runtime.intake import Intake, NotStored, QueueFull
from frontrow.runtime.panel import Lagged, Panels, Why
from frontrow.runtime.turns import TooManyWait, Turns

MAX_BATCH = 10_000  # events in one request: what is applied and stored in well under a platform's two seconds
MAX_PAGE = 500  # leads in one answer
RETRY_AFTER_S = 1
SEND_TIMEOUT_S = 10.0  # for one message to a panel
LIVE_FEED = "http"  # the name under which ingested events are counted
PROBLEM = "application/problem+json"

# Close codes of our WebSockets; 4000 and above are for applications (RFC 6455, section 7.4.2).
UNAUTHORIZED, FORBIDDEN, UNKNOWN_ROOM, TOO_SLOW = 4401, 4403, 4404, 4408

log = structlog.get_logger(__name__)
_encoder = msgspec.json.Encoder()


class Refused(Struct, frozen=True):
    """An element of a batch that was not taken: its position from 0, and why."""

    index: int
    reason: str


class IngestAnswer(Struct, frozen=True):
    """What became of a batch, sent after the accepted events are durable."""

    accepted: int
    duplicates: int
    rejected: list[Refused]


class RoomView(Struct, frozen=True):
    """A configured room and what it does now; ``state`` is the panel's state object."""

    id: str
    platform: str
    title: str
    state: dict[str, Any]


class ViewersAnswer(Struct, frozen=True):
    """The hot and warm viewers of a room's current session, hottest first."""

    room: str
    viewers: list[dict[str, Any]]


class LeadsAnswer(Struct, frozen=True):
    """Leads, newest first. ``next`` is the cursor of the following page, or None after the last."""

    leads: list[Lead]
    next: str | None


class LettersAnswer(Struct, frozen=True):
    """What is and was in the outbox, newest first. ``next`` is the cursor of the following page, or None after the last."""

    letters: list[LetterView]
    next: int | None


class PromotionWish(Struct, frozen=True, forbid_unknown_fields=True):
    """Which version is to lead: its first digits, six or more, or the name of a challenger.

    ``by`` and ``reason`` are for those who read the history.
    """

    version: Annotated[str, msgspec.Meta(max_length=64)]
    by: Annotated[str, msgspec.Meta(max_length=256)] = ""
    reason: Annotated[str, msgspec.Meta(max_length=MAX_REASON)] = ""


class RollbackWish(Struct, frozen=True, forbid_unknown_fields=True):
    """That what led before is to lead again."""

    by: Annotated[str, msgspec.Meta(max_length=256)] = ""
    reason: Annotated[str, msgspec.Meta(max_length=MAX_REASON)] = "rollback"


class HookReceiver(Protocol):
    """A webhook's pure half, as :class:`frontrow_connectors.contract.Receiver` has it."""

    def receive(self, request: Any) -> Any: ...


@dataclass(frozen=True, slots=True)
class Page:
    """A file to be sent: status, headers (names in lower case), body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Counters(Protocol):
    """Who counts refusals. No call may raise or wait."""

    def refused(self, route: str, reason: str) -> None: ...
    def rejected(self, feed: str, room: RoomRef, reason: str) -> None: ...


class Promotions(Protocol):
    """Who lets versions lead; raises PromotionRefused."""

    async def promote(self, prefix: str, *, by: str, reason: str) -> Promotion: ...
    async def roll_back(self, *, by: str, reason: str) -> Promotion: ...


class Letters(Protocol):
    """Who knows the outbox."""

    async def listed(
        self, state: State | None, sink: str | None, before: int | None, limit: int
    ) -> list[LetterView]: ...
    async def shown(self, id: int) -> LetterView | None: ...
    async def send_again(self, id: int, *, by: str) -> LetterView:
        """Raises LetterRefused."""


class EraseWish(Struct, frozen=True, forbid_unknown_fields=True):
    """Which viewer of which platform is to be erased, under all names or under ``one_name`` alone. ``by`` and ``reason`` are kept as facts: no
    name belongs there."""

    platform: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID)]
    viewer: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID)]
    by: Annotated[str, msgspec.Meta(max_length=200)] = ""
    reason: Annotated[str, msgspec.Meta(max_length=200)] = ""
    one_name: bool = False


class Erasures(Protocol):
    """Who erases persons; raises NotStored, CommitFailed and DatabaseAway."""

    async def erase(
        self, platform: str, viewer: str, *, by: str, reason: str, one_name: bool = False
    ) -> Any: ...


@dataclass(frozen=True, kw_only=True)
class Services:
    """Everything that the application needs; made by the composition root. ``routes`` are those of other parts."""

    clock: Clock
    access: Access
    intake: Intake
    panels: Panels
    rooms: Mapping[str, RoomRef]
    decode: Callable[[bytes, RoomRef], Batch]
    columns: Callable[
        [bytes, RoomRef], Frame | None
    ]  # of a body of which all may be taken; None: ask decode and admit
    admit: Callable[[Batch, str], Batch]
    hook: Callable[[str, str], tuple[HookReceiver, RoomRef, str] | None]
    hook_request: Callable[[Mapping[str, str], Mapping[str, str], bytes, int, bool], Any]
    leads: Callable[[tuple[str, str] | None, tuple[int, str] | None, int], Awaitable[list[Lead]]]
    document: Callable[[str, str | None], Page]
    asset: Callable[[str, str | None], Page | None]
    metrics: Callable[[], Awaitable[tuple[bytes, str]]]
    model: Callable[[], Mapping[str, Any]]
    promotions: Promotions
    letters: Letters
    erasures: Erasures
    ready: Callable[[], Mapping[str, str]]
    counters: Counters
    max_body_bytes: int
    routes: Sequence[Any] = ()  # handlers, as Litestar takes them
    beside: Callable[[], Mapping[str, str]] = (
        dict  # checks that are told of, and keep nobody from sending events
    )


Wish = TypeVar("Wish", PromotionWish, RollbackWish)


def application(services: Services) -> ASGIApp:
    """Return the ASGI application. It holds no state of its own and may be made again at will."""

    async def authorize(token: str | None, right: Right, room: str) -> RoomRef:
        """Return the room if the token gives this right in it."""
        route = str(right)
        grant = await services.access.grant(token, services.clock.now())
        if grant is None:
            services.counters.refused(route, "unauthorized")
            raise problem(401, "A valid token is needed: Authorization: Bearer …")
        if not grant.allows(right, room):
            services.counters.refused(route, "forbidden")
            raise problem(403, f"This token's role is {grant.role}; it does not give {right} in this room.")
        known = services.rooms.get(room)
        if known is None:
            services.counters.refused(route, "unknown room")
            raise problem(404, "No such room is configured.")
        return known

    turns = Turns()

    def overloaded(route: str) -> HTTPException:
        services.counters.refused(route, "overloaded")
        retry = {"retry-after": str(RETRY_AFTER_S)}
        return problem(429, "More comes than can be stored; try again.", retry)

    def taken(
        take: Callable[..., Awaitable[Receipt]],
        events: Sequence[Event] | Frame,
        feed: str,
        route: str,
        **more: Any,
    ) -> "asyncio.Future[Receipt]":
        """Queue events by ``take``, one of the intake's ways in; return what is done once they are durable."""
        try:
            done = asyncio.ensure_future(take(events, feed=feed, **more))
        except QueueFull:
            raise overloaded(route) from None
        return done

    async def durable(done: "asyncio.Future[Receipt]", route: str) -> Receipt:
        """Return what became of events, once they are durable."""
        # Shielded: a sender that hangs up does not take back what it sent.
        try:
            return await asyncio.shield(done)
        except NotStored:
            services.counters.refused(route, "not stored")
            raise problem(503, "The journal cannot be written; nothing of this request was stored.") from None

    async def take_batch(token: str | None, room: str, read: Callable[[], Awaitable[bytes]]) -> IngestAnswer:
        """Take the events of a body, which is read after it is known that the token gives the right to send it."""
        known = await authorize(token, Right.INGEST, room)
        body = await read()
        try:
            async with turns.turn(known.id):
                # Asked before it is decoded: to refuse must cost next to nothing.
                if not services.intake.has_room(known.platform, known.room, feed=LIVE_FEED):
                    raise overloaded("ingest")
                events, rejected = _decoded(services, body, known)
                done = taken(services.intake.put_nowait, events, LIVE_FEED, "ingest", text_bytes=len(body))
        except TooManyWait:
            raise overloaded("ingest") from None
        receipt = await durable(done, "ingest")
        return IngestAnswer(
            receipt.accepted,
            receipt.duplicates,
            [Refused(each.index, each.reason) for each in rejected],
        )

    @post("/ingest/{room:str}", status_code=200, summary="Canonical events in", tags=["feeds"])
    async def ingest(request: Http, room: FromPath[str]) -> IngestAnswer:
        """Take a JSON array of canonical events, or NDJSON; answer once they are durable."""
        return await take_batch(token_of(request.headers, request.query_params), room, request.body)

    @post(
        "/hooks/{connector:str}/{room:str}",
        status_code=200,
        summary="A platform's signed webhook",
        tags=["feeds"],
    )
    async def hook(request: Http, connector: FromPath[str], room: FromPath[str]) -> Response[bytes]:
        """Check the platform's signature over the raw bytes, store, then answer as the platform expects.

        In place of the room's id the feed's may stand: where a room has several feeds of a connector, it must.
        """
        found = services.hook(connector, room)
        if found is None:
            services.counters.refused("hooks", "unknown")
            raise problem(404, "No such webhook is configured.")
        receiver, known, feed = found
        body = await request.body()
        headers = {name.lower(): value for name, value in request.headers.items()}
        query = {name: str(value) for name, value in request.query_params.items()}
        try:
            async with turns.turn(f"{connector}/{known.id}"):
                here = _is_loopback(_peer(request))
                asked = services.hook_request(headers, query, body, services.clock.now(), here)
                answer = receiver.receive(asked)
                admitted = services.admit(Batch(list(answer.events), []), feed)
                for reason in (*answer.rejected, *(each.reason for each in admitted.rejected)):
                    services.counters.rejected(connector, known, reason)
                # A platform waits two seconds and sends nothing again; after some failures it stops for a while.
                done = taken(services.intake.offer, admitted.events, connector, "hooks")
        except TooManyWait:
            raise overloaded("hooks") from None
        except SignatureInvalid as error:
            services.counters.refused("hooks", "signature")
            raise problem(401, str(error)) from error
        except EventInvalid as error:
            services.counters.rejected(connector, known, str(error))
            raise problem(400, str(error)) from error
        await durable(done, "hooks")
        return Response(answer.body, status_code=answer.status, media_type=answer.content_type)

    @get("/livez", media_type=MediaType.TEXT, summary="Is the process alive?", tags=["ops"])
    async def livez() -> str:
        """A silent feed or a slow sink does not make the process dead."""
        return "ok\n"

    @get("/readyz", summary="Can it take traffic?", tags=["ops"])
    async def readyz() -> Response[dict[str, Any]]:
        """503 while starting or draining; the body names each check. The lead centre's database is told of, and keeps no event out."""
        checks = dict(services.ready())
        good = all(state == "ok" for state in checks.values())
        return Response(
            {"ready": good, "checks": {**checks, **services.beside()}}, status_code=200 if good else 503
        )

    @get("/metrics", summary="Prometheus metrics", tags=["ops"], media_type="text/plain")
    async def metrics() -> Response[bytes]:
        """Everything that is counted, in Prometheus's text format."""
        body, content_type = await services.metrics()
        return Response(body, headers={"content-type": content_type})

    @get("/host/{room:str}", include_in_schema=False)
    async def host_page(request: Http, room: FromPath[str]) -> Response[bytes]:
        status = 200
        grant = await services.access.grant(
            token_of(request.headers, request.query_params), services.clock.now()
        )
        if grant is None:
            status = 401
        elif not grant.allows(Right.PANEL, room):
            status = 403
        elif room not in services.rooms:
            status = 404
        if status != 200:
            services.counters.refused("host", str(status))
        # The page itself says in words what is wrong; it holds nothing about anybody.
        page = services.document("host", request.headers.get("if-none-match") if status == 200 else None)
        return _page(page, status if status != 200 else page.status)

    @get("/model", include_in_schema=False)
    async def model_page(request: Http) -> Response[bytes]:
        grant = await services.access.grant(
            token_of(request.headers, request.query_params), services.clock.now()
        )
        status = 401 if grant is None else 200 if grant.allows(Right.MODEL, "") else 403
        if status != 200:
            services.counters.refused("model", str(status))
        # As with the host's page: it says itself what is wrong.
        page = services.document("model", request.headers.get("if-none-match") if status == 200 else None)
        return _page(page, status if status != 200 else page.status)

    @get("/sales", include_in_schema=False)
    async def sales_page(request: Http) -> Response[bytes]:
        token = token_of(request.headers, request.query_params)
        grant = await services.access.grant(token, services.clock.now())
        # Links in messages to sellers have no token: the page knows theirs, and itself holds nothing about anybody.
        status = (
            200 if token is None else 401 if grant is None else 200 if grant.allows(Right.LEADS, "") else 403
        )
        if status != 200:
            services.counters.refused("sales", str(status))
        # As with the host's page: it says itself what is wrong.
        page = services.document("sales", request.headers.get("if-none-match") if status == 200 else None)
        return _page(page, status if status != 200 else page.status)

    @get("/static/{path:path}", include_in_schema=False)
    async def static(request: Http, path: FromPath[str]) -> Response[bytes]:
        page = services.asset(path.lstrip("/"), request.headers.get("if-none-match"))
        if page is None:
            raise problem(404, "No such file.")
        return _page(page, page.status)

    @get("/openapi.json", include_in_schema=False)
    async def document(request: Http) -> dict[str, Any]:
        return request.app.openapi_schema.to_schema()

    @get("/api/v1/rooms", summary="The rooms that this token may see", tags=["api"])
    async def rooms(request: Http) -> list[RoomView]:
        """Each configured room with its present state."""
        grant = await _any_grant(services, request)
        return await services.panels.when_settled(
            lambda: [
                RoomView(room.id, room.platform, room.title, services.panels.state(room.id))
                for room in services.rooms.values()
                if grant.allows(Right.PANEL, room.id)
            ]
        )

    @get("/api/v1/rooms/{room:str}/viewers", summary="Hot and warm viewers", tags=["api"])
    async def viewers(
        request: Http, room: FromPath[str], limit: Annotated[int, QueryParameter(ge=1, le=MAX_PAGE)] = 50
    ) -> ViewersAnswer:
        """The panel's list: the current session's hot and warm viewers, hottest first."""
        token = token_of(request.headers, request.query_params)
        known = await authorize(token, Right.PANEL, room)
        viewers = await services.panels.when_settled(lambda: services.panels.viewers(known.id, limit))
        return ViewersAnswer(known.id, viewers)

    # The viewer stands in the query: platforms' ids may hold slashes.
    @get("/api/v1/rooms/{room:str}/reasons", summary="Why a viewer has these numbers", tags=["api"])
    async def reasons(request: Http, room: FromPath[str], viewer: FromQuery[str]) -> Why:
        """One viewer of the current session: points by rule, and the exact parts that sum to the model's logit."""
        known = await authorize(token_of(request.headers, request.query_params), Right.PANEL, room)
        found = await services.panels.when_settled(lambda: services.panels.why(known.id, viewer))
        if found is None:
            services.counters.refused("reasons", "unknown viewer")
            raise problem(404, "This viewer has done nothing in the present session, or not for long.")
        return found

    @get("/api/v1/leads", summary="Leads, newest first", tags=["api"])
    async def leads(
        request: Http,
        room: FromQuery[str | None] = None,
        cursor: FromQuery[str | None] = None,
        limit: Annotated[int, QueryParameter(ge=1, le=MAX_PAGE)] = 100,
    ) -> LeadsAnswer:
        """Raw leads of one room, or of all rooms for a token that belongs to none."""
        if room is None:
            grant = await _any_grant(services, request)
            room = grant.room
        key: tuple[str, str] | None = None
        if room is not None:
            token = token_of(request.headers, request.query_params)
            known = await authorize(token, Right.LEADS, room)
            key = (known.platform, known.room)
        elif not grant.allows(Right.LEADS, ""):
            services.counters.refused("leads", "forbidden")
            raise problem(403, f"This token's role is {grant.role}; it does not give leads.")
        found = await services.leads(key, _cursor(cursor), limit + 1)
        more = len(found) > limit
        found = found[:limit]
        shown = [_masked(lead) for lead in found]
        return LeadsAnswer(shown, f"{found[-1].decided_at}.{found[-1].lead}" if more else None)

    @get("/api/v1/model", summary="The model: its state, how it is judged, and its challengers", tags=["api"])
    async def model(request: Http) -> dict[str, Any]:
        """What it has learnt, the figures of what was served by final outcomes, alarms, and who would do better."""
        grant = await _any_grant(services, request)
        if not grant.allows(Right.MODEL, ""):
            services.counters.refused("model", "forbidden")
            raise problem(
                403, f"This token's role is {grant.role}, or of one room; it does not give the model."
            )
        told: dict[str, Any] = msgspec.to_builtins(services.model())
        return told

    async def promoted(
        request: Http, form: type[Wish], wish: Callable[[Wish, str], Awaitable[Promotion]]
    ) -> Promotion:
        """Do what an administrator wishes of the model; ``wish`` is called with the request and who that is."""
        grant = await _any_grant(services, request)
        if not grant.allows(Right.PROMOTE, ""):
            services.counters.refused("promote", "forbidden")
            raise problem(
                403, f"This token's role is {grant.role}, or of one room; it does not let a model lead."
            )
        try:
            asked = msgspec.json.decode(await request.body() or b"{}", type=form)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            services.counters.refused("promote", "not understood")
            raise problem(400, f"The request cannot be read: {mask_numbers(str(error)[:200])}.") from error
        try:
            # Shielded: who hangs up does not take back what is on its way into the journal.
            return await asyncio.shield(asyncio.ensure_future(wish(asked, asked.by or f"token {grant.id}")))
        except PromotionRefused as refused:
            services.counters.refused("promote", "refused")
            if refused.retry_after_s is None:
                raise problem(409, str(refused)) from refused
            retry = {"retry-after": str(math.ceil(refused.retry_after_s))}
            raise problem(429, str(refused), retry) from refused
        except (NotStored, QueueFull):
            services.counters.refused("promote", "not stored")
            raise problem(503, "The journal cannot be written; nothing was promoted.") from None

    @post("/api/v1/models/promote", status_code=200, summary="Let a version lead", tags=["api"])
    async def promote(request: Http) -> Promotion:
        """Keep what leads now as a version, then let another lead; answers once that is durable. Once an hour.

        The body is a JSON object: ``version``, and for those who read the history ``by`` and ``reason``.
        """
        return await promoted(
            request,
            PromotionWish,
            lambda asked, by: services.promotions.promote(asked.version, by=by, reason=asked.reason),
        )

    @post("/api/v1/models/rollback", status_code=200, summary="Let lead again what led before", tags=["api"])
    async def roll_back(request: Http) -> Promotion:
        """As promote, of what led before the champion did, and at any time. The body may say ``by`` and ``reason``."""
        return await promoted(
            request,
            RollbackWish,
            lambda asked, by: services.promotions.roll_back(by=by, reason=asked.reason),
        )

    async def for_the_outbox(request: Http) -> Grant:
        grant = await _any_grant(services, request)
        if not grant.allows(Right.OUTBOX, ""):
            services.counters.refused("outbox", "forbidden")
            raise problem(
                403, f"This token's role is {grant.role}, or of one room; it does not give the outbox."
            )
        return grant

    @get("/api/v1/outbox", summary="The outbox: what waits, was sent, or is dead", tags=["api"])
    async def outbox(
        request: Http,
        # Litestar keeps the name `state` for its own.
        standing: Annotated[State | None, QueryParameter(name="state")] = None,
        sink: FromQuery[str | None] = None,
        cursor: FromQuery[int | None] = None,
        limit: Annotated[int, QueryParameter(ge=1, le=MAX_PAGE)] = 100,
    ) -> LettersAnswer:
        """Letters of one state and one sink, or of all, newest first, with receipts, reasons and freshness."""
        await for_the_outbox(request)
        found = await services.letters.listed(standing, sink, cursor, limit + 1)
        more = len(found) > limit
        return LettersAnswer(found[:limit], found[limit - 1].id if more else None)

    @get("/api/v1/outbox/{letter:int}", summary="One letter, with what it says", tags=["api"])
    async def letter(request: Http, letter: FromPath[int]) -> LetterView:
        """One letter and what it says, numbers masked."""
        await for_the_outbox(request)
        found = await services.letters.shown(letter)
        if found is None:
            services.counters.refused("outbox", "unknown letter")
            raise problem(404, "There is no such letter.")
        return found

    @post(
        "/api/v1/outbox/{letter:int}/resend",
        status_code=200,
        summary="Send a dead letter again",
        tags=["api"],
    )
    async def resend(request: Http, letter: FromPath[int]) -> LetterView:
        """Let a dead letter be sent once more: it is fresh from now on, and is tried as if it were new."""
        grant = await for_the_outbox(request)
        try:
            return await services.letters.send_again(letter, by=f"token {grant.id}")
        except LetterRefused as refused:
            services.counters.refused("outbox", "unknown letter" if refused.missing else "refused")
            raise problem(404 if refused.missing else 409, str(refused)) from refused

    @post("/api/v1/persons/erase", status_code=200, summary="Erase a person", tags=["api"])
    async def erase(request: Http) -> Any:
        """Destroy a person's keys and begin to take names and words out of all that is stored; it ends by itself.

        The body is a JSON object: ``platform``, ``viewer``, and ``by`` and ``reason``, which stay in the journal.
        Under all names by which the lead centre knows the same customer, unless ``one_name`` is true.
        """
        grant = await _any_grant(services, request)
        if not grant.allows(Right.ERASE, ""):
            services.counters.refused("erase", "forbidden")
            raise problem(
                403, f"This token's role is {grant.role}, or of one room; it does not erase anybody."
            )
        try:
            asked = msgspec.json.decode(await request.body(), type=EraseWish)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            services.counters.refused("erase", "not understood")
            raise problem(400, f"The request cannot be read: {mask_numbers(str(error)[:200])}.") from error
        by = asked.by or f"token {grant.id}"
        try:
            # Shielded: who hangs up does not leave it half told.
            begun = services.erasures.erase(
                asked.platform, asked.viewer, by=by, reason=asked.reason, one_name=asked.one_name
            )
            return msgspec.to_builtins(await asyncio.shield(asyncio.ensure_future(begun)))
        except (NotStored, QueueFull, CommitFailed):
            services.counters.refused("erase", "not stored")
            raise problem(503, "It cannot be kept; ask again when the daemon runs anew.") from None

    @websocket("/ws/host/{room:str}")
    async def host_socket(socket: WebSocket[Any, Any, Any], room: FromPath[str]) -> None:
        await _serve_panel(services, socket, room)

    def answer_to(error: Exception, method: str, path: str) -> Problem:
        """Return what a request that failed is answered, and count it unless whoever refused it has."""
        if isinstance(error, HTTPException):
            if not (isinstance(error.extra, dict) and error.extra.get("counted")):
                services.counters.refused("http", str(error.status_code))
            return as_problem(error)
        if isinstance(error, DatabaseAway):
            services.counters.refused("http", "database away")
            retry = {"retry-after": str(RETRY_AFTER_S)}
            return as_problem(problem(503, "The database of leads does not answer now.", retry))
        services.counters.refused("http", "500")
        log.error("request_failed", method=method, path=path, exc_info=error)
        return as_problem(HTTPException(status_code=500, detail="An error of ours; it has been logged."))

    def failed(request: Http, error: Exception) -> Response[dict[str, Any]]:
        status, headers, body = answer_to(error, request.method, request.url.path)
        return Response(body, status_code=status, media_type=PROBLEM, headers=headers)

    app = Litestar(
        route_handlers=[
            ingest,
            hook,
            livez,
            readyz,
            metrics,
            host_page,
            model_page,
            sales_page,
            static,
            rooms,
            viewers,
            reasons,
            leads,
            model,
            promote,
            roll_back,
            outbox,
            letter,
            resend,
            erase,
            document,
            host_socket,
            *services.routes,
        ],
        exception_handlers={HTTPException: failed, 404: failed, 405: failed, 500: failed},
        openapi_config=OpenAPIConfig(
            title="Frontrow",
            version=__version__,
            description="Events in, hot viewers and leads out. A token goes in `Authorization: Bearer`.",
            # Litestar's own router answers every unknown path below it with a page of its own; ours is the handler
            # above.
            path="/openapi",
            render_plugins=[JsonRenderPlugin(path="/schema.json")],
        ),
        request_max_body_size=services.max_body_bytes,
        logging_config=None,
        debug=False,
    )
    return ShortWay(app, services, take_batch, answer_to)


class ShortWay:
    """The application, with plain requests to ingest taken past Litestar, which costs as much as decoding 70 events.

    Plain is a POST of a told length within the bound to a configured room, without a query. Whatever else comes, every
    kind of mistake among it, goes the long way, and both call the same ``take`` in the end.
    """

    def __init__(
        self,
        app: ASGIApp,
        services: Services,
        take: Callable[[str | None, str, Callable[[], Awaitable[bytes]]], Awaitable[IngestAnswer]],
        answer_to: Callable[[Exception, str, str], Problem],
    ) -> None:
        self._app = app
        self._take = take
        self._answer_to = answer_to
        self._rooms = {f"/ingest/{room}": room for room in services.rooms}
        self._most = services.max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        plain = self._plain(scope) if scope["type"] == ScopeType.HTTP else None
        if plain is None:
            await self._app(scope, receive, send)
            return
        room, token = plain
        status, headers = 200, {"content-type": "application/json"}
        try:
            answer: object = await self._take(token, room, lambda: _body(receive))
        except Exception as error:  # noqa: BLE001  # as Litestar does: an error of one request ends no other
            status, headers, answer = self._answer_to(error, "POST", scope["path"])
            headers = {"content-type": PROBLEM, **headers}
        body = _encoder.encode(answer)
        headers["content-length"] = str(len(body))
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    def _plain(self, scope: HTTPScope) -> tuple[str, str | None] | None:
        """Return the room and the token of a plain request, else None."""
        room = self._rooms.get(scope["path"])
        if room is None or scope["method"] != "POST" or scope["query_string"]:
            return None
        length, authorization = b"", None
        for name, value in scope["headers"]:
            if name == b"content-length":
                length = value
            elif name == b"authorization":
                if authorization is not None:
                    return None
                authorization = value.decode("latin-1")
            elif name == b"transfer-encoding":
                return None
        if not length.isdigit() or len(length) > 10 or int(length) > self._most:
            return None
        return room, None if authorization is None else bearer(authorization)


async def _body(receive: Receive) -> bytes:
    """Return a body whose length the server has bounded by what was told."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise InternalServerException("client disconnected prematurely")
        parts.append(message["body"])
        if not message["more_body"]:
            return b"".join(parts)


def _decoded(
    services: Services, body: bytes, known: RoomRef
) -> tuple[Sequence[Event] | Frame, Sequence[Rejected]]:
    """Return a request's events, and what could not be taken, all of it counted."""
    rejected: Sequence[Rejected] = ()
    events: Sequence[Event] | Frame | None = services.columns(body, known)
    if events is None:
        try:
            batch = services.admit(services.decode(body, known), LIVE_FEED)
        except EventInvalid as error:
            services.counters.rejected(LIVE_FEED, known, str(error))
            raise problem(400, str(error)) from error
        events, rejected = batch.events, batch.rejected
    if len(events) > MAX_BATCH:
        services.counters.refused("ingest", "batch too large")
        raise problem(413, f"At most {MAX_BATCH} events in one request.")
    for refused in rejected:
        services.counters.rejected(LIVE_FEED, known, refused.reason)
    return events, rejected


async def _serve_panel(services: Services, socket: WebSocket[Any, Any, Any], room: str) -> None:
    grant = await services.access.grant(token_of(socket.headers, socket.query_params), services.clock.now())
    await socket.accept()  # first, so that a browser sees the close code: a refused handshake has none for it
    code = _refusal(services, grant, room)
    if code is not None:
        services.counters.refused("host", str(code))
        await socket.close(code=code)
        return
    since = _since(socket.query_params.get("since"))
    subscription = await services.panels.when_settled(lambda: services.panels.subscribe(room, since))

    async def read() -> None:
        # A panel sends nothing; reading notices that it has gone.
        while True:
            await socket.receive()

    async def send() -> None:
        async for message in subscription.messages():
            try:
                async with asyncio.timeout(SEND_TIMEOUT_S):
                    await socket.send_data(message.decode(), mode="text")
            except TimeoutError:
                raise Lagged from None  # its buffers are full: it takes nothing any more

    reader, sender = asyncio.ensure_future(read()), asyncio.ensure_future(send())
    try:
        await asyncio.wait((reader, sender), return_when=asyncio.FIRST_COMPLETED)
    finally:
        services.panels.unsubscribe(room, subscription)
        for task in (reader, sender):
            task.cancel()
        outcomes = await asyncio.gather(reader, sender, return_exceptions=True)
    if isinstance(outcomes[1], Lagged):
        await socket.close(code=TOO_SLOW, reason="too slow; connect again for a snapshot")
    elif outcomes[1] is None:
        await socket.close(code=1001, reason="the daemon stops")
    gone = isinstance(outcomes[0], WebSocketDisconnect)  # then whatever sending met is only how it noticed
    if not gone and isinstance(outcomes[1], Exception) and not isinstance(outcomes[1], Lagged):
        log.info("panel_gone", room=room, error=type(outcomes[1]).__name__)


def _refusal(services: Services, grant: Grant | None, room: str) -> int | None:
    if grant is None:
        return UNAUTHORIZED
    if not grant.allows(Right.PANEL, room):
        return FORBIDDEN
    return None if room in services.rooms else UNKNOWN_ROOM


async def _any_grant(services: Services, request: Http) -> Grant:
    grant = await services.access.grant(token_of(request.headers, request.query_params), services.clock.now())
    if grant is None:
        services.counters.refused("api", "unauthorized")
        raise problem(401, "A valid token is needed: Authorization: Bearer …")
    return grant


def _peer(request: Http) -> str:
    """Return the address that the connection came from, which may be a proxy's; "" if it has none."""
    client = request.scope.get("client")
    return client[0] if client else ""


def _is_loopback(address: str) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)  # of a socket that listens for both
    return (mapped or found).is_loopback


def _since(text: Any) -> int | None:
    return (
        int(text) if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) < 19 else None
    )


def _cursor(text: str | None) -> tuple[int, str] | None:
    if text is None:
        return None
    at, _, lead = text.partition(".")
    if not (at.isascii() and at.isdigit() and len(at) < 19 and lead):
        raise problem(400, "The cursor is not one that this API gave.")
    return int(at), lead


def _masked(lead: Lead) -> Lead:
    """Return a lead as it may be shown: no number in what a feed called a product, a host or a campaign, and no part of
    a probability that there is not."""
    labels = {name: getattr(lead, name) for name in ("product", "host", "campaign")}
    hidden = {name: mask_numbers(value) for name, value in labels.items() if value is not None}
    reasons = [reason for reason in lead.reasons if lead.probability is not None or reason.kind != "feature"]
    return msgspec.structs.replace(lead, reasons=reasons, **hidden)


def _page(page: Page, status: int) -> Response[bytes]:
    headers = dict(page.headers)
    content_type = headers.pop("content-type", None)
    return Response(page.body, status_code=status, headers=headers, media_type=content_type)
