"""`ragweft cache explain`: why a question is served from the cache, or is not."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ragweft.cli.cache_scopes import KindOption, ScopeOption, cache_in, chosen, parse_scope, said, say_scopes
from ragweft.cli.options import DebugOption, IndexOption, JsonOption, settle
from ragweft.cli.session import guarded, opened, put, say
from ragweft.cli.wording import counted, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ragweft.caching.hits import CacheHit, Looked
    from ragweft.caching.stats import Held

__all__ = ["explain"]

_SCOPES = 20
"""Scopes that are looked through if none is named: the entries of each are read."""
_NEAREST = 5
"""Questions that are shown of a scope."""
_WIDTH = 72


def explain(
    ctx: typer.Context,
    query: Annotated[list[str], typer.Argument(metavar="QUERY", help="The question, as it would be asked.")],
    scope: ScopeOption = None,
    kind: KindOption = None,
    as_json: JsonOption = False,
    index: IndexOption = None,
    debug: DebugOption = False,
) -> None:
    """Say why a question hits or misses.

    That is what would be served, which kept questions are near, and why those are passed over. Every scope that
    has entries is looked at, the largest first, unless some are chosen. Nothing is counted or changed.
    """
    settings = settle(ctx, index=index, debug=debug)
    words = " ".join(query).strip()
    if not words:
        raise typer.BadParameter("the question is empty", param_hint="QUERY")
    parts = parse_scope(scope)
    with guarded(settings), opened(settings) as opened_index:
        from ragweft.cli.cache_stats import nothing_kept, origin_line, standard_line, standard_payload

        cache = cache_in(opened_index)
        held = [] if cache is None else cache.scopes()
        wanted = chosen([one for one in held if one.live], parts, kind)
        looked = [
            (one, cache.explain(words, scope=one.own, kind=one.kind))
            for one in wanted[:_SCOPES]
            if cache is not None
        ]
        former = sum(one.entries for one in held if not one.live)
        results = opened_index.recipe.cache.results
        if as_json:
            from ragweft.cli.payload import print_json

            print_json(
                {
                    "query": words,
                    "standard": None if cache is None else standard_payload(cache.stats().standard),
                    "scopes": [_payload(one, found) for one, found in looked],
                    "not_looked_at": len(wanted) - len(looked),
                    "former_entries": former,
                }
            )
            return
        if cache is None or not held:
            say(nothing_kept(results))
            return
        for place, (one, found) in enumerate(looked):
            put(*[""] * bool(place), *_lines(one, found, results))
        if wanted:
            standard = cache.stats().standard
            put("", f"Served from: {standard_line(standard)}")
            if standard.semantic:
                put(f"             {origin_line(standard)}")
        elif any(one.live for one in held):
            say_scopes([one for one in held if one.live])
        if len(wanted) > len(looked):
            say(f"{counted(len(wanted) - len(looked), 'scope')} more not looked at; choose with --scope")
        if former:
            entries = "1 entry is" if former == 1 else f"{former:,} entries are"
            say(f"{entries} of what the index was before; only  ragweft cache clear  still sees them")


def _payload(held: Held, found: Looked) -> dict[str, Any]:
    from dataclasses import asdict

    return {"kind": held.kind, "scope": held.own, "entries": held.entries, **asdict(found)}


def _lines(held: Held, found: Looked, results: str) -> Iterator[str]:
    entries = "1 entry" if held.entries == 1 else f"{held.entries:,} entries"
    yield f"{said(held)}  ({entries})"
    if found.hit is not None:
        yield from _hit(found.hit)
    else:
        yield f"  miss: {printable(found.why)}"
    if held.kind == "results" and results == "off" and "sources" in held.own:
        yield "  searches do not look here now: [cache] results is off"
    for other in found.passed[:_NEAREST]:
        yield f"  {other.likeness:.3f}  {_one_line(other.query)}"
        for line in textwrap.wrap(printable(other.why), _WIDTH - 1):
            yield f"         {line}"
    if (more := len(found.passed) - _NEAREST) > 0:
        yield f"  and {more} farther away; --json lists them"


def _hit(hit: CacheHit) -> Iterator[str]:
    from ragweft.providers.advice import duration

    how = "the same words" if hit.level == "exact" else f"likeness {hit.likeness:.3f}"
    yield f"  hit, {hit.level}: {how}, {duration(hit.age)} old"
    if hit.level == "semantic":
        yield f"    asked   {_one_line(hit.query)}"
    yield f"    served  {_answer(hit.answer)}"


def _answer(answer: object) -> str:
    if isinstance(answer, str):
        return _one_line(answer)
    hits = answer.get("hits") if isinstance(answer, dict) and "legs" in answer else None
    if isinstance(hits, list):
        return counted(len(hits), "hit")
    return _one_line(json.dumps(answer, ensure_ascii=False))


def _one_line(text: str) -> str:
    line = printable(" ".join(text.split()))
    return line if len(line) <= _WIDTH - 1 else f"{line[: _WIDTH - 4]}…"
