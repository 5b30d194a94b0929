"""What `frontrow centre …` says to a running daemon: the organisation imported and shown, a store's leads transferred."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from frontrow.app.asking import Refusal, posted
from frontrow.config import Config
from frontrow.core.centre.transfer import Target
from frontrow.core.errors import FrontrowError, StoreLocked
from frontrow.core.ports import Clock
from frontrow.runtime.company import CostsAnswer, ImportAnswer, OrganisationAnswer, tree
from frontrow.runtime.transfers import Preview
from frontrow.storage.lock import StoreLock

POLL_S = 0.2
SHOWN = 200  # bad rows

T = TypeVar("T")


class OfficeRefused(FrontrowError):
    """The daemon does not do it, or there is none; says why."""


class Office:
    """Asks the daemon of one configuration."""

    def __init__(self, config: Config, *, clock: Clock, url: str = "") -> None:
        """``url`` is where the daemon listens, empty: as the configuration says."""
        self._config = config
        self._clock = clock
        self._url = url
        self._locked = _daemon_of(config)

    def import_files(
        self, units: Path | None, sellers: Path | None, *, replace: bool, all_or_nothing: bool, dry_run: bool
    ) -> tuple[ImportAnswer, list[str]]:
        """Return what was taken of the files, and a line for each thing that is wrong.

        Raises:
            OfficeRefused, StoreLocked: It could not be asked for.
        """
        body: dict[str, Any] = {"replace": replace, "dry_run": True}
        for name, path in (("units_csv", units), ("sellers_csv", sellers)):
            if path is not None:
                body[name] = read_table(path)
        answer = self._ask("organisation", body, ImportAnswer)
        files = {"units": units, "sellers": sellers}
        lines = [
            f"{files[row.file]}:{row.line}: {row.column + ' ' if row.column else ''}{row.reason}"
            for row in answer.errors[:SHOWN]
        ]
        if len(answer.errors) > SHOWN:
            lines.append(f"… and {len(answer.errors) - SHOWN:,} more")
        lines += (f"then {problem}" for problem in answer.problems[:SHOWN])
        if dry_run or (all_or_nothing and lines):
            return answer, lines
        done = self._ask(
            "organisation", {**body, "dry_run": False, "all_or_nothing": all_or_nothing}, ImportAnswer
        )
        return done, lines

    def import_costs(
        self, costs: Path, *, currency: str, all_or_nothing: bool, dry_run: bool
    ) -> tuple[CostsAnswer, list[str]]:
        """Return what was taken of a file of costs, and a line for each bad row. Raises as :meth:`import_files`."""
        body = {"costs_csv": read_table(costs), "currency": currency}
        answer = self._ask("costs", {**body, "dry_run": True}, CostsAnswer)
        lines = [
            f"{costs}:{row.line}: {row.column + ' ' if row.column else ''}{row.reason}"
            for row in answer.errors[:SHOWN]
        ]
        if len(answer.errors) > SHOWN:
            lines.append(f"… and {len(answer.errors) - SHOWN:,} more")
        if dry_run or (all_or_nothing and lines):
            return answer, lines
        return self._ask("costs", body, CostsAnswer), lines

    def organisation(self, at: int | None) -> list[str]:
        """Return the organisation as a tree, and what is wrong with it."""
        found = self._ask("organisation" + ("" if at is None else f"?at={at}"), None, OrganisationAnswer)
        return [*tree(found.units, found.sellers), *(f"wrong: {problem}" for problem in found.problems)]

    def transfer(self, store: str, target: Target, *, dry_run: bool) -> Preview:
        """Begin to transfer a store's leads; return what becomes of them."""
        body = {"target": msgspec.to_builtins(target), "dry_run": dry_run}
        return self._ask(f"stores/{quote(store, safe='')}/transfer", body, Preview)

    def undo(self, plan: str, *, dry_run: bool) -> Preview:
        """Begin to take a transfer back; return what becomes of the leads."""
        return self._ask(f"transfers/{quote(plan, safe='')}/undo", {"dry_run": dry_run}, Preview)

    def progress(
        self, plan: str, sleep: Callable[[float], None] = time.sleep
    ) -> Iterator[tuple[int, int, int]]:
        """Yield (steps done, of, leads moved) until a transfer is finished."""
        while True:
            run = self._ask(f"transfers/{plan}", None, _Told)
            yield run.done, run.of, run.moved
            if run.done >= run.of or run.undone_by is not None:
                return
            sleep(POLL_S)

    def _ask(self, path: str, body: dict[str, Any] | None, type: type[T]) -> T:
        done = posted(self._config, self._locked, path, body, type, clock=self._clock, url=self._url)
        if isinstance(done, Refusal):
            raise OfficeRefused(done.reason)
        return done


class _Told(msgspec.Struct, frozen=True):
    done: int
    of: int
    moved: int
    undone_by: str | None = None


def read_table(path: Path) -> str:
    """Return the text of a CSV file as spreadsheets write it: UTF-8, or what Chinese Windows writes (GB 18030).

    Raises:
        OfficeRefused: It is neither.
        OSError: It cannot be read.
    """
    raw = path.read_bytes()
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise OfficeRefused(f"{path} is neither UTF-8 nor GB 18030")


def target_of(text: str) -> Target:
    """Return the target that a command line names: ``region``, ``nearest``, a store's id, or shares as ``hz=2,nb=1``.

    Raises:
        OfficeRefused: It names none.
    """
    if text in ("region", "nearest"):
        return Target(how=text)  # type: ignore[arg-type]  # one of the two
    if "=" not in text:
        return Target(how="store", store=text)
    shares: dict[str, int] = {}
    for part in text.split(","):
        store, _, weight = part.partition("=")
        if (
            not store.strip()
            or not weight.strip().isascii()
            or not weight.strip().isdigit()
            or not int(weight)
        ):
            raise OfficeRefused(f"--to {text}: {part!r} is not a share, as hz=2 is")
        shares[store.strip()] = int(weight)
    return Target(how="share", shares=shares)


def transfer_lines(preview: Preview) -> list[str]:
    """Return what a transfer comes to, for people."""
    lines = [f"{preview.plan}: {preview.leads:,} leads of {preview.store} in {preview.steps:,} steps"]
    lines += (
        f"  to {store}: {got.moved:,}"
        + (f", of which {got.merged:,} join one of the same customer" if got.merged else "")
        for store, got in preview.stores.items()
    )
    lines += (
        f"  {seller or '(nobody yet)'}: {got.moved:,}" for seller, got in list(preview.sellers.items())[:50]
    )
    lines += (f"  stays: {stay.lead}: {stay.reason}" for stay in preview.staying)
    if preview.more:
        lines.append("  the store has more: run this again when it is done")
    return lines


def _daemon_of(config: Config) -> StoreLocked:
    lock = StoreLock(config.storage.path)
    try:
        lock.acquire("a question")
    except StoreLocked as locked:
        return locked
    lock.release()
    raise OfficeRefused("no daemon works on the configured store; start it with frontrow run, and ask again")
