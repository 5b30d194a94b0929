"""Channels: where leads come from, as the company registers and opens them. Pure; the registry is data.

A channel goes from draft through testing to live; what comes while it is tested is test data (stored, counted, never
scored and never told to sales), and what comes while it is not open is refused with a reason. Which channel an event
belongs to is said by the event itself (``extra.channel``), else by its form, else by the feed that brought it, else
by its room.
"""

import enum
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeGuard

import msgspec
from msgspec import Meta, Struct

from frontrow.core.errors import EventInvalid
from frontrow.core.events import VIEWER_KINDS, Batch, Event, Rejected

_CODE = re.compile(r"[a-z0-9]+(?:[-_][a-z0-9]+)*")
MAX_CODE = 64

Code = Annotated[
    str,
    Meta(
        pattern=r"\A[a-z0-9]+(?:[-_][a-z0-9]+)*\Z",
        max_length=MAX_CODE,
        description="lower-case letters and digits in groups parted by single - or _, as in douyin-main",
        extra={"secret": False},  # unlike most options that are called codes
    ),
]
Name = Annotated[str, Meta(max_length=128)]


class ChannelState(enum.StrEnum):
    """How far a channel is."""

    DRAFT = "draft"  # written down, not open yet
    TESTING = "testing"  # what comes is test data
    LIVE = "live"
    PAUSED = "paused"  # closed for now
    RETIRED = "retired"  # closed for good; its code is not used again


NEXT: Mapping[ChannelState, frozenset[ChannelState]] = {
    ChannelState.DRAFT: frozenset({ChannelState.TESTING, ChannelState.RETIRED}),
    ChannelState.TESTING: frozenset({ChannelState.DRAFT, ChannelState.LIVE, ChannelState.RETIRED}),
    ChannelState.LIVE: frozenset({ChannelState.PAUSED, ChannelState.RETIRED}),
    ChannelState.PAUSED: frozenset({ChannelState.TESTING, ChannelState.LIVE, ChannelState.RETIRED}),
    ChannelState.RETIRED: frozenset(),
}
"""What may follow each state. Nothing goes live that was not tested."""

_CLOSED: Mapping[ChannelState, str] = {
    ChannelState.DRAFT: "of a channel that is not open yet",
    ChannelState.PAUSED: "of a channel that is paused",
    ChannelState.RETIRED: "of a channel that is retired",
}


class Channel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One channel. ``code`` stands in events and never changes; ``kind`` is the company's own word for what it is.

    ``rooms``, ``forms`` and ``feeds`` are the ids of those whose events it is said to be, where an event does not say
    it itself.
    """

    code: Code
    name: Name = ""
    kind: Annotated[str, Meta(max_length=64)] = ""
    state: ChannelState = ChannelState.DRAFT
    rooms: tuple[str, ...] = ()
    forms: tuple[str, ...] = ()
    feeds: tuple[str, ...] = ()


class ChannelChange(Struct, frozen=True, kw_only=True):
    """What the ``data`` of a ``channel_change`` holds."""

    channel: Code
    state: ChannelState
    by: Annotated[str, Meta(max_length=256)] = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a channel cannot do what was asked; ``reason`` in words."""

    reason: str


