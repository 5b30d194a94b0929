"""A very busy room for benchmarks: events in bulk, with no hazards behind them and no truth to know.

The mix is that of the busiest broadcasts: 45 % likes, 25 % comments, 15 % entries, and gifts, follows, clicks, carts,
raffles, shares and orders for the rest. Every viewer enters once before anybody enters again; who acts is drawn
with a tilt to those who came first, so that some viewers have hundreds of events and most have a handful.

Ids, names and words are as different as real ones, since what repeats is cheap: a cache remembers it and a
compressor leaves it out. Each viewer has an id of 16 hexadecimal digits in no order, and a name that nobody shares.
Most comments are written once.
"""

from collections.abc import Iterator

from frontrow.core.events import Event
from frontrow_models.simulate.comments import PHRASES, Crowd
from frontrow_models.simulate.dice import Dice, running_sums
from frontrow_models.simulate.people import nickname
from frontrow_models.simulate.scenario import DEFAULT_START, DICE
from frontrow_models.simulate.stage import HOSTS, PRODUCTS

BUSY_MIX = (
    ("like", 0.45), ("comment", 0.25), ("enter", 0.15), ("gift", 0.05), ("product_click", 0.04), ("follow", 0.02),
    ("cart_add", 0.012), ("lottery_join", 0.012), ("share", 0.01), ("order_paid", 0.006),
)  # fmt: skip
_KINDS = tuple(kind for kind, _ in BUSY_MIX)
_SUMS = running_sums([share for _, share in BUSY_MIX])

# Comments drawn beforehand, since the grammar would be most of the time; some 1,100 of them are different.
TEXTS = 4_096
NAMES = 10_000
QUESTION_SHARE = 0.2

# Recorded rooms: of 11,309 comments in three Chinese rooms 58 % were different texts, of 127,389 in twenty Twitch
# rooms 86 %; within a thousand comments of one room 69 and 95 % (medians). The share falls as a room writes more.
DISTINCT_TEXTS = 0.7

_ODD = 0x9E37_79B9_7F4A_7C15  # times an odd number is one to one modulo a power of two
_64_BITS = (1 << 64) - 1


def busy_room(
    *,
    seed: int = 7,
    events: int = 1_000_000,
    viewers: int = 100_000,
    events_per_s: float = 10_000.0,
    distinct_texts: float = DISTINCT_TEXTS,
    start: int = DEFAULT_START,
    platform: str = "sim",
    room: str = "busy",
) -> Iterator[Event]:
    """Yield so many events of one room, evenly spaced at ``events_per_s``, in order, each on time and once.

    The first is ``room_start`` at ``start`` (UTC milliseconds). All ``viewers`` come to be seen only if there are
    enough entries: some seven events per viewer. ``distinct_texts`` is the share of comments, 0 to 1, that nobody wrote
    before; the others are among some 1,100 that many write.
    """
    dice = Dice(DICE, seed, room, "busy")
    texts = _texts(Dice(DICE, seed, room, "busy words"))
    characters = _characters()
    alphabet = sorted(set(characters))
    names = [nickname(dice) for _ in range(min(viewers, NAMES))]
    session, products = f"s-{start}", [product.name for product in PRODUCTS]
    random = dice.random
    came = entries = 0
    yield Event(id=f"{start}-0", platform=platform, room=room, session=session, kind="room_start", at=start)
    for number in range(1, events):
        kind = _KINDS[dice.index(_SUMS)] if came else "enter"
        if kind == "enter":
            who = entries % viewers
            entries += 1
            came = min(entries, viewers)
        else:
            who = int(came * random() ** 2)
        at = start + int(number * 1000 / events_per_s)
        text = gift = product = order = currency = None
        count = value = None
        if kind == "like":
            count = 1 + int(random() * 12)
        elif kind == "comment":
            text = texts[int(random() * TEXTS)]
            if random() < distinct_texts:
                text += _word(dice, characters)
        elif kind == "gift":
            gift, count, value, currency = "小星星", 1, 10, "CNY"
        elif kind in ("product_click", "cart_add"):
            product = products[int(random() * len(products))]
        elif kind == "order_paid":
            position = int(random() * len(products))
            product, value, currency = products[position], PRODUCTS[position].price, "CNY"
            count, order = 1, f"o-{start}-{number}"
        name = names[who % len(names)] + _tag(who, alphabet)
        yield Event(
            id=f"{start}-{number}", platform=platform, room=room, session=session, kind=kind, at=at,
            viewer=viewer_id(seed, who), name=name, text=text, count=count, gift=gift, value=value,
            currency=currency, product=product, order=order,
        )  # fmt: skip


def viewer_id(seed: int, who: int) -> str:
    """Return the id of the viewer of this number: 16 hexadecimal digits, for no two viewers of a seed the same."""
    return f"{((seed << 40) + who) * _ODD & _64_BITS:016x}"


def _texts(dice: Dice) -> list[str]:
    crowd = Crowd(dice)
    others = ("small_talk", "praise", "mention", "raffle")
    texts = []
    for _ in range(TEXTS):
        number = dice.whole(0, len(PRODUCTS) - 1)
        category = crowd.question() if dice.chance(QUESTION_SHARE) else dice.pick(others)
        # Words of their own come later: `distinct_texts` says of how many.
        text = crowd.say(
            category, product=PRODUCTS[number], number=number + 1, host=dice.pick(HOSTS), own_words=False
        )
        texts.append(text)
    return texts


def _characters() -> list[str]:
    """Return the ideographs that the crowd's phrases are written with, as often as they stand there."""
    written = "".join(phrase for phrases in PHRASES.values() for phrase in phrases)
    return [character for character in written if "\u4e00" <= character <= "\u9fff"]


def _tag(who: int, alphabet: list[str]) -> str:
    """Return a number in ideographs, two or three of them. Digits in names would be looked at as telephone numbers."""
    tag = ""
    while True:
        who, digit = divmod(who, len(alphabet))
        tag += alphabet[digit]
        if not who:
            return tag


def _word(dice: Dice, characters: list[str]) -> str:
    """Return three to five ideographs in a row that nobody has written before, as good as surely."""
    return "".join([dice.pick(characters) for _ in range(3 + int(dice.random() * 3))])
