"""Numbers, dates and times of day as they are written, to one spelling each."""

from __future__ import annotations

import re

__all__ = ["MERIDIEMS", "MULTIPLES", "ORDINAL_ENDS", "ROMAN", "clock", "date", "multiplied", "value_of"]

ROMAN = {
    numeral: str(value)
    for value, numeral in (
        *enumerate(("II", "III", "IV"), 2),
        *enumerate(("VI", "VII", "VIII", "IX"), 6),
        *enumerate(("XI", "XII", "XIII", "XIV", "XV", "XVI", "XVII", "XVIII", "XIX", "XX"), 11),
    )
}
"""Those that are no letter by themselves."""
MERIDIEMS = frozenset({"am", "pm", "a.m", "p.m"})
MULTIPLES = {"k": 1_000, "m": 1_000_000, "bn": 10**9}
ORDINAL_ENDS = frozenset({"st", "nd", "rd", "th", "er", "ère", "e", "è", "º", "ª", "o", "a", "ème"})

_GROUPED = re.compile(r"\d{1,3}(?:[.,]\d{3})+")
_DATE_MARKS = re.compile(r"[-./]")


def value_of(text: str, language: str) -> str:
    """A number without grouping marks and with a point before its decimals; a version ("3.11.2") as it is.

    "1.000" is one in English and a thousand elsewhere.
    """
    english_decimals = text.count(".") == 1 and "," not in text and language in {"english", ""}
    if _GROUPED.fullmatch(text) and not english_decimals:
        return text.replace(",", "").replace(".", "")
    text = text.replace(",", ".") if text.count(",") == 1 and "." not in text else text.replace(",", "")
    whole, point, decimals = text.partition(".")
    whole = whole.lstrip("0") or "0"
    if "." not in decimals:
        decimals = decimals.rstrip("0")
    return f"{whole}{point}{decimals}" if decimals else whole


def multiplied(value: str, factor: int) -> str:
    """*value* times *factor*; as it is if it is no number, or a very long one."""
    if len(value) > 15 or value.count(".") > 1:
        return value
    product = float(value) * factor
    return str(int(product)) if product.is_integer() else str(product)


def clock(hour: str, minutes: str, meridiem: str) -> str:
    """A time of day by the 24 hours; *meridiem* may be any word, and counts if it is one."""
    value = int(hour) if hour.isdecimal() and len(hour) < 3 else 0
    if meridiem in MERIDIEMS:
        value = value % 12 + 12 * meridiem.startswith("p")
    return f"time {value}:{minutes}"


def date(text: str) -> tuple[int, int, int] | None:
    """Year, month and day of a date in digits, None where day and month cannot be told apart."""
    first, second, third = (int(field) for field in _DATE_MARKS.split(text)[:3])
    if first > 31:
        return first, second, third
    if second > 12:
        return third, first, second
    if first > 12 or "." in text:
        return third, second, first
    return None
