"""The memory of a daemon that is ready: its garbage collector is quiet about what stays and seldom about the rest, and arrays that are
outgrown go back to the system.

A full collection walks every container that lives: with a lexicon, a compiled schema and some hundred thousand viewers
that takes a hundred milliseconds, in which no event is stored and no panel is told. What lives when the daemon is ready
lives until it ends, so it is taken out of sight; and events, frames and answers go by reference counting, without
cycles, so that there is little for a collection to find.

The columns of viewers grow by being copied into larger ones. glibc gives memory of its own to what is large and takes
that back when it is let go, but what is large grows with what was let go (``mallopt(3)``, M_MMAP_THRESHOLD), up to 32
MiB: outgrown columns become holes in the heap. With a fixed bound a daemon of 1,000,000 viewers is 68 MB smaller, and
no slower.
"""

import ctypes
import gc

# Containers made since the last collection of the youngest; the default, 700, is one frame's worth of them. Older
# generations follow after so many of the younger's.
THRESHOLDS = (50_000, 20, 50)

LARGE_BYTES = 4 * 1_024 * 1_024  # more than what a frame needs for a moment

_M_MMAP_THRESHOLD = -3  # malloc.h
_DEFAULT = gc.get_threshold()


def settle() -> None:
    """Collect once, then take all that lives out of the collector's sight. Call it when all that stays has been made."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    give_back()


def give_back() -> None:
    """From now on, let memory of :data:`LARGE_BYTES` and more go back to the system as soon as it is let go. Does nothing without glibc."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library, or none that can be asked
        return
    mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES)


def release() -> None:
    """Undo :func:`settle`, for processes that outlive their daemon, as tests do; large memory goes on to be given back. Idempotent."""
    gc.set_threshold(*_DEFAULT)
    gc.unfreeze()
