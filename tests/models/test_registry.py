"""Versions: equal models have equal names, what was changed is refused, and a model made from one goes on to the bit."""

import hashlib
import json
import os
import pickle
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frontrow.core.features import COUNT, NAMES, hour_left_pct
from frontrow.core.frames import Frame
from frontrow.core.outcomes import OutcomeRules
from frontrow.core.promotions import Promotion, promotion_event
from frontrow.storage.folder import DiskFolder
from frontrow_models.calibration import Calibrator
from frontrow_models.online import OnlineModel
from frontrow_models.policies import DelayPolicy
from frontrow_models.registry import (
    LEDGER,
    PINS,
    SUFFIX,
    UNFINISHED_S,
    Ledger,
    PinsDamaged,
    Registry,
    weight_differences,
)
from frontrow_models.versions import (
    MAX_BYTES,
    MOST_WEIGHT,
    Card,
    Outcome,
    Position,
    Version,
    VersionRefused,
    check_fit,
    check_outcome,
    decode,
    encode,
    from_version,
    name_of,
    schema_of,
    to_version,
)
from tests.storage.folders import Content, Crash, MemoryFolder
from tests.support.rooms import START
from tests.support.versions import model, rows, teach, version

OUTCOME = Outcome.of(OutcomeRules(won=frozenset({"won"})), 3_600_000)
VERSION = version(
    label_policy=DelayPolicy(120_000).state(), calibration=Calibrator().state(), outcome=OUTCOME
)
TEXT = encode(VERSION)
NAME = name_of(TEXT)
AT = Position(seq=1, at=START)

Json = dict[str, Any]


def registry_with(text: bytes, name: str | None = None) -> Registry:
    """A registry with one file of any content, under its own name or another."""
    folder = MemoryFolder()
    folder.files[(name or name_of(text)) + SUFFIX] = Content(text, text)
    return Registry(folder)


def forged(change: Callable[[Json], object], original: Version = VERSION) -> bytes:
    """The canonical text of a version that somebody changed and named anew."""
    values = msgspec.to_builtins(original)
    change(values)
    return msgspec.json.encode(values, order="sorted")


# ---------------------------------------------------------------------- to the bit


@pytest.mark.parametrize("learnt", [0, 1, 50])
def test_a_model_made_from_a_version_predicts_and_goes_on_learning_to_the_bit(learnt: int) -> None:
    first = model(learnt)
    text = encode(to_version(first, journal=AT))
    second = from_version(decode(text, name_of(text)))
    asked = rows(40, seed=9).astype(float).tolist()
    for more in (0, 1, 40):
        teach(first, more, seed=more)
        teach(second, more, seed=more)
        assert [first.predict_one(row) for row in asked] == [second.predict_one(row) for row in asked]
        assert first.weights().weights.tobytes() == second.weights().weights.tobytes()
        assert first.state() == second.state()
        assert first.ready == second.ready
    assert msgspec.json.encode(first.image().meta) == msgspec.json.encode(second.image().meta)


def test_a_version_from_before_there_were_means_goes_on_from_its_own_weights() -> None:
    """Whoever kept versions with an earlier release still leads with them, by the same text and so under the same name."""

    def before(values: Json) -> None:
        del values["optimiser"]["slots"]["weights"], values["optimiser"]["intercept"]

    text = forged(before)
    old = decode(text, name_of(text))
    assert encode(old) == text
    taken = from_version(old)
    assert taken.state()["weights"] == taken.state()["descent"]["weights"] == VERSION.weights
    assert taken.state()["intercept"] == taken.state()["descent"]["intercept"] == VERSION.intercept


def test_a_version_from_before_they_told_what_they_predict_keeps_its_name_and_fits_any_outcome() -> None:
    text = forged(lambda values: values.pop("outcome"))
    old = decode(text, name_of(text))
    assert encode(old) == text
    assert old.outcome is None
    check_outcome(old, OUTCOME, name_of(text))


@pytest.mark.parametrize(
    "change",
    [
        {"kinds": ["like"]}, {"refunds": []}, {"won": []}, {"lost": []}, {"renewals": True}, {"horizon_ms": 90_000},
    ],
)  # fmt: skip
def test_a_version_of_another_outcome_is_refused_and_both_are_named(change: Json) -> None:
    other = msgspec.structs.replace(OUTCOME, **change)
    check_outcome(VERSION, OUTCOME, NAME)
    check_outcome(VERSION, None, NAME)  # whoever asks for none
    with pytest.raises(VersionRefused) as refused:
        check_outcome(VERSION, other, NAME)
    assert str(OUTCOME) != str(other)
    assert str(refused.value) == f"{NAME}: predicts {OUTCOME}. Here what is to be predicted is {other}"


