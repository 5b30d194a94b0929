"""``frontrow export``: leads, their timelines and the indicators out of the lead centre's database, while the daemon runs or not."""

import base64
import contextlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import msgspec
import sqlalchemy as sa

from frontrow.app.asking import Refusal, posted
from frontrow.app.lead_centre import database_url
from frontrow.config import Config
from frontrow.core.centre.book import LeadRow
from frontrow.core.centre.identities import Identity
from frontrow.core.centre.indicators import BY_ID, CATALOGUE, Question, QuestionRefused
from frontrow.core.centre.reveals import reveal_events
from frontrow.core.centre.sealing import PURPOSE
from frontrow.core.contact import form_facts
from frontrow.core.errors import StoreLocked
from frontrow.core.frames import Frame
from frontrow.core.ports import Clock
from frontrow.storage.centre import exports
from frontrow.storage.centre.database import open_database
from frontrow.storage.centre.desk import Desk
from frontrow.storage.centre.indicators import MESSAGES, Message, query
from frontrow.storage.lock import StoreLock
from frontrow.storage.store import Commit, Store
from frontrow.storage.vault import Vault, master_key, path_beside

What = Literal["leads", "timeline", "indicators"]


def export(
    config: Config,
    what: What,
    format: exports.Format,
    out: Path,
    *,
    from_at: int = 0,
    to_at: int = 1 << 62,
    indicators: Sequence[str] = (),
    cuts: Sequence[str] = (),
    reveal: Callable[[sa.Engine], exports.Reveal] | None = None,
) -> int:
    """Write what is asked for and return how many rows it has. ``reveal`` gives numbers whole, from :func:`revealing`.

    Raises:
        ExportImpossible: As :func:`frontrow.storage.centre.exports.write`, or an indicator cannot be cut so.
        StoreUnusable, StoreDamaged: The database cannot be opened.
    """
    engine = open_database(database_url(config))
    by_room = format == "parquet"
    try:
        with engine.connect() as db:
            match what:
                case "leads":
                    shown = None if reveal is None else reveal(engine)
                    rows = exports.lead_rows(db, from_at, to_at, by_room=by_room, reveal=shown)
                    return exports.write(out, format, exports.LEAD_COLUMNS, rows, what)
                case "timeline":
                    rows = exports.timeline_rows(db, from_at, to_at, by_room=by_room)
                    return exports.write(out, format, exports.TIMELINE_COLUMNS, rows, what)
                case "indicators":
                    asked = tuple(indicators) or tuple(
                        each.id for each in CATALOGUE if set(cuts) <= set(each.cuts)
                    )
                    question = Question(indicators=asked, cuts=tuple(cuts), from_at=from_at, to_at=to_at)
                    rows = exports.figure_rows(query(db, question, _messages(config, question)))
                    return exports.write(out, format, exports.FIGURE_COLUMNS, rows, what)
    except QuestionRefused as error:
        raise exports.ExportImpossible(str(error)) from error
    finally:
        engine.dispose()


def _messages(config: Config, question: Question) -> list[Message]:
    """Return the messages of the outbox, of which some indicators are made; none where there is no store beside the database."""
    asked = {BY_ID[name].numerator for name in question.indicators if name in BY_ID}
    if not asked & MESSAGES or not config.storage.path.exists():
        return []
    with contextlib.closing(Store.open_to_read(config.storage.path)) as store:
        return [Message(*each) for each in store.outbox_times(question.from_at, question.to_at)]


def moment(text: str, otherwise: int) -> int:
    """Return the UTC ms of a day or a moment of ISO 8601, UTC where it names no zone; of "" what is given.

    Raises:
        ValueError: It is neither.
    """
    if not text:
        return otherwise
    at = datetime.fromisoformat(text)
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1_000)


def open_vault(config: Config) -> Vault:
    """Return the vault, to read; the caller closes it.

    Raises:
        StoreUnusable, StoreDamaged: It cannot be opened.
    """
    return Vault.open_to_read(path_beside(config.storage.path), master_key(config.privacy.master_key))


def revealing(
    config: Config, vault: Vault, *, by: str, purpose: str, clock: Clock, id: str, url: str = ""
) -> Callable[[sa.Engine], exports.Reveal]:
    """Return what gives numbers whole: who sees them, and what for, is in the journal before the first is read.

    ``id`` names this export; ``url`` is where the daemon listens, empty: as the configuration says. Of customers who
    want no contact no number is given. What is returned raises ExportImpossible where the journal cannot be written.
    """

    def of(engine: sa.Engine) -> exports.Reveal:
        desk = Desk(engine)

        def reveal(leads: Sequence[LeadRow]) -> list[str | None]:
            contacts = [None if lead.do_not_contact else desk.contact(lead.customer) for lead in leads]
            # What retention or an erasure has taken nobody sees, and nobody is said to have seen; nor a number that
            # none is.
            contacts = [
                None if contact is None or contact.sealed is None or not contact.phone else contact
                for contact in contacts
            ]
            seen = [lead.lead for lead, contact in zip(leads, contacts, strict=True) if contact is not None]
            if seen:
                _journal(config, id, seen, by=by, purpose=purpose, clock=clock, url=url)
            found: list[str | None] = []
            for contact in contacts:
                sealed = None if contact is None else contact.sealed
                if contact is None or sealed is None:
                    found.append(None)
                    continue
                owner = Identity(contact.kind, contact.key)
                fields = vault.unseal(owner, PURPOSE, base64.b64decode(sealed))
                found.append(None if fields is None else _number(fields))
            return found

        return reveal

    return of


def _journal(
    config: Config, export: str, leads: Sequence[str], *, by: str, purpose: str, clock: Clock, url: str
) -> None:
    """Write into the journal who gets the numbers of leads: through the daemon that works on it, or where none does, here."""
    path = config.storage.path
    if not path.exists():
        raise exports.ExportImpossible(
            f"{path}: there is no store whose journal could keep who sees the numbers"
        )
    lock = StoreLock(path)
    try:
        lock.acquire("an export")
    except StoreLocked as locked:
        wish = {"export": export, "leads": list(leads), "by": by, "purpose": purpose}
        try:
            done = posted(config, locked, "exports/contacts", wish, dict[str, int], clock=clock, url=url)
        except StoreLocked as away:
            raise exports.ExportImpossible(f"who sees the numbers cannot be written down: {away}") from away
        if isinstance(done, Refusal):
            raise exports.ExportImpossible(
                f"the daemon does not write down who sees the numbers: {done.reason}"
            ) from None
        return
    try:
        store = Store.open(path, create=False)
        try:
            store.settle()
            at = clock.now()
            events = reveal_events(export, leads, by=by, purpose=purpose, at=at)
            store.append([Commit(Frame.of(events), (), (), at)])
        finally:
            store.close()
    finally:
        lock.release()


def _number(fields: bytes) -> str | None:
    """Return the number among what somebody entered in a form."""
    found = form_facts(msgspec.json.decode(fields, type=dict[str, Any])).phone
    return None if found is None else found.e164
