"""The lead centre's database: tables, migrations, and what reads and writes them. SQLite by default, or Postgres."""
