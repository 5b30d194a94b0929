"""The forms of a store's journal, read as those may who hold its keys."""

from pathlib import Path
from typing import Any

from frontrow.core.centre.sealing import answers_of
from frontrow.core.events import Event
from frontrow.storage.store import Store
from frontrow.storage.vault import Vault, path_beside


def stored_forms(path: Path) -> list[tuple[Event, dict[str, Any]]]:
    """Return every ``form_submit`` with what its fields say, unsealed, in the journal's order."""
    store, vault = Store.open_to_read(path), Vault.open_to_read(path_beside(path))
    try:
        events = [event for _, frame in store.frames() for event in frame.events()]
        return [
            (event, answers_of(event, vault.unseal) or {}) for event in events if event.kind == "form_submit"
        ]
    finally:
        vault.close()
        store.close()
