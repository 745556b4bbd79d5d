from __future__ import annotations

import codecs
import random
import zlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ragweft.loading.decoding import NotText, decode

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))

SAMPLES = {
    "cp1252": "Les élèves français étudient à l'université ; où êtes-vous né ? Ça déçoit l’âme naïve.\r\n",
    "latin-1": "Die Größe der Straße überrascht viele Gäste. Schöne Grüße aus München, äußerst kühl.\n",
    "cp1251": "Съешь же ещё этих мягких французских булок, да выпей чаю. Широкая электрификация губерний.\n",
    "koi8_r": "Съешь же ещё этих мягких французских булок, да выпей чаю. Широкая электрификация губерний.\n",
    "cp866": "Съешь же ещё этих мягких французских булок, да выпей чаю.\r\n\x1a",
    "shift_jis": "日本語の文章です。これは試験のために書かれた文で、ひらがなとカタカナと漢字が含まれています。\n",
    "euc_jp": "日本語の文章です。これは試験のために書かれた文で、ひらがなとカタカナと漢字が含まれています。\n",
    "gb18030": "这是一个简单的中文句子，用于测试字符编码的检测功能。我们希望它能正常工作。\n",
    "big5": "這是一個簡單的中文句子，用於測試字符編碼的檢測功能。\n",
    "euc_kr": "안녕하세요. 이 문장은 문자 인코딩 감지를 시험하기 위한 한국어 문장입니다.\n",
    "cp1253": "Η ελληνική γλώσσα είναι μία από τις ινδοευρωπαϊκές γλώσσες.\n",
    "cp1250": "Zażółć gęślą jaźń. Pchnąć w tę łódź jeża lub ośm skrzyń fig. Świętość źródła.\n",
    "cp1254": "Türkiye'nin başkenti Ankara'dır. İstanbul ise ülkenin en kalabalık şehridir ve Boğaz'a yayılmıştır.\n",
}


@given(TEXT)
@example("")
@example("\ufeffmark in the text of a file that has none of its own\r\n\r")
def test_utf8_is_exact(text: str) -> None:
    assert decode(codecs.BOM_UTF8 + text.encode()) == text
    if not text.startswith("\ufeff"):
        assert decode(text.encode()) == text


@given(TEXT.filter(lambda text: not text.startswith("\0")))
def test_byte_order_marks_decide_and_are_dropped(text: str) -> None:
    for mark, encoding in (
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
    ):
        assert decode(mark + text.encode(encoding)) == text


@pytest.mark.parametrize("encoding", SAMPLES)
@pytest.mark.parametrize("times", [1, 3_000])
def test_encodings_from_before_unicode(encoding: str, times: int) -> None:
    text = SAMPLES[encoding] * times
    assert decode(text.encode(encoding)) == text


@pytest.mark.parametrize(
    "text", ["café crème\n", "Müller", "El Niño", "naïve", "The résumé was good.", "Ärger über Öl"]
)
def test_a_few_western_letters(text: str) -> None:
    assert decode(text.encode("latin-1")) == text


def test_a_rare_letter_far_into_a_large_file() -> None:
    text = "plain line\n" * 50_000 + SAMPLES["cp1251"] + "plain line\n" * 50_000
    assert decode(text.encode("cp1251")) == text


def test_one_long_line() -> None:
    for encoding in ("latin-1", "shift_jis", "cp1251"):
        text = SAMPLES[encoding].strip() * 3_000
        assert decode(text.encode(encoding)) == text


@pytest.mark.parametrize(
    "data",
    [
        b'<html><head><meta charset="iso-8859-2"></head><body>\xb6wi\xeato \xbc\xf3d\xb3a</body>',
        b'<META HTTP-EQUIV="Content-Type" CONTENT="text/html; charset=iso-8859-2">\xb6wi\xeato \xbc\xf3d\xb3a',
        b'<?xml version="1.0" encoding="ISO-8859-2"?><a>\xb6wi\xeato \xbc\xf3d\xb3a</a>',
        b"#!/usr/bin/python\n# -*- coding: iso-8859-2 -*-\n# \xb6wi\xeato \xbc\xf3d\xb3a\n",
    ],
)
def test_a_declared_encoding_is_believed(data: bytes) -> None:
    assert "święto źódła" in decode(data)


@pytest.mark.parametrize(
    "name", ["utf-8", "no-such-encoding", "rot13", "hex", "utf-7", "unicode_escape", "undefined"]
)
def test_a_declaration_that_cannot_be_true_is_not(name: str) -> None:
    data = f"# coding: {name}\n# Schöne Grüße aus München\n".encode("latin-1")
    assert decode(data) == data.decode("latin-1")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"text\0text", "looks binary"),
        ("text".encode("utf-16-le"), "looks binary"),
        (codecs.BOM_UTF16_LE + b"a\0\0\0b\0", "looks binary"),
        (codecs.BOM_UTF16_LE + b"a", "begins with a UTF-16 byte order mark but is not UTF-16"),
        (codecs.BOM_UTF16_LE + b"\0\xd8a\0", "is not UTF-16"),
        (codecs.BOM_UTF8 + b"caf\xe9", "is not UTF-8"),
        (codecs.BOM_UTF32_LE + b"\0\0\0\x7f", "is not UTF-32"),
        (
            "größer, höher, süßer, älter".encode() + b" caf\xe9",
            "is UTF-8 with broken bytes, the first at offset 37",
        ),
        (
            b"x " * 40_000 + "日本語 ".encode() * 1_000 + b"\xff",
            "is UTF-8 with broken bytes, the first at offset 90000",
        ),
        (b"\x89PNG\r\n\x1a\n\x05\x06\x07\xff\xfe\x81", "no other encoding"),
    ],
)
def test_what_is_no_text(data: bytes, reason: str) -> None:
    with pytest.raises(NotText, match=reason):
        decode(data)


def test_compressed_and_random_bytes_are_no_text() -> None:
    dice = random.Random(7)
    for size in (100, 1_000, 100_000):
        noise = bytes(dice.choices(range(1, 256), k=size))
        with pytest.raises(NotText):
            decode(noise)
    packed = zlib.compress("".join(map(str, range(10_000))).encode()).replace(b"\0", b"\1")
    with pytest.raises(NotText):
        decode(packed)


@given(st.binary(max_size=200) | st.text(max_size=50).map(lambda text: text.encode("utf-16")))
@settings(deadline=None)
def test_any_bytes_give_text_or_a_reason(data: bytes) -> None:
    try:
        text = decode(data)
    except NotText as error:
        text = str(error)
    text.encode("utf-8")
    assert "\0" not in text
