"""The lead centre's database is made, brought up, and refused where it is not ours to read."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from frontrow.core.errors import StoreDamaged, StoreUnusable
from frontrow.storage.centre.database import HEAD, MIGRATIONS, open_database
from frontrow.storage.centre.tables import metadata


def test_the_head_that_a_start_compares_with_is_the_last_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_a_database_of_a_newer_frontrow_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'centre.db'}"
    engine = open_database(url)
    with engine.begin() as db:
        db.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(StoreDamaged, match="newer Frontrow"):
        open_database(url)


@pytest.mark.parametrize("url", ["", "mysql://host/name", "centre.db", "sqlite:////proc/nowhere/centre.db"])
def test_an_address_of_no_such_database_is_refused_in_words(url: str) -> None:
    with pytest.raises(StoreUnusable, match=r"\[centre\] database"):
        open_database(url)


def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    """It holds who wanted what, and notes about them."""
    path = tmp_path / "deep" / "centre.db"
    open_database(f"sqlite:///{path}").dispose()
    assert path.stat().st_mode & 0o077 == 0


def test_the_migrations_make_the_tables_that_the_centre_works_with() -> None:
    """A column that is in one and not in the other shows only when somebody upgrades."""
    engine = open_database("sqlite://")
    with engine.connect() as db:
        context = MigrationContext.configure(db, opts={"render_as_batch": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()
