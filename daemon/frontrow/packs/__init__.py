"""The packs that Frontrow brings, and where a pack's file is read; what one may hold is in :mod:`frontrow.core.centre.packs`."""

from pathlib import Path

from frontrow.core.centre.packs import Pack, load_pack
from frontrow.core.errors import ConfigError, Mistake

FOLDER = Path(__file__).parent
SHIPPED = ("auto", "commerce")


def path_of(name: str, folder: Path = FOLDER) -> Path:
    """Return where a pack's file is: of one that Frontrow brings by its name, of another by its path from ``folder`` on."""
    return FOLDER / f"{name}.toml" if name in SHIPPED else folder / name


def read_pack(name: str, folder: Path = FOLDER) -> Pack:
    """Return a pack by its name, where Frontrow brings it, or by its file's path, from ``folder`` on.

    Raises:
        ConfigError: With every mistake of the file, or that it cannot be read.
    """
    path = path_of(name, folder)
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(
            [Mistake(str(path), 0, 0, "", f"not UTF-8: byte {error.start} cannot be read")]
        ) from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        brought = ", ".join(SHIPPED)
        raise ConfigError(
            [Mistake(str(path), 0, 0, "", f"cannot be read: {reason} (Frontrow brings {brought})")]
        ) from error
    return load_pack(text, str(path))
