"""``frontrow models``: what a person sees of the registry, and promotions that are events of the journal."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import apsw
import msgspec
import pytest

from frontrow.app.models import ledger_of, promote, registry_beside, roll_back
from frontrow.app.parts import built_in, load_config, outcome_of
from frontrow.cli import DONE, FAILED, LOCKED, WRONG, main
from frontrow.core.errors import CommitFailed, StoreLocked
from frontrow.core.features import NAMES
from frontrow.core.frames import Frame
from frontrow.core.outcomes import OutcomeRules
from frontrow.core.promotions import PromotionRefused, promotions_of
from frontrow.storage.lock import StoreLock
from frontrow.storage.store import UNSEALED, Commit, Store
from frontrow_models.registry import Ledger, Registry
from frontrow_models.versions import Outcome, VersionRefused, encode, name_of
from tests.support.clock import ManualClock
from tests.support.daemons import write_config
from tests.support.rooms import START, engine, event
from tests.support.versions import version

DAY_MS = 86_400_000
LIKES = """
[outcome]
kinds = ["like"]
horizon_s = 90
"""


class Place:
    """A configuration, a store with a journal, and the registry beside it."""

    def __init__(self, folder: Path) -> None:
        self.config = write_config(folder)
        self.store = folder / "data" / "frontrow.db"
        self.registry = registry_beside(self.store)
        self.clock = ManualClock(START + 1_000 * DAY_MS)
        self.write("a", "b")

    def write(self, *ids: str, after: float = 0.0) -> None:
        store = Store.open(self.store)
        made = [event("like", after + number, id=id, seen_at=START + 5_000) for number, id in enumerate(ids)]
        store.append([Commit(Frame.of(made, [0] * len(made)), (), (), START)])
        store.close()

    def frames(self) -> list[Frame]:
        store = Store.open(self.store, create=False)
        try:
            return [frame for _, frame in store.frames()]
        finally:
            store.close()

    def run(self, *words: str) -> int:
        return main(["models", *words, "--config", str(self.config)])

    def ledger(self) -> Ledger:
        return ledger_of(self.registry, self.store)

    def promote(self, name: str) -> None:
        promote(self.registry, self.store, name, by="Li", reason="better", clock=self.clock)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def names(place: Place) -> list[str]:
    first = place.registry.add(version(10))
    return [
        first,
        place.registry.add(version(30, parents=[first], figures={"auc": 0.8, "ece": 0.01})),
        place.registry.add(version(20, seed=3)),
    ]


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def row_of(name: str, table: Sequence[str]) -> str:
    return next(line for line in table if name[:12] in line.split()[:2])


# ---------------------------------------------------------------------- promotions


def test_a_promotion_is_an_event_at_the_end_of_the_journal(place: Place, names: list[str]) -> None:
    before = place.frames()
    place.promote(names[0])
    after = place.frames()
    assert [frame.ids for frame in after[:-1]] == [frame.ids for frame in before]
    [made] = after[-1].events()
    assert (made.platform, made.room, made.kind) == ("frontrow", "models", "model_change")
    [(_, promotion)] = promotions_of(after[-1])
    assert (promotion.version, promotion.replaces, promotion.by) == (names[0], None, "Li")


def test_beside_a_daemon_a_name_that_the_registry_lacks_is_left_for_the_daemon_to_say(place: Place) -> None:
    """It may be a challenger's, which only the daemon knows."""
    lock = StoreLock(place.store)
    lock.acquire("a daemon")
    try:
        with pytest.raises(StoreLocked):
            place.promote("slow")
    finally:
        lock.release()


def test_engine_time_does_not_leap_to_the_day_on_which_somebody_promotes(
    place: Place, names: list[str]
) -> None:
    """A thousand days later every session would end, and every label would ripen as a negative."""
    place.promote(names[0])
    frames = place.frames()
    assert frames[-1].arrivals() == [START + 5_000]
    made = engine()
    for frame in frames[:-1]:
        made.apply(frame)
    now = made.now
    assert made.apply(frames[-1]).duplicates == []
    assert made.now == now


def test_an_empty_journal_begins_with_a_promotion_now(tmp_path: Path) -> None:
    store = tmp_path / "empty.db"
    Store.open(store).close()
    registry = registry_beside(store)
    made = promote(
        registry, store, registry.add(version()), by="", reason="", clock=ManualClock(START + DAY_MS)
    )
    assert made.at == START + DAY_MS