class Channels:
    """Every channel of a company. Immutable."""

    def __init__(
        self, channels: Iterable[Channel], *, rooms: Mapping[tuple[str, str], str] | None = None
    ) -> None:
        """``rooms`` are the ids of the configured rooms by (platform, room). Of a clash, the first counts
        (:func:`clashes` names it)."""
        self._rooms = dict(rooms or {})
        self._of_code: dict[str, Channel] = {}
        for channel in channels:
            self._of_code.setdefault(channel.code, channel)
        self._of_form = self._claims("forms")
        self._of_feed = self._claims("feeds")
        self._of_room = self._claims("rooms")
        # Most events are of open channels and say none: they are passed on at a glance, 0.3 µs each.
        closed = {channel.code for channel in self if channel.state is not ChannelState.LIVE}
        self._all_live = not closed
        self._strict_feeds = {name for name, channel in self._of_feed.items() if channel.code in closed}
        self._strict_rooms = {
            key
            for key, room in self._rooms.items()
            if room in self._of_room and self._of_room[room].code in closed
        }

    def __iter__(self) -> Iterator[Channel]:
        return iter(self._of_code.values())

    def __len__(self) -> int:
        return len(self._of_code)

    def get(self, code: str) -> Channel | None:
        """Return the channel of a code, or None."""
        return self._of_code.get(code)

    def channel_of(self, event: Event, feed: str = "") -> Channel | None:
        """Return an event's channel, or None: no channel, or a code that nobody registered. ``feed`` brought it."""
        said = code_of(event)
        if said is not None and said in self._of_code:
            return self._of_code[said]
        if event.form is not None and event.form in self._of_form:
            return self._of_form[event.form]
        if feed in self._of_feed:
            return self._of_feed[feed]
        return self._of_room.get(self._rooms.get((event.platform, event.room), ""))

    def admit(self, event: Event, feed: str = "") -> Event | Refusal:
        """Return the event as it is to be taken, or why it is not.

        Only viewers' events are held to the state of their channel: a CRM may tell of a lead long after its channel
        is closed. A form that is taken says its channel from here on.
        """
        if event.kind != "form_submit" and (self._all_live or self._plain(event, feed)):
            return event
        if event.kind not in VIEWER_KINDS:
            return event
        channel = self.channel_of(event, feed)
        if channel is None:
            return event
        if channel.state in _CLOSED:
            return Refusal(_CLOSED[channel.state])
        if channel.state is ChannelState.TESTING and not event.test:
            event = msgspec.structs.replace(event, test=True)
        if event.kind == "form_submit" and code_of(event) != channel.code:
            event = msgspec.structs.replace(event, extra={**(event.extra or {}), "channel": channel.code})
        return event

    def admit_batch(self, batch: Batch, feed: str = "") -> Batch:
        """Return a batch with the events that are not taken moved to ``rejected``, positions kept."""
        taken: list[Event] = []
        refused: list[tuple[int, str]] = []
        for index, event in enumerate(batch.events):
            admitted = self.admit(event, feed)
            if isinstance(admitted, Refusal):
                refused.append((index, admitted.reason))
            else:
                taken.append(admitted)
        if not refused:
            return Batch(taken, batch.rejected)
        gone = {rejected.index for rejected in batch.rejected}
        places = [place for place in range(len(batch.events) + len(gone)) if place not in gone]
        rejected = [*batch.rejected, *(Rejected(places[index], reason) for index, reason in refused)]
        return Batch(taken, sorted(rejected, key=lambda each: each.index))

    def changed(self, change: ChannelChange) -> "Channels | Refusal":
        """Return the channels after a change of state, or why it cannot be. The state that it has already changes nothing."""
        channel = self._of_code.get(change.channel)
        if channel is None:
            return Refusal(f"there is no channel {change.channel}")
        if channel.state is change.state:
            return self
        if change.state not in NEXT[channel.state]:
            may = ", ".join(state for state in ChannelState if state in NEXT[channel.state]) or "nothing"
            return Refusal(f"a channel that is {channel.state} may become {may}, not {change.state}")
        of_code = self._of_code | {channel.code: msgspec.structs.replace(channel, state=change.state)}
        return Channels(of_code.values(), rooms=self._rooms)

    def _plain(self, event: Event, feed: str) -> bool:
        """Return whether nothing about an event points to a channel that is not live."""
        return (
            feed not in self._strict_feeds
            and (event.platform, event.room) not in self._strict_rooms
            and event.form is None
            and (event.extra is None or "channel" not in event.extra)
        )

    def _claims(self, what: str) -> dict[str, Channel]:
        claimed: dict[str, Channel] = {}
        for channel in self:
            for name in getattr(channel, what):
                # A retired channel gives way to who took over from it, and holds what nobody took.
                held = claimed.get(name)
                if held is None or (
                    held.state is ChannelState.RETIRED and channel.state is not ChannelState.RETIRED
                ):
                    claimed[name] = channel
        return claimed


def code_of(event: Event) -> str | None:
    """Return the channel's code that an event says itself, or None if it says none that is one."""
    said = None if event.extra is None else event.extra.get("channel")
    return said if is_code(said) else None


def is_code(value: Any) -> TypeGuard[str]:
    """Return whether a value has the form of a channel's code."""
    return isinstance(value, str) and len(value) <= MAX_CODE and _CODE.fullmatch(value) is not None


def clashes(channels: Sequence[Channel]) -> list[tuple[int, str, str]]:
    """Return what two channels cannot both be: (position of the second, key, reason), in the order of the channels."""
    found: list[tuple[int, str, str]] = []
    codes: dict[str, int] = {}
    claims: dict[tuple[str, str], str] = {}
    for position, channel in enumerate(channels):
        if channel.code in codes:
            found.append((position, "code", f'"{channel.code}" is the code of another channel already'))
        codes.setdefault(channel.code, position)
        if channel.state is ChannelState.RETIRED:
            continue
        for what in ("rooms", "forms", "feeds"):
            for name in getattr(channel, what):
                other = claims.setdefault((what, name), channel.code)
                if other != channel.code:
                    found.append(
                        (position, what, f'the {what[:-1]} "{name}" belongs to the channel "{other}" already')
                    )
    return found


def read_change(event: Event) -> ChannelChange:
    """Return what a ``channel_change`` says.

    Raises:
        EventInvalid: It says no channel or no state.
    """
    try:
        return msgspec.convert(event.data or {}, ChannelChange)
    except msgspec.ValidationError as error:
        raise EventInvalid(str(error)) from error
