"""Who behaves like a machine, or as one with others: signs by which a lead is suspected, and nothing more than suspected.

Three signs, each of what one viewer has done in one room:

- *one line*: of the latest :data:`LINES` comments hardly one differs from another. Measured by the entropy of their lines, so that two
  lines in turn count as what they are, and a line that was said once among many others as little.
- *clockwork*: the latest :data:`INTERVALS` waits between comments, clicks, carts and forms are alike. Measured by the entropy of the waits'
  half octaves: people wait now three seconds and now three minutes.
- *in step*: the same few others wrote or clicked within the same five seconds, six times and more, and hardly ever apart from
  one another. A burst in itself is nothing: when a host counts down, honest viewers click in one second. They do so
  with whoever is there, and do other things besides.

Only viewers of whom there is a lead are looked at: when it is made, and after each of their acts from then on. What
is found is a function of the journal alone, in its order, wherever its frames are cut; nothing waits for it.

Memory is bounded: of viewers and of moments (five seconds of a room) the latest are known, in two generations. As the
younger one is full, the older is forgotten. Lines are known by their sketches, and words by nothing. Rejected, with
figures: ADR 22.
"""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from frontrow.core.centre.identities import VIEWER
from frontrow.core.frames import Frame
from frontrow.core.leads import Lead, LeadGrouped
from frontrow.core.sketches import NOTHING, exact_of

LINES = 8  # comments, the latest; those of marks, digits and emoji alone do not count
LINES_BITS = 1.6  # entropy, at most: that of three lines equally often is 1.58
INTERVALS = 12  # waits, the latest
INTERVALS_BITS = 1.0  # at most: two lengths by turns
SHORTEST_MS = 5_656  # median wait, at least: below it clocks that tell seconds make all waits alike
MOMENT_MS = 5_000
MOMENTS = 16  # of a viewer, the latest in which something was done
EVERY = 4  # moments of a viewer after which it is asked again who was in step
TOGETHER = 6  # moments that a viewer has in common with another …
SHARE = 0.6  # … and the least share of what either of them does
OTHERS = 4  # who are so in step with a viewer
MOST_AT_ONCE = 256  # viewers of one moment; of a moment with more than these nothing is learnt
GENERATION = 8_192  # viewers of all rooms together, until the older generation is forgotten
MOMENTS_GENERATION = 65_536  # viewers of moments, in the same way
UNWRITTEN_FRAMES = 4_096  # and …
UNWRITTEN_MS = (
    600_000  # … engine time after which what is known is written; the rest is read from the journal again
)

ONE_LINE, CLOCKWORK, IN_STEP = SIGNS = "one_line", "clockwork", "in_step"
CROWD = "crowd"  # the engine's word (:mod:`frontrow.core.crowd`), which stands beside these signs

_ACTS = frozenset({"comment", "product_click", "cart_add", "form_submit"})
_HEARD = _ACTS | {"person_erase"}
_BOUNDS = [math.isqrt(1_000_000 << octave) for octave in range(60)]  # ms: 1000 · 2^(i/2)
_SHORTEST = bisect_right(_BOUNDS, SHORTEST_MS)
_MARGIN = 1e-6  # of an entropy, for other machines' logarithms

RoomKey = tuple[str, str]


class Finding(Struct, frozen=True):
    """A sign of a viewer who has a lead: seen after the event at ``position`` of its frame (−1: before the first), at engine time ``at``.

    ``told`` says how much of it there is: ``lines`` different ones, ``every_s`` seconds, ``others`` in step or of one
    group.
    """

    position: int
    at: int
    platform: str
    viewer: str
    sign: str
    told: Mapping[str, int]


def finding_of(position: int, grouped: LeadGrouped) -> Finding:
    """Return what the engine has found of a viewer who has a lead, as a sign of theirs."""
    told = {"others": grouped.others}
    return Finding(position, grouped.at, grouped.platform, grouped.viewer, CROWD, told)


