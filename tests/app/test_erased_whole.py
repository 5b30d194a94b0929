"""A person whom the lead centre knows by several names is erased whole: of no file of the daemon's can anything of theirs be read."""

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from frontrow.cli import DONE, main
from frontrow.core.events import Event, encode_event
from frontrow.runtime.access import Role
from frontrow.storage.doctor import examine
from frontrow.storage.store import Store
from tests.app.test_daemon import now_ms
from tests.app.test_desk import ORGANISATION, Person
from tests.app.test_erasing import erased_by
from tests.support.daemons import Running, running, write_config
from tests.support.persons import STORAGE
from tests.support.rooms import event

PHONE, LINKED_PHONE, HIS_PHONE = "13812345678", "13887654321", "13911112222"
HERS = {
    "a": ("花小姐甲名", "甲名要三件红色多少钱", "甲名下周来店试穿"),
    "b": ("花小姐乙名", "乙名的红色还有货吗多少钱", "乙名说先不要打电话"),
    "c": ("花小姐丙名", "丙名能不能便宜一点多少钱", "丙名是甲名的朋友圈"),
}
HIS = ("树先生本人", "我要一件蓝色多少钱", "他想要大一号")
ADDRESS, EXTRA = "文三路九十九号三单元", "昵称旁的签名写着花"
OUTCOME_NOTE = "甲名昨天在电话里说再想想"


def acts(viewer: str, name: str, words: str, phone: str) -> list[Event]:
    """Somebody talks, leaves a number and clicks: enough to be hot."""
    at = now_ms()
    return [
        event("comment", viewer=viewer, id=f"c-{viewer}", text=words, name=name, at=at, extra={"signature": "他的签名" if viewer == "him" else EXTRA}),
        event(
            "form_submit", viewer=viewer, id=f"f-{viewer}", name=name, consent=True, form="trial", at=at + 1,
            fields={"手机号": phone, "地址": "他家" if viewer == "him" else ADDRESS},
        ),
        event("product_click", viewer=viewer, id=f"p-{viewer}", name=name, product="3号 亚麻衬衫", at=at + 2),
    ]  # fmt: skip


def found(folder: Path, words: list[str]) -> dict[str, list[str]]:
    """Return which files hold any of these words, as they are written in one of the ways in which files here are."""
    said: dict[str, list[str]] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            held = path.read_bytes()
            hits = [
                word
                for word in words
                if any(word.encode(code) in held for code in ("utf-8", "utf-16-le", "utf-32-le"))
                or word.encode("ascii", "backslashreplace") in held
            ]
            if hits:
                said[path.name] = hits
    return said


HER_WORDS = [
    *(word for words in HERS.values() for word in words),
    ADDRESS,
    EXTRA,
    OUTCOME_NOTE,
    PHONE,
    LINKED_PHONE,
]


async def fill(daemon: Running) -> list[str]:
    """She comes under three names: two left one number, and of the third somebody says who it is. He comes too."""
    wang, admin = Person(daemon, "wang"), Person(daemon, None, Role.ADMIN)
    known: list[str] = []
    for viewer, phone, count in (
        ("a", PHONE, 1),
        ("b", PHONE, 1),
        ("c", LINKED_PHONE, 2),
        ("him", HIS_PHONE, 3),
    ):
        name, words, note = HIS if viewer == "him" else HERS[viewer]
        body = b"\n".join(encode_event(each) for each in acts(viewer, name, words, phone))
        assert (await daemon.ingest(body)).json()["accepted"] == 3
        async with asyncio.timeout(20):
            while len(cards := await wang.leads("all")) < count:
                await asyncio.sleep(0.05)
        [lead] = {str(card["lead"]) for card in cards} - set(known) or {known[-1]}
        if lead not in known:
            known.append(lead)
            assert (await wang.do(lead, "claim")).status_code == 200
        assert (await wang.do(lead, "note", note=note)).status_code == 200
    outcome = await wang.do(known[0], "outcome", outcome="interested", note=OUTCOME_NOTE)
    assert outcome.status_code in (200, 422), outcome.text
    surely = link("a", "c", source="crm", confidence=0.99)
    perhaps = link("a", "him", source="guess", confidence=0.3)
    for each in (surely, perhaps):
        answer = await admin.post("/api/v1/identities/link", **each)
        assert answer.status_code == 200, answer.text
    return known


def link(one: str, other: str, *, source: str, confidence: float) -> dict[str, Any]:
    a, b = ({"kind": "viewer:test", "key": viewer} for viewer in (one, other))
    return {"a": a, "b": b, "source": source, "confidence": confidence}


