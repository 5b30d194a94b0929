"""Vertical packs: trades as files. What the shipped ones say, that a third needs no code, and that mistakes come all at once."""

from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import pytest

from frontrow.core.centre.clock import SlaPolicy
from frontrow.core.centre.packs import FEEDBACK_REASONS, FEEDBACK_STATES, FeedbackPlatform, Pack, load_pack
from frontrow.core.centre.stages import Act, LeadState, Refusal, Step, step
from frontrow.core.errors import ConfigError
from frontrow.core.intents import Intent
from frontrow.lexicon import load_lexicon
from frontrow.packs import FOLDER, SHIPPED, read_pack

COMMERCE = read_pack("commerce")
AUTO = read_pack("auto")
POLICY = SlaPolicy()

EDUCATION = """
[pack]
format = 1
name = "education"
version = "2026"
zh = "教育"
en = "education"

[lexicon.price]
zh = ["课时费"]

[[products]]
path = ["language", "english"]
zh = "英语"
en = "English"
words = ["英语", "IELTS"]
ids = ["c-101"]

[[products]]
path = ["language"]
zh = "语言"
en = "languages"
words = ["语言课"]

[[stages]]
code = "first_contact"
zh = "首次联系"
en = "first contact"

[[stages]]
code = "trial"
zh = "试听"
en = "trial lesson"
after = ["first_contact"]
deadline_s = 86400

[[outcomes]]
code = "trial_booked"
zh = "已约试听"
en = "trial lesson booked"
stage = "trial"
quality = 4

[[outcomes]]
code = "enrolled"
zh = "已报名"
en = "enrolled"
closes = "won"
training = "won"
quality = 5

[[outcomes]]
code = "declined"
zh = "不考虑"
en = "declined"
closes = "lost"
training = "lost"

[[outcomes]]
code = "empty_number"
zh = "空号"
en = "no such number"
closes = "invalid"
reason = "empty_number"
quality = 0

[[loss_reasons]]
code = "schedule"
zh = "时间不合适"
en = "timetable"

[[invalid_reasons]]
code = "empty_number"
zh = "空号"
en = "no such number"

[[sop]]
line = ["language"]
grades = ["hot"]
zh = "先测水平"
en = "Test the level first."

[[feedback]]
platform = "tencent_ads"
outcome = "enrolled"
state = "LEADS_CONVERT_STATUS_TRANS_COMPLETED"
"""


def live(pack: Pack, *acts: Act) -> LeadState:
    state = LeadState()
    for act in acts:
        made = step(state, act, pack.workflow, POLICY)
        assert isinstance(made, Step), made
        state = made.state
    return state


def tap(outcome: str, **given: Any) -> Act:
    return Act(kind="outcome", at=1, seller="li", by="li", outcome=outcome, **given)


CLAIM = Act(kind="claim", at=0, seller="li", by="li")


# ---- the shipped ones


@pytest.mark.parametrize("name", SHIPPED)
def test_what_is_shipped_can_be_used_and_is_what_its_name_says(name: str) -> None:
    pack = read_pack(name)
    assert pack.pack.name == name
    assert {path.stem for path in FOLDER.glob("*.toml")} == set(SHIPPED)
    assert pack.won
    assert pack.lost


@pytest.mark.parametrize("pack", [COMMERCE, AUTO], ids=SHIPPED[::-1])
def test_every_outcome_can_be_tapped_on_some_stage_and_does_what_it_says(pack: Pack) -> None:
    for outcome in pack.outcomes:
        state = live(pack, CLAIM)
        for stage in pack.stages:
            state = live_from(state, pack, Act(kind="stage", at=1, stage=stage.code, by="li"))
        reason = {"lost": pack.loss_reasons, "invalid": pack.invalid_reasons}.get(outcome.closes or "")
        needed = {"reason": reason[0].code} if reason and outcome.needs_reason else {}
        after = live_from(state, pack, tap(outcome.code, **needed))
        assert after.status == (outcome.closes or "following")
        assert after.outcome == outcome.code
        assert after.do_not_contact == outcome.forbids_contact


