"""A second database of the lead centre beside the one in use, that takes its place when it is whole.

In SQLite it is a file beside the file; in Postgres a schema of the same database, whose tables come into the place of
the others in one transaction. For one process, while nobody else writes or reads.
"""

import contextlib
import os
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import URL

from frontrow.storage.centre.database import POSTGRES, address_of, engine_of
from frontrow.storage.centre.tables import metadata
from frontrow.storage.folder import sync_folder

SCHEMA = "frontrow_rebuilding"
SUFFIX = ".rebuilding"
_FILES = ("", "-wal", "-shm")


class Beside:
    """The place beside a database. ``url`` is that of the new one, once :meth:`begin` has made room for it."""

    def __init__(self, url: str) -> None:
        self._address = address_of(url)
        self._is_file = self._address.get_backend_name() == "sqlite"
        self._path = Path(self._address.database or "")
        self.url = _beside(self._address, self._path).render_as_string(hide_password=False)

    def begin(self) -> None:
        """Make room: what an earlier attempt has left is removed."""
        if self._is_file:
            self._remove(self._new)
            return
        with contextlib.closing(_Engine(self._address)) as engine, engine.sa.begin() as db:
            db.execute(sa.text(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE"))
            db.execute(sa.text(f"CREATE SCHEMA {SCHEMA}"))

    def exchange(self) -> None:
        """Let the new database, which nobody has open any more, take the place of the one in use."""
        if self._is_file:
            # A write-ahead log of the old file must never be taken for one of the new file's.
            for suffix in _FILES[1:]:
                _of(self._path, suffix).unlink(missing_ok=True)
            os.replace(self._new, self._path)
            sync_folder(self._path.parent)
            return
        with contextlib.closing(_Engine(self._address)) as engine, engine.sa.begin() as db:
            here = db.dialect.identifier_preparer.quote(
                db.execute(sa.text("SELECT current_schema()")).scalar_one()
            )
            quoted = db.dialect.identifier_preparer.quote
            for table in [*metadata.tables, "alembic_version"]:
                db.execute(sa.text(f"DROP TABLE IF EXISTS {here}.{quoted(table)}"))
                db.execute(sa.text(f"ALTER TABLE {SCHEMA}.{quoted(table)} SET SCHEMA {here}"))
            db.execute(sa.text(f"DROP SCHEMA {SCHEMA}"))

    @property
    def _new(self) -> Path:
        return _of(self._path, SUFFIX)

    @staticmethod
    def _remove(path: Path) -> None:
        for suffix in _FILES:
            _of(path, suffix).unlink(missing_ok=True)


class _Engine:
    """An engine that :func:`contextlib.closing` closes."""

    def __init__(self, address: URL) -> None:
        self.sa = engine_of(address)

    def close(self) -> None:
        self.sa.dispose()


def _of(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _beside(address: URL, path: Path) -> URL:
    if address.get_backend_name() == "sqlite":
        return address.set(database=str(_of(path, SUFFIX)))
    given = address.query.get("options", POSTGRES["options"])
    options = given if isinstance(given, str) else " ".join(given)
    return address.update_query_dict({"options": f"{options} -c search_path={SCHEMA}"})
