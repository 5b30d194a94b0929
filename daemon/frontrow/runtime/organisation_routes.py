"""The organisation over HTTP: what it is, how it is imported, and how a store's leads are transferred."""

from typing import Annotated, Any

import msgspec
from litestar import get, post
from litestar.params import FromPath, FromQuery, QueryParameter
from msgspec import Struct

from frontrow.core.centre.transfer import Target, TransferRefused
from frontrow.core.ports import Clock
from frontrow.runtime.access import Access
from frontrow.runtime.answers import Http, problem
from frontrow.runtime.applying import NotApplied
from frontrow.runtime.company import Company, CostsWish, ImportWish, NotTaken, What, answer_data
from frontrow.runtime.desk import Desk, NotAllowed, Reader
from frontrow.runtime.door import Door, Refused


class TransferWish(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which stores take the leads; see :class:`frontrow.core.centre.transfer.Target`. ``dry_run``: only say what would be."""

    target: Target
    dry_run: bool = False


class UndoWish(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Take a transfer back; ``dry_run``: only say what would be."""

    dry_run: bool = False


def organisation_routes(
    company: Company, desk: Desk, access: Access, clock: Clock, refused: Refused, max_bytes: int
) -> list[Any]:
    """Return the handlers. ``refused`` counts refusals by route and reason; ``max_bytes`` is what an import may have."""
    door = Door("organisation", access, clock, refused)

    async def reader_of(request: Http, *, of_all: bool) -> Reader:
        """Return who asks: a manager or, ``of_all``, one of the whole company."""
        grant = await door.grant(request)
        try:
            reader = desk.reader(grant)
            if not (reader.sight.everything if of_all else reader.manages):
                whose = "a manager or an administrator of the whole company" if of_all else "a manager"
                raise NotAllowed(f"Only {whose} does that.")
        except NotAllowed as error:
            raise door.forbidden(error) from error
        return reader

    def not_taken(error: NotTaken) -> Exception:
        more = {} if error.answer is None else dict(answer_data(error.answer))
        return door.refusal("not taken", 422, str(error), **more)

    @get("/api/v1/organisation", summary="Who works where", tags=["organisation"])
    async def organisation(
        request: Http, at: Annotated[int | None, QueryParameter(ge=0, le=4_102_444_800_000)] = None
    ) -> dict[str, Any]:
        """Units and sellers as they are ``at`` a moment (UTC ms; default: now), and what is wrong with the organisation."""
        await reader_of(request, of_all=False)
        return dict(answer_data(company.organisation(at)))

    @post(
        "/api/v1/organisation",
        status_code=200,
        summary="Change the organisation, or import it",
        tags=["organisation"],
        request_max_body_size=max_bytes,
    )
    async def change(
        request: Http,
        what: FromQuery[str | None] = None,
        all_or_nothing: FromQuery[bool] = False,
        dry_run: FromQuery[bool] = False,
    ) -> dict[str, Any]:
        """JSON with ``units`` and ``sellers``, or ``units_csv`` and ``sellers_csv``; or a CSV file itself (``Content-Type: text/csv``),
        with ``what`` units or sellers. Every bad row is named with its line and the reason; the rest is taken, or with
        ``all_or_nothing`` nothing (422)."""
        reader = await reader_of(request, of_all=True)
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() == "text/csv":
            if what not in ("units", "sellers"):
                raise problem(400, "what is one of units, sellers.")
            kind: What = what  # type: ignore[assignment]  # it is one of them
            try:
                text = (await request.body()).decode("utf-8-sig")
            except UnicodeDecodeError as error:
                raise problem(400, f"The file is not UTF-8: {error.reason} at byte {error.start}.") from error
            wish = ImportWish(
                units_csv=text if kind == "units" else None,
                sellers_csv=text if kind == "sellers" else None,
                all_or_nothing=all_or_nothing,
                dry_run=dry_run,
            )
        else:
            wish = await door.wish(request, ImportWish)
            wish = msgspec.structs.replace(
                wish,
                all_or_nothing=wish.all_or_nothing or all_or_nothing,
                dry_run=wish.dry_run or dry_run,
            )
        try:
            return dict(answer_data(await company.change(wish, by=reader.by)))
        except NotApplied:
            raise door.not_applied() from None
        except NotTaken as error:
            raise not_taken(error) from error

    @post(
        "/api/v1/costs",
        status_code=200,
        summary="Import what channels cost",
        tags=["organisation"],
        request_max_body_size=max_bytes,
    )
    async def costs(request: Http) -> dict[str, Any]:
        """JSON with ``costs_csv``: a CSV file of channel, day, amount and currency. A row replaces an earlier one of the same channel, day and
        currency. Every bad row is named; the rest is taken, or with ``all_or_nothing`` nothing (422)."""
        reader = await reader_of(request, of_all=True)
        wish = await door.wish(request, CostsWish)
        try:
            return dict(answer_data(await company.costs(wish, by=reader.by)))
        except NotApplied:
            raise door.not_applied() from None
        except NotTaken as error:
            raise not_taken(error) from error

    @get("/api/v1/transfers", summary="Transfers of stores' leads", tags=["organisation"])
    async def transfers(request: Http) -> dict[str, Any]:
        """Those of the last thirty days, the latest first, each with how far it has come."""
        await reader_of(request, of_all=True)
        return {"transfers": [_run(run) for run in company.transfers.runs]}

    @get("/api/v1/transfers/{plan:str}", summary="How far a transfer has come", tags=["organisation"])
    async def transfer(request: Http, plan: FromPath[str]) -> dict[str, Any]:
        """``done`` of ``of`` steps; ``moved`` leads were, ``passed`` had gone elsewhere meanwhile."""
        await reader_of(request, of_all=True)
        found = next((run for run in company.transfers.runs if run.plan == plan), None)
        if found is None:
            raise problem(404, "There is no such transfer.")
        return _run(found)

    @post(
        "/api/v1/stores/{store:str}/transfer",
        status_code=200,
        summary="Transfer a store's open leads",
        tags=["organisation"],
    )
    async def begin(request: Http, store: FromPath[str]) -> dict[str, Any]:
        """Plan where the open leads of a store go, and begin; with ``dry_run`` only plan. It goes on by itself, also over a restart."""
        reader = await reader_of(request, of_all=True)
        wish = await door.wish(request, TransferWish)
        try:
            plan, preview = await company.transfers.plan(store, wish.target)
            if not wish.dry_run:
                await company.transfers.begin(plan, by=reader.by)
        except NotApplied:
            raise door.not_applied() from None
        except TransferRefused as error:
            raise door.refusal("not transferred", 409, f"It cannot be transferred: {error}.") from error
        return {**answer_data(preview), "begun": not wish.dry_run}

    @post(
        "/api/v1/transfers/{plan:str}/undo",
        status_code=200,
        summary="Take a transfer back",
        tags=["organisation"],
    )
    async def undo(request: Http, plan: FromPath[str]) -> dict[str, Any]:
        """Take back what was done of a transfer in the last thirty days; what is left of it is not done any more."""
        reader = await reader_of(request, of_all=True)
        wish = await door.wish(request, UndoWish)
        try:
            back, preview = await company.transfers.undoing(plan)
            if not wish.dry_run:
                await company.transfers.begin(back, by=reader.by, undoes=plan)
        except NotApplied:
            raise door.not_applied() from None
        except TransferRefused as error:
            raise door.refusal("not transferred", 409, f"It cannot be taken back: {error}.") from error
        return {**answer_data(preview), "begun": not wish.dry_run}

    return [organisation, change, costs, transfers, transfer, begin, undo]


def _run(run: Struct) -> dict[str, Any]:
    data: dict[str, Any] = msgspec.to_builtins(run)
    data["done"] = len(data["done"])
    return data
