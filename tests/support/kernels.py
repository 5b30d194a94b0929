"""Going without the compiled kernel for a while, to hold both ways together."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from frontrow.core import kernel


@contextmanager
def without_kernel() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernel, "compiled", None)
        yield
