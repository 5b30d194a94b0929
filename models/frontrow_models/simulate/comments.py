"""What the crowd writes: a small grammar of live-room Chinese, with the noise of thumbs on a phone.

A comment is a phrase of one category, its slots filled, perhaps with words of one's own before or behind, then
perhaps a homophone, a typo, spaces, full-width or traditional characters. The categories that are questions on a
product are :data:`QUESTIONS`. Phrases are invented.
"""

from collections.abc import Sequence

from frontrow_models.simulate.dice import Dice, running_sums
from frontrow_models.simulate.people import invented_phone
from frontrow_models.simulate.stage import Product

# Slots: {p} product, {n} link number, {a} what one asks about this product, {h} host, {c} place, {t} telephone number.
PHRASES: dict[str, tuple[str, ...]] = {
    "price": (
        "多少钱", "这个多少钱啊", "{p}多少钱", "{n}号链接多少钱", "什么价", "怎么卖的", "价格是多少呀", "几块钱一件",
        "多少米一件", "一件多少钱 两件呢", "今天直播间什么价格", "主播{p}啥价位", "刚进来 {p}多少钱", "how much",
        "how much is this one?", "price?", "what's the price of no.{n}",
    ),
    "spec": (
        "{a}是多少", "{p}什么{a}", "{n}号链接是什么{a}的", "有没有别的{a}", "{p}的{a}能说一下吗", "165斤穿多大码",
        "有黑色的吗", "是什么材质的", "老人能用吗", "{p}怎么选{a}", "what size is it", "what color do you have",
        "有几个型号", "重不重 多少斤",
    ),
    "stock": (
        "还有货吗", "有现货吗", "{p}还有吗", "没货了?", "还能补货吗", "库存还剩多少", "{n}号链接怎么没了", "抢不到 还上吗",
        "什么时候再上", "is it in stock", "sold out?",
    ),
    "delivery": (
        "包邮吗", "什么时候发货", "几天能到{c}", "发什么快递", "{c}能送到吗", "运费多少", "今天拍明天能发吗", "{c}包邮不",
        "送货上门吗", "do you ship to Singapore", "when will it ship",
    ),
    "instalment": (
        "可以分期吗", "能分期付款吗", "分12期一个月多少", "有没有免息", "花呗能分期不", "首付多少", "分期要手续费吗",
        "can I pay in installments",
    ),
    "discount": (
        "有优惠吗", "有没有优惠券", "能便宜点吗", "两件打折吗", "满减怎么算", "老粉有没有折扣", "券在哪里领", "还能再少点不",
        "any discount?", "比昨天便宜吗",
    ),
    "buy": (
        "怎么买", "在哪里拍", "链接在哪", "怎么下单", "{p}几号链接", "小黄车在哪", "挂一下{p}的链接", "哪里可以买到{p}",
        "how to buy", "where is the link",
    ),
    "warranty": (
        "保修多久", "坏了能换吗", "支持七天无理由吗", "售后怎么样", "有质保吗", "is there a warranty",
    ),
    "small_talk": (
        "来了", "晚上好", "大家好呀", "刚下班", "第一次来", "今天好热闹", "打卡", "在听", "哈哈哈", "哈哈", "666", "我也是",
        "吃饭了没", "外面下雨了", "声音有点小", "画面好清楚", "{c}的朋友在吗", "困了困了", "今天播到几点", "hello everyone",
        "good evening", "lol", "音乐叫什么名字", "网卡了一下", "孩子睡了终于有空看直播", "1", "嗯嗯", "对对对",
    ),
    "praise": (
        "好看", "真好看", "喜欢", "太可爱了", "讲得真清楚", "{p}我家在用 很好", "上次买的质量不错", "支持支持", "爱了爱了",
        "颜色绝了", "这个真的香", "买过 好用", "已经回购两次了", "主播好专业", "love it", "so pretty", "👍👍👍", "❤️", "🌹🌹🌹",
        "收到货了 很满意 谢谢", "种草了",
    ),
    "mention": (
        "@主播 你好", "@{h} 晚上好", "@{h} 看看我", "@主播 今天穿的什么", "@host hi from Canada", "@{h} 生日快乐",
        "@主播 说慢一点", "@{h} 转个身看看",
    ),
    "raffle": (
        "抽奖抽奖", "福袋", "求中奖", "抽我抽我", "中中中", "参与抽奖", "想要福袋", "拼手速了", "give me the lucky bag",
    ),
    "ordered": (
        "已拍", "拍了两件", "下单了", "刚付款 快点发货", "抢到了!", "拍好了", "done, paid",
    ),
    "contact": (
        "加我微信 {t}", "打我电话{t}", "我的电话 {t} 麻烦回一下", "有没有客服电话", "怎么联系你们", "门店在{c}哪里",
    ),
    "spam": (
        "看我主页有惊喜", "需要涨粉的找我", "点我头像", "互关互赞", "666666666666", "转发领好礼 点我主页",
    ),
    "shill": (
        "别家更便宜", "隔壁直播间才一半价", "质量一般吧", "你们进货价多少", "哪个厂代工的", "月销多少单",
    ),
    "staff": (
        "{n}号链接已经上了", "想要{p}的朋友点小黄车", "拍完的宝宝记得关注", "有问题打在公屏上", "包邮 七天无理由",
        "福袋马上开奖", "{p}库存不多了",
    ),
}  # fmt: skip

