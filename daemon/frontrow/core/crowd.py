"""Who says the same: viewers who write from one script are one group, and share the points of one viewer.

A hired crowd asks and clicks as buyers do, so that no single viewer of it looks odd. What gives it away is that
several viewers say the same *several* things and hardly anything else. One line in common is nothing: everybody asks
what it costs, and where the host says so, all write the same word. So a viewer is judged by partners. A partner is
who has said two lines of the viewer's at least, and for whom such lines are a fair share of all they said. Enough
partners make a group, if they are more than chance gives: the chance that somebody who has said one of these lines
has said nothing much else, where each comment is one of them as often as in the whole broadcast.

Nothing here looks for who a group is: a viewer is judged when it matters, which is when they would turn hot, and
again now and then while they write. Lines are known by their sketches (:mod:`frontrow.core.sketches`), viewers by
their ids. Time is the engine's: what was said until the last mark counts.

Memory is bounded: of viewers and of lines the latest are known, in two generations. As the younger one is full, the
older is forgotten. Rejected: pairs of lines that occur together more often than chance gives, whoever says them (six
times the false alarms for the same crowd, since whoever talks much has every pair); lines by resemblance alone
without an exact half.
"""

from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from math import ceil, comb
from typing import Annotated, Any

from msgspec import Meta, Struct

from frontrow.core import kernel
from frontrow.core.sketches import BITS, NEAR, exact_of, near_of

LINES = 8  # of a viewer, the latest
SPEAKERS = 64  # of a line, the latest
GENERATION = 32_768  # viewers, or lines, of all broadcasts together, until the older generation is forgotten
LEAVES = 0.5  # of the share of common lines that makes a group: below it a viewer leaves
LIKELIEST = (
    256  # comments; of who has made more, chance gives what it gives of these: the numbers stay finite
)
OFTEN = 0.1  # the most that a viewer's lines count as of all comments, else a large crowd would hide itself


