"""What is told of a logit: its largest parts by feature, and the sum of all smaller ones.

A logit has a part for each feature. Most are next to nothing, and a reader looks at the first few; all of them for
every viewer would take more bytes than the stream. What is told still sums to the logit.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import msgspec
import numpy as np
import orjson
from numpy.typing import NDArray

from frontrow.core import kernel
from frontrow.core.alerts import Reason
from frontrow.core.features import NAMES
from frontrow.core.scoring import Matrix, Weights

TOLD = 6  # parts by name, at most
OTHERS = "others"
INTERCEPT = "intercept"


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of many rows' logits, row after row, a row's largest first.

    ``counts`` (rows,) says how many of ``features`` (numbers), ``logits`` and ``values`` are each row's. ``others``
    (rows,) is the sum of the row's other parts; with the intercept, which is the same for all, they sum to the logit.
    """

    counts: NDArray[np.int64]
    features: NDArray[np.int64]
    logits: Matrix
    values: Matrix
    others: Matrix
    intercept: float


def largest_parts(weights: Weights, inputs: Matrix) -> Parts:
    """Return the parts of each row of ``inputs``; shape (rows, features). Parts of one size are in the features' order."""
    return largest_of(weights.parts(inputs), inputs, weights.intercept)


def largest_of(parts: Matrix, inputs: Matrix, intercept: float) -> Parts:
    """Return what :func:`largest_parts` does of parts that are known already; they may be overwritten."""
    if kernel.compiled is not None:
        return _largest_compiled(parts, inputs, intercept)
    order = np.argsort(-np.abs(parts), axis=1, kind="stable")[:, :TOLD]
    told = np.take_along_axis(parts, order, axis=1)
    given = told != 0.0
    np.put_along_axis(parts, order, 0.0, axis=1)
    others: Matrix = np.zeros(len(inputs))
    for column in parts.T:  # one after another: a row's sum does not depend on how many rows there are
        others += column
    return Parts(
        counts=given.sum(axis=1),
        features=order[given],
        logits=told[given],
        values=np.expm1(np.take_along_axis(inputs, order, axis=1)[given]),
        others=others,
        intercept=intercept,
    )


def _largest_compiled(parts: Matrix, inputs: Matrix, intercept: float) -> Parts:
    assert kernel.compiled is not None
    rows = len(parts)
    counts, features = np.empty(rows, np.int64), np.empty(rows * TOLD, np.int64)
    logits, values, others = np.empty(rows * TOLD), np.empty(rows * TOLD), np.empty(rows)
    many = kernel.compiled.largest_parts(parts, inputs, counts, features, logits, values, others)
    told: Matrix = np.expm1(values[:many])
    return Parts(counts, features[:many], logits[:many], told, others, intercept)


def as_reasons(parts: Parts) -> list[list[Reason]]:
    """Return each row's parts as reasons; the intercept comes last."""
    told = zip(parts.features.tolist(), parts.logits.tolist(), parts.values.tolist(), strict=True)
    named: Iterator[Reason] = (
        Reason(kind="feature", name=NAMES[feature], logit=logit, value=value)
        for feature, logit, value in told
    )
    last = _intercept(parts)
    found: list[list[Reason]] = []
    for count, others in zip(parts.counts.tolist(), parts.others.tolist(), strict=True):
        row = list(islice(named, count))
        if others:
            row.append(Reason(kind="feature", name=OTHERS, logit=others))
        row.append(last)
        found.append(row)
    return found


def as_json(parts: Parts, before: Sequence[bytes] | None = None) -> list[bytes]:
    """Return each row of :func:`as_reasons` as JSON values with commas between them; no object is made of a part.

    ``before`` are JSON values that each row has before them; none where they are empty.
    """
    rows = [b""] * len(parts.counts) if before is None else list(before)
    last = _encode(_intercept(parts))
    if kernel.compiled is not None:
        columns = as_numbers(parts.logits), as_numbers(parts.values), as_numbers(parts.others)
        return list(
            kernel.compiled.write_reasons(rows, parts.counts, parts.features, *columns, _HEADS, _OTHERS, last)
        )
    told = zip(parts.features.tolist(), _numbers(parts.logits), _numbers(parts.values), strict=True)
    named = iter([b'%b%b,"value":%b}' % (_HEADS[feature], logit, value) for feature, logit, value in told])
    found: list[bytes] = []
    for count, others, first in zip(parts.counts.tolist(), _numbers(parts.others), rows, strict=True):
        row = [*islice(named, count), last]
        if others not in (b"0.0", b"-0.0"):
            row.insert(count, b"%b%b}" % (_OTHERS, others))
        if first:
            row.insert(0, first)
        found.append(b",".join(row))
    return found


def as_numbers(column: Matrix) -> bytes:
    """Return a column as a list in JSON, what is no number as null: the bytes that msgspec gives, in a third of its time."""
    written = orjson.dumps(column, option=orjson.OPT_SERIALIZE_NUMPY)
    return written.replace(b"e+", b"e") if b"+" in written else written


def _intercept(parts: Parts) -> Reason:
    return Reason(kind="feature", name=INTERCEPT, logit=parts.intercept, value=1.0)


_encode = msgspec.json.Encoder().encode


def _numbers(column: Matrix) -> list[bytes]:
    return as_numbers(column)[1:-1].split(b",") if len(column) else []


def _head(name: str) -> bytes:
    return _encode(Reason(kind="feature", name=name, logit=0.0)).removesuffix(b"0.0}")


_HEADS = [_head(name) for name in NAMES]
_OTHERS = _head(OTHERS)
