"""What the lead centre's routes do alike at their door: who asks, what they ask, and how they are refused."""

from collections.abc import Callable
from typing import TypeVar

import msgspec
from litestar.exceptions import HTTPException

from frontrow.core.contact import mask_numbers
from frontrow.core.ports import Clock
from frontrow.runtime.access import Access, Grant
from frontrow.runtime.answers import Http, problem, token_of
from frontrow.runtime.desk import NotAllowed

RETRY_AFTER_S = 2  # the lead centre tries its database again every few seconds

Refused = Callable[[str, str], None]
Wish = TypeVar("Wish")


class Door:
    """The door of some routes. Each refusal is counted under their ``name`` and a reason, and returned to be raised."""

    def __init__(self, name: str, access: Access, clock: Clock, refused: Refused) -> None:
        """``refused`` counts refusals by route and reason."""
        self._name = name
        self._access = access
        self._clock = clock
        self._refused = refused

    async def grant(self, request: Http) -> Grant:
        """Return whose token a request bears.

        Raises:
            HTTPException: 401, it bears none that is valid.
        """
        grant = await self._access.grant(token_of(request.headers, request.query_params), self._clock.now())
        if grant is None:
            raise self.refusal("unauthorized", 401, "A valid token is needed: Authorization: Bearer …")
        return grant

    async def wish(self, request: Http, kind: type[Wish]) -> Wish:
        """Return what a request's JSON asks for; an empty body asks for nothing in particular.

        Raises:
            HTTPException: 400, it cannot be read.
        """
        try:
            return msgspec.json.decode(await request.body() or b"{}", type=kind)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:  # a ValueError: it is not UTF-8
            text = f"The request cannot be read: {mask_numbers(str(error)[:200])}."
            raise self.refusal("not understood", 400, text) from error

    def forbidden(self, error: NotAllowed) -> HTTPException:
        """Return the refusal of somebody who may not do that."""
        return self.refusal("forbidden", 403, str(error), code=error.code)

    def key_reused(self) -> HTTPException:
        """Return what is said of :class:`frontrow.runtime.repeating.KeyReused`."""
        return self.refusal(
            "key reused",
            422,
            "This Idempotency-Key was sent before with another request, which stands. A new request needs a new key.",
            code="key_reused",
            detail_zh="此 Idempotency-Key 已用于另一请求（该请求有效）；新的请求须用新的键。",
        )

    def not_applied(self) -> HTTPException:
        """Return what is said of :class:`frontrow.runtime.applying.NotApplied`."""
        return self.refusal(
            "not applied",
            503,
            "It is kept and will be done; the database of leads does not answer now.",
            {"retry-after": str(RETRY_AFTER_S)},
        )

    def refusal(
        self, reason: str, status: int, detail: str, headers: dict[str, str] | None = None, **more: object
    ) -> HTTPException:
        """Return a refusal, counted; see :func:`frontrow.runtime.answers.problem`."""
        self._refused(self._name, reason)
        return problem(status, detail, headers, **more)
