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
        ConfigError: With every mistake at once, each named by the setting that makes it where one does.
    """
    given = _variables(settings)
    variables = {variable: value for variable, (_, value) in given.items()}
    try:
        return _loaded(path, environ, variables)
    except ConfigError as error:
        told = {f"environment {variable}": f"--set {key}" for variable, (key, _) in given.items()}
        alone = _mistakes_without(path, environ) if given else error.mistakes
        raise ConfigError(
            [
                replace(mistake, file=told[mistake.file])
                if mistake.file in told
                else mistake
                if mistake in alone
                else _by_setting(mistake, path, [key for key, _ in given.values()])
                for mistake in error.mistakes
            ]
        ) from None


def _loaded(path: Path | None, environ: Mapping[str, str], variables: Mapping[str, str]) -> Config:
    return built_in(variables) if path is None else load_config(path, {**environ, **variables})


def _mistakes_without(path: Path | None, environ: Mapping[str, str]) -> list[Mistake]:
    """Return the mistakes that there are without any setting."""
    try:
        _loaded(path, environ, {})
    except ConfigError as error:
        return error.mistakes
    return []


def _by_setting(mistake: Mistake, path: Path | None, keys: Sequence[str]) -> Mistake:
    """Return a mistake in what was not set, named by the settings of its section: with them it does not go together."""
    section = mistake.key.partition(".")[0].lower()
    near = [key for key in keys if key.partition(".")[0].lower() == section] or keys
    before = "" if path is None else f"{path} with "
    return replace(mistake, file=f"{before}--set {', '.join(near)}", line=0, column=0)


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