def told(path: Path) -> str:
    """Return all that the journal's frames tell: on the disk they are compressed."""
    with contextlib.closing(Store.open_to_read(path)) as store:
        return "\n".join(
            encode_event(each).decode() for _, frame in store.frames() for each in frame.events()
        )


def left(folder: Path, words: list[str]) -> dict[str, list[str]]:
    """Return where any of these words can be read, in files' bytes or in frames."""
    [path] = folder.glob("frontrow.db")
    journal = [word for word in words if word in told(path)]
    return found(folder, words) | ({"journal": journal} if journal else {})


async def test_of_a_person_with_three_names_nothing_is_left_in_any_file(tmp_path: Path) -> None:
    """Names, texts, what a platform sent besides, answers in forms, and what sellers wrote: also of leads that were merged."""
    path = write_config(tmp_path, STORAGE + ORGANISATION)
    async with running(path) as daemon:
        await fill(daemon)
        assert set(left(tmp_path, HER_WORDS)) >= {"frontrow.db-wal", "frontrow-centre.db-wal", "journal"}
        admin = {"authorization": f"Bearer {daemon.token(Role.ADMIN)}"}
        wish = {"platform": "test", "viewer": "b", "reason": "asked"}
        answer = await daemon.http.post("/api/v1/persons/erase", json=wish, headers=admin)
        assert answer.status_code == 200, answer.text
        assert answer.json()["names"] == 5, "three viewers and two numbers"
        await erased_by(daemon)
        assert left(tmp_path, HER_WORDS) == {}
        assert all(word in told(daemon.store) for word in HIS)
    assert left(tmp_path, HER_WORDS) == {}
    assert "frontrow-centre.db" in found(tmp_path, [HIS[2]]), (
        "else nothing of hers would be seen there either"
    )
    assert examine(tmp_path / "frontrow.db").sound
    async with running(path) as again:  # what follows from the journal is what there was
        assert len(await Person(again, "wang").leads("all")) == 2
    assert left(tmp_path, HER_WORDS) == {}


async def test_one_name_alone_leaves_the_others(tmp_path: Path) -> None:
    path = write_config(tmp_path, STORAGE + ORGANISATION)
    async with running(path) as daemon:
        await fill(daemon)
        admin = {"authorization": f"Bearer {daemon.token(Role.ADMIN)}"}
        wish = {"platform": "test", "viewer": "c", "reason": "asked", "one_name": True}
        answer = await daemon.http.post("/api/v1/persons/erase", json=wish, headers=admin)
        assert (answer.status_code, answer.json()["names"]) == (200, 1)
        await erased_by(daemon)
    said = told(tmp_path / "frontrow.db")
    assert [word for word in HERS["c"] if word in said] == []
    assert [word for name in "ab" for word in HERS[name] if word not in said] == []


async def test_the_command_shows_who_is_covered_and_who_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_config(tmp_path, STORAGE + ORGANISATION)
    async with running(path) as daemon:
        await fill(daemon)
    who = ["--platform", "test", "--viewer", "a", "--config", str(path)]
    capsys.readouterr()
    assert main(["person", "erase", "--preview", *who]) == DONE
    lines = capsys.readouterr().out.splitlines()
    covered = [line.split()[1:] for line in lines if line.startswith("covered")]
    assert [line[:2] for line in covered[:5] if line[0] != "phone"] == [
        ["viewer:test", "a"], ["viewer:test", "b"], ["viewer:test", "c"]
    ]  # fmt: skip
    assert sum(line[0] == "phone" for line in covered) == 2
    [unsure] = [line for line in lines if line.startswith("not covered")]
    assert "viewer:test him" in unsure and "0.30" in unsure
    assert not any(word in line for line in lines for word in [*HER_WORDS, *HIS])
    assert main(["person", "export", *who]) == DONE
    held = json.loads(capsys.readouterr().out)
    text = json.dumps(held, ensure_ascii=False)
    assert [word for word in HER_WORDS if word not in text] == []
    assert [word for word in (*HIS, HIS_PHONE) if word in text] == []
    assert {lead["viewer"] for lead in held["leads"]} == {"a", "b", "c"}
    assert main(["person", "export", "--one-name", *who]) == DONE
    text = capsys.readouterr().out
    assert HERS["a"][2] in text and not any(word in text for word in HERS["c"])
    assert main(["person", "erase", *who]) == DONE
    assert "5 names" in capsys.readouterr().out
    assert [word for word in HER_WORDS if word in told(tmp_path / "frontrow.db")] == []
    async with running(path):  # the database of leads follows the journal when the daemon runs
        pass
    assert left(tmp_path, HER_WORDS) == {}
    assert main(["person", "erase", "--preview", "--one-name", *who]) == DONE
    assert "viewer:test b" not in capsys.readouterr().out
