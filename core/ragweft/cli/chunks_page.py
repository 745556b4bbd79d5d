"""The page of `ragweft chunks --html`: a document with its chunks as coloured spans, contexts on hover."""

from __future__ import annotations

from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING

from ragweft.cli.chunks import where

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ragweft.cutting import Inspection

__all__ = ["page"]

_HUES = (205, 38, 140, 300, 12, 175)
_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --soft: #5b6570; --light: 91%; --edge: 45%; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ec; --paper: #15181c; --soft: #9aa5b1; --light: 20%; --edge: 60%; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1.5rem; color: var(--ink); background: var(--paper);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.25rem; margin: 0 0 .25rem; overflow-wrap: anywhere; }
p { color: var(--soft); margin: 0 0 1rem; overflow-wrap: anywhere; }
pre { font: 13px/1.65 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; }
.c { background: hsl(var(--h) 70% var(--light)); border-radius: 2px; }
.two { background: repeating-linear-gradient(135deg, hsl(var(--h) 70% var(--light)) 0 6px,
  hsl(var(--g) 70% var(--light)) 6px 12px); }
.c:hover, .c:focus { outline: 2px solid hsl(var(--h) 60% var(--edge)); outline-offset: 1px; }
.n { font: 600 11px/1 system-ui, sans-serif; color: hsl(var(--h) 60% var(--edge)); padding: 0 .35em 0 .1em;
  user-select: none; }
.tip { position: fixed; inset: auto 1rem 1rem auto; max-width: min(34rem, calc(100vw - 2rem));
  padding: .7rem .9rem; border: 1px solid hsl(var(--h) 60% var(--edge)); border-radius: 6px;
  background: var(--paper); color: var(--ink); font: 13px/1.45 system-ui, sans-serif;
  white-space: pre-wrap; box-shadow: 0 4px 18px #0003; display: none; overflow-wrap: anywhere; }
.tip b { display: block; }
.c:hover > .tip, .c:focus > .tip { display: block; }
"""


def page(inspection: Inspection, *, name: str) -> str:
    """The whole page, with nothing to load from elsewhere."""
    count = len(inspection.chunks)
    chunks = "1 chunk" if count == 1 else f"{count:,} chunks"
    title = inspection.document.title or name
    body = "".join(_body(inspection))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(name)}: {chunks}</title><style>{_STYLE}</style></head><body>\n"
        f"<h1>{escape(title)}</h1>\n<p>{escape(name)}: {chunks}, at most {inspection.size:,} tokens each with "
        f"its context ({escape(inspection.fingerprint)}). Point at a chunk, or reach it by Tab, to see what it "
        f"is indexed with; stripes are in two chunks.</p>\n<pre>{body}</pre>\n</body></html>\n"
    )


def _body(inspection: Inspection) -> Iterator[str]:
    """The text cut at every boundary; a piece belongs to one chunk, to two, or to none."""
    text = inspection.document.text
    spans = [chunk.span for chunk in inspection.chunks]
    edges = sorted({0, len(text), *(edge for span in spans if span for edge in (span.start, span.end))})
    first = 0
    for start, end in pairwise(edges):
        # Chunks come in order: those that ended before cannot hold what follows.
        while first < len(spans) and (ended := spans[first]) is not None and ended.end <= start:
            first += 1
        holding = [
            number
            for number in range(first, min(first + 8, len(spans)))
            if (span := spans[number]) is not None and span.start <= start and end <= span.end
        ]
        yield _piece(inspection, text[start:end], holding, begins=start)


def _piece(inspection: Inspection, text: str, holding: list[int], *, begins: int) -> str:
    if not holding:
        return escape(text)
    number = holding[-1]
    hue = _HUES[number % len(_HUES)]
    style = f"--h: {hue}"
    kind = "c"
    if len(holding) > 1:
        kind, style = "c two", f"{style}; --g: {_HUES[holding[0] % len(_HUES)]}"
    span = inspection.chunks[number].span
    label = f'<span class="n">{number + 1}</span>' if span is not None and span.start == begins else ""
    tips = "".join(_tip(inspection, each) for each in holding)
    return (
        f'<span class="{kind}" style="{style}" tabindex="0">{label}{escape(text)}'
        f'<span class="tip" role="note">{tips}</span></span>'
    )


def _tip(inspection: Inspection, number: int) -> str:
    chunk = inspection.chunks[number]
    tokens, context = inspection.tokens[number], inspection.context_tokens[number]
    said = escape(chunk.context) if chunk.context else "no context"
    return f"<b>Chunk {number + 1}: {where(chunk)}, {tokens} + {context} tokens</b>{said}\n"