class _Viewer:
    """What is known of a viewer in a room."""

    __slots__ = ("found", "last_at", "lines", "moments", "unseen", "waits", "watched")

    def __init__(self) -> None:
        self.lines: list[int] = []
        self.waits: list[int] = []  # half octaves
        self.moments: list[int] = []
        self.last_at = 0
        self.watched = False
        self.unseen = 0  # moments since it was asked who was in step
        self.found: dict[str, dict[str, int]] = {}

    def packed(self) -> list[Any]:
        return [
            self.lines, bytes(self.waits), self.moments, self.last_at, self.watched, self.unseen, self.found
        ]  # fmt: skip

    @classmethod
    def unpacked(cls, body: Sequence[Any]) -> "_Viewer":
        self = cls()
        self.lines, waits, self.moments, self.last_at, self.watched, self.unseen, self.found = body
        self.waits = list(waits)
        return self


class _Room:
    """A room's viewers and moments, in two generations: the younger one first."""

    __slots__ = ("moments", "viewers")

    def __init__(self) -> None:
        self.viewers: tuple[dict[str, _Viewer], dict[str, _Viewer]] = ({}, {})
        self.moments: tuple[dict[int, list[str]], dict[int, list[str]]] = ({}, {})

    def known(self, viewer: str) -> _Viewer | None:
        young, old = self.viewers
        return young.get(viewer) or old.get(viewer)

    def at(self, moment: int) -> Sequence[str]:
        """Return who did something in a moment; nobody where that was too many to mean anything."""
        young, old = self.moments
        there = young.get(moment) or old.get(moment) or ()
        return there if len(there) <= MOST_AT_ONCE else ()


