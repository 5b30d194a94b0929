"""A store with her and him in it, for tests in which she is erased."""

import json
from dataclasses import dataclass
from pathlib import Path

from frontrow.app.erasing import erase_at_rest, new_wish
from frontrow.cli import DONE, main
from frontrow.clock import SystemClock
from frontrow.core.centre.sealing import answers_of
from frontrow.core.events import Event, encode_event
from frontrow.core.preparing import Preparer
from frontrow.storage.store import Alert, Commit, Store
from frontrow.storage.vault import Vault, path_beside
from tests.core.lexicons import default_lexicon
from tests.storage.test_store import lead
from tests.support.alerts import an_alert
from tests.support.daemons import write_config
from tests.support.rooms import START, event

STORAGE = '\n[storage]\npath = "frontrow.db"\nsnapshot_every_s = 1\n[intake]\nwait_ms = 100\n'
HER_NAME, HER_WORDS, HER_NOTE, HER_ADDRESS = (
    "花小姐本人",
    "我要三件红色多少钱",
    "她下周来店",
    "文三路九十九号",
)
HERS = (HER_NAME, HER_WORDS, HER_NOTE, HER_ADDRESS)
HIS_NAME, HIS_WORDS = "树先生本人", "我要一件蓝色多少钱"


def events(
    number: int, viewer: str = "her", name: str = HER_NAME, words: str = HER_WORDS, at: int = START
) -> list[Event]:
    """Return what a viewer does in a minute: talk, leave a number, be a lead of whom sales make a note."""
    fields = {"手机号": f"1380013800{ord(viewer[-1]) % 10}", "地址": HER_ADDRESS}
    at += number * 60_000
    made = [
        event("comment", viewer=viewer, name=name, text=words, at=at, id=f"c{number}{viewer}"),
        event(
            "form_submit",
            viewer=viewer,
            name=name,
            fields=fields,
            consent=True,
            at=at + 1,
            id=f"f{number}{viewer}",
        ),
        event("product_click", viewer=viewer, name=name, at=at + 2, id=f"p{number}{viewer}"),
    ]
    if viewer == "her":
        noted = event(
            "lead_note", viewer=None, lead=lead("her").lead, note=HER_NOTE, at=at + 3, id=f"n{number}"
        )
        revealed = event(
            "contact_reveal", viewer=None, lead=lead("her").lead, seller="s1", at=at + 4, id=f"r{number}",
            data={"by": "s1", "purpose": "call"},
        )  # fmt: skip
        return [*made, noted, revealed]
    return made


@dataclass
class Shop:
    """A store that rests, with her and him in it."""

    config: Path
    store: Path

    def personal(self) -> str:
        """Return all that can be read of persons in the journal, unsealed."""
        vault, store = Vault.open_to_read(path_beside(self.store)), Store.open_to_read(self.store)
        try:
            told = [each for _, frame in store.frames() for each in frame.events()]
            answers = [answers_of(each, vault.unseal) for each in told]
        finally:
            store.close()
            vault.close()
        return "\n".join(
            [
                *(encode_event(each).decode() for each in told),
                json.dumps(answers, ensure_ascii=False),
            ]
        )

    def replayed(self, out: Path) -> dict[str, bytes]:
        """Return the files of a replay of the journal."""
        command = ["replay", self.store, "--config", self.config, "--out", out]
        assert main(list(map(str, command))) == DONE
        return {path.name: path.read_bytes() for path in out.iterdir() if path.name != "summary.json"}


FRAMES = 40


def make_shop(folder: Path) -> Shop:
    """Fill a store with what two viewers did in 40 minutes, frame by frame, and a lead and two alerts of each."""
    config = write_config(folder, STORAGE)
    path = folder / "frontrow.db"
    store, vault = Store.open(path), Vault.open(path_beside(path))
    preparer = Preparer({}, default_lexicon().for_room(), "CN", vault)
    for number in range(FRAMES):
        both = [*events(number), *events(number, "him", HIS_NAME, HIS_WORDS)]
        store.append([Commit(preparer.frame(both), (), (), START)])
    alerts = [
        Alert(sink, f"{sink}:{viewer}", an_alert(viewer, viewer=viewer, name=name, words=words))
        for viewer, name, words in (("her", HER_NAME, HER_WORDS), ("him", HIS_NAME, HIS_WORDS))
        for sink in ("wecom", "crm")
    ]
    last = event("like", FRAMES * 60, viewer="her")
    leads = [lead(viewer, START) for viewer in ("her", "him")]
    store.append([Commit(preparer.frame([last]), leads, alerts, START)])
    store.outbox_delivered([row[0] for row in store.outbox_due("crm", START, 9)], START)
    store.close()
    vault.close()
    return Shop(config, path)


def erase(path: Path, viewer: str = "her") -> None:
    """Erase a viewer in a store that rests."""
    erase_at_rest(
        path,
        None,
        lambda at: new_wish("test", viewer, by="tests", reason="asked", at=at),
        clock=SystemClock(),
    )


def raw(folder: Path) -> bytes:
    """Return all bytes of a store and of what is beside it."""
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("frontrow.db*")) if path.is_file())