QUESTIONS = ("price", "spec", "stock", "delivery", "instalment", "discount", "buy", "warranty")
_QUESTION_SUMS = running_sums((0.30, 0.20, 0.09, 0.12, 0.05, 0.12, 0.09, 0.03))

_PLACES = ("杭州", "成都", "哈尔滨", "广州", "西安", "乌鲁木齐", "昆明", "青岛", "长沙", "三亚")

# What input methods and dialects make of a word; one of those that occur is taken.
_HOMOPHONES = (
    ("多少钱", "多小钱"), ("多少", "多少少"), ("怎么", "肿么"), ("优惠", "油惠"), ("包邮", "包油"), ("链接", "莲接"),
    ("有货", "有或"), ("尺码", "尺马"), ("喜欢", "稀饭"), ("这个", "介个"), ("什么", "神马"), ("主播", "煮播"),
    ("没有", "木有"), ("分期", "分七"), ("便宜", "便易"), ("好看", "耗看"), ("多少钱", "多sao钱"), ("价格", "价个"),
    ("发货", "发或"), ("快递", "块递"), ("现货", "现或"), ("质量", "质亮"), ("颜色", "严色"), ("怎么买", "咋买"),
    ("什么", "啥米"), ("保修", "包修"), ("运费", "运废"), ("下单", "夏单"), ("可以", "阔以"), ("知道", "造"), ("支持", "资磁"),
    ("主播", "猪播"), ("小黄车", "小皇车"), ("号链接", "号连接"), ("多少", "多绍"), ("有没有", "有木有"), ("喜欢", "西欢"),
    ("优惠券", "优惠卷"), ("容量", "容亮"), ("材质", "才质"), ("尺寸", "尺村"), ("功率", "工率"), ("回购", "回够"),
)  # fmt: skip
# What people add of their own, by category; a room where all say the same is none. 58 % of the comments of recorded
# Chinese rooms were said once, and 86 % of Twitch's.
_OWN_WORDS = {
    "small_talk": 0.6,
    "praise": 0.5,
    "mention": 0.5,
    "spam": 0.1,
    "raffle": 0.15,
    "staff": 0.0,
    "contact": 0.1,
}
_OWN_WORDS_ELSE = 0.35
_JOINTS = (" ", " ", "，", "", ",", "。")
_OWN = (
    (
        "我",
        "我妈",
        "我爸",
        "我家孩子",
        "老公",
        "我姐",
        "同事",
        "隔壁邻居",
        "室友",
        "我奶奶",
        "我对象",
        "我朋友",
        "小侄女",
        "我们宿舍",
        "全家",
        "我弟",
    ),
    (
        "昨天",
        "今天",
        "早上",
        "刚才",
        "上周",
        "去年",
        "前几天",
        "过年",
        "周末",
        "晚上",
        "去年冬天",
        "双十一",
        "中午",
        "最近",
    ),
    ("还在", "才", "就", "一直", "终于", "又", "差点", "总是", "已经", "本来", "居然", "准备"),
    (
        "看了好久",
        "想换一个",
        "下班",
        "在做饭",
        "等着呢",
        "犹豫",
        "收到一个",
        "用坏了",
        "加班到现在",
        "带娃",
        "说想要",
        "在外地",
        "搬家了",
        "装修",
        "跑步",
        "感冒了",
        "考完试",
        "坐地铁",
        "洗完碗",
        "写作业",
        "送人",
        "蹲了三天",
        "错过了",
        "在对比",
    ),
    (
        "真的",
        "好开心",
        "有点累",
        "不知道行不行",
        "太冷了",
        "纠结",
        "好想试试",
        "哎",
        "笑死",
        "可以的",
        "还行吧",
        "绝了",
        "救命",
    ),
)
_TRADITIONAL = str.maketrans(
    "钱货发买卖价优么这个吗还链码颜质邮运现没时间让实谢欢来说问领抢库补选号门",
    "錢貨發買賣價優麼這個嗎還鏈碼顏質郵運現沒時間讓實謝歡來說問領搶庫補選號門",
)
_FULL_WIDTH = str.maketrans({code: code + 0xFEE0 for code in range(0x21, 0x7F)})
_TAILS = ("呀", "啊", "～", "？", "？？", "！", "!!!", "~", " 谢谢", "😊", "😂", "🙏", "...", "吗吗吗", "呢")