def test_promotions_follow_each_other_and_can_be_taken_back(place: Place, names: list[str]) -> None:
    for name in names:
        place.promote(name)
        place.write(f"after {name}")
    assert place.ledger().champion == names[2]
    back = roll_back(place.registry, place.store, by="Li", reason="worse", clock=place.clock)
    assert (back.number, back.version, back.replaces) == (4, names[1], names[2])
    assert roll_back(place.registry, place.store, by="", reason="", clock=place.clock).version == names[0]
    assert [each.version for each in place.ledger().promotions] == [*names, names[1], names[0]]
    ids = [id for frame in place.frames() for id in frame.ids]
    assert len(set(ids)) == len(ids)


def test_what_is_promoted_once_more_on_purpose_is_taken_back_to_what_led_in_between(
    place: Place, names: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for name in (names[0], names[1], names[0]):
        place.promote(name)
    for expected in (names[1], names[0]):
        assert place.run("rollback") == DONE
        assert place.ledger().champion == expected
    assert place.run("rollback") == FAILED
    assert "nothing led before" in capsys.readouterr().err


def test_nothing_of_a_journal_is_a_duplicate_to_the_engine_after_promotions_to_and_fro(
    place: Place, names: list[str]
) -> None:
    for name in (names[0], names[1], names[0], names[1]):
        place.promote(name)
    made = engine()
    assert [made.apply(frame).duplicates for frame in place.frames()] == [[]] * 5


def test_the_ledger_is_read_on_and_not_anew(place: Place, names: list[str]) -> None:
    place.promote(names[0])
    known = place.registry.ledger()
    assert (known.seq, known.champion) == (2, names[0])
    place.write("c")
    assert place.ledger().seq == 3
    assert place.registry.ledger().seq == 3


def test_a_ledger_of_another_journal_is_not_believed(place: Place, names: list[str], tmp_path: Path) -> None:
    place.promote(names[0])
    other = tmp_path / "other.db"
    store = Store.open(other)
    store.append([Commit(Frame.of([event("like", n)], [0]), (), (), START) for n in range(3)])
    store.close()
    assert ledger_of(place.registry, other).champion is None
    assert place.ledger().champion == names[0]


def test_a_crash_between_the_journal_and_the_ledger_loses_no_promotion(
    place: Place, names: list[str]
) -> None:
    class Full(Registry):
        def keep_ledger(self, ledger: Ledger) -> None:
            if ledger.promotions:
                raise OSError(28, "No space left on device")
            super().keep_ledger(ledger)

    with pytest.raises(OSError, match="No space"):
        promote(Full(place.registry._folder), place.store, names[0], by="", reason="", clock=place.clock)
    assert place.registry.ledger().champion is None
    assert place.ledger().champion == names[0]


def test_what_leads_already_and_what_cannot_be_used_is_not_promoted(
    place: Place, names: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    text = encode(msgspec.structs.replace(version(5), river="0.1"))
    (place.store.parent / "frontrow.db.models" / f"{name_of(text)}.json").write_bytes(text)
    place.promote(names[0])
    frames = len(place.frames())
    for name, words in (
        (names[0], "leads already"),
        (name_of(text), "River 0.1, whose arithmetic may differ"),
        ("0" * 64, "no version in the registry"),
    ):
        assert place.run("promote", name) == FAILED
        err = capsys.readouterr().err
        assert words in err
        assert err.count("\n") == 1
    assert len(place.frames()) == frames


@pytest.mark.parametrize("what", ["promote", "rollback"])
@pytest.mark.parametrize("running", [False, True])
def test_a_reason_that_would_be_cut_is_refused_whoever_has_the_store(
    place: Place, names: list[str], capsys: pytest.CaptureFixture[str], what: str, running: bool
) -> None:
    place.promote(names[0])
    place.promote(names[1])
    wish = [what, *([names[2]] if what == "promote" else [])]
    lock = StoreLock(place.store)
    if running:
        lock.acquire("today")
    try:
        assert place.run(*wish, "--reason", "贵" * 501) == FAILED
        assert "the reason has 501 characters; it may have 500" in capsys.readouterr().err
    finally:
        lock.release()
    assert len(place.ledger().promotions) == 2
    assert place.run(*wish, "--reason", "贵" * 500) == DONE
    assert place.ledger().promotions[2].reason == "贵" * 500


def test_a_version_that_was_changed_since_is_not_rolled_back_to(place: Place, names: list[str]) -> None:
    place.promote(names[0])
    place.promote(names[1])
    path = place.store.parent / "frontrow.db.models" / f"{names[0]}.json"
    path.write_bytes(path.read_bytes().replace(b"made-up", b"made-ip"))
    with pytest.raises(VersionRefused, match="another SHA-256"):
        roll_back(place.registry, place.store, by="", reason="", clock=place.clock)
    assert place.ledger().champion == names[1]


def test_beside_a_running_daemon_nothing_is_promoted_and_all_can_be_read(
    place: Place, names: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    lock = StoreLock(place.store)
    lock.acquire("today")
    try:
        assert place.run("promote", names[0]) == LOCKED
        assert "in use by frontrow, process" in capsys.readouterr().err
        for words in (("list",), ("show", names[0]), ("compare", names[0], names[1]), ("verify",)):
            assert place.run(*words) == DONE
    finally:
        lock.release()
    place.promote(names[0])


def test_a_version_of_another_outcome_is_neither_promoted_nor_compared_as_if_it_were_of_this_one(
    place: Place, names: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    configured = outcome_of(load_config(place.config, {}))
    likes = Outcome.of(OutcomeRules(kinds=frozenset({"like"})), 90_000)
    fits, other = (
        place.registry.add(version(40, outcome=outcome, figures={"auc": 0.9}))
        for outcome in (configured, likes)
    )
    assert place.run("promote", other) == FAILED
    err = capsys.readouterr().err
    assert f"predicts {likes}. Here what is to be predicted is {configured}" in err
    assert err.count("\n") == 1
    assert place.run("promote", fits) == DONE
    assert place.run("promote", names[0]) == DONE  # of before: nobody knows
    capsys.readouterr()
    assert place.run("compare", fits, other) == DONE
    out = capsys.readouterr().out
    assert ["auc", "0.9", "0.9", "–"] in [line.split() for line in out.splitlines()]
    assert f"their figures cannot be compared: {fits[:12]} {configured},\nand {other[:12]} {likes}." in out
    assert place.run("compare", fits, names[0]) == DONE
    assert "cannot be compared" not in capsys.readouterr().out
    assert place.run("show", other) == DONE
    assert f"predicts   {likes}" in lines(capsys)


def test_what_was_promoted_before_its_outcome_was_asked_for_is_still_followed(
    place: Place, names: list[str], tmp_path: Path
) -> None:
    likes = Outcome.of(OutcomeRules(kinds=frozenset({"like"})), 90_000)
    place.promote(place.registry.add(version(40, outcome=likes)))
    place.promote(names[0])
    out = str(tmp_path / "out")
    assert main(["replay", str(place.store), "--config", str(place.config), "--out", out]) == DONE
    assert place.run("verify") == DONE


def test_what_led_before_and_predicts_something_else_is_not_rolled_back_to(
    place: Place, names: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever rolls back wants what served well, and that was for another question."""
    configured = outcome_of(load_config(place.config, {}))
    likes = outcome_of(load_config(write_config(place.config.parent, LIKES), {}))
    write_config(place.config.parent)
    other = place.registry.add(version(40, outcome=likes))
    place.promote(other)
    place.promote(names[0])
    assert place.run("rollback") == FAILED
    err = capsys.readouterr().err
    assert f"{other}: predicts {likes}. Here what is to be predicted is {configured}" in err
    assert "promote another version instead (frontrow models list)" in err
    assert err.count("\n") == 1
    assert place.ledger().champion == names[0]
    write_config(place.config.parent, LIKES)  # as it was then
    assert place.run("rollback") == DONE
    assert place.ledger().champion == other


def test_the_list_marks_versions_of_another_outcome_and_says_what_to_do_where_one_leads(
    place: Place, names: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    configured = outcome_of(load_config(place.config, {}))
    likes = Outcome.of(OutcomeRules(kinds=frozenset({"like"})), 90_000)
    fits, other = (place.registry.add(version(40, outcome=outcome)) for outcome in (configured, likes))
    place.run("pin", other)
    place.promote(other)
    place.run("list")
    listed = lines(capsys)
    assert row_of(other, listed).endswith("pinned, of another outcome")
    assert not any("another outcome" in row_of(name, listed) for name in (fits, names[0]))
    [said] = [line for line in listed if line.startswith("The champion predicts")]
    assert said.startswith(
        f"The champion predicts {likes}. Here what is to be predicted is {configured}: promote"
    )
    place.promote(fits)
    place.run("list")
    assert not any(line.startswith("The champion predicts") for line in lines(capsys))


def test_without_a_configuration_what_is_built_in_says_what_is_to_be_predicted(
    place: Place, names: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    likes = Outcome.of(OutcomeRules(kinds=frozenset({"like"})), 90_000)
    other = place.registry.add(version(40, outcome=likes))
    place.config.unlink()
    monkeypatch.chdir(place.store.parent.parent)
    assert main(["models", "promote", other]) == FAILED
    assert f"Here what is to be predicted is {outcome_of(built_in())}" in capsys.readouterr().err
    for name in names[:2]:
        assert main(["models", "promote", name]) == DONE
    assert main(["models", "rollback"]) == DONE
    assert place.ledger().champion == names[0]


def test_a_version_of_another_folder_is_beside_the_store_before_it_leads(
    place: Place, names: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A daemon looks nowhere else, and would not start without it."""
    elsewhere = registry_beside(place.store, tmp_path / "elsewhere")
    name = elsewhere.add(version(40))
    place.promote(names[0])
    assert place.run("promote", name, "--registry", str(tmp_path / "elsewhere")) == DONE
    assert encode(place.registry.load(name)) == encode(elsewhere.load(name))
    assert place.run("verify") == DONE
    out = str(tmp_path / "out")
    assert main(["replay", str(place.store), "--config", str(place.config), "--out", out]) == DONE
    assert place.run("rollback", "--registry", str(tmp_path / "elsewhere")) == DONE
    assert place.ledger().champion == names[0]
    assert elsewhere.names() == [name]


def test_a_damaged_version_of_another_folder_is_neither_copied_nor_promoted(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "elsewhere"
    name = registry_beside(place.store, folder).add(version(40))
    (folder / f"{name}.json").write_bytes(b"{}")
    assert place.run("promote", name, "--registry", str(folder)) == FAILED
    assert "another SHA-256" in capsys.readouterr().err
    assert place.registry.names() == []
    assert place.ledger().champion is None


def test_a_version_that_cannot_be_copied_beside_the_store_is_not_promoted(
    place: Place, tmp_path: Path
) -> None:
    elsewhere = registry_beside(place.store, tmp_path / "elsewhere")
    name = elsewhere.add(version(40))
    (tmp_path / "data" / "frontrow.db.models").write_bytes(b"no folder")
    with pytest.raises(OSError, match=r"frontrow\.db\.models"):
        promote(elsewhere, place.store, name, by="", reason="", clock=place.clock)
    assert ledger_of(elsewhere, place.store).champion is None


def test_the_lock_is_given_back_whatever_happens(
    place: Place, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_store: Store) -> None:
        raise CommitFailed("the disk failed", cause="io")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "settle", fail)
        with pytest.raises(CommitFailed):
            place.promote(names[0])
    with pytest.raises(PromotionRefused):
        roll_back(place.registry, place.store, by="", reason="", clock=place.clock)
    place.promote(names[0])  # would raise StoreLocked
    lock = StoreLock(place.store)
    lock.acquire("now")
    lock.release()


# ---------------------------------------------------------------------- what a person sees


def test_the_list_marks_the_champion_and_tells_parents_and_age(
    place: Place, names: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    place.promote(names[0])
    place.promote(names[1])
    place.registry.pin(names[2])
    assert place.run("list") == DONE
    table = lines(capsys)
    assert [line.split()[0] for line in table[1:4]] == ["champion", names[2][:12], "led"]  # the newest first
    champion, pinned, led = (row_of(name, table) for name in (names[1], names[2], names[0]))
    assert names[0][:12] in champion.split()[2:]
    assert pinned.endswith("pinned")
    assert led.split()[5:8] == ["10", led.split()[6], "20"]  # labels, positives, age
    assert f"1  2025-06-15 15:06:45Z  {names[0][:12]} for the first model, by Li: better" in table
    assert f"2  2025-06-15 15:06:45Z  {names[1][:12]} for {names[0][:12]}, by Li: better" in table


def test_the_list_tells_what_is_wrong_and_that_nobody_was_promoted(
    place: Place, names: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = place.store.parent / "frontrow.db.models" / f"{names[0]}.json"
    path.write_bytes(path.read_bytes()[:-1])
    assert place.run("list") == DONE
    out = capsys.readouterr().out
    assert f"{names[0]}: its content has another SHA-256" in out
    assert "the model that the daemon began with leads" in out


def test_the_list_works_before_there_is_a_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_config(tmp_path)
    assert main(["models", "list", "--config", str(config)]) == DONE
    assert "no versions" in capsys.readouterr().out
    assert not (tmp_path / "data").exists()
    assert main(["models", "rollback", "--config", str(config)]) == FAILED
    assert "there is no store" in capsys.readouterr().err


def test_the_card_is_shown(place: Place, names: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    place.promote(names[1])
    assert place.run("show", names[1][:8]) == DONE
    shown = capsys.readouterr().out
    for words in (
        f"version    {names[1]}",
        "champion   since 2025-06-15",
        "Li: better",
        "30 labels",
        f"parent     {names[0]}",
        "Learnt from a made-up room.\n\nNot for sale.",
        "calibrated no",
    ):
        assert words in shown
    assert ["ece", "0.01"] in [line.split() for line in shown.splitlines()]


def test_two_versions_are_compared(
    place: Place, names: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert place.run("compare", names[0], names[1]) == DONE
    table = [line.split() for line in lines(capsys)]
    assert ["labels", "10", "30", "+20"] in table
    assert ["auc", "0.75", "0.8", "+0.05"] in table
    assert ["ece", "–", "0.01", "–"] in table
    start = table.index(["weight", "of", names[0][:12], names[1][:12], "difference"])
    differences = [abs(float(line[-1])) for line in table[start + 1 :]]
    assert differences == sorted(differences, reverse=True)
    assert differences[0] > 0
    assert len(differences) == len(NAMES) + 1  # and the intercept
    assert place.run("compare", names[0], names[2]) == DONE
    assert "Their scalers differ" in capsys.readouterr().out


def test_words_of_people_cannot_command_the_terminal(
    place: Place, names: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert place.run("promote", names[0], "--by", "Li\x1b[31m", "--reason", "good\n\x1b[2Jenough") == DONE
    capsys.readouterr()
    assert place.run("list") == DONE
    assert ", by Li[31m: good[2Jenough" in capsys.readouterr().out


def test_verify_tells_what_is_changed_and_what_is_missing(
    place: Place, names: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    place.promote(names[0])
    place.promote(names[1])
    assert place.run("verify") == DONE
    assert capsys.readouterr().out == "3 of 3 versions are sound; 2 promotions in the journal\n"
    folder = place.store.parent / "frontrow.db.models"
    (folder / f"{names[0]}.json").unlink()
    (folder / f"{names[2]}.json").write_bytes(b"{}")
    ledger = place.registry.ledger()
    ledger.promotions = ledger.promotions[1:]
    place.registry.keep_ledger(ledger)
    assert place.run("verify") == FAILED
    found = lines(capsys)
    assert found[0].startswith(f"{names[2]}: its content has another SHA-256")
    assert found[1].startswith("ledger.json does not tell what the journal says")
    assert found[2].startswith(f"{names[0]}: led once and is not in the registry")
    assert found[3].startswith("1 of 2 versions are sound")


def test_verify_tells_of_a_champion_that_this_build_cannot_use(
    place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place.promote(place.registry.add(version()))
    monkeypatch.setattr("frontrow_models.versions.RIVER", "0.99.0")  # as after an upgrade
    assert place.run("verify") == FAILED
    assert "the champion cannot be used" in capsys.readouterr().out


def test_pruning_keeps_what_led_and_what_is_pinned(
    place: Place, names: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    extra = place.registry.add(version(5))
    place.promote(names[0])
    assert place.run("pin", extra) == DONE
    assert place.run("prune", "--keep", "1") == DONE
    assert lines(capsys) == [f"removed {names[2]}"]
    assert place.run("pin", extra, "--off") == DONE
    assert place.run("prune", "--keep", "1") == DONE
    assert lines(capsys) == [f"removed {extra}"]
    assert place.run("prune", "--keep", "0") == WRONG


def test_damaged_pins_are_told_and_nothing_is_removed_or_written_over(
    place: Place, names: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pins = place.store.parent / "frontrow.db.models" / "pins.json"
    place.registry.pin(names[0])
    pins.write_bytes(damaged := pins.read_bytes()[:-2])
    assert place.run("verify") == FAILED
    assert lines(capsys)[0].startswith("pins.json, the list of the versions that are to be kept, is damaged;")
    assert place.run("list") == DONE
    assert "is damaged; nothing is pinned or removed until" in capsys.readouterr().out
    for words in (("prune", "--keep", "1"), ("pin", names[1]), ("pin", names[0], "--off")):
        assert place.run(*words) == FAILED
        err = capsys.readouterr().err
        assert "brought back from a backup, or removed and the versions pinned anew" in err
        assert err.count("\n") == 1
    assert main(["backup", str(tmp_path / "b.db"), "--config", str(place.config)]) == FAILED
    assert "pins.json" in capsys.readouterr().err
    assert registry_beside(tmp_path / "b.db").names() == place.registry.names() == sorted(names)
    assert pins.read_bytes() == damaged


def test_another_folder_of_versions_can_be_looked_at(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    name = registry_beside(place.store, other).add(version())
    assert place.run("show", name, "--registry", str(other)) == DONE
    assert name in capsys.readouterr().out
    assert place.run("show", name) == FAILED


def test_reading_changes_no_version_and_no_frame(place: Place, names: list[str]) -> None:
    place.promote(names[0])

    def digest() -> str:
        files = sorted((place.store.parent / "frontrow.db.models").iterdir())
        content = [path.read_bytes() for path in files] + [
            str(frame.events()).encode() for frame in place.frames()
        ]
        return hashlib.sha256(b"".join(content)).hexdigest()

    before = digest()
    for words in (("list",), ("show", names[0]), ("compare", names[0], names[1]), ("verify",)):
        assert place.run(*words) == DONE
    assert digest() == before


# ---------------------------------------------------------------------- doctor


def test_the_doctor_names_a_version_without_which_no_daemon_would_start(
    place: Place, names: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    place.promote(names[0])
    place.promote(names[1])
    assert main(["doctor", "--config", str(place.config)]) == DONE
    assert "ok       3 of 3 versions are sound; 2 promotions in the journal" in capsys.readouterr().out
    folder = place.store.parent / "frontrow.db.models"
    (folder / f"{names[0]}.json").unlink()
    (folder / f"{names[1]}.json").write_bytes(b"{}")
    assert main(["doctor", "--config", str(place.config)]) == FAILED
    out = capsys.readouterr().out
    assert "frontrow.db: NOT SOUND" in out
    assert f"problem  {names[0]}: led once and is not in the registry" in out
    assert f"problem  {names[1]}: its content has another SHA-256" in out


def test_the_doctor_asks_for_no_version_that_only_a_broken_journal_could_name(
    place: Place, names: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    place.promote(names[0])
    connection = apsw.Connection(str(place.store))
    connection.execute("UPDATE frames SET crc = crc + 1 WHERE seq = 2")
    connection.close()
    assert main(["doctor", "--config", str(place.config)]) == FAILED
    out = capsys.readouterr().out
    assert "LOST     frame 2" in out
    assert "versions" not in out


def test_a_doctor_and_a_verification_write_nothing(
    place: Place, names: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    place.promote(names[0])
    connection = apsw.Connection(str(place.store))
    connection.pragma("user_version", UNSEALED)  # a daemon of today would bring it up
    connection.execute("ALTER TABLE leads DROP COLUMN crc")
    connection.execute("ALTER TABLE outbox DROP COLUMN crc")
    connection.execute("DROP TABLE grouped")
    connection.execute("DROP INDEX leads_by_frame")
    connection.execute("ALTER TABLE leads DROP COLUMN position")
    connection.execute("ALTER TABLE tokens DROP COLUMN seller")
    connection.close()
    before = place.store.read_bytes()
    assert main(["doctor", "--config", str(place.config)]) == DONE
    assert place.run("verify") == DONE
    assert place.store.read_bytes() == before


# ---------------------------------------------------------------------- backup


def test_a_backup_has_the_versions_and_follows_the_promotions(
    place: Place, names: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place.promote(names[0])
    place.registry.pin(names[1])
    (place.store.parent / "frontrow.db.models" / f"{names[2]}.json").write_bytes(b"{}")  # never led
    to = tmp_path / "backup.db"
    assert main(["backup", str(to), "--config", str(place.config)]) == DONE
    assert f"{to}.models: 2 versions of the model" in capsys.readouterr().out
    copy = registry_beside(to)
    assert copy.names() == sorted(names[:2])
    assert copy.pins() == {names[1]}
    for name in names[:2]:
        assert encode(copy.read(name)) == encode(place.registry.read(name))
    assert ledger_of(copy, to).champion == names[0]


def test_a_backup_that_lacks_a_version_that_led_says_so(
    place: Place, names: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place.promote(names[0])
    (place.store.parent / "frontrow.db.models" / f"{names[0]}.json").unlink()
    to = tmp_path / "backup.db"
    assert main(["backup", str(to), "--config", str(place.config)]) == FAILED
    err = capsys.readouterr().err
    assert f"of the versions that led 1 cannot be copied: {names[0]}" in err
    assert to.exists()
