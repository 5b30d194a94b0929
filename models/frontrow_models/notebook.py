"""The notebook API's port: how a notebook opens a journal, and what it then holds.

What reads journals and runs the engine lives on floors above this package, so nothing of it is imported here. Whoever
is installed and fits :class:`OpenJournal` says so by an entry point of the group :data:`GROUP`; the daemon's own
package does. See ``daemon/docs/adr/0012``.
"""

from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol

from frontrow.core.errors import FrontrowError
from frontrow_models.tables import Table

GROUP = "frontrow.notebook"
NAME = "open_journal"


class NotebookMissing(FrontrowError):
    """Nothing that is installed can open a journal."""


class Journal(Protocol):
    """Events that were recorded, and what the daemon's own code makes of them. Run when first asked, then kept."""

    def snapshots(self) -> Table:
        """Return every look at a viewer: features as served, what was said, and what became of it."""

    def leads(self) -> Table:
        """Return every lead and how it turned out."""

    def outcomes(self) -> Table:
        """Return every outcome, whoever's it was."""

    def report(self) -> Any:
        """Return how what was served is judged, beside its baselines; a notebook shows tables and plots."""

    def replay(self, *, config: str | Path | None = None, settings: Sequence[str] = ()) -> "Journal":
        """Return the same events under another configuration, or the same one with ``section.key=value`` settings."""

    def compare(self, other: Any) -> Any:
        """Return which leads ``other``, a replay of the same events, gains, loses and moves, and how they turned out."""


class OpenJournal(Protocol):
    """What an entry point of the group loads."""

    def __call__(
        self,
        *files: str | Path,
        config: str | Path | None = None,
        settings: Sequence[str] = (),
        since: int | None = None,
        until: int | None = None,
    ) -> Journal: ...


def open_journal(
    *files: str | Path,
    config: str | Path | None = None,
    settings: Sequence[str] = (),
    since: int | None = None,
    until: int | None = None,
) -> Journal:
    """Open a journal, or files of canonical events, to look at with the daemon's own code. Reads nothing yet.

    ``config`` is a configuration file. None: the defaults, and not the ``config.toml`` by which a daemon may have
    written the journal, so that a notebook gives the same wherever it is run; name that file to see what the daemon
    saw. ``settings`` are options set otherwise, as ``"model.learning_rate=0.05"``. Only snapshots served from
    ``since`` on and before ``until`` (UTC ms) are handed out; all events are run.

    Raises:
        NotebookMissing: The daemon's package is not installed, or was before it had this entry point.
    """
    found = [each for each in entry_points(group=GROUP) if each.name == NAME]
    if not found:
        raise NotebookMissing(
            "nothing installed can open a journal: install frontrow again (pip install frontrow)"
        )
    opener: OpenJournal = found[0].load()
    return opener(*files, config=config, settings=settings, since=since, until=until)