def test_an_outcome_is_told_in_words() -> None:
    assert str(OUTCOME) == (
        "form_submit or order_paid or won (said by sales) within 60 minutes of a look at a viewer;"
        " taken back by order_refunded; settled as none by not_interested (said by sales)"
    )
    none = frozenset[str]()
    rules = OutcomeRules(kinds=frozenset({"like"}), refunds=none, lost=none, renewals=True)
    assert str(Outcome.of(rules, 90_000)) == "like within 90 seconds of a look at a viewer; renewals count"
    assert "within 1 minute of" in str(Outcome.of(rules, 60_000))


def test_a_version_of_a_model_made_from_a_version_is_that_version() -> None:
    again = to_version(
        from_version(VERSION), journal=VERSION.journal, card=VERSION.card,
        label_policy=VERSION.label_policy, calibration=VERSION.calibration,
        outcome=VERSION.outcome,
    )  # fmt: skip
    assert encode(again) == TEXT


def test_a_model_made_from_a_version_does_not_change_it() -> None:
    teach(from_version(VERSION), 10, seed=3)
    assert encode(VERSION) == TEXT


def test_a_model_that_has_learnt_nothing_yet_is_no_version() -> None:
    with pytest.raises(VersionRefused, match="no scaler yet"):
        to_version(OnlineModel(model()._options), journal=AT)


# ---------------------------------------------------------------------- names


def test_equal_models_have_equal_names_and_one_step_gives_another() -> None:
    assert name_of(encode(version(20))) == name_of(encode(version(20)))
    assert name_of(encode(version(20))) != name_of(encode(version(21)))


def test_the_order_in_which_somebody_wrote_it_down_does_not_matter() -> None:
    one, other = version(label_policy={"a": 1, "b": {"c": 2, "d": 3}}), version(label_policy={"b": {"d": 3, "c": 2}, "a": 1})  # fmt: skip
    assert encode(one) == encode(other)


def test_a_version_is_of_engine_time() -> None:
    assert VERSION.created_at == VERSION.journal.at == START + 50 * 60_000


@settings(max_examples=60, deadline=None)
@given(
    weights=st.lists(st.floats(-MOST_WEIGHT, MOST_WEIGHT), min_size=COUNT, max_size=COUNT),
    figures=st.dictionaries(st.sampled_from(["auc", "精确率", "log loss"]), st.floats(allow_nan=False, allow_infinity=False)),
)  # fmt: skip
def test_every_number_comes_back_to_the_bit(weights: list[float], figures: dict[str, float]) -> None:
    made = msgspec.structs.replace(VERSION, weights=weights, card=Card(figures=figures))
    text = encode(made)
    back = decode(text, name_of(text))
    assert [each.hex() for each in back.weights] == [each.hex() for each in weights]
    assert {name: each.hex() for name, each in back.card.figures.items()} == {
        name: each.hex() for name, each in figures.items()
    }


def test_a_whole_number_in_the_place_of_a_fraction_makes_no_other_version() -> None:
    made = msgspec.structs.replace(VERSION, card=Card(figures={"auc": 1}))
    assert encode(made) == encode(msgspec.structs.replace(VERSION, card=Card(figures={"auc": 1.0})))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("where", ["card", "weights", "policy", "intercept"])
def test_what_is_not_finite_is_never_kept(bad: float, where: str) -> None:
    changes: dict[str, Json] = {
        "card": {"card": Card(figures={"auc": bad})},
        "weights": {"weights": [bad, *VERSION.weights[1:]]},
        "policy": {"label_policy": {"window": [{"s": bad}]}},
        "intercept": {"intercept": bad},
    }
    with pytest.raises(VersionRefused, match="not finite"):
        encode(msgspec.structs.replace(VERSION, **changes[where]))


def test_a_model_that_has_gone_wild_is_never_kept() -> None:
    with pytest.raises(VersionRefused, match=r"cannot be kept: .*100"):
        encode(msgspec.structs.replace(VERSION, intercept=101.0))


# ---------------------------------------------------------------------- what is refused


@settings(max_examples=400, deadline=None)
@given(place=st.integers(0, len(TEXT) - 1), flip=st.integers(1, 255))
def test_any_changed_byte_is_refused(place: int, flip: int) -> None:
    changed = bytearray(TEXT)
    changed[place] ^= flip
    with pytest.raises(VersionRefused, match=f"^{NAME}: its content has another SHA-256"):
        registry_with(bytes(changed), NAME).read(NAME)


@settings(max_examples=400, deadline=None)
@given(place=st.integers(0, len(TEXT) - 1), flip=st.integers(1, 255))
def test_a_changed_byte_under_a_new_name_is_another_version_or_none(place: int, flip: int) -> None:
    """Whoever may write into the folder can make versions; but nothing that the checks do not let pass."""
    changed = bytearray(TEXT)
    changed[place] ^= flip
    registry = registry_with(bytes(changed))
    [name] = registry.names()
    try:
        found = registry.read(name)
    except VersionRefused:
        return
    assert name != NAME
    assert encode(found) == bytes(changed)


