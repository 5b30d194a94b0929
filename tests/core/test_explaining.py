"""What is told of a logit: the largest parts, the sum of the others, and nothing lost between them."""

import math
import struct
from typing import Any, Literal

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from frontrow.core import kernel
from frontrow.core.alerts import Reason
from frontrow.core.explaining import (
    INTERCEPT,
    OTHERS,
    TOLD,
    as_json,
    as_numbers,
    as_reasons,
    largest_of,
    largest_parts,
)
from frontrow.core.features import COUNT, NAMES
from frontrow.core.scoring import Matrix, Weights
from tests.support.kernels import without_kernel

numbers = st.floats(-50.0, 50.0, allow_subnormal=False)
models = st.builds(
    Weights,
    means=arrays(np.float64, COUNT, elements=st.floats(0.0, 5.0)),
    scales=arrays(np.float64, COUNT, elements=st.sampled_from([0.0, 0.25, 1.0, 3.0])),
    weights=arrays(np.float64, COUNT, elements=st.one_of(st.just(0.0), numbers)),
    intercept=numbers,
)
inputs = st.integers(0, 6).flatmap(
    lambda rows: arrays(np.float64, (rows, COUNT), elements=st.floats(0.0, 21.0))
)


def of_kind(reasons: list[Reason], *names: str) -> list[Reason]:
    return [reason for reason in reasons if reason.name in names]


@given(models, inputs)
def test_reasons_sum_to_the_logit(weights: Weights, rows: Matrix) -> None:
    for reasons, logit in zip(
        as_reasons(largest_parts(weights, rows)), weights.logits(rows).tolist(), strict=True
    ):
        assert abs(sum(reason.logit or 0.0 for reason in reasons) - logit) <= 1e-9 * max(1.0, abs(logit))


@given(models, inputs)
def test_the_largest_parts_are_named_largest_first_and_none_of_nothing(
    weights: Weights, rows: Matrix
) -> None:
    for reasons, parts in zip(as_reasons(largest_parts(weights, rows)), weights.parts(rows), strict=True):
        named = of_kind(reasons, *NAMES)
        sizes = np.sort(np.abs(parts[parts != 0.0]))[::-1]
        assert [abs(reason.logit or 0.0) for reason in named] == sizes[:TOLD].tolist()
        assert len(of_kind(reasons, OTHERS)) <= (len(sizes) > TOLD)
        assert [reason.name for reason in reasons][-1] == INTERCEPT


@given(models, inputs)
def test_what_is_told_of_a_row_does_not_depend_on_the_rows_beside_it(weights: Weights, rows: Matrix) -> None:
    together = as_reasons(largest_parts(weights, rows))
    assert together == [as_reasons(largest_parts(weights, row[None]))[0] for row in rows]


@given(models, inputs, st.data())
def test_json_made_of_columns_is_that_made_of_objects(
    weights: Weights, rows: Matrix, data: st.DataObject
) -> None:
    parts = largest_parts(weights, rows)
    objects = [msgspec.json.encode(each) for each in as_reasons(parts)]
    before = data.draw(
        st.lists(st.sampled_from([b"", b'{"kind":"rule"}']), min_size=len(rows), max_size=len(rows))
    )
    joined = [
        first + b"," + each[1:-1] if first else each[1:-1]
        for first, each in zip(before, objects, strict=True)
    ]
    assert [b"[%b]" % line for line in as_json(parts)] == objects
    assert as_json(parts, before) == joined
    with without_kernel():
        assert [b"[%b]" % line for line in as_json(parts)] == objects
        assert as_json(parts, before) == joined


any_number = st.integers(0, (1 << 64) - 1).map(
    lambda bits: struct.unpack("<d", bits.to_bytes(8, "little"))[0]
)


@given(
    st.lists(
        any_number
        | st.floats()
        | st.integers(-(10**18), 10**18).map(float)
        | st.sampled_from([0.0, -0.0, 1e16, 1e-5])
    )
)
def test_numbers_are_written_as_msgspec_writes_them(column: list[float]) -> None:
    """The digests of replays are over them."""
    assert as_numbers(np.array(column, np.float64)) == msgspec.json.encode(column)


hostile = st.integers(0, 4).flatmap(
    lambda rows: arrays(
        np.float64,
        (rows, COUNT),
        elements=st.sampled_from([0.0, -0.0, 1.0, -1.0, 5e-324, 1e308, -1e308, math.inf, -math.inf, math.nan])
        | st.floats(),
    )
)


