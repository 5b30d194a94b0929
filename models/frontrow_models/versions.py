"""A version: all that a linear model is at one moment, as one canonical JSON text whose SHA-256 is its name.

The text has its keys sorted, no space between them and every number in its shortest form, so equal models have equal
texts and equal names, and a text that says the same in another way is refused. What is read is data and never code: no
pickle is loaded, and nothing that was read is used before it has been checked against the bounds below.

Two questions are kept apart. :func:`decode` answers whether a text is a sound version, of whichever build; such a one
can be shown and compared for ever. :func:`check_fit` answers whether this build may compute with it: the same
features in the same order (or what they were before some came: :func:`brought_up`), and River's arithmetic of the
same release. What numpy it was made with is told, not asked: another one may change the last bits of a score, and
River is what learns.

Only linear models on the features are versions. Trees and forests in shadow are made anew from the journal.
"""

import contextlib
import hashlib
import math
from collections.abc import Mapping, Sequence
from importlib.metadata import version as installed
from typing import Annotated, Any, Literal, Self

import msgspec
import numpy as np
from msgspec import Meta, Struct

from frontrow.core.errors import FrontrowError
from frontrow.core.events import Millis, has_control
from frontrow.core.features import FEATURES_VERSION, NAMES, hour_left_pct
from frontrow.core.outcomes import OutcomeRules
from frontrow.core.scoring import CLIP
from frontrow_models.calibration import CalibratorState
from frontrow_models.online import FLOOR, KIND, NEUTRAL, RIVER, ModelOptions, OnlineModel
from frontrow_models.policies import DelayState

NUMPY = installed("numpy")
OPTIMISER, SLOT, DESCENT = "AdaGrad", "squares", "weights"
MAX_BYTES = 4_000_000
MAX_DEPTH = 8  # of what other modules keep in a version: options, label policy, calibration
# Inputs are log1p of at most 1e9, so below 21, and clipped to 2 standard deviations. Weights that served well on
# recorded streams stay below 3; with one of 100 a single step of a feature would decide everything.
MOST_WEIGHT = 100.0
MOST_MEAN = 1_000.0
MOST_VARIANCE = 1_000_000.0
MOST_SUM = 1e18  # of a thousand per input, over more inputs than there will be; of squared gradients, too

_MINUTES = "until_end_min"  # what features of version 3 have in the place of the second one of these
_ADDED = "same_words", "hour_left_pct"  # since version 2
# The names that features of former versions have, in their order.
_FORMER = {
    2: [name for name in NAMES if name not in _ADDED],
    3: [_MINUTES if name == "hour_left_pct" else name for name in NAMES],
}

Count = Annotated[int, Meta(ge=0, le=1 << 53)]
Weight = Annotated[float, Meta(ge=-MOST_WEIGHT, le=MOST_WEIGHT)]
Short = Annotated[str, Meta(min_length=1, max_length=128)]
Sha256 = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
Json = dict[str, Any]


class VersionRefused(FrontrowError):
    """A version that is not used; the message says why, and never holds more of it than a name."""


