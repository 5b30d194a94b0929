"""Who says the same: viewers who write from one script are one group, and share the points of one viewer.

A hired crowd asks and clicks as buyers do, so that no single viewer of it looks odd. What gives it away is that several viewers
say the same *several* things and hardly anything else. One line in common is nothing: everybody asks what it costs, and
where the host says so, all write the same word. So a viewer is judged by partners. A partner is who has said two lines of
the viewer's at least, and for whom such lines are a fair share of all they said. Enough partners make a group, if they are
more than chance gives: the chance that somebody who has said one of these lines has said nothing much else, where each
comment is one of them as often as in the whole broadcast.

Nothing here looks for who a group is: a viewer is judged when it matters, which is when they would turn hot, and again now and then
while they write. Lines are known by their sketches (:mod:`frontrow.core.sketches`), viewers by their ids. Time is the engine's:
what was said until the last mark counts.

Memory is bounded: of viewers and of lines the latest are known, in two generations. As the younger one is full, the older is
forgotten. Rejected: pairs of lines that occur together more often than chance gives, whoever says them (six times the false
alarms for the same crowd, since whoever talks much has every pair); lines by resemblance alone without an exact half.
"""

from collections.abc import Iterable, Sequence
from math import ceil, comb
from typing import Annotated, Any

from msgspec import Meta, Struct

from frontrow.core.sketches import exact_of, near_of

LINES = 8  # of a viewer, the latest
SPEAKERS = 64  # of a line, the latest
GENERATION = 32_768  # viewers, or lines, of all broadcasts together, until the older generation is forgotten
LEAVES = 0.5  # of the share of common lines that makes a group: below it a viewer leaves
OFTEN = 0.1  # the most that a viewer's lines count as of all comments, else a large crowd would hide itself


