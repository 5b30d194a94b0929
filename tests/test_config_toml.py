"""The ``config.toml`` that people begin with: it shows every option there is, and what it says of defaults is true."""

import importlib
import pkgutil
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Struct, structs

import frontrow_connectors
from frontrow.config import Config, defaults, load
from frontrow.config.schema import FeedConfig, OccasionConfig, RoomConfig, SinkConfig
from frontrow.config.shape import Option, Shape, options_of
from frontrow.core.centre.assignment import Conditions
from frontrow.core.centre.assignment import Rule as AssignmentRule
from frontrow.core.centre.channels import Channel
from frontrow.core.centre.clock import QuietHours
from frontrow.core.centre.forms import Form
from frontrow.core.centre.nurture import BroadcastRule, TouchRule
from frontrow.core.centre.organisation import Seller, Unit
from frontrow.core.points import Rule
from frontrow_connectors.contract import Connector
from frontrow_connectors.sinks.registry import SINKS

CONFIG = Path(__file__).parent.parent / "config.toml"
SWITCHED_OFF = re.compile(r"^#(?=\S)", re.MULTILINE)


def shipped_connectors() -> list[Connector]:
    """Return the connectors that have a folder, so that a new one cannot be left out of config.toml."""
    modules = (
        importlib.import_module(f"frontrow_connectors.{found.name}")
        for found in pkgutil.iter_modules(frontrow_connectors.__path__)
        if found.ispkg
    )
    return [module.CONNECTOR for module in modules if hasattr(module, "CONNECTOR")]


CONNECTORS: Mapping[str, type[Struct]] = {each.name: each.options for each in shipped_connectors()}
PLATFORMS = {each.name: each.platform for each in shipped_connectors()}
SINK_OPTIONS: Mapping[str, type[Struct]] = {kind.name: kind.options for kind in SINKS.values()}
SHAPE = Shape(CONNECTORS, SINK_OPTIONS)

TEXT = CONFIG.read_text("utf-8")
ALL = SWITCHED_OFF.sub("", TEXT)


def read(path: Path) -> Config:
    return load(path, environ={}, connectors=CONNECTORS, sinks=SINK_OPTIONS, platforms=PLATFORMS)


def test_as_shipped_it_is_the_defaults_and_the_demo() -> None:
    config = read(CONFIG)
    demo = RoomConfig(
        id="demo",
        platform="demo",
        room="demo",
        title="夏季新品专场 · 演示",
        host_aliases=("小鹿", "阿泽", "米粒"),  # whom the simulated crowd calls
        raffle_words=("福袋", "抽奖"),
    )
    feed = FeedConfig(id="demo", room="demo", connector="simulator", options=CONNECTORS["simulator"]())
    plain = defaults(folder=CONFIG.parent)
    centre = structs.replace(
        plain.centre,
        rules=(
            AssignmentRule(
                name="demo-hot", when=Conditions(platforms=("demo",), grades=("hot",)), team="demo-live"
            ),
            AssignmentRule(name="demo-rest", when=Conditions(platforms=("demo",)), pool="demo"),
        ),
        units=(
            Unit(id="demo-company", kind="company"),
            Unit(id="demo-store", kind="store", name="演示门店", parent="demo-company"),
            Unit(id="demo-live", kind="team", name="演示直播组", parent="demo-store"),
        ),
        sellers=(
            Seller(id="demo-lin", team="demo-live", name="林溪"),
            Seller(id="demo-zhou", team="demo-live", name="周航"),
        ),
    )
    assert config == structs.replace(plain, rooms=(demo,), feeds=(feed,), centre=centre)


def test_with_every_example_switched_on_it_loads(tmp_path: Path) -> None:
    for name in re.findall(r"_file = \"(secrets/[^\"]+)\"", ALL):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("0123456789abcdef0123456789abcdef\n")
    (tmp_path / "config.toml").write_text(ALL, "utf-8")
    config = read(tmp_path / "config.toml")
    assert {feed.connector for feed in config.feeds} == set(CONNECTORS)
    assert {sink.kind for sink in config.sinks} == set(SINK_OPTIONS)


def tables_of(section: str, data: Any) -> Iterator[tuple[str, Mapping[str, Any], tuple[Option, ...]]]:
    """Yield (name, table, options it may have) for each table of the whole file."""
    kinds: dict[str, type[Struct]] = {
        "rooms": RoomConfig, "feeds": FeedConfig, "sinks": SinkConfig, "forms": Form, "channels": Channel,
    }  # fmt: skip
    if section in kinds:
        for table in data:
            options = SHAPE.options(kinds[section], table)
            name = table.get("id") or table["code"]
            assert options is not None, f"{name}: no such connector or kind"
            yield f"{section}.{name}", table, options
        return
    struct = next(option.kind.struct for option in options_of(Config) if option.name == section)
    assert struct is not None
    yield from nested(section, data, struct)


ELEMENTS: Mapping[str, type[Struct]] = {
    "points.rules": Rule, "centre.rules": AssignmentRule, "centre.units": Unit, "centre.sellers": Seller,
    "centre.sla.quiet_hours": QuietHours, "centre.touch.quiet_hours": QuietHours, "centre.touch_rules": TouchRule,
    "centre.occasions": OccasionConfig, "centre.broadcasts": BroadcastRule,
}  # fmt: skip
# Of a rule that says where a lead goes only one may be given; the comment names the others.
EXCLUSIVE = {"centre.rules": {"pool", "by"}}


