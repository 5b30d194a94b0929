"""Makes the notebook beside it: runs its cells in order and keeps what they print and show.

Plain JSON and ``exec``: nothing of Jupyter is needed to make or to test it. The stream is simulated, so the file
holds no real viewer. Run it with ``python models/notebooks/make.py`` after a change of what a cell shows.
"""

import ast
import io
import json
import os
import tempfile
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
NAME = "from_stream_to_promoted_model.ipynb"

# ("markdown" or "code", text), in order. A code cell's last expression is shown, as in a notebook.
CELLS: tuple[tuple[str, str], ...] = (
    ("markdown", """# From a stream to a promoted model

A simulated evening of four rooms, through the daemon's own code: what was seen, what the model said of it in time, how that
turned out, what another configuration would have changed, and a version that leads from then on. Made by `make.py`; every
number below comes from running it. On a real store, leave the first cells out and open `data/frontrow.db`."""),
    ("code", """from pathlib import Path

import numpy as np

from frontrow.cli import main
from frontrow_models import open_journal

folder = Path("evening")
folder.mkdir()
stream, store = folder / "evening.ndjson", folder / "frontrow.db\""""),
    ("markdown", "A stream with known truth, and the journal that a daemon would have kept of it."),
    ("code", """main(["simulate", "--out", str(stream), "--rooms", "4", "--sessions", "2",
      "--viewers", "250", "--minutes", "75", "--rate", "0.5", "--seed", "11"])
code = main(["replay", str(stream), "--out", str(folder / "replay"), "--journal", str(store)])
print("exit code", code, "·", len((folder / "replay" / "leads.ndjson").read_bytes().splitlines()), "leads")"""),
    ("markdown", """## What was seen

One row for each look at a viewer: the features as served, what was said, and what became of it.
`.to_polars()`, `.to_arrow()`, `.to_numpy()` and `.to_parquet(path)` take it elsewhere (columns: `models/docs/columns.md`)."""),
    ("code", """journal = open_journal(store)
looks = journal.snapshots().to_numpy()
stages, counts = np.unique(looks["stage"], return_counts=True)
print(len(looks["snapshot"]), "looks:", dict(zip(stages.tolist(), counts.tolist())))
journal"""),
    ("markdown", """## How what was said turned out

Judged progressively, by the probability that was served before the outcome was known, beside the baselines that must be
beaten: the base rate, points alone, and how recently somebody commented. Read it as it is: an evening of a few hundred
orders teaches a model little, and where it does not beat points, it must not decide."""),
    ("code", """report = journal.report()
print(report)"""),
    ("code", "report.reliability()"),
    ("code", "report.lift()"),
    ("markdown", """## What if

The same events under another points table: who would have become a lead, and how would it have turned out?"""),
    ("code", """lower = journal.replay(settings=["points.hot=60", "points.hot_leave=55"])
change = journal.compare(lower)
print(change)
change"""),
    ("markdown", "Another learning rate changes no lead (points decide by default), but what the model says."),
    ("code", """print(journal.compare(journal.replay(settings=["model.learning_rate=0.005"])))"""),
    ("markdown", """## A version, and its promotion

`frontrow retrain` learns the journal as the daemon would have and keeps what came of it; `frontrow models promote` lets a
version lead, as an event of the journal. (With the extra `frontrow[search]`, `--search 20` looks for better options on the
first part of the time and judges on the rest.)"""),
    ("code", """config = folder / "config.toml"
config.write_text('[storage]\\npath = "frontrow.db"\\n[model]\\nlearning_rate = 0.005\\n', "utf-8")
code = main(["retrain", str(store), "--config", str(config)])"""),
    ("code", """[version] = (path.stem for path in (folder / "frontrow.db.models").glob("*.json") if len(path.stem) == 64)
code = main(["models", "promote", version[:12], "--by", "notebook", "--reason", "shown how", "--config", str(config)])
code = main(["models", "list", "--config", str(config)])"""),
)  # fmt: skip


def make() -> bytes:
    """Run all cells in an empty folder and return the notebook's bytes."""
    names: dict[str, Any] = {}
    cells: list[dict[str, Any]] = []
    ran = 0
    for place, (kind, text) in enumerate(CELLS):
        cell: dict[str, Any] = {
            "cell_type": kind,
            "id": f"cell-{place:02}",
            "metadata": {},
            "source": text.splitlines(keepends=True),
        }
        if kind == "code":
            ran += 1
            cell |= {"execution_count": ran, "outputs": _run(text, names, ran)}
        cells.append(cell)
    notebook = {
        "cells": cells,
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return (json.dumps(notebook, indent=1, ensure_ascii=False) + "\n").encode()


def _run(text: str, names: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """Run a cell and return its outputs as a notebook has them."""
    tree = ast.parse(text)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    printed, shown = io.StringIO(), None
    with redirect_stdout(printed):
        exec(compile(tree, "cell", "exec"), names)  # noqa: S102 - the cells above, and nothing else
        if isinstance(last, ast.Expr):
            shown = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
    outputs: list[dict[str, Any]] = []
    if printed.getvalue():
        outputs.append(
            {"name": "stdout", "output_type": "stream", "text": printed.getvalue().splitlines(keepends=True)}
        )
    data: dict[str, list[str]] = {}
    for mime, method in (("text/html", "_repr_html_"), ("image/svg+xml", "_repr_svg_")):
        if hasattr(shown, method):
            data[mime] = getattr(shown, method)().splitlines(keepends=True)
    if data:
        data["text/plain"] = [f"<{type(shown).__name__}>"]
        outputs.append(
            {"data": data, "execution_count": count, "metadata": {}, "output_type": "execute_result"}
        )
    return outputs


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        before = Path.cwd()
        os.chdir(scratch)
        try:
            made = make()
        finally:
            os.chdir(before)
    (HERE / NAME).write_bytes(made)