class CrowdRules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What makes a group, and what it may have.

    ``partners`` are the others whom it takes; 0: nobody is grouped. ``share`` of what each says must be lines that they have in
    common. ``above_chance``: so many times as many as chance gives. ``budget``: the points of a whole group, which its viewers
    share evenly; two viewers of 80 points need 160.
    """

    partners: Annotated[int, Meta(ge=0, le=1_000)] = 3
    share: Annotated[float, Meta(ge=0.2, le=1.0)] = 0.5
    above_chance: Annotated[float, Meta(ge=1.0, le=100.0)] = 3.0
    budget: Annotated[int, Meta(ge=0, le=100_000)] = 100


class _Line:
    __slots__ = ("said", "speakers")

    def __init__(self, said: int, speakers: list[str]) -> None:
        self.said = said  # how often
        self.speakers = speakers  # the latest, each once


class _Talk:
    """What was said in one broadcast, in two generations."""

    __slots__ = ("lines", "near", "said", "viewers")

    def __init__(self) -> None:
        self.said = 0
        # By viewer, lines with how often, the line that was first said first. By exact half, lines; by near half, exact ones.
        self.viewers: tuple[dict[str, dict[int, int]], dict[str, dict[int, int]]] = ({}, {})
        self.lines: tuple[dict[int, _Line], dict[int, _Line]] = ({}, {})
        self.near: tuple[dict[int, int], dict[int, int]] = ({}, {})

    def line_of(self, sketch: int) -> int:
        """Return the line of a sketch: its exact half, or that of the first line that was nearly the same."""
        exact, near = exact_of(sketch), near_of(sketch)
        young, old = self.lines
        if exact in young or exact in old:
            return exact
        young_near, old_near = self.near
        line = young_near.get(near)
        return old_near.get(near, exact) if line is None else line

    def age(self) -> None:
        """Forget the older generation, and let the younger one be the older."""
        self.viewers = {}, self.viewers[0]
        self.lines = {}, self.lines[0]
        self.near = {}, self.near[0]
        self.said = sum(line.said for line in self.lines[1].values())


class Crowd:
    """What was said in all broadcasts, by their numbers. Owned by one engine, told at marks in the order of events."""

    def __init__(self, rules: CrowdRules) -> None:
        self.rules = rules
        self._talks: dict[int, _Talk] = {}
        self._young = 0  # viewers and lines of the younger generations

    def hear(self, sessions: Sequence[int], viewers: Sequence[str], sketches: Sequence[int]) -> None:
        """Take comments: who has said what, in which broadcast, in order; none of them is :data:`~frontrow.core.sketches.NOTHING`."""
        talks = self._talks
        for session, viewer, sketch in zip(sessions, viewers, sketches, strict=True):
            talk = talks.get(session)
            if talk is None:
                talk = talks[session] = _Talk()
            self._hear(talk, viewer, sketch)
            if self._young >= GENERATION:
                self._age()

    def _hear(self, talk: _Talk, viewer: str, sketch: int) -> None:
        line = talk.line_of(sketch)
        talk.near[0].setdefault(near_of(sketch), line)
        young, old = talk.lines
        known = young.get(line)
        if known is None:
            known = young[line] = old.pop(line) if line in old else _Line(0, [])
            self._young += 1
        known.said += 1
        talk.said += 1
        viewers, before = talk.viewers
        own = viewers.get(viewer)
        if own is None:
            own = viewers[viewer] = before.pop(viewer) if viewer in before else {}
            self._young += 1
        if _add(own, line):
            speakers = known.speakers
            speakers.append(viewer)
            if len(speakers) > SPEAKERS:
                del speakers[0]

    def _age(self) -> None:
        self._young = 0
        for session, talk in list(self._talks.items()):
            talk.age()
            if not (talk.viewers[1] or talk.lines[1]):
                del self._talks[session]

    def partners_of(
        self, session: int, viewer: str, just_said: Sequence[int] = (), *, grouped: bool = False
    ) -> int:
        """Return how many others say the same as a viewer of a broadcast; 0 if too few for a group.

        ``just_said`` are sketches of what the viewer has said since what was heard. Whoever is ``grouped`` already leaves the group
        only when they say clearly less of the same.
        """
        rules, talk = self.rules, self._talks.get(session)
        if talk is None or not rules.partners:
            return 0
        own = dict(talk.viewers[0].get(viewer) or talk.viewers[1].get(viewer) or {})
        for sketch in just_said:
            _add(own, talk.line_of(sketch))
        if len(own) < 2:
            return 0
        lines = {line: known for line in own if (known := talk.lines[0].get(line) or talk.lines[1].get(line))}
        often = min(OFTEN, sum(known.said for known in lines.values()) / max(1, talk.said))
        partners, by_chance = 0, 0.0
        shared = dict.fromkeys(own, 0)
        for other in dict.fromkeys(other for known in lines.values() for other in known.speakers):
            said = talk.viewers[0].get(other) or talk.viewers[1].get(other)
            if other == viewer or said is None:
                continue
            count = sum(said.values())
            needed = max(2, ceil(rules.share * count))
            if count >= needed:
                by_chance += min(1.0, comb(count - 1, needed - 1) * often ** (needed - 1))
            common = [line for line in said if line in own]
            if len(common) > 1 and sum(said[line] for line in common) >= needed:
                partners += 1
                for line in common:
                    shared[line] += 1
        above, share = (1.0, LEAVES * rules.share) if grouped else (rules.above_chance, rules.share)
        if partners < rules.partners or partners < above * by_chance:
            return 0
        # A line that one partner alone has in common says nothing of the group.
        script = [line for line, times in shared.items() if 2 * times >= rules.partners]
        if len(script) < 2 or sum(own[line] for line in script) < share * sum(own.values()):
            return 0
        return partners

    def forget(self, sessions: Iterable[int]) -> None:
        """Forget broadcasts that are over."""
        for session in sessions:
            talk = self._talks.pop(session, None)
            if talk is not None:
                self._young -= len(talk.viewers[0]) + len(talk.lines[0])

    def state(self) -> dict[str, Any]:
        """Return the state as JSON values."""
        return {
            "young": self._young,
            "talks": [
                [
                    session,
                    talk.said,
                    [[[viewer, list(own.items())] for viewer, own in part.items()] for part in talk.viewers],
                    [
                        [[line, known.said, known.speakers] for line, known in part.items()]
                        for part in talk.lines
                    ],
                    [list(part.items()) for part in talk.near],
                ]
                for session, talk in self._talks.items()
            ],
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take over a state."""
        self._young = state["young"]
        self._talks = {}
        for session, said, viewers, lines, near in state["talks"]:
            talk = self._talks[session] = _Talk()
            talk.said = said
            talk.viewers = tuple({viewer: dict(own) for viewer, own in part} for part in viewers)  # type: ignore[assignment]
            talk.lines = tuple(
                {line: _Line(times, list(them)) for line, times, them in part} for part in lines
            )  # type: ignore[assignment]
            talk.near = tuple(dict(part) for part in near)  # type: ignore[assignment]


def _add(own: dict[int, int], line: int) -> bool:
    """Count a line among a viewer's; return whether it is a new one."""
    if line in own:
        own[line] += 1
        return False
    own[line] = 1
    if len(own) > LINES:
        del own[next(iter(own))]
    return True
