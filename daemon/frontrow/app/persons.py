"""Who a person is, for the command line: all names that the lead centre knows them by, beside a daemon at work or at rest."""

from dataclasses import dataclass
from pathlib import Path

from frontrow.app.lead_centre import database_url
from frontrow.config import Config
from frontrow.core.centre.book import Link
from frontrow.core.centre.identities import PHONE, Identity, viewer_identity
from frontrow.storage.centre.care import CareReads, WholePerson
from frontrow.storage.centre.database import address_of, open_database
from frontrow.storage.store import Store

SHOWN = 8  # digits of a number's keyed hash, as in links elsewhere: the number itself is nowhere


@dataclass(frozen=True)
class Known:
    """What is known of a person, and how many frames of the journal the lead centre has not followed yet: a link in them is not known."""

    person: WholePerson
    behind: int

    def lines(self) -> list[str]:
        """Return it for people: every name that is covered, and the links that are not sure enough, whose other ends are not."""
        names = [f"covered     {_shown(each)}" for each in self.person.identities]
        leads = f"covered     {len(self.person.leads)} leads, unique ones and raw ones, with what was written of them"
        unsure = [
            f"not covered {_shown(_other(link, self.person))}  (a link of {link.source or 'nobody'}, confidence {link.confidence:.2f}, joins nobody)"
            for link in self.person.unsure
        ]
        return [*names, leads, *unsure, *self.warnings()]

    def warnings(self) -> list[str]:
        """Return what somebody should know before they go on."""
        if not self.behind:
            return []
        return [
            f"the lead centre has yet to follow {self.behind:,} frames of the journal: names that are linked there are not covered"
        ]


def known(config: Config, platform: str, viewer: str, *, one_name: bool) -> Known | None:
    """Return what a viewer's person is known by; None where no lead centre is, or no store.

    Raises as :func:`open_database` and :meth:`Store.open_to_read`.
    """
    url = database_url(config)
    file = address_of(url).database if url.startswith("sqlite") else None
    if not config.centre.enabled or not config.storage.path.exists() or (file and not Path(file).exists()):
        return None
    store = Store.open_to_read(config.storage.path)
    try:
        engine = open_database(url)
        try:
            reads = CareReads(engine, store.id)
            asked = viewer_identity(platform, viewer)
            person = reads.one_name(asked) if one_name else reads.person(asked)
        finally:
            engine.dispose()
        return Known(person, max(0, store.seq - person.seq))
    finally:
        store.close()


def _other(link: Link, person: WholePerson) -> Identity:
    a, b = Identity(link.a_kind, link.a_key), Identity(link.b_kind, link.b_key)
    return b if a in person.identities else a


def _shown(identity: Identity) -> str:
    key = f"{identity.key[:SHOWN]}…" if identity.kind == PHONE else identity.key
    return f"{identity.kind} {key}"
