"""What is told of a logit: the largest parts, the sum of the others, and nothing lost between them."""

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from frontrow.core.alerts import Reason
from frontrow.core.explaining import INTERCEPT, OTHERS, TOLD, as_json, as_reasons, largest_parts
from frontrow.core.features import COUNT, NAMES
from frontrow.core.scoring import Matrix, Weights

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


@given(models, inputs)
def test_json_made_of_columns_is_that_made_of_objects(weights: Weights, rows: Matrix) -> None:
    parts = largest_parts(weights, rows)
    assert [b"[%b]" % line for line in as_json(parts)] == [
        msgspec.json.encode(each) for each in as_reasons(parts)
    ]
