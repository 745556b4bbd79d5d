"""The page of `ragweft chunks --html`: a document with its chunks as coloured spans, contexts on hover."""

from __future__ import annotations

from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING

from ragweft.cli.chunks import where
from ragweft.cli.wording import counted, harmless

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ragweft.cutting import Inspection

__all__ = ["page"]

_HUES = (205, 38, 140, 300, 12, 175)
_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --soft: #5b6570; --plain: 91%; --stripe: 80%;
  --strong: 74%; --edge: 36%; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ec; --paper: #15181c; --soft: #9aa5b1; --plain: 19%; --stripe: 30%; --strong: 36%;
    --edge: 66%; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1.5rem; color: var(--ink); background: var(--paper);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.25rem; margin: 0 0 .25rem; overflow-wrap: anywhere; }
p { color: var(--soft); margin: 0 0 1rem; overflow-wrap: anywhere; }
p span { text-decoration: underline dotted; cursor: help; }
pre { position: relative; font: 13px/1.75 ui-monospace, monospace; white-space: pre-wrap;
  overflow-wrap: anywhere; unicode-bidi: plaintext; tab-size: 4; margin: 0; padding: .5rem 0 0 3rem; }
.c { --light: var(--plain); background: hsl(var(--h) 70% var(--light)); border-radius: 2px; }
.two { --light: var(--stripe); background: repeating-linear-gradient(135deg,
  hsl(var(--h) 70% var(--light)) 0 6px, hsl(var(--g) 70% var(--light)) 6px 12px); }
.on { --light: var(--strong); }
.c:focus { outline: 2px solid hsl(var(--h) 60% var(--edge)); outline-offset: 1px; }
/* Numbers take no room in the text: in the margin where a line begins, else above it. */
.c[data-n]::before { content: attr(data-n); position: absolute; margin-top: -.45rem; direction: ltr;
  font: 700 9px/1 system-ui, sans-serif; color: hsl(var(--h) 60% var(--edge)); pointer-events: none; }
.c.line::before { left: 0; width: 2.5rem; margin-top: .4rem; text-align: right; font-size: 11px; }
.tip { position: fixed; inset: auto 1rem 1rem auto; max-width: min(34rem, calc(100vw - 2rem));
  max-height: 45vh; overflow: hidden; z-index: 1; padding: .7rem .9rem;
  border: 1px solid hsl(var(--h) 60% var(--edge)); border-radius: 6px;
  background: var(--paper); color: var(--ink); font: 13px/1.45 system-ui, sans-serif; unicode-bidi: isolate;
  direction: ltr; white-space: pre-wrap; box-shadow: 0 4px 18px #0003; display: none; overflow-wrap: anywhere; }
.tip b, .tip i { display: block; font-style: normal; }
.tip i + b { margin-top: .5rem; }
.c:hover > .tip, .c:focus > .tip { display: block; }
@media (max-width: 40rem) { body { padding: .75rem; } pre { padding-left: 1.6rem; }
  .c.line::before { width: 1.35rem; font-size: 9px; } }
"""
_MARKING = """
const pieces = [...document.querySelectorAll("[data-c]")], of = piece => piece.dataset.c.split(" ");
const parts = new Map();
for (const piece of pieces) for (const n of of(piece)) parts.set(n, [...(parts.get(n) || []), piece]);
const mark = (event, on) => {
  const piece = event.target.closest("[data-c]");
  if (piece) for (const n of of(piece)) for (const part of parts.get(n)) part.classList.toggle("on", on);
};
for (const [name, on] of [["mouseover", 1], ["mouseout", 0], ["focusin", 1], ["focusout", 0]])
  document.addEventListener(name, event => mark(event, on));
"""
"""Marks every piece of a chunk. Without it the page still shows the contexts, by its style alone."""


def page(inspection: Inspection, *, name: str, how: str) -> str:
    """The whole page, with nothing to load from elsewhere; *how* says in words how the text was cut."""
    chunks = counted(len(inspection.chunks), "chunk")
    title = inspection.document.title or name
    body = "".join(_body(inspection))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_safe(name)}: {chunks}</title><style>{_STYLE}</style></head><body>\n"
        f'<h1 dir="auto">{_safe(title)}</h1>\n<p><bdi>{_safe(name)}</bdi>: {chunks} of at most '
        f"{inspection.size:,} tokens, context included; "
        f'<span title="{_safe(inspection.fingerprint)}">{_safe(how)}</span>. '
        "Point at a chunk, or reach it by Tab, to see what it is indexed with; stripes are in two chunks.</p>\n"
        f"<pre>{body}</pre>\n<script>{_MARKING}</script></body></html>\n"
    )


def _safe(text: str) -> str:
    return escape(harmless(text))


def _body(inspection: Inspection) -> Iterator[str]:
    """The text cut at every boundary; a piece belongs to one chunk, to several, or to none."""
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
        yield _piece(inspection, start, end, holding)


def _piece(inspection: Inspection, start: int, end: int, holding: list[int]) -> str:
    whole = inspection.document.text
    text = _safe(whole[start:end])
    if not holding:
        return text
    number = holding[-1]
    kind, style, label = "c", f"--h: {_HUES[number % len(_HUES)]}", ""
    if len(holding) > 1:
        kind, style = "c two", f"{style}; --g: {_HUES[holding[0] % len(_HUES)]}"
    span = inspection.chunks[number].span
    if span is not None and span.start == start:
        label = f' data-n="{number + 1}"'
        if not whole[whole.rfind("\n", 0, start) + 1 : start].strip():
            kind += " line"
    tips = "".join(_tip(inspection, each) for each in holding)
    numbers = " ".join(map(str, holding))
    return (
        f'<span class="{kind}" style="{style}" data-c="{numbers}"{label} tabindex="0">{text}'
        f'<span class="tip" role="note">{tips}</span></span>'
    )


def _tip(inspection: Inspection, number: int) -> str:
    chunk = inspection.chunks[number]
    tokens, context = inspection.tokens[number], inspection.context_tokens[number]
    facts = ", ".join(filter(None, (where(chunk), f"{tokens} + {context} tokens")))
    said = _safe(chunk.context) if chunk.context else "no context"
    return f'<b>Chunk {number + 1}: {_safe(facts)}</b><i dir="auto">{said}</i>'