@pytest.mark.parametrize("text", [TEXT[:-1], TEXT + b"\n", b"", TEXT[: len(TEXT) // 2]])
def test_a_torn_file_is_refused(text: bytes) -> None:
    with pytest.raises(VersionRefused, match="another SHA-256"):
        registry_with(text, NAME).read(NAME)


FORGERIES: dict[str, tuple[Callable[[Json], object], str]] = {
    "an unknown field": (lambda v: v.update(code="os.system"), "unknown field `code`"),
    "an unknown field within": (lambda v: v["scaler"].update(step=1), "unknown field `step`"),
    "a missing field": (lambda v: v.pop("river"), "missing required field `river`"),
    "no format": (lambda v: v.pop("format"), "missing required field `format`"),
    "another format": (lambda v: v.update(format=2), "not a version of this format"),
    "a weight out of bounds": (lambda v: v["weights"].__setitem__(3, 100.5), "<= 100"),
    "a weight out of bounds to go on from": (
        lambda v: v["optimiser"]["slots"]["weights"].__setitem__(3, 100.5),
        "weight of the optimiser",
    ),
    "no weight": (lambda v: v["weights"].__setitem__(3, None), "Expected `float`, got `null`"),
    "a negative variance": (lambda v: v["scaler"]["variances"].__setitem__(0, -0.1), ">= 0"),
    "a weight too few": (lambda v: v["weights"].pop(), f"has {COUNT - 1} weights for {COUNT} features"),
    "a mean too many": (lambda v: v["scaler"]["means"].append(0.0), f"has {COUNT + 1} means"),
    "a slot too short": (lambda v: v["optimiser"]["slots"].update(g2=[0.0]), "has 1 g2"),
    "a feature twice": (lambda v: v["features"].__setitem__(0, v["features"][1]), "names a feature twice"),
    "features under another hash": (lambda v: v["features"].reverse(), "hash of its features"),
    "more positives than labels": (lambda v: v.update(positives=v["labels"] + 1), "positives among"),
    "made before it learnt": (lambda v: v.update(created_at=START), "before the end of the journal"),
    "a time in seconds": (lambda v: v.update(created_at=START // 1000), ">= 1000000000000"),
    "a parent that is no hash": (lambda v: v["parents"].append("../../etc/passwd"), "at `$.parents"),
    "a command to the terminal": (lambda v: v["card"].update(text="\x1b[2J"), "control character"),
    "one in another's state": (lambda v: v["options"].update({"a\x1b": 1}), "control character"),
    "a deep policy": (lambda v: v.update(label_policy={"a": [[[[[[[1]]]]]]]}), "more than 8 levels"),
    "a number that is too large": (lambda v: v.update(labels=1 << 60), "<= 9007199254740992"),
    "an outcome in another order": (
        lambda v: v["outcome"]["kinds"].reverse(),
        "names what it predicts in another order",
    ),
    "an outcome twice": (
        lambda v: v["outcome"].update(lost=["not_interested", "not_interested"]),
        "names what it predicts in another order",
    ),
    "no outcome, as a word": (lambda v: v.update(outcome=None), "not written in the canonical way"),
    "an outcome at once": (lambda v: v["outcome"].update(horizon_ms=0), ">= 1"),
    "a fraction of a label": (lambda v: v.update(labels=50.5), "Expected `int`, got `float`"),
    "a whole number": (lambda v: v.update(intercept=0), "not written in the canonical way"),
}  # fmt: skip


# What the types let pass and no model of ours can have come to.
IMPOSSIBLE: dict[str, tuple[Callable[[Json], object], str]] = {
    "a calibration that divides by nothing": (
        lambda v: v["calibration"].update(known=[-1e18, 1e18, -1e18]),
        "its calibration knows what no labels can have taught",
    ),
    "one of a slope that is known less than not at all": (
        lambda v: v["calibration"].update(known=[-1.0, 0.0, 1.0]),
        "its calibration knows what no labels can have taught",
    ),
    "one whose slope and bias agree more than fully": (
        lambda v: v["calibration"].update(known=[100.0, 120.0, 100.0]),
        "is no sum of squares",
    ),
    "one whose tail agrees more than fully": (
        lambda v: v["calibration"].update(known=[100.0, 0.0, 100.0], known_tail=[0.0, 120.0, 100.0]),
        "is no sum of squares",
    ),
    "one that knows more than rounding leaves": (
        lambda v: v["calibration"].update(known=[1e18, 1e18, 1e18]),
        "its calibration knows what no labels can have taught",
    ),
    "one of more positives than labels": (
        lambda v: v["calibration"].update(labels=3, positives=4),
        "its calibration has 4 positives among 3 labels",
    ),
    "one that turns the order round": (
        lambda v: v["calibration"].update(slope=0.25, tail=-2.0),
        "its calibration would give a higher number a lower probability",
    ),
    "more soon than ever": (
        lambda v: v["label_policy"].update(within=3.5, positives=3.0),
        "its label policy has 3.5 positives within the window among 3 positives",
    ),
    "a square below 0": (
        lambda v: v["optimiser"]["slots"]["squares"].__setitem__(3, -0.5),
        "squares of the optimiser that are below 0",
    ),
    "a square beyond all": (
        lambda v: v["optimiser"]["slots"]["squares"].__setitem__(3, 1e300),
        "squares of the optimiser that are below 0 or beyond 1e+18",
    ),
    "a scaler of nothing": (lambda v: v["scaler"].update(count=0), "a scaler of no inputs"),
    "a scaler of what never varied": (
        lambda v: v["scaler"].update(variances=[0.0] * COUNT),
        "a scaler that no feature has varied for",
    ),
}


def test_a_scaler_of_fewer_inputs_than_are_waited_for_is_not_computed_with() -> None:
    text = forged(lambda v: v["scaler"].update(count=59))
    with pytest.raises(VersionRefused, match="of 59 inputs, and by its options nothing is learnt before 60"):
        registry_with(text).load(name_of(text))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 1 << 32),
    alike=st.booleans(),
    weight=st.sampled_from([1.0, 0.2, 65_536.0]),
    beyond=st.booleans(),
)
def test_whatever_a_calibrator_has_learnt_it_can_be_kept(
    seed: int, alike: bool, weight: float, beyond: bool
) -> None:
    """Also where all numbers were the same, so that slope, bias and tail are known by one sum alone."""
    random = np.random.default_rng(seed)
    made, count = Calibrator(), 2_000
    raw = np.full(count, random.normal()) if alike else random.normal(-3.0, 3.0, count)
    raw = raw * (10.0 if beyond else 1.0)
    made.learn(["r"] * count, raw, random.random(count) < random.random(), np.full(count, weight))
    kept = encode(version(calibration=made.state()))
    check_fit(decode(kept, name_of(kept)))


@pytest.mark.parametrize(("change", "words"), (FORGERIES | IMPOSSIBLE).values(), ids=FORGERIES | IMPOSSIBLE)
def test_a_forgery_under_its_own_right_name_is_refused_in_a_sentence(
    change: Callable[[Json], object], words: str
) -> None:
    text = forged(change)
    name = name_of(text)
    with pytest.raises(VersionRefused) as refused:
        registry_with(text).read(name)
    assert str(refused.value).startswith(f"{name}: ")
    assert words in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        b"null", b"[]", b"\xff\xfe", b"NaN", pickle.dumps({"weights": [1.0]}), b"[" * 100_000,
        TEXT.replace(b'"auc":0.75', b'"auc":NaN'), TEXT.replace(b'"auc":0.75', b'"auc":1e999'),
        TEXT.replace(b"120000", b"[" * 100_000 + b"]" * 100_000),
    ],
)  # fmt: skip
def test_what_is_no_version_at_all_is_refused(text: bytes) -> None:
    name = name_of(text)
    with pytest.raises(VersionRefused, match=f"^{name}: (is not a version|is nested)"):
        registry_with(text).read(name)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers(1 << 60, 1 << 200) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


@settings(max_examples=300, deadline=None)
@given(key=st.sampled_from(sorted(msgspec.to_builtins(VERSION))), value=JSON_VALUES)
def test_whatever_a_field_holds_it_is_refused_or_is_canonical(key: str, value: object) -> None:
    text = json.dumps(
        msgspec.to_builtins(VERSION) | {key: value}, sort_keys=True, separators=(",", ":")
    ).encode()
    try:
        found = registry_with(text).read(name_of(text))
    except VersionRefused:
        return
    assert encode(found) == text


@pytest.mark.parametrize(
    ("part", "values"),
    [("calibration", {"a": 1.1, "b": -0.2}), ("label_policy", {"name": "es"}), ("options", {"depth": 3})],
)
def test_parts_that_this_build_does_not_know_can_be_read_and_not_computed_with(
    part: str, values: Json
) -> None:
    text = forged(lambda version: version.update({part: values}))
    registry = registry_with(text)
    registry.read(name_of(text))
    with pytest.raises(VersionRefused, match=f"its {part.replace('_', ' ')} is none of this build's"):
        registry.load(name_of(text))


@pytest.mark.parametrize("depth", [9, 100, 400, 900, 1_100, 10_000])
def test_what_nests_deep_is_refused_at_any_depth(depth: int) -> None:
    text = TEXT.replace(b"120000", b"[" * depth + b"]" * depth)
    with pytest.raises(VersionRefused, match="nested"):
        registry_with(text).read(name_of(text))


@pytest.mark.parametrize(
    "text",
    [
        msgspec.json.format(TEXT, indent=1), TEXT + b"\n", TEXT.replace(b'"auc":0.75', b'"auc":0.750'),
        TEXT.replace(b'"auc"', b'"\\u0061uc"'), TEXT.replace(b'{"calibration"', b'{"format":1,"calibration"'),
    ],
)  # fmt: skip
def test_the_same_said_in_another_way_is_refused(text: bytes) -> None:
    assert text != TEXT
    with pytest.raises(VersionRefused, match="not written in the canonical way"):
        registry_with(text).read(name_of(text))


def test_what_is_too_large_is_neither_read_nor_kept() -> None:
    text = TEXT + b" " * MAX_BYTES
    with pytest.raises(VersionRefused, match="more than 4,000,000 bytes"):
        registry_with(text).read(name_of(text))
    with pytest.raises(VersionRefused, match="4,000,000 is the most"):
        encode(version(label_policy={"large": ["x" * 1_000] * 5_000}))


def test_words_of_any_script_are_kept() -> None:
    """An ideographic space or a joined emoji is no control character."""
    made = version(calibration={"rooms": [["douyin/女装　直播间", 0.5]]})
    made = msgspec.structs.replace(made, card=Card(text="第一行\n第二行\t👩‍💻\u3000"))
    text = encode(made)
    assert decode(text, name_of(text)).card.text == "第一行\n第二行\t👩‍💻\u3000"


def test_a_refusal_repeats_no_command_to_the_terminal_and_no_long_word() -> None:
    text = forged(lambda v: v.update({"\x1b[2J" + "x" * 10_000: 1}))
    with pytest.raises(VersionRefused) as refused:
        registry_with(text).read(name_of(text))
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize("name", ["../secret", "", "a" * 63, "A" * 64, NAME + "\n", "/etc/passwd"])
def test_a_name_leads_nowhere_else(name: str) -> None:
    with pytest.raises(VersionRefused, match="is no version's name"):
        registry_with(TEXT).read(name)


def other_features(values: Json) -> None:
    values["features"][0] = "brand_new"
    values["features_version"] += 1
    values["schema"] = schema_of(values["features_version"], values["features"])


NEW = "same_words", "hour_left_pct"


def without_new_features(values: Json) -> None:
    """Make it the version that features of version 2 would have made of the same weights."""
    kept = [place for place, name in enumerate(values["features"]) if name not in NEW]
    of_features = [
        *(values["scaler"][name] for name in ("means", "variances", "sums", "squares")),
        *values["optimiser"]["slots"].values(),
        values["weights"],
        values["features"],
    ]
    for numbers in of_features:
        numbers[:] = [numbers[place] for place in kept]
    values["features_version"] = 2
    values["schema"] = schema_of(2, values["features"])


def test_a_version_of_before_two_features_came_predicts_what_it_did_whatever_they_say() -> None:
    text = forged(without_new_features)
    before = registry_with(text).load(name_of(text))
    model, now = from_version(before), from_version(decode(TEXT, NAME))
    inputs = np.random.default_rng(3).random((50, len(NAMES))) * 3.0
    places = [NAMES.index(name) for name in NEW]
    at_rest = inputs.copy()
    at_rest[:, places] = now.weights().means[places]
    others = np.delete(np.arange(len(NAMES)), places)
    theirs = now.weights().parts(at_rest)[:, others].sum(axis=1) + now.weights().intercept
    np.testing.assert_allclose(model.weights().logits(inputs), theirs, rtol=0, atol=1e-12)
    assert model.weights().logits(inputs).tolist() == model.weights().logits(at_rest).tolist()
    model.observe(inputs)
    model.learn(inputs.astype(np.float32), np.arange(50) % 2 == 0)
    assert np.all(model.weights().weights[places] != 0.0), "and goes on learning with them"


def with_minutes_until_the_end(values: Json) -> None:
    """Make it a version of features 3: where now is what is left of the hour, there were minutes, from ten to sixty."""
    place = values["features"].index("hour_left_pct")
    values["features"][place] = "until_end_min"
    count = values["scaler"]["count"]
    of_feature = {"means": 3.9, "variances": 1.0, "sums": 3.9 * count, "squares": (3.9**2 + 0.1) * count}
    for name, number in of_feature.items():
        values["scaler"][name][place] = number
    values["weights"][place] = 0.7
    values["features_version"] = 3
    values["schema"] = schema_of(3, values["features"])


def test_a_version_that_was_told_minutes_predicts_what_it_did_at_their_bounds_and_nearly_so_between() -> None:
    text = forged(with_minutes_until_the_end)
    model = from_version(registry_with(text).load(name_of(text)))
    weights, place = model.weights(), NAMES.index("hour_left_pct")
    minutes = np.array([10.0, 20.0, 30.0, 45.0, 60.0])
    inputs = np.tile(weights.means, (len(minutes), 1))
    inputs[:, place] = np.log1p(hour_left_pct(minutes))
    found = weights.logits(inputs) - weights.intercept
    was = 0.7 * (np.log1p(minutes) - 3.9)
    assert found[[0, -1]] == pytest.approx(was[[0, -1]], abs=1e-9)
    assert found == pytest.approx(was, abs=0.7 * 0.21)
    observed = np.repeat(inputs, 3, axis=0)
    model.observe(observed)  # its scaler goes on from there
    assert np.isfinite(model.weights().logits(inputs)).all()


def test_a_version_of_other_features_of_that_time_is_refused() -> None:
    def others(values: Json) -> None:
        without_new_features(values)
        values["features"][0] = "brand_new"
        values["schema"] = schema_of(2, values["features"])

    text = forged(others)
    with pytest.raises(VersionRefused, match="features are those of version 2, this build's of 4"):
        registry_with(text).load(name_of(text))


def another_order(values: Json) -> None:
    values["features"].reverse()
    values["schema"] = schema_of(values["features_version"], values["features"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (other_features, rf"1 are not known here \(brand_new\), 1 are missing \({NAMES[0]}\)"),
        (another_order, "in another order"),
        (lambda v: v.update(river="0.25.0"), r"River 0\.25\.0, whose arithmetic may differ"),
        (lambda v: v.update(kind="tree"), "is a tree, which this build cannot compute"),
        (lambda v: v["scaler"].update(clip=4.0), r"clips at 4\.0"),
        (lambda v: v["optimiser"].update(name="SGD"), "learns by SGD"),
        (lambda v: v["options"].update(momentum=0.9), "unknown field `momentum`"),
        (lambda v: v["options"].update(learning_rate=7.0), "<= 1"),
    ],
)
def test_another_builds_version_can_be_looked_at_and_not_be_used(
    change: Callable[[Json], object], words: str
) -> None:
    text = forged(change)
    registry = registry_with(text)
    found = registry.read(name_of(text))
    with pytest.raises(VersionRefused, match=f"^{name_of(text)}: .*{words}"):
        registry.load(name_of(text))
    with pytest.raises(VersionRefused):
        from_version(found)


def test_this_builds_version_is_used_with_another_numpy() -> None:
    check_fit(msgspec.structs.replace(VERSION, numpy="1.0"))


# ---------------------------------------------------------------------- the folder


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(DiskFolder(tmp_path / "store.db.models"))


def test_what_was_kept_is_read_back_by_its_name_and_by_its_first_digits(registry: Registry) -> None:
    name = registry.add(VERSION)
    assert name == NAME
    assert registry.names() == [NAME]
    assert registry.load(name) == VERSION
    assert registry.find(NAME[:6]) == registry.find(NAME) == NAME


@pytest.mark.parametrize(
    ("prefix", "words"), [("abc", "at least 6"), ("0" * 12, "no version in the registry begins")]
)
def test_a_prefix_that_means_no_version_is_refused(registry: Registry, prefix: str, words: str) -> None:
    registry.add(VERSION)
    with pytest.raises(VersionRefused, match=words):
        registry.find(prefix)


def test_a_prefix_that_means_two_versions_is_refused() -> None:
    folder = MemoryFolder()
    for end in "ab":
        folder.files["1" * 63 + end + SUFFIX] = Content()
    with pytest.raises(VersionRefused, match="2 versions begin"):
        Registry(folder).find("111111")


def test_a_version_that_is_not_there_is_told(registry: Registry) -> None:
    with pytest.raises(VersionRefused, match="is not in the registry"):
        registry.read(NAME)


def test_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "store.db.models"
    registry = Registry(DiskFolder(folder))
    registry.pin(registry.add(VERSION))
    registry.keep_ledger(Ledger())
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == dict.fromkeys(
        (NAME + SUFFIX, PINS, LEDGER), 0o600
    )


def test_a_damaged_file_is_mended_by_keeping_the_version_again(tmp_path: Path) -> None:
    registry = Registry(DiskFolder(tmp_path))
    registry.add(VERSION)
    (tmp_path / (NAME + SUFFIX)).write_bytes(TEXT[:-1])
    registry.add(VERSION)
    assert registry.read(NAME) == VERSION


@pytest.mark.parametrize("power_lost", [False, True])
def test_a_crash_at_any_moment_leaves_a_version_whole_or_not_there(power_lost: bool) -> None:
    other = version(20)
    for moment in range(1, 100):
        folder = MemoryFolder(at=5 + moment)
        registry = Registry(folder)
        kept = registry.add(other)  # five operations
        assert folder.operations == 5
        try:
            registry.add(VERSION)
        except Crash:
            left = folder.after(power_lost=power_lost)
            found = Registry(left)
            assert found.read(kept) == other
            assert all(not isinstance(each, VersionRefused) for _, each in found.all())
            assert found.add(VERSION) == NAME
            left.all_age_s = UNFINISHED_S + 1.0
            assert found.prune([], keep=9) == []
            assert len(found.names()) == 2
            assert not [name for name in left.names() if name.endswith(".part")]
        else:
            after = Registry(folder.after(power_lost=power_lost))
            assert after.read(NAME) == VERSION
            assert moment == 6
            return


@pytest.mark.parametrize("moment", range(1, 6))
def test_a_full_disk_is_told_and_nothing_half_done_stays(moment: int) -> None:
    folder = MemoryFolder(at=moment, error=lambda: OSError(28, "No space left on device"))
    with pytest.raises(OSError, match="No space left"):
        Registry(folder).add(VERSION)
    assert set(folder.names()) <= {NAME + SUFFIX}
    assert Registry(folder).add(VERSION) == NAME
    assert Registry(folder).read(NAME) == VERSION


def test_two_who_add_the_same_version_at_once_both_succeed() -> None:
    """Wherever the second comes in while the first is writing, neither takes the other's file away."""
    for moment in range(1, 5):  # up to the rename; then it is there, and the second writes nothing

        class Interrupted(MemoryFolder):
            def step(self, moment: int = moment) -> None:
                super().step()
                if self.operations == moment:
                    assert Registry(self).add(VERSION) == NAME

        folder = Interrupted()
        assert Registry(folder).add(VERSION) == NAME
        assert folder.operations == 10
        assert folder.names() == [NAME + SUFFIX]
        assert Registry(folder).read(NAME) == VERSION


@pytest.mark.parametrize(("age_s", "stays"), [(UNFINISHED_S - 60.0, True), (UNFINISHED_S + 60.0, False)])
def test_what_another_process_is_just_writing_is_not_pruned(
    tmp_path: Path, age_s: float, stays: bool
) -> None:
    part = tmp_path / f"{NAME}{SUFFIX}.0123456789abcdef.part"
    part.write_bytes(TEXT[:100])
    written = part.stat().st_mtime - age_s
    os.utime(part, (written, written))
    Registry(DiskFolder(tmp_path)).prune([])
    assert part.exists() is stays


def test_old_versions_go_but_not_the_pinned_nor_those_that_ever_led(registry: Registry) -> None:
    names = [registry.add(version(learnt)) for learnt in range(8)]
    registry.pin(names[1])
    registry.pin(names[2])
    registry.pin(names[2], keep=False)
    gone = registry.prune({names[3]}, keep=2)
    assert gone == [names[0], names[2], names[4], names[5]]
    assert set(registry.names()) == {names[each] for each in (1, 3, 6, 7)}
    assert registry.prune({names[3]}, keep=2) == []


def test_what_is_not_sound_is_not_thrown_away(tmp_path: Path) -> None:
    registry = Registry(DiskFolder(tmp_path))
    broken = "0" * 64
    (tmp_path / (broken + SUFFIX)).write_bytes(b"{}")
    registry.add(VERSION)
    assert registry.prune([], keep=1) == []
    assert registry.names() == sorted([broken, NAME])


def test_only_a_sound_version_can_be_pinned(registry: Registry) -> None:
    with pytest.raises(VersionRefused, match="is not in the registry"):
        registry.pin(NAME)
    assert registry.pins() == set()


DAMAGED = [b"", b"{", b'{"seq":"1"}', b"\xff", b"[" * 100_000, b'["../x"]', b"[1]"]


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_ledger_is_as_none(tmp_path: Path, text: bytes) -> None:
    (tmp_path / LEDGER).write_bytes(text)
    assert Registry(DiskFolder(tmp_path)).ledger() == Ledger()


@pytest.mark.parametrize("text", DAMAGED)
def test_while_the_pins_are_damaged_nothing_is_pinned_or_removed(tmp_path: Path, text: bytes) -> None:
    """Nobody knows any more what is to stay, and what is removed or written over is lost for good."""
    registry = Registry(DiskFolder(tmp_path))
    names = [registry.add(version(learnt)) for learnt in range(3)]
    (tmp_path / PINS).write_bytes(text)
    for wish in (
        registry.pins,
        lambda: registry.pin(names[0]),
        lambda: registry.pin(names[0], keep=False),
        lambda: registry.prune([], keep=1),
    ):
        with pytest.raises(PinsDamaged, match=r"pins\.json.* is damaged; .* brought back from a backup"):
            wish()
    assert registry.names() == sorted(names)
    assert (tmp_path / PINS).read_bytes() == text


def test_other_files_in_the_folder_are_no_versions(tmp_path: Path) -> None:
    for name in ("notes.json", f"{NAME.upper()}.json", f"{NAME}.txt", f".{NAME}.json"):
        (tmp_path / name).write_bytes(TEXT)
    assert Registry(DiskFolder(tmp_path)).names() == []


# ---------------------------------------------------------------------- who leads

A, B, C, D = ("a" * 64, "b" * 64, "c" * 64, "d" * 64)


def ledger(*steps: tuple[str, str | None], back: Sequence[bool] | None = None) -> Ledger:
    """A ledger of promotions, each (version, what it replaces), read from frames as they are stored.

    ``back`` says of each whether it is a rollback; None: they are of before, when a promotion did not tell.
    """
    made = Ledger()
    for number, (leads, replaces) in enumerate(steps, 1):
        event = promotion_event(
            number=number, version=leads, replaces=replaces, by="Li", reason="", at=START + number,
            back=back is not None and back[number - 1],
        )  # fmt: skip
        if back is None:
            event = msgspec.structs.replace(event, outcome=None)
        made.take(number, Frame.of([event], [0]))
    return made


@pytest.mark.parametrize(
    ("steps", "champion", "former"),
    [
        ([], None, None),
        ([(A, None)], A, None),
        ([(B, A)], B, A),
        ([(A, None), (B, A)], B, A),
        ([(A, None), (B, A), (C, B)], C, B),
        ([(A, None), (B, A), (C, B), (B, C)], B, A),
        ([(A, None), (B, A), (C, B), (B, C), (A, B)], A, None),
        ([(A, None), (B, A), (A, B), (C, A)], C, A),
        ([(A, None), (B, D)], B, D),  # A had learnt on, and was D when B took its place
        ([(A, None), (B, D), (D, C)], D, None),
    ],
)
def test_going_back_is_no_step_forward_also_in_journals_that_did_not_tell(
    steps: list[tuple[str, str | None]], champion: str | None, former: str | None
) -> None:
    made = ledger(*steps)
    assert (made.champion, made.former) == (champion, former)
    assert made.ever == {name for step in steps for name in step if name is not None}


@pytest.mark.parametrize(
    ("steps", "former"),
    [
        ([(A, None, False), (B, A, False), (A, B, False)], B),  # on purpose
        ([(A, None, False), (B, A, False), (A, B, False), (B, A, True)], A),
        ([(A, None, False), (B, A, False), (A, B, False), (B, A, True), (A, B, True)], None),
        ([(A, None, False), (B, A, False), (A, B, True)], None),
        ([(A, None, False), (B, A, False), (C, B, False), (B, C, True), (C, B, False)], B),
        ([(A, None, False), (B, A, False), (C, B, False), (B, C, True), (C, B, False), (B, C, True)], A),
        # Beside a daemon: what led is kept with all that it has learnt.
        ([(A, None, False), (B, C, False), (A, D, False)], D),
        ([(A, None, False), (B, C, False), (A, D, False), (D, A, True)], C),
    ],
)
def test_what_is_promoted_once_more_on_purpose_is_no_rollback(
    steps: list[tuple[str, str | None, bool]], former: str | None
) -> None:
    made = ledger(*((leads, replaces) for leads, replaces, _ in steps), back=[back for *_, back in steps])
    assert made.former == former


def test_a_ledger_comes_back_as_it_was_kept(registry: Registry) -> None:
    made = ledger((A, None), (B, A))
    registry.keep_ledger(made)
    assert registry.ledger() == made
    assert registry.ledger().promotions[1] == Promotion(2, B, A, "Li", "", START + 2, back=None)


def test_ledgers_share_no_list() -> None:
    ledger((A, None))
    assert Ledger().promotions == []


def test_weights_are_compared_by_how_much_they_differ() -> None:
    other = msgspec.structs.replace(
        VERSION, weights=[VERSION.weights[0] + 2.0, *VERSION.weights[1:]], intercept=VERSION.intercept - 1.0
    )
    rows = weight_differences(VERSION, other)
    assert [row[0] for row in rows[:2]] == [NAMES[0], "intercept"]
    assert len(rows) == COUNT + 1
    assert rows[0][1:] == (VERSION.weights[0], VERSION.weights[0] + 2.0)


def test_the_name_is_the_sha_256_of_the_files_bytes(tmp_path: Path) -> None:
    """So that sha256sum alone can verify a folder."""
    name = Registry(DiskFolder(tmp_path)).add(VERSION)
    assert hashlib.sha256((tmp_path / f"{name}.json").read_bytes()).hexdigest() == name
