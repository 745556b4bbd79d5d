r"""How text falls into words: Unicode's word characters, scripts written without spaces, parts of identifiers.

Python's `\w` leaves out combining marks, which cuts most Indic and South-East Asian words apart; here a mark
belongs to the letter before it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import cache

_JOINS = r"(?:-[A-Za-z0-9_]+|(?<=[0-9])\.[0-9]+)*"
_ASCII_WORD = re.compile(r"\b[cC]\+\+|\b[cCfF]#|[A-Za-z0-9_]+" + _JOINS)

# Soft hyphen, zero-width (non-)joiner, word joiner, byte order mark: they change how a word looks, no more.
_SPELLING: dict[int, str | None] = dict.fromkeys((0x00AD, 0x200C, 0x200D, 0x2060, 0xFEFF))
_SPELLING |= {0x2010: "-", 0x2011: "-"}
# Vowel points of Hebrew and Arabic and the Arabic kashida, which everyday spelling leaves out.
_OPTIONAL_POINTS = re.compile("[\u0591-\u05bd\u05bf\u05c1-\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670]+")
_VARIATION_SELECTORS = range(0xFE00, 0xFE10)

_HAN = "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
_KANA = "\u3041-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3105-\u312f\u31a0-\u31ff"
_SOUTH_EAST_ASIAN = (
    "\u0e01-\u0e4e"  # Thai
    "\u0e81-\u0ece\u0edc-\u0edf"  # Lao
    "\u1000-\u103f\u1050-\u108f\u109a-\u109d\ua9e0-\ua9ef\ua9fa-\ua9fe\uaa60-\uaa7f"  # Myanmar
    "\u1780-\u17d3\u17d7\u17dc\u17dd"  # Khmer
)
_HANGUL = "\u1100-\u11ff\ua960-\ua97f\uac00-\ud7ff"
_RUNS = re.compile(
    f"(?P<cjk>[{_HAN}{_KANA}]+)|(?P<sea>[{_SOUTH_EAST_ASIAN}]+)|(?P<hangul>[{_HANGUL}]+)"
    f"|(?P<word>[^{_HAN}{_KANA}{_SOUTH_EAST_ASIAN}{_HANGUL}]+)"
)
_IS_HAN = re.compile(f"[{_HAN}]")

_SCRIPTS = (
    (0x0000, 0x024F, "latin"),
    (0x0370, 0x03FF, "greek"),
    (0x0400, 0x052F, "cyrillic"),
    (0x0530, 0x058F, "armenian"),
    (0x0590, 0x05FF, "hebrew"),
    (0x0600, 0x06FF, "arabic"),
    (0x0750, 0x077F, "arabic"),
    (0x0900, 0x097F, "devanagari"),
    (0x0B80, 0x0BFF, "tamil"),
    (0x1E00, 0x1EFF, "latin"),
    (0x1F00, 0x1FFF, "greek"),
)

# Over letters' shapes (A upper case, a any other letter, 0 digit, _ underscore): an acronym ends before the
# capital that opens the next word.
_PARTS = re.compile("A+(?=Aa)|A?a+|A+|0+")
_ASCII_PARTS = re.compile("[A-Z]{2,}s(?![a-z])|[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+")

_LATIN_LETTERS = str.maketrans(
    {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ð": "d", "þ": "th", "ł": "l", "ı": "i", "ħ": "h"}
)


@cache
def _unicode_word() -> re.Pattern[str]:
    """Words of any script; built when first needed, since finding all marks takes some milliseconds."""
    marks = [
        code
        for code in range(0x300, 0x1F000)
        if unicodedata.category(chr(code)) in {"Mn", "Mc"} and code not in _VARIATION_SELECTORS
    ]
    ranges: list[list[int]] = []
    for code in marks:
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    inside = "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)
    joins = rf"(?:-\w[\w{inside}]*|(?<=[0-9])\.[0-9]+)*"
    return re.compile(rf"\b[cC]\+\+|\b[cCfF]#|\w[\w{inside}]*{joins}")


def raw_words(text: str) -> list[str]:
    """The words of *text* as written, compounds ("state-of-the-art", "3.11") in one piece.

    Text beyond ASCII is NFKC-normalised first, so that full-width, ligature and decomposed forms agree.
    """
    if text.isascii():
        return _ASCII_WORD.findall(text)
    text = unicodedata.normalize("NFKC", text).translate(_SPELLING)
    return _unicode_word().findall(text)


def runs(word: str) -> Iterator[tuple[str, str]]:
    """Cut a word where it changes between ways of writing: ("cjk" | "sea" | "hangul" | "word", piece)."""
    for match in _RUNS.finditer(word):
        yield str(match.lastgroup), match.group()


def is_han(char: str) -> bool:
    """Whether *char* is a Han character, which can be a word by itself."""
    return _IS_HAN.match(char) is not None


def letters(run: str) -> list[str]:
    """The letters of *run*, each with the marks that follow it."""
    found: list[str] = []
    for char in run:
        if found and unicodedata.category(char) in {"Mn", "Mc"}:
            found[-1] += char
        else:
            found.append(char)
    return found


def parts(word: str) -> list[str]:
    """The words inside an identifier, in their own case: `parse_HTTPHeader2` -> parse, HTTP, Header, 2."""
    if word.isascii():
        return _ASCII_PARTS.findall(word)
    return [word[match.start() : match.end()] for match in _PARTS.finditer(_shape(word))]


def _shape(word: str) -> str:
    shape: list[str] = []
    for char in word:
        if char == "_":
            shape.append("_")
        elif char.isdigit():
            shape.append("0")
        elif char.isalpha():
            shape.append("A" if char.isupper() else "a")
        else:
            shape.append(shape[-1] if shape else "a")
    return "".join(shape)


def lower(word: str) -> str:
    """*word* in lower case, in the spelling all writers share: plain digits, one sigma, no optional points."""
    word = word.lower()
    if word.isascii():
        return word
    word = word.replace("ς", "σ").replace("i\u0307", "i")
    word = _OPTIONAL_POINTS.sub("", word)
    return "".join(str(unicodedata.decimal(char, char)) for char in word)


def fold(word: str) -> str:
    """A lower-case Latin word without its diacritics, so that "cafe" finds "café"."""
    if word.isascii():
        return word
    decomposed = unicodedata.normalize("NFD", word.translate(_LATIN_LETTERS))
    return "".join(char for char in decomposed if unicodedata.category(char) != "Mn")


def script_of(word: str) -> str:
    """The script of a word's first letter, "" for one that no stemmer is known for."""
    code = ord(word[0])
    for first, last, script in _SCRIPTS:
        if first <= code <= last:
            return script
    return ""
