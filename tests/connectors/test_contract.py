"""One suite that every connector of the registry passes; see connectors/README.md for the rules it checks."""

import ast
import dataclasses
import importlib.resources
import inspect
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import frontrow_connectors
from frontrow.config.secret import is_secret_name
from frontrow.core.events import RoomRef
from frontrow_connectors.contract import Connector
from frontrow_connectors.registry import CONNECTORS, FOLDERS

ROOT = Path(str(importlib.resources.files(frontrow_connectors)))
NOT_CONNECTORS = {"sinks", "__pycache__"}
COMMON_KEYS = {"id", "room", "connector", "enabled", "options"}  # of every [[feeds]] table

# Rule → connector → why it need not keep the rule.
EXEMPT: dict[str, dict[str, str]] = {
    "decoder.py": {"simulator": "it makes events itself; there are no bytes to decode"},
}


def exempt(rule: str, connector: Connector) -> bool:
    return connector.name in EXEMPT.get(rule, {})


@pytest.fixture(params=sorted(CONNECTORS))
def connector(request: pytest.FixtureRequest) -> Connector:
    return CONNECTORS[request.param]


def folder(connector: Connector) -> Path:
    return ROOT / connector.name


def readme(connector: Connector) -> str:
    return (folder(connector) / "README.md").read_text(encoding="utf-8")


def test_the_registry_holds_every_folder_and_nothing_else() -> None:
    folders = {each.name for each in ROOT.iterdir() if each.is_dir()} - NOT_CONNECTORS
    assert set(CONNECTORS) == folders
    assert len(FOLDERS) == len(CONNECTORS)


def test_every_exemption_names_a_connector_and_a_reason() -> None:
    for by_connector in EXEMPT.values():
        assert set(by_connector) <= set(CONNECTORS)
        assert all(len(reason) > 20 for reason in by_connector.values())


def test_the_readme_of_all_connectors_lists_each(connector: Connector) -> None:
    text = (ROOT.parent / "README.md").read_text(encoding="utf-8")
    assert f"[{connector.name}](frontrow_connectors/{connector.name}/README.md)" in text


def test_the_name_is_the_folders(connector: Connector) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]*", connector.name)
    assert folder(connector).is_dir()


def test_there_is_either_a_client_or_a_receiver(connector: Connector) -> None:
    assert (connector.client is None) != (connector.receiver is None)


def test_the_folder_has_the_files_that_every_connector_has(connector: Connector) -> None:
    wanted = {"__init__.py", "options.py", "decoder.py", "README.md"}
    wanted.add("client.py" if connector.client is not None else "receiver.py")
    wanted = {name for name in wanted if not exempt(name, connector)}
    present = {each.name for each in folder(connector).iterdir()}
    assert wanted <= present
    assert ("client.py" in present) != ("receiver.py" in present)


def test_the_options_are_a_frozen_keyword_only_struct_without_unknown_fields(connector: Connector) -> None:
    config = connector.options.__struct_config__
    assert config.frozen
    assert config.forbid_unknown_fields
    assert all(
        each.kind is inspect.Parameter.KEYWORD_ONLY
        for each in inspect.signature(connector.options).parameters.values()
    )


def test_no_option_takes_the_name_of_a_key_that_every_feed_has(connector: Connector) -> None:
    assert not COMMON_KEYS & set(connector.options.__struct_fields__)


def test_every_option_is_documented_in_code_and_readme(connector: Connector) -> None:
    docstring = inspect.getdoc(connector.options) or ""
    for option in msgspec.structs.fields(connector.options):
        described = f"``{option.name}``" in docstring or any(
            isinstance(each, msgspec.Meta) and each.description for each in metadata(option.type)
        )
        assert described, f"{option.name} is not documented in options.py"
        assert option.name in readme(connector), f"{option.name} is not in the README"


def test_what_looks_like_a_secret_is_typed_as_one(connector: Connector) -> None:
    for option in msgspec.structs.fields(connector.options):
        if is_secret_name(option.name):
            secret = any(
                isinstance(each, msgspec.Meta) and (each.extra or {}).get("secret")
                for each in metadata(option.type)
            )
            assert secret, f"{option.name} should be a frontrow.config.Secret"


def test_the_readmes_example_is_a_valid_configuration_of_a_feed(connector: Connector) -> None:
    options = example(connector)
    made = msgspec.convert(options, connector.options)
    for name, value in options.items():
        assert msgspec.json.decode(msgspec.json.encode(getattr(made, name))) == value


def test_an_option_that_does_not_exist_is_refused(connector: Connector) -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.convert({**example(connector), "no_such_option": 1}, connector.options)


def test_defaults_keep_the_bounds_of_their_own_types(connector: Connector) -> None:
    """msgspec does not check defaults, so a wrong one would only be found by the one who writes it down."""
    for option in msgspec.structs.fields(connector.options):
        if not option.required:
            default = option.default if option.default is not msgspec.NODEFAULT else option.default_factory()
            msgspec.convert(msgspec.to_builtins(default), option.type)


def test_options_cannot_be_changed(connector: Connector) -> None:
    made = msgspec.convert(example(connector), connector.options)
    with pytest.raises(AttributeError):
        setattr(made, connector.options.__struct_fields__[0], "changed")


@pytest.mark.parametrize("heading", ["Setup", "What it maps", "What it can lose"])
def test_the_readme_has_its_headings(connector: Connector, heading: str) -> None:
    if not exempt(heading, connector):
        assert f"\n## {heading}\n" in readme(connector)


def test_the_decoder_is_pure(connector: Connector) -> None:
    """What waits, reads a clock, draws a random number or opens a file belongs to the client."""
    path = folder(connector) / "decoder.py"
    if not path.exists():
        assert exempt("decoder.py", connector)
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not {"asyncio", "socket", "time", "random", "secrets", "threading", "httpx", "websockets"} & set(
        imported(tree)
    )
    assert not any(isinstance(node, ast.AsyncFunctionDef | ast.Await) for node in ast.walk(tree))
    assert "open" not in {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }


def test_a_receiver_is_made_without_any_effect(connector: Connector) -> None:
    if connector.receiver is not None:
        room = RoomRef(id="r", platform=connector.platform or "p", room="o")
        assert connector.receiver(msgspec.convert(example(connector), connector.options), room) is not None


def test_the_contract_is_immutable(connector: Connector) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        connector.name = "other"  # type: ignore[misc]  # that it is refused is the test
    with pytest.raises(TypeError):
        CONNECTORS["other"] = connector  # type: ignore[index]  # that it is refused is the test


def metadata(type_: Any) -> Iterator[Any]:
    """Yield what is said in the ``Annotated`` parts of a type, however deep (``Secret | None``)."""
    yield from getattr(type_, "__metadata__", ())
    if hasattr(type_, "__origin__") and hasattr(type_, "__metadata__"):
        yield from metadata(type_.__origin__)
    for each in getattr(type_, "__args__", ()):
        yield from metadata(each)


def imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def example(connector: Connector) -> dict[str, Any]:
    """Return the options that the README's first TOML example sets for this connector."""
    for block in re.findall(r"```toml\n(.*?)```", readme(connector), flags=re.DOTALL):
        for table in tomllib.loads(block).get("feeds", []):
            if table.get("connector") == connector.name:
                assert {"id", "room"} <= set(table), "a [[feeds]] table needs `id` and `room`"
                return {key: value for key, value in table.items() if key not in COMMON_KEYS}
    raise AssertionError(f"the README of {connector.name} has no [[feeds]] example in TOML")
