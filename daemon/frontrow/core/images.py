"""An image: all that one part holds at one moment, in plain values, so that it can be kept and taken over later."""

from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Image:
    """A copy that nobody changes. ``meta`` holds JSON values; ``texts`` are columns of many short strings."""

    meta: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    texts: dict[str, list[str | None]] = field(default_factory=dict)
