"""The lines of ``viewers.ndjson``: the same whether the compiled kernel writes many or Python one, for any viewer."""

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrow.app.replaying import _line, _lines
from frontrow.core import kernel
from frontrow.core.engine import ScoreColumns
from tests.support.kernels import without_kernel

HEAD = b'{"platform":"sim","room":"\xe5\xb0\x8f\xe9\xb1\xbc","session":null'
TEXTS = ["", "\0", '"\\/', "\x1f\x7f\x80", "é", "小鱼🎏", "v" * 5_000, "多\n" * 900]

viewers = st.text(st.characters(codec="utf-8"), max_size=30) | st.sampled_from(TEXTS)
lines = st.lists(
    st.tuples(
        viewers,
        st.integers() | st.sampled_from([0, -1, (1 << 63) - 1, -(1 << 63), 1 << 63]),
        st.sampled_from(["cold", "warm", "hot"]),
        st.none() | st.floats(0.0, 1.0),
        st.sampled_from([b"", b'{"kind":"rule"}', b",".join([b'{"a":1}'] * 400)]),
    ),
    max_size=12,
)


def columns(rows: list[tuple[Any, ...]]) -> ScoreColumns:
    return ScoreColumns(*(list(column) for column in zip(*rows, strict=True))) if rows else ScoreColumns([], [], [], [], [])  # fmt: skip


@given(lines)
def test_many_lines_are_those_of_one_after_another(rows: list[tuple[Any, ...]]) -> None:
    expected = [_line(HEAD, *row) for row in rows]
    assert _lines(HEAD, columns(rows)) == expected
    with without_kernel():
        assert _lines(HEAD, columns(rows)) == expected
    for (viewer, points, grade, probability, _), line in zip(rows, expected, strict=True):
        read = msgspec.json.decode(line)
        assert (read["viewer"], read["points"], read["grade"], read["probability"]) == (
            viewer, points, grade, probability,
        )  # fmt: skip


def test_a_viewer_that_is_no_text_is_refused_either_way() -> None:
    for half in ("\ud83d", "a\udfff", "多\ud800多"):
        rows = [("v", 1, "hot", None, b""), (half, 1, "hot", 0.5, b"")]
        with pytest.raises(UnicodeEncodeError):
            _lines(HEAD, columns(rows))
        with without_kernel(), pytest.raises(UnicodeEncodeError):
            _lines(HEAD, columns(rows))


def compiled() -> Any:
    assert kernel.compiled is not None
    return kernel.compiled


@pytest.mark.usefixtures("kernel_present")
@pytest.mark.parametrize(
    "wrong",
    [
        lambda: compiled().write_lines(HEAD, ["v"], [1], ["hot"], b"[]", [b""]),
        lambda: compiled().write_lines(HEAD, ["v"], [1], ["hot"], b"null", [b""]),
        lambda: compiled().write_lines(HEAD, ["v"], [1, 2], ["hot"], b"[0.5]", [b""]),
        lambda: compiled().write_lines(HEAD, ["v"], [1], ["hot"], b"[0.5]", []),
        lambda: compiled().write_lines("head", ["v"], [1], ["hot"], b"[0.5]", [b""]),
        lambda: compiled().write_lines(HEAD, ("v",), [1], ["hot"], b"[0.5]", [b""]),
        lambda: compiled().write_lines(HEAD, ["v"], [1], ["hot"], "[0.5]", [b""]),
        lambda: compiled().find_known({}, np.zeros(4, np.uint16)),
        lambda: compiled().find_known({}, np.zeros((4, 4), np.uint16)[:, ::2]),
        lambda: compiled().find_known([], np.zeros((4, 4), np.uint16)),
    ],
)
def test_what_does_not_fit_is_refused(wrong: Callable[[], object]) -> None:
    with pytest.raises((TypeError, ValueError, BufferError)):
        wrong()


@pytest.mark.usefixtures("kernel_present")
def test_what_the_kernel_does_not_know_to_write_it_leaves_to_python() -> None:
    assert compiled().write_lines(HEAD, ["v"], [1 << 63], ["hot"], b"[0.5]", [b""]) is None
    assert compiled().write_lines(HEAD, ["v"], [1], ["héiß"], b"[0.5]", [b""]) is None
    assert compiled().write_lines(HEAD, [b"v"], [1], ["hot"], b"[0.5]", [b""]) is None
    assert compiled().write_lines(HEAD, ["v"], [1], ["hot"], b"[0.5]", ["r"]) is None


@pytest.mark.usefixtures("kernel_present")
def test_what_is_known_is_found_by_its_bytes() -> None:
    keys = np.array([[1, 2], [1, 2], [2, 1], [1, 2], [3, 3]], np.uint16)
    known = {keys[0].tobytes(): b"a", keys[2].tobytes(): b"b"}
    assert compiled().find_known(known, keys) == [b"a", b"a", b"b", b"a", None]
    assert compiled().find_known(known, keys[:0]) == []
    assert compiled().find_known({b"": b"of nothing"}, np.zeros((2, 0), np.uint16)) == [b"of nothing"] * 2
