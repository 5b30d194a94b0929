"""What ``src`` gives. Each function says in C what it takes; who calls it stands in the module that it speeds up."""

from collections.abc import Callable, Sequence
from typing import Any, Self

INTERFACE: int

def directory_rows(
    rows: Any,
    sessions: Any,
    viewers: list[str],
    table: Any,
    shift: int,
    heads: Any,
    session_of: Any,
    /,
) -> list[int]: ...
def sessions_ahead(
    rooms: dict[tuple[str, str], Any],
    platforms: Sequence[str],
    names: Sequence[str],
    sessions: Sequence[str | None],
    bounds: tuple[int, int, int, int],
    bits: Any,
    at: Any,
    which: Any,
    numbers: Any,
    /,
) -> tuple[list[Any], list[Any]] | None: ...
def regression_steps(
    weights: Any,
    squares: Any,
    means: Any,
    intercept: float,
    mean_intercept: float,
    iterations: int,
    inputs: Any,
    outcomes: Any,
    counts: Any,
    intercept_rates: Any,
    options: tuple[float, float, float, float],
    /,
) -> tuple[float, float]: ...
def event_layout(
    fields: tuple[tuple[object, ...], ...], kind: int, needs: tuple[tuple[str, int], ...], /
) -> Any: ...
def read_events(
    layout: Any,
    block: bytes,
    read_one: Callable[[bytes], Any],
    read_object: Callable[[bytes], Any],
    is_array: bool,
    /,
) -> tuple[Any, ...] | None: ...
def sift(texts: list[Any], fits: list[bytes], becomes: Any, meet: Callable[[int], None], /) -> list[int]: ...
def sketches(texts: list[str], folding: Any, /) -> list[int]: ...
def spread_hits(
    found: list[tuple[int, int, int]], numbers: Any, forms: str, masks: Any, /
) -> list[tuple[int, str, list[tuple[int, int]]]]: ...
def keep_last(rows: Any, texts: list[Any], column: list[bytes | None], most: int, /) -> None: ...
def recall_texts(
    texts: list[str | None],
    kinds: list[str],
    kind: str,
    known: dict[str, int],
    facts: list[int],
    sketches: list[int],
    bits: int,
    positions: list[int] | None,
    marks: str,
    /,
) -> tuple[list[int], list[int]]: ...
def msgpack_column(column: list[Any], untold: object = ..., /) -> bytes | None: ...
def json_column(column: list[Any], untold: object = ..., /) -> bytes | None: ...
def write_differences(numbers: list[Any], /) -> bytes | None: ...
def least_and_most(numbers: list[Any], /) -> tuple[int, int] | None: ...
def write_numbers(
    numbers: list[int], width: int, kinds: list[Any] = ..., kind: str = ..., /
) -> bytes | None: ...
def largest_parts(
    parts: Any, inputs: Any, counts: Any, features: Any, logits: Any, values: Any, others: Any, /
) -> int: ...
def write_reasons(
    before: list[bytes],
    counts: Any,
    features: Any,
    logits: bytes,
    values: bytes,
    others: bytes,
    heads: list[bytes],
    other: bytes,
    last: bytes,
    /,
) -> list[bytes]: ...
def find_known(known: dict[bytes, bytes], keys: Any, /) -> list[bytes | None]: ...
def write_lines(
    head: bytes,
    viewers: list[str],
    points: list[int],
    grades: list[Any],
    probabilities: bytes,
    reasons: list[bytes],
    /,
) -> list[bytes] | None: ...
def code_column(column: list[Any], /) -> tuple[list[Any], bytes]: ...
def whole_numbers(column: list[int | None], others: list[int | None], numbers: Any, /) -> None: ...
def count_is(column: list[Any], value: object, /) -> int: ...
def all_same(column: list[str] | list[str | None], /) -> bool: ...
def sign_numbers(
    kinds: list[str], facts: list[int], known: dict[tuple[str, int], int], numbers: Any, /
) -> bool: ...
def event_amounts(
    counts: list[int | None], values: list[int | None], bits: Any, like: int, gift: int, amounts: Any, /
) -> None: ...

class SeenTable:
    now: int

    def __init__(self, hours: int, mask: int = 0xFFFFFFFF, /) -> None: ...
    def __len__(self) -> int: ...
    def take(
        self,
        platforms: Sequence[str],
        rooms: Sequence[str],
        ids: Sequence[str],
        arrived: Sequence[int | None],
        at: Sequence[int],
        /,
    ) -> list[int]: ...
    def knows(self, platform: str, room: str, id: str, /) -> bool: ...
    def image(
        self,
    ) -> tuple[int, list[tuple[str, str]], list[tuple[int, int]], bytes, bytes, bytes]: ...
    def load(
        self,
        now: int,
        rooms: list[Any],
        hours: list[Any],
        room_of: Any,
        lengths: Any,
        ids: Any,
        /,
    ) -> None: ...

class Taker:
    def __init__(
        self, rules: tuple[Any, ...], touched: dict[int, int] | None, active: set[int] | None, /
    ) -> None: ...
    def bind(self, columns: tuple[Any, ...], /) -> None: ...
    def of_frame(self, arrays: tuple[Any, ...], /) -> None: ...
    def of_part(self, sessions: list[Any], which: Any, /) -> None: ...
    def take(self, start: int, end: int, events: int, /) -> int: ...

class Talks:
    def __new__(cls, bounds: tuple[int, int, int, int], share: float, ways: Any, /) -> Self: ...
    def hear(self, sessions: list[int], viewers: list[str], sketches: list[int], /) -> None: ...
    def partners_of(
        self,
        session: int,
        viewer: str,
        just_said: list[int],
        partners: int,
        above: float,
        share: float,
        often: float,
        /,
    ) -> int: ...
    def forget(self, sessions: list[int], /) -> None: ...
    def state(self) -> tuple[int, list[Any]]: ...
    def load(self, young: int, talks: list[Any], /) -> None: ...
    def __sizeof__(self) -> int: ...
