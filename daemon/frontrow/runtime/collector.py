"""The garbage collector of a daemon that is ready: quiet about what stays, and seldom about the rest.

A full collection walks every container that lives: with a lexicon, a compiled schema and some hundred thousand viewers
that takes a hundred milliseconds, in which no event is stored and no panel is told. What lives when the daemon is ready
lives until it ends, so it is taken out of sight; and events, frames and answers go by reference counting, without
cycles, so that there is little for a collection to find.
"""

import gc

# Containers made since the last collection of the youngest; the default, 700, is one frame's worth of them. Older
# generations follow after so many of the younger's.
THRESHOLDS = (50_000, 20, 50)

_DEFAULT = gc.get_threshold()


def settle() -> None:
    """Collect once, then take all that lives out of the collector's sight. Call it when all that stays has been made."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)


def release() -> None:
    """Undo :func:`settle`, for processes that outlive their daemon, as tests do. Idempotent."""
    gc.set_threshold(*_DEFAULT)
    gc.unfreeze()