class Conduct:
    """Looks at frames. Not thread-safe: one owner, in the journal's order."""

    def __init__(self) -> None:
        self._rooms: dict[RoomKey, _Room] = {}
        self._viewers = self._moments = 0  # in the younger generations
        self.seq = 0  # of the last frame that was looked at
        self.now = 0  # engine time
        self._found: dict[int, list[Finding]] = {}  # by frame, until they are on the disk
        self._written_seq = self._written_at = 0

    def take(self, seq: int, frame: Frame, leads: Sequence[tuple[int, Lead]]) -> Sequence[Finding]:
        """Look at a durable frame and the leads that it made; return what was found, in order. The same frame again: the same findings."""
        if seq <= self.seq:
            return self._found.get(seq, ())
        self.seq = seq
        if not leads and _HEARD.isdisjoint(frame.kinds):
            self.now = max(self.now, *frame.arrivals()) if len(frame) else self.now
            return ()
        found = self._take(frame, leads)
        if found:
            self._found[seq] = found
        return found

    def _take(self, frame: Frame, leads: Sequence[tuple[int, Lead]]) -> list[Finding]:
        nows = np.maximum.accumulate(np.maximum(np.array(frame.arrivals(), np.int64), self.now)).tolist()
        made: dict[int, list[Lead]] = {}
        for position, lead in leads:
            made.setdefault(position, []).append(lead)
        found: list[Finding] = []
        for lead in made.pop(-1, ()):
            self._look(-1, lead.decided_at, lead, found)
        kinds, viewers, tests, staffs = frame.kinds, frame.viewers, frame.tests, frame.staffs
        sketches = frame.sketches or [NOTHING] * len(frame)
        for position, kind in enumerate(kinds):
            if kind in _HEARD and not tests[position]:
                viewer, now = viewers[position], nows[position]
                if kind == "person_erase":
                    self._forget(frame.take([position]).events()[0].data or {})
                elif viewer is not None and not staffs[position]:
                    key = frame.platforms[position], frame.rooms[position]
                    at = min(frame.ats[position], now)
                    known = self._hear(key, viewer, kind, at, sketches[position])
                    if kind == "form_submit":
                        known.watched = True
                    if known.watched:
                        self._judge(known, position, now, key, viewer, found)
            for lead in made.get(position, ()):
                self._look(position, lead.decided_at, lead, found)
        if nows:
            self.now = nows[-1]
        return found

    def _hear(self, key: RoomKey, viewer: str, kind: str, at: int, sketch: int) -> _Viewer:
        room = self._rooms.get(key)
        if room is None:
            room = self._rooms[key] = _Room()
        young, old = room.viewers
        known = young.get(viewer)
        if known is None:
            known = young[viewer] = old.pop(viewer) if viewer in old else _Viewer()
            self._viewers += 1
        if at > known.last_at:
            if known.last_at:
                known.waits.append(bisect_right(_BOUNDS, at - known.last_at))
                del known.waits[:-INTERVALS]
            known.last_at = at
        if kind == "comment" and sketch != NOTHING:
            known.lines.append(exact_of(sketch))
            del known.lines[:-LINES]
        self._hear_moment(room, known, viewer, at // MOMENT_MS)
        if self._viewers >= GENERATION or self._moments >= MOMENTS_GENERATION:
            self._age()
        return known

    def _hear_moment(self, room: _Room, known: _Viewer, viewer: str, moment: int) -> None:
        if moment in known.moments:
            return
        known.moments.append(moment)
        known.unseen += 1
        del known.moments[:-MOMENTS]
        young, old = room.moments
        there = young.get(moment)
        if there is None:
            there = young[moment] = old.pop(moment) if moment in old else []
            self._moments += len(there)
        if len(there) <= MOST_AT_ONCE:
            there.append(viewer)
            self._moments += 1

    def _look(self, position: int, at: int, lead: Lead, found: list[Finding]) -> None:
        """Look at the viewer of a lead that was made; what was found of them before is told again, since this lead may be another one."""
        key = lead.platform, lead.room
        room = self._rooms.get(key)
        known = None if room is None else room.known(lead.viewer)
        if known is None:
            return  # nothing that counts was done, or long ago
        known.watched = True
        known.unseen = EVERY
        found += [
            Finding(position, at, lead.platform, lead.viewer, sign, told)
            for sign, told in known.found.items()
        ]
        self._judge(known, position, at, key, lead.viewer, found)

    def _judge(
        self, known: _Viewer, position: int, at: int, key: RoomKey, viewer: str, found: list[Finding]
    ) -> None:
        """Add the signs that are new."""
        for sign, told in (
            (ONE_LINE, None if ONE_LINE in known.found else _one_line(known.lines)),
            (CLOCKWORK, None if CLOCKWORK in known.found else _clockwork(known.waits)),
            (IN_STEP, self._in_step(known, key, viewer)),
        ):
            if told is not None:
                known.found[sign] = told
                found.append(Finding(position, at, key[0], viewer, sign, told))

    def _in_step(self, known: _Viewer, key: RoomKey, viewer: str) -> dict[str, int] | None:
        """The dearest sign, by the thousand others of sixteen moments: so it is asked for now and then."""
        if IN_STEP in known.found or known.unseen < EVERY or len(known.moments) < TOGETHER:
            return None
        known.unseen = 0
        return _in_step(self._rooms[key], known, viewer)

    def _age(self) -> None:
        """Forget the older generations where the younger are full."""
        if self._viewers >= GENERATION:
            self._viewers = 0
            for room in self._rooms.values():
                room.viewers = {}, room.viewers[0]
        if self._moments >= MOMENTS_GENERATION:
            self._moments = 0
            for room in self._rooms.values():
                room.moments = {}, room.moments[0]
        for key in [key for key, room in self._rooms.items() if not any((*room.viewers, *room.moments))]:
            del self._rooms[key]

    def _forget(self, data: Mapping[str, Any]) -> None:
        """Forget viewers who were erased; who comes back is somebody new."""
        named = data.get("identities")
        for each in named if isinstance(named, list) else ():
            kind, viewer = (each.get("kind"), each.get("key")) if isinstance(each, dict) else (None, None)
            if not isinstance(kind, str) or not isinstance(viewer, str) or not kind.startswith(VIEWER):
                continue
            for (platform, _), room in self._rooms.items():
                if platform == kind.removeprefix(VIEWER):
                    for viewers in room.viewers:
                        viewers.pop(viewer, None)
                    for moments in room.moments:
                        for there in moments.values():
                            if viewer in there:
                                there.remove(viewer)

    # ------------------------------------------------------------------ writing

    @property
    def due(self) -> bool:
        """Whether it is time to write: the rest would be read from the journal again after a crash."""
        return self.seq - self._written_seq >= UNWRITTEN_FRAMES or self.now - self._written_at >= UNWRITTEN_MS

    def packed(self) -> bytes:
        """Return everything as bytes; :meth:`load` reads it."""
        rooms = [
            [
                [*key],
                [{viewer: known.packed() for viewer, known in part.items()} for part in room.viewers],
                [list(part.items()) for part in room.moments],
            ]
            for key, room in self._rooms.items()
        ]
        return msgspec.msgpack.encode([self.seq, self.now, self._viewers, self._moments, rooms])

    def written(self) -> None:
        """Hear that it is on the disk."""
        self._written_seq, self._written_at = self.seq, self.now

    def settled(self, seq: int) -> None:
        """Hear that what was found until this frame is on the disk, and will not be asked for again."""
        for each in [each for each in self._found if each <= seq]:
            del self._found[each]

    def load(self, packed: bytes | None, seq: int) -> None:
        """Take over what was written, instead of what is here; None: nothing was, and it begins behind frame ``seq``."""
        self._rooms.clear()
        self._found.clear()
        self.seq, self.now, self._viewers, self._moments = seq, 0, 0, 0
        if packed is not None:
            self.seq, self.now, self._viewers, self._moments, rooms = msgspec.msgpack.decode(packed)
            for (platform, name), viewers, moments in rooms:
                room = self._rooms[platform, name] = _Room()
                young, old = (
                    {viewer: _Viewer.unpacked(body) for viewer, body in part.items()} for part in viewers
                )
                room.viewers = young, old
                room.moments = dict(moments[0]), dict(moments[1])
        self._written_seq, self._written_at = self.seq, self.now


def entropy_bits(values: Iterable[int]) -> float:
    """Return the entropy of what values there are, by how often; 0 where all are one."""
    counts = Counter(values).values()
    total = sum(counts)
    return math.log2(total) - sum(count * math.log2(count) for count in counts) / total


def _one_line(lines: Sequence[int]) -> dict[str, int] | None:
    # Five different ones of eight have two bits at least.
    if len(lines) < LINES or len(set(lines)) > 4 or entropy_bits(lines) > LINES_BITS + _MARGIN:
        return None
    return {"lines": len(set(lines))}


def _clockwork(waits: Sequence[int]) -> dict[str, int] | None:
    if len(waits) < INTERVALS or len(set(waits)) > 3:  # four different ones of twelve have 1.2 bits at least
        return None
    median = sorted(waits)[INTERVALS // 2]
    if median < _SHORTEST or entropy_bits(waits) > INTERVALS_BITS + _MARGIN:
        return None
    return {"every_s": _BOUNDS[median - 1] // 1_000}


def _in_step(room: _Room, known: _Viewer, viewer: str) -> dict[str, int] | None:
    common = Counter[str]()
    for moment in known.moments:
        common.update(room.at(moment))
    least = max(TOGETHER, math.ceil(SHARE * len(known.moments)))
    others = 0
    for other, count in common.items():
        theirs = room.known(other) if count >= least and other != viewer else None
        others += theirs is not None and count >= SHARE * len(theirs.moments)
    return {"others": others} if others >= OTHERS else None
