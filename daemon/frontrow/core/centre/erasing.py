"""Erasing: which personal fields of a frame or an alert are a person's, and the frame or the alert without them.

Only the personal half of a frame is touched (names, texts, and of the seldom fields those of
:data:`frontrow.core.frames.PERSONAL_SELDOM`), which nothing that is computed depends on: a replay afterwards gives
what it gave before. What others have written about a person is theirs, and stays.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from frontrow.core.alerts import LeadAlert
from frontrow.core.centre.identities import PHONE, Identity, viewer_identity
from frontrow.core.contact import redact_text
from frontrow.core.events import Event
from frontrow.core.frames import PERSONAL_SELDOM, Frame

KIND = "person_erase"
LEAD = "lead"  # the kind of a name by which what was written of a lead is found, beside those of :class:`Identity`
PLATFORM, ROOM = "frontrow", "centre"
ERASED = "***"  # the name in an alert
MAX_WORDS = 200  # characters of who erased, and why: these are facts, which stay

NAMES, TEXTS, CONTACTS = "names", "texts", "contacts"
# What is personal, in the three parts that are kept for times of their own: the columns and the seldom fields of each.
PARTS: Mapping[str, tuple[str, ...]] = {NAMES: ("names",), TEXTS: ("texts", "note", "extra"), CONTACTS: ("fields",)}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Erasure:
    """What is to be erased, over many frames.

    ``until`` gives up to which arrival (UTC ms, inclusive) what belongs to an identity goes, or None; ``leads`` the
    same of leads' ids, whose notes are theirs. ``needles`` are bytes one of which every frame has in its facts that
    may be concerned; None: any frame may be.
    """

    until: Callable[[Identity], int | None]
    leads: Mapping[str, int] = field(default_factory=dict)
    needles: frozenset[bytes] | None = None

    @classmethod
    def of(cls, identities: Collection[Identity], leads: Collection[str], at: int) -> "Erasure":
        """Return the erasure of all that came up to ``at`` (UTC ms) of some identities, and of their leads."""
        needles = {identity.key.encode("utf-8", "surrogatepass") for identity in identities}
        needles |= {lead.encode("utf-8", "surrogatepass") for lead in leads}
        return cls(dict.fromkeys(identities, at).get, dict.fromkeys(leads, at), frozenset(needles))

    def may_concern(self, facts: bytes) -> bool:
        """Return False only if a frame of these facts, not compressed, has nothing to erase."""
        return self.needles is None or any(needle in facts for needle in self.needles)

    def positions(self, frame: Frame) -> list[int]:
        """Return the positions of the events whose personal fields are to go."""
        arrivals, data = frame.arrivals(), frame.seldom.get("data", {})
        until = dict[tuple[str, str | None], int | None]()
        found: list[int] = []
        leads = frame.seldom.get("lead", {})
        of_lead = dict[str, int | None]()
        for position, key in enumerate(zip(frame.platforms, frame.viewers, strict=True)):
            platform, viewer = key
            if viewer is None:
                at = self._of_number(data.get(position)) if data else None
            elif key in until:
                at = until[key]
            else:
                at = until[key] = self.until(viewer_identity(platform, viewer))
            if at is None and position in leads:
                lead = leads[position]
                if lead not in of_lead:
                    of_lead[lead] = self.leads.get(lead) or self.until(Identity(LEAD, lead))
                at = of_lead[lead]
            if at is not None and arrivals[position] <= at:
                found.append(position)
        return found

    def rest_of(self, frame: Frame) -> Frame | None:
        """Return the frame without what is to go, or None if nothing is."""
        return without(frame, self.positions(frame))

    def rest_of_alert(self, alert: LeadAlert, created_at: int) -> LeadAlert | None:
        """Return an alert without name and words, or None if it is of somebody else."""
        at = self.until(viewer_identity(alert.platform, alert.viewer))
        return blanked(alert) if at is not None and created_at <= at else None

    def _of_number(self, data: Any) -> int | None:
        key = data.get(PHONE) if isinstance(data, dict) else None
        return self.until(Identity(PHONE, key)) if isinstance(key, str) else None


def without(
    frame: Frame, positions: Collection[int], parts: Collection[str] = (NAMES, TEXTS, CONTACTS)
) -> Frame | None:
    """Return a frame whose events at ``positions`` have lost some parts of what is personal; None if they have none."""
    gone = set(positions)
    fields = [name for part in parts for name in PARTS[part]]
    columns = {"names": frame.names, "texts": frame.texts}
    changed = False
    for name, column in list(columns.items()):
        if name in fields and any(column[position] is not None for position in gone):
            columns[name] = [None if at in gone else value for at, value in enumerate(column)]
            changed = True
    seldom: dict[str, dict[int, Any]] = {}
    for name, values in frame.seldom.items():
        kept = values
        if name in fields and name in PERSONAL_SELDOM:
            kept = {position: value for position, value in values.items() if position not in gone}
            changed |= len(kept) < len(values)
        if kept:
            seldom[name] = kept
    return replace(frame, names=columns["names"], texts=columns["texts"], seldom=seldom) if changed else None


def blanked(alert: LeadAlert) -> LeadAlert:
    """Return an alert without the name and the words of its viewer."""
    extra = {key: value for key, value in (alert.extra or {}).items() if key == "propensity"}
    return msgspec.structs.replace(alert, name=ERASED, words=None, extra=extra or None)


def erase_event(id: str, identities: Sequence[Identity], *, by: str, reason: str, at: int) -> Event:
    """Return the event that says that a person was erased: an engine passes it over, what follows the journal obeys it.

    Its words are facts, which stay: numbers and addresses in them are masked.
    """
    return Event(
        id=f"erase-{id}",
        platform=PLATFORM,
        room=ROOM,
        kind=KIND,
        at=at,
        seen_at=at,
        data={
            "identities": [{"kind": identity.kind, "key": identity.key} for identity in identities],
            "by": redact_text(by)[:MAX_WORDS],
            "reason": redact_text(reason)[:MAX_WORDS],
        },
    )
