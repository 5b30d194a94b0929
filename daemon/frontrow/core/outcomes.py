"""What is heard of a viewer's success: orders, what was given back, and what sales say. In any order, one truth.

A success counts until its money is given back. Which refund belongs to which success is a function of all that was
heard, never of the order in which it came: a refund that names an order belongs to that order, also where the order
is heard of later; any other takes back the last order before it. A part that is given back lowers a success's value
and lets it stand. Successes that name the same order are one.

This is not where snapshots are: see :mod:`frontrow.core.lessons`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from msgspec import Struct

from frontrow.core.frames import Frame

HEARD_BOUND = (
    256  # successes and refunds of one viewer that are told apart; any further one is counted, and left out
)
VIEWERS_BOUND = (
    262_144  # viewers of whom something was heard; beyond, the one who was heard of longest ago is left out
)
_GIVEN_BACK = frozenset({"order_created", "order_paid"})  # what a refund can be of that names no order


class What(IntEnum):
    """What an event says of a viewer's success."""

    SUCCESS = 0
    REFUND = 1
    DECLINED = 2  # "not interested": none is to be expected; one that comes all the same is a success


class OutcomeRules(Struct, frozen=True, kw_only=True):
    """Which events say what.

    Of viewers, by kind: ``kinds`` succeed (a form only with its sender's consent, a renewal only with ``renewals``),
    ``refunds`` give back. Of people, by the ``outcome`` of a ``lead_outcome``: ``won`` and ``lost``. ``values`` (by
    kind, or by such an outcome) is what a success is worth, in minor units, whose event tells no money.
    """

    kinds: frozenset[str] = frozenset({"order_paid", "form_submit"})
    refunds: frozenset[str] = frozenset({"order_refunded"})
    renewals: bool = False
    won: frozenset[str] = frozenset()
    lost: frozenset[str] = frozenset({"not_interested"})
    values: Mapping[str, int] = {}

    def heard(self, frame: Frame, position: int, at: int) -> "Heard | None":
        """Return what an event of a frame says, ``at`` being when it happened, or None: nothing.

        Who is staff, or whether it is a test, is not looked at.
        """
        kind, seldom = frame.kinds[position], frame.seldom

        def given(name: str) -> Any:
            return seldom.get(name, {}).get(position)

        said: str = given("outcome") if kind == "lead_outcome" else kind
        what = self._what(kind, said, renewal=bool(given("renewal")), consent=bool(given("consent")))
        if what is None:
            return None
        value = frame.values[position]
        if value is None and what is What.SUCCESS:
            value = self.values.get(said)
        of_order = kind in _GIVEN_BACK or kind == "lead_outcome"
        return Heard(what, at, value, given("order"), of_order)

    def _what(self, kind: str, said: str, *, renewal: bool, consent: bool) -> What | None:
        if kind == "lead_outcome":
            return What.SUCCESS if said in self.won else What.DECLINED if said in self.lost else None
        if kind in self.refunds:
            return What.REFUND
        if (
            kind not in self.kinds
            or (renewal and not self.renewals)
            or (kind == "form_submit" and not consent)
        ):
            return None
        return What.SUCCESS


@dataclass(frozen=True, slots=True)
class Heard:
    """One event's word. ``at`` is event time (UTC ms), ``value`` minor units (None: not told; of a refund its sign is nothing).

    ``of_order`` says whether a refund without an order's name can be of it.
    """

    what: What
    at: int
    value: int | None = None
    order: str | None = None
    of_order: bool = True


@dataclass(frozen=True, slots=True)
class Success:
    """A success that was heard of: ``cause`` is its number, ``value`` what is left of its money, ``stands`` False if it was
    given back."""

    at: int
    cause: int
    value: int
    stands: bool


class Ledger:
    """What was heard of every viewer within a time. Bounded; an owner calls it in the order of hearing."""

    def __init__(self, horizon_ms: int) -> None:
        """What was heard longer than ``horizon_ms`` ago may be forgotten."""
        self._horizon_ms = horizon_ms
        # By viewer, the one heard of last at the end; each (heard at, what, at, value, order, of order, cause).
        self._lines: dict[str, list[tuple[int, int, int, int | None, str | None, bool, int]]] = {}
        self._causes = 0
        self.left_out = 0

    @property
    def causes(self) -> int:
        """The number that the next success gets."""
        return self._causes

    def hear(self, viewer: str, heard: Heard, now: int) -> list[Success]:
        """Take note of a success or a refund at engine time ``now``; return :meth:`successes`."""
        lines = self._lines.pop(viewer, [])
        while lines and lines[0][0] < now - self._horizon_ms:
            del lines[0]
        if len(lines) < HEARD_BOUND:
            cause = self._causes
            self._causes += heard.what is What.SUCCESS
            lines.append((now, int(heard.what), heard.at, heard.value, heard.order, heard.of_order, cause))
        else:
            self.left_out += 1
        self._lines[viewer] = lines
        self._forget(now)
        return _matched(lines)

    def image(self) -> dict[str, Any]:
        """Return a copy of everything as JSON values."""
        return {
            "lines": [[viewer, [list(line) for line in lines]] for viewer, lines in self._lines.items()],
            "causes": self._causes,
            "left_out": self.left_out,
        }

    def load(self, image: Mapping[str, Any]) -> None:
        """Take over an image."""
        self._lines = {viewer: [tuple(line) for line in lines] for viewer, lines in image["lines"]}
        self._causes, self.left_out = image["causes"], image["left_out"]

    def _forget(self, now: int) -> None:
        while self._lines:
            viewer = next(iter(self._lines))
            lines = self._lines[viewer]
            crowded = len(self._lines) > VIEWERS_BOUND
            if not crowded and lines[-1][0] >= now - self._horizon_ms:
                break
            self.left_out += crowded
            del self._lines[viewer]


def _matched(lines: Iterable[tuple[int, int, int, int | None, str | None, bool, int]]) -> list[Success]:
    """Return the successes in the order of event time, less what was given back."""
    # By what they say, never by when they were heard; of two that are alike in all it is nothing which one comes first.
    told = sorted(lines, key=lambda line: (line[2], line[4] or "", line[3] or 0, line[5], line[6]))
    successes: dict[Any, list[Any]] = {}  # by order, or by cause: at, cause, value left, of order, stands
    for _, what, at, value, order, of_order, cause in told:
        if what != What.SUCCESS:
            continue
        key = cause if order is None else order
        known = successes.get(key)
        if known is None:
            successes[key] = [at, cause, value or 0, of_order, True]
        else:  # the same sale told twice: by the shop and by sales
            known[1] = min(known[1], cause)
            known[2] = known[2] or value or 0
            known[3] = known[3] or of_order
    for _, what, at, value, order, _, _ in told:
        if what != What.REFUND:
            continue
        if order is not None and order in successes:
            _give_back(successes[order], value)
        elif order is None:
            earlier = [each for each in successes.values() if each[0] <= at and each[3] and each[4]]
            if earlier:
                _give_back(earlier[-1], value)
    return [Success(at, cause, left, stands) for at, cause, left, _, stands in successes.values()]


def _give_back(success: list[Any], value: int | None) -> None:
    left = success[2] - abs(value or 0)
    # Without both amounts it is all of it.
    success[4] = success[4] and bool(value) and left > 0
    success[2] = left if success[4] else 0
