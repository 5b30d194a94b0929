"""``frontrow retrain``: an input is learnt as the daemon would have, judged as it goes, and kept as a version."""

import json
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import pytest

from frontrow.app.backtesting import compared_of
from frontrow.app.inputs import Inputs
from frontrow.app.models import promote, registry_beside
from frontrow.app.offline import Counts, Final, NotingLearner, options_of, run, shortest_window_of
from frontrow.app.parts import outcome_of
from frontrow.app.retraining import (
    Retrained,
    _Recorder,
    begin_from,
    card_text,
    figures_of,
    lines_of,
    online_of,
    retrain,
)
from frontrow.app.what_if import configured
from frontrow.cli import DONE, FAILED, WRONG, main
from frontrow.config import Config
from frontrow.core.lessons import Lessons
from frontrow_models.evaluation.reliability import log_loss
from frontrow_models.learner import Learner
from frontrow_models.online import ModelOptions
from frontrow_models.registry import Registry
from frontrow_models.search import RAW, WARM_UPS, WARMING, NothingToSearch, Record, progressive_loss, search
from frontrow_models.versions import from_version
from tests.support.clock import ManualClock
from tests.support.streams import evening

HALF_MS = 40 * 60_000


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return evening(tmp_path_factory.mktemp("stream") / "evening.ndjson", sessions=2)


def configured_in(folder: Path) -> Config:
    return configured(None, [f"storage.path={folder / 'frontrow.db'}"], {})


@dataclass(frozen=True)
class Learnt:
    """The stream, its first half, what was learnt of each, and the folder of the registry that holds both versions."""

    stream: Path
    half: Path
    whole: Retrained
    of_half: Retrained
    versions: Path


