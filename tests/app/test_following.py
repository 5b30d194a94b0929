"""A promotion in the journal is obeyed: at the next mark, to the bit in every replay, across snapshots, or not begun at all."""

import asyncio
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from frontrow.app.following import CannotFollow, Following
from frontrow.app.models import promote, registry_beside
from frontrow.app.parts import load_config, make_engine, make_lexicons
from frontrow.cli import DONE, FAILED, main
from frontrow.clock import SystemClock
from frontrow.config import Config
from frontrow.core.engine import MARK_MS, Effects, Engine
from frontrow.core.events import Event, encode_event
from frontrow.core.frames import Frame
from frontrow.core.outcomes import OutcomeRules
from frontrow.core.ports import Clock
from frontrow.core.preparing import Preparer
from frontrow.core.promotions import promotion_event
from frontrow.storage.store import Commit, Store
from frontrow_models.learner import Learner
from frontrow_models.registry import Registry
from frontrow_models.simulate import Scenario, simulate
from frontrow_models.versions import Outcome, Position, Version, encode, name_of
from tests.support.clock import ManualClock
from tests.support.daemons import running, write_config
from tests.support.versions import version

pytestmark = pytest.mark.timeout(180)

LEARNING = """
[outcome]
horizon_s = 300
[model]
learning_rate = 0.05
min_labels = 100
min_positives = 5
snapshot_every_s = 30
grade = "points_or_probability"
hot_probability = 0.3
"""


class EveningClock(SystemClock):
    """Waits in real time, while the wall clock stands where the stream ends."""

    def __init__(self, at: int) -> None:
        self.at = at

    def now(self) -> int:
        return self.at


class Stream:
    """Some minutes of a room, and the engine's way through them under one configuration."""

    def __init__(self, config: Config) -> None:
        self.config = config
        scenario = Scenario(
            seed=11, platform="test", rooms=("r1",), viewers=200, duration_s=1_800, events_per_s=1.2
        )
        self.events = [
            msgspec.structs.replace(event, seen_at=seen_at)
            for seen_at, event in simulate(scenario).arrivals()
        ]

    def frame(self, events: Sequence[Event]) -> Frame:
        lexicons, region = make_lexicons(self.config), self.config.intents.phone_region
        return Preparer(lexicons.of_room, lexicons.default, region).frame(events)

    def version(self, share: float, **options: Any) -> Version:
        """What a model with other options has become after a share of the stream."""
        model = msgspec.structs.replace(self.config.model, **options)
        engine = make_engine(msgspec.structs.replace(self.config, model=model))
        engine.apply(self.frame(self.events[: int(share * len(self.events))]))
        assert isinstance(engine.model, Learner)
        return engine.model.as_version(Position(seq=1, at=engine.now))

    def promoted(self, *promotions: tuple[float, str]) -> list[Event]:
        """The stream with promotions, each after a share of it, at the very time of the event before it."""
        found, former, done = [], None, 0
        for number, (share, name) in enumerate(promotions, 1):
            place = int(share * len(self.events))
            found += self.events[done:place]
            at = found[-1].seen_at
            assert at is not None
            found.append(
                promotion_event(number=number, version=name, replaces=former, by="Li", reason="", at=at)
            )
            former, done = name, place
        return found + self.events[done:]

    def write(self, path: Path, events: Sequence[Event]) -> None:
        store = Store.open(path)
        store.append([Commit(self.frame(events[n : n + 500]), (), (), 0) for n in range(0, len(events), 500)])
        store.close()


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> Stream:
    return Stream(load_config(write_config(tmp_path_factory.mktemp("config"), LEARNING), {}))


@pytest.fixture(scope="module")
def versions(stream: Stream) -> list[Version]:
    """Two versions of unlike options, one of a short past and one of a longer one."""
    return [stream.version(0.5, learning_rate=0.2, min_positives=3), stream.version(0.9, l2=0.01)]


@pytest.fixture
def names(tmp_path: Path, versions: Sequence[Version]) -> list[str]:
    """Their names; they are in the registry beside the store ``journal.db``."""
    return [registry_beside(tmp_path / "journal.db").add(each) for each in versions]


def engine_of(stream: Stream, registry: Registry) -> Engine:
    return make_engine(stream.config, versions=Following(registry), report_learning=True)


def learner(engine: Engine) -> Learner:
    assert isinstance(engine.model, Learner)
    return engine.model


def replayed(folder: Path, out: str, *more: str) -> dict[str, Any]:
    config = str(write_config(folder, LEARNING))
    words = ["replay", str(folder / "journal.db"), "--out", str(folder / out), "--config", config, *more]
    assert main(words) == DONE
    summary: dict[str, Any] = json.loads((folder / out / "summary.json").read_bytes())
    return summary


# ---------------------------------------------------------------------- obeyed at the next mark


