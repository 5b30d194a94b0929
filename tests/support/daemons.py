"""Daemons to test against: one in this process, and the real program in its own."""

import asyncio
import contextlib
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from frontrow.app.daemon import Daemon
from frontrow.app.parts import load_config
from frontrow.clock import SystemClock
from frontrow.config import Config
from frontrow.core.ports import Clock
from frontrow.runtime.access import Role, make_token
from frontrow.storage.store import Store

ROOT = Path(__file__).parents[2]
SOURCE_ROOTS = [str(ROOT / root) for root in ("daemon", "connectors", "models", "dashboards")]

BASE = """
[server]
port = 0
[log]
level = "warning"
[[rooms]]
id = "demo"
platform = "test"
room = "r1"
title = "夏季新品"
[[rooms]]
id = "other"
platform = "test"
room = "r2"
"""


def write_config(folder: Path, more: str = "") -> Path:
    """Write a configuration with two rooms, and return its path."""
    path = folder / "config.toml"
    path.write_text(BASE + more, "utf-8")
    return path


@dataclass
class Running:
    """A daemon that answers at ``url``."""

    url: str
    store: Path
    http: httpx.AsyncClient

    def token(
        self,
        role: Role = Role.ADMIN,
        room: str | None = None,
        *,
        expires_at: int | None = None,
        seller: str | None = None,
    ) -> str:
        """Make a token beside the running daemon, as the command line does."""
        made = make_token(
            os.urandom(32), role=role, room=room, label="test", now=0, expires_at=expires_at, seller=seller
        )
        store = Store.open(self.store)
        store.token_add(made.row)
        store.close()
        return made.token

    async def ingest(self, body: bytes, *, room: str = "demo", token: str | None = None) -> httpx.Response:
        """Post a body; with a fresh token unless one is given."""
        headers = {"authorization": f"Bearer {token or self.token(Role.INGEST)}"}
        return await self.http.post(f"/ingest/{room}", content=body, headers=headers)

    def socket_url(self, room: str, token: str, **query: Any) -> str:
        """Return the address of a room's panel socket."""
        rest = "".join(f"&{key}={value}" for key, value in query.items())
        return f"{self.url.replace('http', 'ws', 1)}/ws/host/{room}?token={token}{rest}"


@contextlib.asynccontextmanager
async def running(
    config: Path | Config, *, clock: Clock | None = None, environ: Mapping[str, str] | None = None
) -> AsyncIterator[Running]:
    """Run a whole daemon in this process, until the block ends; then it must stop in order."""
    loaded = config if isinstance(config, Config) else load_config(config, environ or {})
    daemon = Daemon(loaded, clock=clock or SystemClock(), rng=random.Random(7))
    up: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(daemon.run(ready=lambda address: up.set_result(address.url)), name="daemon")
    await asyncio.wait((up, task), return_when=asyncio.FIRST_COMPLETED, timeout=30)
    if task.done():
        await task
    url = await asyncio.wait_for(up, 1)
    async with httpx.AsyncClient(base_url=url, timeout=20) as http:
        try:
            yield Running(url, loaded.storage.path, http)
        finally:
            daemon.stop()
            await asyncio.wait_for(task, 15)


class Process:
    """The real program, started as a person would."""

    def __init__(self, *arguments: str, cwd: Path, environ: Mapping[str, str] | None = None) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "frontrow", *arguments],
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(SOURCE_ROOTS),
                "PYTHONUNBUFFERED": "1",
                **(environ or {}),
            },
        )

    def until_listening(self) -> str:
        """Return the daemon's URL once it says where it listens."""
        assert self.popen.stdout is not None
        for line in self.popen.stdout:
            if found := re.search(r"listens on (http://\S+)", line):
                return found[1]
        assert self.popen.stderr is not None
        raise AssertionError(f"it never listened: {self.popen.stderr.read()}")

    def end(self, number: int = signal.SIGTERM, *, timeout_s: float = 15) -> tuple[int, str, str]:
        """Send a signal, wait, and return (exit code, rest of standard output, standard error)."""
        if self.popen.poll() is None:
            self.popen.send_signal(number)
        out, err = self.popen.communicate(timeout=timeout_s)
        return self.popen.returncode, out, err


@contextlib.contextmanager
def process(*arguments: str, cwd: Path, environ: Mapping[str, str] | None = None) -> Iterator[Process]:
    """Run the program and make sure that it is gone when the block ends."""
    started = Process(*arguments, cwd=cwd, environ=environ)
    try:
        yield started
    finally:
        if started.popen.poll() is None:
            started.popen.kill()
        started.popen.communicate()
