"""The compiled crowd holds its own state: whatever is done to it, it is that of the dictionaries, and it does not grow."""

import copy
import gc
import math
import random
import sys
from array import array
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frontrow.core import crowd as module
from frontrow.core import kernel
from frontrow.core.crowd import Crowd, CrowdRules

pytestmark = pytest.mark.usefixtures("kernel_present")

NAMES = ("v", "é", "多", "😊", "\ud800", "a longer name than others have ", "")


class Shape(NamedTuple):
    """What may be said by whom, and how much of it is remembered."""

    lines: int
    speakers: int
    generation: int
    share: float
    partners: int
    sessions: int
    viewers: int
    texts: int
    halves: int


SHAPES = st.builds(
    Shape,
    lines=st.integers(1, 8),
    speakers=st.integers(1, 20),
    generation=st.sampled_from([1, 7, 40, 150, 100_000]),
    share=st.sampled_from([0.2, 0.34, 0.5, 0.7, 1.0]),
    partners=st.integers(1, 4),
    sessions=st.integers(1, 5),
    viewers=st.integers(2, 60),
    texts=st.integers(2, 40),
    halves=st.integers(1, 30),
)


class Both:
    """A compiled crowd and one of Python that are told the same."""

    def __init__(self, shape: Shape, dice: random.Random, patch: pytest.MonkeyPatch) -> None:
        self.shape, self.dice = shape, dice
        for name, bound in (
            ("LINES", shape.lines),
            ("SPEAKERS", shape.speakers),
            ("GENERATION", shape.generation),
        ):
            patch.setattr(module, name, bound)
        rules = CrowdRules(share=shape.share, partners=shape.partners, above_chance=1.0)
        self.compiled = Crowd(rules)
        with patch.context() as without:
            without.setattr(kernel, "compiled", None)
            self.python = Crowd(rules)
        self.judged = 0

    def viewer(self) -> str:
        number = self.dice.randrange(self.shape.viewers)
        return f"{NAMES[number % len(NAMES)]}{number}"

    def sketch(self) -> int:
        text = int(self.dice.triangular(0, self.shape.texts, 0))
        return (text + 1) << 24 | self.dice.randrange(1, self.shape.halves + 1)

    def hear(self) -> None:
        comments = range(self.dice.choice([0, 1, 2, 10, 100]))
        sessions = [self.dice.randrange(self.shape.sessions) << 31 for _ in comments]
        viewers, sketches = [self.viewer() for _ in comments], [self.sketch() for _ in comments]
        for crowd in (self.compiled, self.python):
            crowd.hear(sessions, viewers, sketches)

    def forget(self) -> None:
        over = [self.dice.randrange(self.shape.sessions + 1) << 31 for _ in range(self.dice.randrange(3))]
        for crowd in (self.compiled, self.python):
            crowd.forget(over)

    def exchange(self) -> None:
        """Let each go on from what the other one has kept."""
        compiled, python = copy.deepcopy(self.compiled.state()), copy.deepcopy(self.python.state())
        self.compiled.load(python)
        self.python.load(compiled)

    def judge(self) -> None:
        for _ in range(10):
            session, viewer = self.dice.randrange(self.shape.sessions) << 31, self.viewer()
            just_said = [self.sketch() for _ in range(self.dice.choice([0, 0, 1, 5]))]
            for grouped in (False, True):
                found = self.compiled.partners_of(session, viewer, just_said, grouped=grouped)
                assert found == self.python.partners_of(session, viewer, just_said, grouped=grouped)
                self.judged += found > 0
            self._weigh(session, viewer, just_said)

    def _weigh(self, session: int, viewer: str, just_said: list[int]) -> None:
        """Look that both expect of chance the same to the last bit: by asking for that much, and for a little more or less."""
        seen: list[tuple[int, float]] = []
        talks = self.python._talks
        own = talks._partners

        def partners(*arguments: Any) -> Any:
            found = own(*arguments)
            seen.append(found[:2])
            return found

        talks._partners = partners
        talks.partners_of(session, viewer, just_said, 1, 0.0, 0.0, 1.0)
        del talks._partners
        for count, by_chance in seen:
            if count and by_chance:
                above = count / by_chance
                for asked in (math.nextafter(above, 0), above, math.nextafter(above, math.inf)):
                    arguments = session, viewer, just_said, 1, asked, 0.0, 1.0
                    assert self.compiled._talks.partners_of(*arguments) == talks.partners_of(*arguments)