class CrowdRules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What makes a group, and what it may have.

    ``partners`` are the others whom it takes; 0: nobody is grouped. ``share`` of what each says must be lines that
    they have in common. ``above_chance``: so many times as many as chance gives. ``budget``: the points of a whole
    group, which its viewers share evenly; two viewers of 80 points need 160.
    """

    partners: Annotated[int, Meta(ge=0, le=1_000)] = 3
    share: Annotated[float, Meta(ge=0.2, le=1.0)] = 0.5
    above_chance: Annotated[float, Meta(ge=1.0, le=100.0)] = 3.0
    budget: Annotated[int, Meta(ge=0, le=100_000)] = 100


class _Talk:
    """What was said in one broadcast, in two generations: the younger one first."""

    __slots__ = ("lines", "near", "said", "viewers")

    def __init__(self) -> None:
        self.said = 0
        # By viewer, lines with how often, the line that was first said first.
        self.viewers: tuple[dict[str, dict[int, int]], dict[str, dict[int, int]]] = ({}, {})
        # By line (an exact half), how often it was said and then its latest speakers, each once. One list: most lines
        # have one.
        self.lines: tuple[dict[int, list[Any]], dict[int, list[Any]]] = ({}, {})
        self.near: tuple[dict[int, int], dict[int, int]] = ({}, {})  # by near half, lines

    def line_of(self, sketch: int) -> int:
        """Return the line of a sketch: its exact half, or that of the first line that was nearly the same."""
        exact, near = exact_of(sketch), near_of(sketch)
        young, old = self.lines
        if exact in young or exact in old:
            return exact
        line = self.near[0].get(near)
        return self.near[1].get(near, exact) if line is None else line

    def hear(self, viewer: str, sketch: int) -> int:
        """Take a comment; return how many viewers and lines are new in the younger generation."""
        line = sketch >> BITS  # as line_of() does, without its calls: this is done for every comment
        young, old = self.lines
        known = young.get(line)
        new = 0
        if known is None:
            new = 1
            known = old.pop(line, None)
            if known is None:
                near = sketch & NEAR
                young_near, old_near = self.near
                like = young_near.get(near)
                if like is None:
                    like = young_near[near] = old_near.get(near, line)
                if like != line:
                    line = like
                    known = young.get(line) or old.pop(line, None)
                    new = line not in young
            young[line] = known = known or [0]
        known[0] += 1
        self.said += 1
        viewers, before = self.viewers
        own = viewers.get(viewer)
        if own is None:
            new += 1
            own = viewers[viewer] = before.pop(viewer) if viewer in before else {}
        if line in own:
            own[line] += 1
            return new
        own[line] = 1
        if len(own) > LINES:
            del own[next(iter(own))]
        known.append(viewer)
        if len(known) > SPEAKERS + 1:
            del known[1]
        return new

    def age(self) -> None:
        """Forget the older generation, and let the younger one be the older."""
        self.viewers = {}, self.viewers[0]
        self.lines = {}, self.lines[0]
        self.near = {}, self.near[0]
        self.said = sum(known[0] for known in self.lines[1].values())


class _Talks:
    """What was said in all broadcasts, by their numbers. The kernel has a ``Talks`` of its own; this one says what it is to do."""

    def __init__(self, share: float, ways: Sequence[float]) -> None:
        self._share = share
        self._ways = ways  # by how often somebody has said anything
        self._talks: dict[int, _Talk] = {}
        self._young = 0  # viewers and lines of the younger generations

    def hear(self, sessions: Sequence[int], viewers: Sequence[str], sketches: Sequence[int]) -> None:
        talks = self._talks
        for session, viewer, sketch in zip(sessions, viewers, sketches, strict=True):
            talk = talks.get(session)
            if talk is None:
                talk = talks[session] = _Talk()
            self._young += talk.hear(viewer, sketch)
        if self._young >= GENERATION:
            self._age()

    def _age(self) -> None:
        self._young = 0
        for session, talk in list(self._talks.items()):
            talk.age()
            if not (talk.viewers[1] or talk.lines[1]):
                del self._talks[session]

    def partners_of(
        self,
        session: int,
        viewer: str,
        just_said: Sequence[int],
        least: int,
        above: float,
        share: float,
        most_often: float,
    ) -> int:
        """Return how many partners a viewer has; 0 if fewer than ``least``, or than ``above`` times what chance gives, or if what
        they have in common is less than ``share`` of what the viewer says."""
        talk = self._talks.get(session)
        if talk is None:
            return 0
        own = dict(talk.viewers[0].get(viewer) or talk.viewers[1].get(viewer) or {})
        for sketch in just_said:
            line = talk.line_of(sketch)
            own[line] = own.get(line, 0) + 1
            if len(own) > LINES:
                del own[next(iter(own))]
        found = {line: talk.lines[0].get(line) or talk.lines[1].get(line) for line in own}
        # Only what many say can be a group's; where that is not two lines, there is nothing to look at.
        lines = {line: known for line, known in found.items() if known is not None and len(known) > least}
        if len(lines) < 2:
            return 0
        often = min(most_often, sum(known[0] for known in lines.values()) / max(1, talk.said))
        partners, by_chance, shared = self._partners(talk, own, viewer, list(lines.values()), often)
        if partners < least or partners < above * by_chance:
            return 0
        # A line that one partner alone has in common says nothing of the group.
        script = [line for line, times in shared.items() if 2 * times >= least]
        if len(script) < 2 or sum(own[line] for line in script) < share * sum(own.values()):
            return 0
        return partners

    def _partners(
        self, talk: _Talk, own: dict[int, int], viewer: str, popular: list[list[Any]], often: float
    ) -> tuple[int, float, dict[int, int]]:
        """Return how many partners a viewer has among the speakers of popular lines, how many chance would give, and for each
        of the viewer's own lines how many of the partners have said it."""
        chances: list[float | None] = [None] * len(self._ways)
        partners, by_chance = 0, 0.0
        shared = dict.fromkeys(own, 0)
        for other in dict.fromkeys(chain.from_iterable(known[1:] for known in popular)):
            said = talk.viewers[0].get(other) or talk.viewers[1].get(other)
            if other == viewer or said is None:
                continue
            count = sum(said.values())
            needed = _needed(self._share, count)
            if count >= needed:
                place = min(count, len(chances) - 1)
                its = chances[place]
                if its is None:
                    exponent = _needed(self._share, place) - 1
                    its = chances[place] = min(1.0, self._ways[place] * often**exponent)
                by_chance += its
            common = [line for line in said if line in own]
            if len(common) > 1 and sum(said[line] for line in common) >= needed:
                partners += 1
                for line in common:
                    shared[line] += 1
        return partners, by_chance, shared

    def forget(self, sessions: Iterable[int]) -> None:
        for session in sessions:
            talk = self._talks.pop(session, None)
            if talk is not None:
                self._young -= len(talk.viewers[0]) + len(talk.lines[0])

    def state(self) -> tuple[int, list[Any]]:
        """Return how much is young, and what :meth:`Crowd.state` says of each broadcast, the first one first."""
        talks = [
            [
                session,
                talk.said,
                [[*_flat(part), _chained(own.values() for own in part.values())] for part in talk.viewers],
                [_flat(part) for part in talk.lines],
                [[list(part), list(part.values())] for part in talk.near],
            ]
            for session, talk in self._talks.items()
        ]
        return self._young, talks

    def load(self, young: int, talks: list[Any]) -> None:
        self._young = young
        for session, said, viewers, lines, near in talks:
            talk = self._talks[session] = _Talk()
            talk.said = said
            of_young, of_old = (_owned(*part) for part in viewers)
            talk.viewers = of_young, of_old
            young_lines, old_lines = (dict(zip(part[0], _cut(*part[1:]), strict=True)) for part in lines)
            talk.lines = young_lines, old_lines
            young_near, old_near = (dict(zip(*part, strict=True)) for part in near)
            talk.near = young_near, old_near