def live_from(state: LeadState, pack: Pack, act: Act) -> LeadState:
    made = step(state, act, pack.workflow, POLICY)
    assert isinstance(made, Step), (act, made)
    return made.state


COMMERCE_TAPS = {
    "接通-有意向": ("interested", "following", 4),
    "接通-无意向": ("not_interested", "lost", 1),
    "未接通": ("no_answer", "following", 1),
    "空号": ("empty_number", "invalid", 0),
    "重复": ("duplicate", "invalid", 0),
    "已预约": ("booked", "following", 4),
    "已成交": ("won", "won", 5),
}


@pytest.mark.parametrize("name", COMMERCE_TAPS)
def test_commerce_has_the_outcomes_that_sellers_know(name: str) -> None:
    code, status, quality = COMMERCE_TAPS[name]
    outcome = COMMERCE.outcome(code)
    assert outcome is not None
    assert outcome.zh == name
    assert live(COMMERCE, CLAIM, tap(code)).status == status, "by one tap"
    assert (1 if outcome.quality is None else outcome.quality) == quality


def test_what_the_model_learns_from_is_said_by_the_pack() -> None:
    assert COMMERCE.won == {"won"}
    assert COMMERCE.lost == {"not_interested", "lost", "do_not_contact"}
    assert not AUTO.won & AUTO.lost


DRIVE = ("drive_booked", "drive_prepared", "drive_executed", "drive_evaluated")


def test_a_test_drive_goes_through_its_four_stages_in_order() -> None:
    stages = [stage.code for stage in AUTO.stages]
    assert [code for code in stages if code in DRIVE] == list(DRIVE)
    held = live(AUTO, CLAIM)
    for before, code in pairwise(DRIVE):
        refusal = step(held, Act(kind="stage", at=1, stage=code, by="li"), AUTO.workflow, POLICY)
        assert isinstance(refusal, Refusal)
        assert refusal.missing == (before,)
    done = live(
        AUTO, CLAIM, tap("drive_booked"), tap("drive_prepared"), tap("drive_done"), tap("drive_satisfied")
    )
    assert done.stage == "drive_evaluated"
    assert "specialist" in next(stage for stage in AUTO.stages if stage.code == "drive_executed").roles


def test_a_bad_test_drive_raises_the_risk_of_loss_and_a_good_one_lowers_it() -> None:
    base = ("drive_booked", "drive_done")
    assert AUTO.churn_risk(base) == 0
    assert AUTO.churn_risk((*base, "drive_dissatisfied")) == 50
    assert AUTO.churn_risk((*base, "drive_dissatisfied", "drive_satisfied")) == 20
    assert AUTO.churn_risk(("drive_satisfied",)) == 0
    assert AUTO.churn_risk(("drive_dissatisfied",) * 3) == 100
    assert AUTO.churn_risk(("unheard of",)) == 0
    good, bad = AUTO.outcome("drive_satisfied"), AUTO.outcome("drive_dissatisfied")
    assert good is not None
    assert bad is not None
    assert good.points > 0 > bad.points


def test_the_words_of_the_shipped_packs_are_understood_beside_the_lexicons_own() -> None:
    lexicon = load_lexicon(
        packs=[(FOLDER / f"{name}.toml", read_pack(name).lexicon_tables) for name in SHIPPED]
    )
    assert Intent(lexicon.detect("想预约试驾")) & Intent.BUY
    assert Intent(lexicon.detect("有金融方案吗")) & Intent.INSTALMENT
    assert Intent(lexicon.detect("拼团价呢")) & Intent.DISCOUNT
    assert Intent(lexicon.detect("多少钱")) & Intent.PRICE


PRODUCTS = {
    "an id": ("c-101", ("language", "english")),
    "a word": ("想学英语", ("language", "english")),
    "full width and capitals": ("ＩＥＬＴＳ 班", ("language", "english")),
    "beside Chinese": ("ielts班", ("language", "english")),
    "within a Latin word": ("wielts", ()),
    "the wider class": ("语言课", ("language",)),
    "unknown": ("钢琴", ()),
    "none": (None, ()),
}


