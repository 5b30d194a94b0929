"""What ``frontrow doctor`` says of the lead centre's database: whether it answers, and how far it has followed the journal. Changes nothing."""

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from frontrow.app.centre import ANOTHER_HISTORY
from frontrow.app.lead_centre import database_url
from frontrow.app.retaining import DAY_MS, kept_days, kept_since
from frontrow.config import Config
from frontrow.core.errors import DatabaseAway, FrontrowError
from frontrow.storage.centre import tables
from frontrow.storage.centre.database import HEAD, present_version, unopened_database
from frontrow.storage.centre.sweeping import overdue
from frontrow.storage.store import Store

OVERDUE_MS = DAY_MS  # what should have gone longer ago is not the daemon's hourly round that has yet to come


def look_at_centre(config: Config, now: int) -> tuple[str, bool]:
    """Return what is to be said at ``now`` (UTC ms) of the lead centre's database of a configuration in one line, and whether it is well."""
    if not config.centre.enabled:
        return "lead centre: off", True
    url = database_url(config)
    if url.startswith("sqlite:///") and not Path(url.removeprefix("sqlite:///")).exists():
        return "lead centre: there is no database yet; the daemon makes it from the journal", True
    try:
        return _looked(config, url, now)
    except DatabaseAway as error:
        return (
            f"lead centre: away: {error}; a daemon takes events without it, answers 503 at the desk, and goes on when it is back",
            False,
        )
    except FrontrowError as error:
        return f"lead centre: {error}", False
    except SQLAlchemyError as error:
        return f"lead centre: the database cannot be read ({type(error).__name__})", False


def _looked(config: Config, url: str, now: int) -> tuple[str, bool]:
    engine = unopened_database(url)
    try:
        version = present_version(engine)
        if version != HEAD:
            return (
                f"lead centre: its tables are of version {version or 'none'}; a start brings them to {HEAD}",
                True,
            )
        c = tables.position.c
        with engine.connect() as db:
            row = db.execute(sa.select(c.store, c.seq, c.mark)).first()
        late = overdue(engine, kept_since(kept_days(config), now - OVERDUE_MS))
    finally:
        engine.dispose()
    if row is None:
        return "lead centre: the database is empty; the daemon makes it from the journal", True
    store = Store.open_to_read(config.storage.path)
    try:
        if bytes(row.store) != store.id:
            return "lead centre: the database follows the journal of another store", False
        if row.seq and store.mark(row.seq) != bytes(row.mark):
            return f"lead centre: {ANOTHER_HISTORY}", False
        followed = f"lead centre: the database has followed {row.seq:,} of {store.seq:,} frames"
        if late:
            said = (
                f"{late:,} rows hold names, texts or contacts that should have gone by [privacy] more than a day ago:"
                " a running daemon takes them out, or logs centre_retention_failed"
            )
            return f"{followed}; {said}", False
        return followed, True
    finally:
        store.close()
