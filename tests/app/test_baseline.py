"""The baseline of the benchmarks does the product's job: else a ratio of their speeds would say nothing."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from frontrow.cli import DONE, main
from frontrow.config import defaults
from frontrow.core import explaining
from frontrow.core.events import Event
from frontrow.core.features import COUNT
from frontrow_models.simulate import Faults, Scenario, busy_room, simulate, write_ndjson
from tests.benchmarks import baseline

Key = tuple[str, ...]
Line = dict[str, Any]

# Both are longer than the outcome's horizon of an hour, so that labels mature and weights leave 0. The first has
# what platforms do to events: duplicates, late ones, staff, forms, visits. The second is the benchmarks' own.
STREAMS: dict[str, Callable[[], Iterable[Event]]] = {
    "an evening": lambda: simulate(
        Scenario(
            seed=5,
            viewers=200,
            duration_s=5400,
            events_per_s=0.5,
            faults=Faults(duplicate=0.03, reorder=0.05),
        )
    ),
    "a busy room": lambda: busy_room(events=3_000, viewers=100, events_per_s=0.5),
}


@pytest.fixture(scope="module", params=list(STREAMS))
def outputs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """What the product and what the baseline wrote of the same stream, each with a journal, and all features told."""
    folder = tmp_path_factory.mktemp("baseline")
    stream, ours, theirs = folder / "stream.ndjson", folder / "product", folder / "baseline"
    with stream.open("wb") as file:
        write_ndjson(STREAMS[request.param](), file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(explaining, "TOLD", COUNT)
        patch.setattr(baseline, "TOLD", COUNT)
        assert main(["replay", str(stream), "--out", str(ours), "--journal", str(folder / "ours.db")]) == DONE
        summary = baseline.replay(stream, out=theirs, journal=folder / "theirs.db", config=defaults())
    (theirs / "summary.json").write_text(json.dumps(summary))
    return ours, theirs


def lines(folder: Path, name: str) -> dict[Key, Line]:
    found = [json.loads(line) for line in (folder / name).read_bytes().splitlines()]
    keyed = {tuple(line[part] for part in ("platform", "room", "session", "viewer")): line for line in found}
    assert len(keyed) == len(found)
    return keyed


def reasons(line: Line, kind: str) -> list[Line]:
    return [reason for reason in line["reasons"] if reason["kind"] == kind]


def test_it_counts_what_the_product_counts(outputs: tuple[Path, Path]) -> None:
    ours, theirs = (json.loads((folder / "summary.json").read_bytes()) for folder in outputs)
    for name in ("events", "duplicates", "rejected", "viewers", "leads"):
        assert theirs[name] == ours[name], name
    assert ours["leads"] > 5
    assert theirs["labels"] > 200, "the model was taught"


def test_points_grades_and_their_reasons_are_the_products(outputs: tuple[Path, Path]) -> None:
    ours, theirs = (lines(folder, "viewers.ndjson") for folder in outputs)
    assert theirs.keys() == ours.keys()
    for key, line in ours.items():
        assert (theirs[key]["points"], theirs[key]["grade"]) == (line["points"], line["grade"]), key
        assert reasons(theirs[key], "rule") == reasons(line, "rule"), key
        assert (theirs[key]["probability"] is None) == (line["probability"] is None), key


def test_leads_are_the_products_decided_at_the_same_moment(outputs: tuple[Path, Path]) -> None:
    ours, theirs = (lines(folder, "leads.ndjson") for folder in outputs)
    assert theirs.keys() == ours.keys()
    for key, lead in ours.items():
        for name in set(lead) - {"probability", "model", "reasons"}:
            assert theirs[key][name] == lead[name], (key, name)
        assert reasons(theirs[key], "rule") == reasons(lead, "rule"), key


def test_features_have_the_products_values(outputs: tuple[Path, Path]) -> None:
    """Told where a weight is not 0; the weights differ, since labels are learnt at other moments.

    The product keeps what fades in 32 bits.
    """
    ours, theirs = (lines(folder, "viewers.ndjson") for folder in outputs)
    compared: set[str] = set()
    for key, line in ours.items():
        values = {reason["name"]: reason["value"] for reason in reasons(theirs[key], "feature")}
        for reason in reasons(line, "feature"):
            if reason["name"] in values:
                assert values[reason["name"]] == pytest.approx(reason["value"], rel=1e-5, abs=1e-7), key
                compared.add(reason["name"])
    assert len(compared) > 20, sorted(compared)
