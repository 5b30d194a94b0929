"""The compiled kernel, if it was built here: the same results as Python's and numpy's path, to the bit, in less time.

It is a package of its own (``kernel``), which the Makefile builds where there is a compiler. Whoever has a compiled
way asks ``kernel.compiled`` when an object is made, and goes the other way where that is None. Tests hold both ways
together.
"""

from types import ModuleType
from typing import TYPE_CHECKING

INTERFACE = 16  # of the kernel that this version works with

if TYPE_CHECKING:
    import frontrow_kernel as _found
else:
    try:
        import frontrow_kernel as _found
    except ImportError:
        _found = None

compiled: ModuleType | None = None
if _found is not None and _found.INTERFACE == INTERFACE:
    compiled = _found


def described() -> str:
    """Return in words which way is gone."""
    if compiled is not None:
        return "compiled kernel"
    if _found is not None:
        return "Python alone: the compiled kernel here is of another version (make builds the right one)"
    return "Python alone: no compiled kernel was built here, which costs speed and nothing else"


def switch_off() -> None:
    """Go without the kernel from now on: to look whether something is its fault. What was made before goes on as it is."""
    global compiled
    compiled = None
