"""Which broadcast an event belongs to.

A feed that names its sessions is believed. Otherwise a session begins with ``room_start`` or with the first event
after a silence, and ends five minutes (``grace``) after ``room_end`` or after thirty minutes of silence; a late event
joins the session that its own time falls into.
"""

import bisect
import math
from collections.abc import Iterator
from dataclasses import dataclass, field

OVERLAPPING = 8  # sessions of one room that may go on at a time
_AFTER_ANY_ID = "\U0010ffff"


@dataclass(slots=True)
class Session:
    """One broadcast of one room. Times are event times, UTC milliseconds; ``ended_at`` None: not ended in words."""

    id: str
    started_at: int
    named: bool
    last_at: int
    ended_at: int | None = None
    rows: dict[str, int] = field(default_factory=dict)  # viewer → row
    product: str | None = None
    product_at: int | None = None
    host: str | None = None
    campaign: str | None = None
    viewers_online: int | None = None
    leads: int = 0
    open: bool = False  # whether the engine still counts it as going on
    warm: dict[int, None] = field(default_factory=dict)  # rows that are warm or hot now
    rate: float = 0.0  # events, faded by their own times with a half-life of a minute; as of `rate_at`
    rate_at: int = 0

    def count(self, at: int) -> None:
        """Count one event at event time ``at`` into the rate; a late one by what it would still weigh."""
        if at > self.rate_at:
            self.rate = self.rate * 2.0 ** ((self.rate_at - at) / 60_000.0) + 1.0
            self.rate_at = at
        else:
            self.rate += 2.0 ** ((at - self.rate_at) / 60_000.0)

    def rate_per_minute(self, now: int) -> float:
        """Return the events per minute as of engine time ``now``: the faded count over its mean life."""
        fade: float = 2.0 ** (min(0, self.rate_at - now) / 60_000.0)
        return self.rate * fade * math.log(2.0)


class Sessions:
    """The sessions of one room, in the order in which they began to be known."""

    def __init__(self, *, silence_ms: int, grace_ms: int) -> None:
        self._silence_ms = silence_ms
        self._grace_ms = grace_ms
        self._by_id: dict[str, Session] = {}
        self._starts: list[
            tuple[int, str]
        ] = []  # (started_at, id) of all, sorted: late events look back in it
        self.current: Session | None = None

    def __iter__(self) -> Iterator[Session]:
        return iter(self._by_id.values())

    def of(self, named: str | None, at: int, kind: str, *, counts: bool = True) -> Session:
        """Return the session of an event at event time ``at``, opening one where needed.

        An event that does not count (platform test data) neither prolongs nor ends a session.
        """
        session = self._named(named, at) if named is not None else self._by_time(at, kind)
        if not counts:
            return session
        if at > session.last_at:
            session.last_at = at
        if at < session.started_at:
            self._starts.remove((session.started_at, session.id))
            session.started_at = at
            bisect.insort(self._starts, (at, session.id))
        if kind == "room_end" and (session.ended_at is None or at > session.ended_at):
            session.ended_at = at
        return session

    def over(self, session: Session, now: int) -> bool:
        """Return whether a session has ended by ``now``: said so and the grace has passed, or silent too long."""
        if session.ended_at is not None and now > session.ended_at + self._grace_ms:
            return True
        return now > session.last_at + self._silence_ms

    def _named(self, name: str, at: int) -> Session:
        session = self._by_id.get(name)
        if session is None:
            session = self._open(name, at, named=True)
        elif self.current is not session and (self.current is None or at > self.current.last_at):
            self.current = session  # the feed has gone back to it
        return session

    def _by_time(self, at: int, kind: str) -> Session:
        current = self.current
        if current is not None:
            if kind == "room_start" and current.ended_at is not None and at >= current.ended_at:
                return self._open(
                    self._name(at), at, named=False
                )  # said to have ended, said to begin: no grace
            if not self.over(current, at) and at >= current.started_at:
                return current
            earlier = self._containing(at)
            if earlier is not None:
                return earlier
            if current.started_at - self._silence_ms <= at < current.started_at:
                return current  # the first events of a session may come out of order
        return self._open(self._name(at), at, named=False)

    def _containing(self, at: int) -> Session | None:
        # Broadcasts of one room hardly overlap: the one that a time falls into is among the last that began before it.
        end = bisect.bisect_right(self._starts, (at, _AFTER_ANY_ID))
        for _, name in reversed(self._starts[max(0, end - OVERLAPPING) : end]):
            session = self._by_id[name]
            if not self.over(session, at):
                return session
        return None

    def _name(self, at: int) -> str:
        name = f"auto-{at}"
        while (
            name in self._by_id
        ):  # two sessions of one room cannot begin at one millisecond, but names can be given
            name += "+"
        return name

    def _open(self, name: str, at: int, *, named: bool) -> Session:
        session = Session(id=name, started_at=at, named=named, last_at=at)
        self._by_id[name] = session
        bisect.insort(self._starts, (at, name))
        if self.current is None or at >= self.current.started_at:
            self.current = session
        return session