def test_what_is_served_is_the_former_models_before_the_mark_and_the_versions_from_it_on(
    stream: Stream, versions: Sequence[Version], names: Sequence[str], tmp_path: Path
) -> None:
    engine = engine_of(stream, registry_beside(tmp_path / "journal.db"))
    place = int(0.7 * len(stream.events))
    engine.apply(stream.frame(stream.events[:place]))
    at = engine.now
    rival = engine_of(stream, registry_beside(tmp_path / "journal.db"))
    rival.load(engine.images())
    promotion = promotion_event(number=1, version=names[0], replaces=None, by="", reason="", at=at)
    rest = stream.events[place:]
    effects = engine.apply(stream.frame([promotion, *rest]))
    unpromoted = rival.apply(stream.frame(rest))
    [(obeyed, mark)] = effects.promoted
    assert (obeyed.version, mark) == (names[0], (at // MARK_MS + 1) * MARK_MS)

    def said(effects: Effects) -> list[tuple[int, float]]:
        return [
            (when, logit)
            for served in effects.served
            for when, logit in zip(served.served_at.tolist(), served.served[:, 1].tolist(), strict=True)
        ]

    with_it, without = said(effects), said(unpromoted)
    assert [when for when, _ in with_it] == [when for when, _ in without]
    differing = [when for (when, one), (_, other) in zip(with_it, without, strict=True) if one != other]
    assert min(differing) == min(when for when, _ in with_it if when >= mark)
    assert learner(engine).leads == names[0]
    assert learner(engine).state()["options"] == versions[0].options


def test_a_version_takes_over_wholly_and_goes_on_learning(
    stream: Stream, versions: Sequence[Version], names: Sequence[str], tmp_path: Path
) -> None:
    engine = engine_of(stream, registry_beside(tmp_path / "journal.db"))
    engine.apply(stream.frame(stream.promoted((0.999, names[1]))))
    learner(engine).promote(names[1], engine.now)
    again = learner(engine).as_version(versions[1].journal)
    assert again.parents == [names[1]]
    assert encode(msgspec.structs.replace(again, parents=[])) == encode(versions[1])


# ---------------------------------------------------------------------- replays


def test_a_journal_with_promotions_replays_to_the_bit_in_frames_of_any_size(
    stream: Stream, names: Sequence[str], tmp_path: Path
) -> None:
    stream.write(tmp_path / "journal.db", stream.promoted((0.4, names[1]), (0.6, names[0])))
    digests = {replayed(tmp_path, str(size), "--frame-size", str(size))["digest"] for size in (3, 97, 4_096)}
    assert len(digests) == 1
    model = json.loads((tmp_path / "97" / "model.json").read_bytes())
    assert model["leads"] == names[0]
    assert model["options"]["learning_rate"] == 0.2
    stream.write(tmp_path / "plain" / "journal.db", stream.events)
    assert replayed(tmp_path / "plain", "out")["digest"] not in digests


def test_a_journal_that_a_replay_writes_takes_its_versions_along(
    stream: Stream, names: Sequence[str], tmp_path: Path
) -> None:
    stream.write(tmp_path / "journal.db", stream.promoted((0.4, names[1])))
    (tmp_path / "copy").mkdir()
    first = replayed(tmp_path, "out", "--journal", str(tmp_path / "copy" / "journal.db"))
    assert registry_beside(tmp_path / "copy" / "journal.db").names() == [names[1]]
    assert replayed(tmp_path / "copy", "out")["digest"] == first["digest"]


def test_a_snapshot_and_the_rest_of_the_journal_give_what_the_whole_journal_gives_wherever_it_is_taken(
    stream: Stream, names: Sequence[str], tmp_path: Path
) -> None:
    """Before promotions, between an event and its mark, soon after it, and long after, between two and behind both."""
    registry = registry_beside(tmp_path / "journal.db")
    events = stream.promoted((0.5, names[0]), (0.7, names[1]))
    behind = [place + 1 for place, each in enumerate(events) if each.kind == "model_change"]
    dice = random.Random(5)
    cuts = sorted({*behind, *(place + 3 for place in behind), *dice.sample(range(1, len(events)), 5)})
    whole, running = engine_of(stream, registry), engine_of(stream, registry)
    whole.apply(stream.frame(events))
    done, waiting = 0, []
    for cut in cuts:
        running.apply(stream.frame(events[done:cut]))
        done = cut
        waiting += [cut] * bool(running.succession.waiting)
        restored = engine_of(stream, registry)
        restored.load(running.images())
        restored.apply(stream.frame(events[cut:]))
        assert learner(restored).state() == learner(whole).state()
        assert learner(restored).images()["learner"] == learner(whole).images()["learner"]
        assert learner(restored).report() == learner(whole).report()
        assert restored.succession.state() == whole.succession.state()
    assert set(behind) <= set(waiting)


# ---------------------------------------------------------------------- versions that cannot be used


def unfit(version: Version, folder: Path) -> str:
    """Put a version into the registry that another River has made."""
    text = encode(msgspec.structs.replace(version, river="0.1"))
    (folder / "journal.db.models" / f"{name_of(text)}.json").write_bytes(text)
    return name_of(text)


def spoil(folder: Path, name: str, how: str) -> None:
    path = folder / "journal.db.models" / f"{name}.json"
    if how == "missing":
        path.unlink()
    else:
        text = path.read_bytes()
        path.write_bytes(text.replace(b'"labels":', b'"labels": '))


@pytest.mark.parametrize(
    ("how", "words"),
    [("missing", "is not in the registry"), ("changed", "it was changed or is damaged")],
)
def test_no_replay_begins_without_every_version_that_was_promoted(
    stream: Stream,
    names: Sequence[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    how: str,
    words: str,
) -> None:
    stream.write(tmp_path / "journal.db", stream.promoted((0.4, names[0]), (0.99, names[1])))
    spoil(tmp_path, names[0], how)
    config = str(write_config(tmp_path, LEARNING))
    out = tmp_path / "out"
    assert main(["replay", str(tmp_path / "journal.db"), "--out", str(out), "--config", config]) == FAILED
    err = capsys.readouterr().err
    assert f"promotion 1 of the journal cannot be followed: {names[0]}" in err
    assert words in err
    assert "a backup has them" in err
    assert not out.exists()
    assert (
        main(["replay", str(tmp_path / "journal.db"), "--out", str(out), "--config", config, "--no-model"])
        == DONE
    )


def test_a_version_of_another_build_stops_a_replay_only_where_it_leads_in_the_end(
    stream: Stream,
    versions: Sequence[Version],
    names: Sequence[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Else no journal could be read after an upgrade; so the way out is to promote another one."""
    foreign = unfit(versions[0], tmp_path)
    stream.write(tmp_path / "journal.db", stream.promoted((0.4, foreign)))
    config = str(write_config(tmp_path, LEARNING))
    words = ["replay", str(tmp_path / "journal.db"), "--out", str(tmp_path / "out"), "--config", config]
    assert main(words) == FAILED
    err = capsys.readouterr().err
    assert "learn it anew from the journal (frontrow retrain); then promote that" in err
    promote(
        registry_beside(tmp_path / "journal.db"),
        tmp_path / "journal.db",
        names[1],
        by="",
        reason="",
        clock=ManualClock(),
    )
    assert main(words) == DONE
    assert (
        json.loads((tmp_path / "out" / "model.json").read_bytes())["leads"] is None
    )  # its mark is still to come


def test_a_version_says_what_it_predicts_whether_it_was_looked_at_or_not(tmp_path: Path) -> None:
    """After a start from a snapshot nobody has looked at the one that leads."""
    outcome = Outcome.of(OutcomeRules(kinds=frozenset({"like"})), 90_000)
    following = Following(registry_beside(tmp_path / "a.db"))
    name = following.registry.add(version(outcome=outcome))
    assert following.predicts(name) == outcome
    following.hold(name)
    (tmp_path / "a.db.models" / f"{name}.json").unlink()
    assert following.predicts(name) == outcome
    assert Following(following.registry).predicts(name) is None


def test_events_in_a_file_promote_versions_of_the_registry_that_is_named(
    stream: Stream, names: Sequence[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "events.ndjson"
    path.write_bytes(b"\n".join(map(encode_event, stream.promoted((0.4, names[1])))))
    words = ["replay", str(path), "--config", str(write_config(tmp_path, LEARNING)), "--out"]
    assert main([*words, str(tmp_path / "a"), "--registry", str(tmp_path / "journal.db.models")]) == DONE
    assert json.loads((tmp_path / "a" / "model.json").read_bytes())["leads"] == names[1]
    assert main([*words, str(tmp_path / "b")]) == FAILED
    assert f"{names[1]}: is not in the registry" in capsys.readouterr().err


# ---------------------------------------------------------------------- the daemon


async def test_a_daemon_follows_from_its_start_on_and_over_a_restart_from_its_snapshot(
    stream: Stream, names: Sequence[str], tmp_path: Path
) -> None:
    config = write_config(tmp_path, LEARNING + "[centre]\nenabled = false\n")  # it would journal its policy
    store = tmp_path / "data" / "frontrow.db"
    stream.write(store, stream.promoted((0.4, names[0]), (0.9, names[1])))
    with pytest.raises(CannotFollow, match=f"promotion 1 .* {names[0]}: is not in the registry"):
        async with running(config):
            pass
    (tmp_path / "journal.db.models").rename(tmp_path / "data" / "frontrow.db.models")
    clock = EveningClock(max(event.seen_at or 0 for event in stream.events))
    told = [await _model(config, clock) for _ in range(2)]  # the second starts from the snapshot of the first
    assert told[0] == told[1]
    assert told[0]["leads"] == names[1]
    assert len(list((tmp_path / "data" / "frontrow.db.snapshots").iterdir())) == 1
    summary = ["replay", str(store), "--out", str(tmp_path / "out"), "--config", str(config)]
    assert main(summary) == DONE
    assert json.loads((tmp_path / "out" / "model.json").read_bytes())["version"] == told[0]["version"]


async def _model(config: Path, clock: Clock) -> dict[str, Any]:
    """Return what a daemon tells of its model once it has judged what is known, which it does in a thread."""
    async with running(config, clock=clock) as daemon, asyncio.timeout(20):
        while True:
            answer = await daemon.http.get("/api/v1/model", params={"token": daemon.token()})
            told: dict[str, Any] = answer.json()
            if told["report"] is not None:
                return told
            await asyncio.sleep(0.02)
