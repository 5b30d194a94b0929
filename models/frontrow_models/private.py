"""Files with personal data: only who runs the program may read them, as the store."""

import os
import stat
from pathlib import Path
from typing import BinaryIO

MODE = 0o600


def open_private(path: Path) -> BinaryIO:
    """Open a file to be written from its beginning, which only its owner may read, also if it was there before.

    Raises:
        OSError: It cannot be opened, or is somebody else's.
    """
    file = os.fdopen(os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, MODE), "wb")
    try:
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):  # a pipe or a device stays as it is
            os.fchmod(file.fileno(), MODE)
    except OSError:
        file.close()
        raise
    return file
