"""A real MQTT broker on a loopback port, which tests can kill and start again."""

import asyncio
import getpass
import os
import random
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.support.ports import stable_port

Test = TypeVar("Test", bound=Callable[..., Any])

# Debian installs it outside of what an ordinary user's PATH holds.
PROGRAM = shutil.which(
    "mosquitto", path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
)

# Where the suite is the proof of a change, a broker that is not there is a failure and not a reason to skip.
_skip = pytest.mark.skipif(
    PROGRAM is None and not os.environ.get("CI"),
    reason="mosquitto is not installed, so nothing speaks MQTT here",
)


def needs_broker(test: Test) -> Test:
    """Mark a test that talks to a real broker; it is skipped where there is none, but never under CI."""
    marked: Test = pytest.mark.broker(_skip(test))
    return marked


class Mosquitto:
    """One broker; ``lines`` are added to its configuration. State is kept over :meth:`stop` and :meth:`start`."""

    def __init__(self, folder: Path, *lines: str) -> None:
        self.port = stable_port(random.Random())
        self._config = folder / "mosquitto.conf"
        self._config.write_text(
            "\n".join(
                [
                    f"listener {self.port} 127.0.0.1",
                    f"user {getpass.getuser()}",  # started by root, it would become a user who may not read here
                    "persistence true",
                    f"persistence_location {folder}/",
                    "log_dest none",
                    *(lines or ("allow_anonymous true",)),
                    "",
                ]
            )
        )
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start, and wait until it takes connections."""
        assert PROGRAM is not None
        self._process = subprocess.Popen([PROGRAM, "-c", str(self._config)])  # noqa: ASYNC220 - returns at once
        async with asyncio.timeout(10):
            while not await self._answers():
                assert self._process.poll() is None, "mosquitto ended at its start"
                await asyncio.sleep(0.01)

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it, in order (sessions are saved) or by SIGKILL (they are lost). Does nothing if it does not run."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            await asyncio.to_thread(process.wait, 10)

    async def _answers(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        await writer.wait_closed()
        return True