@pytest.mark.usefixtures("kernel_present")
@given(parts=hostile, order=st.sampled_from(["C", "F"]))
def test_both_ways_find_the_same_parts_to_the_bit(parts: Matrix, order: Literal["C", "F"]) -> None:
    """Those of one size in the features' order, and what is no number last; what is infinite sums to whatever it does."""
    given_inputs = np.abs(np.nan_to_num(parts, nan=0.5, posinf=2.0, neginf=3.0)).clip(0.0, 20.0)
    own, inputs = np.array(parts, order=order), np.array(given_inputs, order=order)
    with np.errstate(all="ignore"):
        compiled = largest_of(own.copy(order), inputs, 0.25)
        with without_kernel():
            expected = largest_of(own.copy(order), inputs, 0.25)
    assert compiled.intercept == expected.intercept
    assert compiled.counts.tolist() == expected.counts.tolist()
    assert compiled.features.tolist() == expected.features.tolist()
    for name in ("logits", "values"):
        assert getattr(compiled, name).tobytes() == getattr(expected, name).tobytes(), name
    # Which NaN comes of infinities is the processor's business; it is written as null.
    assert as_numbers(compiled.others) == as_numbers(expected.others)


def arrays_of(rows: int, **changed: object) -> list[Any]:
    given = {
        "parts": np.ones((rows, 5)), "inputs": np.ones((rows, 5)), "counts": np.zeros(rows, np.int64),
        "features": np.zeros(rows * 2, np.int64), "logits": np.zeros(rows * 2), "values": np.zeros(rows * 2),
        "others": np.zeros(rows),
    }  # fmt: skip
    return list((given | changed).values())


@pytest.mark.usefixtures("kernel_present")
@pytest.mark.parametrize(
    "changed",
    [
        {"parts": np.ones((3, 4))}, {"parts": np.ones((2, 5))}, {"parts": np.ones(15)}, {"inputs": np.ones((3, 6))},
        {"inputs": np.ones((4, 5))}, {"parts": np.ones((3, 5), np.float32)}, {"counts": np.zeros(2, np.int64)},
        {"features": np.zeros(5, np.int64)}, {"logits": np.zeros(7)}, {"values": np.zeros(4)}, {"others": np.zeros(4)},
        {"others": np.zeros(3, np.float32)}, {"features": np.zeros(0, np.int64), "logits": np.zeros(0), "values": np.zeros(0)},
        {"parts": np.ones((3, 65)), "inputs": np.ones((3, 65))}, {"counts": bytes(24)}, {"others": None},
    ],
)  # fmt: skip
def test_arrays_that_do_not_fit_are_refused(changed: dict[str, object]) -> None:
    assert kernel.compiled is not None
    assert kernel.compiled.largest_parts(*arrays_of(3)) == 6
    with pytest.raises((TypeError, ValueError, BufferError)):
        kernel.compiled.largest_parts(*arrays_of(3, **changed))


def reasons_of(**changed: object) -> list[Any]:
    given: dict[str, object] = {
        "before": [b"", b"x"], "counts": np.array([1, 2]), "features": np.array([0, 1, 0]), "logits": b"[1.5,2.0,null]",
        "values": b"[1.0,2.0,3.0]", "others": b"[0.0,7.5]", "heads": [b"a", b"b"], "other": b"o", "last": b"last",
    }  # fmt: skip
    return list((given | changed).values())


@pytest.mark.usefixtures("kernel_present")
@pytest.mark.parametrize(
    "changed",
    [
        {"before": [b""]}, {"before": [b"", "x"]}, {"before": (b"", b"x")}, {"counts": np.array([1, 2, 3])},
        {"counts": np.array([1, 9])}, {"counts": np.array([1, 2], np.int32)}, {"features": np.array([0, 2, 0])},
        {"features": np.array([0, -1, 0])}, {"logits": b"[1.5,2.0]"}, {"values": b"[]"}, {"others": b"[0.0]"},
        {"others": b"0.0,7.5"}, {"others": b"["}, {"others": "[0.0,7.5]"}, {"heads": [b"a", None]}, {"other": "o"},
        {"last": None},
    ],
)  # fmt: skip
def test_reasons_of_what_does_not_fit_are_refused(changed: dict[str, object]) -> None:
    assert kernel.compiled is not None
    written = [b'a1.5,"value":1.0},last', b'x,b2.0,"value":2.0},anull,"value":3.0},o7.5},last']
    assert kernel.compiled.write_reasons(*reasons_of()) == written
    with pytest.raises((TypeError, ValueError)):
        kernel.compiled.write_reasons(*reasons_of(**changed))