def nested(
    name: str, data: Mapping[str, Any], struct: type[Struct]
) -> Iterator[tuple[str, Mapping[str, Any], tuple[Option, ...]]]:
    """Yield a table, then the tables within it and the elements of its lists, each with a name of its own."""
    within = {
        option.name: option.kind.struct
        for option in options_of(struct)
        if option.kind.struct is not None and isinstance(data.get(option.name), dict)
    }
    options = [
        option
        for option in options_of(struct)
        if option.name not in within and f"{name}.{option.name}" not in ELEMENTS
    ]
    yield name, data, tuple(options)
    for key, inner in within.items():
        yield from nested(f"{name}.{key}", data[key], inner)
    for key, element in ELEMENTS.items():
        section, _, last = key.rpartition(".")
        for number, each in enumerate(data.get(last, ()) if section == name else ()):
            left_out = EXCLUSIVE.get(key, set())
            shown = tuple(option for option in options_of(element) if option.name not in left_out)
            yield f"{key}.{each.get('id') or each.get('name') or number}", each, shown


TABLES = [each for section, data in tomllib.loads(ALL).items() for each in tables_of(section, data)]

# Options that all tables of a list share are shown in one of them.
COMMON = {
    "rooms": ("rooms.demo", options_of(RoomConfig)),
    "feeds": ("feeds.demo", SHAPE.common(FeedConfig)),
    "sinks": ("sinks.sales-group", SHAPE.common(SinkConfig)),
    "points.rules": ("points.rules.likes", options_of(Rule)),
    "channels": ("channels.douyin-main", options_of(Channel)),
    "centre.rules": ("centre.rules.hot-skincare", options_of(AssignmentRule)),
    "centre.units": ("centre.units.skincare-a", options_of(Unit)),
    "centre.sellers": ("centre.sellers.li", options_of(Seller)),
}


@pytest.mark.parametrize(("name", "table", "options"), TABLES, ids=[name for name, _, _ in TABLES])
def test_every_option_is_shown(name: str, table: Mapping[str, Any], options: tuple[Option, ...]) -> None:
    shown_in, common = COMMON.get(name.rpartition(".")[0], (name, ()))
    elsewhere = {option.name for option in common} if name != shown_in else set()
    missing = [
        option.name
        for option in options
        if option.name not in elsewhere and option.name not in table and f"{option.name}_file" not in table
    ]
    assert not missing


def test_every_section_is_shown() -> None:
    assert {option.name for option in options_of(Config)} == set(tomllib.loads(ALL))


def plain(value: Any) -> Any:
    """Return a default as TOML would give it."""
    return (
        list(map(plain, value))
        if isinstance(value, tuple)
        else str(value)
        if isinstance(value, Path)
        else msgspec.to_builtins(value)
        if isinstance(value, Struct)
        else value
    )


def said_default(name: str, key: str, value: Any) -> str | None:
    """Return what the comment beside one option of one table says after ``default:``, in one of the tables like it."""
    block = next(block for block in re.split(r"\n(?=\[)", ALL) if is_block_of(name, block))
    line = next(line for line in block.split("\n") if re.match(rf"{key}\s*=", line))
    assert tomllib.loads(line)[key] == value
    said = re.search(r"#.*\bdefault: (.+)$", line)
    return said[1] if said else None


def is_block_of(name: str, block: str) -> bool:
    section, _, element = name.rpartition(".")
    if not section:
        return block.startswith(f"[{element}]")
    if block.startswith(f"[{name}]"):
        return True
    if not block.startswith(f"[[{section}]]"):
        return False
    return element.isdigit() or any(f'\n{key} = "{element}"' in block for key in ("id", "name", "code"))


VALUES = [
    (name, option, key, table[key])
    for name, table, options in TABLES
    for option in options
    for key in (option.name, f"{option.name}_file")
    if key in table and not option.required
    if not isinstance(option.default, dict)  # group_caps: the keys are free
    if name == "points.rules.likes"
    or not name.startswith("points.rules.")  # the default table is compared above
    if option.name != "rules"
]


@pytest.mark.parametrize(
    ("name", "option", "key", "value"), VALUES, ids=[f"{name}.{key}" for name, _, key, _ in VALUES]
)
def test_what_is_shown_is_the_default_or_the_comment_tells_it(
    name: str, option: Option, key: str, value: Any
) -> None:
    default = plain(option.default)
    if key == option.name and value == default and type(value) in (type(default), int):
        return
    said = said_default(name, key, value)
    assert said is not None, f"{key} = {value!r}, but the default is {default!r}"
    if default is None:
        assert not re.match(r"[\"\d\[]", said), "that there is none is told in words"
    else:
        assert tomllib.loads(f"x = {said.split(', ')[0]}")["x"] == default


def test_every_time_and_size_tells_its_unit_in_words() -> None:
    for line in ALL.split("\n"):
        if re.match(r"\w+_(s|ms|minutes|hours|bytes) = ", line):
            assert re.search(r"# .*(second|millisecond|minute|hour|byte)", line), line