@settings(deadline=None, max_examples=60)
@given(
    shape=SHAPES,
    seed=st.integers(0, 1 << 32),
    steps=st.lists(
        st.sampled_from(["hear", "hear", "hear", "judge", "forget", "exchange"]), min_size=1, max_size=25
    ),
)
def test_whatever_is_done_the_compiled_crowd_is_that_of_python(
    shape: Shape, seed: int, steps: list[str]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        both = Both(shape, random.Random(seed), patch)
        for step in steps:
            getattr(both, step)()
            assert both.compiled.state() == both.python.state()


@pytest.mark.parametrize("seed", range(4))
def test_over_many_generations_too(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    dice = random.Random(seed)
    shape = Shape(8, dice.choice([3, 6, 30]), 120, 0.5, 2, 3, 70, 60, 40)
    both = Both(shape, dice, monkeypatch)
    for _ in range(150):
        getattr(both, dice.choice(["hear", "hear", "hear", "hear", "judge"]))()
        if dice.random() < 0.05:
            both.forget()
        if dice.random() < 0.03:
            both.exchange()
        assert both.compiled.state() == both.python.state()
    assert both.judged


# ---------------------------------------------------------------------- memory


def made(
    lines: int = 8, speakers: int = 64, generation: int = 1_000, *, bits: int = 24, ways: int = 257
) -> Any:
    assert kernel.compiled is not None
    return kernel.compiled.Talks((bits, lines, speakers, generation), 0.5, array("d", [1.0] * ways))


def test_memory_does_not_grow_with_what_was_ever_said() -> None:
    """A hundred lines of each broadcast are said by others each time: their speakers are known for long after they are forgotten."""
    talks, sizes = made(), []
    for number in range(160):
        for session in (1, 2):
            viewers = [f"{session} {number} {viewer}" for viewer in range(100)] * 2
            sketches = [7 << 24 | 7] * 100 + [
                (number * 200 + session * 100 + each + 10) << 24 | each + 1 for each in range(100)
            ]
            talks.hear([session] * 200, viewers, sketches)
        sizes.append(sys.getsizeof(talks))
    assert max(sizes[80:]) <= max(sizes[:80])
    assert max(sizes) < 2 * 100 * 64 * 120  # bytes for each speaker


def test_memory_does_not_grow_with_broadcasts_that_are_over() -> None:
    talks, sizes = made(generation=1 << 30), []
    for session in range(3_000):
        talks.hear(
            [session] * 20, [f"v{each}" for each in range(20)], list(range(1 << 24, 21 << 24, 1 << 24))
        )
        if session >= 3:
            talks.forget([session - 3])
        sizes.append(sys.getsizeof(talks))
    assert max(sizes) < 100_000
    assert len(talks.state()[1]) == 3


def test_what_one_call_was_too_much_for_is_given_back() -> None:
    talks = made()
    empty = sys.getsizeof(talks)
    talks.hear(
        [1] * 100_000, [f"v{each}" for each in range(100_000)], [(each + 1) << 24 for each in range(100_000)]
    )
    full = sys.getsizeof(talks)
    for session in range(2, 10):
        talks.hear(
            [session] * 600, [f"v{each}" for each in range(600)], [(each + 1) << 24 for each in range(600)]
        )
    assert sys.getsizeof(talks) < full / 20
    talks.forget(list(range(2, 10)))
    talks.hear([5], ["v"], [1 << 24])
    talks.forget([5])
    assert sys.getsizeof(talks) < empty + 50_000


def test_names_are_held_no_longer_than_they_are_known() -> None:
    name = "a name that nothing else holds"
    before = sys.getrefcount(name)
    talks = made(generation=100)
    talks.hear([1, 1], [name, name], [1 << 24, 2 << 24])
    assert sys.getrefcount(name) > before
    talks.forget([1])
    assert sys.getrefcount(name) == before
    talks.hear([2], [name], [1 << 24])
    for start in (0, 100):
        talks.hear(
            [2] * 100, [f"v{start + each}" for each in range(100)], [(each + 9) << 24 for each in range(100)]
        )
    assert sys.getrefcount(name) == before
    talks.hear([3], [name], [1 << 24])
    del talks
    assert sys.getrefcount(name) == before


# ---------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("bounds", "ways"),
    [
        ((0, 8, 64, 100), 9),
        ((32, 8, 64, 100), 9),
        ((24, 0, 64, 100), 9),
        ((24, 9, 64, 100), 9),
        ((24, 8, 0, 100), 9),
        ((24, 8, 1 << 20, 100), 9),
        ((24, 8, 64, 0), 9),
        ((24, 8, 64, 100), 0),
    ],
)
def test_bounds_that_nothing_can_have_are_refused(bounds: tuple[int, int, int, int], ways: int) -> None:
    bits, lines, speakers, generation = bounds
    with pytest.raises(ValueError):
        made(lines, speakers, generation, bits=bits, ways=ways)


@pytest.mark.parametrize(
    ("sessions", "viewers", "sketches", "error"),
    [
        ([1, 1], ["v", "w"], [1 << 24, "x"], TypeError),
        ([1, 1], ["v", "w"], [1 << 24, 1 << 48], ValueError),
        ([1, 1], ["v", "w"], [1 << 24, 1 << 70], ValueError),
        ([1, 1], ["v", "w"], [1 << 24, -1], ValueError),
        ([1, "x"], ["v", "w"], [1 << 24, 1 << 24], TypeError),
        ([1, -1], ["v", "w"], [1 << 24, 1 << 24], ValueError),
        ([1, 1 << 63], ["v", "w"], [1 << 24, 1 << 24], ValueError),
        ([1, 1], ["v", 5], [1 << 24, 1 << 24], TypeError),
        ([1, 1], ["v"], [1 << 24, 1 << 24], ValueError),
        ([1], ["v"], [1 << 24, 1 << 24], ValueError),
        ((1,), ["v"], [1 << 24], TypeError),
    ],
)
def test_where_one_is_no_comment_none_is_heard(
    sessions: Any, viewers: Any, sketches: Any, error: type[Exception]
) -> None:
    talks = made()
    with pytest.raises(error):
        talks.hear(sessions, viewers, sketches)
    assert talks.state() == (0, [])


class Odd(str):
    """A text that would run code of its own while tables change."""

    __slots__ = ()

    def __hash__(self) -> int:
        raise AssertionError

    def __eq__(self, other: object) -> bool:
        raise AssertionError


def test_texts_of_other_types_are_taken_as_what_they_say() -> None:
    talks, plain, odd = made(), made(), Odd("w")
    said = [each << 24 | each for each in (1, 1, 2, 2)]
    before = sys.getrefcount(odd)
    talks.hear([1] * 4, ["v", odd, "v", odd], said)
    plain.hear([1] * 4, ["v", "w", "v", "w"], said)
    assert talks.state() == plain.state()
    assert {type(name) for name in talks.state()[1][0][2][0][0]} == {str}
    assert (
        talks.partners_of(1, odd, [], 1, 1.0, 0.5, 0.1)
        == plain.partners_of(1, "w", [], 1, 1.0, 0.5, 0.1)
        == 1
    )
    assert sys.getrefcount(odd) == before


@pytest.mark.parametrize("just_said", [["x"], [-1], [1 << 48], (1 << 24,)])
def test_what_nobody_can_have_just_said_is_refused(just_said: Any) -> None:
    talks = made()
    talks.hear([1], ["v"], [1 << 24])
    with pytest.raises((TypeError, ValueError)):
        talks.partners_of(1, "v", just_said, 3, 1.0, 0.5, 0.1)
    assert talks.partners_of(-1, "v", [], 3, 1.0, 0.5, 0.1) == 0


def test_only_what_is_new_takes_over_a_state() -> None:
    talks, other = made(), made()
    for each in (talks, other):
        each.hear([1], ["v"], [1 << 24])
    with pytest.raises(ValueError):
        talks.load(*other.state())
    assert talks.state() == other.state()


def damaged(state: Any, dice: random.Random) -> Iterator[Any]:
    """Give copies of a state in each of which one thing is another one."""
    values: list[Any] = [None, -1, 0, 1, 3, 1 << 24, 1 << 62, 1 << 80, 0.5, "x", [], [1], ["x"], ()]
    for _ in range(300):
        copied = copy.deepcopy(state)
        at: list[Any] = copied[1]
        while isinstance(inner := dice.choice(at), list) and inner and dice.random() < 0.9:
            at = inner
        place, done = dice.randrange(len(at)), dice.random()
        if done < 0.2:
            del at[place]
        elif done < 0.4:
            at.insert(place, copy.deepcopy(dice.choice(at)))
        else:
            at[place] = copy.deepcopy(dice.choice([*values, dice.choice(at)]))
        yield copied


@pytest.mark.parametrize("seed", range(3))
def test_a_damaged_state_is_refused_or_taken_and_nothing_else(seed: int) -> None:
    dice = random.Random(seed)
    talks = made(speakers=6, generation=60)

    def tell(to: Any) -> None:
        viewers = [f"v{dice.randrange(30)}" for _ in range(40)]
        sketches = [dice.randrange(1, 30) << 24 | dice.randrange(1, 20) for _ in viewers]
        to.hear([dice.randrange(3) for _ in viewers], viewers, sketches)

    for _ in range(5):
        tell(talks)
    refused = 0
    for state in damaged(talks.state(), dice):
        other = made(speakers=6, generation=60)
        try:
            other.load(*state)
        except (TypeError, ValueError):
            refused += 1
        for _ in range(4):
            tell(other)
            for viewer in range(30):
                other.partners_of(dice.randrange(3), f"v{viewer}", [], 1, 1.0, 0.2, 0.1)
        other.state()
        other.forget([0, 1, 2])
    assert refused > 100


def test_a_state_that_is_refused_leaves_the_crowd_as_it_was(each_way: str) -> None:
    crowd = Crowd(CrowdRules())
    crowd.hear([1, 1], ["v", "w"], [1 << 24, 1 << 24])
    before = copy.deepcopy(crowd.state())
    bad = copy.deepcopy(before)
    bad["talks"][0][2][0][1].append(1)  # one size more than names
    with pytest.raises(ValueError):
        crowd.load(bad)
    assert crowd.state() == before


def test_nothing_changes_while_the_state_is_read() -> None:
    """To make its lists may let the cyclic collector run, and with it code that nobody has called."""
    talks, refused = made(), []
    talks.hear([1] * 500, [f"v{each}" for each in range(500)], [(each + 1) << 24 for each in range(500)])
    expected = talks.state()

    def meddle(_phase: str, _info: dict[str, int]) -> None:
        for change, told in ((talks.hear, ([2], ["w"], [1 << 24])), (talks.forget, ([1],))):
            try:
                change(*told)
            except RuntimeError as error:
                refused.append(error)

    threshold = gc.get_threshold()
    gc.callbacks.append(meddle)
    try:
        gc.set_threshold(1)
        found = talks.state()
    finally:
        gc.set_threshold(*threshold)
        gc.callbacks.remove(meddle)
    assert found == expected
    if sys.version_info < (3, 12):  # later ones let it run between two instructions of Python alone
        assert refused