class Crowd:
    """The voice of a room: draws comments from its own dice."""

    def __init__(self, dice: Dice) -> None:
        self._dice = dice

    def question(self) -> str:
        """Return the category of a question on a product."""
        return self._dice.weighted(QUESTIONS, _QUESTION_SUMS)

    def say(self, category: str, *, product: Product, number: int, host: str, own_words: bool = True) -> str:
        """Return a comment of a category of PHRASES; ``number`` is the product's link number, ``host`` who hosts.

        ``own_words``: whether some add words that hardly anybody else writes.
        """
        dice = self._dice
        text = self.phrase(category, product=product, number=number, host=host)
        if own_words and dice.chance(_OWN_WORDS.get(category, _OWN_WORDS_ELSE)):
            own = self._own()
            text = (
                f"{text}{dice.pick(_JOINTS)}{own}" if dice.chance(0.5) else f"{own}{dice.pick(_JOINTS)}{text}"
            )
        noise = dice.random()
        return text if noise >= _NOISY else _noisy(text, noise, dice)

    def phrase(self, category: str, *, product: Product, number: int, host: str) -> str:
        """Return a phrase of a category with its slots filled, and without noise."""
        dice = self._dice
        phrase = dice.pick(PHRASES[category])
        if "{" not in phrase:
            return phrase
        return phrase.format(
            p=product.short,
            n=number,
            a=dice.pick(product.asks),
            h=host,
            c=dice.pick(_PLACES),
            t=invented_phone(dice) if "{t}" in phrase else "",
        )

    def repeat(self, script: Sequence[str]) -> str:
        """Return one of a script's lines, as it stands or with as little changed as a hired hand would."""
        dice = self._dice
        line = dice.pick(script)
        draw = dice.random()
        if draw < 0.5:
            return line
        if draw < 0.75:
            return line + dice.pick(_TAILS)
        if draw < 0.9:
            return line + line[-1] * dice.whole(1, 3)
        return f"{dice.whole(1, 99)}{line}"

    def _own(self) -> str:
        """Return some words that hardly anybody else writes: who, when, and how it is."""
        dice = self._dice
        return "".join(dice.pick(part) for part in _OWN if dice.chance(0.75)) or dice.pick(_OWN[0])


# Shares of comments with each kind of noise, as running sums.
_TAIL, _HOMOPHONE, _TYPO, _SPACED, _WIDE, _NOISY = 0.18, 0.25, 0.29, 0.31, 0.34, 0.38


def _noisy(phrase: str, noise: float, dice: Dice) -> str:
    if noise < _TAIL:
        return phrase + dice.pick(_TAILS)
    if noise < _HOMOPHONE:
        slips = [(word, slip) for word, slip in _HOMOPHONES if word in phrase]
        if not slips:
            return phrase
        word, slip = dice.pick(slips)
        return phrase.replace(word, slip, 1)
    if noise < _TYPO:
        return _typo(phrase, dice)
    if noise < _SPACED:
        return " ".join(phrase) if len(phrase) < 12 else phrase
    if noise < _WIDE:
        return phrase.translate(_FULL_WIDTH)
    return phrase.translate(_TRADITIONAL)


def _typo(phrase: str, dice: Dice) -> str:
    """Swap two neighbours or drop one character; phrases of less than four characters stay."""
    if len(phrase) < 4:
        return phrase
    at = int(dice.random() * (len(phrase) - 1))
    if dice.chance(0.5):
        return phrase[:at] + phrase[at + 1] + phrase[at] + phrase[at + 2 :]
    return phrase[:at] + phrase[at + 1 :]
