"""Nurture and lists of numbers from the command line: looked at beside a daemon, and changed by asking it."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from frontrow.app.asking import Refusal, posted
from frontrow.app.lead_centre import database_url, make_policy
from frontrow.app.parts import make_pack
from frontrow.config import Config
from frontrow.core.centre.nursing import Page, previewed
from frontrow.core.centre.nurture import WITHHELD
from frontrow.core.centre.policy import CentrePolicy, read_policy
from frontrow.core.errors import FrontrowError, StoreLocked
from frontrow.core.ports import Clock
from frontrow.storage.centre.book import SqlBook
from frontrow.storage.centre.database import open_database
from frontrow.storage.lock import StoreLock
from frontrow.storage.store import Store

PAGE = 500


class NotListed(FrontrowError):
    """Numbers were not put on a list; says why."""


def touches(config: Config, at: int) -> tuple[CentrePolicy, list[Page]]:
    """Return the rules in force, as the journal has said (or the configuration, where it has not), and who gets what by them at ``at``
    (UTC ms); beside a running daemon as well.

    Raises as :func:`open_database` and :meth:`Store.open_to_read`.
    """
    store = Store.open_to_read(config.storage.path)
    try:
        book = SqlBook(open_database(database_url(config)), store.id)
    finally:
        store.close()
    try:
        book.begin(writes=False)
        known = book.state("policy")
        policy = make_policy(config, make_pack(config)) if known is None else read_policy(known.value)
        pages = [previewed(book, policy, at, limit=PAGE)]
        while (after := pages[-1].next) is not None:
            pages.append(previewed(book, policy, at, after=after, limit=PAGE))
        return policy, pages
    finally:
        book.close()


def lines_of(policy: CentrePolicy, pages: list[Page], at: int) -> list[str]:
    """Return a preview for people: what goes to whom, why not to others, and the sums. Names and numbers are masked."""
    zone = ZoneInfo(policy.touch.timezone)
    lines = [f"at {datetime.fromtimestamp(at / 1000, zone):%Y-%m-%d %H:%M} ({policy.touch.timezone})"]
    counts: dict[str, dict[str, int]] = {rule.name: {} for rule in policy.touch_rules}
    for page in pages:
        for touch in page.found.touches:
            row = page.leads[touch.customer]
            lines.append(
                f"{touch.rule:20}  {touch.channel:6}  {row.lead}  {row.name or '–'}  {row.masked or '–'}"
            )
        for no in page.found.withheld:
            if no.reason != "not_due":
                row = page.leads[no.customer]
                lines.append(
                    f"{no.rule:20}  not     {row.lead}  {row.name or '–'}  {WITHHELD[no.reason][1]}{_until(no.until, zone)}"
                )
        for rule, found in page.found.counts.items():
            for reason, count in found.items():
                counts[rule][reason] = counts[rule].get(reason, 0) + count
    for rule, reasons in counts.items():
        told = ", ".join(f"{reason} {count}" for reason, count in sorted(reasons.items()))
        lines.append(f"{rule}: {told or 'nobody'}")
    if not policy.touch.send:
        lines.append("nothing is sent: [centre.touch] send is false")
    return lines


def _until(until: int | None, zone: ZoneInfo) -> str:
    return "" if until is None else f", until {datetime.fromtimestamp(until / 1000, zone):%Y-%m-%d %H:%M}"


def list_numbers(
    config: Config, name: str, numbers: list[str], *, remove: bool, clock: Clock, url: str = ""
) -> int:
    """Let the running daemon put numbers on a list, or take them off it; return how many.

    Raises:
        NotListed: No daemon runs that could, or it refuses.
    """
    lock = StoreLock(config.storage.path)
    try:
        lock.acquire(datetime.fromtimestamp(clock.now() / 1000, UTC).isoformat(timespec="seconds"))
    except StoreLocked as locked:
        body = {"list": name, "numbers": numbers, "remove": remove}
        done = posted(config, locked, "numbers", body, dict[str, Any], clock=clock, url=url)
        if isinstance(done, Refusal):
            raise NotListed(done.reason) from None
        return int(done["numbers"])
    lock.release()
    raise NotListed(
        "no daemon runs on this store, and what it is to know goes through its journal: start it first"
    )
