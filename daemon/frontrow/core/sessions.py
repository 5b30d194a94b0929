"""Which broadcast an event belongs to.

A feed that names its sessions is believed. Otherwise a session begins with ``room_start`` or with the first event
after a silence, and ends five minutes (``grace``) after ``room_end`` or after thirty minutes of silence; a late event
joins the session that its own time falls into.
"""

import bisect
import math
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from typing import Any

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
    rows: "array[int]" = field(default_factory=lambda: array("i"))  # of its viewers in memory
    product: str | None = None  # on show
    product_at: int | None = None
    host: str | None = None
    campaign: str | None = None
    viewers_online: int | None = None
    planned_end: int | None = None  # as ``room_start`` or ``room_stats`` told it
    leads: int = 0
    open: bool = False  # whether the engine still counts it as going on
    warm: dict[int, None] = field(default_factory=dict)  # rows that are warm or hot now
    away: int = 0  # viewers who have left memory
    left: list[bytes] = field(
        default_factory=list
    )  # the ids of those who ever left memory, as msgpack, until counted
    bought: dict[str, None] = field(default_factory=dict)  # viewers with an outcome
    products: dict[str, int] = field(default_factory=dict)  # that viewers chose, with their numbers from 1 on
    counted: bool = False  # whether its viewers have been counted among the visitors of the room
    number: int = 0  # among all sessions of the engine
    # Events, each weighing half as much a minute later, relative to a landmark (forward decay, as the features).
    rate: float = 0.0
    orders: float = 0.0  # outcomes, the same with half an hour
    rate_landmark_ms: int = 0

    def kept(self) -> dict[str, Any]:
        """Return all but the rows as JSON values: what :meth:`from_kept` makes a session of."""
        return {name: getattr(self, name) for name in _KEPT} | {"left": [part.hex() for part in self.left]}

    @classmethod
    def from_kept(cls, kept: dict[str, Any]) -> "Session":
        """Return the session that :meth:`kept` told of, without rows."""
        return cls(**kept | {"left": [bytes.fromhex(part) for part in kept["left"]]})

    def count(self, weight: float) -> None:
        """Count one event into the rate; ``weight`` is what it weighs at the landmark (2 ** minutes since)."""
        self.rate += weight

    def move_landmark(self, by_ms: int) -> None:
        """Let the rate relate to a later landmark; a power of two, so no digit changes."""
        self.rate *= 2.0 ** -(by_ms / 60_000.0)
        self.orders *= 2.0 ** -(by_ms / 1_800_000.0)
        self.rate_landmark_ms += by_ms

    def rate_at(self, now: int) -> float:
        """Return the events as of engine time ``now``, each faded by its age with a half-life of a minute."""
        # Before the landmark a weight grows; the bound keeps the power finite.
        fade: float = 2.0 ** min(1000.0, (self.rate_landmark_ms - now) / 60_000.0)
        return self.rate * fade

    def rate_per_minute(self, now: int) -> float:
        """Return the events per minute as of engine time ``now``: the faded count over its mean life."""
        return self.rate_at(now) * math.log(2.0)


_KEPT = tuple(each.name for each in fields(Session) if each.name not in ("rows", "warm", "left"))


class Sessions:
    """The sessions of one room, in the order in which they began to be known."""

    __slots__ = ("_by_id", "_grace_ms", "_opened", "_passed", "_silence_ms", "_starts", "current")

    def __init__(
        self,
        *,
        silence_ms: int,
        grace_ms: int,
        opened: Callable[[Session], None] = lambda _session: None,
        passed: Callable[[Session], None] = lambda _session: None,
    ) -> None:
        """Make a room without sessions. ``opened`` is called with each new one, ``passed`` with each that is the
        present one no longer."""
        self._opened = opened
        self._passed = passed
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
        self._note(session, at)
        if kind == "room_end" and (session.ended_at is None or at > session.ended_at):
            session.ended_at = at
        return session

    def holding(self, named: str | None, first: int, low: int, high: int) -> Session | None:
        """Return the one session of a run of events; None: ask :meth:`of` for each. Nothing is noted, but a session
        that the run begins is begun.

        The run's event times begin with ``first`` and lie from ``low`` to ``high``. None of its events starts or ends
        a session in words, and all of them count.
        """
        current = self.current
        if named is None:
            # The end is told by the latest time alone: a session that is not over then was not over before.
            if current is None or low < current.started_at or self.over(current, high):
                return None
            return current
        session = self._by_id.get(named)
        if session is not None and session is current:
            return session if low >= session.started_at else None
        if current is not None and first <= current.last_at:
            return None  # it may become the present one, or not, in the middle of the run
        if low < (first if session is None else session.started_at):
            return None
        return self._named(named, first)

    def present(self, named: str | None) -> bool:
        """Return whether :meth:`holding` would begin nothing and change nothing for a run of this session, as far as it is named."""
        return self.current is not None and (named is None or self._by_id.get(named) is self.current)

    def since(self, at: int) -> list[Session]:
        """Return the sessions that had an event at event time ``at`` or later."""
        return [session for session in self._by_id.values() if session.last_at >= at]

    def _note(self, session: Session, at: int) -> None:
        if at > session.last_at:
            session.last_at = at
        if at < session.started_at:
            self._starts.remove((session.started_at, session.id))
            session.started_at = at
            bisect.insort(self._starts, (at, session.id))

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
            self._present(session)  # the feed has gone on, or back, to it
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
        self._opened(session)
        self.add(session)
        if self.current is None or at >= self.current.started_at:
            self._present(session)
        return session

    def _present(self, session: Session) -> None:
        former, self.current = self.current, session
        if former is not None:
            self._passed(former)

    def add(self, session: Session) -> None:
        """Take a session among those of the room."""
        self._by_id[session.id] = session
        bisect.insort(self._starts, (session.started_at, session.id))

    def forget(self, session: Session) -> None:
        """Take a session from those of the room; it is not the current one."""
        del self._by_id[session.id]
        self._starts.remove((session.started_at, session.id))