class Crowd:
    """Who says the same, in all broadcasts. Owned by one engine, told at marks in the order of events."""

    def __init__(self, rules: CrowdRules) -> None:
        self.rules = rules
        self._kernel = kernel.compiled
        self._talks = self._made()

    def _made(self) -> Any:
        share = self.rules.share
        ways = array("d", (_ways(share, count) for count in range(LIKELIEST + 1)))
        if self._kernel is None:
            return _Talks(share, ways)
        return self._kernel.Talks((BITS, LINES, SPEAKERS, GENERATION), share, ways)

    def hear(self, sessions: Sequence[int], viewers: Sequence[str], sketches: Sequence[int]) -> None:
        """Take comments: who has said what, in which broadcast, in order; none of them is :data:`~frontrow.core.sketches.NOTHING`.

        The three are of one length, broadcasts' numbers not negative. Where the kernel finds something else it raises
        and hears nothing. Generations pass between two calls, so what is told together must be the same however
        events come.
        """
        self._talks.hear(list(sessions), list(viewers), list(sketches))

    def partners_of(
        self, session: int, viewer: str, just_said: Sequence[int] = (), *, grouped: bool = False
    ) -> int:
        """Return how many others say the same as a viewer of a broadcast; 0 if too few for a group.

        ``just_said`` are sketches of what the viewer has said since what was heard. Whoever is ``grouped`` already
        leaves the group only when they say clearly less of the same.
        """
        rules = self.rules
        if not rules.partners:
            return 0
        above, share = (1.0, LEAVES * rules.share) if grouped else (rules.above_chance, rules.share)
        found: int = self._talks.partners_of(
            session, viewer, list(just_said), rules.partners, above, share, OFTEN
        )
        return found

    def forget(self, sessions: Iterable[int]) -> None:
        """Forget broadcasts that are over."""
        self._talks.forget(list(sessions))

    def state(self) -> dict[str, Any]:
        """Return the state as JSON values; flat, since it is copied while events wait.

        Of each broadcast, the first one first: its number, how many comments of it are remembered, and each of the
        younger and the older generation: of viewers their names, how many lines each has, all these lines, and how
        often each was said; of lines the lines, and of each one more than its speakers, which are in one list with
        how often the line was said before them; the near halves, and the line of each.
        """
        young, talks = self._talks.state()
        return {"young": young, "talks": talks}

    def load(self, state: dict[str, Any]) -> None:
        """Take over a state. What raises changes nothing."""
        talks = self._made()
        talks.load(state["young"], state["talks"])
        self._talks = talks


def _needed(share: float, count: int) -> int:
    """Return how many of so many comments must be of lines in common."""
    return max(2, ceil(share * count))


def _ways(share: float, count: int) -> float:
    """Return in how many ways as many as are needed of so many comments can be the same, one of them being so already."""
    return float(comb(count - 1, _needed(share, count) - 1)) if count > 1 else 0.0


def _flat(parts: Mapping[Any, Collection[Any]]) -> list[list[Any]]:
    """Return the keys, how many values each has, and the values of all."""
    return [list(parts), list(map(len, parts.values())), _chained(parts.values())]


def _chained(parts: Iterable[Iterable[Any]]) -> list[Any]:
    return list(chain.from_iterable(parts))


def _cut(sizes: Sequence[int], values: Sequence[Any]) -> Iterator[list[Any]]:
    rest = iter(values)
    return (list(islice(rest, size)) for size in sizes)


def _owned(
    viewers: Sequence[str], sizes: Sequence[int], lines: Sequence[int], times: Sequence[int]
) -> dict[str, dict[int, int]]:
    pairs = zip(_cut(sizes, lines), _cut(sizes, times), strict=True)
    return {
        viewer: dict(zip(said, often, strict=True))
        for viewer, (said, often) in zip(viewers, pairs, strict=True)
    }
