"""The short way of ingest: whoever takes it is answered as on the long one."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from frontrow.core.events import Event, RoomRef, encode_event
from frontrow.runtime.access import Access, Role, TokenRow, token_hash
from frontrow.runtime.intake import Intake
from frontrow.runtime.server import MAX_BATCH, Services, application
from frontrow_connectors.canonical import decode_frame, decode_payload
from tests.support.clock import ManualClock
from tests.support.rooms import START, event

MAX_BODY = 2_000_000
LINES = b"\n".join(encode_event(event("like", n, id=str(n))) for n in range(5))
TOKENS = {"good": Role.INGEST, "host": Role.HOST}


class Counted:
    """Fits what the application and the intake count to."""

    def __init__(self) -> None:
        self.all: list[tuple[str, ...]] = []

    def refused(self, route: str, reason: str) -> None:
        self.all.append((route, reason))

    def rejected(self, feed: str, room: RoomRef, reason: str) -> None:
        self.all.append((feed, room.id, reason))

    def merged(self, event: Event) -> None: ...

    def dropped(self, event: Event, events: int) -> None: ...


class Front:
    """The application over a real intake; ``pipeline`` is what becomes of what is queued."""

    def __init__(self, *, queue_bytes: int = 1 << 26, decode: Any = decode_payload) -> None:
        self.counted = Counted()
        clock = ManualClock(START)
        self.intake = Intake(
            clock=clock, observer=self.counted, telling=lambda _event: False, queue_bytes=queue_bytes
        )
        room = RoomRef(id="demo", platform="test", room="r1")
        absent: Any = None  # what ingest does not ask for
        self.app = application(
            Services(
                clock=clock,
                access=Access(self._token),
                intake=self.intake,
                panels=absent,
                rooms={"demo": room},
                decode=decode,
                columns=decode_frame if decode is decode_payload else lambda _body, _room: None,
                admit=lambda batch, _feed: batch,
                hook=absent,
                hook_request=absent,
                leads=absent,
                document=absent,
                asset=absent,
                metrics=absent,
                model=absent,
                erasures=absent,
                promotions=absent,
                letters=absent,
                ready=absent,
                counters=self.counted,
                max_body_bytes=MAX_BODY,
            )
        )

    async def _token(self, hash: bytes) -> TokenRow | None:
        for token, role in TOKENS.items():
            if token_hash(token) == hash:
                return (token, str(role), "demo", None, None, None)
        return None

    async def ask(
        self,
        body: bytes,
        *,
        query: bytes,
        token: str | None = "good",
        path: str = "/ingest/demo",
        gone: bool = False,
    ) -> tuple[int, dict[str, str], Any]:
        """Return status, headers and body of the answer to a POST that comes in two pieces."""
        parts = [body[: len(body) // 2], body[len(body) // 2 :]]
        messages: list[dict[str, Any]] = [
            {"type": "http.request", "body": part, "more_body": number == 0}
            for number, part in enumerate(parts)
        ]
        if gone:
            messages[1:] = [{"type": "http.disconnect"}]
        sent: list[dict[str, Any]] = []

        async def receive() -> Any:
            return messages.pop(0)

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(b"host", b"x"), (b"content-length", b"%d" % len(body))]
        if token is not None:
            headers.append((b"authorization", f"Bearer {token}".encode()))
        scope: Any = {
            "type": "http",
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": query,
            "headers": headers,
            "http_version": "1.1",
            "scheme": "http",
            "server": ("x", 80),
            "client": ("y", 1),
            "state": {},
        }
        await self.app(scope, receive, send)
        told = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return sent[0]["status"], told, json.loads(b"".join(each.get("body", b"") for each in sent[1:]))


async def stored(intake: Intake) -> None:
    """Make all durable that comes."""
    while True:
        await intake.arrival()
        taken = intake.take(10_000)
        taken.acknowledge([number for number, each in enumerate(taken.events) if each.id == "1"])


async def lost(intake: Intake) -> None:
    await intake.arrival()
    intake.fail()


async def nothing(_intake: Intake) -> None: ...


def broken(_body: bytes, _room: RoomRef) -> Any:
    raise ZeroDivisionError


async def both(
    body: bytes,
    *,
    pipeline: Callable[[Intake], Awaitable[None]] = stored,
    queued: Sequence[Event] = (),
    **how: Any,
) -> tuple[Any, Any]:
    """Return what each way answers and counts: a query makes a request go the long one."""
    front_of = {name: how.pop(name) for name in ("queue_bytes", "decode") if name in how}
    found = []
    for query in (b"", b"long=1"):
        front = Front(**front_of)
        if queued:
            front.intake.put_nowait(queued, feed="http")
        task = asyncio.ensure_future(pipeline(front.intake))
        try:
            found.append((await front.ask(body, query=query, **how), front.counted.all))
        finally:
            task.cancel()
    return found[0], found[1]


CASES: dict[str, tuple[int, bytes, dict[str, Any]]] = {
    "lines": (200, LINES, {}),
    "a part that cannot be taken": (200, LINES + b"\n{}\n7", {}),
    "no token": (401, LINES, {"token": None}),
    "a wrong token": (401, LINES, {"token": "bad"}),
    "a token without the right": (403, LINES, {"token": "host"}),
    "an unknown room": (403, LINES, {"path": "/ingest/nowhere"}),
    "nothing that could be read": (400, b"[", {}),
    "nothing": (400, b"", {}),
    "too many events": (413, b"\n".join([encode_event(event("like", 0))] * (MAX_BATCH + 1)), {}),
    "too many bytes": (413, b" " * (MAX_BODY + 1), {}),
    "a full queue": (429, LINES, {"queue_bytes": 10_000, "queued": [event("like", n) for n in range(12)], "pipeline": nothing}),
    "a journal that fails": (503, LINES, {"pipeline": lost}),
    "a mistake of ours": (500, LINES, {"decode": broken}),
    "a sender who hangs up": (500, LINES, {"gone": True}),
}  # fmt: skip


@pytest.mark.usefixtures("each_way")
@pytest.mark.parametrize("what", CASES)
async def test_both_ways_answer_and_count_the_same(what: str) -> None:
    status, body, how = CASES[what]
    short, long = await both(body, **how)
    assert short == long
    assert short[0][0] == status


async def test_a_refusal_for_overload_says_when_to_come_again() -> None:
    _, body, how = CASES["a full queue"]
    ((_, headers, problem), _), _ = await both(body, **how)
    assert (headers["retry-after"], headers["content-type"]) == ("1", "application/problem+json")
    assert problem["status"] == 429


async def test_what_is_taken_is_told_of() -> None:
    (short, _), _ = await both(LINES + b"\n7")
    assert short[2]["accepted"] == 4
    assert short[2]["duplicates"] == 1
    assert [each["index"] for each in short[2]["rejected"]] == [5]


async def test_a_body_is_not_read_before_its_sender_is_known() -> None:
    """Whoever has no token may not make the daemon gather a body."""
    front = Front()

    async def receive() -> Any:
        raise AssertionError("read")

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope: Any = {"type": "http", "method": "POST", "path": "/ingest/demo", "query_string": b""}
    scope["headers"] = [(b"content-length", b"9")]
    await front.app(scope, receive, send)
    assert sent[0]["status"] == 401
