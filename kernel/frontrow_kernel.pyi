"""What ``src`` gives. Each function says in C what it takes; who calls it stands in the module that it speeds up."""

from typing import Any

INTERFACE: int

def regression_steps(
    weights: Any,
    squares: Any,
    intercept: float,
    inputs: Any,
    outcomes: Any,
    counts: Any,
    intercept_rates: Any,
    options: tuple[float, float, float],
    /,
) -> float: ...