@pytest.fixture(scope="module")
def learnt(stream: Path, tmp_path_factory: pytest.TempPathFactory) -> Learnt:
    folder = tmp_path_factory.mktemp("learnt")
    half = folder / "half.ndjson"
    lines = stream.read_bytes().splitlines(keepends=True)
    half.write_bytes(b"".join(lines[: len(lines) // 2]))
    config = configured_in(folder)
    registry = registry_beside(config.storage.path)
    whole, of_half = (retrain(Inputs([path]), config, registry) for path in (stream, half))
    return Learnt(stream, half, whole, of_half, folder / "frontrow.db.models")


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return configured_in(tmp_path)


@pytest.fixture
def registry(config: Config, learnt: Learnt) -> Registry:
    """A registry of the test's own that has both versions."""
    shutil.copytree(learnt.versions, config.storage.path.with_name("frontrow.db.models"))
    return registry_beside(config.storage.path)


@pytest.fixture(scope="module")
def seen(stream: Path) -> tuple[Record, Lessons]:
    """What a search keeps of the stream, and its final outcomes with what was served."""
    recorder, final = _Recorder(), Final()
    run(Inputs([stream]), configured(None, [], {}), [recorder, final])
    assert final.lessons is not None
    return recorder.record, final.lessons


@pytest.fixture(scope="module")
def record(seen: tuple[Record, Lessons]) -> Record:
    return seen[0]


@pytest.fixture(scope="module")
def final(seen: tuple[Record, Lessons]) -> Lessons:
    return seen[1]


def test_what_is_kept_is_what_a_replay_learns(learnt: Learnt, tmp_path: Path, registry: Registry) -> None:
    assert main(["replay", str(learnt.stream), "--out", str(tmp_path / "out")]) == DONE
    model = json.loads((tmp_path / "out" / "model.json").read_bytes())
    kept = registry.load(learnt.whole.name)
    assert (kept.weights, kept.intercept, kept.labels) == (
        model["weights"],
        model["intercept"],
        model["labels"],
    )
    assert (kept.calibration, kept.label_policy) == (model["calibration"], model["label_policy"])
    assert from_version(kept).version == model["version"]
    assert kept.outcome == outcome_of(configured(None, [], {}))


def test_the_card_has_the_reports_figures_beside_the_baselines(learnt: Learnt) -> None:
    found = learnt.whole
    figures = found.version.card.figures
    assert figures == figures_of(found.compared)
    by_name = {column.column: column for column in found.compared.columns}
    assert figures["champion.log_loss"] == by_name["champion"].log_loss
    for name, column in by_name.items():  # how many looks and outcomes each stands on
        assert (figures[f"{name}.labels"], figures[f"{name}.outcomes"]) == (column.labels, column.outcomes)
    assert {"shown.roc_auc", "points.roc_auc", "recency.precision", "base_rate.log_loss"} <= set(figures)
    assert str(learnt.stream) not in found.version.card.text
    assert found.version.card.text.startswith(
        "Predicts form_submit or order_paid or won (said by sales) within 60 minutes of a look at a viewer;"
        " taken back by order_refunded; settled as none by "
    )


def test_the_card_tells_a_horizon_of_other_than_whole_minutes_in_seconds() -> None:
    alone = ['outcome.kinds=["like"]', "outcome.refunds=[]", "outcome.lost=[]", "centre.enabled=false"]
    for seconds, told in ((90, "90 seconds"), (120, "2 minutes"), (60, "1 minute")):
        config = configured(None, [*alone, f"outcome.horizon_s={seconds}", "outcome.window_s=30"], {})
        text = card_text(Counts(), config, compared_of(None), None, searched=False, final=0)
        assert text.startswith(f"Predicts like within {told} of a look at a viewer.\n")


def test_columns_are_compared_over_the_same_labels(learnt: Learnt) -> None:
    """While a model is not ready it shows nothing: a baseline judged on that time, too, has other rows to order."""
    found = learnt.whole
    shown = found.report.columns[0]
    assert shown.left_out > 0
    assert {column.labels for column in found.compared.columns} == {shown.labels}
    assert found.compared.columns[0] == msgspec.structs.replace(shown, left_out=0)
    assert f" {shown.labels:,} labels, {shown.outcomes:,} distinct outcomes." in found.version.card.text
    printed = "\n".join(lines_of(found))
    first, second = printed.split(f"over all {found.report.labels:,} labels")
    tables = [
        {line.split()[0]: line.split()[1] for line in part.splitlines() if line.split()}
        for part in (first, second)
    ]
    assert tables[0]["shown"] == tables[0]["points"] == f"{shown.labels:,}"
    assert tables[1]["points"] == f"{found.report.labels:,}"
    assert "shown" not in tables[1]


def test_the_same_input_gives_the_same_version(
    learnt: Learnt, tmp_path: Path, config: Config, registry: Registry
) -> None:
    moved = tmp_path / "elsewhere.ndjson"
    moved.write_bytes(learnt.stream.read_bytes())
    assert retrain(Inputs([moved]), config, registry).name == learnt.whole.name != learnt.of_half.name
    assert registry.names() == sorted({learnt.whole.name, learnt.of_half.name})


def test_a_version_goes_on_from_another(
    learnt: Learnt, tmp_path: Path, config: Config, registry: Registry
) -> None:
    parent = learnt.of_half
    rest = tmp_path / "rest.ndjson"
    rest.write_bytes(learnt.stream.read_bytes().removeprefix(learnt.half.read_bytes()))
    child = retrain(Inputs([rest]), config, registry, start=parent.name).version
    alone = retrain(Inputs([rest]), config, registry).version
    assert child.parents == [parent.name]
    assert alone.parents == []
    assert child.labels == parent.version.labels + alone.labels
    assert child.scaler.count == parent.version.scaler.count + alone.scaler.count
    assert child.label_policy["positives"] > alone.label_policy["positives"]


def test_the_champion_is_judged_only_by_what_it_cannot_have_learnt(
    learnt: Learnt, final: Lessons, tmp_path: Path, config: Config, registry: Registry
) -> None:
    old = learnt.of_half
    assert old.champion is None
    store = str(config.storage.path)
    assert main(["replay", str(learnt.half), "--out", str(tmp_path / "out"), "--journal", store]) == DONE
    promote(registry, config.storage.path, old.name, by="", reason="", clock=ManualClock())
    new = retrain(Inputs([learnt.stream]), config, registry)
    assert new.champion == old.name
    assert new.against is not None
    after = int(np.count_nonzero(final.served_at > old.version.created_at))
    assert 0 < new.against.comparison.labels <= after < len(final)
    again = retrain(Inputs([learnt.half]), config, registry)
    assert again.against is not None
    assert again.against.comparison.labels == 0


def test_delays_of_its_parent_count_only_where_they_are_of_the_same_window(learnt: Learnt) -> None:
    parent = learnt.whole.version
    for window_ms, positives in ((120_000, parent.label_policy["positives"]), (600_000, 0.0)):
        learner = Learner(ModelOptions(), window_ms=window_ms)
        begin_from(learner, parent, ModelOptions())
        policy = learner.state()["label_policy"]
        assert (policy["window_ms"], policy["positives"]) == (window_ms, positives)


def test_what_its_parent_may_have_learnt_from_does_not_judge_a_version(
    learnt: Learnt, final: Lessons, config: Config, registry: Registry
) -> None:
    parent = learnt.of_half
    found = retrain(Inputs([learnt.stream]), config, registry, start=parent.name)
    after = int(np.count_nonzero(final.served_at > parent.version.created_at))
    assert (found.report.labels, found.final) == (after, len(final))
    assert 0 < after < len(final)
    assert found.version.card.figures["judged.labels"] <= after
    assert "Judged progressively on what was served after its parent was made" in found.version.card.text
    assert f"{after:,} of {len(final):,} final labels" in "\n".join(lines_of(found))


def test_where_a_parent_may_have_learnt_from_all_there_are_no_figures(
    learnt: Learnt, final: Lessons, config: Config, registry: Registry
) -> None:
    parent = learnt.whole
    found = retrain(Inputs([learnt.half]), config, registry, start=parent.name)
    assert found.version.created_at == parent.version.created_at  # it knows what its parent knew
    grandchild = retrain(Inputs([learnt.stream]), config, registry, start=found.name)
    for each, labels in ((found, found.final), (grandchild, len(final))):
        assert each.report.labels == 0 < labels
        assert each.version.card.figures == {"judged.labels": 0.0}
        sentence = (
            f"There are no figures: none of the {labels:,} final labels was served after the parent was made"
        )
        assert sentence in each.version.card.text
        assert "rogressively" not in each.version.card.text
        assert "stands beside it" not in each.version.card.text
        printed = "\n".join(lines_of(each))
        assert sentence in printed
        assert "log loss" not in printed


def test_a_champion_of_another_outcome_is_compared_with_that_said(
    learnt: Learnt, tmp_path: Path, config: Config, registry: Registry
) -> None:
    predicts, store = learnt.of_half.version.outcome, str(config.storage.path)
    assert predicts is not None
    assert main(["replay", str(learnt.half), "--out", str(tmp_path / "out"), "--journal", store]) == DONE
    other = msgspec.structs.replace(predicts, kinds=["like"])
    for outcome, said in ((other, True), (None, False), (predicts, False)):
        champion = registry.add(msgspec.structs.replace(learnt.of_half.version, outcome=outcome))
        promote(registry, config.storage.path, champion, by="", reason="", clock=ManualClock())
        found = retrain(Inputs([learnt.stream]), config, registry)
        lines = lines_of(found)
        assert found.champion == champion
        assert any(line.startswith("Against the champion") for line in lines)
        told = f"But the champion was learnt for another outcome, by which it is not judged here: {other}."
        assert (told in lines) is said


def test_what_its_parent_may_have_learnt_from_does_not_prove_a_version_better_than_the_champion(
    learnt: Learnt, tmp_path: Path, config: Config, registry: Registry
) -> None:
    store = str(config.storage.path)
    assert main(["replay", str(learnt.half), "--out", str(tmp_path / "out"), "--journal", store]) == DONE
    promote(registry, config.storage.path, learnt.of_half.name, by="", reason="", clock=ManualClock())
    found = retrain(Inputs([learnt.stream]), config, registry, start=learnt.whole.name)
    assert found.against is not None
    assert found.against.comparison.labels == 0


def test_too_little_to_learn_is_said_and_nothing_kept(
    stream: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = tmp_path / "few.ndjson"
    few.write_bytes(b"".join(stream.read_bytes().splitlines(keepends=True)[:200]))
    folder = tmp_path / "models"
    words = ["retrain", str(few), "--registry", str(folder)]
    assert main(words) == FAILED
    assert "begins to learn after 500 snapshots" in capsys.readouterr().err
    assert main([*words, "--set", "model.enabled=false"]) == FAILED
    assert "there is no model to learn" in capsys.readouterr().err
    assert main([*words, "--search", "-1"]) == WRONG
    assert main([*words, "--from", "123456"]) == FAILED
    assert not folder.exists()


def test_it_goes_on_from_no_version_that_predicts_something_else(
    learnt: Learnt, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "models"
    shutil.copytree(learnt.versions, folder)
    before = sorted(folder.iterdir())
    words = ["retrain", str(learnt.half), "--registry", str(folder), "--from", learnt.whole.name]
    assert main([*words, "--set", "outcome.horizon_s=600"]) == FAILED
    told = capsys.readouterr().err
    assert "within 60 minutes" in told and "within 10 minutes" in told
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize("key", ["model.learning_rate", "model.min-labels", "MODEL.L2"])
def test_an_option_that_a_version_overrules_is_refused(
    key: str, learnt: Learnt, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "models"
    shutil.copytree(learnt.versions, folder)
    words = ["retrain", str(learnt.half), "--registry", str(folder), "--from", learnt.whole.name]
    before = sorted(folder.iterdir())
    value = {"model.learning_rate": "0.5", "model.min-labels": "300", "MODEL.L2": "0.1"}[key]
    assert main([*words, "--set", f"{key}={value}"]) == WRONG
    told = capsys.readouterr().err
    assert "does nothing with --from: a version goes on with its own options" in told
    assert sorted(folder.iterdir()) == before
    assert main([*words, "--set", "model.snapshot_every_s=5"]) == DONE  # this one is of the looks


def test_options_of_a_configuration_that_a_version_overrules_are_named_with_both_values(
    learnt: Learnt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """config.toml is read without being asked for, so that is no mistake, and not to be left unsaid."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(learnt.versions, tmp_path / "models")
    words = ["retrain", str(learnt.half), "--registry", "models"]
    on = ["--from", learnt.whole.name]
    own = ModelOptions()
    for text, said in (
        ("snapshot_every_s = 10", ""),  # no option that a version has
        (
            f"learning_rate = 0.5\nmin_labels = {own.min_labels}\nmin_positives = 30",
            (
                "Its parent's options of the model hold, and not the configured ones: learning_rate"
                f" {own.learning_rate:g} (configured 0.5), min_positives {own.min_positives} (configured 30)."
            ),
        ),
    ):
        (tmp_path / "config.toml").write_text(f"[model]\n{text}\n")
        assert main([*words, *on]) == DONE
        printed = [line for line in capsys.readouterr().out.splitlines() if "options of the model" in line]
        assert printed == ([said] if said else [])
    assert main(words) == DONE
    assert "options of the model" not in capsys.readouterr().out


def test_the_command_prints_the_name_and_how_it_stands(
    stream: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "none.db"
    words = ["retrain", str(stream), "--registry", str(tmp_path / "models"), "--set", f"storage.path={store}"]
    assert main(words) == DONE
    printed = capsys.readouterr().out
    [file] = (tmp_path / "models").glob("*.json")
    assert printed.startswith(f"version {file.stem}\n")
    assert "there is no champion" in printed
    assert not store.exists()


def test_what_is_retrained_by_the_configuration_here_is_found_by_the_commands_that_it_prints(
    learnt: Learnt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.toml").write_text(
        '[storage]\npath = "store/shop.db"\n[outcome]\nkinds = ["order_paid"]\n'
    )
    (tmp_path / "store").mkdir()
    store = str(tmp_path / "store" / "shop.db")
    assert main(["replay", str(learnt.half), "--out", "out", "--journal", store]) == DONE
    capsys.readouterr()
    assert main(["retrain", store]) == DONE
    printed = capsys.readouterr().out
    assert "Configured by config.toml." in printed
    assert "Kept in store/shop.db.models." in printed
    show, promote_it = (command.split()[1:] for command in printed.splitlines()[-1].split("    "))
    assert main(show) == DONE
    assert "Predicts order_paid or won (said by sales) within 60 minutes" in capsys.readouterr().out
    assert main(promote_it) == DONE
    assert main(["retrain", store, "--registry", "elsewhere", "--set", "model.l2=0.01"]) == DONE
    _, promote_other = capsys.readouterr().out.splitlines()[-1].split("    ")
    assert main(shlex.split(promote_other)[1:]) == DONE, (
        "a version of another folder is copied beside the store"
    )


@pytest.mark.parametrize("registry", [[], ["--registry", "my versions"], ["--set", "storage.path=other.db"]])
def test_where_there_is_no_configuration_the_command_that_is_printed_finds_the_version(
    registry: list[str],
    learnt: Learnt,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["models", "list", *(registry if "storage.path=other.db" not in registry else [])]) == WRONG
    capsys.readouterr()
    assert main(["retrain", str(learnt.half), *registry]) == DONE
    printed = capsys.readouterr().out
    assert "Configured by what is built in, without the environment: there is no config.toml here." in printed
    assert "frontrow models promote" not in printed  # there is no journal that it could be written into
    assert main(shlex.split(printed.splitlines()[-1])[1:]) == DONE
    assert learnt.of_half.name in capsys.readouterr().out


def test_a_configuration_that_was_named_is_named_in_the_command_that_is_printed(
    learnt: Learnt, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "a shop.toml"
    config.write_text("", "utf-8")
    assert main(["retrain", str(learnt.half), "--config", str(config)]) == DONE
    assert main(shlex.split(capsys.readouterr().out.splitlines()[-1])[1:]) == DONE
    assert learnt.of_half.name in capsys.readouterr().out


# ---------------------------------------------------------------------- the search


def test_a_trial_loses_what_the_engine_lost(record: Record, final: Lessons) -> None:
    """What a search learns again from its record must be what the daemon learnt, or it would find the wrong options."""
    config = configured(None, [], {})
    until = int(np.max(final.resolved_at)) + 1
    judged = final.take(final.resolved_at >= record.split(WARMING, until))
    logits = judged.served[:, RAW].astype(np.float64)
    expected = log_loss(1.0 / (1.0 + np.exp(-logits)), judged.outcome)
    assert expected is not None
    found = progressive_loss(record, options_of(config), window_ms=shortest_window_of(config), until=until)
    # The record holds inputs in single precision, the engine serves from double.
    assert found == pytest.approx(expected, rel=1e-4)


def test_a_trial_sees_nothing_that_was_known_later(record: Record) -> None:
    until = record.split(0.6)
    early = Record()
    for place, lessons in record.calls:
        if lessons is None:
            served, rooms = record.served[place]
            if served.served_at[0] < until:
                early.serve(served, rooms)
        else:
            early.learn(lessons.take(lessons.resolved_at < until))
    options = ModelOptions()
    whole, cut = (progressive_loss(each, options, window_ms=120_000, until=until) for each in (record, early))
    assert whole == cut is not None


def test_a_search_without_its_extra_says_which(
    stream: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    words = ["retrain", str(stream), "--registry", str(tmp_path / "models"), "--search", "2"]
    assert main(words) == FAILED
    assert "frontrow[search]" in capsys.readouterr().err
    assert not (tmp_path / "models").exists()


def test_a_search_finds_no_worse_options_and_always_the_same(record: Record) -> None:
    pytest.importorskip("optuna")
    until = record.split(0.6)
    start = ModelOptions(learning_rate=0.15, min_labels=7)
    told: list[float] = []
    found = [
        search(
            record,
            start,
            window_ms=120_000,
            until=until,
            trials=4,
            on_trial=lambda _, best: told.append(best),
        )
        for _ in range(2)
    ]
    assert found[0] == found[1]
    assert found[0].min_labels == 7
    assert WARM_UPS[0] <= found[0].warm_up <= WARM_UPS[1]
    losses = [progressive_loss(record, each, window_ms=120_000, until=until) for each in (found[0], start)]
    assert losses[0] is not None
    assert losses[1] is not None
    assert losses[0] <= losses[1]
    assert told[3] == losses[0]


def test_what_was_searched_on_does_not_judge(
    stream: Path, record: Record, final: Lessons, config: Config, registry: Registry
) -> None:
    pytest.importorskip("optuna")
    found = retrain(Inputs([stream]), config, registry, trials=2)
    assert found.judged_from == record.split(0.6)
    assert found.report.labels == int(np.count_nonzero(final.served_at >= found.judged_from)) > 0
    assert found.searched is not None
    assert found.version.options["learning_rate"] == found.searched.learning_rate
    assert "searched on the first part" in found.version.card.text


def test_where_all_that_is_final_was_searched_on_there_are_no_figures(
    learnt: Learnt, config: Config, registry: Registry
) -> None:
    pytest.importorskip("optuna")
    found = retrain(Inputs([learnt.half]), config, registry, trials=1)
    assert found.report.labels == 0 < found.final
    sentence = f"none of the {found.final:,} final labels was served after the part of the time that options were searched on"
    printed = "\n".join(lines_of(found))
    for text in (printed, found.version.card.text):
        assert sentence in text
    assert "judged on the rest" not in printed
    assert "no label is final yet" not in printed


def test_what_its_parent_may_have_learnt_from_is_not_searched_on(
    learnt: Learnt, final: Lessons, config: Config, registry: Registry
) -> None:
    pytest.importorskip("optuna")
    parent = learnt.of_half
    found = retrain(Inputs([learnt.stream]), config, registry, start=parent.name, trials=1)
    recorder = _Recorder(parent.version.created_at + 1)
    run(Inputs([learnt.stream]), config, [recorder])
    assert min(int(served.served_at[0]) for served, _ in recorder.record.served) > parent.version.created_at
    resolved = np.sort(final.resolved_at[final.served_at > parent.version.created_at])
    assert found.judged_from == recorder.record.split(0.6) == resolved[int(0.6 * (len(resolved) - 1))]
    assert found.report.labels == int(np.count_nonzero(final.served_at >= found.judged_from))
    with pytest.raises(NothingToSearch, match="after the parent was made"):
        retrain(Inputs([learnt.half]), config, registry, start=learnt.whole.name, trials=1)


def test_a_trial_that_goes_on_from_a_version_loses_what_the_engine_lost_that_did(
    learnt: Learnt, tmp_path: Path
) -> None:
    """Options that are best from nothing need not be best for what has learnt already: such steps come to rest."""
    rest = tmp_path / "rest.ndjson"
    lines = learnt.stream.read_bytes().splitlines(keepends=True)
    rest.write_bytes(b"".join(lines[len(lines) // 2 :]))
    config, version = configured(None, [], {}), learnt.of_half.version
    options, window_ms = options_of(config), shortest_window_of(config)

    def begin(learner: Learner, options: ModelOptions) -> None:
        begin_from(learner, version, options)

    learner, recorder, final = NotingLearner(options, window_ms=window_ms), _Recorder(), Final()
    begin(learner, options)
    run(Inputs([rest]), config, [recorder, final], learner=learner)
    assert final.lessons is not None
    record, until = recorder.record, int(np.max(final.lessons.resolved_at)) + 1
    judged = final.lessons.take(final.lessons.resolved_at >= record.split(WARMING, until))
    logits = judged.served[:, RAW].astype(np.float64)
    expected = log_loss(1.0 / (1.0 + np.exp(-logits)), judged.outcome)
    assert expected is not None
    found = progressive_loss(record, options, window_ms=window_ms, until=until, begin=begin)
    assert found == pytest.approx(expected, rel=1e-4)
    assert progressive_loss(record, options, window_ms=window_ms, until=until) != pytest.approx(
        expected, rel=1e-3
    )


def test_a_search_from_a_version_tries_its_options_on_what_goes_on_from_it(
    learnt: Learnt, config: Config, registry: Registry
) -> None:
    pytest.importorskip("optuna")
    parent = learnt.of_half
    options = ModelOptions(**parent.version.options)
    recorder = _Recorder(parent.version.created_at + 1)
    run(Inputs([learnt.stream]), config, [recorder])
    expected = progressive_loss(
        recorder.record,
        options,
        window_ms=shortest_window_of(config),
        until=recorder.record.split(0.6),
        begin=lambda learner, tried: begin_from(learner, parent.version, tried),
    )
    told: list[float] = []
    settings = [f"storage.path={config.storage.path}", "model.learning_rate=0.5", "model.min_positives=30"]
    found = retrain(
        Inputs([learnt.stream]),
        configured(None, settings, {}),
        registry,
        start=parent.name,
        trials=3,
        on_trial=lambda _, best: told.append(best),
    )
    assert told[0] == expected  # its own options are tried first
    assert found.searched is not None
    # It has its scaler already: after how many looks one is first made says nothing of it.
    assert found.searched.warm_up == options.warm_up
    assert found.overruled == {"min_positives": (options.min_positives, 30)}, "the others are told as found"
    [line] = [line for line in lines_of(found) if line.startswith("options found")]
    assert "warm_up" not in line


def test_a_copy_of_a_learners_model_is_that_model() -> None:
    options = ModelOptions(warm_up=10)
    learner = Learner(options, window_ms=120_000)
    rng = np.random.default_rng(3)
    learner.serve(
        rng.random((20, len(learner.weights().means))), ["sim/a"] * 20, *np.zeros((2, 20), np.int64)
    )
    assert online_of(learner, options).version == learner.version
