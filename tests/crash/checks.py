"""What must hold of a store, whatever happened to the daemons that wrote it."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import apsw
import msgspec
import orjson

from frontrow.cli import DONE, main
from frontrow.core.leads import Lead
from frontrow.storage.store import Store


def stored_ids(path: Path) -> Counter[str]:
    """Return how often each event of a room is in the journal; the daemon's own ticks are not of a room."""
    store = Store.open(path)
    try:
        return Counter(
            id
            for _, frame in store.frames()
            for id, platform in zip(frame.ids, frame.platforms, strict=True)
            if platform != "frontrow"
        )
    finally:
        store.close()


def assert_once(found: Counter[str], acknowledged: Iterable[str]) -> None:
    """Every acknowledged event is there, and none twice."""
    twice = [id for id, count in found.items() if count > 1]
    assert not twice, f"{len(twice)} events are stored more than once, such as {twice[:3]}"
    lost = [id for id in acknowledged if id not in found]
    assert not lost, f"{len(lost)} acknowledged events are lost, such as {sorted(lost)[:3]}"


def leads_as_replayed(path: Path) -> bytes:
    """Return the store's leads as ``frontrow replay`` writes its own."""
    leads = [msgspec.json.decode(body, type=Lead) for (body,) in rows(path, "SELECT body FROM leads")]
    leads.sort(key=lambda lead: (lead.platform, lead.room, lead.session, lead.viewer))
    return b"".join(orjson.dumps(msgspec.to_builtins(lead)) + b"\n" for lead in leads)


def assert_same_leads(stored: bytes, replayed: bytes) -> None:
    """The bytes are equal; if not, the first lead that differs is named, with what differs."""
    if stored == replayed:
        return
    one, other = (
        {lead["lead"]: lead for lead in map(json.loads, each.splitlines())} for each in (stored, replayed)
    )
    assert one.keys() == other.keys(), (
        f"only stored, only replayed: {one.keys() - other.keys(), other.keys() - one.keys()}"
    )
    wrong = [lead for lead in one.values() if lead != other[lead["lead"]]]
    first = min(wrong, key=lambda lead: int(lead["decided_at"]))
    differs = {
        key: (first[key], other[first["lead"]][key])
        for key in first
        if first[key] != other[first["lead"]][key]
    }
    raise AssertionError(f"{len(wrong)} of {len(one)} leads differ, the first is {first['lead']}: {differs}")


def assert_replays_to_itself(path: Path, config: Path, out: Path) -> dict[str, Any]:
    """A replay in any frames gives the leads that are stored, and one model; return its summary with the model."""
    digests = set()
    for size in (1024, 7):
        folder = out / str(size)
        command = ["replay", path, "--config", config, "--out", folder, "--frame-size", size]
        assert main(list(map(str, command))) == DONE
        assert_same_leads(leads_as_replayed(path), (folder / "leads.ndjson").read_bytes())
        digests.add(json.loads((folder / "summary.json").read_bytes())["digest"])
    assert len(digests) == 1
    summary: dict[str, Any] = json.loads((folder / "summary.json").read_bytes())
    assert summary["duplicates"] == summary["rejected"] == 0
    summary["model"] = json.loads((folder / "model.json").read_bytes())
    return summary


def rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    """Return what a query finds, reading only."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return list(connection.execute(query))
    finally:
        connection.close()
