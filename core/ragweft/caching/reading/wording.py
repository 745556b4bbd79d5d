"""What one language's words do to a question: turn it round, count, date, point, ask.

General vocabulary only, a few hundred words a language: closed classes (negators, prepositions, question words)
whole, open ones (opposite operations, units) by what manuals and support questions share. Nothing here comes
from one topic.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain

__all__ = ["CURRENCIES", "UNITS", "UNIT_SYMBOLS", "Wording", "words"]


def words(text: str) -> frozenset[str]:
    """The words of *text*."""
    return frozenset(text.split())


def numbered(text: str, first: int = 0) -> dict[str, int]:
    """Words of *text* counted up from *first*; spellings of one value are joined by a slash."""
    return {word: value for value, slot in enumerate(text.split(), first) for word in slot.split("/")}


def pairs(text: str) -> dict[str, frozenset[tuple[str, bool]]]:
    """Opposites, a pair a line, `enable activate | disable`: word -> the pairs it is in, and on which side."""
    found: dict[str, set[tuple[str, bool]]] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        left, right = line.split("|")
        for side, spelled in ((False, left), (True, right)):
            for word in spelled.split():
                found.setdefault(word, set()).add((line, side))
    return {word: frozenset(places) for word, places in found.items()}


def kinds(text: str) -> dict[str, str]:
    """`kind: word word` lines -> word to kind."""
    found: dict[str, str] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        kind, spelled = line.split(":")
        found |= dict.fromkeys(spelled.split(), kind)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """One language. All words are lower case, with their accents."""

    language: str
    """Snowball's name; also that of the stop words."""
    negators: frozenset[str]
    half_negators: frozenset[str] = frozenset()
    """What says "not" among other things: a denial where nothing else differs."""
    un_prefixes: tuple[str, ...] = ()
    numbers: Mapping[str, int]
    scales: Mapping[str, int] = field(default_factory=dict)
    ordinals: Mapping[str, int] = field(default_factory=dict)
    months: Mapping[str, int]
    weekdays: Mapping[str, int]
    relative: Mapping[str, str]
    """Words for a time seen from now, each to its kind: "tonight" and "this evening" need not be told apart."""
    near: Mapping[str, str] = field(default_factory=dict)
    """"last", "next", "this": they date the period that follows."""
    periods: frozenset[str] = frozenset()
    units: Mapping[str, str]
    prepositions: Mapping[str, str]
    """Preposition to the role it gives: words of one role may stand for each other."""
    joints: frozenset[str]
    """What joins equals: and, or."""
    breaks: frozenset[str]
    """What opens a clause that stays where it is: it belongs to the word before it, or goes on from it."""
    adverbial: frozenset[str] = frozenset()
    """What opens a clause that may stand first or last."""
    be: frozenset[str]
    determiners: frozenset[str]
    participles: frozenset[str] = frozenset()
    """Irregular ones."""
    agents: frozenset[str] = frozenset()
    """What names the doer of a passive verb."""
    asks: Mapping[str, str]
    """Question word to what it asks for."""
    yes_no: Mapping[str, str]
    """Verbs that open a question answered by yes or no, to their force: "can", "must", or none."""
    persons: Mapping[str, str] = field(default_factory=dict)
    opposites: Mapping[str, frozenset[tuple[str, bool]]]
    light: frozenset[str] = frozenset()
    """Courtesies and fillers that ask nothing."""


CURRENCIES = kinds("""
    usd: $ usd dollar dollars dólar dólares dollaro dollari us$
    eur: € eur euro euros
    gbp: £ gbp pound pounds
    jpy: ¥ jpy yen
    cny: cny rmb yuan renminbi
    inr: ₹ inr rupee rupees
    chf: chf
    krw: ₩ krw won
    rub: ₽ rub rouble roubles ruble rubles rubel
    btc: ₿ btc bitcoin bitcoins
    cent: ¢ cent cents
""")
"""Words and signs to ISO codes. Dollars of several countries are told apart only where a code is written."""

UNIT_SYMBOLS = kinds("""
    percent: % percent pct
    mm: mm
    cm: cm
    metre: m
    km: km kms
    inch: in inch inches
    foot: ft foot feet
    yard: yd yds yard yards
    mile: mi mile miles
    mg: mg
    gram: g gr
    kg: kg kgs kilo kilos
    pound: lb lbs
    ounce: oz
    ml: ml
    litre: l
    gallon: gal
    celsius: °c celsius
    fahrenheit: °f fahrenheit
    kelvin: kelvin
    bit: bit bits
    byte: byte bytes b
    kb: kb kib
    mb: mb mib
    gb: gb gib
    tb: tb tib
    pb: pb pib
    hz: hz
    khz: khz
    mhz: mhz
    ghz: ghz
    watt: w
    kw: kw
    kwh: kwh
    volt: v
    mah: mah
    bar: bar
    psi: psi
    mph: mph
    kmh: kmh
    px: px pixel pixels
    dpi: dpi
    fps: fps
    ms: ms
    second: s sec secs
    minute: min mins
    hour: h hr hrs
    degree: ° deg
""")
"""Symbols of units as they follow a number, in every language. Short ones mean nothing elsewhere."""

_LONG = {symbol: unit for symbol, unit in UNIT_SYMBOLS.items() if len(symbol) > 3}

UNITS = dict(
    chain(
        _LONG.items(),
        kinds("""
    millimetre: millimeter millimeters millimetre millimetres
    cm: centimeter centimeters centimetre centimetres zentimeter centimètre centimètres centímetro centímetros
    metre: meter meters metre metres mètre mètres metro metros metri
    km: kilometer kilometers kilometre kilometres kilomètre kilomètres kilómetro kilómetros
    km: chilometri quilômetros
    mile: meile meilen milles millas miglia milhas mijl mijlen
    gram: gram grams gramme grammes gramm gramos grammi gramas
    kg: kilogram kilograms kilogramm kilogramme kilogrammes kilogramo kilogramos
    litre: liter liters litre litres litro litros litri
    gallon: gallon gallons
    ounce: ounce ounces
    kb: kilobyte kilobytes
    mb: megabyte megabytes
    gb: gigabyte gigabytes
    tb: terabyte terabytes
    ms: millisecond milliseconds
    percent: prozent procent porcentaje percento
    """).items(),
    )
)
"""Units written out, any language."""
