"""Preparing: what is done once to every event's words before the engine sees them and the journal keeps them.

An event's facts are derived (:mod:`frontrow.core.facts`), then what may not be kept is masked in the event itself:
numbers, addresses and ids that nobody consented to. Nothing here knows of feeds, queues or the journal.

Much is done at once. The words of many comments, and all names, are looked through together. And since viewers repeat
each other (of the comments recorded in Chinese rooms 30 to 40 % say what was said in the last minutes, in English
ones 5 to 10 %), the facts of short texts are remembered, and names that may have contact data with what is kept of
them.

What is remembered is bounded in number, in length and in time. It is all forgotten at once: after half an hour of the
events' time (the silence that ends a session), when there is too much, or when :meth:`Preparer.forget` is called. A
sender who never repeats himself only makes that come earlier. A text with contact data is not remembered at all. A name
with some is, since its viewer sends it with every event; many platforms call those without a name by a number.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from frontrow.core import kernel
from frontrow.core.centre.channels import is_code
from frontrow.core.centre.sealing import seal_forms
from frontrow.core.columns import as_list
from frontrow.core.contact import redact_extra, redact_fields, redact_label, redact_text, suspects
from frontrow.core.events import DAEMON_KINDS, MAX_TEXT, PEOPLE_KINDS, Event, too_deep
from frontrow.core.facts import derive, phone_facts
from frontrow.core.frames import Frame
from frontrow.core.intents import MENTIONS, RoomLexicon, detect_own_of_rooms, may_mention
from frontrow.core.ports import Sealer
from frontrow.core.promotions import KIND as PROMOTION
from frontrow.core.promotions import is_token
from frontrow.core.sketches import sketches_of

# Not `product` and `order`: these are keys, an id of eleven digits among them must stay itself. They are masked where
# they are shown.
LABELS = ("gift", "form", "host", "campaign", "note")
SHORTEST_NUMBER = 7  # characters
FACTS_BITS = 16  # what is remembered of a text: its facts, and above them its sketch
FACTS_MASK = (1 << FACTS_BITS) - 1
SPEAKING_KINDS = PEOPLE_KINDS | DAEMON_KINDS  # whose ``data`` says something

# Of each 16,384 at most, of 64 characters at most: 12 MB if all are of the widest characters, 3 MB of ordinary
# comments, nine in ten of which are shorter. The recorded streams have no use for more of either.
REMEMBERED = 16_384  # texts of all rooms together, and as many names
REMEMBERED_LENGTH = 64  # characters
REMEMBERED_MS = 30 * 60_000


class Preparer:
    """Prepares frames of events of any rooms. It has state, of which no result depends: one task owns it."""

    def __init__(
        self,
        lexicons: Mapping[tuple[str, str], RoomLexicon],
        default: RoomLexicon,
        region: str,
        sealer: Sealer | None = None,
    ) -> None:
        """``lexicons`` are those of configured rooms by (platform, room); ``default`` reads all others' comments.
        ``region`` (ISO 3166, ``CN``) is where a number without a country's code is dialled from. ``sealer`` seals
        what comes with consent (:mod:`frontrow.core.centre.sealing`); without one it is kept as it comes.

        Raises:
            ValueError: They are not all made from one lexicon.
        """
        if any(lexicon.lexicon is not default.lexicon for lexicon in lexicons.values()):
            raise ValueError("rooms have their own words, but one lexicon")
        memories = {lexicon: _Memory(lexicon) for lexicon in (default, *lexicons.values())}
        self._of_room = {room: memories[lexicon] for room, lexicon in lexicons.items()}
        self._default = memories[default]
        self._many_rooms = len(memories) > 1
        # What any room makes of texts in which no room's own words can stand.
        self._everywhere = _Memory(default.lexicon.for_room()) if self._many_rooms else memories[default]
        self._memories = [*memories.values(), self._everywhere]
        self._some_read_all = any(lexicon.reads_every_text for lexicon in memories)
        self._lexicon = default.lexicon
        self._any_room = default  # a form's facts are the same in all
        self._region = region
        self._sealer = sealer
        self._kept_of_names: dict[str, str] = {}  # of those that may have contact data
        self._remembered = 0
        self._since = 0

    def frame(self, events: Sequence[Event]) -> Frame:
        """Return the frame of ``events``, prepared; they stay as they are."""
        return self.prepare(Frame.of(events))

    def prepare(self, frame: Frame) -> Frame:
        """Derive the facts of a frame's events and mask what may not be kept; return the frame.

        The frame must be the caller's alone: to everybody who gets it later it is frozen.

        Raises:
            CommitFailed: There is a sealer, and it cannot keep a new key.
        """
        if len(frame):
            self._forget_in_time(frame)
            frame.facts = facts = [0] * len(frame)
            self._prepare_rest(frame, facts)
            frame.sketches = sketches = [0] * len(frame)
            self._read(frame, facts, sketches)
            self._see_names(frame)
        return frame

    def forget(self) -> None:
        """Forget every text and name, as one must when somebody's words are destroyed. Changes no result."""
        for memory in self._memories:
            memory.facts.clear()
        self._kept_of_names.clear()
        self._remembered = 0

    def _forget_in_time(self, frame: Frame) -> None:
        arrived = frame.seen_ats[-1]
        now = frame.ats[-1] if arrived is None else arrived
        if abs(now - self._since) > REMEMBERED_MS:
            self.forget()
            self._since = now

    def _prepare_rest(self, frame: Frame, facts: list[int]) -> None:
        """Do what is to be done beside texts and names."""
        seldom, region = frame.seldom, self._region
        for label in LABELS:
            values = seldom.get(label)
            if values:
                for position, value in values.items():
                    if len(value) >= SHORTEST_NUMBER:
                        values[position] = redact_label(value, region)
        for position, fields in seldom.get("fields", {}).items():
            if fields:
                if frame.kinds[position] == "form_submit":
                    [event] = frame.take([position]).events()
                    facts[position] = derive(event, self._any_room, region)
                consent = seldom.get("consent", {}).get(position)
                seldom["fields"][position] = redact_fields(_storable(fields), consent)
        self._move_data(frame)
        if self._sealer is not None and "fields" in seldom:
            seal_forms(frame, self._sealer, region)
        self._tell_channels(frame)
        for position, extra in seldom.get("extra", {}).items():
            if extra:
                seldom["extra"][position] = redact_extra(_storable(extra), region)

    def _read(self, frame: Frame, facts: list[int], sketches: list[int]) -> None:
        """Do what is to be done to texts."""
        texts, kinds = frame.texts, frame.kinds
        unread = self._recall(frame, facts, sketches)
        if not unread:
            return
        of_any_room = self._everywhere.facts
        new = dict.fromkeys(
            [texts[position] or "" for positions in unread.values() for position in positions]
        )
        found, redacted = self._read_new(
            [text for text in new if text not in of_any_room] if of_any_room else list(new)
        )
        short = {text: mask for text, mask in found.items() if len(text) <= REMEMBERED_LENGTH}
        for text in redacted:
            short.pop(text, None)
        if self._many_rooms:
            # What another room's viewers have written needs only this room's own words.
            found |= {text: of_any_room[text] for text in new if text in of_any_room}
            of_any_room |= short
            self._remembered += len(short)
            short = of_any_room
        written_in = {
            memory: [texts[position] or "" for position in positions] for memory, positions in unread.items()
        }
        own_of = detect_own_of_rooms({memory.lexicon: written for memory, written in written_in.items()})
        for memory, positions in unread.items():
            written, own = written_in[memory], own_of.get(memory.lexicon)
            here = found if not own else {text: found[text] | own.get(text, 0) for text in written}
            _recall(texts, kinds, here, facts, sketches, positions)
            before = len(memory.facts)
            if here is found and not self._many_rooms:
                memory.facts.update(short)
            else:
                memory.facts.update({text: here[text] for text in written if text in short})
            self._remembered += len(memory.facts) - before
        if redacted:
            named = (
                (position, texts[position] or "") for positions in unread.values() for position in positions
            )
            masked = {position: redacted[text] for position, text in named if text in redacted}
            frame.texts = _replaced(texts, masked)
        if self._remembered >= REMEMBERED:
            self.forget()

    def _recall(self, frame: Frame, facts: list[int], sketches: list[int]) -> "dict[_Memory, list[int]]":
        """Tell what is remembered of texts; return the positions of the others, by what knows their rooms' words.

        Of many rooms in a frame only the few that may have words of their own in a text are looked at one by one.
        """
        of_room, default, texts, kinds = self._of_room, self._default, frame.texts, frame.kinds
        room = frame.only_room() if of_room else None
        if room is not None or not of_room:
            memory = default if room is None else of_room.get(room, default)
            positions = _recall(texts, kinds, memory.facts, facts, sketches)
            return {memory: positions} if positions else {}
        unread: dict[_Memory, list[int]] = {}
        platforms, rooms = frame.platforms, frame.rooms
        apart: Iterable[int] = range(len(texts))
        if not self._some_read_all:
            positions, apart = _recall_unmarked(texts, kinds, self._everywhere.facts, facts, sketches)
            if positions:
                unread[self._everywhere] = positions
        for position in apart:
            text = texts[position]
            if not text:
                continue
            memory, mentions = self._everywhere, may_mention(text)
            if mentions or self._some_read_all:
                here = of_room.get((platforms[position], rooms[position]), default)
                if mentions or here.lexicon.reads_every_text:
                    memory = here
            mask = memory.facts.get(text)
            if mask is None:
                unread.setdefault(memory, []).append(position)
            elif kinds[position] == "comment":
                facts[position], sketches[position] = mask & FACTS_MASK, mask >> FACTS_BITS
        return unread

    def _read_new(self, texts: list[str]) -> tuple[dict[str, int], dict[str, str]]:
        """Return what texts are in any room (facts, and above them the sketch), and by the texts with contact data what is kept of them."""
        masks = self._lexicon.detect_many(texts)
        redacted: dict[str, str] = {}
        kept = texts
        for place in suspects(texts):
            text = texts[place]
            valid, left = phone_facts(text, self._region), redact_text(text)
            if valid or left != text:
                masks[place] |= valid
                redacted[text] = left
                if kept is texts:
                    kept = texts.copy()
                kept[place] = left
        # Of what is kept: from a sketch nobody is to guess a number.
        both = zip(masks, sketches_of(kept), strict=True)
        return dict(zip(texts, [mask | sketch << FACTS_BITS for mask, sketch in both], strict=True)), redacted

    @staticmethod
    def _move_data(frame: Frame) -> None:
        """Keep under ``extra`` what a viewer's or a room's event calls ``data``: only those of people and of the daemon say something there."""
        data = frame.seldom.get("data", {})
        for position, value in list(data.items()):
            if frame.kinds[position] in SPEAKING_KINDS:
                data[position] = _within_64_bits(value)
            else:
                extra = frame.seldom.setdefault("extra", {})
                extra[position] = {"data": data.pop(position)} | (extra.get(position) or {})
        if not data:
            frame.seldom.pop("data", None)

    def _tell_channels(self, frame: Frame) -> None:
        """Make a fact of the channel that a form says it came by: rules ask for it, and ``extra`` can be destroyed."""
        kinds = frame.kinds
        for position, extra in frame.seldom.get("extra", {}).items():
            code = extra.get("channel") if kinds[position] == "form_submit" and extra else None
            if is_code(code) and redact_label(code, self._region) == code:
                data = frame.seldom.setdefault("data", {})
                data[position] = {**(data.get(position) or {}), "channel": code}

    def _see_names(self, frame: Frame) -> None:
        """Mask what is to be masked in names."""
        # To look through all of them together costs half of asking which of them are known.
        names = frame.names
        masked: dict[int, str] = {}
        for position in suspects(names):
            name = names[position] or ""
            if len(name) < SHORTEST_NUMBER or (frame.kinds[position] == PROMOTION and is_token(name)):
                continue
            kept = self._kept_of_names.get(name)
            if kept is None:
                kept = redact_text(name)  # some put their number into their name
                if len(name) <= REMEMBERED_LENGTH:
                    self._kept_of_names[name] = kept
            if kept != name:
                masked[position] = kept
        frame.names = _replaced(frame.names, masked)
        if len(self._kept_of_names) >= REMEMBERED:
            self.forget()


