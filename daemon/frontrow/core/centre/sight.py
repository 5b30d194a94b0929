"""Who may see which lead, and what they may see of it. What one may not see does not exist for them."""

from dataclasses import dataclass

from frontrow.core.centre.book import LeadRow
from frontrow.core.centre.organisation import Organisation


@dataclass(frozen=True, slots=True)
class Sight:
    """What somebody sees: everything, or what is theirs, their teams' and in the pools.

    ``seller`` is who they are in the organisation, None: nobody there. ``teams`` are the units whose leads they
    answer for (a manager's unit with all below it) or are offered (a seller's team, and all it belongs to).
    ``manages``: they see what others of these teams hold, and what waits for a manager's word, which whoever it is
    proposed for does not.
    """

    everything: bool = False
    seller: str | None = None
    teams: frozenset[str] = frozenset()
    manages: bool = False

    def sees(self, lead: LeadRow) -> bool:
        """Return whether this lead exists for them."""
        if self.everything:
            return True
        if lead.holder is not None and lead.holder == self.seller and not lead.awaits_approval:
            return True
        if lead.team is not None and lead.team in self.teams:
            return self.manages or lead.holder is None
        return self.seller is not None and lead.holder is None and lead.pool is not None

    def could_have(self, lead: LeadRow) -> bool:
        """Return whether it is a lead that they see or would see if nobody had it: of such a one they may know who was faster."""
        if self.sees(lead):
            return True
        return self.seller is not None and lead.team is not None and lead.team in self.teams


EVERYTHING = Sight(everything=True)
NOTHING = Sight()


def sight_of(seller: str, organisation: Organisation, at: int) -> Sight:
    """Return what a seller or a manager of the organisation sees at ``at``; nothing where there is no such person then."""
    person = organisation.seller(seller, at)
    if person is None:
        return NOTHING
    manages = person.role == "manager"
    units = organisation.units_of(person.team, at) if manages else organisation.path(person.team, at)
    teams = frozenset(unit.id for unit in units) | {person.team}
    return Sight(seller=seller, teams=teams, manages=manages)
