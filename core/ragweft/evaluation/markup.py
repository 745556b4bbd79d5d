"""The small pieces of the report's HTML. Whatever is not markup already is escaped here or by the caller."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from ragweft.evaluation.plots import line_of, series_of

if TYPE_CHECKING:
    from ragweft.evaluation.significance import Interval

__all__ = ["coloured", "figure", "interval_of", "key", "name_of", "note", "points", "signed", "table"]


def points(score: float) -> str:
    """`41.4` for 0.414."""
    return f"{round(score * 100, 1) + 0.0:.1f}".replace("-", "\N{MINUS SIGN}")


def signed(score: float) -> str:
    """`+1.9`, `−0.3` or `0.0`."""
    text = points(score)
    return text if text.startswith("\N{MINUS SIGN}") or text == "0.0" else f"+{text}"


def interval_of(interval: Interval) -> str:
    """`−0.3 to +1.9`."""
    return f"{signed(interval.low)} to {signed(interval.high)}"


def coloured(score: float) -> str:
    """A difference in the colour of a gain or a loss; the sign says the same."""
    text = signed(score)
    kind = "" if text == "0.0" else ' class="gain"' if text.startswith("+") else ' class="loss"'
    return f"<span{kind}>{text}</span>"


def key(number: int) -> str:
    """The CSS of the colour and line that stand for recipe *number*, the baseline being 0."""
    return f"--key: var(--{series_of(number)}); --line: {line_of(number)}"


def name_of(label: str, number: int) -> str:
    """A recipe's name behind its line."""
    return f'<span class="key" style="{key(number)}" aria-hidden="true"></span>{escape(label)}'


def note(text: str) -> str:
    """A paragraph that explains; *text* is markup."""
    return f'<p class="note">{text}</p>'


def figure(title: str, caption: str, content: str) -> str:
    """A plot, or several, below its caption; all three are markup."""
    return f"<figure><figcaption><h3>{title}</h3>{caption}</figcaption>{content}</figure>"


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    title: str,
    caption: bool = False,
    decides: int | None = None,
    kind: str = "",
) -> str:
    """A table that scrolls by itself where it is too wide; cells are markup, the first of a row is its heading.

    *title* names it, for the eye too if it is a *caption*; row number *decides* is set off.
    """
    body: list[str] = []
    for place, (first, *others) in enumerate(rows):
        cells = "".join(f"<td>{cell}</td>" for cell in others)
        mark = ' class="decides"' if place == decides else ""
        body.append(f'<tr{mark}><th scope="row" class="name">{first}</th>{cells}</tr>')
    lines = "\n".join(body)
    columns = "".join(f'<th scope="col">{cell}</th>' if cell else "<td></td>" for cell in head)
    shown = f"<caption>{title}</caption>" if caption else ""
    return (
        f'<div class="wide" role="region" aria-label="{title}" tabindex="0"><table class="{kind}">{shown}'
        f"<thead><tr>{columns}</tr></thead>\n<tbody>{lines}</tbody></table></div>"
    )
