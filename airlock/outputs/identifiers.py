"""Identifiers by pattern: what looks like a number, an address or a name of a person, in whatever text leaves.

Patterns with check digits (GB 11643-1999 for citizens' numbers, GB 32100-2015 for organisations, ISO/IEC 7812-1 annex
B, "Luhn", for cards) are matched on normalised text (NFKC), with the usual groups of digits joined, so that other
spellings do not pass. A pattern finds carelessness; against code that hides what it saw only the bit budget helps.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

_CITIZEN = re.compile(r"(?<![0-9A-Za-z])[1-9][0-9]{16}[0-9Xx](?![0-9A-Za-z])")
_ORGANISATION = re.compile(
    r"(?<![0-9A-Za-z])[0-9A-HJ-NPQRTUWXY]{2}[0-9]{6}[0-9A-HJ-NPQRTUWXY]{10}(?![0-9A-Za-z])"
)
_PHONE = re.compile(r"(?<![0-9])(?:0086|86)?1[3-9][0-9]{9}(?![0-9])")
_CARD = re.compile(r"(?<![0-9])[3-6][0-9]{15,18}(?![0-9])")
_MAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_GAP = r"[ \t_.\-·]"
_SPACED = re.compile(
    rf"(?<![0-9])(?:(?:[0-9]{{4}}{_GAP}){{3,4}}[0-9]{{1,4}}|1[0-9]{{2}}{_GAP}[0-9]{{4}}{_GAP}[0-9]{{4}}"
    rf"|[0-9]{{6}}{_GAP}[0-9]{{8}}{_GAP}[0-9]{{3}}[0-9Xx])(?![0-9])"
)
"""Digits in the groups in which people write cards, telephones and citizens' numbers."""
_NAMED = re.compile(r"(?:姓名|名字|身份证号?|手机号?|联系电话|银行卡号?|家庭住址)\s*[:：=]\s*\S")
_TOKEN = re.compile(
    r"(?<![0-9a-fA-F])(?:[0-9a-f]{32,64}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?![0-9a-fA-F])"
)
_DIGITS = re.compile(r"[0-9]{4}")

_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CODES = "0123456789ABCDEFGHJKLMNPQRTUWXY"

_SURNAMES = frozenset(
    "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎余潘杜戴"
    "夏钟汪田任姜范方石姚谭廖邹熊金陆郝孔白崔康毛邱秦江史顾侯邵孟龙万段雷钱汤尹黎易常武乔贺赖龚文庞樊兰殷施陶洪翟"
    "安颜倪严牛温芦季俞章鲁葛伍韦申尤毕聂丛焦向柳邢路岳齐沿梅莫庄辛管祝左涂谷祁时舒耿牟卜詹关苗凌费纪靳盛童欧甄项"
)
_GIVEN = re.compile(r"[\u4e00-\u9fff·]{1,3}")
NAMES_SHARE, FEWEST_NAMES = 0.6, 4
"""Of the different texts of a column so many look like names of persons, and so many there are at least."""


def normal(text: str) -> str:
    """Return a text as identifiers are looked for in it: NFKC, and the usual groups of digits joined."""
    plain = text if text.isascii() else unicodedata.normalize("NFKC", text)
    return _SPACED.sub(lambda found: re.sub(_GAP, "", found[0]), plain)


def holds_identifier(text: str) -> bool:
    """Return whether a text holds what looks like an identifier."""
    found = normal(text)
    if "@" in found and _MAIL.search(found):
        return True
    if not text.isascii() and _NAMED.search(found):
        return True
    if not _DIGITS.search(found) and not _TOKEN.search(found):
        return False
    return _holds_number(found)


def _holds_number(found: str) -> bool:
    return bool(
        _PHONE.search(found)
        or _TOKEN.search(found)
        or any(_is_citizen(match) for match in _CITIZEN.findall(found))
        or any(_is_organisation(match) for match in _ORGANISATION.findall(found.upper()))
        or any(_is_card(match) for match in _CARD.findall(found))
    )


def numbers_identify(values: Iterable[str]) -> bool:
    """Return whether most of a column's whole numbers look like identifiers; a single one is chance, most are not."""
    found = [value for value in values if len(value) >= 11]
    hits = sum(1 for value in found if _holds_number(value))
    return hits >= 3 and 2 * hits >= len(found)


def are_names(values: Sequence[str]) -> bool:
    """Return whether the different texts of a column look like Chinese names of persons."""
    different = set(values)
    hits = sum(1 for value in different if is_name(value))
    return hits >= FEWEST_NAMES and hits >= NAMES_SHARE * len(different)


def is_name(text: str) -> bool:
    """Return whether a text is a frequent surname and one to three characters."""
    return 2 <= len(text) <= 4 and text[0] in _SURNAMES and bool(_GIVEN.fullmatch(text[1:]))


def _is_citizen(number: str) -> bool:
    total = sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, number, strict=False))
    return "10X98765432"[total % 11] == number[17].upper()


def _is_organisation(code: str) -> bool:
    if code.isdigit():
        return False  # a card or a citizen's number, which have their own rules
    total = sum(_CODES.index(each) * pow(3, place, 31) for place, each in enumerate(code[:17]))
    return _CODES[-total % 31] == code[17]


def _is_card(number: str) -> bool:
    doubled = [int(digit) * (2 if place % 2 else 1) for place, digit in enumerate(reversed(number))]
    return sum(each - 9 if each > 9 else each for each in doubled) % 10 == 0
