"""Configurations for what-if runs: a file or the defaults, with some options set otherwise."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from frontrow.app.parts import built_in, load_config
from frontrow.config import Config
from frontrow.core.errors import ConfigError, Mistake


def configured(path: Path | None, settings: Sequence[str], environ: Mapping[str, str]) -> Config:
    """Return the configuration of a file (None: the defaults) with ``settings``, each ``section.key=value``.

    A setting is read as the variable ``FRONTROW__SECTION__KEY`` would be, and wins over ``environ``, which counts only
    with a file. A rule of points is named by its name: ``points.rules.question.points=20``.

    Raises:
        ConfigError: With every mistake at once.
    """
    given = _variables(settings)
    variables = {variable: value for variable, (_, value) in given.items()}
    try:
        if path is None:
            return built_in(variables)
        return load_config(path, {**environ, **variables})
    except ConfigError as error:
        told = {f"environment {variable}": f"--set {key}" for variable, (key, _) in given.items()}
        raise ConfigError(
            [replace(mistake, file=told.get(mistake.file, mistake.file)) for mistake in error.mistakes]
        ) from None


def keys_of(settings: Sequence[str]) -> list[str]:
    """Return the dotted keys of settings, as a configuration file spells them. Raises ConfigError."""
    return [
        variable.removeprefix("FRONTROW__").replace("__", ".").lower() for variable in _variables(settings)
    ]


def _variables(settings: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return by variable the key as it was given, and the value."""
    found: dict[str, tuple[str, str]] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key.strip():
            reason = "is no setting; write section.key=value"
            raise ConfigError([Mistake("--set", 0, 0, setting, reason, "model.learning_rate=0.05")])
        found["FRONTROW__" + key.strip().replace(".", "__").replace("-", "_").upper()] = (key.strip(), value)
    return found
