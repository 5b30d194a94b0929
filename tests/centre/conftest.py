"""Both databases of the lead centre, each test's own."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest

from frontrow.storage.centre.database import open_database
from tests.support.postgres import needs_postgres, own_database

DATABASES = ["sqlite", pytest.param("postgres", marks=needs_postgres)]


@pytest.fixture(scope="session")
def file_with_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of SQLite with the lead centre's tables, to be copied: migrations take a third of a second."""
    path = tmp_path_factory.mktemp("tables") / "centre.db"
    open_database(f"sqlite:///{path}").dispose()
    return path


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest, tmp_path: Path, file_with_tables: Path) -> Iterator[str]:
    """The address of a new database without rows: a file of SQLite, and one of a Postgres server."""
    if request.param == "sqlite":
        shutil.copy(file_with_tables, tmp_path / "centre.db")
        yield f"sqlite:///{tmp_path / 'centre.db'}"
    else:
        with own_database() as url:
            yield url


@pytest.fixture(params=DATABASES)
def new_database(
    request: pytest.FixtureRequest, tmp_path: Path, file_with_tables: Path
) -> Iterator[Callable[[], str]]:
    """Gives the address of another new database without rows at each call: for a test that needs several, all in one kind of database."""
    numbers = count(1)
    with ExitStack() as kept:

        def new() -> str:
            if request.param == "sqlite":
                path = tmp_path / f"centre{next(numbers)}.db"
                shutil.copy(file_with_tables, path)
                return f"sqlite:///{path}"
            return kept.enter_context(own_database())

        yield new


@pytest.fixture(params=DATABASES)
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a new database without tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'centre.db'}"
    else:
        with own_database(empty=True) as url:
            yield url
