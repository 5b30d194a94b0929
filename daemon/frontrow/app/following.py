"""The versions that a journal's promotions name, looked at before an engine meets them.

An engine that obeys a promotion waits for no disk and has no choice: what is missing, was changed or is of another
build must be found before the first frame, where somebody can still do something about it. A version that this build
cannot compute is passed over where another one was promoted after it: what leads in the end is then the same, and
else no journal could outlive an upgrade of River. One that is missing or was changed is never passed over.
"""

from collections.abc import Iterable

import structlog

from frontrow.core.errors import FrontrowError
from frontrow.core.promotions import KIND, Promotion, promotions_of
from frontrow.storage.store import Store
from frontrow_models.registry import Registry
from frontrow_models.versions import Outcome, Version, VersionRefused, check_fit

log = structlog.get_logger(__name__)


class CannotFollow(FrontrowError):
    """A promotion names a version that is not there or cannot be used; the message says which, why, and what to do."""


class Following:
    """Fits ``Versions`` of :mod:`frontrow_models.learner` with a registry: loads each version once, and holds it."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self._held: dict[str, Version | None] = {}

    @property
    def held(self) -> Iterable[Version]:
        """What was loaded so far."""
        return filter(None, self._held.values())

    def __call__(self, name: str) -> Version | None:
        """Return the version of a name, None for one that is passed over.

        Raises:
            CannotFollow: There is none; only where nobody has looked, as in files of events that hold a promotion.
        """
        if name not in self._held:
            self.look([Promotion(number=1, version=name, replaces=None, by="", reason="", at=0)])
        return self._held[name]

    def look_ahead(self, store: Store, *, after: int = 0, waiting: Iterable[Promotion] = ()) -> None:
        """Look at every version that is promoted in a journal after frame ``after``, and those that wait already.

        Raises:
            CannotFollow: As the class says.
            StoreDamaged: The journal cannot be read back.
        """
        coming = (each for _, frame in store.frames_with(KIND, after) for _, each in promotions_of(frame))
        self.look([*waiting, *coming])

    def look(self, promotions: Iterable[Promotion]) -> None:
        """Look at the versions of promotions, given in order; those that can be used are at hand from now on."""
        ordered = list(promotions)
        for promotion in ordered:
            if self._held.get(promotion.version) is None:
                self._held[promotion.version] = self._load(promotion, last=promotion is ordered[-1])

    def hold(self, name: str) -> Version:
        """Load a version that is about to be promoted. Raises VersionRefused."""
        version = self._held[name] = self.registry.load(name)
        return version

    def predicts(self, name: str) -> Outcome | None:
        """Return what a version was learnt for; None: it does not tell, or cannot be read any more. May read the disk."""
        try:
            return (self._held.get(name) or self.registry.read(name)).outcome
        except VersionRefused:
            return None

    def _load(self, promotion: Promotion, *, last: bool) -> Version | None:
        name, told = promotion.version, f"promotion {promotion.number} of the journal cannot be followed"
        try:
            version = self.registry.read(name)
        except VersionRefused as refused:
            raise CannotFollow(
                f"{told}: {refused}. Versions lie in the folder beside the store that ends in .models, and a backup"
                " has them; frontrow replay --registry names another folder"
            ) from refused
        try:
            check_fit(version, name)
        except VersionRefused as refused:
            if last:
                raise CannotFollow(
                    f"{told}: {refused}; then promote that (frontrow models promote), or go on with the release that made this one"
                ) from refused
            log.warning("promotion_passed_over", number=promotion.number, version=name, reason=str(refused))
            return None
        return version