class Scaler(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The scaler: by feature the mean and variance that it was last taken over with; ``clip`` in standard deviations.

    ``count`` inputs have been served by now, with these ``sums``, and these of their ``squares``: the next is made of
    them.
    """

    count: Count
    clip: Annotated[float, Meta(gt=0, le=1_000)]
    means: list[Annotated[float, Meta(ge=-MOST_MEAN, le=MOST_MEAN)]]
    variances: list[Annotated[float, Meta(ge=0, le=MOST_VARIANCE)]]
    sums: list[Annotated[float, Meta(ge=-MOST_SUM, le=MOST_SUM)]]
    squares: list[Annotated[float, Meta(ge=0, le=MOST_SUM)]]


class Optimiser(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where the gradient descent stands: its steps so far, and by name what it keeps for each feature (SGD: nothing).

    The ``weights`` among these and ``intercept`` are what it goes on from, where the version's own are their running
    means. A version without them was made before there were means, and goes on from its own.
    """

    name: Short
    iterations: Count
    slots: dict[Short, list[float]]
    intercept: Weight | None = None


class Position(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far the journal had been read: the number of its last frame (0: no journal), and engine time, UTC ms."""

    seq: Count
    at: Millis


class Card(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The model card: what it is for and how it was made, in words, and its figures by name."""

    text: Annotated[str, Meta(max_length=65_536)] = ""
    figures: Annotated[dict[Short, float], Meta(max_length=1_000)] = {}


def span(seconds: float) -> str:
    """Return a time in words: in minutes where it is so many of them, else in seconds."""
    count, unit = (seconds, "second") if seconds % 60 else (seconds / 60, "minute")
    return f"{count:,g} {unit}{'s' * (count != 1)}"


class Outcome(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a version was learnt for: that one of ``kinds`` follows within the horizon, or sales say one of ``won``.

    ``refunds`` take it back, sales' ``lost`` settle that there is none; renewals count where ``renewals``. All names are
    sorted, each once.
    """

    kinds: list[Short]
    refunds: list[Short]
    won: list[Short]
    lost: list[Short]
    renewals: bool
    horizon_ms: Annotated[int, Meta(ge=1, le=1 << 53)]

    @classmethod
    def of(cls, rules: OutcomeRules, horizon_ms: int) -> Self:
        """Return the outcome that an engine with these rules and this horizon teaches."""
        return cls(
            kinds=sorted(rules.kinds),
            refunds=sorted(rules.refunds),
            won=sorted(rules.won),
            lost=sorted(rules.lost),
            renewals=rules.renewals,
            horizon_ms=horizon_ms,
        )

    def __str__(self) -> str:
        """Tell it in words."""
        named = " or ".join([*self.kinds, *(f"{said} (said by sales)" for said in self.won)])
        parts = [f"{named} within {span(self.horizon_ms / 1000.0)} of a look at a viewer"]
        if self.refunds:
            parts.append(f"taken back by {' or '.join(self.refunds)}")
        if self.lost:
            parts.append(f"settled as none by {' or '.join(self.lost)} (said by sales)")
        if self.renewals:
            parts.append("renewals count")
        return "; ".join(parts)


class Version(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One version of a model. All arrays have one number per feature, in the order of ``features``.

    ``kind`` names the arithmetic. ``schema`` is the SHA-256 of the features' version and names. ``options``,
    ``label_policy`` and ``calibration`` are canonical states of the modules that own them, which also check them;
    calibration None: the raw probability is shown; label policy empty: it brings none. ``labels`` were learnt,
    ``positives`` of them positive. ``parents`` are the versions that it was made from, oldest first. ``created_at``
    is engine time, UTC milliseconds: the same journal gives the same version, whenever it is read. ``outcome`` None:
    a version of before, of which nobody knows what it predicts.
    """

    format: Literal[1]
    kind: Short
    features_version: Count
    features: Annotated[list[Short], Meta(min_length=1, max_length=4_096)]
    schema: Sha256
    scaler: Scaler
    weights: list[Weight]
    intercept: Weight
    optimiser: Optimiser
    options: Json
    label_policy: Json
    calibration: Json | None
    river: Short
    numpy: Short
    labels: Count
    positives: Count
    journal: Position
    parents: Annotated[list[Sha256], Meta(max_length=16)]
    created_at: Millis
    card: Card
    outcome: Outcome | None = None


_decoder = msgspec.json.Decoder(Version)


def schema_of(features_version: int, features: Sequence[str]) -> str:
    """Return the SHA-256 that tells one list of features from every other."""
    return hashlib.sha256(msgspec.json.encode([features_version, list(features)])).hexdigest()


def name_of(text: bytes) -> str:
    """Return the name of the version with this canonical text."""
    return hashlib.sha256(text).hexdigest()


def encode(version: Version) -> bytes:
    """Return the canonical text of a version.

    Raises:
        VersionRefused: It would not be read back: a number that is not finite, or out of its bounds.
    """
    # Looked at first: JSON has no NaN, and what has none would be written as null.
    _check_values(_without_text(version))
    try:
        # Through the types once, since 1 and 1.0 are equal here and are two texts.
        typed = msgspec.convert(msgspec.to_builtins(version), Version)
    except msgspec.ValidationError as error:
        raise VersionRefused(f"the version cannot be kept: {_told(error)}") from error
    _check(typed)
    text = msgspec.json.encode(typed, order="sorted")
    if len(text) > MAX_BYTES:
        raise VersionRefused(f"the version has {len(text):,} bytes; {MAX_BYTES:,} is the most")
    return text


def decode(text: bytes, name: str) -> Version:
    """Return the version of this name that a text holds.

    Raises:
        VersionRefused: The text is not what the name stands for, not canonical, or not a version within its bounds.
    """
    if len(text) > MAX_BYTES:
        raise VersionRefused(f"{name}: has more than {MAX_BYTES:,} bytes, the most that a version may have")
    if name_of(text) != name:
        raise VersionRefused(
            f"{name}: its content has another SHA-256 than its name says; it was changed or is damaged"
        )
    try:
        version = _decoder.decode(text)
    except RecursionError as error:
        raise VersionRefused(f"{name}: is nested more than {MAX_DEPTH} levels deep") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise VersionRefused(f"{name}: is not a version of this format ({_told(error)})") from error
    try:
        _check_values(_without_text(version))
        _check(version)
        canonical = msgspec.json.encode(version, order="sorted")
    except VersionRefused as refused:
        raise VersionRefused(f"{name}: {refused}") from refused
    if canonical != text:
        raise VersionRefused(f"{name}: is not written in the canonical way, so its name means nothing")
    return version


def brought_up(version: Version) -> Version:
    """Return a version of former features as one of this build's: whatever came since weighs nothing, so it predicts what it did.

    Minutes until the planned end (version 3, between ten and sixty) are what is left of the hour now, by the straight
    line through these two: there it predicts what it did, between them it is off by 0.2 times the feature's weight at
    most, and beyond, down to six minutes, the line goes on. It goes on learning as one that has only met what the new
    ones stand for where nothing is known. Any other version is returned as it is.
    """
    if version.features != _FORMER.get(version.features_version):
        return version
    new = _ADDED if version.features_version == 2 else ()
    named = list(version.features)
    if _MINUTES in named:
        version, named = _without_minutes(version), list(NAMES)
    places = {name: place for place, name in enumerate(named)}

    def widened(numbers: Sequence[float], of_new: Mapping[str, float] | None = None) -> list[float]:
        given = of_new or {}
        return [numbers[places[name]] if name in places else given.get(name, 0.0) for name in NAMES]

    count, usual = version.scaler.count, {name: NEUTRAL.get(name, 0.0) for name in new}
    return msgspec.structs.replace(
        version,
        features_version=FEATURES_VERSION,
        features=list(NAMES),
        schema=schema_of(FEATURES_VERSION, NAMES),
        scaler=Scaler(
            count=count,
            clip=version.scaler.clip,
            means=widened(version.scaler.means, usual),
            variances=widened(version.scaler.variances, dict.fromkeys(new, FLOOR**2.0)),
            sums=widened(version.scaler.sums, {name: count * mean for name, mean in usual.items()}),
            squares=widened(
                version.scaler.squares, {name: count * mean**2.0 for name, mean in usual.items()}
            ),
        ),
        weights=widened(version.weights),
        optimiser=msgspec.structs.replace(
            version.optimiser,
            slots={name: widened(numbers) for name, numbers in version.optimiser.slots.items()},
        ),
    )


def _without_minutes(version: Version) -> Version:
    """Return a version whose minutes until the planned end are what is left of the hour, by the line through ten minutes and sixty."""
    place = version.features.index(_MINUTES)
    then = np.log1p([10.0, 60.0])
    now = np.log1p(hour_left_pct(np.array([10.0, 60.0])))
    ratio = float((now[1] - now[0]) / (then[1] - then[0]))
    rest = float(now[0] - ratio * then[0])
    scaler, count = version.scaler, version.scaler.count
    total, squares = scaler.sums[place], scaler.squares[place]

    def put(numbers: Sequence[float], number: float) -> list[float]:
        return [*numbers[:place], number, *numbers[place + 1 :]]

    return msgspec.structs.replace(
        version,
        scaler=msgspec.structs.replace(
            scaler,
            means=put(scaler.means, ratio * scaler.means[place] + rest),
            variances=put(scaler.variances, ratio**2.0 * scaler.variances[place]),
            sums=put(scaler.sums, ratio * total + count * rest),
            squares=put(
                scaler.squares,
                max(0.0, ratio**2.0 * squares + 2.0 * ratio * rest * total + count * rest**2.0),
            ),
        ),
    )


def check_fit(version: Version, name: str = "the version") -> None:
    """Refuse a version that this build cannot compute with to the bit. Of its features some may have come since.

    Raises:
        VersionRefused: Its features, its arithmetic or its River is another, or its options, calibration or label policy
            are none of ours.
    """
    version = brought_up(version)
    if version.kind != KIND:
        raise VersionRefused(f"{name}: is a {version.kind}, which this build cannot compute; it has {KIND}")
    if (version.features_version, tuple(version.features)) != (FEATURES_VERSION, NAMES):
        raise VersionRefused(
            f"{name}: {_other_features(version)}; learn it anew from the journal (frontrow retrain)"
        )
    if version.scaler.clip != CLIP:
        raise VersionRefused(
            f"{name}: clips at {version.scaler.clip} standard deviations, this build at {CLIP}"
        )
    if version.river != RIVER:
        raise VersionRefused(
            f"{name}: was learnt by River {version.river}, whose arithmetic may differ from that of {RIVER} here;"
            " learn it anew from the journal (frontrow retrain)"
        )
    slots = {SLOT} if version.optimiser.intercept is None else {SLOT, DESCENT}
    if version.optimiser.name != OPTIMISER or set(version.optimiser.slots) != slots:
        raise VersionRefused(f"{name}: learns by {version.optimiser.name}, this build by {OPTIMISER} alone")
    parts: list[tuple[str, Json | None, type[Struct]]] = [
        ("options", version.options, ModelOptions),
        ("calibration", version.calibration, CalibratorState),
        ("label policy", version.label_policy or None, DelayState),
    ]
    for part, values, kind in parts:
        try:
            if values is not None:
                msgspec.convert(values, kind)
        except msgspec.ValidationError as error:
            raise VersionRefused(f"{name}: its {part} is none of this build's ({_told(error)})") from error
    warm_up = version.options.get("warm_up", ModelOptions().warm_up)
    if version.scaler.count < warm_up:
        raise VersionRefused(
            f"{name}: its scaler is of {version.scaler.count} inputs, and by its options nothing is learnt before {warm_up}"
        )


def fits(predicts: Outcome | None, outcome: Outcome | None) -> bool:
    """Return whether what was learnt for the first predicts the second; None, on either side, is any."""
    return None in (predicts, outcome) or predicts == outcome


def check_outcome(version: Version, outcome: Outcome | None, name: str, *, back: bool = False) -> None:
    """Refuse a version that was learnt for another outcome; ``back``: it was to be rolled back to. Raises VersionRefused."""
    if not fits(version.outcome, outcome):
        instead = "; promote another version instead (frontrow models list)" if back else ""
        raise VersionRefused(
            f"{name}: predicts {version.outcome}. Here what is to be predicted is {outcome}{instead}"
        )


def to_version(
    model: OnlineModel,
    *,
    journal: Position,
    parents: Sequence[str] = (),
    label_policy: Mapping[str, Any] | None = None,
    calibration: Mapping[str, Any] | None = None,
    card: Card | None = None,
    outcome: Outcome | None = None,
) -> Version:
    """Return the version that a model is now; ``journal`` says where, and its engine time is that of the version.

    ``outcome`` is what it was learnt for; None: nobody says.

    Raises:
        VersionRefused: It has no scaler yet (before that it has learnt nothing), or it has gone out of bounds.
    """
    if not model.warm:
        raise VersionRefused("the model has no scaler yet, so it has learnt nothing that could be kept")
    state = model.state()
    version = Version(
        format=1,
        kind=state["kind"],
        features_version=state["features_version"],
        features=state["features"],
        schema=schema_of(state["features_version"], state["features"]),
        scaler=Scaler(
            count=state["scaler"]["count"],
            clip=state["scaler"]["clip"],
            means=state["scaler"]["means"],
            variances=state["scaler"]["variances"],
            sums=state["scaler"]["sums"],
            squares=state["scaler"]["squares"],
        ),
        weights=state["weights"],
        intercept=state["intercept"],
        optimiser=Optimiser(
            name=OPTIMISER,
            iterations=state["iterations"],
            slots={SLOT: state["squares"], DESCENT: state["descent"]["weights"]},
            intercept=state["descent"]["intercept"],
        ),
        options=state["options"],
        label_policy=dict(label_policy or {}),
        calibration=None if calibration is None else dict(calibration),
        river=state["river"],
        numpy=NUMPY,
        labels=state["labels"],
        positives=state["positives"],
        journal=journal,
        parents=list(parents),
        created_at=journal.at,
        card=card or Card(),
        outcome=outcome,
    )
    return _decoder.decode(encode(version))


def of_challenger(
    state: Mapping[str, Any], *, journal: Position, card: Card, outcome: Outcome | None = None
) -> Version:
    """Return the version that a challenger's canonical state makes: without calibration, as it was judged.

    Raises:
        VersionRefused: It is of another kind than versions are, or has no scaler yet.
    """
    if state.get("kind") != KIND:
        raise VersionRefused("it is of a kind of which there are no versions")
    model = OnlineModel(msgspec.convert(state["options"], ModelOptions))
    model.take(dict(state))
    return to_version(model, journal=journal, label_policy=state["label_policy"], card=card, outcome=outcome)


def from_version(version: Version) -> OnlineModel:
    """Return a new model that predicts, and goes on learning, as the one that the version was made of, to the bit.

    One of fewer features is :func:`brought_up`.

    How many labels that one has refused is not part of a version and counts from 0 again.

    Raises:
        VersionRefused: As :func:`check_fit`.
    """
    check_fit(version)
    version = brought_up(version)
    model = OnlineModel(msgspec.convert(version.options, ModelOptions))
    model.take(
        {
            "scaler": msgspec.to_builtins(version.scaler),
            "weights": version.weights,
            "intercept": version.intercept,
            "iterations": version.optimiser.iterations,
            "squares": version.optimiser.slots[SLOT],
            "descent": {
                "weights": version.optimiser.slots.get(DESCENT, version.weights),
                "intercept": version.intercept
                if version.optimiser.intercept is None
                else version.optimiser.intercept,
            },
            "labels": version.labels,
            "positives": version.positives,
        }
    )
    return model


def _check(version: Version) -> None:
    """Refuse what the types alone let pass."""
    names = version.features
    if len(set(names)) != len(names):
        raise VersionRefused("names a feature twice")
    if version.schema != schema_of(version.features_version, names):
        raise VersionRefused("the hash of its features is not that of the features it names")
    columns = {
        "means": version.scaler.means,
        "variances": version.scaler.variances,
        "sums": version.scaler.sums,
        "squares": version.scaler.squares,
        "weights": version.weights,
        **{f"{name} of the optimiser": numbers for name, numbers in version.optimiser.slots.items()},
    }
    for column, numbers in columns.items():
        if len(numbers) != len(names):
            raise VersionRefused(f"has {len(numbers)} {column} for {len(names)} features")
    if any(abs(weight) > MOST_WEIGHT for weight in version.optimiser.slots.get(DESCENT, ())):
        raise VersionRefused(f"has a weight of the optimiser beyond {MOST_WEIGHT:g}")
    if not all(0.0 <= square <= MOST_SUM for square in version.optimiser.slots.get(SLOT, ())):
        raise VersionRefused(f"has sums of squares of the optimiser that are below 0 or beyond {MOST_SUM:g}")
    if version.scaler.count == 0:
        raise VersionRefused("has a scaler of no inputs")
    if not any(version.scaler.variances):
        raise VersionRefused("has a scaler that no feature has varied for")
    wrong = _wrong(version)
    if wrong is not None:
        raise VersionRefused(wrong)
    if version.positives > version.labels:
        raise VersionRefused(f"has {version.positives} positives among {version.labels} labels")
    if version.created_at < version.journal.at:
        raise VersionRefused("was made before the end of the journal that it has learnt from")
    told = version.outcome
    for names in () if told is None else (told.kinds, told.refunds, told.won, told.lost):
        if names != sorted(set(names)):
            raise VersionRefused("names what it predicts in another order than the sorted one")
    if has_control(version.card.text.replace("\t", " ").replace("\n", " ")):
        raise VersionRefused("has a control character in its card")


def _wrong(version: Version) -> str | None:
    """Return why the states of other modules cannot have been theirs; None: they can, or are another build's."""
    with contextlib.suppress(msgspec.ValidationError):
        wrong = (
            None
            if version.calibration is None
            else msgspec.convert(version.calibration, CalibratorState).wrong
        )
        if wrong is not None:
            return f"its calibration {wrong}"
    with contextlib.suppress(msgspec.ValidationError):
        delays = msgspec.convert(version.label_policy, DelayState)
        if delays.within > delays.positives:
            return (
                f"its label policy has {delays.within:g} positives within the window"
                f" among {delays.positives:g} positives"
            )
    return None


def _told(error: Exception) -> str:
    # It names keys of the text, which anybody may have written.
    return "".join(character for character in str(error)[:200] if not has_control(character))


def _without_text(version: Version) -> Json:
    values: Json = msgspec.to_builtins(version)
    del values["card"]["text"]
    return values


def _check_values(value: Any, depth: int = MAX_DEPTH) -> None:
    """Refuse numbers that are not finite, control characters and what nests too deep, wherever in JSON values."""
    if isinstance(value, float) and not math.isfinite(value):
        raise VersionRefused("has a number that is not finite")
    # What is shown on a terminal must not be able to command it. The card alone has lines, and is looked at by itself.
    if isinstance(value, str) and has_control(value):
        raise VersionRefused("has a control character among its words")
    if isinstance(value, Mapping | list | tuple):
        if depth == 0:
            raise VersionRefused(f"is nested more than {MAX_DEPTH} levels deep")
        for each in (*value, *value.values()) if isinstance(value, Mapping) else value:
            _check_values(each, depth - 1)


def _other_features(version: Version) -> str:
    """Return in words how a version's features differ from this build's."""
    theirs, ours = set(version.features), set(NAMES)
    gone, new = sorted(theirs - ours), sorted(ours - theirs)
    parts = [
        f"its features are those of version {version.features_version}, this build's of {FEATURES_VERSION}"
    ]
    if gone:
        parts.append(f"{len(gone)} are not known here ({', '.join(gone[:3])}{'…' * (len(gone) > 3)})")
    if new:
        parts.append(f"{len(new)} are missing ({', '.join(new[:3])}{'…' * (len(new) > 3)})")
    if not gone and not new and version.features_version == FEATURES_VERSION:
        return "its features are in another order than this build's"
    return ", ".join(parts)