@pytest.mark.parametrize(("product", "path"), PRODUCTS.values(), ids=PRODUCTS)
def test_a_product_has_the_path_of_its_line_or_none(product: str | None, path: tuple[str, ...]) -> None:
    assert load_pack(EDUCATION, "education.toml").product_path(product) == path


def test_the_longest_word_decides_and_then_the_files_order() -> None:
    two = EDUCATION.replace('["语言课"]', '["英语语言课", "德语"]').replace('"IELTS"]', '"IELTS", "法语"]')
    pack = load_pack(two, "x")
    assert pack.product_path("英语语言课") == ("language",)
    assert pack.product_path("德语还是法语") == ("language", "english")


# ---- a third


def test_a_trade_that_is_not_shipped_needs_a_file_and_no_code(tmp_path: Path) -> None:
    (tmp_path / "education.toml").write_text(EDUCATION, "utf-8")
    pack = read_pack("education.toml", tmp_path)
    state = live(pack, CLAIM, tap("trial_booked"), tap("enrolled"))
    assert (state.status, state.stage) == ("won", "trial")
    assert pack.won == {"enrolled"}
    assert pack.lost == {"declined"}
    assert [block.en for block in pack.sop_of("trial", "hot", ("language", "english"))] == [
        "Test the level first."
    ]
    assert pack.sop_of("trial", "hot", ("music",)) == ()
    assert pack.sop_of("trial", "warm", ("language",)) == ()
    lexicon = load_lexicon(packs=[(tmp_path / "education.toml", pack.lexicon_tables)])
    own = load_lexicon()
    assert Intent(lexicon.detect("课时费")) & Intent.PRICE
    assert not own.detect("课时费")
    assert lexicon.version != own.version, "which words a result came from is told"


# ---- platforms


def test_platforms_are_told_in_their_own_words() -> None:
    told = COMMERCE.feedback_of("empty_number", "tencent_ads")
    assert told is not None
    assert (told.state, told.reason) == ("LEADS_CONVERT_STATUS_DEPRECATED", "LEADS_INEFFECT_REASON_EMPTY")
    assert COMMERCE.feedback_of("no_answer", "tencent_ads") is None
    visit = AUTO.feedback_of("drive_done", "oceanengine")
    assert visit is not None
    assert visit.state == "527"
    assert set(FEEDBACK_STATES) == set(FEEDBACK_REASONS) == set(get_args(FeedbackPlatform))


# ---- mistakes


def mistakes(text: str) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        load_pack(text, "my.toml")
    assert all(mistake.file == "my.toml" for mistake in caught.value.mistakes)
    return {mistake.key: f"{mistake.reason} {mistake.hint}".strip() for mistake in caught.value.mistakes}


def test_every_mistake_is_told_at_once_with_its_key() -> None:
    text = (
        EDUCATION.replace('version = "2026"\n', "")
        .replace("deadline_s = 86400", "deadline_s = 0")
        .replace('training = "won"', 'training = "yes"')
        .replace("quality = 5", "qualty = 5")
        .replace('words = ["英语", "IELTS"]', 'words = ["英语", 7]')
        .replace('state = "LEADS', 'state = 5 # "LEADS')
    )
    assert mistakes(text) == {
        "pack.version": "is missing",
        "stages[1].deadline_s": "Expected `int` >= 1",
        "outcomes[1].training": "Invalid enum value 'yes'",
        "outcomes[1].qualty": "unknown key quality",
        "products[0].words[1]": "Expected `str`, got `int`",
        "feedback[0].state": "Expected `str`, got `int`",
    }


