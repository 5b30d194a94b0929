"""Both databases of the lead centre, each test's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.postgres import needs_postgres, own_database

DATABASES = ["sqlite", pytest.param("postgres", marks=needs_postgres)]


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a new, empty database: a file of SQLite, and one of a Postgres server."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'centre.db'}"
    else:
        with own_database() as url:
            yield url
