"""Opens the lead centre's database, in SQLite or Postgres, and brings its tables up to date."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import orjson
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError, OperationalError, SQLAlchemyError
from sqlalchemy.pool import QueuePool, StaticPool

from frontrow.core.errors import DatabaseAway, FrontrowError, StoreDamaged, StoreUnusable
from frontrow.storage.folder import make_private

BUSY_S = 5.0
DRIVERS = {"sqlite": "sqlite+pysqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
# A server that does not answer fails within a bound, and the centre tries again; whoever knows better says so in the
# address.
POSTGRES = {
    "application_name": "frontrow",
    "connect_timeout": "5",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "15000",
    # jit: to compile a question of indicators took 2 to 7 s, and to answer it a tenth of one.
    "options": "-c statement_timeout=10min -c lock_timeout=10s -c idle_in_transaction_session_timeout=10min -c jit=off",
}
WRITES = "frontrow_writes"  # execution option of a connection whose transactions write
MIGRATIONS = Path(__file__).with_name("migrations")
HEAD = "0008"  # of these, the last; a test holds both together

Result = TypeVar("Result")


def open_database(url: str) -> Engine:
    """Return an engine on the database at ``url`` (``sqlite:///path``, ``sqlite://`` in memory, ``postgresql://…``), its tables up to date.

    A file of SQLite is made, for its owner alone. Commits there are not synced one by one (``synchronous=NORMAL``,
    never OFF): what is in it follows from the journal, which is, and a commit that a loss of power takes is applied
    again.

    Raises:
        StoreUnusable: It is not an address of such a database, the driver is not installed, or it cannot be opened.
        StoreDamaged: It was written by a newer Frontrow, or is not a database of the lead centre.
    """
    engine = unopened_database(url)
    try:
        bring_up(engine)
    except DatabaseAway as error:
        engine.dispose()
        raise StoreUnusable(str(error)) from error
    except BaseException:
        engine.dispose()
        raise
    return engine


def unopened_database(url: str) -> Engine:
    """Return an engine on the database at ``url``, which nobody has asked for anything yet: :func:`bring_up` does.

    Raises:
        StoreUnusable: It is not an address of such a database, the driver is not installed, or a file cannot be made.
    """
    try:
        return engine_of(address_of(url))
    except ImportError as error:
        raise StoreUnusable(
            "Postgres needs a driver that is not installed: pip install 'frontrow[postgres]'"
        ) from error


def bring_up(engine: Engine) -> None:
    """Make the tables of a database, or bring them up to date.

    Raises:
        DatabaseAway: No server answers, or it does not take connections yet; it may later.
        StoreUnusable: It cannot be opened: a server that answers refuses us, or a file is locked.
        StoreDamaged: It was written by a newer Frontrow, or is not a database of the lead centre.
    """
    _opened(engine, lambda: _migrate(engine))


def present_version(engine: Engine) -> str | None:
    """Return of which version the tables are, None: there are none. Raises as :func:`bring_up`."""

    def ask() -> str | None:
        with engine.connect() as connection:
            return _present(connection)

    return _opened(engine, ask)


def _opened(engine: Engine, work: Callable[[], Result]) -> Result:
    """Return what ``work`` does with a database that is being opened. Raises as :func:`bring_up`."""
    try:
        return work()
    except SQLAlchemyError as error:
        refusal = _refusal(engine, error)
        if isinstance(refusal, DatabaseAway) or not _is_unconnected(engine, error):
            raise refusal from error
    # The server takes connections, and this one it did not: it may have come up between the two. What it says now, it
    # means.
    try:
        return work()
    except SQLAlchemyError as error:
        raise _refusal(engine, error) from error


def _refusal(engine: Engine, error: SQLAlchemyError) -> FrontrowError:
    said = f"{_shown(engine.url)}: cannot be opened ({_said(error)}); see [centre] database"
    away = isinstance(error, OperationalError) and _is_away(engine)
    return DatabaseAway(said) if away else StoreUnusable(said)


def _is_unconnected(engine: Engine, error: SQLAlchemyError) -> bool:
    """Return whether there was no connection, or none any more: of what is wrong within one, the server gives the state."""
    return (
        engine.dialect.name == "postgresql"
        and isinstance(error, OperationalError)
        and getattr(error.orig, "sqlstate", None) is None
    )


def _is_away(engine: Engine) -> bool:
    """Return whether nobody takes connections there now. Asked of the server, as ``pg_isready`` does: of a connection that was refused the
    driver says no more than words, in the server's language."""
    if engine.dialect.name != "postgresql":
        return False
    from psycopg import conninfo, pq

    _, given = engine.dialect.create_connect_args(engine.url)
    # What is no option of a connection's address is the driver's own.
    asked = conninfo.make_conninfo(
        **{
            "connect_timeout": POSTGRES["connect_timeout"],
            **{k: v for k, v in given.items() if k != "context"},
        }
    )
    return pq.PGconn.ping(asked.encode()) in (pq.Ping.NO_RESPONSE, pq.Ping.REJECT)


def address_of(url: str) -> URL:
    """Return the address that a text is, with the driver that we use.

    Raises:
        StoreUnusable: It is no address of such a database.
    """
    try:
        address = make_url(url)
        driver = DRIVERS[address.get_backend_name()]
    except (ArgumentError, KeyError) as error:
        raise StoreUnusable(
            "not an address of a database: it should look like sqlite:///data/centre.db or"
            " postgresql://user@host/name; see [centre] database"
        ) from error
    return address.set(drivername=driver)


def engine_of(address: URL) -> Engine:
    """Return an engine on a database whose tables may be of any version, or not there."""
    # Errors must not carry rows into logs: they hold names and words.
    options: dict[str, Any] = {
        "hide_parameters": True,
        "json_serializer": _to_json,
        "json_deserializer": orjson.loads,
    }
    if address.get_backend_name() != "sqlite":
        return sa.create_engine(
            address, pool_pre_ping=True, connect_args={**POSTGRES, **address.query}, **options
        )
    in_memory = address.database in (None, "", ":memory:")
    if not in_memory:
        assert address.database is not None
        path = Path(address.database)
        try:
            make_private(path)
        except OSError as error:
            raise StoreUnusable(
                f"{path}: cannot be made ({error.strerror}); see [centre] database"
            ) from error
    engine = sa.create_engine(
        address,
        poolclass=StaticPool if in_memory else QueuePool,
        connect_args={"timeout": BUSY_S, "check_same_thread": False},
        **options,
    )
    event.listen(engine, "connect", _settle_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


@contextmanager
def answering() -> Iterator[None]:
    """Raise DatabaseAway where the database does not answer what is asked within the block."""
    try:
        yield
    except (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError) as error:
        raise DatabaseAway("the lead centre's database does not answer") from error


def empty_wal(engine: Engine) -> bool:
    """Copy the WAL of a file of SQLite into the file and empty it, if nobody reads at this moment; else return False.

    Of another database nothing is done: what becomes of rows that were changed is its own affair.

    Raises:
        DatabaseAway: It cannot be done now, by a full disk or one that fails; what was committed is in the WAL still.
    """
    if engine.dialect.name != "sqlite":
        return True
    with answering():
        connection = engine.raw_connection()  # outside of any transaction
    try:
        cursor = connection.cursor()
        [busy, *_] = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not busy
    except sqlite3.Error as error:  # the driver's own: SQLAlchemy does not see what is done here
        raise DatabaseAway(f"the lead centre's file cannot be emptied of what was ({error})") from error
    finally:
        connection.close()


def _settle_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions are begun by us: the driver would begin them late
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    # What is erased is overwritten where it lay; notes and words are here as they were written.
    cursor.execute("PRAGMA secure_delete=ON")
    cursor.execute("PRAGMA cache_size=-65536")  # 64 MiB: the inner pages of the indices of some million leads
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    # Who writes takes the lock at once: to take it in the middle fails where another has written since the beginning.
    writes = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _migrate(engine: Engine) -> None:
    with engine.connect() as connection:
        present = _present(connection)
    if present == HEAD:
        return
    # A quarter of a second of work to import, which a start on an up-to-date database does without.
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if present is not None and present not in known:
        raise StoreDamaged(
            f"{_shown(engine.url)}: was written by a newer Frontrow (its tables are of {present!r})"
        )
    with engine.connect().execution_options(**{WRITES: True}) as connection, connection.begin():
        if engine.dialect.name == "postgresql":
            _settle_postgres(connection)
        config.attributes["connection"] = connection
        command.upgrade(config, HEAD)


def _settle_postgres(connection: sa.Connection) -> None:
    encoding = connection.execute(sa.text("SHOW server_encoding")).scalar()
    if encoding != "UTF8":
        raise StoreUnusable(
            f"{_shown(connection.engine.url)}: its encoding is {encoding}, in which not every text can be written;"
            " make the database with ENCODING 'UTF8'"
        )
    connection.execute(sa.text("SET LOCAL statement_timeout = 0"))
    # Of two that come at once the second finds all done.
    connection.execute(sa.text("SELECT pg_advisory_xact_lock(4706932)"))


def _present(connection: sa.Connection) -> str | None:
    """Return the version of the tables, None: there are none."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    return found


def _to_json(value: Any) -> str:
    return orjson.dumps(value).decode()  # in the order given: a trade's stages have one


def _shown(address: URL) -> str:
    return address.render_as_string(hide_password=True)


def _said(error: SQLAlchemyError) -> str:
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0]
