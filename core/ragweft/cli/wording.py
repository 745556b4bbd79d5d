"""Small things put into words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ragweft.types import Tuning, Usage

__all__ = ["counted", "harmless", "human_bytes", "money", "printable", "weights"]

_TAB = 4
_CONTROLS = dict.fromkeys((*range(0x20), *range(0x7F, 0xA0)), "\N{REPLACEMENT CHARACTER}")
_LINE_END = re.compile(r"\r(?=\n|\Z)")
_COMMANDS = {code: shown for code, shown in _CONTROLS.items() if chr(code) not in "\n\t"}


def printable(text: str) -> str:
    """*text* without anything a terminal would obey; tabs become spaces, white space at its end is dropped."""
    text = text.rstrip().expandtabs(_TAB)
    return text if text.isprintable() else text.translate(_CONTROLS)


def harmless(text: str) -> str:
    """*text* of any number of lines, without what a terminal would obey beyond line breaks and tabs."""
    return _LINE_END.sub("", text).translate(_COMMANDS)


def weights(tuning: Tuning) -> str:
    """How much each part of a search counts: `meaning 0.26, words 0.74, closeness 0.37, document 0.3`."""
    parts = {
        "meaning": tuning.dense_weight,
        "words": 1.0 - tuning.dense_weight,
        "closeness": tuning.late_weight * (1.0 - tuning.dense_weight),
        "document": tuning.document_weight,
    }
    return ", ".join(f"{name} {round(value, 2):g}" for name, value in parts.items())


def counted(number: int, noun: str) -> str:
    """`1 file`, `2 files`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def money(usage: Usage) -> str:
    """What was paid for: `1,200 tokens, $0.024, 3 calls`."""
    from ragweft.providers.registry import dollars

    if not usage.calls:
        return "nothing"
    unpriced = f", {counted(usage.unpriced, 'call')} of unknown price" if usage.unpriced else ""
    lost = f", {usage.unanswered:,} of them unanswered (estimated)" if usage.unanswered else ""
    return f"{usage.tokens:,} tokens, {dollars(usage.usd)}, {counted(usage.calls, 'call')}{lost}{unpriced}"


def human_bytes(size: int) -> str:
    """Bytes as people say them: `312 kB`, `3.4 MB` (powers of 1000, as disks are sold)."""
    value = float(size)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit in ("bytes", "kB") or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:,.1f} TB"
