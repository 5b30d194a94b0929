"""From what was served and what happened later to labels: positives as they come, negatives when time has passed.

A *snapshot* is what the model saw of a viewer at one mark. If the outcome happens to this viewer within the horizon,
the snapshot is a positive at once; if the horizon passes without it, a negative. In the first horizon of all there can
be no negative yet, so its positives wait for their own horizon and are learnt beside the negatives of their age: else
the model would begin by believing in everybody. Labels leave in the order (time of resolution, snapshot), so that a
replay learns in the same order.
"""

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Owner(NamedTuple):
    """Whose outcome counts: a viewer of a room, over its sessions."""

    platform: str
    room: str
    viewer: str


@dataclass(frozen=True, slots=True)
class Label:
    """A resolved snapshot: the input as served, the probability as served, and the outcome."""

    snapshot: int
    served_at: int
    resolved_at: int
    inputs: NDArray[np.float32]
    probability: float
    outcome: bool


class _Pending(NamedTuple):
    owner: Owner
    served_at: int
    inputs: NDArray[np.float32]
    probability: float
    outcome: bool = False


class LabelQueue:
    """Snapshots that wait for their outcome. Bounded: beyond ``bound`` a new snapshot is not taken, and counted."""

    def __init__(self, *, horizon_ms: int, bound: int = 1_000_000) -> None:
        self._horizon_ms = horizon_ms
        self._bound = bound
        self._next = 0
        self._first_served_at: int | None = None
        self._pending: dict[int, _Pending] = {}  # in the order of serving, so of maturing
        self._of_owner: dict[Owner, list[int]] = {}
        self._resolved: deque[Label] = deque()
        self.refused = 0

    def __len__(self) -> int:
        return len(self._pending)

    def serve(self, owner: Owner, at: int, inputs: NDArray[np.float32], probability: float) -> None:
        """Keep what was served at engine time ``at``; calls come in the order of time."""
        if len(self._pending) >= self._bound:
            self.refused += 1
            return
        if self._first_served_at is None:
            self._first_served_at = at
        snapshot = self._next
        self._next += 1
        self._pending[snapshot] = _Pending(owner, at, inputs, probability)
        self._of_owner.setdefault(owner, []).append(snapshot)

    def outcome(self, owner: Owner, at: int, now: int) -> int:
        """Resolve as positive the owner's open snapshots that lie before event time ``at``, but not by more than the
        horizon; return how many. ``now`` is engine time.

        A snapshot taken after the outcome happened, but before it was heard of, is none of its positives; an outcome
        that comes so late that its snapshots have been learnt as negatives changes nothing.
        """
        kept: list[int] = []
        count = 0
        for snapshot in self._of_owner.pop(owner, ()):
            pending = self._pending[snapshot]
            if not pending.served_at <= at <= pending.served_at + self._horizon_ms:
                kept.append(snapshot)
                continue
            count += 1
            if now < (self._first_served_at or 0) + self._horizon_ms:
                self._pending[snapshot] = pending._replace(outcome=True)
                continue
            del self._pending[snapshot]
            self._resolved.append(
                Label(snapshot, pending.served_at, now, pending.inputs, pending.probability, outcome=True)
            )
        if kept:
            self._of_owner[owner] = kept
        return count

    def mature(self, now: int) -> list[Label]:
        """Return every label resolved by engine time ``now``, in order, and forget it."""
        labels = list(self._resolved)
        self._resolved.clear()
        matured: list[int] = []
        for snapshot, pending in self._pending.items():
            due = pending.served_at + self._horizon_ms
            if due >= now:
                break
            matured.append(snapshot)
            labels.append(
                Label(snapshot, pending.served_at, due, pending.inputs, pending.probability, pending.outcome)
            )
        for snapshot in matured:
            self._forget(snapshot)
        labels.sort(key=lambda label: (label.resolved_at, label.snapshot))
        return labels

    def _forget(self, snapshot: int) -> None:
        owner = self._pending.pop(snapshot).owner
        siblings = self._of_owner.get(owner, [])
        if snapshot in siblings:  # not if it is a positive that waited
            siblings.remove(snapshot)
            if not siblings:
                del self._of_owner[owner]
