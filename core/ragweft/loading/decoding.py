"""Bytes to text, or a reason why not: no byte is guessed away and none is replaced."""

from __future__ import annotations

import codecs
import re

__all__ = ["NotText", "decode"]

_BOMS = (
    # UTF-32 before UTF-16: the little-endian mark of one begins with that of the other.
    (codecs.BOM_UTF32_LE, "utf-32-le", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32-be", "UTF-32"),
    (codecs.BOM_UTF8, "utf-8", "UTF-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16-be", "UTF-16"),
)

_DECLARATION = re.compile(
    rb"""<meta[^>]{0,200}?charset\s*=\s*["']?([\w.:-]+)"""  # HTML
    rb"""|\A\s*<\?xml[^>]{0,200}?encoding\s*=\s*["']([\w.:-]+)"""  # XML
    rb"""|\A(?:[ \t\f]*(?:\#[^\n]*)?\n)?[ \t\f]*\#[^\n]*?coding[:=][ \t]*([\w.-]+)""",  # PEP 263
    re.IGNORECASE,
)
_DECLARED_WITHIN = 1_024

_LIKELY = (
    "cp1252 cp1251 koi8_r koi8_u cp932 gb18030 big5 euc_jp cp949 cp1250 iso8859_2 cp1253 cp1254 cp1255 cp1256"
)
_RARE = "cp1257 cp866 iso8859_5 mac_roman cp850 cp437"
_CANDIDATES: list[str] = [*_LIKELY.split(), *_RARE.split()]
"""What files are written in that are not UTF-8, by how often they are met: decides between equal guesses."""
_CALMEST_ONLY = {
    "cp932",
    "gb18030",
    "big5",
    "euc_jp",
    "cp949",
    "cp866",
    "iso8859_5",
    "mac_roman",
    "cp850",
    "cp437",
}
"""Multi-byte encodings, which chance rarely makes and never in order, and those out of use for long."""
_ESCAPES = {"idna", "punycode", "raw-unicode-escape", "unicode-escape", "utf-7"}
"""Ways to write text in ASCII, not character sets: no file is stored in them."""
_SAMPLE_BYTES = 65_536
_SEARCHED_BYTES = 2**20
_CHAOS_MARGIN = 0.1
_COHERENCE_MARGIN = 0.01

# What no text holds. Tab, line and page ends, backspace, the end mark of DOS and terminal colours it may.
_CONTROLS = re.compile("[\x00-\x07\x0e-\x19\x1c-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
_HIGH_LINE = re.compile(rb"[^\n]*[\x80-\xff][^\n]*\n?")
# These bytes are never a part of a longer character: at them a sample can begin and end.
_SEPARATOR = re.compile(rb"[\t-/]")
_LAST_SEPARATOR = re.compile(rb"[\s\S]*[\t-/]")


class NotText(ValueError):
    """The bytes are no text; the message is the reason, as the end of a sentence about the file."""


def decode(data: bytes) -> str:
    """The text in *data*, exactly: line ends are kept, only a byte order mark is dropped.

    A byte order mark decides; else strict UTF-8; else the encoding the file itself declares (HTML, XML,
    Python); else the most plausible of the encodings in common use. No surrogates and no NUL come out.

    Raises:
        NotText: the bytes are binary, broken, or of no plausible encoding.
    """
    for mark, encoding, name in _BOMS:
        if data.startswith(mark):
            return _marked(data[len(mark) :], encoding, name)
    if b"\0" in data:
        raise NotText("looks binary (it holds NUL bytes)")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        return _legacy(data, error)


def _marked(data: bytes, encoding: str, name: str) -> str:
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise NotText(f"begins with a {name} byte order mark but is not {name}") from error
    if "\0" in text:
        raise NotText("looks binary (it holds NUL characters)")
    return text


def _legacy(data: bytes, error: UnicodeDecodeError) -> str:
    """Text of an encoding from before Unicode."""
    sample = _sample(data, error.start)
    if _is_broken_utf8(sample):
        raise NotText(f"is UTF-8 with broken bytes, the first at offset {error.start}") from error
    declared = _DECLARATION.search(data[:_DECLARED_WITHIN])
    names = [group.decode("ascii") for group in declared.groups() if group] if declared else []
    for encoding in [*names, *_guesses(sample)]:
        text = _try(data, encoding)
        if text is not None:
            return text
    raise NotText("is not UTF-8 and of no other encoding that could be told") from error


def _try(data: bytes, encoding: str) -> str | None:
    try:
        if codecs.lookup(encoding).name in _ESCAPES:
            return None
        # `decode` itself refuses codecs that are no character sets at all (rot13, hex …).
        text = data.decode(encoding)
    except (LookupError, ValueError):
        return None
    return None if _CONTROLS.search(text) else text


def _is_broken_utf8(sample: bytes) -> bool:
    """Whether most of what is not ASCII is UTF-8: any other reading would spoil what is right."""
    replaced = sample.decode("utf-8", "replace")
    broken = replaced.count("\ufffd")
    valid = sum(map("\x7f".__lt__, replaced)) - broken
    return valid > 4 * broken


def _sample(data: bytes, first: int) -> bytes:
    """Lines around offset *first* that are not ASCII: what tells encodings apart."""
    if len(data) <= _SAMPLE_BYTES:
        return data
    begin = max(0, first - _SAMPLE_BYTES // 2)
    if begin:
        found = _SEPARATOR.search(data, begin, first)
        begin = found.end() if found else first
    lines: list[bytes] = []
    size = 0
    for line in _HIGH_LINE.finditer(data, begin, begin + _SEARCHED_BYTES):
        lines.append(line[0])
        size += len(line[0])
        if size >= _SAMPLE_BYTES:
            break
    sample = b"".join(lines)[:_SAMPLE_BYTES]
    whole = _LAST_SEPARATOR.match(sample)
    return whole[0] if whole and len(whole[0]) > len(sample) // 2 else sample


def _guesses(sample: bytes) -> list[str]:
    """Plausible encodings of *sample*, likeliest first; none if it makes no sense in any of them.

    charset-normalizer measures how disordered a reading looks ("chaos") and how much its letter frequencies
    resemble a language ("coherence"). Short texts leave many readings level: of those the commonest wins.
    """
    from charset_normalizer import from_bytes

    matches = list(from_bytes(sample, cp_isolation=_CANDIDATES, enable_fallback=False))
    if not matches:
        return []
    best = min(match.chaos for match in matches)
    calm = [m for m in matches if m.chaos <= best + (0 if m.encoding in _CALMEST_ONLY else _CHAOS_MARGIN)]
    common = [m for m in calm if m.encoding not in _CALMEST_ONLY]
    level: set[str] = set()
    for match in calm:
        likelier = match.coherence + _COHERENCE_MARGIN
        if not any(other.coherence > likelier and other.chaos <= match.chaos for other in common):
            level.update((match.encoding, *match.could_be_from_charset))
    return [encoding for encoding in _CANDIDATES if encoding in level]
