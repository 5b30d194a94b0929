"""A real Postgres server of the tests' own: one for each process that runs tests, a database for each test.

It sorts texts as people do (ICU's English), not by their bytes: an order that is only right on a machine with a plain
locale shows here. What makes a commit durable is off (``fsync``, ``full_page_writes``), since nothing here outlives
the tests; nothing that is asked of it depends on that, and no benchmark of commits may use it without saying so.
"""

import atexit
import contextlib
import itertools
import os
import pwd
import random
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import pytest

from frontrow.storage.centre.database import open_database
from tests.support.ports import stable_port

UNPRIVILEGED = "nobody"  # who runs it where we are root, as whom Postgres refuses to run
NOT_DURABLE = ("fsync=off", "full_page_writes=off", "synchronous_commit=off")


@cache
def programs() -> Path | None:
    """Return the folder of the server's programs, the newest that Debian installs or what PATH has; None: there is none."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda each: int(each.parent.name))
    on_path = shutil.which("initdb")
    for folder in [*reversed(debian), *([Path(on_path).resolve().parent] if on_path else [])]:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    return None


# Where the suite is the proof of a change, a server that is not there is a failure and not a reason to skip.
needs_postgres = pytest.mark.skipif(
    programs() is None and not os.environ.get("CI"),
    reason="Postgres is not installed, so nothing tests the lead centre's database in it",
)


class Postgres:
    """One server on a port of 127.0.0.1. What is in it stays over :meth:`stop` and :meth:`start`."""

    def __init__(self, settings: tuple[str, ...] = NOT_DURABLE) -> None:
        found = programs()
        assert found is not None, "Postgres is not installed"
        self._programs = found
        self._settings = settings
        # Not in pytest's folders, which others than their owner may not enter.
        self._folder = Path(tempfile.mkdtemp(prefix="frontrow-postgres-"))
        self._data = self._folder / "data"
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            user = pwd.getpwnam(UNPRIVILEGED)
            os.chown(self._folder, user.pw_uid, user.pw_gid)
            self._as = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        self.port = stable_port(random.Random())
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        try:
            self._run(
                "initdb", "--pgdata", str(self._data), "--username", "frontrow", "--auth", "trust", "--no-sync",
                "--encoding", "UTF8", "--locale", "C.UTF-8", "--locale-provider", "icu", "--icu-locale", "en-US",
            )  # fmt: skip
            self.start()
        except BaseException:
            self.close()
            raise

    def url(self, database: str) -> str:
        """Return the address of a database."""
        return f"postgresql://frontrow@127.0.0.1:{self.port}/{database}"

    def database(self, template: str | None = None) -> str:
        """Return the address of a new database, empty or a copy of another one that nobody uses meanwhile."""
        name = f"test{next(self._numbers)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as db:
            db.execute(f"CREATE DATABASE {name} TEMPLATE {template or 'template0'}")
        return self.url(name)

    def drop(self, url: str) -> None:
        """Drop a database, whoever still uses it."""
        name = url.rpartition("/")[2]
        with psycopg.connect(self.url("postgres"), autocommit=True) as db:
            db.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def start(self) -> None:
        """Start, and wait until it takes connections."""
        settings = (
            "listen_addresses=127.0.0.1", f"port={self.port}", "unix_socket_directories=",
            "max_connections=60", "shared_buffers=64MB", "logging_collector=off", "log_min_messages=fatal",
            *self._settings,  # of two settings of one name the server takes the later one
        )  # fmt: skip
        command = [str(self._programs / "postgres"), "-D", str(self._data)]
        for setting in settings:
            command += ["-c", setting]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self._folder, **self._as
            )
        self._run("pg_isready", "--host", "127.0.0.1", "--port", str(self.port), tries=400)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT drops all connections and ends in order, SIGQUIT leaves it as a crash would. Does nothing if it does not run."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            process.wait(20)

    def close(self) -> None:
        """End it and remove all that it kept; idempotent."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str, tries: int = 1) -> None:
        for attempt in range(1, tries + 1):
            if self._process is not None and self._process.poll() is not None:
                break
            done = subprocess.run(
                [self._programs / program, *arguments], check=False, capture_output=True, cwd=self._folder, timeout=60, **self._as
            )  # fmt: skip
            if done.returncode == 0:
                return
            if attempt < tries:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    if self._process is not None:
                        self._process.wait(0.02)
        log = self._folder / "log"
        raise RuntimeError(
            f"{program} failed: {log.read_text('utf-8', 'replace') if log.exists() else done.stderr!r}"
        )


@cache
def server() -> Postgres:
    """Return this process's server; it ends with the process."""
    started = Postgres()
    atexit.register(started.close)
    return started


@cache
def _with_tables() -> str:
    """Return the name of a database of this process's server that has the lead centre's tables and nothing in them."""
    url = server().database()
    open_database(url).dispose()
    return url.rpartition("/")[2]


@contextlib.contextmanager
def own_database(*, empty: bool = False) -> Iterator[str]:
    """Give a new database of this process's server, gone when the block ends: with the lead centre's tables, which a copy has sooner than
    migrations make them, or ``empty``."""
    url = server().database(None if empty else _with_tables())
    try:
        yield url
    finally:
        server().drop(url)
