"""Chinese and Japanese, for the gate: no spaces, so markers are looked for inside runs of characters."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ragweft.caching.reading.asking import Asked
from ragweft.caching.reading.wording import pairs

__all__ = ["LANGUAGES", "asked_by", "negations", "numbers", "opposites", "pieces", "times"]

LANGUAGES = frozenset({"chinese", "japanese"})

_NO_DENIAL = re.compile(
    "(.)不\\1|有没有|是否|不过|不仅|不但|不断|差不多|不同|不久|不错|非常|除非|少ない|なければ|無料|未来|将来|非洲|未満"
)
_DENIALS = re.compile("不|没|沒|无|無|非|未|别|勿|禁止|除了|以外|ない|なく|なか(?=っ)|ません|ずに|ぬ(?=$)")
_COUNTERS = "天日年月周週个個小时時分秒块元円倍次人号號名级級章条條楼樓岁歳点點回本枚階つ千百万億亿度"
_NUMERAL = re.compile(f"[一二两兩三四五六七八九十百千万〇零]+(?=[{_COUNTERS}])|第[一二三四五六七八九十]+")
_TIMES = re.compile(
    "昨天|今天|明天|后天|後天|前天|去年|今年|明年|前年|上周|本周|下周|上个月|下个月|这个月|上個月|下個月|昨日|今日|明日|昨年|来年"
    "|先週|今週|来週|先月|今月|来月|[星期周週][一二三四五六日天](?!期)|[月火水木金土日]曜|早上|上午|中午|下午|晚上|半夜"
    "|午前|午後|夜|朝|夕方|春|夏|秋|冬"
)
_SAME_TIME = {"昨日": "昨天", "今日": "今天", "明日": "明天", "昨年": "去年", "来年": "明年"}
_OPPOSITES = pairs("""
    启用 打开 开启 開啟 有効 | 禁用 关闭 關閉 無効
    增加 提高 增 | 减少 降低 減少 减
    添加 新增 追加 | 删除 移除 刪除 削除
    开始 開始 启动 | 停止 结束 結束 終了
    最大 最高 | 最小 最低
    之前 以前 前に | 之后 之後 以后 以後 後に
    购买 買 买 購入 | 出售 卖 賣 販売
    导入 進口 进口 輸入 | 导出 出口 輸出
    加密 暗号化 | 解密 復号
    升级 | 降级
    登录 登入 ログイン | 登出 退出 注销 ログアウト
    发送 送信 寄 | 接收 受信 收到
    上传 アップロード | 下载 ダウンロード
    安装 インストール | 卸载 アンインストール
    存款 入金 | 取款 出金
    最新 新しい | 最旧 最老 古い
    大于 大きい 大 | 小于 小さい 小
    高い 高 | 低い 低 安い
    左 | 右
    北 | 南
    东 東 | 西
    增大 | 减小
    内 | 外
    优点 長所 | 缺点 短所
    允许 許可 | 禁止 拒绝
    早 | 晚
    快 速い | 慢 遅い
    多い 多 | 少ない 少
    开 開く | 关 閉じる
""")
_OPPOSITE = re.compile("|".join(sorted(map(re.escape, _OPPOSITES), key=len, reverse=True)))

_ASKS = (
    ("when", "什么时候|什麼時候|何时|何時|几点|いつ"),
    ("why", "为什么|為什麼|为何|為何|なぜ|どうして|何故"),
    ("how", "怎么|怎麼|怎样|怎樣|如何|どうやって|どのように|どうすれ|どう"),
    ("where", "哪里|哪裡|哪儿|何处|どこ"),
    ("amount", "多少|几[个個块天次]|多久|多长|多大|いくら|いくつ|どのくらい|何[人個回本枚日時年]"),
    ("who", "谁|誰|だれ|どなた"),
    ("what", "什么|甚麼|什麼|哪些|哪个|哪個|何|なに|どれ|どの|どんな"),
)

_JOIN = "以及|或者|还是|和|与|與|跟|或|及|と|や"
_ROLE = (
    "从|到|往|向|在|对|對|给|給|把|将|被|由|比|为|為|的|地|得|了|吗|嗎|呢|吧|是|之前|之后|请问|請問|请|請|可以|如何"
    "|怎么|什么|甚麼|哪里|哪些|哪个|为什么|為什麼|谁|誰|多少|我|你|您|他|她|它"
)
_ROLES = {
    "从": "from",
    "到": "to",
    "往": "to",
    "比": "than",
    "的": "of",
    "之前": "before",
    "之后": "after",
    "在": "in",
}
_PIECES = re.compile(
    f"(?P<ask>{'|'.join(pattern for _, pattern in _ASKS)})"
    f"|(?P<kana>[\u3041-\u3096]+)|(?P<join>{_JOIN})|(?P<role>{_ROLE})"
)

_ASK = [(kind, re.compile(pattern)) for kind, pattern in _ASKS]
_YES_NO = re.compile("[吗嗎]|是否|能否|可否|(.)不\\1|有没有|ますか|ですか|できるか|でしょうか|ありますか")
_CAN = re.compile("能|可以|可否|会|會|でき|可能|いいですか")
_MUST = re.compile("应该|應該|必须|必須|需要|要不要|べき|なければ|必要")


def negations(run: str) -> int:
    """How often *run* denies."""
    return len(_DENIALS.findall(_NO_DENIAL.sub("", run)))


def numbers(run: str) -> set[str]:
    """Numerals that count something, as written."""
    return {found.replace("兩", "两").replace("两", "二") for found in _NUMERAL.findall(run)}


def times(run: str) -> set[str]:
    """Words that date."""
    return {_SAME_TIME.get(found, found) for found in map(str, _TIMES.findall(run))}


def opposites(run: str) -> set[tuple[str, bool]]:
    """Pairs of opposites, and which side stands here."""
    return {place for found in _OPPOSITE.findall(run) for place in _OPPOSITES[found]}


def pieces(run: str) -> Iterator[tuple[str, str]]:
    """Cut a run at what carries no content: ("word" | "join" | "role", piece)."""
    last = 0
    for match in _PIECES.finditer(run):
        if match.start() > last:
            yield "word", run[last : match.start()]
        kind, piece = match.lastgroup, match.group()
        yield ("join" if kind == "join" or piece in {"と", "や"} else "role"), _ROLES.get(piece, piece)
        last = match.end()
    if last < len(run):
        yield "word", run[last:]


def asked_by(text: str) -> Asked:
    """What a Chinese or Japanese question asks for."""
    for kind, pattern in _ASK:
        if pattern.search(text):
            return Asked(kind=kind, force="")
    if _YES_NO.search(text):
        force = "must" if _MUST.search(text) else "can" if _CAN.search(text) else "any"
        return Asked(kind="yes-no", force=force)
    return Asked(kind="", force="")
