"""A promotion as an event: which version of the model leads from here on, and which one it replaces.

The journal is the only place where that is decided, so a replay changes models where the stream did. What replay needs
(the two versions, each the SHA-256 of its content, and whether it is a rollback) lies in fields that are kept as facts; who asked for it and why are
for people to read, lie among the personal fields, and may be destroyed without changing a result. The content itself
is in the registry (:mod:`frontrow_models.registry`), which never forgets a version that was promoted.

:class:`Succession` is what the engine keeps of them. Nothing here looks at a registry, or touches a model.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from frontrow.core.contact import redact_text
from frontrow.core.errors import FrontrowError
from frontrow.core.events import MAX_NAME, MAX_TEXT, Event
from frontrow.core.frames import Frame

# Where promotions happen. No feed can write there: an event that names another room than its feed's is rejected.
PLATFORM, ROOM, KIND = "frontrow", "models", "model_change"

# What a promotion was asked for as: its event's ``outcome``, a fact. Those of before say neither.
_STEPS = {"promotion": False, "rollback": True}

MAX_REASON = 500  # characters of why, as a person gives it

_ID = re.compile(r"promotion-([1-9][0-9]{0,8})")
_VERSION = re.compile(r"[0-9a-f]{64}")
_TOKEN = re.compile(r"token [0-9a-f]{12}")  # as the API says who asked, where nobody is named


@dataclass(frozen=True, slots=True)
class Promotion:
    """One promotion. ``number`` counts from 1 in each journal; ``at`` is UTC milliseconds of engine time.

    ``replaces`` is what led before, as it was then; None: a model that was never made a version. ``by`` and ``reason``
    are empty where nobody said or where they were destroyed. ``back`` says that it is a rollback, to what led before;
    None: it is of a journal that did not tell.
    """

    number: int
    version: str
    replaces: str | None
    by: str
    reason: str
    at: int
    back: bool | None = None


class PromotionRefused(FrontrowError):
    """There is nothing to promote or to roll back to, or not now; the message says why.

    ``retry_after_s``: it may be asked for again after so many seconds; None: not as it is.
    """

    def __init__(self, reason: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class Succession:
    """The promotions of a journal so far, in order, and which of them the next mark is to obey."""

    def __init__(self) -> None:
        self.made: list[Promotion] = []
        self._obeyed = 0

    @property
    def waiting(self) -> Sequence[Promotion]:
        """Those that were heard of and not yet obeyed, oldest first."""
        return self.made[self._obeyed :]

    def hear(self, promotions: Iterable[Promotion]) -> None:
        """Take note of promotions as their events come."""
        self.made += promotions

    def obeyed(self) -> None:
        """Take note that all that were waiting lead, or have led."""
        self._obeyed = len(self.made)

    def state(self) -> dict[str, Any]:
        """Return the state as JSON values; :meth:`load` takes it over."""
        return {"made": [asdict(promotion) for promotion in self.made], "obeyed": self._obeyed}

    def load(self, state: dict[str, Any]) -> None:
        """Take over a state."""
        self.made = [Promotion(**promotion) for promotion in state["made"]]
        self._obeyed = state["obeyed"]


def promotion_event(
    *, number: int, version: str, replaces: str | None, by: str, reason: str, at: int, back: bool = False
) -> Event:
    """Return the event that makes a version lead, ``back`` where it is what led before; numbers and addresses in ``by`` and ``reason`` are masked, a token's id is not.

    ``number`` is that of the promotion before, plus 1. It is in the event's id, so of two people who promote at once,
    knowing of the same promotions, one is told that his event is a duplicate.

    Raises:
        ValueError: A version is not 64 hexadecimal digits, or the number is not positive.
    """
    event = Event(
        id=f"promotion-{number}",
        platform=PLATFORM,
        room=ROOM,
        kind=KIND,
        at=at,
        seen_at=at,
        name=(by if is_token(by) else redact_text(by))[:MAX_NAME],
        note=redact_text(reason)[:MAX_TEXT],
        outcome="rollback" if back else "promotion",
        model=version,
        replaces=replaces,
    )
    if promotions_of(Frame.of([event], [0])) == []:
        raise ValueError(f"not a promotion: number {number}, version {version!r}, replaces {replaces!r}")
    return event


def promotions_of(frame: Frame) -> Sequence[tuple[int, Promotion]]:
    """Return the promotions in a frame, each with its position; events that only look like one are passed over."""
    if KIND not in frame.kinds:
        return []
    named = ("model", "replaces", "note", "outcome")
    models, former, notes, steps = (frame.seldom.get(name, {}) for name in named)
    found: list[tuple[int, Promotion]] = []
    for position, kind in enumerate(frame.kinds):
        if kind != KIND or (frame.platforms[position], frame.rooms[position]) != (PLATFORM, ROOM):
            continue
        number = _ID.fullmatch(frame.ids[position])
        version, replaces = models.get(position), former.get(position)
        if number is None or not is_version(version) or not (replaces is None or is_version(replaces)):
            continue
        assert version is not None
        found.append((
            position,
            Promotion(
                number=int(number[1]),
                version=version,
                replaces=replaces,
                by=frame.names[position] or "",
                reason=notes.get(position) or "",
                at=frame.arrivals()[position],
                back=_STEPS.get(steps.get(position, "")),
            ),
        ))  # fmt: skip
    return found


def is_token(by: str) -> bool:
    """Return whether this names a token by its id, whose hexadecimal digits may look like a number's."""
    return _TOKEN.fullmatch(by) is not None


def is_version(name: object) -> bool:
    """Return whether this can be a version's name: the 64 hexadecimal digits of a SHA-256, small letters."""
    return isinstance(name, str) and _VERSION.fullmatch(name) is not None
