"""Ports that stay a test's own while nobody listens on them, for servers that go and come back."""

import contextlib
import os
import random
import socket

# Below those that Linux chooses itself: these are given to outgoing connections too, and a client that tries to reach a
# dead server there could be connected to itself.
_FIRST, _END = 20_000, 32_000
_SHARES = 8  # among the processes that run tests side by side, none of which sees what another one's servers will need


def stable_port(dice: random.Random) -> int:
    """Return a free port on 127.0.0.1 which no other test process and no outgoing connection takes."""
    count = (_END - _FIRST) // _SHARES
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _SHARES
    while True:
        port = _FIRST + worker * count + dice.randrange(count)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
