"""``frontrow backtest``: which leads change under another configuration, and how they turned out, by the daemon's own code."""

import contextlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from frontrow.app.backtesting import differences_of, pair, report_lines, side_of
from frontrow.app.inputs import Inputs
from frontrow.app.offline import Challenged, Final, LeadsFollowed, Watcher, run
from frontrow.app.terminal import Bar, Progress
from frontrow.app.what_if import configured
from frontrow.cli import DONE, FAILED, WRONG, main
from frontrow.config import Config, OutcomeConfig, defaults
from frontrow.core.events import Event
from frontrow.core.frames import Frame
from frontrow.core.points import Policy, Rule
from frontrow_models.evaluation.rolling import Report
from frontrow_models.versions import span
from tests.support.clock import ManualClock
from tests.support.rooms import START, engine, event, facts_of
from tests.support.streams import evening

LOWER = ("--set", "points.hot=50", "--set", "points.hot_leave=45")
MINUTE = 60.0


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return evening(tmp_path_factory.mktemp("stream") / "evening.ndjson")


def backtest(out: Path, *words: str | Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    assert main(["backtest", *map(str, words), "--out", str(out)]) == DONE
    lines = (out / "diff.ndjson").read_bytes().splitlines()
    return json.loads((out / "summary.json").read_bytes()), [json.loads(line) for line in lines]


@dataclass(frozen=True)
class Lowered:
    """What a backtest of the stream against a lower bound for hot gives, and what it prints."""

    summary: dict[str, Any]
    diff: list[dict[str, Any]]
    told: str


@pytest.fixture(scope="module")
def lowered(stream: Path, tmp_path_factory: pytest.TempPathFactory) -> Lowered:
    out, told = tmp_path_factory.mktemp("lowered"), io.StringIO()
    with contextlib.redirect_stdout(told):
        found = backtest(out, stream, *LOWER)
    return Lowered(*found, told=told.getvalue() + (out / "summary.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def recorded(stream: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a replay of the stream, with the journal ``journal.db`` in it; to be read only."""
    folder = tmp_path_factory.mktemp("recorded")
    assert (
        main(["replay", str(stream), "--out", str(folder), "--journal", str(folder / "journal.db")]) == DONE
    )
    return folder


def replayed(out: Path, stream: Path, config: Path) -> dict[str, dict[str, Any]]:
    assert main(["replay", str(stream), "--out", str(out), "--config", str(config)]) == DONE
    leads = map(json.loads, (out / "leads.ndjson").read_bytes().splitlines())
    return {lead["lead"]: lead for lead in leads}


# ---------------------------------------------------------------------- the diff


def test_the_diff_is_what_two_replays_differ_in(stream: Path, tmp_path: Path) -> None:
    one, other = tmp_path / "one.toml", tmp_path / "other.toml"
    one.write_text("", "utf-8")
    other.write_text("[points]\nhot = 50\nhot_leave = 45\n", "utf-8")
    before, after = replayed(tmp_path / "a", stream, one), replayed(tmp_path / "b", stream, other)
    summary, diff = backtest(tmp_path / "out", stream, "--config", one, "--against", other)
    changed = {line["lead"]: line for line in diff}
    for lead in {*before, *after}:
        at, moved_to = (side[lead]["decided_at"] if lead in side else None for side in (before, after))
        if at == moved_to:
            assert lead not in changed
            continue
        line = changed.pop(lead)
        assert (line["before"] or {}).get("decided_at") == at
        assert (line["after"] or {}).get("decided_at") == moved_to
        expected = (
            "gained"
            if at is None
            else "lost"
            if moved_to is None
            else "earlier"
            if moved_to < at
            else "later"
        )
        assert line["change"] == expected
    assert not changed
    assert summary["moved"]["gained"]["leads"] > 0 < summary["moved"]["earlier"]["leads"]
    assert (summary["before"]["turnout"]["leads"], summary["after"]["turnout"]["leads"]) == (
        len(before),
        len(after),
    )


def test_the_other_way_round_what_was_gained_is_lost(stream: Path, lowered: Lowered, tmp_path: Path) -> None:
    config = tmp_path / "low.toml"
    config.write_text("[points]\nhot = 50\nhot_leave = 45\n", "utf-8")
    back, _ = backtest(
        tmp_path / "back",
        stream,
        "--config",
        config,
        "--set",
        "points.hot=80",
        "--set",
        "points.hot_leave=75",
    )
    for change, reverse in {"gained": "lost", "lost": "gained", "earlier": "later", "same": "same"}.items():
        assert lowered.summary["moved"][change]["leads"] == back["moved"][reverse]["leads"]


def test_the_model_is_the_one_that_a_replay_makes(lowered: Lowered, recorded: Path) -> None:
    """The backtest makes its learner itself, to see in which order it is asked: it must not become another one."""
    model = json.loads((recorded / "model.json").read_bytes())
    assert lowered.summary["before"]["model"] == model["version"]
    assert lowered.summary["before"]["labels"] == model["labels"] > 0


def test_a_journal_gives_what_its_events_give(lowered: Lowered, recorded: Path, tmp_path: Path) -> None:
    summary, diff = backtest(tmp_path, recorded / "journal.db", *LOWER)
    assert lowered.summary["duplicates"] > 0 == summary["duplicates"]
    assert lowered.summary | {"duplicates": 0} == summary
    assert lowered.diff == diff


def test_only_the_diff_names_viewers(lowered: Lowered) -> None:
    assert lowered.diff
    assert not any(line["viewer"] in lowered.told for line in lowered.diff)
    assert "points.hot " in lowered.told


# ---------------------------------------------------------------------- how leads turned out


def followed(*events: Event, outcome: OutcomeConfig | None = None, size: int = 1_000) -> LeadsFollowed:
    """Apply events with a table in which two clicks or one form make hot, in frames of a size."""
    rules = (
        Rule(name="click", signal="product_click", points=50, repeat=2),
        Rule(name="form", signal="form_submit", points=80),
    )
    made, found = engine(policy=Policy(rules=rules)), LeadsFollowed(outcome or OutcomeConfig())
    for start in range(0, len(events), size):
        part = events[start : start + size]
        found.see(made, made.apply(Frame.of(part, facts_of(part))), ())
    return found


def clicks(viewer: str, after: float) -> list[Event]:
    return [event("product_click", after + step, viewer=viewer) for step in (0.0, 1.0)]


@pytest.mark.parametrize("size", [1, 2, 1_000])
def test_the_first_outcome_after_the_lead_within_the_horizon_counts(size: int) -> None:
    found = followed(
        event("order_paid", 0.0, viewer="before", value=100),
        *(each for viewer in ("before", "in", "late", "never") for each in clicks(viewer, 10.0)),
        event("order_paid", 5 * MINUTE, viewer="in", value=300),
        event("order_paid", 6 * MINUTE, viewer="in", value=999),
        event("order_paid", 61 * MINUTE, viewer="late", value=500),
        event("like", 120 * MINUTE, viewer="clock"),
        size=size,
    )
    outcomes = {lead.viewer: lead.outcome for lead in found.leads}
    assert {viewer for viewer, outcome in outcomes.items() if outcome} == {"in"}
    assert outcomes["in"] is not None
    assert (outcomes["in"].value, outcomes["in"].after_ms) == (300, 289_000)
    turnout = found.turnout()
    assert (turnout.leads, turnout.known, turnout.came, turnout.value) == (4, 4, 1, 300)
    assert turnout.precision == 0.25
    assert turnout.low is not None
    assert turnout.low < 0.25
    assert turnout.waited.median_s == 289.0


@pytest.mark.parametrize("size", [1, 1_000])
def test_a_lead_whose_order_is_taken_back_did_not_turn_out_well_and_one_that_sales_won_did(size: int) -> None:
    viewers = ("kept", "back", "late", "won")
    found = followed(
        *(each for viewer in viewers for each in clicks(viewer, 10.0)),
        *(event("order_paid", 5 * MINUTE, viewer=viewer, value=300) for viewer in viewers[:3]),
        event("order_refunded", 9 * MINUTE, viewer="back", value=300),
        event("lead_outcome", 12 * MINUTE, viewer="won", outcome="ordered"),
        event("order_refunded", 70 * MINUTE, viewer="late", value=300),
        event("like", 120 * MINUTE, viewer="clock"),
        outcome=OutcomeConfig(won=("ordered",), values={"ordered": 7_000}),
        size=size,
    )
    told = {lead.viewer: lead.outcome and (lead.outcome.kind, lead.outcome.value) for lead in found.leads}
    assert told == {
        "kept": ("order_paid", 300),
        "back": None,
        "late": ("order_paid", 300),
        "won": ("lead_outcome", 7_000),
    }


@pytest.mark.parametrize("size", [1, 1_000])
def test_the_event_that_makes_hot_is_no_success_of_its_lead(size: int) -> None:
    form = event("form_submit", 0.0, viewer="a", consent=True)
    again = event("form_submit", 60.0, viewer="b", consent=True, id="b1")
    found = followed(form, again, event("form_submit", 90.0, viewer="b", consent=True, id="b2"), size=size)
    assert {lead.viewer: lead.outcome is not None for lead in found.leads} == {"a": False, "b": True}


def test_what_the_engine_does_not_count_is_no_outcome() -> None:
    watching = [each for viewer in ("form", "test", "renews") for each in clicks(viewer, 0.0)]
    events = [
        *watching,
        event("form_submit", 60.0, viewer="form"),  # without consent
        event("order_paid", 60.0, viewer="test", test=True),
        event("subscribe", 60.0, viewer="renews", renewal=True),
    ]
    kinds = ("order_paid", "form_submit", "subscribe")
    assert not any(lead.outcome for lead in followed(*events, outcome=OutcomeConfig(kinds=kinds)).leads)
    renewals = followed(*events, outcome=OutcomeConfig(kinds=kinds, renewals=True))
    assert [lead.viewer for lead in renewals.leads if lead.outcome] == ["renews"]


def test_a_lead_whose_horizon_has_not_passed_is_not_judged() -> None:
    bought = event("order_paid", 100.0, viewer="a", value=1)
    found = followed(*clicks("a", 0.0), *clicks("b", 0.0), bought, event("like", 50 * MINUTE))
    turnout = found.turnout()
    assert (turnout.leads, turnout.known, turnout.precision) == (2, 0, None)
    assert not found.known(found.leads[0])


def test_both_sides_are_judged_by_the_first_ones_outcome(stream: Path, tmp_path: Path) -> None:
    """Else a shorter horizon would make every lead look worse, and the difference would say nothing of the leads."""
    summary, diff = backtest(tmp_path, stream, "--set", "outcome.horizon_s=600")
    assert summary["before"]["turnout"] == summary["after"]["turnout"]
    assert not diff
    assert "same outcomes" in summary["unpaired"]


# ---------------------------------------------------------------------- models and challengers


def test_models_are_compared_on_the_same_snapshots(stream: Path) -> None:
    soon = ["model.min_labels=50", "model.min_positives=3", "outcome.horizon_s=900"]
    config = configured(None, soon, {})
    one = side_of(Inputs([stream]), config, config.outcome, sure=False)
    settings = [*soon, "model.learning_rate=0.002", "outcome.window_s=600"]
    other = side_of(Inputs([stream]), configured(None, settings, {}), config.outcome, sure=False)
    found, why = pair(one.final, other.final)
    assert not why
    assert found is not None
    assert found.comparison.labels > 100
    assert found.comparison.advantage is not None
    assert found.comparison.advantage != 0.0
    assert pair(one.final, one.final)[1] == "both sides' models said the same"
    assert all(each.change == "same" for each in differences_of(one.followed, other.followed))


class Cut(Inputs):
    """An input in small frames."""

    def frames(self, config: Config, *, size: int = 97, progress: Progress | None = None) -> Iterator[Frame]:
        return super().frames(config, size=97, progress=progress)


def test_challengers_know_what_was_known_then_wherever_frames_are_cut(stream: Path) -> None:
    """A large frame holds many looks and many outcomes; who took one after the other would learn late or too early."""
    found = []
    for inputs in (Inputs([stream]), Cut([stream])):
        challenged, final = Challenged(["fast", "text"], window_ms=120_000), Final()
        watchers: Sequence[Watcher] = (challenged, final)
        run(inputs, defaults(), watchers)
        found.append((challenged.standing(), final.lessons))
    assert found[0][0] == found[1][0]
    judged = {column.column: column.labels for column in found[0][0].report.columns}
    assert judged["fast"] > 100 < judged["text"]
    assert found[0][1] is not None
    assert found[1][1] is not None
    assert np.array_equal(found[0][1].served, found[1][1].served, equal_nan=True)


def test_a_challenger_alone_needs_no_other_side(
    stream: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary, diff = backtest(tmp_path, stream, "--challenger", "slow")
    assert (summary["after"], diff, list(summary["challengers"])) == (None, [], ["slow"])
    assert (tmp_path / "diff.ndjson").stat().st_mode & 0o077 == 0  # it is for viewers' ids
    printed = capsys.readouterr().out
    assert f"slow: {summary['challengers']['slow']['sentence']}" in printed
    assert summary["challengers"]["slow"]["comparison"]["labels"] == 0 < summary["before"]["report"]["labels"]
    assert "The champion had shown no probability yet of any of the" in printed
    soon = tmp_path / "soon.toml"
    soon.write_text("[model]\nmin_labels = 50\nmin_positives = 3\n[outcome]\nhorizon_s = 600\n", "utf-8")
    summary, _ = backtest(tmp_path, stream, "--challenger", "slow", "--config", soon)
    assert summary["before"]["report"]["columns"][0]["labels"] > 0
    assert summary["challengers"]["slow"]["comparison"]["labels"] == 0
    assert "once their room-session has been silent for an hour: none of the" in capsys.readouterr().out


def test_the_configuration_that_is_here_is_the_one_that_is_compared_with(
    stream: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for text, told in (
        (None, "what is built in, without the environment: there is no config.toml here"),
        ("hot = 62\n", "config.toml"),
    ):
        if text is not None:
            (tmp_path / "config.toml").write_text(f"[points]\n{text}hot_leave = 55\n", "utf-8")
        summary, _ = backtest(tmp_path / "out", stream, *LOWER)
        assert summary["options"]["points.hot"][0] == (defaults().points.hot if text is None else 62)
        assert f"Configured by {told}." in capsys.readouterr().out


def test_a_window_beyond_the_horizon_is_told_to_end_with_it(
    stream: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    beyond = "outcome.window_s is {} and not {}: it ends with the horizon"
    for settings, told in (
        (["outcome.window_s=9999"], [("What if", beyond.format("3,600", "9,999"))]),
        (["outcome.horizon_s=90"], [("What if", beyond.format("90", "120"))]),
        (["outcome.window_s=3600"], []),
    ):
        backtest(tmp_path, stream, *(word for each in settings for word in ("--set", each)))
        printed = capsys.readouterr().out
        assert [f"{label}, {sentence}" in printed for label, sentence in told] == [True] * len(told)
        assert printed.count("ends with the horizon") == len(told)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(3_600, "60 minutes"), (60, "1 minute"), (90, "90 seconds"), (86_400, "1,440 minutes")],
)
def test_a_horizon_is_said_as_it_is(seconds: int, words: str) -> None:
    assert span(seconds) == words


# ---------------------------------------------------------------------- refusals and the terminal


def test_what_cannot_be_done_is_said_in_a_sentence(
    stream: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ("--out", str(tmp_path / "out"))
    for words, code, sentence in (
        ([str(stream)], FAILED, "nothing to compare"),
        ([str(stream), "--set", "points.cap=100"], FAILED, "nothing to compare"),
        ([str(stream), "--challenger", "nobody"], WRONG, "no challenger is called 'nobody'"),
        ([str(stream), "--set", "points.hot"], WRONG, "write section.key=value"),
        ([str(stream), "--set", "points.hott=50"], WRONG, "--set points.hott:"),
        (
            [str(stream), "--set", "points.hot=60"],
            WRONG,
            "--set points.hot: points.hot_leave: must not be above",
        ),
        (["/dev/null", *LOWER], FAILED, "can be read more than once"),
        ([str(tmp_path / "none.ndjson"), *LOWER], FAILED, "none.ndjson"),
        ([*LOWER], FAILED, "at least one file"),
    ):
        assert main(["backtest", *words, *out]) == code, words
        assert sentence in capsys.readouterr().err.replace("\n", " "), words
    assert not (tmp_path / "out").exists()


def test_a_mistake_that_a_setting_makes_with_the_file_is_named_by_the_setting(
    stream: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "shop.toml"
    config.write_text("[points]\nhot_leave = 70\n", "utf-8")
    words = ["backtest", str(stream), "--out", str(tmp_path / "out"), "--config", str(config)]
    settings = ["--set", "points.hot=60", "--set", "model.l2=0.1"]
    assert main([*words, *settings]) == WRONG
    told = capsys.readouterr().err
    assert f"{config} with --set points.hot: points.hot_leave: must not be above hot (60)" in told
    config.write_text("[points]\nhot_leave = 90\n", "utf-8")
    assert main([*words, "--set", "model.l2=0.1"]) == WRONG
    assert "--set" not in capsys.readouterr().err


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


async def test_the_bar_is_drawn_on_terminals_alone_and_seldom() -> None:
    clock = ManualClock(START)
    for stream, drawn in ((Terminal(), 4), (io.StringIO(), 0)):
        with Bar(stream, clock, "run") as bar:
            for step in range(10):
                await clock.advance(0.051)
                bar.at(events=step * 100, done_bytes=step * 1_000_000, total_bytes=10_000_000)
        text = stream.getvalue()
        assert drawn <= text.count("of 10.0 MB") <= 5 * drawn
        assert text.endswith("\r\x1b[K") == (drawn > 0)


def test_a_report_of_the_last_labels_says_of_how_many() -> None:
    told = report_lines(
        "over 3 labels", Report(labels=3, immature=0.5, columns=[], final=9), Report(3, 0.5, []), {}
    )
    assert "Judged over the last 3 of 9 final labels." in told
    told = report_lines(
        "over 9 labels", Report(labels=9, immature=0.5, columns=[], final=9), Report(9, 0.5, []), {}
    )
    assert not any("Judged over the last" in line for line in told)
