"""`ragweft cache stats`: what the cache holds, what it saved, and how often it was wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer  # noqa: TC002  # typer reads the annotations

from ragweft.cli.cache_scopes import cache_in
from ragweft.cli.options import DebugOption, IndexOption, JsonOption, settle
from ragweft.cli.session import guarded, opened, put, say

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ragweft.caching.standard import Standard
    from ragweft.caching.stats import CacheStats, Looks, WrongHits
    from ragweft.caching.values import Cost

__all__ = [
    "cache_line",
    "cache_payload",
    "nothing_kept",
    "origin_line",
    "percent",
    "standard_line",
    "standard_payload",
    "stats",
]

_NAMES = 13
_MEASURES = {
    "cosine": "cosine of the vectors",
    "words": "likeness of the words",
    "mixed": "likeness of words and vectors",
}
_REASONS = {
    "expired": "past their time",
    "feedback": "told to be wrong",
    "cleared": "cleared",
    "unreadable": "could not be read",
    "invalidated": "invalidated",
    "no evidence": "without the search results they rest on",
    "": "too large, or the cache could not be written",
    "checked": "pairs of questions put to the check",
    "check failed": "checks that failed",
}
"""Why something was dropped or refused; of what is stale, `freshness.DROPS` says more."""


def stats(
    ctx: typer.Context,
    as_json: JsonOption = False,
    index: IndexOption = None,
    debug: DebugOption = False,
) -> None:
    """Show what is kept, how often it hit, and what that saved.

    Told are hits by level, why entries went, from which likeness on one is served, and how often a hit was
    wrong, as far as anybody knows.
    """
    settings = settle(ctx, index=index, debug=debug)
    with guarded(settings), opened(settings) as opened_index:
        cache = cache_in(opened_index)
        found = None if cache is None else cache.stats()
        if as_json:
            from ragweft.cli.payload import print_json

            print_json({"cache": cache_payload(found)})
        elif found is None:
            say(nothing_kept(opened_index.recipe.cache.results))
        else:
            put(*_lines(found))


def nothing_kept(results: str) -> str:
    """Why there is no cache, and how to come by one."""
    head = "nothing is kept here yet"
    if results != "off":
        return f"{head}: the next search is the first ([cache] results = {results})"
    return f"{head}: a program stores answers (index.cache()), or [cache] results keeps what searches find"


def cache_payload(found: CacheStats | None) -> dict[str, Any] | None:
    """The same as JSON; None for an index without a cache."""
    from dataclasses import asdict, replace

    if found is None:
        return None
    told = asdict(replace(found, standard=replace(found.standard, parlance=None)))
    standard = standard_payload(found.standard)
    looks = {
        name: {**told[name], "total": some.total, "hit_rate": some.hit_rate}
        for name, some in (("answers", found.answers), ("searches", found.searches))
    }
    return {**told, **looks, "standard": standard}


def standard_payload(standard: Standard) -> dict[str, Any]:
    """A standard as JSON, without the words it was calibrated with: these are many."""
    from dataclasses import asdict, replace

    told = asdict(replace(standard, parlance=None))
    del told["parlance"]
    return {**told, "semantic": standard.semantic}


def cache_line(found: CacheStats) -> str:
    """The cache in one line: `1,204 entries, 3.4 MB, 62 % of 5,310 lookups served`."""
    from ragweft.cli.wording import human_bytes

    held = "1 entry" if found.entries == 1 else f"{found.entries:,} entries"
    told = [held, human_bytes(found.bytes)]
    if total := found.looks.total:
        lookups = "1 lookup" if total == 1 else f"{total:,} lookups"
        told.append(f"{percent(found.looks.hit_rate)} of {lookups} served")
    return ", ".join(told)


def percent(share: float) -> str:
    """`62 %`, and of a small share as many digits as tell something: `0.34 %`."""
    value = 100 * share
    return f"{value:.0f} %" if value >= 10 or value == 0 else f"{value:.2g} %"


def standard_line(standard: Standard) -> str:
    """What is served: `cosine of the vectors 0.950 or more`, or that only the same words are, and why."""
    if standard.semantic:
        return f"{_MEASURES[standard.measure]} {standard.threshold:.3f} or more"
    if standard.target is None:
        return "the same words only: [cache] semantic = false"
    return f"the same words only: no threshold keeps wrong hits under {percent(standard.target)}"


def origin_line(standard: Standard) -> str:
    """Where a threshold comes from."""
    if standard.origin == "given":
        return "set by [cache] threshold"
    if standard.target is None:
        return "by default; learn your own with  ragweft cache calibrate"
    return f"calibrated by {standard.origin}"


def _lines(found: CacheStats) -> Iterator[str]:
    from ragweft.cli.wording import human_bytes

    yield _row("entries", f"{found.entries:,} of {found.limits.entries:,} at most")
    yield _row("size", f"{human_bytes(found.bytes)} of {human_bytes(found.limits.bytes)} at most")
    yield from _looked(found)
    yield _row("saved", _saved(found.saved))
    yield from _counts("dropped", found.dropped)
    if found.renewed:
        yield _row("looked into", f"{found.renewed:,} answers after an edit nearby; a search found the same")
    if found.evicted:
        yield _row("evicted", f"{found.evicted:,} for others")
    yield from _counts("not kept", found.refused)
    yield from _counts("besides", found.other)
    yield _row("served from", standard_line(found.standard))
    if found.standard.semantic:
        yield _row("", origin_line(found.standard))
    for place, line in enumerate(_wrong(found.wrong_hits, semantic=found.standard.semantic)):
        yield _row("" if place else "wrong hits", line)


def _row(name: str, value: str) -> str:
    return f"{name:<{_NAMES}}{value}"


def _looked(found: CacheStats) -> Iterator[str]:
    if found.answers.total or not found.searches.total:
        yield from _looks("lookups", found.answers)
    if found.searches.total:
        yield from _looks("searches", found.searches)


def _looks(head: str, looks: Looks) -> Iterator[str]:
    yield _row(head, f"{looks.total:,}")
    counts = {
        "exact": (looks.exact, "the same words"),
        "semantic": (looks.semantic, "other words"),
        "missed": (looks.misses, ""),
        "failed": (looks.failed, "the cache could not be asked"),
    }
    width = max(len(f"{count:,}") for count, _ in counts.values())
    for name, (count, what) in counts.items() if looks.total else ():
        if count or name != "failed":
            share = f"{percent(count / looks.total):>6}"
            yield _row(f"  {name}", f"{count:>{width},}  {share}  {what}".rstrip())


def _saved(cost: Cost) -> str:
    from ragweft.providers.advice import duration
    from ragweft.providers.registry import dollars

    if not (cost.ms or cost.tokens or cost.usd):
        return "not known: give store(cost=…), or use @cache.answers"
    seconds = cost.ms / 1000
    time = f"{cost.ms:.0f} ms" if seconds < 1 else f"{seconds:.1f} s" if seconds < 100 else duration(seconds)
    return f"{time}, {cost.tokens:,} tokens, {dollars(cost.usd)}"


def _counts(name: str, counts: Mapping[str, int]) -> Iterator[str]:
    from ragweft.caching.freshness import DROPS

    width = max((len(f"{count:,}") for count in counts.values()), default=0)
    for place, (reason, count) in enumerate(counts.items()):
        what, _, stale = reason.partition(", ")
        said = DROPS.get(stale, reason) if what == "stale" else _REASONS.get(reason, reason)
        yield _row("" if place else name, f"{count:>{width},}  {said}")


def _wrong(found: WrongHits | None, *, semantic: bool) -> Iterator[str]:
    if found is None:
        if not semantic:
            yield "by meaning none: only the same words are served"
            return
        yield "not known; tell the cache which hits were right (feedback),"
        yield "or have it bounded by  ragweft cache calibrate"
    elif found.basis == "feedback":
        between = f"{percent(found.low)} to {percent(found.high)} with {percent(found.confidence)} confidence"
        yield f"{percent(found.share)} of those judged, {found.wrong:,} of {found.of:,}"
        yield between
    else:
        yield f"at most {percent(found.high)} of near-misses with {percent(found.confidence)} confidence,"
        yield f"by the calibration: {found.wrong:,} of {found.of:,}; nobody has judged hits yet (feedback)"
