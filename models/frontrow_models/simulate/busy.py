"""A very busy room for benchmarks: events in bulk, with no hazards behind them and no truth to know.

The mix is that of the busiest broadcasts: 45 % likes, 25 % comments, 15 % entries, and gifts, follows, clicks, carts,
raffles, shares and orders for the rest. Every viewer enters once before anybody enters again; who acts is drawn
with a tilt to those who came first, so that some viewers have hundreds of events and most have a handful.
"""

from collections.abc import Iterator

from frontrow.core.events import Event
from frontrow_models.simulate.comments import Crowd
from frontrow_models.simulate.dice import Dice, running_sums
from frontrow_models.simulate.people import nickname
from frontrow_models.simulate.scenario import DEFAULT_START, SIMULATOR_VERSION
from frontrow_models.simulate.stage import HOSTS, PRODUCTS

BUSY_MIX = (
    ("like", 0.45), ("comment", 0.25), ("enter", 0.15), ("gift", 0.05), ("product_click", 0.04), ("follow", 0.02),
    ("cart_add", 0.012), ("lottery_join", 0.012), ("share", 0.01), ("order_paid", 0.006),
)  # fmt: skip
_KINDS = tuple(kind for kind, _ in BUSY_MIX)
_SUMS = running_sums([share for _, share in BUSY_MIX])

TEXTS = 4_096  # different comments; drawn beforehand, since the grammar would be most of the time
QUESTION_SHARE = 0.2


def busy_room(
    *,
    seed: int = 7,
    events: int = 1_000_000,
    viewers: int = 100_000,
    events_per_s: float = 10_000.0,
    start: int = DEFAULT_START,
    platform: str = "sim",
    room: str = "busy",
) -> Iterator[Event]:
    """Yield so many events of one room, evenly spaced at ``events_per_s``, in order, each on time and once.

    The first is ``room_start`` at ``start`` (UTC milliseconds). All ``viewers`` come to be seen only if there are
    enough entries: some seven events per viewer.
    """
    dice = Dice(SIMULATOR_VERSION, seed, room, "busy")
    texts = _texts(Dice(SIMULATOR_VERSION, seed, room, "busy words"))
    names = [nickname(dice) for _ in range(min(viewers, 10_000))]
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
        elif kind == "gift":
            gift, count, value, currency = "小星星", 1, 10, "CNY"
        elif kind in ("product_click", "cart_add"):
            product = products[int(random() * len(products))]
        elif kind == "order_paid":
            position = int(random() * len(products))
            product, value, currency = products[position], PRODUCTS[position].price, "CNY"
            count, order = 1, f"o-{start}-{number}"
        yield Event(
            id=f"{start}-{number}", platform=platform, room=room, session=session, kind=kind, at=at,
            viewer=f"b{seed}-{who}", name=names[who % len(names)], text=text, count=count, gift=gift, value=value,
            currency=currency, product=product, order=order,
        )  # fmt: skip


def _texts(dice: Dice) -> list[str]:
    crowd = Crowd(dice)
    others = ("small_talk", "praise", "mention", "raffle")
    texts = []
    for _ in range(TEXTS):
        number = dice.whole(0, len(PRODUCTS) - 1)
        category = crowd.question() if dice.chance(QUESTION_SHARE) else dice.pick(others)
        texts.append(crowd.say(category, product=PRODUCTS[number], number=number + 1, host=dice.pick(HOSTS)))
    return texts
