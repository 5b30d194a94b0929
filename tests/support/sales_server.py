"""The sales page's server over a real lead centre in a real database; the test lets viewers turn hot and moves the time.

Its routes, desk, centre and pages are those of the daemon. What is not here is the engine and the journal: what is
put is applied at once, and a frame that was applied is durable.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import uvicorn
from litestar import Litestar, Request, Response, get
from litestar.exceptions import HTTPException
from litestar.params import FromPath

from frontrow.core.alerts import Reason
from frontrow.core.centre.assignment import Rule
from frontrow.core.centre.book import Contact, LeadRow
from frontrow.core.centre.centre import Centre
from frontrow.core.centre.organisation import OrgChange, Seller, Unit
from frontrow.core.events import Event
from frontrow.core.frames import Frame
from frontrow.core.leads import Lead
from frontrow.core.ports import Receipt
from frontrow.runtime.access import Access, Role, TokenRow, token_hash
from frontrow.runtime.answers import as_problem
from frontrow.runtime.desk import Desk
from frontrow.runtime.desk_routes import desk_routes
from frontrow.storage.centre.desk import Desk as Reads
from frontrow_dashboards import pages
from tests.support.centre import START, Scene, a_policy, commerce, hot_lead
from tests.support.clock import ManualClock
from tests.support.panel_server import PATIENCE_S, _Server

QUEUE = Rule(name="to whoever is first", pool="hz")  # any seller may claim
PHONE = "13800138000"
REASONS = (
    Reason(kind="rule", name="question", points=15, count=3, by={"price": 3}),
    Reason(kind="rule", name="product_click", points=30, count=1),
    Reason(kind="rule", name="watched", points=5, value=1_080.0),
)
PEOPLE = OrgChange(
    units=(
        Unit(id="hangzhou", kind="store", name="杭州旗舰店", cities=("杭州",), provinces=("浙江",)),
        Unit(id="hz-a", kind="team", name="一组", parent="hangzhou"),
    ),
    sellers=(
        Seller(id="li", name="李想", team="hz-a"),
        Seller(id="wang", name="王芳", team="hz-a"),
        Seller(id="chen", name="陈静", team="hz-a", role="manager"),
    ),
)


class LiveScene(Scene):
    """A scene whose changes somebody hears of, and whose events happen when the clock says."""

    def __init__(self, clock: ManualClock, url: str, **policy: Any) -> None:
        self._clock = clock
        self.changed: Callable[[Sequence[LeadRow]], None] = lambda rows: None
        self.failing = False
        self.seq = 0
        super().__init__(a_policy(**{"rules": (QUEUE,), **policy}), PEOPLE, url=url)

    def event(self, kind: str, at: int = 0, **fields: Any) -> Event:
        return super().event(kind, self._clock.now() - START + at, **fields)

    def apply(self, events: Iterable[Event], leads: Sequence[Lead] = ()) -> None:
        frame = Frame.of([msgspec.structs.replace(each, seen_at=self._clock.now()) for each in events])
        self.book.begin()
        self.centre.apply(frame, [(len(frame) - 1, lead) for lead in leads])
        self.told += self.centre.take_told()
        rows = self.book.commit()
        self.seq += 1
        self.changed(rows)

    async def applied(self, seq: int) -> None:
        """What is put is applied before anybody waits for it."""

    async def tried(self, seq: int) -> bool:
        return True


class SalesServer:
    """``base`` is where it answers; ``scene`` is the centre, ``clock`` what time it is there."""

    def __init__(self, base: str, folder: Path, **policy: Any) -> None:
        self.base = base
        self.clock = ManualClock(START)
        self.scene = LiveScene(self.clock, f"sqlite:///{folder / 'centre.db'}", **policy)
        self.fields: Mapping[str, Any] | None = {"姓名": "周小雨", "手机": PHONE, "尺码": "XL"}
        self._tokens: dict[bytes, TokenRow] = {}
        self._ids: set[str] = set()
        self.desk = Desk(
            reads=Reads(self.scene.engine),
            follows=self.scene,
            put=self._put,
            journal_seq=lambda: self.scene.seq,
            journalled=lambda event: event.id in self._ids,
            unseal=self._unseal,
            pack=commerce(),
            clock=self.clock,
            rooms={("douyin", "r1"): ("demo", "夏季新品专场")},
        )
        self.scene.changed = self.desk.changed

    @property
    def centre(self) -> Centre:
        return self.scene.centre

    def token(self, seller: str | None, role: Role = Role.SALES) -> str:
        """Return a token of somebody."""
        token = f"fr_{role}_{seller}"
        hash = token_hash(token)
        self._tokens[hash] = (hash.hex()[:12], str(role), None, None, None, seller)
        return token

    def revoke(self, token: str) -> None:
        """Let a token be none."""
        del self._tokens[token_hash(token)]

    def page(
        self, seller: str | None = "li", role: Role = Role.SALES, lead: str = "", **query: object
    ) -> str:
        """Return the address of somebody's page."""
        options = "".join(f"&{key}={value}" for key, value in query.items())
        return f"{self.base}/sales?token={self.token(seller, role)}{options}{lead and f'#{lead}'}"

    def hot(self, viewer: str, *, words: str | None = "有没有 XL 码？", **fields: Any) -> LeadRow:
        """Let a viewer turn hot now."""
        asked = self.scene.event(
            "comment", platform="douyin", room="r1", viewer=viewer, name=viewer, text=words
        )
        raw = hot_lead(viewer, self.clock.now(), **{"reasons": REASONS, **fields})
        self.scene.apply([asked], [raw])
        return self.scene.lead(self.scene.raw(raw.lead).lead)

    def form(self, viewer: str, **data: Any) -> LeadRow:
        """Let a viewer leave a number with consent."""
        return self.scene.form(viewer, PHONE, **data)

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and with it what is due."""
        self.clock.step_wall(round(seconds * 1_000))
        self.scene.say("tick")

    def beat(self) -> None:
        """Let every page hear that the daemon lives, as it does each quarter of a minute."""
        for subscription in self.desk._subscribers:
            subscription._wake.set()

    def app(self) -> Litestar:
        def failed(request: Request[Any, Any, Any], error: HTTPException) -> Response[dict[str, Any]]:
            status, headers, body = as_problem(error)
            return Response(body, status_code=status, headers=headers, media_type="application/problem+json")

        @get("/sales")
        async def sales() -> Response[bytes]:
            return _answer(pages.document("sales").answer())

        @get("/static/{path:path}")
        async def static(path: FromPath[str]) -> Response[bytes]:
            found = pages.asset(path.lstrip("/"))
            return Response(b"", status_code=404) if found is None else _answer(found.answer())

        access = Access(self._find)
        return Litestar(
            [sales, static, *desk_routes(self.desk, access, self.clock, lambda route, reason: None)],
            exception_handlers={HTTPException: failed},
            openapi_config=None,
            logging_config=None,
        )

    async def _put(self, events: Sequence[Event], feed: str) -> Receipt:
        fresh = [event for event in events if event.id not in self._ids]
        self._ids.update(event.id for event in fresh)
        if fresh:
            self.scene.apply(fresh)
        return Receipt(accepted=len(fresh), duplicates=len(events) - len(fresh))

    async def _unseal(self, contact: Contact) -> Mapping[str, Any] | None:
        return self.fields

    async def _find(self, hash: bytes) -> TokenRow | None:
        return self._tokens.get(hash)


def _answer(answer: tuple[int, Mapping[str, str], bytes]) -> Response[bytes]:
    status, headers, body = answer
    rest = dict(headers)
    return Response(body, status_code=status, media_type=rest.pop("content-type", None), headers=rest)


@contextlib.asynccontextmanager
async def sales_server(folder: Path, **policy: Any) -> AsyncIterator[SalesServer]:
    """Serve on a port that the system chose, for as long as the block lasts; ``policy`` is the centre's, as :func:`a_policy` takes it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sales = SalesServer(f"http://127.0.0.1:{listener.getsockname()[1]}", folder, **policy)
        config = uvicorn.Config(
            sales.app(),
            ws="websockets-sansio",
            lifespan="off",
            log_config=None,
            timeout_graceful_shutdown=1,
        )
        server = _Server(config)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(server.serve(sockets=[listener]), name="sales-server")
            async with asyncio.timeout(PATIENCE_S):
                while not server.started:
                    await asyncio.sleep(0.005)
            try:
                yield sales
            finally:
                sales.desk.close()
                server.should_exit = True
        sales.scene.close()