BROKEN = {
    "a later format": ("format = 1", "format = 2", "pack.format", "reads format 1, not 2"),
    "an unknown lexicon section": ("[lexicon.price]", "[lexicon.prices]", "lexicon.prices", "no section of the lexicon price"),
    "a stage that needs a later one": ('en = "first contact"', 'en = "a"\nafter = ["trial"]', "stages[0].after[0]", "must stand before"),
    "a stage that needs one that is not": ('after = ["first_contact"]', 'after = ["first_contct"]', "stages[1].after[0]", "first_contact"),
    "an end as a stage": ('code = "trial"', 'code = "won"', "stages[1].code", "every trade has"),
    "an outcome of an unknown stage": ('stage = "trial"', 'stage = "trail"', "outcomes[0].stage", "is no stage trial"),
    "a closed lead in a stage": ('closes = "won"', 'closes = "won"\nstage = "trial"', "outcomes[1].stage", "is closed"),
    "a reason of nothing": ('stage = "trial"\n', 'stage = "trial"\nreason = "schedule"\n', "outcomes[0].reason", "lost or invalid"),
    "a reason of the other end": ('reason = "empty_number"', 'reason = "schedule"', "outcomes[3].reason", "not in invalid_reasons"),
    "a loss that is a success": ('training = "lost"', 'training = "won"', "outcomes[2].training", "no success"),
    "a success that is a loss": ('training = "won"', 'training = "lost"', "outcomes[1].training", "is a success"),
    "an outcome twice": ('code = "enrolled"', 'code = "trial_booked"', "outcomes[1].code", "used twice"),
    "no way to win": ('closes = "won"\ntraining = "won"', "", "outcomes", "none closes a lead as won"),
    "a path twice": ('path = ["language"]', 'path = ["language", "english"]', "products[1].path", "used twice"),
    "a word of two lines": ('words = ["语言课"]', 'words = ["ielts"]', "products[1].words[0]", "also of 'language/english'"),
    "advice for no product": ('line = ["language"]', 'line = ["music"]', "sop[0].line", "no product's path"),
    "advice for no stage": ('grades = ["hot"]', 'stages = ["trail"]', "sop[0].stages[0]", "is no stage trial"),
    "feedback of no outcome": ('outcome = "enrolled"', 'outcome = "enroled"', "feedback[0].outcome", "no outcome enrolled"),
    "a state that the platform lacks": ("_TRANS_COMPLETED", "_DONE", "feedback[0].state", "tencent_ads has no"),
    "a code that is none": ('code = "trial"', 'code = "Trial!"', "stages[1].code", "matching regex"),
    "one table for many": ("[[sop]]", "[sop]", "sop", "two brackets"),
    "a value for a table": ("[lexicon.price]\nzh = [\"课时费\"]", "[lexicon]\nprice = 5", "lexicon.price", "expected a table"),
    "a viewer's kind that is none": ("[lexicon.price]", '[training]\nkinds = ["order_pay"]\n[lexicon.price]', "training.kinds[0]", "order_paid"),
    "points that cannot be": ("[lexicon.price]", "[points]\nwarm = 90\nhot = 80\n[lexicon.price]", "points.warm", "above hot"),
    "a points rule that is none": ("[lexicon.price]", '[[points.rules]]\nname = "x"\nsignal = "lik"\npoints = 5\n[lexicon.price]', "points.rules[0].signal", "Invalid enum"),
}  # fmt: skip


@pytest.mark.parametrize(("right", "wrong", "key", "reason"), BROKEN.values(), ids=BROKEN)
def test_each_mistake_names_its_key_and_what_is_wrong(right: str, wrong: str, key: str, reason: str) -> None:
    assert EDUCATION.count(right) >= 1
    found = mistakes(EDUCATION.replace(right, wrong, 1))
    assert key in found, found
    assert reason in found[key]


def test_a_file_that_is_no_toml_or_not_there_is_said_so(tmp_path: Path) -> None:
    assert "not TOML" in mistakes("[pack")[""]
    with pytest.raises(ConfigError, match="Frontrow brings auto, commerce"):
        read_pack("educaton.toml", tmp_path)
    (tmp_path / "gbk.toml").write_bytes("# 教育".encode("gbk"))
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_pack("gbk.toml", tmp_path)