def _recall(
    texts: Sequence[str | None],
    kinds: Sequence[str],
    known: dict[str, int],
    facts: list[int],
    sketches: list[int],
    positions: list[int] | None = None,
) -> list[int]:
    """Fill in the facts and sketches of comments that are known; return the positions of texts that are not.

    Only those at ``positions`` are looked at; None: all.
    """
    if kernel.compiled is not None:
        others: list[int] = kernel.compiled.recall_texts(
            as_list(texts), as_list(kinds), "comment", known, facts, sketches, FACTS_BITS, positions, ""
        )[0]
        return others
    unread: list[int] = []
    for position in range(len(texts)) if positions is None else positions:
        text = texts[position]
        if text:
            mask = known.get(text)
            if mask is None:
                unread.append(position)
            elif kinds[position] == "comment":
                facts[position], sketches[position] = mask & FACTS_MASK, mask >> FACTS_BITS
    return unread


def _recall_unmarked(
    texts: Sequence[str | None],
    kinds: Sequence[str],
    known: dict[str, int],
    facts: list[int],
    sketches: list[int],
) -> tuple[list[int], list[int]]:
    """Do what :func:`_recall` does for texts that mention nobody; return also the positions of those that may mention somebody."""
    if kernel.compiled is not None:
        found: tuple[list[int], list[int]] = kernel.compiled.recall_texts(
            as_list(texts), as_list(kinds), "comment", known, facts, sketches, FACTS_BITS, None, MENTIONS
        )
        return found
    marked = [position for position, text in enumerate(texts) if text and may_mention(text)]
    apart = set(marked)
    others = [position for position in range(len(texts)) if position not in apart]
    return _recall(texts, kinds, known, facts, sketches, others), marked


def _replaced(column: Sequence[str | None], by_position: Mapping[int, str]) -> Sequence[str | None]:
    if not by_position:
        return column
    changed = list(column)
    for position, value in by_position.items():
        changed[position] = value
    return changed


class _Memory:
    """What a room's own words give, and the facts of the texts it has read."""

    __slots__ = ("facts", "lexicon")

    def __init__(self, lexicon: RoomLexicon) -> None:
        self.lexicon = lexicon
        self.facts: dict[str, int] = {}  # text → its facts, and above them its sketch


def _storable(fields: dict[str, Any]) -> dict[str, Any]:
    """Return fields that can be read back from the journal: a platform's message that nests too deep becomes text."""
    return {"json": msgspec.json.encode(fields).decode()[:MAX_TEXT]} if too_deep(fields) else fields


def _within_64_bits(value: Any) -> Any:
    """Return a JSON value whose whole numbers beyond 64 bits, which the journal's facts cannot hold, are texts."""
    if isinstance(value, dict):
        return {key: _within_64_bits(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_within_64_bits(inner) for inner in value]
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 64:
        return str(value)
    return value
